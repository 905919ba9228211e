//! Directories for state that only their owner can change.
//!
//! Whoever can write a ledger can make root undo things that were never done. So a state directory is used only when it belongs
//! to the effective user and nobody else may write it, and when nobody else could put another in its place: every parent belongs
//! to root or to this user, and others may write it only if it is sticky, as /tmp is. All of that is asked of open descriptors,
//! and everything inside is reached from the descriptor.

mod dir;
mod file;
mod walk;

use std::path::Path;

use fracas_core::problem::{Problem, Result, codes};

pub use dir::PrivateDir;
pub use file::private_file;

/// Makes the directory (mode 0700, its missing parents too) or opens it.
///
/// # Errors
/// S001 when it cannot be made, is a symbolic link, or could be changed by others; the cause says what and why.
pub fn private_dir(path: &Path) -> Result<PrivateDir> {
    walk::walk(path).map_err(|(cause, next)| {
        let problem = Problem::new(
            &codes::STATE_DIRECTORY,
            format!("the state directory {} cannot be used", path.display()),
        )
        .since(cause);
        match next {
            Some(next) => problem.next(next),
            None => problem,
        }
    })
}

#[cfg(test)]
mod tests;
