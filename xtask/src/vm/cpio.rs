//! Archives as the kernel unpacks them before anything else: cpio in its "new ASCII" form
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

/// Kinds of files, as `stat(2)` has them.
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const DEVICE: u32 = 0o020_000;

/// An archive that grows.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    count: u32,
}

impl Archive {
    /// Adds a directory; what is in it comes after it.
    pub(super) fn directory(&mut self, path: &str) {
        self.entry(path, DIRECTORY | 0o755, (0, 0), &[]);
    }

    /// Adds a program, or any other file that everybody may read and run.
    pub(super) fn file(&mut self, path: &str, bytes: &[u8]) {
        self.entry(path, FILE | 0o755, (0, 0), bytes);
    }

    /// Adds a character device.
    pub(super) fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, DEVICE | 0o600, (major, minor), &[]);
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, (major, minor): (u32, u32), bytes: &[u8]) {
        self.count += 1;
        let length = bytes.len() as u32;
        let name = path.len() as u32 + 1;
        // inode, mode, uid, gid, links, mtime, size, device of the file, device that it is, length of the name, check sum.
        let numbers = [self.count, mode, 0, 0, 1, 0, length, 0, 0, major, minor, name, 0];
        self.bytes.extend_from_slice(b"070701");
        for number in numbers {
            self.bytes.extend_from_slice(format!("{number:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::children;

    /// The reader is somebody else's.
    #[test]
    fn cpio_reads_what_is_written() {
        let Some(busybox) = children::find("busybox") else {
            assert!(std::env::var_os("CI").is_none(), "busybox is missing");
            println!("skipped: busybox is missing");
            return;
        };
        let mut archive = Archive::default();
        archive.directory("dev");
        archive.device("dev/console", 5, 1);
        archive.file("init", b"#!/bin/x");
        archive.file("empty", b"");
        let mut child = Command::new(busybox)
            .args(["cpio", "-t", "-v"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&archive.finish()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_ascii_whitespace().collect())
            .collect();
        let names: Vec<_> = lines.iter().map(|line| line[line.len() - 1]).collect();
        assert_eq!(names, ["dev", "dev/console", "init", "empty"], "{text}");
        assert!(
            lines[0][0].starts_with("drwx") && lines[1][0].starts_with("crw-"),
            "{text}"
        );
        assert!(lines[2].contains(&"8") && lines[2][0] == "-rwxr-xr-x", "{text}");
        assert!(output.status.success());
    }
}
