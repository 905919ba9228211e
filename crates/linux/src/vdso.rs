//! The clock that a process sees: the functions of the vDSO (vdso(7)), by which programs ask for the time without a system call.
//!
//! The kernel maps the same pages of code into every process. Written to by a debugger they become the process's own (copy on write), so
//! that the answers of one process can be changed and nobody else's. Three functions tell the time of day: `clock_gettime`,
//! `gettimeofday` and `time`. Each is made to begin with a jump to code of ours, in the zeros behind the end of the kernel's image. That
//! code asks the kernel by system call and adds the offset. Monotonic clocks pass as they are.
//!
//! Everything is done while all threads of the process are held by ptrace(2). The code is complete before the first jump leads to it, and
//! each jump is written in one piece: who is killed at any moment leaves a process that goes on, and pages that say what was done to
//! them. A child that is forked inherits the changed pages; exec(2) brings fresh ones.
//!
//! What asks the kernel directly is not reached; nor is what runs in 32 bits, whose vDSO is another one.

mod code;
mod image;
mod threads;

use std::io;
use std::time::{Duration, Instant};

use fracas_core::target::ProcessIdentity;

use crate::error::invalid;
use crate::process;
use code::Code;
pub use code::LONGEST_NAME;
use image::{Image, Pages};
use threads::Threads;

/// How long the threads of a process may take to be held, and to leave the code that is changed. One that is in the middle of vfork(2)
/// or waits uninterruptibly for a device cannot be held until that is over.
const LIMIT: Duration = Duration::from_secs(2);
/// The memory of who calls this may be locked, also that of its threads.
const STACK: usize = 256 << 10;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(1);

/// How many functions tell the time of day.
pub const FUNCTIONS: usize = 3;

/// What the vDSO of a process is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clock {
    /// As the kernel made it.
    Original,
    /// Code of ours is there.
    Skewed {
        /// Under which name it was put there.
        name: String,
        /// By how many nanoseconds its answers are later than the kernel's. Negative: earlier.
        offset: i64,
        /// How many of the [`FUNCTIONS`] lead to it. With 0 it has no effect.
        functions: usize,
    },
    /// Neither: another program has changed it, or it is not the one of 64 bits.
    Foreign,
    /// There is none: the kernel was told to make none (`vdso=0`), or the process has unmapped it.
    None,
}

/// What the vDSO of a process is like. `None`: there is no such process, or it has no memory any more.
pub fn clock(pid: u32) -> io::Result<Option<Clock>> {
    let image = Image::own()?;
    Ok(Pages::of(pid, image.length())?.map(|pages| image.compare(&pages)))
}

/// A place of a vDSO whose bytes are neither the kernel's nor ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Which.
    pub place: String,
    /// The kernel's bytes, in hexadecimal.
    pub original: String,
    /// Ours.
    pub ours: String,
    /// Those that are there.
    pub found: String,
}

/// What a stranger has made of the vDSO of a process. `None`: nothing, or there is no such process, or no vDSO like the kernel's.
pub fn foreign(pid: u32) -> io::Result<Option<Foreign>> {
    let image = Image::own()?;
    let pages = Pages::of(pid, image.length())?;
    Ok(pages.and_then(|pages| image.foreign(&pages)))
}

/// Shifts the clock of a process, under a name. False: there is no such process. What is there under the same name is completed.
///
/// The name is at most [`LONGEST_NAME`] bytes long.
pub fn skew(process: &ProcessIdentity, name: &str, offset: i64) -> io::Result<bool> {
    let image = Image::own()?;
    let code = Code::new(name, offset).ok_or_else(|| invalid(format!("{name:?} is no name for a clock")))?;
    held(process, |threads| {
        let Some(pages) = Pages::of(process.pid, image.length())? else {
            return Ok(Some(false));
        };
        match image.compare(&pages) {
            Clock::Original => {}
            Clock::Skewed { name: there, .. } if there == name => {}
            found => return Err(io::Error::other(format!("{process} has {}", found.describe()))),
        }
        if threads.any_within(&image.beginnings(&pages))? {
            return Ok(None);
        }
        pages.write(image.room(), code.bytes())?;
        for (function, at) in image.functions() {
            pages.write(at, &image.jump(at, function))?;
        }
        Ok(Some(true))
    })
}

/// Gives a process its own clock back, if it was shifted under this name: every place that still holds what we wrote there; what a
/// stranger has written is left. False: there was nothing to do.
pub fn unskew(process: &ProcessIdentity, name: &str) -> io::Result<bool> {
    let image = Image::own()?;
    let ours = |pages: &Pages| pages.begins(image.room(), name);
    // Looked at first: to hold a process is to disturb it.
    if !Pages::of(process.pid, image.length())?.as_ref().is_some_and(ours) {
        return Ok(false);
    }
    let mut led_back = false;
    held(process, |threads| {
        let Some(pages) = Pages::of(process.pid, image.length())?.filter(ours) else {
            return Ok(Some(led_back));
        };
        if !led_back {
            if threads.any_within(&image.beginnings(&pages))? {
                return Ok(None);
            }
            for (_, at) in image.jumps(&pages) {
                pages.write(at, image.original(at))?;
            }
            led_back = true;
        }
        // Who is still in our code leaves it soon: it waits for nothing.
        let code = pages.range(image.room(), Code::LENGTH);
        if threads.any_within(std::slice::from_ref(&code))? || threads.any_returns_to(&code)? {
            return Ok(None);
        }
        pages.write(image.room(), &[0; Code::LENGTH])?;
        Ok(Some(true))
    })
}

/// All processes whose clocks were shifted under this name, also those that nobody planned: children inherit it.
pub fn skewed(name: &str) -> io::Result<Vec<ProcessIdentity>> {
    let image = Image::own()?;
    let mut found = Vec::new();
    for pid in process::pids()? {
        let Some(identity) = process::identity(pid)? else {
            continue;
        };
        // Of a process that this one may not look at nothing can be said; who shifts clocks may look at all.
        let pages = match Pages::of(pid, image.length()) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
            pages => pages?,
        };
        if pages.is_some_and(|pages| pages.begins(image.room(), name)) {
            found.push(identity);
        }
    }
    Ok(found)
}

/// Does something while all threads of the process are held, again and again until it says that it is done. False: there is no such
/// process.
fn held(
    process: &ProcessIdentity,
    mut work: impl FnMut(&Threads) -> io::Result<Option<bool>> + Send,
) -> io::Result<bool> {
    let began = Instant::now();
    // Whoever holds a thread is a thread, too; what it held goes on when it ends.
    let holder = || loop {
        let left = LIMIT.saturating_sub(began.elapsed());
        if process::identity(process.pid)?.as_ref() != Some(process) {
            return Ok(false);
        }
        let Some(threads) = Threads::hold(process.pid, left)? else {
            return Ok(false);
        };
        // Held, it is the one that it was: the pid cannot change hands any more.
        if process::identity(process.pid)?.as_ref() != Some(process) {
            return Ok(false);
        }
        let done = work(&threads)?;
        drop(threads);
        if let Some(done) = done {
            return Ok(done);
        }
        if left.is_zero() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("a thread of {process} did not leave the functions of the clock"),
            ));
        }
        std::thread::park_timeout(PAUSE);
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("fracas-clock".to_owned())
            .stack_size(STACK);
        thread
            .spawn_scoped(scope, holder)?
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that held it panicked")))
    })
}

impl Clock {
    /// As in a sentence that begins with "it has".
    pub fn describe(&self) -> String {
        match self {
            Self::Original => "the clock of the machine".to_owned(),
            Self::Skewed { name, .. } => format!("a clock that was shifted by {name}"),
            Self::Foreign => "a vDSO that another program has changed, or one of 32 bits".to_owned(),
            Self::None => "no vDSO".to_owned(),
        }
    }
}
