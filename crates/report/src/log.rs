//! `events.ndjson`: every event as one line of JSON, written as it happens, so that a run that dies leaves its story.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use fracas_core::event::{Event, What};
use fracas_core::problem::{Problem, Result, codes};

use crate::files::unwritable;
use crate::render::ndjson;

/// Beyond so many bytes no readings are written any more: 256 MiB, some million readings. What happens to the faults still is; that
/// is bounded by their number.
pub(crate) const MOST_BYTES: u64 = 256 << 20;
/// No line is longer: an event with all candidates of a large machine is far shorter.
const MOST_LINE: u64 = 16 << 20;

/// The file, open for the length of a run.
#[derive(Debug)]
pub struct EventLog {
    file: File,
    path: PathBuf,
    // The length up to the end of the last whole line, as long as nothing is torn.
    whole: u64,
    // Whether part of a line stands at the end, which could not be cut off.
    torn: bool,
    // Whether `whole` can be trusted for a cut: never again once a torn line had to stay.
    cuts: bool,
    most: u64,
    left_out: u64,
}

impl EventLog {
    /// Makes the file.
    ///
    /// # Errors
    /// `S002` if it is there already or cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)
            .or_else(|error| unwritable(path, &error))?;
        Ok(Self::over(file, path, MOST_BYTES))
    }

    fn over(file: File, path: &Path, most: u64) -> Self {
        Self {
            file,
            path: path.to_owned(),
            whole: 0,
            torn: false,
            cuts: true,
            most,
            left_out: 0,
        }
    }

    /// Adds an event; when it returns, the line is with the kernel and survives the death of this process.
    ///
    /// # Errors
    /// `S002` if the disk is full or the file is too long; the run goes on without, and later events are tried again. A file that
    /// is too long is said once; [`Self::left_out`] counts.
    pub fn append(&mut self, event: &Event) -> Result<()> {
        let line = ndjson(event)?;
        let only_a_reading = matches!(event.what, What::ProbeRead { .. } | What::MetricRead { .. });
        if only_a_reading && self.whole + line.len() as u64 > self.most {
            self.left_out += 1;
            if self.left_out > 1 {
                return Ok(());
            }
            let problem = Problem::new(
                &codes::STATE_WRITE,
                format!(
                    "{} has reached {} bytes; further readings are not recorded",
                    self.path.display(),
                    self.most
                ),
            );
            return Err(
                problem.next("nothing; verdict and report are not affected. A longer interval makes a shorter record")
            );
        }
        // One write per line: with O_APPEND a line is never mixed with another's.
        let bytes = if self.torn { format!("\n{line}") } else { line };
        match self.file.write_all(bytes.as_bytes()) {
            Ok(()) => {
                self.whole += bytes.len() as u64;
                self.torn = false;
                Ok(())
            }
            Err(error) => {
                self.mend();
                unwritable(&self.path, &error)
            }
        }
    }

    /// A full disk may have taken half a line: it is cut off, or else the next line begins after it.
    fn mend(&mut self) {
        self.cuts = self.cuts && self.file.set_len(self.whole).is_ok();
        self.torn = !self.cuts;
    }

    /// How many readings were left out because the file is too long.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

/// Reads a record of events, in order, and hands each to `each`. Returns how many lines were no event: a run that was killed may
/// leave half a line, and later versions may write events that this one does not know.
///
/// # Errors
/// `S005` if the file cannot be read or is longer than any record of ours.
pub fn read_events(path: &Path, each: impl FnMut(Event)) -> Result<u64> {
    let unreadable =
        |error: &std::io::Error| Problem::new(&codes::SYSTEM, format!("cannot read {}", path.display())).because(error);
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    // Twice what readings may fill leaves room for everything else.
    read(BufReader::new(file.take(2 * MOST_BYTES)), each).map_err(|error| unreadable(&error))
}

fn read(mut from: impl BufRead, mut each: impl FnMut(Event)) -> std::io::Result<u64> {
    let mut bad = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        if from.by_ref().take(MOST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(bad);
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match serde_json::from_slice(text) {
            Ok(event) => each(event),
            Err(_) => bad += 1,
        }
    }
}

#[cfg(test)]
mod tests;
