//! `disk_throttle`: limits how fast the target's control group reads and writes a disk.
//!
//! Version 1 has a file for each limit, version 2 one for all (`io.max`); both have a line for each disk that has a limit, and know
//! whole disks only. In version 1 a limit is for the processes of the group, not for groups below it, and writes that go through the
//! page cache are not the group's but the kernel's (Documentation/admin-guide/cgroup-v1/blkio-controller.rst).

use std::time::Duration;

use fracas_core::params;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::cgroup::{Cgroup, Controller, Version};
use fracas_linux::mount::{Backing, Device};
use serde::{Deserialize, Serialize};

use crate::directory::Directory;
use crate::kernel_file::{IO_MAX, KernelFile, group_of, lives, observe_all, resources_of, revert_all};
use crate::say::{OrSay, mib, missed, refuse};
use crate::{Context, Fault, Needs, Resource};

/// See [`params::DiskThrottle`].
#[derive(Debug)]
pub struct DiskThrottle;

/// The limits of the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The disk.
    disk: Device,
    files: Vec<KernelFile>,
    /// Whom it is for.
    #[serde(default)]
    target: Option<ProcessIdentity>,
}

/// A limit that is asked for.
struct Limit {
    v1: &'static str,
    /// Its word in `io.max`.
    v2: &'static str,
    value: u64,
}

/// Slower than this nothing goes on at all: a single page takes four seconds.
const SLOWEST: u64 = 1024;
/// The window in which the effect is seen.
const WINDOW: Duration = Duration::from_secs(1);

impl Fault for DiskThrottle {
    const NAME: &'static str = "disk_throttle";
    type Params = params::DiskThrottle;
    type Undo = Undo;

    fn undo_class(_: &params::DiskThrottle) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::DiskThrottle) -> Needs {
        Needs {
            root: true,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::DiskThrottle, target: &Target, _: &Context) -> Result<Undo> {
        let limits = limits(params).map_err(|why| refuse(Self::NAME, target, why))?;
        let group = group_of(Self::NAME, target, Controller::Blkio)?;
        let (_, directory) = Directory::find(Self::NAME, target, &params.path)?;
        let unreadable = || {
            format!(
                "{} on {target}: the disk below {} cannot be told",
                Self::NAME,
                params.path
            )
        };
        let backing = Backing::of(&directory, target.process().pid).or_say(&codes::TARGET_READ, unreadable)?;
        let disk = backing.disk().or_say(&codes::TARGET_READ, unreadable)?.ok_or_else(|| {
            let why = format!("{} is on no disk of this machine but on {}", params.path, backing.kind);
            refuse(Self::NAME, target, why).next("name a directory on a disk")
        })?;
        let files = match group.version() {
            Version::V1 => v1_files(&group, disk, &limits),
            Version::V2 => v2_file(&group, disk, &limits).map(|file| vec![file]),
        };
        let files =
            files.map_err(|error| refuse(Self::NAME, target, "the present limits cannot be read").because(&error))?;
        if let Some(same) = files.iter().find(|file| file.before == file.ours) {
            let why = format!("{} holds that limit already: {}", same.path(), same.before);
            return Err(refuse(Self::NAME, target, why));
        }
        Ok(Undo {
            disk,
            files,
            target: Some(target.process().clone()),
        })
    }

    fn change(params: &params::DiskThrottle, undo: &Undo) -> String {
        format!("disk {}: {}, then as before", undo.disk, words(params))
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        resources_of(&undo.files)
    }

    async fn apply(_: &params::DiskThrottle, undo: &Undo, _: &Context) -> Result<()> {
        undo.files.iter().try_for_each(KernelFile::apply)
    }

    async fn measure(params: &params::DiskThrottle, undo: &Undo, _: &Context) -> Result<Dose> {
        let asked = format!("{} on disk {}", words(params), undo.disk);
        if !lives(undo.target.as_ref())? {
            return Ok(missed(asked, "the target is gone"));
        }
        let mut wrong = None;
        for file in &undo.files {
            let Some(now) = file.now()? else {
                return Ok(missed(asked, "the target is gone"));
            };
            if now != file.ours {
                wrong = Some(format!("{} holds {now}, not {}", file.path(), file.ours));
            }
        }
        if let Some(wrong) = wrong {
            return Ok(missed(asked, wrong));
        }
        let Some(before) = undo.moved()? else {
            return Ok(missed(asked, "the target is gone"));
        };
        tokio::time::sleep(WINDOW).await;
        let Some(after) = undo.moved()? else {
            return Ok(missed(asked, "the target is gone"));
        };
        Ok(Dose {
            delivered: asked.clone(),
            asked,
            landed: Landed::Yes,
            effect: Some(format!(
                "the group read {} and wrote {} within {WINDOW:?}",
                mib(after.0.saturating_sub(before.0)),
                mib(after.1.saturating_sub(before.1))
            )),
        })
    }

    async fn revert(undo: &Undo, _: &Context) -> Result<Reverted> {
        revert_all(&undo.files)
    }

    async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
        observe_all(&undo.files)
    }

    fn manual(undo: &Undo) -> Vec<String> {
        undo.files.iter().rev().map(KernelFile::manual).collect()
    }
}

impl Undo {
    /// How many bytes the group has read from and written to the disk. `None`: the group is gone.
    fn moved(&self) -> Result<Option<(u64, u64)>> {
        let Some(file) = self.files.first() else {
            return Err(Problem::new(&codes::INSIDE, "a disk limit without files"));
        };
        let Some(group) = file.open()? else { return Ok(None) };
        let name = match group.version() {
            Version::V1 => "blkio.throttle.io_service_bytes",
            Version::V2 => "io.stat",
        };
        match group.read(name) {
            Err(error) if crate::kernel_file::is_gone(&error) => Ok(None),
            text => text
                .map(|text| Some(moved(&text, &self.disk.to_string())))
                .or_say(&codes::FAULT_MEASURE, || {
                    format!("{}/{name} cannot be read", group.path().display())
                }),
        }
    }
}

/// Bytes read and written, from `8:0 Read 4096` (version 1) or `8:0 rbytes=4096 wbytes=0 …` (version 2); no line is nothing yet.
fn moved(text: &str, disk: &str) -> (u64, u64) {
    let (mut read, mut written) = (0, 0);
    for line in text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            [of, "Read", bytes] if *of == disk => read = bytes.parse().unwrap_or(0),
            [of, "Write", bytes] if *of == disk => written = bytes.parse().unwrap_or(0),
            [of, fields @ ..] if *of == disk => {
                for field in fields {
                    match field.split_once('=') {
                        Some(("rbytes", bytes)) => read = bytes.parse().unwrap_or(0),
                        Some(("wbytes", bytes)) => written = bytes.parse().unwrap_or(0),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    (read, written)
}

/// What is asked for, in the order of the parameters.
fn limits(params: &params::DiskThrottle) -> Result<Vec<Limit>, String> {
    let bytes = |size: fracas_core::units::Size| size.0;
    let all = [
        (
            "blkio.throttle.read_bps_device",
            "rbps",
            params.read_bps.map(bytes),
            SLOWEST,
        ),
        (
            "blkio.throttle.write_bps_device",
            "wbps",
            params.write_bps.map(bytes),
            SLOWEST,
        ),
        (
            "blkio.throttle.read_iops_device",
            "riops",
            params.read_iops.map(u64::from),
            1,
        ),
        (
            "blkio.throttle.write_iops_device",
            "wiops",
            params.write_iops.map(u64::from),
            1,
        ),
    ];
    let mut limits = Vec::new();
    for (v1, v2, value, least) in all {
        let Some(value) = value else { continue };
        if value < least {
            return Err(format!(
                "a limit of {value} lets nothing through: at least {least} does"
            ));
        }
        limits.push(Limit { v1, v2, value });
    }
    if limits.is_empty() {
        return Err("none of `read_bps`, `write_bps`, `read_iops` and `write_iops` is given".to_owned());
    }
    Ok(limits)
}

fn v1_files(group: &Cgroup, disk: Device, limits: &[Limit]) -> std::io::Result<Vec<KernelFile>> {
    let file = |limit: &Limit| KernelFile::of_device(group, limit.v1, &disk.to_string(), limit.value.to_string());
    limits.iter().map(file).collect()
}

fn v2_file(group: &Cgroup, disk: Device, limits: &[Limit]) -> std::io::Result<KernelFile> {
    let mut file = KernelFile::of_device(group, IO_MAX, &disk.to_string(), String::new())?;
    file.ours = with(&file.before, limits);
    Ok(file)
}

/// A line of `io.max` with these limits in the place of what it had.
fn with(line: &str, limits: &[Limit]) -> String {
    let field = |field: &str| {
        let asked = limits
            .iter()
            .find(|limit| field.strip_prefix(limit.v2).is_some_and(|rest| rest.starts_with('=')));
        asked.map_or_else(|| field.to_owned(), |limit| format!("{}={}", limit.v2, limit.value))
    };
    line.split_ascii_whitespace().map(field).collect::<Vec<_>>().join(" ")
}

fn words(params: &params::DiskThrottle) -> String {
    let words = [
        params.read_bps.map(|size| format!("reads at most {size}/s")),
        params.write_bps.map(|size| format!("writes at most {size}/s")),
        params.read_iops.map(|count| format!("at most {count} reads/s")),
        params.write_iops.map(|count| format!("at most {count} writes/s")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use fracas_core::units::Size;

    fn params() -> params::DiskThrottle {
        params::DiskThrottle {
            path: "/".into(),
            read_bps: Some(Size::mib(1)),
            write_bps: None,
            read_iops: None,
            write_iops: Some(50),
        }
    }

    #[test]
    fn a_line_keeps_what_is_not_asked_for() {
        let limits = limits(&params()).unwrap();
        assert_eq!(
            with("rbps=max wbps=777 riops=max wiops=9", &limits),
            "rbps=1048576 wbps=777 riops=max wiops=50"
        );
        assert_eq!(words(&params()), "reads at most 1MiB/s, at most 50 writes/s");
    }

    #[test]
    fn limits_that_are_none_are_refused() {
        let none = params::DiskThrottle {
            read_bps: None,
            write_iops: None,
            ..params()
        };
        assert!(limits(&none).err().unwrap().contains("none of"));
        for wrong in [
            params::DiskThrottle {
                read_bps: Some(Size(1023)),
                ..params()
            },
            params::DiskThrottle {
                write_iops: Some(0),
                ..params()
            },
        ] {
            assert!(limits(&wrong).err().unwrap().contains("lets nothing through"));
        }
    }

    #[test]
    fn what_was_moved_is_read_from_both_versions() {
        let v1 = "8:16 Read 5\n8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 1\n8:0 Total 12288\nTotal 12293";
        assert_eq!(moved(v1, "8:0"), (4096, 8192));
        let v2 = "8:16 rbytes=5\n8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0";
        assert_eq!(moved(v2, "8:0"), (4096, 8192));
        assert_eq!(moved("", "8:0"), (0, 0));
    }
}
