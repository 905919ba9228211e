//! What the rounds of one thing came to, and the tables of the page. Pure; its tests are `tests/figures`, for a benchmark without a
//! harness runs none.

use std::fmt::{self, Write as _};
use std::time::Duration;

/// What was measured in each round.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    unit: &'static str,
    rounds: Vec<f64>,
}

impl Figures {
    /// None yet.
    pub(crate) fn of(unit: &'static str) -> Self {
        Self {
            unit,
            rounds: Vec::new(),
        }
    }

    /// Times, none yet.
    pub(crate) fn times() -> Self {
        Self::of("ms")
    }

    /// One more.
    pub(crate) fn add(&mut self, figure: f64) {
        self.rounds.push(figure);
    }

    /// One more time.
    pub(crate) fn took(&mut self, time: Duration) {
        self.add(time.as_secs_f64() * 1e3);
    }

    /// The middle one; of an even number the upper of the two. Not a number where nothing was measured.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// The median with the two ends: `2.0 ms (1.0..3.0)`.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sorted().as_slice() {
            [] => f.write_str("not here"),
            [least, .., most] => write!(f, "{:.1} {} ({least:.1}..{most:.1})", self.median(), self.unit),
            [only] => write!(f, "{only:.1} {}", self.unit),
        }
    }
}

/// How often ours fits into theirs.
pub(crate) fn ratio(theirs: &Figures, ours: &Figures) -> String {
    let ratio = theirs.median() / ours.median();
    if ratio.is_finite() {
        format!("{ratio:.1} ×")
    } else {
        String::new()
    }
}

/// Whether a figure keeps a bound, which it may just reach.
pub(crate) fn judged(figure: f64, bound: f64) -> &'static str {
    if figure <= bound { "kept" } else { "**missed**" }
}

/// A table of Markdown.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let mut text = line(&head);
    let _ = writeln!(text, "|{}", "---|".repeat(head.len()));
    for row in rows {
        text.push_str(&line(row));
    }
    text
}

/// What one target costs where there are so many, from the milliseconds for all. A run has a price of its own, which more targets
/// share: what *each further one* costs is without it.
pub(crate) fn cost(all: &[(usize, f64)]) -> String {
    let per = |(count, ms): (usize, f64)| ms / count as f64;
    let mut rows = Vec::new();
    let mut before = None;
    for &(count, ms) in all {
        let further = before.map(|(fewer, less): (usize, f64)| (ms - less) / (count - fewer) as f64);
        rows.push(vec![
            count.to_string(),
            format!("{:.2} ms", per((count, ms))),
            further.map_or_else(String::new, |ms| format!("{ms:.2} ms")),
        ]);
        before = Some((count, ms));
    }
    let mut text = table(&["targets", "on and off, per target", "each further one"], &rows);
    if let [_, few, .., many] = all {
        let times = per(*many) / per(*few);
        let _ = writeln!(
            text,
            "\nPer target, {} cost {times:.2} × what {} cost (bound: 1.5 ×).",
            many.0, few.0
        );
    }
    text
}

/// The page with these sections in place of those that have the same headings; what is new comes last.
pub(crate) fn replace(page: &str, sections: &str) -> String {
    const HEAD: &str = "\n## ";
    let parts = |text: &str| -> Vec<String> {
        let text = format!("\n{text}");
        let mut parts = text.split(HEAD).map(str::to_owned);
        // Before the first heading.
        let head = parts.next().unwrap_or_default().trim_start_matches('\n').to_owned();
        std::iter::once(head).chain(parts).collect()
    };
    let name = |part: &str| part.lines().next().map(str::to_owned);
    let mut all = parts(page);
    for new in parts(sections).into_iter().skip(1) {
        match all.iter_mut().skip(1).find(|old| name(old) == name(&new)) {
            Some(old) => *old = new,
            None => all.push(new),
        }
    }
    let ends: Vec<&str> = all.iter().map(|part| part.trim_end_matches('\n')).collect();
    ends.join("\n\n## ") + "\n"
}
