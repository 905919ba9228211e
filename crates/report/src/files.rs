//! Reports on disk. Each file is there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fracas_core::event::Event;
use fracas_core::problem::{Problem, Result, codes};

use crate::model::Report;
use crate::render::{Format, render};

/// Writes `report.json`, `report.html`, `junit.xml` and `report.md` into `dir`, which is made if it is missing, and `events.ndjson` if `events`
/// are given (without, the file that [`crate::EventLog`] wrote is left as it is). Files that are there are replaced in one step.
/// Returns what was written.
///
/// # Errors
/// `S002` if the directory or a file cannot be written; files before it in the list are whole, those after it are as they were.
pub fn write_all(dir: &Path, report: &Report, events: Option<&[Event]>) -> Result<Vec<PathBuf>> {
    make(dir)?;
    let mut files = vec![
        ("report.json", Format::Json),
        ("report.html", Format::Html),
        ("junit.xml", Format::Junit),
        ("report.md", Format::Markdown),
    ];
    if events.is_some() {
        files.push(("events.ndjson", Format::Ndjson));
    }
    let mut written = Vec::new();
    for (name, format) in files {
        let text = render(report, events.unwrap_or_default(), format)?;
        written.push(replace(dir, name, text.as_bytes())?);
    }
    // The names themselves must survive a loss of power.
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.or_else(|error| unwritable(dir, &error))?;
    Ok(written)
}

/// Writes seed 0's report file `test-<YYYYMMDD-HHMMSS>.json` into `dir`, which is made if it is missing, and then deletes the
/// oldest such files so that `keep_last` are left; 0 keeps all. A file that is there is never replaced: the next gets `-2` and so
/// on. Returns the new file.
///
/// # Errors
/// `S002` if it cannot be written, or an old file cannot be deleted.
pub fn write_scenario(dir: &Path, report: &Report, keep_last: usize) -> Result<PathBuf> {
    make(dir)?;
    let text = render(report, &[], Format::ChaosScenario)?;
    let started: jiff::Timestamp = report.started.parse().unwrap_or_default();
    let stem = format!("test-{}", started.strftime("%Y%m%d-%H%M%S"));
    for number in 1..=MOST_OF_A_SECOND {
        let suffix = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let path = dir.join(format!("{stem}{suffix}.json"));
        match create(&path, text.as_bytes()) {
            Ok(()) => {
                prune(dir, &path, keep_last)?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return unwritable(&path, &error),
        }
    }
    Err(Problem::new(
        &codes::STATE_WRITE,
        format!("{} has {MOST_OF_A_SECOND} reports of one second already", dir.display()),
    )
    .next("name another output directory, or set the clock"))
}

/// So many tests may begin in one second.
const MOST_OF_A_SECOND: u32 = 1000;

pub(crate) fn make(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).or_else(|error| unwritable(dir, &error))
}

/// The problem of a path that cannot be written.
pub(crate) fn unwritable<T>(path: &Path, error: &io::Error) -> Result<T> {
    Err(Problem::new(&codes::STATE_WRITE, format!("cannot write {}", path.display())).because(error))
}

/// A new file with this content, on the disk. `O_EXCL` follows no link in the last part of the path, see open(2). What cannot be
/// written whole is removed.
fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(content).and_then(|()| file.sync_all()).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = fs::remove_file(path);
    })
}

/// Replaces a file in one step: rename(2) is atomic, and a link in its place is replaced and not followed.
pub(crate) fn replace(dir: &Path, name: &str, content: &[u8]) -> Result<PathBuf> {
    let path = dir.join(name);
    let aside = dir.join(format!(".{name}.{}.tmp", std::process::id()));
    let made = match create(&aside, content) {
        // Left by a process that had our pid and died.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(&aside).and_then(|()| create(&aside, content))
        }
        other => other,
    };
    made.and_then(|()| fs::rename(&aside, &path).inspect_err(|_| drop(fs::remove_file(&aside))))
        .or_else(|error| unwritable(&path, &error))?;
    Ok(path)
}

/// The key by which our report files sort by age; `None` if the name is not one of ours.
fn age(name: &str) -> Option<(&str, u32)> {
    let stem = name.strip_prefix("test-")?.strip_suffix(".json")?;
    let (time, number) = match stem.get(15..)? {
        "" => (stem, 1),
        rest => (
            stem.get(..15)?,
            rest.strip_prefix('-')
                .filter(|digits| !digits.starts_with(['+', '0']))?
                .parse()
                .ok()?,
        ),
    };
    let shape = time
        .bytes()
        .enumerate()
        .all(|(i, c)| if i == 8 { c == b'-' } else { c.is_ascii_digit() });
    shape.then_some((time, number))
}

/// Deletes the oldest of our report files, never the one just written, and nothing but regular files.
fn prune(dir: &Path, keep: &Path, keep_last: usize) -> Result<()> {
    if keep_last == 0 {
        return Ok(());
    }
    let mut ours = Vec::new();
    for entry in fs::read_dir(dir).or_else(|error| unwritable(dir, &error))? {
        let entry = entry.or_else(|error| unwritable(dir, &error))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let regular = entry.file_type().is_ok_and(|kind| kind.is_file());
        if regular
            && entry.path() != keep
            && let Some((time, number)) = age(name)
        {
            ours.push((time.to_owned(), number, entry.path()));
        }
    }
    ours.sort();
    let surplus = (ours.len() + 1).saturating_sub(keep_last);
    for (_, _, path) in ours.iter().take(surplus) {
        match fs::remove_file(path) {
            // Another run pruned it first.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let problem = Problem::new(
                    &codes::STATE_WRITE,
                    format!("cannot delete the old report {}", path.display()),
                );
                return Err(problem.because(&error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
