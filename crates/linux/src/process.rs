//! Processes: exactly which one, whether it still is, and what /proc says of it.

mod dying;
mod established;
mod handle;
mod listeners;
mod marked;
mod offspring;
mod reaction;
mod status;
mod stopping;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fracas_core::target::ProcessIdentity;

pub use dying::is_dying;
pub use established::established;
pub use handle::Process;
pub use listeners::listeners;
pub use marked::marked;
pub use offspring::offspring;
pub use reaction::{Reaction, reaction};
pub use status::{Status, all, descendants, status};
pub(crate) use status::{leads_session, parent};
pub use stopping::{Stop, stop};

use crate::error::{Context, invalid, is_gone};

/// No single file of /proc that is read here needs more; a command line may be 2 MiB long, and nobody reads that far.
const FILE_LIMIT: u64 = 64 * 1024;
/// A mount table of more lines than this (the kernel allows 100,000 mounts, sysctl fs.mount-max) holds no mount of a target.
const TABLE_LIMIT: u64 = 64 * 1024 * 1024;

/// The id of this boot: `/proc/sys/kernel/random/boot_id`, read once.
pub fn boot_id() -> io::Result<String> {
    static BOOT: OnceLock<String> = OnceLock::new();
    if let Some(id) = BOOT.get() {
        return Ok(id.clone());
    }
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let id = fs::read_to_string(path).context(|| format!("cannot read {}", path.display()))?;
    Ok(BOOT.get_or_init(|| id.trim().to_owned()).clone())
}

/// Who has this pid now. `None`: nobody.
pub fn identity(pid: u32) -> io::Result<Option<ProcessIdentity>> {
    let Some(stat) = status::stat(pid)? else {
        return Ok(None);
    };
    Ok(Some(ProcessIdentity {
        pid,
        start: stat.start,
        boot: boot_id()?,
    }))
}

/// The files of which this process has code in its memory: its program and its libraries.
pub fn own_code() -> io::Result<BTreeSet<PathBuf>> {
    let path = "/proc/self/maps";
    let maps = fs::read_to_string(path).context(|| format!("cannot read {path}"))?;
    Ok(maps.lines().filter_map(code).map(PathBuf::from).collect())
}

/// The file of a line of `proc_pid_maps(5)`, `ADDRESSES PERMISSIONS OFFSET DEVICE INODE   PATH`, if its memory may be executed.
fn code(line: &str) -> Option<&str> {
    let mut fields = line.splitn(6, ' ');
    let permissions = fields.nth(1)?;
    let path = fields.nth(3)?.trim_start();
    // `[vdso]` is no file.
    (permissions.contains('x') && path.starts_with('/')).then_some(path)
}

/// How many descriptors the process has open. `None`: there is no such process.
pub fn open_descriptors(pid: u32) -> io::Result<Option<u32>> {
    let count = descriptors(pid)?.map(|numbers| numbers.len() as u32);
    // When we count our own, the descriptor of the listing itself is one too many.
    Ok(count.map(|count| if pid == std::process::id() { count - 1 } else { count }))
}

/// The numbers of the descriptors that the process has open, ascending; our own listing is among our own. `None`: there is no such
/// process. The list of a zombie is empty, and so it is right: a zombie has none open.
pub fn descriptors(pid: u32) -> io::Result<Option<Vec<u32>>> {
    let path = format!("/proc/{pid}/fd");
    let mut numbers = Vec::new();
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error).context(|| format!("cannot list {path}")),
    };
    for entry in entries {
        match entry {
            Ok(entry) => numbers.extend(entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())),
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error).context(|| format!("cannot list {path}")),
        }
    }
    numbers.sort_unstable();
    Ok(Some(numbers))
}

/// The inode of the pid namespace that the process lives in. `None`: there is no such process, or it is a zombie.
pub fn pid_namespace(pid: u32) -> io::Result<Option<u64>> {
    namespace(pid, "pid")
}

/// Whether the process lives in the pid namespace of Fracas. `None`: there is no such process, or it is a zombie.
pub fn in_same_pid_namespace(pid: u32) -> io::Result<Option<bool>> {
    let ours = pid_namespace(std::process::id())?;
    Ok(pid_namespace(pid)?.map(|theirs| Some(theirs) == ours))
}

/// The inode of one of a process's namespaces; the link reads `pid:[4026531836]`, see namespaces(7).
pub(crate) fn namespace(pid: u32, kind: &str) -> io::Result<Option<u64>> {
    let path = format!("/proc/{pid}/ns/{kind}");
    let link = match fs::read_link(&path) {
        Ok(link) => link,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error).context(|| format!("cannot read the link {path}")),
    };
    let inode = link
        .to_str()
        .and_then(|link| link.split_once('[')?.1.strip_suffix(']')?.parse().ok())
        .ok_or_else(|| invalid(format!("{path} reads {}, which names no namespace", link.display())))?;
    Ok(Some(inode))
}

/// The beginning of a file under `/proc/PID`. `None`: the process is gone, before or during the reading.
pub(crate) fn read(pid: u32, file: &str) -> io::Result<Option<Vec<u8>>> {
    read_up_to(pid, file, FILE_LIMIT)
}

/// [`read`], for the mount table, which is longer where many containers run.
pub(crate) fn read_long(pid: u32, file: &str) -> io::Result<Option<Vec<u8>>> {
    read_up_to(pid, file, TABLE_LIMIT)
}

fn read_up_to(pid: u32, file: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let path = format!("/proc/{pid}/{file}");
    let mut bytes = Vec::new();
    let read = fs::File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error).context(|| format!("cannot read {path}")),
    }
}

/// Every pid in /proc, ascending.
pub(crate) fn pids() -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc").context(|| "cannot list /proc".into())? {
        let entry = entry.context(|| "cannot list /proc".into())?;
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            pids.push(pid);
        }
    }
    pids.sort_unstable();
    Ok(pids)
}

#[cfg(test)]
mod tests;
