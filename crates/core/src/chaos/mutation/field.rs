//! Places in JSON.

/// In bytes, and in parts.
const LONGEST: usize = 256;
const DEEPEST: usize = 32;

/// A place in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field(Vec<Step>);

/// One step on the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into a map.
    Key(String),
    /// Into a list.
    Index(usize),
}

impl Field {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            return Err("is longer than 256 bytes");
        }
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let (step, behind) = match rest.strip_prefix('[') {
                Some(inside) => bracketed(inside)?,
                None => {
                    let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
                    let (key, behind) = rest.split_at(end);
                    if key.is_empty() || behind.starts_with(']') {
                        return Err("has an empty part, or a bracket that was not opened");
                    }
                    (Step::Key(key.to_owned()), behind)
                }
            };
            steps.push(step);
            if behind.is_empty() {
                break;
            }
            rest = match behind.strip_prefix('.') {
                // Behind a dot there is a key.
                Some(next) if !next.starts_with('[') => next,
                None if behind.starts_with('[') => behind,
                _ => return Err("has no dot before a key, or one before a bracket"),
            };
        }
        if steps.len() > DEEPEST {
            return Err("has more than 32 parts");
        }
        Ok(Self(steps))
    }

    /// Its steps, at least one.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

/// What stands in brackets, and what behind them.
fn bracketed(inside: &str) -> Result<(Step, &str), &'static str> {
    if inside.starts_with('"') {
        let end = inside.find("\"]").filter(|end| *end > 0);
        let end = end.ok_or("has a bracket that is not closed behind its key in quotes")?;
        let (key, behind) = inside.split_at(end + 1);
        let key = serde_json::from_str(key).map_err(|_| "has a key in quotes that is no text of JSON")?;
        return Ok((Step::Key(key), &behind[1..]));
    }
    let (index, behind) = inside.split_once(']').ok_or("has a bracket that is not closed")?;
    let is_number = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    let index = index.parse().ok().filter(|_| is_number);
    let index = index.ok_or("has something in brackets that is neither a number from 0 on nor a key in quotes")?;
    Ok((Step::Index(index), behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let steps = Field::read(text).unwrap().0.into_iter().map(|step| match step {
            Step::Key(key) => format!("<{key}>"),
            Step::Index(index) => index.to_string(),
        });
        steps.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn keys_and_places_are_told_apart() {
        for (text, expected) in [
            ("a", "<a>"),
            ("result.items[0].name", "<result> <items> 0 <name>"),
            ("[2][10].id", "2 10 <id>"),
            ("a.0.b", "<a> <0> <b>"),
            (r#"["a.b"].c"#, "<a.b> <c>"),
            (r#"a["x\"y"][1]"#, "<a> <x\"y> 1"),
            ("größe.ä", "<größe> <ä>"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_read_has_steps_and_nothing_panics(text in "[a.0\\[\\]\"\\\\ä]{0,20}") {
            if let Ok(field) = Field::read(&text) {
                assert!(!field.steps().is_empty(), "{text}");
            }
        }
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        let (long, deep) = ("a".repeat(LONGEST + 1), "[0]".repeat(DEEPEST + 1));
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a[",
            "a[]",
            "a[-1]",
            "a[x]",
            "a[+1]",
            "a]",
            "a[0]b",
            "a.[0]",
            "[\"]",
            "[\"a",
            "[\"a\"",
            "[99999999999999999999]",
            &long,
            &deep,
        ] {
            assert!(Field::read(text).is_err(), "{text}");
        }
    }
}
