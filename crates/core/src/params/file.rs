//! Parameters of the faults on files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Size;

/// Overwrites bytes of a file of the target.
///
/// Links in the path are followed inside the target and never lead out of it. Each byte becomes another one; the file's size, owner
/// and mode stay. The application sees it when it reads the file again.
///
/// Undo: exact. The bytes that were there are in the ledger; those that still are ours are put back. What somebody else wrote there
/// meanwhile is left and reported. Also when the container was restarted or has stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileCorrupt {
    /// The file: an absolute path as the target sees it. A regular file, not empty.
    pub path: String,
    /// How many bytes, one after the other, up to 1MiB; where the file ends before, fewer. Default 512B.
    #[serde(default = "half_a_kibibyte")]
    pub bytes: Size,
    /// Where they begin, counted from 0. Default: drawn from the run's seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<Size>,
    /// What the bytes become. Default `random`.
    #[serde(default)]
    pub method: Garbage,
}

/// What corrupted bytes become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Garbage {
    /// Bytes that are drawn from the run's seed, each other than it was.
    #[default]
    Random,
    /// Zeroes.
    Zero,
}

/// Takes a file of the target away: it is renamed, in its directory, to a name that nobody asks for.
///
/// Whoever has it open keeps it, as with a file that is deleted. A link by that name is taken away itself.
///
/// Undo: exact. It is renamed back. If somebody made a new one by the old name meanwhile, that is left and reported, and with it where
/// the old one is kept. Also when the container was restarted or has stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileDelete {
    /// The file, link or directory: an absolute path as the target sees it.
    pub path: String,
    /// Whether it may be a directory, which goes with all that is in it. Default false.
    #[serde(default)]
    pub recursive: bool,
}

impl FileCorrupt {
    /// More is not kept in a ledger.
    pub const MOST: Size = Size::mib(1);

    /// Of this file, everything else by default.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            bytes: half_a_kibibyte(),
            offset: None,
            method: Garbage::default(),
        }
    }
}

fn half_a_kibibyte() -> Size {
    Size(512)
}
