//! The range: what was in it, what we write, and what of it is there now.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io;

use fracas_linux::files;
use serde::{Deserialize, Serialize};

/// So many bytes of ours in a row are no accident. Fewer of them between a stranger's may be the stranger's.
const ROW: usize = 4;
/// In another file than ours it takes more.
const ROW_ELSEWHERE: usize = 16;
/// Of each value so many bytes are shown.
const SHOWN: usize = 16;

/// More than this nobody types: they are in the ledger.
const TYPED: usize = 1024;

/// A range of a file with what was in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Range {
    /// Where it begins.
    pub(super) offset: u64,
    /// What was in it, in hexadecimal.
    before: Hex,
    /// What we write.
    fill: Fill,
}

/// What bytes become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fill {
    /// Each another one, drawn with this key.
    Random([u64; 4]),
    /// Zero.
    Zero,
}

/// What of the range is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Now {
    /// The rows of ours.
    pub(super) ours: Vec<std::ops::Range<usize>>,
    /// How many are neither ours nor as before.
    pub(super) foreign: usize,
    /// All of them.
    pub(super) bytes: Vec<u8>,
}

impl Range {
    /// A range that holds these bytes.
    pub(super) fn new(offset: u64, before: &[u8], fill: Fill) -> Self {
        Self {
            offset,
            before: Hex(before.to_vec()),
            fill,
        }
    }

    /// What was in it.
    pub(super) fn before(&self) -> Vec<u8> {
        self.before.0.clone()
    }

    /// What we write: a function of what was there and of the key.
    pub(super) fn ours(&self) -> Vec<u8> {
        let before = &self.before.0;
        match self.fill {
            Fill::Zero => vec![0; before.len()],
            Fill::Random(words) => {
                let mut key = [0; 32];
                for (eight, word) in key.chunks_exact_mut(8).zip(words) {
                    eight.copy_from_slice(&word.to_le_bytes());
                }
                let mut noise = vec![0; before.len()];
                blake3::Hasher::new_keyed(&key).finalize_xof().fill(&mut noise);
                // Never a byte onto itself.
                let other = |(old, noise): (&u8, &u8)| old ^ if *noise == 0 { 0x5a } else { *noise };
                before.iter().zip(&noise).map(other).collect()
            }
        }
    }

    /// What of it is in this file, which is the one that was planned, or another by its name.
    pub(super) fn now(&self, file: &File, same: bool) -> io::Result<Now> {
        let bytes = files::read_range_past_cache(file, self.offset, self.before.0.len())?;
        if same {
            let mut now = self.compare(bytes, ROW);
            // What was cut off is somebody's decision, too.
            now.foreign += self.before.0.len() - now.bytes.len();
            return Ok(now);
        }
        // In another file nothing but ours is our business.
        let mut now = self.compare(bytes, ROW_ELSEWHERE);
        now.foreign = 0;
        if self.fill == Fill::Zero {
            // Zeroes are anybody's: they are left, and told.
            now.foreign = now.ours.drain(..).map(|run| run.len()).sum();
        }
        Ok(now)
    }

    /// Tells the bytes apart. Rows of ours that are shorter than `row`, and are not the whole range, are somebody else's.
    fn compare(&self, bytes: Vec<u8>, row: usize) -> Now {
        let (before, ours) = (&self.before.0, self.ours());
        let mut now = Now {
            ours: Vec::new(),
            foreign: 0,
            bytes,
        };
        let mut at = 0;
        while at < now.bytes.len() {
            if now.bytes[at] == before[at] {
                at += 1;
                continue;
            }
            let begin = at;
            // A byte that was as ours before, as with zeroes, goes with either.
            while at < now.bytes.len() && now.bytes[at] == ours[at] {
                at += 1;
            }
            let whole = begin == 0 && at == before.len();
            let edge =
                |index: Option<usize>| index.and_then(|index| now.bytes.get(index).map(|byte| *byte == before[index]));
            // Between bytes that are as before, or at the ends of the range, a short row is what is left to put back.
            let alone = edge(begin.checked_sub(1)).unwrap_or(true) && edge(Some(at)).unwrap_or(true);
            if at - begin >= row || (at > begin && row == ROW && (whole || alone)) {
                now.ours.push(begin..at);
            } else {
                now.foreign += (at - begin).max(1);
                at = at.max(begin + 1);
            }
        }
        now
    }

    /// What a person types to put it back; the path as a shell reads it.
    pub(super) fn manual(&self, path: &str) -> String {
        if self.before.0.len() > TYPED {
            return "fracas recover".to_owned();
        }
        let mut octal = String::new();
        for byte in &self.before.0 {
            let _ = write!(octal, "\\{byte:03o}");
        }
        format!("printf '{octal}' | dd of={path} bs=1 seek={} conv=notrunc", self.offset)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {}", self.before.0.len(), self.offset)
    }
}

/// The beginning of some bytes.
pub(super) fn short(bytes: &[u8]) -> String {
    let shown = Hex(bytes[..bytes.len().min(SHOWN)].to_vec());
    match bytes.len().saturating_sub(SHOWN) {
        0 => shown.to_string(),
        more => format!("{shown} and {more} more bytes"),
    }
}

/// Bytes, in hexadecimal where they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct Hex(Vec<u8>);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<Hex> for String {
    fn from(hex: Hex) -> Self {
        hex.to_string()
    }
}

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
        let digits = digits
            .filter(|digits| digits.len().is_multiple_of(2))
            .ok_or("this is not hexadecimal")?;
        Ok(Self(
            digits
                .chunks_exact(2)
                .map(|pair| (pair[0] * 16 + pair[1]) as u8)
                .collect(),
        ))
    }
}

#[cfg(test)]
mod tests;
