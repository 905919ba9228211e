//! Lines of coloured pieces, cut to columns.

use unicode_width::UnicodeWidthChar as _;

/// What a piece looks like: the eight colours that every terminal has, so that its theme decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Colour {
    /// The parameter of the SGR sequence, see `console_codes(4)`.
    fn sgr(self) -> Option<u8> {
        Some(match self {
            Self::Plain => return None,
            Self::Bold => 1,
            Self::Dim => 2,
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Cyan => 36,
        })
    }
}

/// A line on its way to a terminal. Its texts hold no control characters.
#[derive(Debug)]
pub(super) struct Line(Vec<(Colour, String)>);

impl Line {
    pub(super) fn of(colour: Colour, text: impl Into<String>) -> Self {
        Self(vec![(colour, text.into())])
    }

    pub(super) fn then(mut self, colour: Colour, text: impl Into<String>) -> Self {
        self.0.push((colour, text.into()));
        self
    }

    /// The line in at most `width` columns; what does not fit ends in `…`.
    pub(super) fn paint(&self, width: usize, colour: bool) -> String {
        let whole: usize = self.0.iter().map(|(_, text)| columns(text)).sum();
        let mut room = if whole <= width { width } else { width.saturating_sub(1) };
        let mut out = String::new();
        for (look, text) in &self.0 {
            let piece = cut(text, room);
            let complete = piece.len() == text.len();
            room -= columns(piece);
            match look.sgr().filter(|_| colour && !piece.is_empty()) {
                Some(sgr) => {
                    out.push_str("\u{1b}[");
                    out.push_str(&sgr.to_string());
                    out.push('m');
                    out.push_str(piece);
                    out.push_str("\u{1b}[0m");
                }
                None => out.push_str(piece),
            }
            if !complete {
                break;
            }
        }
        if whole > width && width > 0 {
            out.push('…');
        }
        out
    }
}

/// How many columns a text takes, character by character: the same sum by which it is cut.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The longest beginning that fits.
fn cut(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (index, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width {
            return &text[..index];
        }
    }
    text
}

/// Filled with spaces to `width` columns, or cut.
pub(super) fn pad(text: &str, width: usize) -> String {
    if columns(text) > width {
        return Line::of(Colour::Plain, text).paint(width, false);
    }
    format!("{text}{}", " ".repeat(width - columns(text)))
}
