//! A page that grows. Markup comes only from the program itself, texts are escaped on their way in: nothing that was read from
//! outside can become markup.

use std::fmt::Write as _;

use crate::plain::{command, plain};

/// Attributes of an element: names from the program, values from anywhere.
pub(super) type Attributes<'a> = &'a [(&'static str, &'a str)];

/// HTML that is also well-formed XML, so that a test can read it strictly.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// Markup of our own.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// A text on one line, at most 2000 characters.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.escaped(&plain(text))
    }

    /// The same for something to be copied, which is not cut.
    pub(super) fn copied(&mut self, text: &str) -> &mut Self {
        self.escaped(&command(text))
    }

    /// Opens an element.
    pub(super) fn open(&mut self, tag: &'static str, attributes: Attributes<'_>) -> &mut Self {
        self.begin(tag, attributes);
        self.0.push('>');
        self
    }

    /// Closes one.
    pub(super) fn close(&mut self, tag: &'static str) -> &mut Self {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "</{tag}>");
        self
    }

    /// An element with a text.
    pub(super) fn element(&mut self, tag: &'static str, attributes: Attributes<'_>, text: &str) -> &mut Self {
        self.open(tag, attributes).text(text).close(tag)
    }

    /// An element of a drawing that holds nothing.
    pub(super) fn shape(&mut self, tag: &'static str, attributes: Attributes<'_>) -> &mut Self {
        self.begin(tag, attributes);
        self.0.push_str("/>");
        self
    }

    /// The page.
    pub(super) fn into_string(self) -> String {
        self.0
    }

    fn begin(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        let _ = write!(self.0, "<{tag}");
        for (name, value) in attributes {
            if *name == "class" && value.is_empty() {
                continue;
            }
            let _ = write!(self.0, " {name}=\"");
            self.escaped(&command(value));
            self.0.push('"');
        }
    }

    fn escaped(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // No characters of XML and, in HTML, errors (XML 1.0, 2.2).
                '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let mut page = Page::default();
        page.element("p", &[("title", "\" onload='x'>")], "</p><script>&amp;\u{1b}");
        assert_eq!(
            page.into_string(),
            "<p title=\"&quot; onload=&#39;x&#39;&gt;\">&lt;/p&gt;&lt;script&gt;&amp;amp;\\u{1b}</p>"
        );
    }
}
