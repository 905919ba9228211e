//! Files for the faults that need some: in a directory of the test's own, or in the container that is broken.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The faults that have a file: what is on stays on when their container restarts.
pub const WITH_FILES: &[&str] = &["script", "file_corrupt", "file_delete"];

/// A directory in containers.
const INSIDE: &str = "/ground";

/// A directory, as the target names it.
pub struct Ground {
    path: PathBuf,
    _kept: tempfile::TempDir,
}

impl Ground {
    /// A directory of the machine.
    pub fn here() -> Self {
        let kept = tempfile::tempdir().unwrap();
        victim_in(kept.path());
        Self {
            path: kept.path().to_owned(),
            _kept: kept,
        }
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file of the directory in a container, whose first process this is, as the test reaches it.
    pub fn file_in(pid: u32, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{pid}/root{INSIDE}/{name}"))
    }

    /// Makes the directory in a container.
    pub fn make_in(pid: u32) {
        let directory = Self::file_in(pid, "");
        std::fs::create_dir(&directory).unwrap();
        victim_in(&directory);
    }

    /// What is in the file: no zeroes, and none of a stranger's bytes.
    pub fn text() -> Vec<u8> {
        (0..4096_u32).map(|index| (index % 251) as u8 + 1).collect()
    }

    /// Parameters with which the fault leaves something here, or in the container, for as long as it is on. `None`: it leaves nothing.
    pub fn params(&self, fault: &str, in_container: bool) -> Option<Value> {
        let victim = if in_container {
            Path::new(INSIDE).join(VICTIM)
        } else {
            self.file(VICTIM)
        };
        let on = self.file("on");
        Some(match fault {
            "script" => json!({
                "apply": ["touch", on],
                "revert": ["rm", "-f", on],
                "measure": ["test", "-e", on],
                "check": ["test", "!", "-e", on],
            }),
            // Of zeroes no byte is like a stranger's by chance.
            "file_corrupt" => json!({ "path": victim, "bytes": 700, "offset": AT, "method": "zero" }),
            "file_delete" => json!({ "path": victim }),
            _ => return None,
        })
    }
}

/// Where bytes are corrupted.
pub const AT: usize = 1000;

/// The file in it.
pub const VICTIM: &str = "victim";

fn victim_in(directory: &Path) {
    std::fs::write(directory.join(VICTIM), Ground::text()).unwrap();
}
