//! Control groups of the guardian's own, directly below the roots.

use std::collections::BTreeSet;
use std::io;

use fracas_core::target::CgroupIdentity;

use crate::cgroup::{self, Cgroup, Controller};
use crate::error::{Context, errno};

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

fn join(root: Cgroup) -> io::Result<Own> {
    let pid = std::process::id();
    let name = format!("{GROUP_PREFIX}{pid}");
    let mut group = root.child(&name)?;
    let mut added = group.add(pid);
    // A sweep of somebody else may have taken the empty group away between the two calls; it does so only once, for the next
    // finds the group made again by then, or taken.
    if added
        .as_ref()
        .is_err_and(|error| matches!(errno(error), Some(libc::ENOENT | libc::ENODEV)))
    {
        group = root.child(&name)?;
        added = group.add(pid);
    }
    if let Err(error) = added {
        let refused = Err(error).context(|| format!("cannot join {}", group.path().display()));
        // The failure to join is the one to report; a group that stays is found by the next sweep.
        drop(root.remove_child(&name));
        return refused;
    }
    Ok(Own {
        identity: group.identity().clone(),
        root,
        name,
    })
}

/// The groups above those that this process has made for itself: what it starts that is not to be counted as the guardian joins them.
pub fn outside() -> io::Result<Vec<Cgroup>> {
    let mut groups = Vec::new();
    for root in roots().0 {
        let own = cgroup::of(std::process::id(), root.controller())?;
        let name = own.as_ref().and_then(|own| own.path().file_name()?.to_str());
        if name.is_some_and(|name| name.starts_with(GROUP_PREFIX)) {
            groups.push(root);
        }
    }
    Ok(groups)
}

/// Removes the groups of guardians that are gone. Gives the paths of those removed. A group with a process in it is left: the
/// kernel does not remove it (`EBUSY`).
pub fn sweep() -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    let (roots, failures) = roots();
    for root in roots {
        for name in root.children()? {
            if !name.starts_with(GROUP_PREFIX) {
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
