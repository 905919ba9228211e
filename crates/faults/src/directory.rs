//! A directory of a target: found by its path once, and known again by what it is.

use std::os::fd::OwnedFd;
use std::path::Path;

use fracas_core::problem::{Problem, Result, codes};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::error::errno;
use fracas_linux::inside::{FileIdentity, Inside, is_missing};
use serde::{Deserialize, Serialize};

use crate::say::{OrSay, gone, refuse};
use crate::signal;

/// Which directory, and by which way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Directory {
    /// The target's process, in whose files it is.
    target: ProcessIdentity,
    /// Its path, as the target has it.
    path: String,
    /// Which directory that was.
    identity: FileIdentity,
}

const ENOTDIR: i32 = 20;
const ELOOP: i32 = 40;

impl Directory {
    /// Looks for the directory of this absolute path, and opens it.
    ///
    /// # Errors
    /// T004 when the target is gone; F001 for a path that names no directory of the target.
    pub(crate) fn find(fault: &str, target: &Target, path: &str) -> Result<(Self, OwnedFd)> {
        let inside = inside(target.process())?.ok_or_else(|| gone(fault, target))?;
        let look = || {
            inside
                .directory(Path::new(path))
                .and_then(|found| Ok((FileIdentity::of(&found)?, found)))
        };
        let (identity, found) =
            look().map_err(|error| refuse(fault, target, format!("{path} cannot be used")).because(&error))?;
        let directory = Self {
            target: target.process().clone(),
            path: path.to_owned(),
            identity,
        };
        Ok((directory, found))
    }

    /// The path, as the target has it.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The target's process.
    pub(crate) fn target(&self) -> &ProcessIdentity {
        &self.target
    }

    /// Opens it to do something in it.
    ///
    /// # Errors
    /// T004 when the target is gone; F002 when another directory is there now.
    pub(crate) fn open_to_apply(&self, fault: &str) -> Result<OwnedFd> {
        let failed = || format!("{} of {} cannot be used", self.path, self.target);
        let inside = inside(&self.target)?.ok_or_else(|| gone(fault, &self.target))?;
        let found = inside
            .directory(Path::new(&self.path))
            .or_say(&codes::FAULT_APPLY, failed)?;
        if FileIdentity::of(&found).or_say(&codes::FAULT_APPLY, failed)? != self.identity {
            return Err(Problem::new(&codes::FAULT_APPLY, failed()).since("it is another directory than was planned"));
        }
        Ok(found)
    }

    /// Opens it, if it is still that one. `None` also when the target is gone, by whose root it was reached.
    pub(crate) fn open(&self) -> Result<Option<OwnedFd>> {
        let look = || format!("{} of {} cannot be looked at", self.path, self.target);
        let Some(inside) = inside(&self.target)? else {
            return Ok(None);
        };
        let found = match inside.directory(Path::new(&self.path)) {
            Ok(found) => found,
            // The target has put something else in its place, which is no directory of that identity in any case.
            Err(error) if is_missing(&error) || matches!(errno(&error), Some(ENOTDIR | ELOOP)) => return Ok(None),
            Err(_) if signal::ended(&self.target)? => return Ok(None),
            Err(error) => return Err(error).or_say(&codes::FAULT_OBSERVE, look),
        };
        let same = FileIdentity::of(&found).or_say(&codes::FAULT_OBSERVE, look)? == self.identity;
        Ok(same.then_some(found))
    }
}

fn inside(target: &ProcessIdentity) -> Result<Option<Inside>> {
    Inside::of(target).or_say(&codes::TARGET_READ, || {
        format!("the files of {target} cannot be looked at")
    })
}
