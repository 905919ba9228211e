//! Texts that must match.

use fracas_core::experiment::Pattern;
use fracas_core::problem::codes::WRONG_VALUE;
use fracas_core::problem::{Problem, Result};
use regex::{Regex, RegexBuilder};

/// A compiled expression may take so much memory; a longer one is a mistake or worse.
const LARGEST: usize = 1 << 20;

/// A pattern, compiled.
#[derive(Debug)]
pub(crate) enum Matcher {
    Regex(Regex),
    Contains(String),
}

impl Matcher {
    pub(crate) fn new(pattern: &Pattern) -> Result<Self> {
        match pattern {
            Pattern::Whole(text) => whole(text).map(Self::Regex),
            Pattern::Anywhere(text) => compile(text, text).map(Self::Regex),
            Pattern::Contains(text) => Ok(Self::Contains(text.clone())),
        }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Regex(regex) => regex.is_match(text),
            Self::Contains(part) => text.contains(part),
        }
    }
}

/// An expression that must match a whole text.
pub(crate) fn whole(text: &str) -> Result<Regex> {
    // Alone first: `a)|(b` is no expression, but would become one between the brackets.
    compile(text, text)?;
    compile(&format!(r"\A(?:{text})\z"), text)
}

fn compile(expression: &str, shown: &str) -> Result<Regex> {
    RegexBuilder::new(expression)
        .size_limit(LARGEST)
        .build()
        .map_err(|error| Problem::new(&WRONG_VALUE, format!("{shown:?} is not a regular expression")).because(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_text_or_a_part_of_it() {
        let matches = |pattern, text| Matcher::new(&pattern).unwrap().matches(text);
        let whole = || Pattern::Whole("web|web-[0-9]+".into());
        assert!(matches(whole(), "web-12") && matches(whole(), "web"));
        assert!(!matches(whole(), "web-1-db") && !matches(whole(), "my-web") && !matches(whole(), "web\n"));
        assert!(matches(Pattern::Anywhere("b-[0-9]".into()), "web-1-db"));
        assert!(matches(Pattern::Contains("b-[".into()), "web-[0-9]"));
        assert!(!matches(Pattern::Contains("b-[0-9]".into()), "web-1"));
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for bad in ["(", "a)|(b", r"\w{1000}{1000}"] {
            let problem = whole(bad).unwrap_err();
            assert_eq!(problem.code.id, "D004", "{bad}");
        }
    }
}
