//! Control groups of the guardian's own, directly below the roots.

use std::collections::BTreeSet;
use std::io;

use fracas_core::target::CgroupIdentity;

use crate::cgroup::{self, Cgroup, Controller};
use crate::error::{Context, errno};
use crate::process::Process;

/// How the name of a guardian's group begins; its pid follows.
pub const GROUP_PREFIX: &str = "fracas-guardian-";

/// Where the limits and the freezer of others could reach us.
const CONTROLLERS: [Controller; 5] = [
    Controller::Memory,
    Controller::Cpu,
    Controller::Cpuset,
    Controller::Pids,
    Controller::Freezer,
];

/// A group that this process made and is in.
#[derive(Debug)]
pub(super) struct Own {
    root: Cgroup,
    name: String,
    pub(super) identity: CgroupIdentity,
}

impl Own {
    pub(super) fn leave(self) -> io::Result<()> {
        self.root.add(std::process::id())?;
        self.root.remove_child(&self.name).map(drop)
    }
}

/// The root of each hierarchy once: version 2 has one for all, version 1 may have several controllers in one.
fn roots() -> (Vec<Cgroup>, Vec<String>) {
    let (mut roots, mut failures, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for controller in CONTROLLERS {
        match cgroup::root(controller) {
            Ok(Some(root)) => {
                // Of a shared hierarchy of version 1 the cpuset's view is kept, for only that fills a new group's cpuset.
                if seen.insert(root.identity().path.clone()) {
                    roots.push(root);
                } else if controller == Controller::Cpuset
                    && let Some(same) = roots
                        .iter_mut()
                        .find(|other: &&mut Cgroup| other.identity() == root.identity())
                {
                    *same = root;
                }
            }
            // What the machine has not, cannot limit us.
            Ok(None) => {}
            Err(error) => failures.push(error.to_string()),
        }
    }
    (roots, failures)
}

/// Makes and joins a group in each hierarchy. Also says what failed.
pub(super) fn join_all() -> (Vec<Own>, Vec<String>) {
    let (roots, mut failures) = roots();
    let mut joined = Vec::new();
    for root in roots {
        match join(root) {
            Ok(own) => joined.push(own),
            Err(error) => failures.push(error.to_string()),
        }
    }
    (joined, failures)
}

/// So often somebody else may take the new group away. The sweep of this Fracas never does, that of an older one, or of one that
/// sees other pids, may.
const TRIES: u32 = 16;

fn join(root: Cgroup) -> io::Result<Own> {
    let pid = std::process::id();
    let name = format!("{GROUP_PREFIX}{pid}");
    let mut tried = 0;
    let joined = loop {
        tried += 1;
        let joined = root.child(&name).and_then(|group| {
            group
                .add(pid)
                .context(|| format!("cannot join {}", group.path().display()))?;
            Ok(group)
        });
        match joined {
            Err(error) if was_removed(&error) && tried < TRIES => {}
            joined => break joined,
        }
    };
    match joined {
        Ok(group) => Ok(Own {
            identity: group.identity().clone(),
            root,
            name,
        }),
        Err(error) => {
            // The failure to join is the one to report; a group that stays is found by the next sweep.
            drop(root.remove_child(&name));
            Err(error)
        }
    }
}

/// Whether the group went between one call and the next: it is not there, or was removed while it was held (`ENODEV` of kernfs).
fn was_removed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || matches!(errno(error), Some(libc::ENOENT | libc::ENODEV))
}

/// Whether the guardian that a group is named after may still be about to join it: while that was empty, a sweep took it away, and
/// the guardian died with the runner's group in which it had stayed.
fn is_awaited(name: &str) -> io::Result<bool> {
    let Some(pid) = name.strip_prefix(GROUP_PREFIX).and_then(|pid| pid.parse().ok()) else {
        return Ok(false);
    };
    match Process::find(pid)? {
        Some(process) => Ok(!process.has_ended()?),
        None => Ok(false),
    }
}

/// Removes the groups of guardians that are gone. Gives the paths of those removed. A group whose pid lives is left, and one with a
/// process in it: the kernel does not remove it (`EBUSY`).
pub fn sweep() -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    let (roots, failures) = roots();
    for root in roots {
        for name in root.children()? {
            if !name.starts_with(GROUP_PREFIX) || is_awaited(&name)? {
                continue;
            }
            match root.remove_child(&name) {
                Ok(true) => removed.push(root.path().join(&name).display().to_string()),
                Ok(false) => {}
                Err(error) if errno(&error) == Some(libc::EBUSY) => {}
                Err(error) => return Err(error),
            }
        }
    }
    match failures.first() {
        Some(failure) => Err(io::Error::other(failure.clone())),
        None => Ok(removed),
    }
}
