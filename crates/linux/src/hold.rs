//! Holding memory, so that it counts and stays: the body of the `memory_stress` worker, and how it looks from outside.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::error::{Context, is_gone};
use crate::process;

/// A page: what the kernel keeps or gives up as one.
const PAGE: usize = 4096;
/// So much is taken between two looks whether it is still wanted.
const CHUNK: usize = 4 << 20;
/// Of its time, the worker spends one part in so many on touching what it holds.
const TOUCH_SHARE: u32 = 20;
/// Not more often than this, for a small holding costs nothing either way.
const TOUCH_PAUSE: Duration = Duration::from_secs(1);
/// The name of the file without a name, which shows in /proc/PID/fd.
const NAME: &str = "fracas-hold";

/// To whom the memory belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// To the process: it counts for its size, by which the kernel's memory killer chooses.
    Process,
    /// To the control group alone. The pages are those of a memory file (memfd_create(2)) that is mapped nowhere: they are charged to
    /// the group of who writes them, and count for the size of no process (`oom_badness` in mm/oom_kill.c adds up what is mapped).
    Group,
}

/// Memory that is held. It goes with the value, and with the process.
#[derive(Debug)]
pub struct Held {
    store: Store,
    pages: u64,
}

#[derive(Debug)]
enum Store {
    Heap(Vec<Vec<u8>>),
    File(File),
}

impl Held {
    /// Nothing yet.
    pub fn new(owner: Owner) -> io::Result<Self> {
        let store = match owner {
            Owner::Process => Store::Heap(Vec::new()),
            Owner::Group => {
                let file = memfd_create(NAME, MemfdFlags::CLOEXEC).context(|| "cannot make a memory file".into())?;
                Store::File(file.into())
            }
        };
        Ok(Self { store, pages: 0 })
    }

    /// Takes so much, rounded up to whole pages, until `keep_going` says no; it is asked every 4 MiB. Whether it was all.
    ///
    /// # Errors
    /// The kernel gives no more: what was taken until then is still held.
    pub fn take(&mut self, bytes: u64, keep_going: impl Fn() -> bool) -> io::Result<bool> {
        let mut left = bytes.div_ceil(PAGE as u64) * PAGE as u64;
        while left > 0 {
            if !keep_going() {
                return Ok(false);
            }
            let chunk = left.min(CHUNK as u64);
            self.take_chunk(chunk as usize)
                .context(|| format!("cannot take the last {left} of {bytes} bytes of memory"))?;
            left -= chunk;
        }
        Ok(true)
    }

    fn take_chunk(&mut self, bytes: usize) -> io::Result<()> {
        let first = self.pages;
        let pages = bytes / PAGE;
        let chunk = || {
            let mut chunk = Vec::new();
            chunk.try_reserve_exact(bytes).map_err(io::Error::other)?;
            let mut page = noise();
            for number in first..first + pages as u64 {
                page[..8].copy_from_slice(&number.to_le_bytes());
                chunk.extend_from_slice(&page);
            }
            Ok::<_, io::Error>(chunk)
        };
        match &mut self.store {
            Store::Heap(all) => all.push(chunk()?),
            Store::File(file) => file.write_all_at(&chunk()?, first * PAGE as u64)?,
        }
        self.pages += pages as u64;
        Ok(())
    }

    /// Touches each page, so that none becomes the one that was not used for longest; that takes the pages out of swap, too.
    pub fn touch(&mut self) -> io::Result<()> {
        match &mut self.store {
            Store::Heap(all) => {
                // The word behind the number, so that pages stay different.
                for page in all.iter_mut().flat_map(|chunk| chunk.chunks_mut(PAGE)) {
                    page[8] = std::hint::black_box(page[8].wrapping_add(1));
                }
            }
            Store::File(file) => {
                let mut word = [0];
                for page in 0..self.pages {
                    file.read_exact_at(&mut word, page * PAGE as u64)
                        .context(|| "cannot read what is held".into())?;
                }
            }
        }
        Ok(())
    }

    /// Touches everything again and again until `pause` says no; it is given how long to wait until the next time.
    pub fn keep(&mut self, mut pause: impl FnMut(Duration) -> bool) -> io::Result<()> {
        let mut next = TOUCH_PAUSE;
        while pause(next) {
            let begun = Instant::now();
            self.touch()?;
            next = (begun.elapsed() * TOUCH_SHARE).max(TOUCH_PAUSE);
        }
        Ok(())
    }
}

/// A page that can neither be compressed (zram) nor be equal to another once it has a number (KSM).
fn noise() -> [u8; PAGE] {
    let mut page = [0; PAGE];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for word in page.chunks_exact_mut(8) {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    page
}

/// How much memory a process holds, seen from outside: what is resident of its own pages, and of memory files made here. `None`: it
/// has ended.
pub fn held_by(pid: u32) -> io::Result<Option<u64>> {
    let Some(status) = process::read(pid, "status")? else {
        return Ok(None);
    };
    // A zombie has no memory and no such line.
    let mut held = anonymous(&String::from_utf8_lossy(&status)).unwrap_or(0);
    let directory = format!("/proc/{pid}/fd");
    let list = || format!("cannot list {directory}");
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error).context(list),
    };
    for entry in entries {
        let path = entry.context(list)?.path();
        // A descriptor that was closed since it was listed holds nothing.
        let Ok(to) = fs::read_link(&path) else { continue };
        if to.to_string_lossy().starts_with(&format!("/memfd:{NAME}"))
            && let Ok(file) = fs::metadata(&path)
        {
            // In units of 512 bytes, whatever the file system has: inode(7).
            held += file.blocks() * 512;
        }
    }
    Ok(Some(held))
}

/// What `/proc/PID/status` says of the resident anonymous pages, in bytes (proc_pid_status(5); since Linux 4.5).
fn anonymous(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::*;

    /// What one test takes, another must not see as its own, where all run in one process.
    fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    const SIZE: u64 = 24 << 20;

    fn own() -> u64 {
        held_by(std::process::id()).unwrap().unwrap()
    }

    #[test]
    fn what_is_taken_is_there_and_goes_with_its_value() {
        let _alone = alone();
        for owner in [Owner::Process, Owner::Group] {
            let before = own();
            let mut held = Held::new(owner).unwrap();
            assert!(held.take(SIZE - 1, || true).unwrap());
            assert_eq!(held.pages * PAGE as u64, SIZE);
            let full = own();
            held.touch().unwrap();
            drop(held);
            let after = own();
            // Other tests of this program take a little meanwhile.
            assert!(full >= before + SIZE / 100 * 95, "{owner:?}: {before} and then {full}");
            assert!(after <= full - SIZE / 100 * 90, "{owner:?}: {full} and then {after}");
        }
    }

    #[test]
    fn it_stops_when_it_is_not_wanted_any_more() {
        let _alone = alone();
        let mut held = Held::new(Owner::Process).unwrap();
        let asked = std::cell::Cell::new(0);
        let all = held.take(1 << 40, || {
            asked.set(asked.get() + 1);
            asked.get() <= 2
        });
        assert!(!all.unwrap());
        assert_eq!(held.pages * PAGE as u64, 2 * CHUNK as u64);
        let mut pauses = Vec::new();
        held.keep(|pause| {
            pauses.push(pause);
            pauses.len() < 3
        })
        .unwrap();
        assert!(
            pauses.len() == 3 && pauses.iter().all(|pause| *pause >= TOUCH_PAUSE),
            "{pauses:?}"
        );
    }

    #[test]
    fn no_page_is_like_another() {
        let _alone = alone();
        let mut held = Held::new(Owner::Process).unwrap();
        held.take(4 * CHUNK as u64, || true).unwrap();
        held.touch().unwrap();
        let Store::Heap(all) = &held.store else {
            panic!("it belongs to the process");
        };
        let pages: std::collections::BTreeSet<_> = all.iter().flat_map(|chunk| chunk.chunks(PAGE)).collect();
        assert_eq!(pages.len() as u64, held.pages);
        // As many different bytes as noise has.
        let different: std::collections::BTreeSet<_> = noise().into_iter().collect();
        assert!(different.len() > 240, "{}", different.len());
    }

    #[test]
    fn who_is_not_there_holds_nothing() {
        assert_eq!(held_by(u32::MAX).unwrap(), None);
    }
}
