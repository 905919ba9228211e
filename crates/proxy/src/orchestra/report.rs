//! The results of an orchestration, in a file.

use std::fs::{File, remove_file, rename};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::record::Status;
use super::run::Run;

/// Writes the results of a run that has ended. Tells where they are, or why they are not there.
///
/// They come into their place whole: what stands there is replaced, and is neither opened nor followed, whatever it is.
pub(super) fn write(run: &Run, path: &Path) -> String {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(part);
    let written = serde_json::to_string_pretty(&Status::of(run))
        .map_err(std::io::Error::from)
        .and_then(|text| File::create_new(&part).and_then(|mut file| file.write_all(format!("{text}\n").as_bytes())))
        .and_then(|()| rename(&part, path));
    match written {
        Ok(()) => format!("written to {}", path.display()),
        Err(error) => {
            // It may never have been there.
            let _gone = remove_file(&part);
            format!("cannot write {}: {error}", path.display())
        }
    }
}
