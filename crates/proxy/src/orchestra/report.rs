//! The results of an orchestration, in a file.

use std::fs::{File, remove_file, rename, symlink_metadata};
use std::io::{Error, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::record::Status;

/// Writes results. Tells where they are, or why they are not there.
///
/// They come into their place whole: a file that stands there is replaced, and is neither opened nor followed. What is no file, such as a
/// link or a device, stays.
pub(super) fn write(status: &Status, path: &Path) -> String {
    match place(status, path) {
        Ok(()) => format!("written to {}", path.display()),
        Err(error) => format!("cannot write {}: {error}", path.display()),
    }
}

fn place(status: &Status, path: &Path) -> Result<(), Error> {
    match symlink_metadata(path) {
        Ok(there) if !there.is_file() => {
            let why = "what is there is no regular file, and stays as it is";
            return Err(Error::new(ErrorKind::AlreadyExists, why));
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(_) | Err(_) => {}
    }
    let text = serde_json::to_string_pretty(status)?;
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(part);
    // What has this name already is somebody else's.
    let mut file =
        File::create_new(&part).map_err(|error| Error::new(error.kind(), format!("{}: {error}", part.display())))?;
    let written = file
        .write_all(format!("{text}\n").as_bytes())
        .and_then(|()| rename(&part, path));
    if written.is_err() {
        // Of no use to anybody; the first error is the one to be told.
        let _gone = remove_file(&part);
    }
    written
}
