//! Where a field is in the text of JSON. Nothing but the way to it is held in memory, however large the text, and however deep.

use std::fmt;
use std::ops::Range;

use fracas_core::chaos::FieldStep;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Where a field is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// There.
    There(Member),
    /// It is not there, and could be put before the end of this map or list.
    Missing {
        /// Of the map or list, with its brackets.
        within: Range<usize>,
        is_empty: bool,
        /// Which step finds nothing.
        step: usize,
    },
    /// It is not there, and cannot be.
    Nowhere,
}

/// Something in a map or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Of its value.
    pub(super) value: Range<usize>,
    /// Where what stands before it ends. `None`: it is the first.
    pub(super) before: Option<usize>,
    /// Of the map or list in which it is, with its brackets.
    pub(super) within: Range<usize>,
}

/// Looks for a field. The text is JSON.
pub(super) fn find(text: &str, steps: &[FieldStep]) -> Place {
    let whole = text.len() - text.trim_start().len()..text.trim_end().len();
    let mut here = Member {
        value: whole.clone(),
        before: None,
        within: whole,
    };
    for (number, step) in steps.iter().enumerate() {
        let within = here.value.clone();
        let part = &text[within.clone()];
        let looked = match (part.as_bytes().first(), step) {
            (Some(b'{'), FieldStep::Key(key)) => look(part, Wanted::Key(key)),
            (Some(b'['), FieldStep::Index(index)) => look(part, Wanted::Index(*index)),
            // A number between dots.
            (Some(b'['), FieldStep::Key(key)) if key.bytes().all(|byte| byte.is_ascii_digit()) => match key.parse() {
                Ok(index) => look(part, Wanted::Index(index)),
                Err(_) => return Place::Nowhere,
            },
            _ => return Place::Nowhere,
        };
        let Some(looked) = looked else { return Place::Nowhere };
        match looked.found {
            Some((value, before)) => {
                let from = within.start;
                here = Member {
                    value: value.start + from..value.end + from,
                    before: before.map(|end| end + from),
                    within,
                };
            }
            None if looked.can_be_put => {
                return Place::Missing {
                    within,
                    is_empty: looked.is_empty,
                    step: number,
                };
            }
            None => return Place::Nowhere,
        }
    }
    Place::There(here)
}

/// Where the first items of a list end, and how many there are in all. `None`: it is no list.
pub(super) fn first_items(list: &str, count: u64) -> Option<(usize, u64)> {
    if !list.starts_with('[') {
        return None;
    }
    // The last one that stays is the one that is looked for.
    let wanted = usize::try_from(count.saturating_sub(1)).ok()?;
    let looked = look(list, Wanted::Index(wanted))?;
    let end = looked.found.map_or(1, |(value, _)| value.end);
    Some((if count == 0 { 1 } else { end }, looked.count))
}

enum Wanted<'w> {
    Key(&'w str),
    Index(usize),
}

/// What was found in a map or a list.
struct Looked {
    /// The value, and the end of the one before it.
    found: Option<(Range<usize>, Option<usize>)>,
    is_empty: bool,
    can_be_put: bool,
    count: u64,
}

fn look(text: &str, wanted: Wanted<'_>) -> Option<Looked> {
    let mut from = serde_json::Deserializer::from_str(text);
    Look { text, wanted }.deserialize(&mut from).ok()
}

struct Look<'t, 'w> {
    text: &'t str,
    wanted: Wanted<'w>,
}

impl Look<'_, '_> {
    /// Where a part of the text is.
    fn range(&self, part: &RawValue) -> Range<usize> {
        let start = part.get().as_ptr() as usize - self.text.as_ptr() as usize;
        start..start + part.get().len()
    }
}

impl<'de> DeserializeSeed<'de> for Look<'de, '_> {
    type Value = Looked;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Looked, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'de, '_> {
    type Value = Looked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Looked, A::Error> {
        let Wanted::Key(wanted) = self.wanted else {
            return Err(A::Error::custom("a map has no places"));
        };
        let (mut found, mut last, mut count) = (None, None, 0);
        while let Some(is_wanted) = map.next_key_seed(Is(wanted))? {
            let range = self.range(map.next_value::<&'de RawValue>()?);
            let end = range.end;
            // Of a key that comes twice most readers take the last.
            if is_wanted {
                found = Some((range, last));
            }
            last = Some(end);
            count += 1;
        }
        Ok(Looked {
            found,
            is_empty: count == 0,
            can_be_put: true,
            count,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Looked, A::Error> {
        let Wanted::Index(wanted) = self.wanted else {
            return Err(A::Error::custom("a list has no keys"));
        };
        let (mut found, mut last, mut count) = (None, None, 0_usize);
        while count <= wanted {
            let Some(value) = list.next_element::<&'de RawValue>()? else {
                break;
            };
            let range = self.range(value);
            let end = range.end;
            if count == wanted {
                found = Some((range, last));
            }
            last = Some(end);
            count += 1;
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Looked {
            is_empty: count == 0,
            can_be_put: count == wanted,
            found,
            count: count as u64,
        })
    }
}

/// Whether a key is this one. It is read as bytes, for half of a surrogate pair (`\ud800`), which JSON allows, is no text.
struct Is<'w>(&'w str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E: serde::de::Error>(self, key: &[u8]) -> Result<bool, E> {
        Ok(key == self.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use fracas_core::chaos::Field;

    use super::*;

    /// What is at a field.
    fn at<'t>(text: &'t str, field: &str) -> &'t str {
        match find(text, Field::read(field).unwrap().steps()) {
            Place::There(member) => &text[member.value],
            Place::Missing { .. } => "missing",
            Place::Nowhere => "nowhere",
        }
    }

    #[test]
    fn a_field_is_found_to_the_letter() {
        let text =
            " {\"a\" : [ 1 , {\"b\": \"ä]}\" } ], \"c.d\": 1.50, \"\\u0065\": [], \"7\": 8, \"a\": [ 2 , [3] ] } ";
        for (field, expected) in [
            ("a", "[ 2 , [3] ]"),
            ("a[0]", "2"),
            ("a.1", "[3]"),
            ("a[1][0]", "3"),
            ("[\"c.d\"]", "1.50"),
            ("e", "[]"),
            ("7", "8"),
            ("a[2]", "missing"),
            ("a[3]", "nowhere"),
            ("a.x", "nowhere"),
            ("[0]", "nowhere"),
            ("f", "missing"),
            ("f.g", "missing"),
            ("7.g", "nowhere"),
            ("e[0]", "missing"),
        ] {
            assert_eq!(at(text, field), expected, "{field}");
        }
        assert_eq!(at("[[0,1],[2]]", "[0][1]"), "1");
        assert_eq!(at("7", "a"), "nowhere");
        // Half a character is no text, and is no reason to find nothing.
        assert_eq!(at(r#"{"\ud800": 1, "a": 2, "\udc00b": 3}"#, "a"), "2");
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!("{}1{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(at(&deep, "[0]").len(), 1_999_999);
    }

    #[test]
    fn items_are_counted() {
        assert_eq!(first_items("[1, 2 ,3]", 2), Some((5, 3)));
        assert_eq!(first_items("[1, 2 ,3]", 0), Some((1, 3)));
        assert_eq!(first_items("[]", 2), Some((1, 0)));
        assert_eq!(first_items("{}", 2), None);
    }
}
