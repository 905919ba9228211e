//! What the guardian did by itself, for whoever asks later. Never a reason to fail.

use std::fs::File;
use std::io::Write;

use fracas_linux::state_dir::PrivateDir;

/// The log's name in the directory of a run.
pub(super) const NAME: &str = "guardian.log";

/// The log of one guardian.
#[derive(Debug)]
pub(super) struct Log(Option<File>);

impl Log {
    /// A log in the directory of a run, or none.
    pub(super) fn new(directory: Option<&PrivateDir>) -> Self {
        let file = directory.and_then(|directory| match directory.create_new(NAME) {
            Ok(file) => Some(file),
            // A second guardian recovers the same run: its log stands beside the first.
            Err(_) => directory
                .create_new(&format!("guardian-{}.log", std::process::id()))
                .ok(),
        });
        Self(file)
    }

    /// Adds a line. A disk that is full loses it, and nothing else.
    pub(super) fn line(&mut self, text: &str) {
        if let Some(file) = &mut self.0 {
            let at = jiff::Timestamp::now();
            let _ = writeln!(file, "{at} {text}");
        }
    }
}
