//! What is mounted under a folder, from `/proc/self/mountinfo` (`proc_pid_mountinfo(5)`).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Mount points below a folder, the newest first, so that each can be unmounted in turn.
pub(super) fn under(folder: &Path) -> Result<Vec<PathBuf>> {
    let table = std::fs::read("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    Ok(points(&table, folder))
}

fn points(table: &[u8], folder: &Path) -> Vec<PathBuf> {
    let mut points: Vec<PathBuf> = table
        .split(|byte| *byte == b'\n')
        // The fifth field is the mount point.
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|field| PathBuf::from(OsString::from_vec(plain(field))))
        .filter(|point| point.starts_with(folder) && point != folder)
        .collect();
    points.reverse();
    points
}

/// Undoes the kernel's octal escapes of space, tab, newline and backslash (`fs/proc_namespace.c`, `mangle`).
fn plain(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                plain.push(byte);
                rest = &after[3..];
            }
            _ => {
                plain.push(first);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_mount_comes_first_and_strangers_are_left_out() {
        let table = b"\
22 27 0:21 / /proc rw - proc proc rw
90 27 0:50 / /tmp/e/data/overlay rw,relatime shared:1 - overlay overlay rw
91 90 0:51 / /tmp/e/data/overlay/a\\040b rw - tmpfs tmpfs rw
92 27 0:52 / /tmp/elsewhere rw - tmpfs tmpfs rw
93 27 0:53 / /tmp/e rw - tmpfs tmpfs rw
";
        assert_eq!(
            points(table, Path::new("/tmp/e")),
            [
                PathBuf::from("/tmp/e/data/overlay/a b"),
                PathBuf::from("/tmp/e/data/overlay")
            ]
        );
    }

    #[test]
    fn escapes_are_undone_and_other_backslashes_stay() {
        assert_eq!(plain(b"a\\040b\\134c"), b"a b\\c");
        assert_eq!(plain(b"a\\9"), b"a\\9");
        assert_eq!(plain(b"0401"), b"0401");
    }

    #[test]
    fn the_real_table_is_read() {
        assert!(under(Path::new("/")).unwrap().contains(&PathBuf::from("/proc")));
    }
}
