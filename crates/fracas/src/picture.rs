//! The picture on standard error, drawn over itself. There is one terminal, so there is one picture; whatever is told meanwhile stands
//! above it, whole.
//!
//! The cursor is hidden only while the picture is drawn, in the same write: whoever ends or stops us between two pictures, also in a way
//! that nobody hears of, leaves a terminal that is as it was.

use std::io::{self, Write as _};
use std::sync::{Mutex, Once, PoisonError};

/// A picture is never wider, and this wide where the terminal does not say.
const WIDEST: u16 = 200;
const USUAL: u16 = 80;

const HIDE: &str = "\u{1b}[?25l";
const SHOW: &str = "\u{1b}[?25h";
/// Erases to the end of the line, and of the screen: `console_codes(4)`.
const REST_OF_LINE: &str = "\u{1b}[K";
const REST_OF_SCREEN: &str = "\u{1b}[J";

static STANDING: Mutex<Standing> = Mutex::new(Standing(Vec::new()));

/// The lines that stand above the cursor and are ours.
#[derive(Debug)]
struct Standing(Vec<String>);

/// How wide a picture may be. One column stays free: a line that fills the last one makes some terminals wrap.
pub(crate) fn width() -> usize {
    let width = fracas_linux::terminal::width().unwrap_or(USUAL).min(WIDEST);
    usize::from(width.saturating_sub(1))
}

/// Draws a picture over the last one, in one write so that it does not flicker. What is higher than the terminal is left out: what has
/// scrolled away cannot be drawn over.
pub(crate) fn draw(mut lines: Vec<String>) {
    after_a_panic_begins_anew();
    if let Some(height) = fracas_linux::terminal::height() {
        lines.truncate(usize::from(height.saturating_sub(1)));
    }
    with(|standing| standing.drawn(lines));
}

/// Takes the picture away.
pub(crate) fn clear() {
    with(Standing::cleared);
}

/// Leaves this as the last picture: what follows stands below it.
pub(crate) fn leave(lines: Vec<String>) {
    with(|standing| {
        let text = standing.drawn(lines);
        standing.0.clear();
        text
    });
}

/// Writes a line to standard error, above the picture if there is one. Where standard error is closed, nobody listens.
pub(crate) fn tell(line: &str) {
    with(|standing| standing.above(line));
}

fn with(what: impl FnOnce(&mut Standing) -> String) {
    let mut standing = STANDING.lock().unwrap_or_else(PoisonError::into_inner);
    let text = what(&mut standing);
    let mut to = io::stderr().lock();
    let _gone = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

impl Standing {
    fn drawn(&mut self, lines: Vec<String>) -> String {
        let mut text = format!("{HIDE}{}", self.up());
        self.0 = lines;
        self.write(&mut text);
        text.push_str(SHOW);
        text
    }

    fn cleared(&mut self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let text = format!("{}{REST_OF_SCREEN}", self.up());
        self.0.clear();
        text
    }

    fn above(&self, line: &str) -> String {
        if self.0.is_empty() {
            return format!("{line}\n");
        }
        let mut text = format!("{HIDE}{}{REST_OF_SCREEN}{line}\n", self.up());
        self.write(&mut text);
        text.push_str(SHOW);
        text
    }

    fn write(&self, text: &mut String) {
        for line in &self.0 {
            text.push_str(line);
            text.push_str(REST_OF_LINE);
            text.push('\n');
        }
        text.push_str(REST_OF_SCREEN);
    }

    /// To the first line of the picture.
    fn up(&self) -> String {
        match self.0.len() {
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
                standing.0.clear();
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
        let mut standing = Standing(Vec::new());
        let first = standing.drawn(lines(&["a", "b"]));
        assert_eq!(first, "\u{1b}[?25l\ra\u{1b}[K\nb\u{1b}[K\n\u{1b}[J\u{1b}[?25h");
        let second = standing.drawn(lines(&["c"]));
        assert_eq!(second, "\u{1b}[?25l\r\u{1b}[2Ac\u{1b}[K\n\u{1b}[J\u{1b}[?25h");
        assert_eq!(standing.cleared(), "\r\u{1b}[1A\u{1b}[J");
        assert_eq!(standing.cleared(), "");
    }

    #[test]
    fn what_is_told_stands_above_it() {
        let mut standing = Standing(Vec::new());
        assert_eq!(standing.above("told"), "told\n");
        standing.drawn(lines(&["a", "b"]));
        let told = standing.above("told");
        assert_eq!(
            told,
            "\u{1b}[?25l\r\u{1b}[2A\u{1b}[Jtold\na\u{1b}[K\nb\u{1b}[K\n\u{1b}[J\u{1b}[?25h"
        );
    }

    #[test]
    fn after_a_panic_the_next_one_begins_below() {
        draw(lines(&["a picture of a test"]));
        assert_eq!(STANDING.lock().unwrap().0.len(), 1);
        let panicked = std::thread::spawn(|| panic!("to see what becomes of the picture")).join();
        assert!(panicked.is_err());
        assert!(STANDING.lock().unwrap().0.is_empty());
    }
}
