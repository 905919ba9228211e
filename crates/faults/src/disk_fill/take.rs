//! Taking room for a file, and holding it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use fracas_linux::error::errno;
use fracas_linux::file::allocate_at;
use fracas_linux::memory::Memory;
use tokio::sync::oneshot;

use crate::Note;
use crate::say::mib;

/// So much is taken in one go: so long, at most, the file stays open after it was called off.
const CHUNK: u64 = 64 << 20;
/// Where the disk is nearly full, no piece is smaller than this.
const CRUMB: u64 = 64 << 10;
/// So much is written in one go where room cannot be taken without writing.
const BLOCK: usize = 1 << 20;
/// Of a disk that is filled to its end, so much may be missing: others write to it, too.
const SHARE: f64 = 0.99;
const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;
const EOPNOTSUPP: i32 = 95;

/// What is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) bytes: u64,
    /// Whether the room is memory.
    pub(super) memory: bool,
}

/// Marks the file, takes the room, tells how that went, and then holds the file until this is dropped.
pub(super) async fn take_and_hold(
    file: File,
    mark: &[u8],
    wanted: Wanted,
    tell: oneshot::Sender<io::Result<()>>,
    note: Note,
) {
    let file = Arc::new(file);
    let taken = match file.write_all_at(mark, 0) {
        Ok(()) => take(&file, wanted).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &taken {
        note.say(error.to_string());
    }
    let failed = taken.is_err();
    // After some time nobody waits for it any more.
    let _nobody_waits = tell.send(taken);
    if !failed {
        std::future::pending::<()>().await;
    }
    drop(file);
}

async fn take(file: &Arc<File>, wanted: Wanted) -> io::Result<()> {
    take_in(file, wanted, CHUNK).await
}

async fn take_in(file: &Arc<File>, wanted: Wanted, mut chunk: u64) -> io::Result<()> {
    let bytes = wanted.bytes;
    let mut at = 0;
    while at < bytes {
        let length = chunk.min(bytes - at);
        // Fills that are planned at the same time must not take together what the machine could spare for each.
        if wanted.memory && Memory::now()?.spare() < length {
            return Err(io::Error::other(format!(
                "the machine had no more memory to spare after {} of {}",
                mib(at),
                mib(bytes)
            )));
        }
        let piece = Arc::clone(file);
        // Disks take their time, and the guardian has others to look after.
        let done = tokio::task::spawn_blocking(move || take_piece(&piece, at, length)).await;
        match done.map_err(io::Error::other)? {
            Ok(()) => at += length,
            Err(error) if is_full(&error) && chunk > CRUMB => chunk /= 2,
            Err(error) if is_full(&error) && at as f64 >= bytes as f64 * SHARE => return Ok(()),
            Err(error) if is_full(&error) => {
                return Err(io::Error::other(format!(
                    "the disk was full after {} of {}: somebody else took room, or there is a quota",
                    mib(at),
                    mib(bytes)
                )));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn take_piece(file: &File, at: u64, length: u64) -> io::Result<()> {
    match allocate_at(file, at, length) {
        // A file system without fallocate(2): what is written and on disk has room.
        Err(error) if errno(&error) == Some(EOPNOTSUPP) => write_piece(file, at, length),
        taken => taken,
    }
}

fn write_piece(file: &File, at: u64, length: u64) -> io::Result<()> {
    let block = noise();
    // The beginning holds the mark.
    let mut next = if at == 0 { CRUMB.min(length) } else { at };
    while next < at + length {
        let part = (block.len() as u64).min(at + length - next);
        file.write_all_at(&block[..part as usize], next)?;
        next += part;
    }
    file.sync_data()
}

/// What cannot be compressed.
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = Vec::with_capacity(BLOCK);
    while block.len() < BLOCK {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    block
}

fn is_full(error: &io::Error) -> bool {
    matches!(errno(error), Some(ENOSPC | EDQUOT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fracas_linux::unnamed::room_taken;

    #[test]
    fn what_cannot_be_allocated_is_written_behind_the_mark() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"mark", 0).unwrap();
        write_piece(&file, 0, 3 << 20).unwrap();
        write_piece(&file, 3 << 20, 100_000).unwrap();
        assert_eq!(file.metadata().unwrap().len(), (3 << 20) + 100_000);
        assert!(room_taken(&file).unwrap() >= 3 << 20);
        let mut start = [0; 4];
        file.read_exact_at(&mut start, 0).unwrap();
        assert_eq!(&start, b"mark");
    }

    #[test]
    fn full_disks_are_told_from_other_errors() {
        assert!(is_full(&io::Error::from_raw_os_error(ENOSPC)) && is_full(&io::Error::from_raw_os_error(EDQUOT)));
        assert!(!is_full(&io::Error::from_raw_os_error(5)) && !is_full(&io::Error::other("x")));
    }

    #[tokio::test]
    async fn what_fails_is_told_and_the_file_is_not_held() {
        let named = tempfile::NamedTempFile::new().unwrap();
        let only_read = File::open(named.path()).unwrap();
        let (tell, told) = oneshot::channel();
        let note = Note::default();
        let wanted = Wanted {
            bytes: 1 << 20,
            memory: false,
        };
        take_and_hold(only_read, b"mark", wanted, tell, note.clone()).await;
        assert!(told.await.unwrap().is_err());
        assert!(!note.said().is_empty());
    }

    #[tokio::test]
    async fn memory_is_not_taken_beyond_what_the_machine_can_spare() {
        // Of one that is open for reading only, nothing could be taken anyway.
        let named = tempfile::NamedTempFile::new().unwrap();
        let file = Arc::new(File::open(named.path()).unwrap());
        let spare = Memory::now().unwrap().spare();
        // A single piece that is larger than that: nothing is taken at all.
        let wanted = Wanted {
            bytes: u64::MAX / 2,
            memory: true,
        };
        let refused = take_in(&file, wanted, spare.max(1) * 2).await.unwrap_err();
        assert!(
            refused.to_string().contains("no more memory to spare after 0.0MiB"),
            "{refused}"
        );
    }
}
