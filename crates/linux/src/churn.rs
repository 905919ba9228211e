//! Reading and writing a disk, past the page cache: the body of the `disk_io` worker, and how it looks from outside.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, fadvise};

use crate::error::{Context, invalid};
use crate::{process, unnamed};

/// What O_DIRECT wants addresses, lengths and offsets to be multiples of, on any disk that there is (open(2)).
pub const ALIGNMENT: usize = 4096;

/// What is done with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only reading.
    Read,
    /// Only writing.
    Write,
    /// Both in turn.
    Both,
}

/// A file that is read and written in blocks, in an order that no disk foresees.
#[derive(Debug)]
pub struct Churn {
    file: File,
    direct: bool,
    blocks: u64,
    buffer: Vec<u8>,
    /// Where in the buffer the aligned part begins.
    start: usize,
    block: usize,
    state: u64,
    writes_next: bool,
}

impl Churn {
    /// Makes ready to read and write this empty file, up to `size` bytes, in blocks of `block` bytes. All of it is written once, for
    /// what was never written is read without the disk.
    ///
    /// # Errors
    /// A block that is no multiple of [`ALIGNMENT`], or larger than the file; what the disk refused.
    pub fn new(file: File, size: u64, block: usize) -> io::Result<Self> {
        if block == 0
            || !block.is_multiple_of(ALIGNMENT)
            || block as u64 > size
            || !size.is_multiple_of(ALIGNMENT as u64)
        {
            return Err(invalid(format!(
                "blocks of {block} bytes do not suit a file of {size}: a multiple of {ALIGNMENT} does"
            )));
        }
        let buffer = vec![0x5a; block + ALIGNMENT];
        let mut churn = Self {
            direct: unnamed::go_direct(&file)?,
            file,
            blocks: size / block as u64,
            start: buffer.as_ptr().align_offset(ALIGNMENT),
            buffer,
            block,
            state: 0x9e37_79b9_7f4a_7c15,
            writes_next: true,
        };
        churn.fill(size)?;
        Ok(churn)
    }

    /// In large pieces, whatever the blocks are: a slow disk is not to be busy with it for long.
    fn fill(&mut self, size: u64) -> io::Result<()> {
        const PIECE: usize = 1 << 20;
        let buffer = vec![0xa5; PIECE + ALIGNMENT];
        let start = buffer.as_ptr().align_offset(ALIGNMENT);
        let mut at = 0;
        while at < size {
            let piece = (PIECE as u64).min(size - at) as usize;
            self.file
                .write_all_at(&buffer[start..start + piece], at)
                .context(|| "cannot write to the disk".into())?;
            at += piece as u64;
        }
        self.file.sync_data().context(|| "cannot write to the disk".into())
    }

    /// One operation.
    pub fn step(&mut self, kind: Kind) -> io::Result<()> {
        // Marsaglia's xorshift.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let number = self.state % self.blocks;
        let write = match kind {
            Kind::Read => false,
            Kind::Write => true,
            Kind::Both => {
                self.writes_next = !self.writes_next;
                !self.writes_next
            }
        };
        if write { self.write(number) } else { self.read(number) }
    }

    fn write(&mut self, number: u64) -> io::Result<()> {
        let what = || "cannot write to the disk".to_owned();
        let block = &mut self.buffer[self.start..self.start + self.block];
        // What was there already might not be written again by a clever disk.
        block[..8].copy_from_slice(&self.state.wrapping_add(number).to_le_bytes());
        let at = number * self.block as u64;
        self.file.write_all_at(block, at).context(what)?;
        if !self.direct {
            self.file.sync_data().context(what)?;
        }
        Ok(())
    }

    fn read(&mut self, number: u64) -> io::Result<()> {
        let what = || "cannot read from the disk".to_owned();
        let at = number * self.block as u64;
        if !self.direct {
            // What is in the cache is not read from the disk; everything there is written, so that it can go.
            let length = std::num::NonZeroU64::new(self.block as u64);
            fadvise(&self.file, at, length, Advice::DontNeed).context(what)?;
        }
        let block = &mut self.buffer[self.start..self.start + self.block];
        self.file.read_exact_at(block, at).context(what)
    }
}

/// What a process has made disks do since it began, see proc_pid_io(5). Not what the page cache answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes that were read from disks.
    pub read: u64,
    /// Bytes that were written to disks, or will be.
    pub written: u64,
    /// Calls that read.
    pub reads: u64,
    /// Calls that wrote.
    pub writes: u64,
}

/// What a process has made disks do. `None`: it has ended.
///
/// # Errors
/// A kernel without `CONFIG_TASK_IO_ACCOUNTING` does not count it.
pub fn traffic(pid: u32) -> io::Result<Option<Traffic>> {
    let Some(text) = process::read(pid, "io")? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&text);
    parse(&text)
        .map(Some)
        .ok_or_else(|| invalid(format!("/proc/{pid}/io is not in the form of proc_pid_io(5)")))
}

fn parse(text: &str) -> Option<Traffic> {
    let number = |name: &str| -> Option<u64> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().parse().ok()
    };
    Some(Traffic {
        read: number("read_bytes")?,
        written: number("write_bytes")?,
        reads: number("syscr")?,
        writes: number("syscw")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1 << 20;
    const BLOCK: usize = 16 << 10;

    /// What these steps did, with the cache and without it.
    fn done(kind: Kind, direct: bool) -> Traffic {
        let mut churn = Churn::new(tempfile::tempfile().unwrap(), SIZE, BLOCK).unwrap();
        churn.direct &= direct;
        let before = traffic(std::process::id()).unwrap().unwrap();
        for _ in 0..20 {
            churn.step(kind).unwrap();
        }
        let after = traffic(std::process::id()).unwrap().unwrap();
        Traffic {
            read: after.read - before.read,
            written: after.written - before.written,
            reads: after.reads - before.reads,
            writes: after.writes - before.writes,
        }
    }

    #[test]
    fn the_disk_does_what_is_asked() {
        let disk = crate::mount::Backing::of_path(&std::env::temp_dir()).unwrap();
        if disk.is_memory() {
            // Nothing to be seen: such files are never on a disk.
            return;
        }
        // Each test is a process of its own where nextest runs them; elsewhere others may do more, never less.
        let all = 20 * BLOCK as u64;
        assert!(done(Kind::Write, true).written >= all);
        assert!(done(Kind::Read, true).read >= all);
        let both = done(Kind::Both, true);
        assert!(both.written >= all / 2 && both.read >= all / 2, "{both:?}");
        assert!(both.reads >= 10 && both.writes >= 10, "{both:?}");
    }

    #[test]
    fn blocks_that_cannot_be_are_refused() {
        for (size, block) in [(SIZE, 0), (SIZE, 4095), (SIZE, 5000), (4096, 8192)] {
            assert!(
                Churn::new(tempfile::tempfile().unwrap(), size, block).is_err(),
                "{size} {block}"
            );
        }
        assert_eq!(traffic(u32::MAX).unwrap(), None);
        assert_eq!(parse("read_bytes: x\n"), None);
    }
}
