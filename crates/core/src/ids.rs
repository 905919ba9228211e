//! Names of runs and injections.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One execution of an experiment. Sorts by time of start; safe as a file name.
///
/// Form: `YYYYMMDD-HHMMSS-xxxx`, the time in UTC and four hexadecimal digits against collisions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// The id of a run that starts at `at`; `salt` distinguishes runs of the same second.
    pub fn new(at: jiff::Timestamp, salt: u16) -> Self {
        Self(format!("{}-{salt:04x}", at.strftime("%Y%m%d-%H%M%S")))
    }

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no [`RunId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of a run: expected YYYYMMDD-HHMMSS-xxxx")]
pub struct NotARunId(String);

impl FromStr for RunId {
    type Err = NotARunId;

    fn from_str(text: &str) -> Result<Self, NotARunId> {
        let shape = |i: usize, c: u8| match i {
            8 | 15 => c == b'-',
            0..=14 => c.is_ascii_digit(),
            _ => c.is_ascii_hexdigit() && !c.is_ascii_uppercase(),
        };
        if text.len() == 20 && text.bytes().enumerate().all(|(i, c)| shape(i, c)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotARunId(text.to_owned()))
        }
    }
}

// A run id becomes a path: whatever comes from a file or a command line passes through the same gate.
impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One fault on one target within a run. Numbered in the order of planning, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct InjectionId(pub u32);

impl fmt::Display for InjectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The name under which an injection's traces appear in the system (cgroups, files): derived from the ids alone, so that a
/// stranger finds them from the ledger even if `apply` never returned.
pub fn trace_name(run: &RunId, injection: InjectionId) -> String {
    format!("fracas-{run}-{}", injection.0)
}

/// Whether this is such a name, of any run.
pub fn is_trace_name(name: &str) -> bool {
    let parts = name.strip_prefix("fracas-").and_then(|rest| rest.rsplit_once('-'));
    parts.is_some_and(|(run, injection)| run.parse::<RunId>().is_ok() && injection.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_trace_name_is_known_again() {
        let run: RunId = "20261128-134724-656f".parse().unwrap();
        assert!(is_trace_name(&trace_name(&run, InjectionId(7))));
        for other in ["fracas-probe", "filter", "fracas-20261128-134724-656f", "fracas--7"] {
            assert!(!is_trace_name(other), "{other}");
        }
    }

    use super::*;

    #[test]
    fn an_id_reads_back_and_sorts_by_time() {
        let early = RunId::new("2026-11-21T10:00:00Z".parse().unwrap(), 0xbeef);
        let late = RunId::new("2026-11-21T10:00:01Z".parse().unwrap(), 0);
        assert_eq!(early.as_str(), "20261121-100000-beef");
        assert_eq!(early.to_string().parse(), Ok(early.clone()));
        assert!(early < late);
    }

    #[test]
    fn an_id_is_never_a_path() {
        for bad in [
            "",
            "../../etc",
            "20261121-100000-BEEF",
            "20261121/100000-beef",
            "20261121-100000-beef0",
        ] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }
}
