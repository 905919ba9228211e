//! The words of Fracas, as types: ids, units, seed, parameters of faults, targets, probes, experiments, events, statistics, and the
//! run as a pure machine. No input or output, no clock, no async: whatever is here can be tested with values alone.

pub mod chaos;
pub mod event;
pub mod experiment;
pub mod ids;
pub mod judge;
pub mod names;
pub mod number;
pub mod observer;
pub mod params;
pub mod probe;
pub mod problem;
pub mod record;
pub mod run;
pub mod seed;
pub mod statistics;
pub mod target;
mod text;
pub mod traffic;
pub mod units;
