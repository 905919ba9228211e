//! Where in a document something stands, and how that is shown to a person.

use fracas_core::problem::Place;

/// A position: which text, line and column from 1, and how many characters are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Spot {
    /// Index into [`Sources`]: 0 is the document, the rest are overrides.
    pub(crate) source: usize,
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    /// At least 1.
    pub(crate) length: usize,
}

/// Every text that values came from: the document and the overrides.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<(String, Vec<String>)>);

impl Sources {
    /// Adds a text under the name that people know it by, and gives its index.
    pub(crate) fn add(&mut self, name: &str, text: &str) -> usize {
        let lines = text.lines().map(printable).collect();
        self.0.push((printable(name), lines));
        self.0.len() - 1
    }

    /// The place for a report.
    pub(crate) fn place(&self, spot: Spot) -> Place {
        let (file, lines) = self.0.get(spot.source).cloned().unwrap_or_default();
        let text = lines.get(spot.line.wrapping_sub(1)).cloned().unwrap_or_default();
        let rest = text.chars().count().saturating_sub(spot.column.saturating_sub(1));
        Place {
            file,
            line: spot.line.max(1),
            column: spot.column.max(1),
            length: spot.length.clamp(1, rest.max(1)),
            text,
        }
    }

    /// What stands at a position, up to the end of its line.
    pub(crate) fn rest_of_line(&self, spot: Spot) -> String {
        let line = self
            .0
            .get(spot.source)
            .and_then(|(_, lines)| lines.get(spot.line.wrapping_sub(1)));
        line.map(|line| line.chars().skip(spot.column.saturating_sub(1)).collect())
            .unwrap_or_default()
    }
}

/// A text that cannot play tricks on a terminal: control characters become visible, one for one, so that columns stay right.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// A value from a document inside a message: printable and short.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = printable(text).chars().take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        short.push('…');
    }
    format!("`{short}`")
}
