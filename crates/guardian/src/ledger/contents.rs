//! What the bytes of a ledger say.

use std::collections::BTreeMap;

use fracas_core::ids::{InjectionId, RunId};
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Certificate, Certified, State};
use fracas_core::target::ProcessIdentity;

use super::record::{PlannedRecord, Record, VERSION};

/// The first bytes of every ledger, before the version.
pub(super) const MAGIC: &[u8; 6] = b"FRACAS";
/// Magic and version.
pub(super) const HEADER: usize = 8;

/// What a ledger says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Contents {
    /// The run.
    pub run: Option<RunId>,
    /// Who ran it.
    pub runner: Option<ProcessIdentity>,
    /// Who kept it last.
    pub guardian: Option<ProcessIdentity>,
    /// The injections, each as its last plan.
    pub entries: BTreeMap<InjectionId, Entry>,
    /// Whether the end was recorded.
    pub ended: bool,
    /// How many bytes hold records; the next one goes here.
    pub length: usize,
    /// Whether the last record is torn.
    pub torn: bool,
}

/// One injection.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its way back.
    pub planned: PlannedRecord,
    /// Where it stands.
    pub state: State,
}

impl Contents {
    /// Reads the bytes of a ledger. Never panics, whatever they are; allocates no more than they are long.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let not_one = |what: &str| Problem::new(&codes::LEDGER, format!("this is not a ledger: {what}"));
        let mut contents = Self {
            length: HEADER,
            ..Self::default()
        };
        if bytes.is_empty() {
            // Its guardian ended between making the file and taking room for it: nothing was promised.
            return Ok(contents);
        }
        let header = bytes.get(..HEADER).ok_or_else(|| not_one("it is too short"))?;
        if header.iter().all(|byte| *byte == 0) {
            // Preallocated, and the machine stopped before the header: nothing was promised.
            return Ok(contents);
        }
        if &header[..6] != MAGIC {
            return Err(not_one("it does not begin like one"));
        }
        let version = u16::from_le_bytes([header[6], header[7]]);
        if version > VERSION {
            return Err(Problem::new(
                &codes::LEDGER,
                format!("the ledger has version {version}, this Fracas reads up to {VERSION}"),
            )
            .next("use the newer Fracas that wrote it"));
        }
        while let Some((record, length)) = next(&bytes[contents.length..], &mut contents.torn) {
            contents.length += length;
            contents.take(record);
        }
        Ok(contents)
    }

    /// Injections that are not over, in the order in which they were planned.
    pub fn open(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| !entry.state.is_over())
    }

    /// What the ledger alone says of every injection, in the form of a certificate: nothing was looked at. Also says how a person
    /// undoes what is not over.
    pub fn account(&self) -> Certificate {
        Certificate {
            lines: self.entries.values().map(|entry| account(entry, self.ended)).collect(),
        }
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Began { run, runner, guardian } => {
                self.run = Some(run);
                self.runner = Some(runner);
                self.guardian = Some(guardian);
            }
            Record::Planned(planned) => {
                self.entries.insert(
                    planned.injection,
                    Entry {
                        planned: *planned,
                        state: State::Planned,
                    },
                );
            }
            Record::Became { injection, state } => {
                if let Some(entry) = self.entries.get_mut(&injection) {
                    entry.state = state;
                }
            }
            Record::Ended => self.ended = true,
        }
    }
}

fn account(entry: &Entry, ended: bool) -> Certified {
    let planned = &entry.planned;
    let over = entry.state.is_over();
    let undo = if over {
        "undone, says the ledger"
    } else {
        "not undone yet, says the ledger"
    };
    let manual = || {
        let fault = fracas_faults::find(&planned.fault)?;
        (fault.manual)(&planned.undo).ok()
    };
    Certified {
        injection: planned.injection,
        fault: planned.fault.clone(),
        target: planned.target.identity.clone(),
        state: if over { entry.state } else { State::Residue },
        undo: undo.to_owned(),
        seen: if ended { "as before, then" } else { "not looked at" }.to_owned(),
        millis: 0,
        engine_millis: 0,
        manual: if over { Vec::new() } else { manual().unwrap_or_default() },
    }
}

/// The next record and its length in bytes; `None` at the end, with `torn` set if there is something unreadable.
fn next(bytes: &[u8], torn: &mut bool) -> Option<(Record, usize)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    if length == 0 {
        return None;
    }
    let checked = || {
        let sum = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
        let body = bytes.get(8..8usize.checked_add(length)?)?;
        (crc32fast::hash(body) == sum)
            .then(|| serde_json::from_slice(body).ok())
            .flatten()
    };
    if let Some(record) = checked() {
        return Some((record, length + 8));
    }
    *torn = true;
    None
}
