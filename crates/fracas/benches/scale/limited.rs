//! Memory limits of control groups, as they are read from the kernel's files and not from Fracas.

use fracas_linux::cgroup::{Cgroup, Version};

/// The limit that is put on, in bytes.
pub(crate) const LIMIT: u64 = 64 << 20;

/// Groups, each with its files and what they held: memory first, then swap where the kernel counts it.
pub(crate) struct Limited(Vec<(Cgroup, Vec<(&'static str, String)>)>);

impl Limited {
    /// These groups, as they are now.
    pub(crate) fn now(groups: Vec<Cgroup>) -> Self {
        let with_files = |group: Cgroup| {
            let names = match group.version() {
                Version::V1 => ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"],
                Version::V2 => ["memory.max", "memory.swap.max"],
            };
            let there = names.into_iter().filter(|name| group.has(name).unwrap());
            let files = there.map(|name| (name, group.read(name).unwrap())).collect();
            (group, files)
        };
        Self(groups.into_iter().map(with_files).collect())
    }

    /// Whether all have the new limit.
    pub(crate) fn are_on(&self) -> bool {
        let limit = LIMIT.to_string();
        self.all(|number, now, before| if number == 0 { now == limit } else { now != before })
    }

    /// Whether all have the limits that they had.
    pub(crate) fn are_off(&self) -> bool {
        self.all(|_, now, before| now == before)
    }

    fn all(&self, holds: impl Fn(usize, &str, &str) -> bool) -> bool {
        self.0.iter().all(|(group, files)| {
            let mut files = files.iter().enumerate();
            files.all(|(number, (name, before))| group.read(name).is_ok_and(|now| holds(number, &now, before)))
        })
    }

    /// Gives all of them the limits that they had: `docker update` can set one but never take it away. Version 1 keeps memory below
    /// memory and swap, so swap goes up first.
    pub(crate) fn put_back(&self) {
        for (group, files) in &self.0 {
            for (name, before) in files.iter().rev() {
                group.write(name, before).unwrap();
            }
        }
    }
}
