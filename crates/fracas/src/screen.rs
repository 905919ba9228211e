//! What standard error shows while a run goes on: a live view on a terminal, plain lines elsewhere, or NDJSON.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fracas_core::event::Event;
use fracas_report::{Live, Verbosity, line};
use tokio::sync::mpsc;

use crate::output::{manner, tell};
use crate::picture;

/// Five pictures a second.
const REDRAW: Duration = Duration::from_millis(200);

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// A picture that changes.
    Live,
    /// One event after the other.
    Lines(Verbosity),
    /// Every event as JSON.
    Json,
}

impl Show {
    /// What fits the command line and the terminal.
    pub(crate) fn fitting(quiet: bool, verbose: u8) -> Self {
        let verbosity = match (quiet, verbose) {
            (true, _) => Verbosity::Quiet,
            (_, 0) => Verbosity::Normal,
            (_, _) => Verbosity::Verbose,
        };
        let dumb = crate::settings::env("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        if manner().json {
            Self::Json
        } else if verbosity == Verbosity::Normal && !dumb && fracas_linux::terminal::stderr_is_terminal() {
            Self::Live
        } else {
            Self::Lines(verbosity)
        }
    }
}

/// The place where a run is shown, shared with whoever asks questions in it.
#[derive(Clone)]
pub(crate) struct Screen(Arc<Mutex<Picture>>);

struct Picture {
    show: Show,
    live: Live,
    began: Instant,
    /// Somebody else writes meanwhile.
    held: bool,
}

impl Screen {
    pub(crate) fn new(show: Show) -> Self {
        Self(Arc::new(Mutex::new(Picture {
            show,
            live: Live::default(),
            began: Instant::now(),
            held: false,
        })))
    }

    /// Shows events until there are no more.
    pub(crate) async fn follow(self, mut events: mpsc::UnboundedReceiver<Event>) {
        let mut redraw = tokio::time::interval(REDRAW);
        redraw.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let live = self.with(|picture| picture.show == Show::Live);
        loop {
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Some(event) => self.with(|picture| picture.take(&event)),
                    None => break,
                },
                _ = redraw.tick(), if live => self.with(|picture| picture.draw()),
            }
        }
        self.with(|picture| picture.end());
    }

    /// Takes the picture away while somebody asks a person.
    pub(crate) fn aside<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.with(|picture| {
            picture.clear();
            picture.held = true;
        });
        let answer = ask();
        self.with(|picture| picture.held = false);
        answer
    }

    fn with<T>(&self, what: impl FnOnce(&mut Picture) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Picture {
    fn take(&mut self, event: &Event) {
        match self.show {
            Show::Live => {
                if event.seq == 0 {
                    self.began = Instant::now();
                }
                self.live.apply(event);
            }
            Show::Lines(verbosity) => {
                if let Some(line) = line(event, verbosity) {
                    tell(&line);
                }
            }
            Show::Json => {
                if let Ok(line) = serde_json::to_string(event) {
                    picture::tell(&line);
                }
            }
        }
    }

    fn draw(&self) {
        if !self.held {
            picture::draw(self.lines());
        }
    }

    fn lines(&self) -> Vec<String> {
        let elapsed = self.began.elapsed().as_millis() as u64;
        self.live.render(picture::width(), elapsed, manner().colour)
    }

    /// Takes the picture away.
    fn clear(&self) {
        if self.show == Show::Live {
            picture::clear();
        }
    }

    /// Leaves the last picture.
    fn end(&self) {
        if self.show == Show::Live && !self.held {
            picture::leave(self.lines());
        }
    }
}
