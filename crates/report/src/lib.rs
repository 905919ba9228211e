//! What a run leaves to read: events folded into a report, the report into files and text, events into lines and a live view.
//!
//! Everything here is a pure function of events, except [`files`] and [`log`], which alone touch the disk. Texts from outside
//! (names, answers, errors of other programs) are hostile: [`plain`] takes the teeth out of them before they reach a terminal.

pub mod files;
pub mod fold;
pub mod lines;
pub mod live;
pub mod log;
pub mod model;
pub mod render;
pub mod scenario;
pub mod stats;
pub mod summary;

mod duration;
mod junit;
mod markdown;
mod plain;
mod undo;

#[cfg(test)]
mod samples;

pub use files::{write_all, write_scenario};
pub use fold::{Fold, fold};
pub use lines::{Verbosity, line};
pub use live::Live;
pub use log::{EventLog, read_events};
pub use model::Report;
pub use render::{Format, render};
pub use summary::{Style, summary};
