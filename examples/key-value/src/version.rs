//! Which of two writes of one key is the later one.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The later write has the larger version. No two writes have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Version {
    /// One more than that of the write before: what is later is larger.
    count: u64,
    /// The node that took the write: writes at two nodes at once differ by it.
    node: u8,
    /// When that node started, in nanoseconds: it does not know what it did before.
    started: u64,
    /// How many writes it took before this one: writes at one node at once differ by it.
    turn: u64,
}

/// Makes the versions of one node.
#[derive(Debug)]
pub(crate) struct Versions {
    node: u8,
    started: u64,
    turn: AtomicU64,
}

impl Versions {
    pub(crate) fn of(node: u8) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            node,
            started: started.as_nanos() as u64,
            turn: AtomicU64::new(0),
        }
    }

    /// A version later than this one.
    pub(crate) fn after(&self, before: Version) -> Version {
        Version {
            count: before.count + 1,
            node: self.node,
            started: self.started,
            turn: self.turn.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.count, self.node, self.started, self.turn)
    }
}

impl FromStr for Version {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(4, '.');
        let mut part = || parts.next().unwrap_or_default();
        Ok(Self {
            count: part().parse()?,
            node: part().parse()?,
            started: part().parse()?,
            turn: part().parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_is_larger_and_none_is_like_another() {
        let (one, two) = (Versions::of(1), Versions::of(2));
        let first = two.after(Version::default());
        let (at_one, at_two, again) = (one.after(first), two.after(first), two.after(first));
        assert!(Version::default() < first && first < at_one && at_one < at_two && at_two < again);
        assert_eq!(again.to_string().parse(), Ok(again));
        for wrong in ["", "1", "1.2.3", "1.2.3.x", "1.300.3.4", "1.2.3.4.5"] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong}");
        }
    }
}
