//! What a run leaves to read: events folded into a report, the report into files and text, events into lines and a live view.
//!
//! Everything here is a pure function of events, except [`files`], [`load`](mod@load) and [`log`], which alone touch the disk. Texts from outside
//! (names, answers, errors of other programs) are hostile: control characters are written as escapes before they reach a
//! terminal, a page or an XML file.

pub mod compared;
pub mod files;
pub mod fold;
pub mod lines;
pub mod live;
pub mod load;
pub mod log;
pub mod logs;
pub mod model;
pub mod render;
pub mod scenario;
pub mod series;
pub mod stats;
pub mod summary;
pub mod versus;

mod duration;
mod figure;
mod html;
mod junit;
mod markdown;
mod plain;
mod undo;

#[cfg(test)]
mod samples;

pub use files::{write_all, write_scenario};
pub use fold::{Fold, fold};
pub use lines::{Verbosity, line};
pub use live::{Live, Orchestrated, Passed, Shown, Traffic};
pub use load::{Measured, load};
pub use log::{EventLog, read_events};
pub use model::Report;
pub use plain::{plain, plain_lines};
pub use render::{Format, render};
pub use scenario::service;
pub use summary::{Style, summary};
