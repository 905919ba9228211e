//! What a terminal shows: as much of one as a picture needs (`console_codes(4)`). Whatever else comes is a mistake.

use std::fmt;

const ESCAPE: char = '\u{1b}';

/// What stands on a screen that has no end below and none to the right.
pub(super) struct Screen {
    lines: Vec<String>,
    column: usize,
    is_cursor_hidden: bool,
}

#[derive(Default)]
struct Rows {
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    is_cursor_hidden: bool,
}

impl Screen {
    /// What stands there after all of this that has come whole, and what did after each picture.
    pub(super) fn of(text: &str) -> (Self, Vec<Self>) {
        let (mut rows, mut pictures) = (Rows::default(), Vec::new());
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if next != ESCAPE {
                rows.put(next);
                rest = &rest[next.len_utf8()..];
                continue;
            }
            let Some(end) = rest.find(|one: char| one.is_ascii_alphabetic()) else {
                break;
            };
            let (sequence, behind) = rest.split_at(end + 1);
            rows.obey(&sequence[ESCAPE.len_utf8()..]);
            if sequence.ends_with('h') {
                pictures.push(rows.screen());
            }
            rest = behind;
        }
        (rows.screen(), pictures)
    }

    /// Line by line, without what is empty at the end.
    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The last line that begins so.
    pub(super) fn line(&self, beginning: &str) -> Option<&str> {
        self.lines
            .iter()
            .rfind(|line| line.starts_with(beginning))
            .map(String::as_str)
    }

    pub(super) fn has(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }

    /// Whether the cursor is seen, at the beginning of the line below all others.
    pub(super) fn is_free(&self) -> bool {
        !self.is_cursor_hidden && self.column == 0
    }
}

impl Rows {
    fn put(&mut self, one: char) {
        match one {
            '\r' => self.column = 0,
            '\n' => self.row += 1,
            one => {
                assert!(!one.is_control(), "{one:?}");
                let column = self.column;
                let row = self.at_cursor();
                if row.len() <= column {
                    row.resize(column + 1, ' ');
                }
                row[column] = one;
                self.column += 1;
            }
        }
    }

    fn at_cursor(&mut self) -> &mut Vec<char> {
        if self.rows.len() <= self.row {
            self.rows.resize(self.row + 1, Vec::new());
        }
        &mut self.rows[self.row]
    }

    fn obey(&mut self, sequence: &str) {
        match sequence {
            "[K" => {
                let column = self.column;
                self.at_cursor().truncate(column);
            }
            "[J" => {
                self.rows.truncate(self.row + 1);
                self.obey("[K");
            }
            "[?25l" => self.is_cursor_hidden = true,
            "[?25h" => self.is_cursor_hidden = false,
            other => match other.strip_prefix('[').and_then(|rest| rest.strip_suffix('A')) {
                Some(count) => {
                    let above = self.row.checked_sub(count.parse().unwrap());
                    self.row = above.expect("nothing is drawn above the first line");
                }
                None => assert!(other.ends_with('m'), "{other:?}"),
            },
        }
    }

    fn screen(&self) -> Screen {
        let lines = self.rows.iter().map(|row| row.iter().collect::<String>());
        let mut lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        Screen {
            lines,
            column: self.column,
            is_cursor_hidden: self.is_cursor_hidden,
        }
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}", self.lines.join("\n"))
    }
}
