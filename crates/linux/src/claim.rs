//! Claims: who holds a resource of the kernel, said on the resource itself.
//!
//! A claim is an exclusive flock(2) on the object: a control group's directory, a namespace's file, a state file. It ends with
//! the descriptor, and so with the process, however that ends. Children do not get it: the descriptor closes at exec, and
//! workers are started by exec only.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

use crate::error::Context;

/// A claim. It lasts until it is dropped.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "the lock lives as long as the descriptor")] OwnedFd);

/// Claims the object at this path, by a descriptor of its own. `None`: another claim holds it, be it of this process.
///
/// Symbolic links are followed: the files of namespaces (`/proc/PID/ns/net`) are links.
pub fn claim(path: &Path) -> io::Result<Option<Claim>> {
    // Without NONBLOCK a pipe somebody put there would hold us until somebody writes.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = open(path, flags, Mode::empty()).context(|| format!("cannot open {}", path.display()))?;
    Claim::take(fd, || path.display().to_string())
}

/// Locks an open file for as long as its description lives. False: somebody else's lock is on it.
///
/// # Errors
/// What flock(2) says, but for that.
pub fn lock(file: &std::fs::File) -> io::Result<bool> {
    match rustix::io::retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error).context(|| "cannot lock a file".to_owned()),
    }
}

/// Whether somebody holds a [`lock`] on this open file. Unlike trying to take it this does not look like a lock to others who ask
/// at the same time: a shared lock is tried, and given back at once.
///
/// # Errors
/// What flock(2) says, but for that.
pub fn is_locked(file: &std::fs::File) -> io::Result<bool> {
    match rustix::io::retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockShared)) {
        Ok(()) => rustix::io::retry_on_intr(|| flock(file, FlockOperation::Unlock))
            .map(|()| false)
            .context(|| "cannot unlock a file".to_owned()),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error).context(|| "cannot look at the lock of a file".to_owned()),
    }
}

impl Claim {
    /// Claims an object that is open already. The descriptor must be opened for this: duplicates share one lock.
    pub(crate) fn take(fd: OwnedFd, name: impl FnOnce() -> String) -> io::Result<Option<Self>> {
        match rustix::io::retry_on_intr(|| flock(&fd, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => Ok(Some(Self(fd))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error).context(|| format!("cannot claim {}", name())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_a_claim_and_it_ends_with_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path(), Path::new("/proc/self/ns/net")] {
            let first = claim(path).unwrap().expect("free");
            assert!(claim(path).unwrap().is_none(), "{} is held", path.display());
            drop(first);
            assert!(claim(path).unwrap().is_some(), "{} is free again", path.display());
        }
    }

    #[test]
    fn asking_for_a_lock_is_no_lock() {
        let place = tempfile::NamedTempFile::new().unwrap();
        let open = || std::fs::File::open(place.path()).unwrap();
        let (first, second) = (open(), open());
        assert!(!is_locked(&first).unwrap());
        assert!(
            !is_locked(&second).unwrap(),
            "the first who asked is taken for a holder"
        );
        let holder = open();
        assert!(lock(&holder).unwrap(), "who asked stands in the way");
        assert!(is_locked(&first).unwrap());
        drop(holder);
        assert!(!is_locked(&first).unwrap());
    }

    #[test]
    fn what_is_not_there_cannot_be_claimed() {
        let error = claim(Path::new("/proc/self/ns/none")).unwrap_err();
        assert!(error.to_string().contains("/proc/self/ns/none"), "{error}");
    }
}
