//! Keys of a native experiment.

mod inject;
mod more;
mod network;
mod probes;
mod series;
mod targets;
mod times;
mod words;
