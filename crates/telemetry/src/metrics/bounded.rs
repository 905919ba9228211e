//! Values of labels. Each is a series in somebody's database, so there is a bound on how many and how long they are.

use std::collections::BTreeSet;

/// So many values a label has at most; whatever comes later is [`OTHER`].
const MOST: usize = 50;
/// The value of all that found no room.
pub(super) const OTHER: &str = "other";
/// In bytes. Names come from documents.
const LONGEST: usize = 128;

/// The values of one label so far.
#[derive(Debug, Default)]
pub(super) struct Bounded(BTreeSet<String>);

impl Bounded {
    /// The value for this name.
    pub(super) fn value(&mut self, name: &str) -> String {
        let value = value(name);
        if self.0.contains(&value) {
            return value;
        }
        if self.0.len() >= MOST {
            return OTHER.to_owned();
        }
        self.0.insert(value.clone());
        value
    }
}

/// A name as a value: not too long, and nothing in it that moves a terminal's cursor.
pub(super) fn value(name: &str) -> String {
    name[..name.floor_char_boundary(LONGEST)].replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_have_a_name_and_the_rest_is_other() {
        let mut bounded = Bounded::default();
        for number in 0..MOST {
            assert_eq!(bounded.value(&format!("p{number}")), format!("p{number}"));
        }
        assert_eq!(bounded.value("one more"), OTHER);
        assert_eq!(bounded.value("p0"), "p0", "what has a name keeps it");
    }

    #[test]
    fn names_are_cut_between_letters_and_hold_no_control_characters() {
        let long = "é".repeat(LONGEST);
        assert_eq!(value(&long).len(), LONGEST);
        assert_eq!(value(&format!("x{long}")).len(), LONGEST - 1);
        assert_eq!(value("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
