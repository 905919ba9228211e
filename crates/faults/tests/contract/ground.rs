//! Files for the faults that need some: in a directory of the test's own, or in the container that is broken.

use std::path::PathBuf;

use serde_json::{Value, json};

/// The faults that have a file: what is on stays on when their container restarts.
pub const WITH_FILES: &[&str] = &["script"];

/// A directory, as the target names it.
pub struct Ground {
    path: PathBuf,
    _kept: tempfile::TempDir,
}

impl Ground {
    /// A directory of the machine.
    pub fn here() -> Self {
        let kept = tempfile::tempdir().unwrap();
        Self {
            path: kept.path().to_owned(),
            _kept: kept,
        }
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Parameters with which the fault leaves something here for as long as it is on. `None`: it leaves nothing here.
    pub fn params(&self, fault: &str) -> Option<Value> {
        let on = self.file("on");
        Some(match fault {
            "script" => json!({
                "apply": ["touch", on],
                "revert": ["rm", "-f", on],
                "measure": ["test", "-e", on],
                "check": ["test", "!", "-e", on],
            }),
            _ => return None,
        })
    }
}
