//! The picture on standard error, drawn over itself. There is one terminal, so there is one picture; whatever is told meanwhile stands
//! above it, whole.
//!
//! The cursor is hidden only while the picture is drawn, in the same write: whoever ends or stops us between two pictures, also in a way
//! that nobody hears of, leaves a terminal that shows it.
//!
//! A terminal may take nothing (Ctrl-S, a connection that is stuck), and neither may a pipe. A picture is left out then, and nobody who
//! has traffic to carry waits for long: see [`hold_nobody_up`].

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use fracas_linux::terminal::{TAKEN_AT_ONCE, stderr_takes};

/// A picture is never wider, and this wide where the terminal does not say.
const WIDEST: u16 = 200;
const USUAL: u16 = 80;

const HIDE: &str = "\u{1b}[?25l";
const SHOW: &str = "\u{1b}[?25h";
/// Erases to the end of the line, and of the screen: `console_codes(4)`.
const REST_OF_LINE: &str = "\u{1b}[K";
const REST_OF_SCREEN: &str = "\u{1b}[J";

/// For so long standard error is waited for where nobody is to be held up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

static STANDING: Mutex<Standing> = Mutex::new(Standing::NOTHING);
static HOLDS_NOBODY_UP: AtomicBool = AtomicBool::new(false);

/// The lines that stand above the cursor and are ours.
#[derive(Debug)]
struct Standing {
    lines: Vec<String>,
    /// How wide the terminal was: where it is not any more, nobody knows where they stand.
    width: Option<u16>,
}

/// From now on a line that standard error does not take within [`PATIENCE`] is left out: whoever tells it also carries traffic, or ends
/// what is to end. Before, it is waited for, as by every program.
pub(crate) fn hold_nobody_up() {
    HOLDS_NOBODY_UP.store(true, Ordering::Relaxed);
}

/// How wide a picture may be. One column stays free: a line that fills the last one makes some terminals wrap.
pub(crate) fn width() -> usize {
    let width = fracas_linux::terminal::width().unwrap_or(USUAL).min(WIDEST);
    usize::from(width.saturating_sub(1))
}

/// Draws a picture over the last one, in one write so that it does not flicker. What is higher than the terminal is left out: what has
/// scrolled away cannot be drawn over. Where standard error takes nothing now, the picture is left out.
pub(crate) fn draw(mut lines: Vec<String>) {
    after_a_panic_begins_anew();
    if let Some(height) = fracas_linux::terminal::height() {
        lines.truncate(usize::from(height.saturating_sub(1)));
    }
    with(Some(Duration::ZERO), |standing| standing.drawn(lines));
}

/// Takes the picture away.
pub(crate) fn clear() {
    with(patience(), Standing::cleared);
}

/// Leaves this as the last picture: what follows stands below it. It is left out where standard error does not take it within [`PATIENCE`].
pub(crate) fn leave(lines: Vec<String>) {
    with(Some(PATIENCE), |standing| {
        let text = standing.drawn(lines);
        standing.lines.clear();
        text
    });
}

/// Writes a line to standard error, above the picture if there is one. Where standard error is closed, nobody listens.
pub(crate) fn tell(line: &str) {
    with(patience(), |standing| standing.above(line));
}

/// The same, for a line that has no worth later: it is left out where standard error takes nothing now.
pub(crate) fn tell_now(line: &str) {
    with(Some(Duration::ZERO), |standing| standing.above(line));
}

fn patience() -> Option<Duration> {
    HOLDS_NOBODY_UP.load(Ordering::Relaxed).then_some(PATIENCE)
}

/// Writes what is said of the picture that stands, if standard error begins to take it within so long.
fn with(patience: Option<Duration>, what: impl FnOnce(&mut Standing) -> String) {
    let Some(mut standing) = standing(patience) else {
        return;
    };
    if !stderr_takes(patience) {
        return;
    }
    standing.forget_at_another_width(fracas_linux::terminal::width());
    let text = what(&mut standing);
    if !write(&text) {
        // Nobody knows how much of it stands.
        standing.lines.clear();
    }
}

/// Who writes to a terminal that is stopped in that moment keeps the lock until it goes on: it is waited for no longer than [`PATIENCE`] by
/// whoever has not all the time there is.
fn standing(patience: Option<Duration>) -> Option<MutexGuard<'static, Standing>> {
    if patience.is_none() {
        return Some(STANDING.lock().unwrap_or_else(PoisonError::into_inner));
    }
    let begun = Instant::now();
    loop {
        match STANDING.try_lock() {
            Ok(standing) => return Some(standing),
            Err(TryLockError::Poisoned(standing)) => return Some(standing.into_inner()),
            Err(TryLockError::WouldBlock) if begun.elapsed() >= PATIENCE => return None,
            Err(TryLockError::WouldBlock) => thread::park_timeout(Duration::from_millis(1)),
        }
    }
}

/// Whether all of it was taken, by somebody who was there. Of what has begun the rest is waited for, so that it is whole.
fn write(text: &str) -> bool {
    let patience = patience();
    let mut to = io::stderr().lock();
    let mut parts = text.as_bytes().chunks(TAKEN_AT_ONCE);
    parts.all(|part| stderr_takes(patience) && to.write_all(part).is_ok())
}

impl Standing {
    const NOTHING: Self = Self {
        lines: Vec::new(),
        width: None,
    };

    /// Where the terminal has wrapped what stands, or not any more, it is in other rows: the next picture is drawn below.
    fn forget_at_another_width(&mut self, width: Option<u16>) {
        if width != self.width {
            self.lines.clear();
            self.width = width;
        }
    }

    fn drawn(&mut self, lines: Vec<String>) -> String {
        let mut text = format!("{HIDE}{}", self.up());
        self.lines = lines;
        self.write(&mut text);
        text.push_str(SHOW);
        text
    }

    fn cleared(&mut self) -> String {
        if self.lines.is_empty() {
            return String::new();
        }
        let text = format!("{}{REST_OF_SCREEN}", self.up());
        self.lines.clear();
        text
    }

    fn above(&self, line: &str) -> String {
        if self.lines.is_empty() {
            return format!("{line}\n");
        }
        let mut text = format!("{HIDE}{}{REST_OF_SCREEN}{line}\n", self.up());
        self.write(&mut text);
        text.push_str(SHOW);
        text
    }

    fn write(&self, text: &mut String) {
        for line in &self.lines {
            text.push_str(line);
            text.push_str(REST_OF_LINE);
            text.push('\n');
        }
        text.push_str(REST_OF_SCREEN);
    }

    /// To the first line of the picture.
    fn up(&self) -> String {
        match self.lines.len() {
            0 => "\r".to_owned(),
            lines => format!("\r\u{1b}[{lines}A"),
        }
    }
}

/// The words of a panic come from elsewhere and stand below the picture: the next one is drawn below them.
fn after_a_panic_begins_anew() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // Whoever has the lock may be the one that panics.
            if let Ok(mut standing) = STANDING.try_lock() {
                standing.lines.clear();
            }
            before(panic);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(all: &[&str]) -> Vec<String> {
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_picture_is_drawn_over_the_last_one_and_the_cursor_is_hidden_no_longer_than_that() {
        let mut standing = Standing::NOTHING;
        let first = standing.drawn(lines(&["a", "b"]));
        assert_eq!(first, "\u{1b}[?25l\ra\u{1b}[K\nb\u{1b}[K\n\u{1b}[J\u{1b}[?25h");
        let second = standing.drawn(lines(&["c"]));
        assert_eq!(second, "\u{1b}[?25l\r\u{1b}[2Ac\u{1b}[K\n\u{1b}[J\u{1b}[?25h");
        assert_eq!(standing.cleared(), "\r\u{1b}[1A\u{1b}[J");
        assert_eq!(standing.cleared(), "");
    }

    #[test]
    fn what_is_told_stands_above_it() {
        let mut standing = Standing::NOTHING;
        assert_eq!(standing.above("told"), "told\n");
        standing.drawn(lines(&["a", "b"]));
        let told = standing.above("told");
        assert_eq!(
            told,
            "\u{1b}[?25l\r\u{1b}[2A\u{1b}[Jtold\na\u{1b}[K\nb\u{1b}[K\n\u{1b}[J\u{1b}[?25h"
        );
    }

    #[test]
    fn at_another_width_the_next_one_begins_below() {
        let mut standing = Standing::NOTHING;
        standing.forget_at_another_width(Some(80));
        standing.drawn(lines(&["a", "b"]));
        standing.forget_at_another_width(Some(80));
        assert_eq!(standing.lines.len(), 2);
        standing.forget_at_another_width(Some(40));
        assert_eq!(
            standing.drawn(lines(&["c"])),
            "\u{1b}[?25l\rc\u{1b}[K\n\u{1b}[J\u{1b}[?25h"
        );
    }

    #[test]
    fn after_a_panic_the_next_one_begins_below() {
        draw(lines(&["a picture of a test"]));
        assert_eq!(STANDING.lock().unwrap().lines.len(), 1);
        let panicked = std::thread::spawn(|| panic!("to see what becomes of the picture")).join();
        assert!(panicked.is_err());
        assert!(STANDING.lock().unwrap().lines.is_empty());
    }
}
