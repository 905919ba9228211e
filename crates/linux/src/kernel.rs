//! What this kernel can do, for `fracas doctor`.

use std::fs;
use std::io;
use std::path::Path;

use rustix::process::{PidfdFlags, getpid, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::cgroup::{self, Layout};
use crate::error::Context;

/// One thing that a kernel may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// What was found: `Err` says what is missing, and for what it is needed.
    pub found: Result<String, String>,
}

/// The release, as `uname -r` prints it.
pub fn release() -> io::Result<String> {
    let path = "/proc/sys/kernel/osrelease";
    let release = fs::read_to_string(path).context(|| format!("cannot read {path}"))?;
    Ok(release.trim().to_owned())
}

/// The name of this machine, as `uname -n` prints it.
pub fn host_name() -> io::Result<String> {
    let path = "/proc/sys/kernel/hostname";
    let name = fs::read_to_string(path).context(|| format!("cannot read {path}"))?;
    Ok(name.trim().to_owned())
}

/// Everything that Fracas depends on, tried rather than guessed from a version.
pub fn features() -> Vec<Feature> {
    let mut features = vec![
        feature("pidfd", pidfd()),
        feature(
            "control groups",
            cgroup::layout()
                .map_err(|error| error.to_string())
                .and_then(|layout| groups(&layout)),
        ),
    ];
    for (kind, purpose) in [
        ("net", "network faults"),
        ("pid", "telling apart the processes of containers"),
        ("mnt", "file faults"),
        ("cgroup", "telling where a control group is"),
    ] {
        let path = format!("/proc/self/ns/{kind}");
        let found = if Path::new(&path).exists() {
            Ok(path)
        } else {
            Err(format!("{path} is not there: needed for {purpose}"))
        };
        features.push(feature(&format!("{kind} namespaces"), found));
    }
    features
}

fn feature(name: &str, found: Result<String, String>) -> Feature {
    Feature {
        name: name.to_owned(),
        found,
    }
}

fn pidfd() -> Result<String, String> {
    pidfd_open(getpid(), PidfdFlags::empty())
        .map(|_| "pidfd_open(2) works".to_owned())
        .map_err(|error| {
            format!("pidfd_open(2) failed: {error}; no process can be held, so there are no faults on processes")
        })
}

fn groups(layout: &Layout) -> Result<String, String> {
    let found: Vec<String> = layout
        .controllers
        .iter()
        .map(|entry| {
            let version = match entry.version {
                cgroup::Version::V1 => "v1",
                cgroup::Version::V2 => "v2",
            };
            format!("{} ({version}, {})", entry.controller.name(), entry.mount.display())
        })
        .collect();
    let missing: Vec<&str> = layout.missing.iter().map(|controller| controller.name()).collect();
    if missing.is_empty() {
        Ok(found.join(", "))
    } else {
        Err(format!("missing: {}; there: {}", missing.join(", "), found.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::{Controller, Hierarchy, Version};

    #[test]
    fn the_running_kernel_is_described() {
        assert!(!host_name().unwrap().is_empty());
        assert!(release().unwrap().starts_with(|first: char| first.is_ascii_digit()));
        let features = features();
        let pidfd = features.iter().find(|feature| feature.name == "pidfd").unwrap();
        assert!(pidfd.found.is_ok(), "the tests of this crate hold processes");
        assert_eq!(features.len(), 6);
    }

    #[test]
    fn a_missing_controller_is_named() {
        let layout = Layout {
            controllers: vec![Hierarchy {
                controller: Controller::Memory,
                version: Version::V2,
                mount: "/sys/fs/cgroup".into(),
            }],
            missing: vec![Controller::Pids],
        };
        assert_eq!(
            groups(&layout),
            Err("missing: pids; there: memory (v2, /sys/fs/cgroup)".into())
        );
    }
}
