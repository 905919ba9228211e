//! Keys of a native experiment.

mod inject;
mod probes;
mod targets;
mod times;
mod words;
