//! Templates of paths.

use regex::{Regex, RegexBuilder};

/// In bytes.
const LONGEST: usize = 256;
/// In bytes: what a pattern may become.
const COMPILED: usize = 256 << 10;

/// What a path must be like.
#[derive(Debug, Clone)]
pub struct Template {
    like: Like,
}

#[derive(Debug, Clone)]
enum Like {
    Parts(Vec<Part>),
    Pattern(Regex),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Without percent encoding.
    Exactly(Vec<u8>),
    /// Whatever it is.
    One,
    /// All that comes.
    Rest,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            return Err("is longer than 256 characters");
        }
        if text == "~" {
            return Err("has no regular expression behind its `~`: no path is empty");
        }
        if let Some(pattern) = text.strip_prefix('~') {
            let built = RegexBuilder::new(&format!("^(?:{pattern})$"))
                .size_limit(COMPILED)
                .dfa_size_limit(COMPILED)
                .build();
            let like = built.map(Like::Pattern);
            return match like {
                // Brackets that are closed and opened again would make it another than it looks.
                Ok(like) if Regex::new(pattern).is_ok() => Ok(Self { like }),
                _ => Err("has no regular expression behind its `~`, or one that could cost too much"),
            };
        }
        let Some(path) = text.strip_prefix('/') else {
            return Err("must begin with `/`, or with `~` before a regular expression");
        };
        if path.contains(['?', '#']) || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("is no path: it has no `?`, no `#`, no space, and what is not ASCII is in percent encoding");
        }
        let mut parts: Vec<Part> = Vec::new();
        for part in path.split('/') {
            if parts.last() == Some(&Part::Rest) {
                return Err("has something behind its `*`, which is all that comes");
            }
            parts.push(Part::read(part)?);
        }
        let like = Like::Parts(parts);
        Ok(Self { like })
    }

    /// Whether every path that is like another is like this. Of a regular expression that is known only where nothing is left to others, or where
    /// both are the same.
    pub fn covers(&self, other: &Self) -> bool {
        let (parts, others) = match (&self.like, &other.like) {
            (Like::Parts(parts), Like::Parts(others)) => (parts, others),
            (Like::Parts(parts), Like::Pattern(_)) => return parts.first() == Some(&Part::Rest),
            (Like::Pattern(own), Like::Pattern(other)) => return own.as_str() == other.as_str(),
            (Like::Pattern(_), Like::Parts(_)) => return false,
        };
        let mut there = others.iter();
        for part in parts {
            let Some(next) = there.next() else { return false };
            let covers = match (part, next) {
                // There is a next part, whatever it is.
                (Part::Rest, _) => return true,
                (_, Part::Rest) => false,
                (Part::One, Part::One) => true,
                (Part::One, Part::Exactly(bytes)) => !bytes.is_empty(),
                (Part::Exactly(_), Part::One) => false,
                (Part::Exactly(own), Part::Exactly(bytes)) => own == bytes,
            };
            if !covers {
                return false;
            }
        }
        there.next().is_none()
    }

    /// A path that is like this, with this word for whatever may be there: of letters and digits. `None`: it is a regular expression.
    pub fn example(&self, word: &str) -> Option<String> {
        let Like::Parts(parts) = &self.like else { return None };
        let part = |part: &Part| match part {
            Part::Exactly(bytes) => encoded(bytes),
            Part::One | Part::Rest => word.to_owned(),
        };
        let parts: Vec<String> = parts.iter().map(part).collect();
        Some(format!("/{}", parts.join("/")))
    }

    /// Whether a path is like this. It comes without a query.
    pub fn matches(&self, path: &str) -> bool {
        let parts = match &self.like {
            Like::Parts(parts) => parts,
            Like::Pattern(pattern) => return pattern.is_match(path),
        };
        let Some(path) = path.strip_prefix('/') else {
            return false;
        };
        let mut there = path.split('/');
        for part in parts {
            let Some(next) = there.next() else { return false };
            let meets = match part {
                Part::Rest => return true,
                Part::One => !next.is_empty(),
                Part::Exactly(bytes) => decoded(next).eq(bytes.iter().copied()),
            };
            if !meets {
                return false;
            }
        }
        there.next().is_none()
    }
}

impl Part {
    fn read(text: &str) -> Result<Self, &'static str> {
        if text == "*" {
            return Ok(Self::Rest);
        }
        if let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            return if is_name {
                Ok(Self::One)
            } else {
                Err("has a name in braces that is not of letters, digits and `_`")
            };
        }
        if text.contains(['{', '}', '*']) {
            return Err("has a part of which only some is in braces, or a `*` beside something: both are whole parts");
        }
        let broken = text
            .match_indices('%')
            .any(|(at, _)| hex(text.as_bytes(), at).is_none());
        if broken {
            return Err("has a `%` that is not followed by two hexadecimal digits");
        }
        Ok(Self::Exactly(decoded(text).collect()))
    }
}

/// The bytes that a part means. What is no percent encoding stands for itself.
fn decoded(part: &str) -> impl Iterator<Item = u8> {
    let bytes = part.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        let meant = if byte == b'%' { hex(bytes, at) } else { None };
        at += if meant.is_some() { 3 } else { 1 };
        Some(meant.unwrap_or(byte))
    })
}

/// These bytes as a part of a path. What needs no percent encoding has none (RFC 3986, 2.3).
fn encoded(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    bytes.iter().map(one).collect()
}

/// The byte whose encoding begins here.
fn hex(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    let byte = digit(at + 1)? * 16 + digit(at + 2)?;
    u8::try_from(byte).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn matches(template: &str, path: &str) -> bool {
        Template::read(template).unwrap().matches(path)
    }

    #[test]
    fn a_regular_expression_is_met_by_the_whole_path() {
        for (template, path, is) in [
            ("~/api", "/api", true),
            ("~/api", "/api/x", false),
            ("~/api.*", "/apix/y", true),
            ("~/a|/b", "/b", true),
            ("~/a|/b", "/x/b", false),
            ("~/v[0-9]+/.*", "/v12/", true),
            // As it is written.
            ("~/%75", "/u", false),
        ] {
            assert_eq!(matches(template, path), is, "{template} {path}");
        }
        for wrong in ["~", "~(", "~a)(?:b", r"~(\w{500}){500}"] {
            assert!(Template::read(wrong).is_err(), "{wrong}");
        }
        let covers = |own: &str, other: &str| Template::read(own).unwrap().covers(&Template::read(other).unwrap());
        assert!(covers("~/a", "~/a") && covers("/*", "~/a"));
        assert!(!covers("~/.*", "~/a") && !covers("~/.*", "/a") && !covers("/a", "~/a") && !covers("/{x}", "~/a"));
        assert_eq!(Template::read("~/a").unwrap().example("x"), None);
    }

    #[test]
    fn an_example_is_like_its_template() {
        for (template, path) in [
            ("/", "/"),
            ("/users/{id}", "/users/x"),
            ("/a%2Fb/{c}/*", "/a%2Fb/x/x"),
            ("/%75sers/", "/users/"),
            ("/a:b//%C3%A4", "/a%3Ab//%C3%A4"),
        ] {
            let read = Template::read(template).unwrap();
            assert_eq!(read.example("x").as_deref(), Some(path));
            assert!(read.matches(path), "{template}");
        }
    }

    #[test]
    fn parts_are_compared_one_by_one() {
        for (template, path, is) in [
            ("/", "/", true),
            ("/", "/a", false),
            ("/users/{id}", "/users/7", true),
            ("/users/{id}", "/users/", false),
            ("/users/{id}", "/users", false),
            ("/users/{id}", "/users/7/", false),
            ("/users/{id}", "/users/7/orders", false),
            ("/users/{id}/orders", "/users/7/orders", true),
            ("/users/{id}", "/Users/7", false),
            ("/static/*", "/static/", true),
            ("/static/*", "/static/a/b", true),
            ("/static/*", "/static", false),
            ("/static/*", "/statics/a", false),
            ("/*", "/", true),
            ("/*", "*", false),
            ("/a/", "/a", false),
            ("/a/", "/a/", true),
        ] {
            assert_eq!(matches(template, path), is, "{template} {path}");
        }
    }

    #[test]
    fn one_covers_another_of_whose_paths_it_has_all() {
        for (template, other, is) in [
            ("/a", "/a", true),
            ("/a", "/%61", true),
            ("/%61", "/b", false),
            ("/{x}", "/{y}", true),
            ("/{x}", "/a", true),
            ("/a", "/{x}", false),
            ("/{x}", "/", false),
            ("/a/{x}", "/a/", false),
            ("/{x}", "/a/b", false),
            ("/*", "/", true),
            ("/*", "/*", true),
            ("/a/*", "/a", false),
            ("/a/*", "/a/", true),
            ("/a/*", "/a/b/*", true),
            ("/a/b/*", "/a/*", false),
            ("/{x}/*", "/a/*", true),
            ("/{x}/*", "//*", false),
            ("/{x}", "/*", false),
            ("/a/{x}", "/{x}/a", false),
        ] {
            let [template, other] = [template, other].map(|text| Template::read(text).unwrap());
            assert_eq!(template.covers(&other), is, "{template:?} {other:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_covered_is_met_before(
            one in "(/(a|b|%61|[{]x[}]|)){1,3}(/[*])?",
            other in "(/(a|b|%61|[{]x[}]|)){1,3}(/[*])?",
            path in "(/(a|b|%61|)){1,4}",
        ) {
            let [one, other] = [one, other].map(|text| Template::read(&text).unwrap());
            if one.covers(&other) && other.matches(&path) {
                assert!(one.matches(&path), "{one:?} {other:?} {path}");
            }
        }
    }

    #[test]
    fn what_is_encoded_is_what_it_means_and_nothing_else_is_made_alike() {
        for (template, path, is) in [
            ("/users", "/%75sers", true),
            ("/%75sers", "/users", true),
            ("/caf%C3%A9", "/caf%c3%a9", true),
            ("/a/b", "/a%2Fb", false),
            ("/a%2Fb", "/a%2fb", true),
            // Not decoded twice, and no encoding that is none.
            ("/a", "/%2561", false),
            ("/a%25", "/a%", true),
            ("/a%25zz", "/a%zz", true),
            ("/a/b", "/a//b", false),
            ("/a//b", "/a//b", true),
            ("/a/{x}/b", "/a//b", false),
            ("/b", "/a/../b", false),
            ("/a/*", "/a/../b", true),
            ("/a/{x}", "/a/..", true),
        ] {
            assert_eq!(matches(template, path), is, "{template} {path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_read_has_a_path_and_nothing_panics(text in "[/a{}*%0-9?.]{0,20}", path in "\\PC{0,20}") {
            if let Ok(template) = Template::read(&text) {
                // A name and a `*` are met by what they are written as.
                assert!(template.matches(&text), "{text}");
                template.matches(&path);
            }
        }
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        let long = format!("/{}", "a".repeat(LONGEST));
        for text in [
            "", "a", "/a?b", "/a#b", "/a b", "/ä", "/*/a", "/a*", "/{}", "/{a-b}", "/x{a}", "/{a", "/%2", "/%zz", &long,
        ] {
            assert!(Template::read(text).is_err(), "{text}");
        }
    }
}
