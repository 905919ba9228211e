//! The durable record of what a run does and how to undo it.
//!
//! One append-only file per run: a header, then records of length, CRC-32 and JSON. It is preallocated, so that a disk that fills up
//! later cannot refuse a record, and opened O_DSYNC, so that a write that returned is on disk. Its lock tells whether its guardian
//! lives. A torn last record is what a crash leaves and is ignored; what it would have said had not been promised yet.

mod contents;
mod file;
mod record;

pub use contents::{Contents, Entry};
pub use file::Ledger;
pub use record::{PlannedRecord, Record, VERSION};

#[cfg(test)]
mod tests;
