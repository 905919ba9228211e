//! Chance that repeats, for a request: by the seed and by who the request is.

use std::sync::{Arc, OnceLock};

use fracas_core::seed::Seed;
use hyper::HeaderMap;
use hyper::header::HeaderName;

use crate::connection::Connection;
use crate::listeners::Gate;

/// By which a request says who it is.
const NAMES: [HeaderName; 2] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
];

/// Decides for one request.
#[derive(Debug, Clone)]
pub(crate) struct Chance {
    seed: Seed,
    /// Written when something is to be decided: about most requests nothing is.
    identity: OnceLock<String>,
    nth: Option<Nth>,
}

/// Who a request is that does not say so.
#[derive(Debug, Clone)]
struct Nth {
    gate: Arc<Gate>,
    connection: u64,
    request: u64,
}

impl Chance {
    /// A request is its `x-request-id`, else its `traceparent`, else the how-manieth of which connection of its
    /// listener it is: then only counts repeat.
    pub(crate) fn of(seed: Seed, headers: &HeaderMap, connection: &Connection, ordinal: u64) -> Self {
        let named = NAMES.iter().find_map(|name| {
            let value = headers.get(name).filter(|value| !value.is_empty())?;
            Some(format!("{name} {}", String::from_utf8_lossy(value.as_bytes())))
        });
        match named {
            Some(named) => Self::who_is(seed, named),
            None => Self {
                seed,
                identity: OnceLock::new(),
                nth: Some(Nth {
                    gate: Arc::clone(&connection.gate),
                    connection: connection.number,
                    request: ordinal,
                }),
            },
        }
    }

    fn who_is(seed: Seed, identity: String) -> Self {
        Self {
            seed,
            identity: identity.into(),
            nth: None,
        }
    }

    fn identity(&self) -> &str {
        self.identity.get_or_init(|| match &self.nth {
            Some(nth) => {
                let at = &nth.gate.before_number;
                format!("{at}connection {} request {}", nth.connection, nth.request)
            }
            None => String::new(),
        })
    }

    /// A number from 0 up to, and without, 1.
    pub(crate) fn uniform(&self, purpose: &str) -> f64 {
        self.seed.draw(purpose, self.identity(), 0).uniform()
    }

    /// 64 bits of chance, for what is decided about one request again and again.
    pub(crate) fn draw(&self, purpose: &str, ordinal: u64) -> u64 {
        self.seed.draw(purpose, self.identity(), ordinal).0
    }

    /// Whether what has this probability happens.
    pub(crate) fn happens(&self, purpose: &str, probability: f64) -> bool {
        probability > 0.0 && (probability >= 1.0 || self.uniform(purpose) < probability)
    }

    /// The same for one of many things that belong to the request.
    pub(crate) fn happens_to(&self, purpose: &str, ordinal: u64, probability: f64) -> bool {
        let draw = || self.seed.draw(purpose, self.identity(), ordinal).uniform();
        probability > 0.0 && (probability >= 1.0 || draw() < probability)
    }

    /// Decides for a part of what the request is, by its name.
    pub(crate) fn part(&self, name: &str) -> Self {
        Self::who_is(self.seed, format!("{} {name}", self.identity()))
    }

    /// One of these, each equally often. `None`: there is none.
    pub(crate) fn one_of<'a, T>(&self, purpose: &str, all: &'a [T]) -> Option<&'a T> {
        all.get((self.uniform(purpose) * all.len() as f64) as usize)
    }

    /// Of nobody's request. For the fuzzer, and for what does not depend on it.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self::who_is(Seed(bytes.len() as u64), String::new())
    }

    #[cfg(test)]
    pub(crate) fn named(seed: u64, identity: &str) -> Self {
        Self::who_is(Seed(seed), identity.to_owned())
    }
}
