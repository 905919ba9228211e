//! What passes while it does, once a second: `--live`. In a thread of its own: a terminal that takes nothing (Ctrl-S) holds up no traffic.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fracas_core::problem::{Problem, Result, codes};
use fracas_proxy::{Look, Watch};
use fracas_report::{Orchestrated, Passed, Shown, Traffic};
use tokio::sync::watch;

use crate::output::manner;
use crate::picture;
use crate::screen::Show;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The view. It shows the end when it is dropped.
#[derive(Debug)]
pub(super) struct Live {
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct View {
    show: Show,
    shown: Shown,
    eye: Watch,
    begun: Instant,
    stopping: watch::Receiver<bool>,
}

impl Live {
    /// Begins.
    ///
    /// # Errors
    /// S005 if there is no thread for it.
    pub(super) fn start(show: Show, shown: Shown, eye: Watch, stopping: watch::Receiver<bool>) -> Result<Self> {
        let (end, ended) = mpsc::channel();
        let view = View {
            show,
            shown,
            eye,
            begun: Instant::now(),
            stopping,
        };
        let thread = thread::Builder::new()
            .name("live".to_owned())
            .spawn(move || view.work(&ended));
        let thread = thread.map_err(|error| {
            Problem::new(&codes::SYSTEM, "cannot start the thread that shows what passes").because(&error)
        })?;
        Ok(Self {
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // If it panicked, that was told.
            let _over = thread.join();
        }
    }
}

impl View {
    fn work(mut self, ended: &mpsc::Receiver<()>) {
        let mut before = self.look();
        let mut earlier = before.clone();
        if self.show == Show::Live {
            picture::draw(self.picture(&earlier, &before));
        }
        let mut next = self.begun;
        loop {
            // Seconds that were missed are not made up for: what is shown is of the time that really passed.
            next = (next + PAUSE).max(Instant::now());
            let waited = ended.recv_timeout(next.saturating_duration_since(Instant::now()));
            let now = self.look();
            match waited {
                Err(RecvTimeoutError::Timeout) => self.tell(&before, &now),
                Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                    // Of the moment since the last look alone, a rate would be of chance.
                    return match self.show {
                        Show::Live => picture::leave(self.picture(&earlier, &now)),
                        Show::Lines(_) | Show::Json => self.tell(&earlier, &now),
                    };
                }
            }
            earlier = std::mem::replace(&mut before, now);
        }
    }

    fn tell(&self, before: &Passed, now: &Passed) {
        match self.show {
            Show::Live => picture::draw(self.picture(before, now)),
            Show::Lines(_) => picture::tell(&Traffic::between(before, now).line()),
            Show::Json => {
                let line = serde_json::json!({ "traffic": Traffic::between(before, now) });
                picture::tell(&line.to_string());
            }
        }
    }

    fn picture(&self, before: &Passed, now: &Passed) -> Vec<String> {
        Traffic::between(before, now).picture(&self.shown, picture::width(), manner().colour)
    }

    fn look(&mut self) -> Passed {
        let at = self.begun.elapsed();
        let Look {
            counts,
            p50_ms,
            p99_ms,
            scenarios,
            orchestration,
        } = self.eye.look();
        Passed {
            at,
            requests: counts.requests,
            faults: counts.faults,
            connections: counts.connections,
            p50_ms,
            p99_ms,
            scenarios,
            orchestration: orchestration.map(|one| Orchestrated {
                name: one.name,
                state: one.state,
                progress: one.progress,
                steps: one.steps,
            }),
            ends: *self.stopping.borrow(),
        }
    }
}
