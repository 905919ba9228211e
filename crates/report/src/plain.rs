//! Texts from outside, made harmless. Names of containers, answers of servers and command lines are chosen by others, and a
//! terminal obeys escape sequences wherever they come from.

use std::fmt::Write as _;

/// No text from outside takes more room than this in a line, in characters.
const MOST: usize = 2000;

/// A command for a person to copy is not cut before this: part of a command is worse than none.
const MOST_OF_A_COMMAND: usize = 1 << 16;

/// The text on one line: control characters and those that turn the direction of writing are written as escapes.
pub fn plain(text: &str) -> String {
    within(text, MOST)
}

/// The same for a text of several lines that are ours: each is made harmless, and none is cut.
pub fn plain_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| within(line, usize::MAX)).collect();
    lines.join("\n")
}

/// The beginning of a text, in so many characters at most.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    within(text, most)
}

/// The same for a command.
pub(crate) fn command(text: &str) -> String {
    within(text, MOST_OF_A_COMMAND)
}

fn within(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len().min(most));
    for (count, c) in text.chars().enumerate() {
        if count == most {
            out.push('…');
            break;
        }
        // U+202A..E and U+2066..9 reorder what follows; U+2028 and U+2029 break lines (Unicode, annex 9 and chapter 23).
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if c.is_control() || turns => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

/// The same for a cell or a paragraph of Markdown: nothing in it is markup.
pub(crate) fn markdown(text: &str) -> String {
    let mut out = String::new();
    for c in plain(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_nothing_to_obey() {
        assert_eq!(
            plain("a\u{1b}[2Jb\nc\u{202e}d\u{9b}"),
            "a\\u{1b}[2Jb c\\u{202e}d\\u{9b}"
        );
        assert_eq!(plain_lines("a\u{1b}\n  b\u{202e}"), "a\\u{1b}\n  b\\u{202e}");
        assert_eq!(plain(&"x".repeat(5000)).chars().count(), MOST + 1);
        assert_eq!(command(&"x".repeat(5000)).chars().count(), 5000);
        assert_eq!(command("echo \u{1b}"), "echo \\u{1b}");
    }

    #[test]
    fn markup_from_outside_is_text() {
        assert_eq!(markdown("<script>|[a](b)`"), "&lt;script&gt;\\|\\[a\\](b)\\`");
    }
}
