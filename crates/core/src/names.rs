//! Names of hosts, as questions to name servers have them, and the patterns of a document: `*.example.com`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::text::as_text;
use crate::units::NotAQuantity;

/// Names of hosts: one, or with `*` for any number of characters, dots too, all that are like it. Upper and lower case are the same, and
/// the dot at the end of a name is not written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamePattern(String);

/// The name of one host. Upper and lower case are the same. With a dot at its end it is looked for as it is, without one also in the
/// domains that the target searches (resolv.conf(5)).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

/// An address of IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(pub IpAddr);

/// A name has no more characters, and a part of it between dots no more than that (RFC 1035, 2.3.4).
const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;

impl NamePattern {
    /// All names.
    pub fn all() -> Self {
        Self("*".to_owned())
    }

    /// Whether a name is meant, which has no dot at its end.
    pub fn matches(&self, name: &str) -> bool {
        // To where the name was read when the last `*` was met: what it stands for grows by one character as often as it must.
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut of) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while of < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, of));
                    at += 1;
                }
                Some(byte) if *byte == name[of].to_ascii_lowercase() => {
                    at += 1;
                    of += 1;
                }
                _ => {
                    let Some((from, taken)) = star else { return false };
                    star = Some((from, taken + 1));
                    (at, of) = (from + 1, taken + 1);
                }
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }

    /// A name that is meant: the one, or with this word in place of each `*`.
    pub fn example(&self, word: &str) -> String {
        self.0.replace('*', word)
    }

    /// Whether it means one name only.
    pub fn is_one(&self) -> bool {
        !self.0.contains('*')
    }
}

impl FromStr for NamePattern {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let bad = |why: &str| {
            NotAQuantity(format!(
                "{text:?} is no name of a host: {why}; write it like db.example.com or *.example.com"
            ))
        };
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(bad("it is empty"));
        }
        if name.len() > LONGEST {
            return Err(bad("it has more than 253 characters"));
        }
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*');
        if !name.chars().all(known) {
            return Err(bad(
                "it may have letters, digits, `-`, `_` and dots, and `*` for any of them",
            ));
        }
        if name.split('.').any(str::is_empty) {
            return Err(bad("nothing stands before or between its dots"));
        }
        if name
            .split('.')
            .any(|label| label.len() > LONGEST_LABEL && !label.contains('*'))
        {
            return Err(bad("a part of it has more than 63 characters"));
        }
        Ok(Self(name.to_ascii_lowercase()))
    }
}

impl HostName {
    /// The name without a dot at its end.
    pub fn name(&self) -> &str {
        self.0.strip_suffix('.').unwrap_or(&self.0)
    }

    /// Whether it is looked for as it is only.
    pub fn is_absolute(&self) -> bool {
        self.0.ends_with('.')
    }
}

/// Whether the last part of a text is a number, as that of an address of IPv4 is and that of no name (RFC 1123, 2.1).
pub(crate) fn ends_in_number(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())
}

impl FromStr for HostName {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let bad = |why: &str| {
            NotAQuantity(format!(
                "{text:?} is no name of a host: {why}; write it like db.example.com"
            ))
        };
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(bad("it is empty"));
        }
        if name.len() > LONGEST {
            return Err(bad("it has more than 253 characters"));
        }
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !name.chars().all(known) {
            return Err(bad("it may have letters, digits, `-`, `_` and dots"));
        }
        if name.split('.').any(str::is_empty) {
            return Err(bad("nothing stands before or between its dots"));
        }
        if name.split('.').any(|label| label.len() > LONGEST_LABEL) {
            return Err(bad("a part of it has more than 63 characters"));
        }
        if ends_in_number(name) {
            return Err(bad("it ends in a number, as an address does"));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Address {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        text.parse().map(Self).map_err(|_| {
            NotAQuantity(format!(
                "{text:?} is no address; write it like 192.0.2.7 or 2001:db8::7"
            ))
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

as_text!(NamePattern, "a name of a host such as db.example.com or *.example.com", {
    "description": "A name of a host, or with * for any number of characters all that are like it: db.example.com, *.example.com.",
    "type": "string",
    "pattern": "^[A-Za-z0-9._*-]+$",
    "maxLength": 254
});
as_text!(HostName, "a name of a host such as db.example.com", {
    "description": "A name of a host: db.example.com.",
    "type": "string",
    "pattern": "^[A-Za-z0-9._-]+$",
    "maxLength": 254
});
as_text!(Address, "an address such as 192.0.2.7", {
    "description": "An address of IPv4 or IPv6: 192.0.2.7, 2001:db8::7.",
    "type": "string",
    "minLength": 2
});

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> NamePattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_pattern_means_what_is_like_it() {
        for (text, name, is) in [
            ("db.example.com", "db.example.com", true),
            ("DB.example.com.", "db.Example.COM", true),
            ("db.example.com", "xdb.example.com", false),
            ("db.example.com", "db.example.com.local", false),
            ("db.example.com", "dbxexample.com", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*", "anything.at.all", true),
            ("*", "", true),
            ("db-*", "db-7.internal", true),
            ("db-*", "db", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*ab", "aab", true),
            ("**", "a", true),
        ] {
            assert_eq!(pattern(text).matches(name), is, "{text} {name}");
        }
        // Hostile, and at once all the same.
        assert!(!pattern(&"*a".repeat(120)).matches(&"a".repeat(119)));
    }

    #[test]
    fn an_example_is_one_of_them() {
        for text in ["db", "*", "*.example.com", "a*b*"] {
            let pattern = pattern(text);
            assert!(pattern.matches(&pattern.example("probe")), "{text}");
            assert_eq!(pattern.is_one(), text == "db");
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        let (long, longer) = ("a".repeat(64), "a.".repeat(150));
        for (text, why) in [
            ("", "it is empty"),
            (".", "it is empty"),
            ("a..b", "nothing stands"),
            (".a", "nothing stands"),
            ("a b", "it may have letters"),
            ("bücher.example", "it may have letters"),
            ("a/b\n", "it may have letters"),
            (long.as_str(), "more than 63"),
            (longer.as_str(), "more than 253"),
        ] {
            let error = text.parse::<NamePattern>().unwrap_err().0;
            assert!(error.contains(why) && error.contains("*.example.com"), "{error}");
        }
        assert!("10.0.0".parse::<Address>().is_err());
        assert_eq!("2001:DB8::7".parse::<Address>().unwrap().to_string(), "2001:db8::7");
    }

    #[test]
    fn a_name_of_a_host_is_one_that_can_be_asked_for() {
        let (long, longer) = ("a".repeat(64), "a.".repeat(150));
        for (text, why) in [
            ("", "it is empty"),
            (".", "it is empty"),
            ("a..b", "nothing stands"),
            (".a", "nothing stands"),
            ("a..", "nothing stands"),
            ("*.example.com", "it may have letters"),
            ("a b", "it may have letters"),
            ("a;reboot", "it may have letters"),
            ("$(reboot)", "it may have letters"),
            ("a\n", "it may have letters"),
            ("bücher.example", "it may have letters"),
            ("10.0.0.256", "ends in a number"),
            ("10.0.0", "ends in a number"),
            (long.as_str(), "more than 63"),
            (longer.as_str(), "more than 253"),
        ] {
            let error = text.parse::<HostName>().unwrap_err().0;
            assert!(error.contains(why) && error.contains("db.example.com"), "{error}");
        }
        for (text, said, absolute) in [
            ("DB.Example.com", "db.example.com", false),
            ("db.example.com.", "db.example.com.", true),
            ("_a.b-c", "_a.b-c", false),
            ("7.example", "7.example", false),
        ] {
            let name: HostName = text.parse().unwrap();
            assert_eq!((name.to_string().as_str(), name.is_absolute()), (said, absolute));
            assert_eq!(name.name(), said.trim_end_matches('.'));
        }
    }

    #[test]
    fn they_are_texts_in_documents() {
        let text = r#"["*.example.com"]"#;
        let read: Vec<NamePattern> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        let read: Vec<Address> = serde_json::from_str(r#"["192.0.2.7"]"#).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"["192.0.2.7"]"#);
    }
}
