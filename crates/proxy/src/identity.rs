//! Chance that repeats, for a request: by the seed and by who the request is.

use fracas_core::seed::Seed;
use hyper::HeaderMap;

use crate::connection::Connection;

/// Decides for one request.
#[derive(Debug, Clone)]
pub(crate) struct Chance {
    seed: Seed,
    identity: String,
}

impl Chance {
    /// A request is its `x-request-id`, else its `traceparent`, else the how-manieth of which connection it is: then only counts repeat.
    pub(crate) fn of(seed: Seed, headers: &HeaderMap, connection: &Connection, ordinal: u64) -> Self {
        let named = ["x-request-id", "traceparent"].into_iter().find_map(|name| {
            let value = headers.get(name).filter(|value| !value.is_empty())?;
            Some(format!("{name} {}", String::from_utf8_lossy(value.as_bytes())))
        });
        Self {
            seed,
            identity: named.unwrap_or_else(|| format!("connection {} request {ordinal}", connection.number)),
        }
    }

    /// A number from 0 up to, and without, 1.
    pub(crate) fn uniform(&self, purpose: &str) -> f64 {
        self.seed.draw(purpose, &self.identity, 0).uniform()
    }

    /// 64 bits of chance, for what is decided about one request again and again.
    pub(crate) fn draw(&self, purpose: &str, ordinal: u64) -> u64 {
        self.seed.draw(purpose, &self.identity, ordinal).0
    }

    /// Whether what has this probability happens.
    pub(crate) fn happens(&self, purpose: &str, probability: f64) -> bool {
        probability > 0.0 && (probability >= 1.0 || self.uniform(purpose) < probability)
    }

    #[cfg(test)]
    pub(crate) fn named(seed: u64, identity: &str) -> Self {
        Self {
            seed: Seed(seed),
            identity: identity.to_owned(),
        }
    }
}
