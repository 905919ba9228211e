//! What is known of an injection: states, dose, outcome. These words stand in the ledger, in events and in reports.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a fault is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UndoClass {
    /// Afterwards everything is as it was.
    Exact,
    /// What comes back is a new process with the same configuration and addresses.
    Restart,
    /// What was is gone; needs `allow_irreversible: true`.
    None,
}

/// Where an injection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The way back is on disk; nothing has been done.
    Planned,
    /// It is on.
    Applied,
    /// It was seen to be gone.
    Clean,
    /// Somebody else changed the same thing meanwhile: their value was left.
    Foreign,
    /// Something of it is left.
    Residue,
}

impl State {
    /// Whether nothing more is to be done about it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Clean | Self::Foreign)
    }

    /// The word in files and on the terminal.
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Applied => "applied",
            Self::Clean => "clean",
            Self::Foreign => "foreign",
            Self::Residue => "residue",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How much was asked and how much was delivered, read by a meter that is not the actuator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dose {
    /// What was asked, e.g. `memory limit 512MiB`.
    pub asked: String,
    /// What was read, e.g. `536870912 bytes in memory.limit_in_bytes`.
    pub delivered: String,
    /// Whether the one is the other.
    pub landed: Landed,
    /// What the fault did to the target, where that can be read: `throttled 41 % of periods`, or `in force, never reached`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
}

/// Whether a fault landed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Landed {
    /// What was asked was delivered.
    Yes,
    /// It was not; the reason.
    No(String),
    /// It could not be measured; the reason.
    Unmeasured(String),
}

/// What a revert did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reverted {
    /// Our value was there and is replaced by what was before.
    Restored,
    /// There was nothing of ours to undo.
    AlreadyGone,
    /// Neither ours nor the former value was there: somebody decided otherwise, and it was left.
    Foreign {
        /// The value before the fault.
        before: String,
        /// The value of the fault.
        ours: String,
        /// The value that was found and left.
        now: String,
    },
}

/// What the system looks like with respect to one injection, read without trusting what apply or revert said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// As before the fault.
    Original,
    /// The fault is on; what shows it.
    Ours(String),
    /// Changed by somebody else; what is there.
    Foreign(String),
    /// The target and with it the fault is gone.
    TargetGone,
    /// Nothing can be looked at: whoever took the fault off says that it is gone; what it said.
    Claimed(String),
}

/// A line of the certificate: one thing that a run touched, and how it was found at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certified {
    /// Which injection.
    pub injection: crate::ids::InjectionId,
    /// The fault's type.
    pub fault: String,
    /// The target's identity.
    pub target: String,
    /// Where it ended.
    pub state: State,
    /// What the revert did, in words; or why it could not.
    pub undo: String,
    /// What was then seen in the system, in words.
    pub seen: String,
    /// From the start of the revert to the absence read from the system, in milliseconds.
    pub millis: u64,
    /// Of these, spent waiting for the container engine.
    #[serde(default)]
    pub engine_millis: u64,
    /// What a person can do by hand where something is left: exact commands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manual: Vec<String>,
}

/// The proof that a run left: every injection with what the system shows of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// One line per injection that was ever planned.
    pub lines: Vec<Certified>,
}

impl Certificate {
    /// Whether nothing of the run is left. A foreign change is not ours.
    pub fn is_clean(&self) -> bool {
        self.lines.iter().all(|line| line.state.is_over())
    }
}
