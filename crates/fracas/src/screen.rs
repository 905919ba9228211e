//! What standard error shows while a run goes on: a live view on a terminal, plain lines elsewhere, or NDJSON.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fracas_core::event::Event;
use fracas_report::{Live, Verbosity, line};
use tokio::sync::mpsc;

use crate::output::{manner, tell};

/// Five pictures a second.
const REDRAW: Duration = Duration::from_millis(200);
/// A picture is never wider, and this wide where the terminal does not say.
const WIDEST: u16 = 200;
const USUAL: u16 = 80;

/// Whether the cursor is hidden by us: a panic must not leave the terminal without one.
static HIDDEN: AtomicBool = AtomicBool::new(false);

const HIDE: &str = "\u{1b}[?25l";
const SHOW: &str = "\u{1b}[?25h";

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
    /// How many lines of the last picture stand above the cursor.
    lines: usize,
    /// Somebody else writes meanwhile.
    held: bool,
}

impl Screen {
    pub(crate) fn new(show: Show) -> Self {
        if show == Show::Live {
            restore_after_panic();
        }
        Self(Arc::new(Mutex::new(Picture {
            show,
            live: Live::default(),
            began: Instant::now(),
            lines: 0,
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
                _ = redraw.tick(), if live => self.with(Picture::draw),
            }
        }
        self.with(Picture::end);
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
                    let _ = writeln!(std::io::stderr().lock(), "{line}");
                }
            }
        }
    }

    /// Draws the picture over the last one, in one write so that it does not flicker.
    fn draw(&mut self) {
        if self.held {
            return;
        }
        let width = fracas_linux::terminal::width().unwrap_or(USUAL).min(WIDEST);
        let elapsed = self.began.elapsed().as_millis() as u64;
        // One column stays free: a line that fills the last one makes some terminals wrap.
        let lines = self
            .live
            .render(usize::from(width.saturating_sub(1)), elapsed, manner().colour);
        let mut out = HIDE.to_owned();
        out.push_str(&up(self.lines));
        for line in &lines {
            // `K` erases to the end of the line, see console_codes(4).
            out.push_str(line);
            out.push_str("\u{1b}[K\n");
        }
        out.push_str("\u{1b}[J");
        HIDDEN.store(true, Ordering::Relaxed);
        write(&out);
        self.lines = lines.len();
    }

    /// Takes the picture away and shows the cursor.
    fn clear(&mut self) {
        if self.show == Show::Live {
            write(&format!("{}\u{1b}[J{SHOW}", up(self.lines)));
            HIDDEN.store(false, Ordering::Relaxed);
            self.lines = 0;
        }
    }

    /// Leaves the last picture and shows the cursor.
    fn end(&mut self) {
        if self.show == Show::Live {
            self.draw();
            write(SHOW);
            HIDDEN.store(false, Ordering::Relaxed);
            self.lines = 0;
        }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        if HIDDEN.swap(false, Ordering::Relaxed) {
            write(SHOW);
        }
    }
}

/// To the first line of the last picture.
fn up(lines: usize) -> String {
    if lines == 0 {
        "\r".to_owned()
    } else {
        format!("\r\u{1b}[{lines}A")
    }
}

/// A terminal that is gone shows nothing.
fn write(text: &str) {
    let mut to = std::io::stderr().lock();
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

/// A panic in any thread shows the cursor before its message.
fn restore_after_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if HIDDEN.swap(false, Ordering::Relaxed) {
            write(SHOW);
        }
        before(panic);
    }));
}
