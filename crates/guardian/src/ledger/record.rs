//! The records of a ledger. Older ones are always readable; newer ones are refused.

use fracas_core::ids::{InjectionId, RunId};
use fracas_core::record::State;
use fracas_core::target::{ProcessIdentity, Target};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the format. Grows with every change that an older Fracas would misread.
pub const VERSION: u16 = 1;

/// One record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The first.
    Began {
        /// The run.
        run: RunId,
        /// Who ran it.
        runner: ProcessIdentity,
        /// Who kept it.
        guardian: ProcessIdentity,
    },
    /// Before apply: the way back.
    Planned(Box<PlannedRecord>),
    /// An injection came into a state.
    Became {
        /// Which.
        injection: InjectionId,
        /// Into what.
        state: State,
    },
    /// Everything is undone and was proven.
    Ended,
}

/// An injection with its way back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedRecord {
    /// Which.
    pub injection: InjectionId,
    /// The fault's type.
    pub fault: String,
    /// Its parameters.
    pub params: Value,
    /// On what.
    pub target: Target,
    /// The way back, in the fault's own form.
    pub undo: Value,
    /// Until when a call to the engine that apply makes may still take effect: milliseconds of CLOCK_BOOTTIME; 0 for the kernel.
    #[serde(default)]
    pub not_after_ms: u64,
}
