//! Looks at the system with nothing but files: what Fracas says of itself is not asked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Guardians of this test process, by pid.
static GUARDIANS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Remembers a guardian of ours.
pub(crate) fn remember(guardian: u32) {
    GUARDIANS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(guardian);
}

/// Whether this was a guardian of ours.
pub(crate) fn was_ours(pid: u32) -> bool {
    GUARDIANS.lock().unwrap_or_else(PoisonError::into_inner).contains(&pid)
}

/// Whether a process of this name is one of Fracas, and no target of the lab.
pub(crate) fn is_ours(comm: &str) -> bool {
    comm.starts_with("fracas") && !comm.starts_with("fracas-lab")
}

/// A file's text without the blanks around; `None` if it cannot be read.
pub(crate) fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// What is in a directory, by name: for a file its number and its bytes in short.
pub(crate) fn files_in(directory: &Path) -> Vec<(String, String)> {
    use std::hash::{DefaultHasher, Hasher};
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let mut hash = DefaultHasher::new();
            hash.write(&std::fs::read(entry.path()).unwrap_or_default());
            let number = entry.metadata().map_or(0, |metadata| metadata.ino());
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, format!("inode {number}, {:016x}", hash.finish()))
        })
        .collect();
    files.sort();
    files
}

/// The directories of a process's control groups, one per hierarchy that is mounted where it usually is. Not the roots, which are
/// everybody's.
pub(crate) fn groups_of(pid: u32) -> Vec<PathBuf> {
    let Some(text) = read(format!("/proc/{pid}/cgroup")) else {
        return Vec::new();
    };
    let mut groups = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        if path == "/" {
            continue;
        }
        // cgroups(7): version 2 has no controllers in its line. Its mount is the root, or `unified` beside version 1.
        let mounts: &[&str] = if controllers.is_empty() {
            &["", "unified"]
        } else {
            &[controllers]
        };
        for mount in mounts {
            let directory = Path::new("/sys/fs/cgroup")
                .join(mount)
                .join(path.trim_start_matches('/'));
            if directory.join("cgroup.procs").exists() {
                groups.push(directory);
            }
        }
    }
    groups
}

/// A file of one of a process's control groups: the first group that has it.
pub(crate) fn cgroup_file(pid: u32, file: &str) -> Option<PathBuf> {
    groups_of(pid)
        .into_iter()
        .map(|group| group.join(file))
        .find(|path| path.exists())
}

/// The names of the groups directly below a group.
pub(crate) fn children_of(group: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(group)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    names
}

/// Every control group of the machine whose name begins so.
pub(crate) fn groups_named(prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = open.pop() {
        for name in children_of(&directory) {
            let path = directory.join(&name);
            if name.starts_with(prefix) {
                found.push(path.display().to_string());
            }
            open.push(path);
        }
    }
    found
}

/// Whether the process is stopped by a signal.
pub(crate) fn is_stopped(pid: u32) -> bool {
    state(pid) == Some('T')
}

/// The state letter of `proc_pid_stat(5)`; `None` if there is no such process.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = read(format!("/proc/{pid}/stat"))?;
    // The name may hold anything; the last parenthesis ends it.
    stat.rsplit_once(") ")?.1.chars().next()
}
