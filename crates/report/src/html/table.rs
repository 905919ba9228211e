//! Tables that stay readable on a phone, where each row becomes a block, and by a screen reader all the same.

use super::page::Page;

/// So many rows of a table at most; `report.json` has all of them.
const MOST: usize = 1000;

/// A cell: its text, and what it looks like.
#[derive(Debug)]
pub(super) struct Cell {
    text: String,
    class: &'static str,
}

impl Cell {
    /// A text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            class: "",
        }
    }

    /// A number, to the right.
    pub(super) fn number(text: impl Into<String>) -> Self {
        Self {
            class: "n",
            ..Self::text(text)
        }
    }

    /// A text that is to be seen.
    pub(super) fn strong(text: impl Into<String>) -> Self {
        Self {
            class: "maybe",
            ..Self::text(text)
        }
    }

    /// A mark with a word: colour is never alone.
    pub(super) fn mark(good: Option<bool>, words: &str) -> Self {
        let (mark, class) = match good {
            Some(true) => ('✓', "yes"),
            Some(false) => ('✗', "no"),
            None => ('?', "maybe"),
        };
        Self {
            class,
            ..Self::text(format!("{mark} {words}"))
        }
    }
}

/// Writes a table; nothing without rows, and no column in which nothing stands. The first cell of a row names it.
pub(super) fn table(page: &mut Page, caption: &str, head: &[&'static str], rows: &[Vec<Cell>]) {
    write(page, "", caption, head, rows);
}

/// The same for a few rows of short numbers, which on a phone stand side by side as columns.
pub(super) fn figures(page: &mut Page, caption: &str, head: &[&'static str], rows: &[Vec<Cell>]) {
    write(page, "figures", caption, head, rows);
}

// Roles are given although the elements have them: as blocks, on a phone, some browsers forget them.
fn write(page: &mut Page, class: &'static str, caption: &str, head: &[&'static str], rows: &[Vec<Cell>]) {
    let Some(first) = rows.first() else { return };
    let shown: Vec<usize> = (0..head.len())
        .filter(|at| {
            *at == 0
                || rows
                    .iter()
                    .any(|row| row.get(*at).is_some_and(|cell| !cell.text.is_empty()))
        })
        .collect();
    page.open("table", &[("role", "table"), ("class", class)]);
    if !caption.is_empty() {
        page.element("caption", &[], caption);
    }
    page.raw("<thead role=\"rowgroup\"><tr role=\"row\">");
    for at in &shown {
        let number = first.get(*at).is_some_and(|cell| cell.class == "n");
        let class = if number { "n" } else { "" };
        let attributes = [("role", "columnheader"), ("scope", "col"), ("class", class)];
        page.element("th", &attributes, head[*at]);
    }
    page.raw("</tr></thead><tbody role=\"rowgroup\">");
    for row in rows.iter().take(MOST) {
        page.raw("<tr role=\"row\">");
        for at in &shown {
            let Some(cell) = row.get(*at) else { continue };
            let blank = if cell.text.is_empty() { " blank" } else { "" };
            let class = format!("{}{blank}", cell.class);
            let class = class.trim_start();
            let tag = if *at == 0 { "th" } else { "td" };
            if *at == 0 {
                page.open(tag, &[("role", "rowheader"), ("scope", "row"), ("class", class)]);
            } else {
                page.open(tag, &[("role", "cell"), ("data-label", head[*at]), ("class", class)]);
            }
            // One box for a narrow screen's grid to place.
            page.element("span", &[], &cell.text).close(tag);
        }
        page.raw("</tr>");
    }
    page.raw("</tbody></table>");
    if rows.len() > MOST {
        let more = format!("{} further rows are in report.json.", rows.len() - MOST);
        page.element("p", &[("class", "more")], &more);
    }
}
