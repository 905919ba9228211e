//! Reading a document from disk, within bounds.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use fracas_core::problem::{Problem, Result, codes};

use crate::place::printable;

/// The largest document, in bytes: 1 MiB.
pub const LARGEST: u64 = 1 << 20;

/// Opening a FIFO would otherwise wait for a writer; the value of asm-generic/fcntl.h, which x86-64 and arm64 use.
const O_NONBLOCK: i32 = 0o4000;

/// Reads a document: a regular file of at most [`LARGEST`] bytes of UTF-8.
///
/// # Errors
/// D001 with the cause, for everything that keeps the file from being read whole.
pub fn read_file(path: &Path) -> Result<String> {
    let name = printable(&path.display().to_string());
    let problem = |why: String| Problem::new(&codes::DOCUMENT_READ, format!("cannot read {name}: {why}"));
    // Asked by name first: opening a FIFO would wait for somebody to write to it.
    let about = std::fs::metadata(path)
        .map_err(|error| Problem::new(&codes::DOCUMENT_READ, format!("cannot read {name}")).because(&error))?;
    if about.is_dir() {
        return Err(problem("it is a directory".to_owned()));
    }
    if !about.is_file() {
        return Err(problem("it is not a regular file".to_owned()));
    }
    let too_large = || problem(format!("it is larger than {} KiB", LARGEST / 1024));
    if about.len() > LARGEST {
        return Err(too_large().next("a document is small; check that this is the right file"));
    }
    let mut bytes = Vec::new();
    // Between the question and the answer the name may come to mean something else, or the file may grow: so the descriptor is asked
    // again, opening does not wait, and the bound is kept while reading too.
    let mut read = || -> std::io::Result<bool> {
        let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
        let regular = file.metadata()?.is_file();
        if regular {
            file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        }
        Ok(regular)
    };
    let regular =
        read().map_err(|error| Problem::new(&codes::DOCUMENT_READ, format!("cannot read {name}")).because(&error))?;
    if !regular {
        return Err(problem("it is not a regular file".to_owned()));
    }
    if bytes.len() as u64 > LARGEST {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        problem(format!("it is not UTF-8 text, from byte {at}")).next("save the file as UTF-8")
    })
}
