//! Where connections go that are passed through: by names, to places.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use hyper::http::uri::Authority;
use rustls::pki_types::DnsName;

/// A name that a client may call, in small letters and without the dot of the root. `*.example.org` is each name with one label more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Where connections go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passthrough {
    /// By the name that is called.
    names: BTreeMap<String, Place>,
    /// Those that call another name, or none. `None`: they are refused.
    other: Option<Place>,
}

impl Passthrough {
    /// Those that call one of these names go where it says, all others to the last.
    pub fn new(names: impl IntoIterator<Item = (Name, Place)>, other: Option<Place>) -> Self {
        let names = names.into_iter();
        Self {
            names: names.map(|(name, place)| (name.0, place)).collect(),
            other,
        }
    }

    /// The host and port of each place.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&str, u16)> {
        let all = self.names.values().chain(&self.other);
        all.map(|place| (place.host.as_str(), place.port))
    }

    /// Where one goes that calls this name, in small letters.
    pub(super) fn place(&self, name: Option<&str>) -> Option<&Place> {
        let by_name = name.map(without_root).and_then(|name| {
            let wild = || Some(format!("*.{}", name.split_once('.')?.1));
            let exact = self.names.get(name);
            exact.or_else(|| wild().and_then(|wild| self.names.get(&wild)))
        });
        by_name.or(self.other.as_ref())
    }
}

/// A name with a dot at its end is the same (RFC 1034, 3.1); in a handshake it has none (RFC 6066, 3), but some write it.
fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

impl FromStr for Name {
    type Err = String;

    /// # Errors
    /// What no client can call: an address, or something that is no name of the DNS.
    fn from_str(text: &str) -> Result<Self, String> {
        let name = without_root(text);
        let called = name.strip_prefix("*.").unwrap_or(name);
        if called.ends_with('.') || DnsName::try_from(called).is_err() {
            return Err(format!(
                "`{text}` is no name that a client can call: it is one like shop.test or *.shop.test, in ASCII, and no address"
            ));
        }
        Ok(Self(name.to_ascii_lowercase()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place = text
            .parse::<Authority>()
            .ok()
            .filter(|place| !place.as_str().contains('@'));
        let host = |place: &Authority| place.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        place
            .and_then(|place| {
                let (host, port) = (host(&place), place.port_u16()?);
                (!host.is_empty() && port > 0).then_some(Self { host, port })
            })
            .ok_or_else(|| "is no host and port: write it like 127.0.0.1:8443".to_owned())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        text.parse().unwrap()
    }

    #[test]
    fn the_name_that_fits_best_counts() {
        let names = [("A.example", "a:1"), ("*.example", "b:2"), ("*.a.example.", "[::1]:3")];
        let names = names.map(|(name, to)| (name.parse().unwrap(), place(to)));
        let passthrough = Passthrough::new(names.clone(), None);
        let to = |name| passthrough.place(name).map(ToString::to_string);
        for (name, at) in [
            ("a.example", "a:1"),
            ("a.example.", "a:1"),
            ("c.example", "b:2"),
            ("d.a.example", "[::1]:3"),
            ("d.a.example.", "[::1]:3"),
        ] {
            assert_eq!(to(Some(name)).as_deref(), Some(at), "{name}");
        }
        for name in [Some("example"), Some("x.c.example"), Some("other"), None] {
            assert_eq!(to(name), None, "{name:?}");
        }
        let passthrough = Passthrough::new(names, Some(place("o:9")));
        assert_eq!(passthrough.place(None), Some(&place("o:9")));
    }

    #[test]
    fn what_nobody_can_call_is_no_name() {
        for text in ["a", "*.a", "A_b.example.", "xn--bcher-kva.example"] {
            assert!(text.parse::<Name>().is_ok(), "{text}");
        }
        for text in [
            "",
            ".",
            "*",
            "*.",
            "*a.b",
            "a.*",
            "*.*.a",
            "*.a.*",
            "a..",
            "a..b",
            "a b",
            " a",
            "b\u{fc}cher.example",
            "10.0.0.1",
            "*.10.0.0.1",
            "::1",
            "[::1]",
            "a:1",
            "-a",
        ] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_place_is_a_host_and_a_port() {
        for text in ["", "a", ":1", "a:0", "a:b", "u@a:1", "a:70000", "a:1/x"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
        assert_eq!(place("[::1]:3").to_string(), "[::1]:3");
    }
}
