//! What passes while it does, once a second: `--live`. In a thread of its own: a terminal that takes nothing (Ctrl-S) holds up no traffic,
//! and not the end either. A second in which it takes nothing is left out.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
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
    /// Ends with the thread.
    over: mpsc::Receiver<()>,
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
        let (ends, over) = mpsc::channel();
        let thread = thread::Builder::new().name("live".to_owned()).spawn(move || {
            let _ends: mpsc::Sender<()> = ends;
            view.work(&ended);
        });
        thread.map_err(|error| {
            Problem::new(&codes::SYSTEM, "cannot start the thread that shows what passes").because(&error)
        })?;
        Ok(Self { end: Some(end), over })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.end.take());
        // A terminal that was stopped in the middle of a write lets nobody go. If it panicked, that was told.
        let _over = self.over.recv_timeout(picture::PATIENCE * 2);
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
            let is_over = waited != Err(RecvTimeoutError::Timeout);
            let now = if is_over { self.last_look() } else { self.look() };
            if is_over {
                // Of the moment since the last look alone, a rate would be of chance.
                return match self.show {
                    Show::Live => picture::leave(self.picture(&earlier, &now)),
                    Show::Lines(_) | Show::Json => picture::tell(&self.line(&earlier, &now)),
                };
            }
            match self.show {
                Show::Live => picture::draw(self.picture(&before, &now)),
                Show::Lines(_) | Show::Json => picture::tell_now(&self.line(&before, &now)),
            }
            earlier = std::mem::replace(&mut before, now);
        }
    }

    fn line(&self, before: &Passed, now: &Passed) -> String {
        let traffic = Traffic::between(before, now);
        match self.show {
            Show::Json => serde_json::json!({ "traffic": traffic }).to_string(),
            Show::Live | Show::Lines(_) => traffic.line(),
        }
    }

    fn picture(&self, before: &Passed, now: &Passed) -> Vec<String> {
        Traffic::between(before, now).picture(&self.shown, picture::width(), manner().colour)
    }

    fn look(&mut self) -> Passed {
        let at = self.begun.elapsed();
        let look = self.eye.look();
        self.passed(at, look)
    }

    fn last_look(&self) -> Passed {
        self.passed(self.begun.elapsed(), self.eye.last_look())
    }

    fn passed(&self, at: Duration, look: Look) -> Passed {
        let Look {
            counts,
            p50_ms,
            p99_ms,
            scenarios,
            orchestration,
        } = look;
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
