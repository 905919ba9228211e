//! All threads of a process, held by ptrace(2) as long as a value lives.
//!
//! A thread is seized and interrupted, which sends it no signal; a system call that it waits in begins anew when it goes on, or returns
//! `EINTR` where it does so after a SIGCONT, too (signal(7)). What it was about to be told by a signal it is told when it goes on. If the
//! holder dies, the kernel lets go of all (`exit_ptrace` in kernel/ptrace.c).

use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use crate::error::{Context, is_gone};

const PAUSE: Duration = Duration::from_micros(200);
/// How much of a stack is searched. The frame of a signal handler is about 4 KiB long with all registers of vectors, and may lie below
/// what the handler has called.
const STACK: usize = 64 << 10;

/// Threads that do not run.
pub(super) struct Threads {
    pid: u32,
    held: Vec<Held>,
    /// ptrace(2) knows the thread that holds, and no other.
    _of_this_thread: PhantomData<*const ()>,
}

struct Held {
    tid: i32,
    /// The signal that it was about to be told.
    signal: i32,
}

/// What became of a thread that was asked to stop.
enum Asked {
    Stopped(i32),
    Ended,
    NotYet,
}

impl Threads {
    /// Holds all of them. `None`: there is no such process.
    pub(super) fn hold(pid: u32, limit: Duration) -> io::Result<Option<Self>> {
        let began = Instant::now();
        let mut threads = Self {
            pid,
            held: Vec::new(),
            _of_this_thread: PhantomData,
        };
        loop {
            let Some(found) = tasks(pid)? else { return Ok(None) };
            let new: Vec<i32> = found.into_iter().filter(|tid| !threads.holds(*tid)).collect();
            // Whoever could have made another one was held when the list was read.
            if new.is_empty() {
                return Ok((!threads.held.is_empty()).then_some(threads));
            }
            for tid in new {
                if !ask(tid)? {
                    continue;
                }
                loop {
                    match asked(tid)? {
                        Asked::Stopped(signal) => {
                            threads.held.push(Held { tid, signal });
                            break;
                        }
                        Asked::Ended => break,
                        Asked::NotYet if began.elapsed() > limit => {
                            return Err(io::Error::new(
                                io::ErrorKind::TimedOut,
                                format!("thread {tid} of pid {pid} cannot be held: it waits for the kernel"),
                            ));
                        }
                        Asked::NotYet => std::thread::park_timeout(PAUSE),
                    }
                }
            }
        }
    }

    fn holds(&self, tid: i32) -> bool {
        self.held.iter().any(|held| held.tid == tid)
    }

    /// Whether any of them is about to run something there.
    pub(super) fn any_within(&self, ranges: &[Range<u64>]) -> io::Result<bool> {
        for held in &self.held {
            let Some(at) = registers(held.tid)?.map(|registers| registers.rip) else {
                continue;
            };
            if ranges.iter().any(|range| range.contains(&at)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether any of them may come back there: an address of it lies on its stack, as where a signal has interrupted it.
    pub(super) fn any_returns_to(&self, range: &Range<u64>) -> io::Result<bool> {
        let path = format!("/proc/{}/mem", self.pid);
        let memory = std::fs::File::open(&path).context(|| format!("cannot open {path}"))?;
        let mut bytes = vec![0; STACK];
        for held in &self.held {
            let Some(stack) = registers(held.tid)?.map(|registers| registers.rsp & !7) else {
                continue;
            };
            // Less where the stack ends sooner; nothing where it is none.
            let length = memory.read_at(&mut bytes, stack).unwrap_or(0);
            let mut words = bytes[..length].chunks_exact(8);
            if words.any(|word| range.contains(&u64::from_le_bytes(word.try_into().unwrap_or_default()))) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for held in &self.held {
            // One that was killed meanwhile needs nothing; what is not let go of here is let go of when this thread ends.
            let _gone = request(libc::PTRACE_DETACH, held.tid, held.signal as usize);
        }
    }
}

/// The threads of a process. `None`: there is no such process.
fn tasks(pid: u32) -> io::Result<Option<Vec<i32>>> {
    let path = format!("/proc/{pid}/task");
    let entries = match std::fs::read_dir(&path).context(|| format!("cannot list {path}")) {
        Err(error) if is_gone(&error) => return Ok(None),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        match entry.context(|| format!("cannot list {path}")) {
            Err(error) if is_gone(&error) => return Ok(None),
            entry => found.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok())),
        }
    }
    Ok(Some(found))
}

/// Asks a thread to stop. False: it has ended.
fn ask(tid: i32) -> io::Result<bool> {
    let what = || format!("thread {tid} cannot be held: is a debugger at it?");
    for kind in [libc::PTRACE_SEIZE, libc::PTRACE_INTERRUPT] {
        match request(kind, tid, 0) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
            // A zombie whose process lives on cannot be seized, and runs nothing (`ptrace_attach` in kernel/ptrace.c).
            Err(error) if error.raw_os_error() == Some(libc::EPERM) && has_ended(tid) => return Ok(false),
            asked => asked.context(what)?,
        }
    }
    Ok(true)
}

fn has_ended(tid: i32) -> bool {
    // A thread has a file of its own under /proc, which listings leave out (proc(5)).
    crate::process::status(tid as u32).is_ok_and(|status| status.is_none_or(|status| matches!(status.state, 'Z' | 'X')))
}

#[expect(unsafe_code, reason = "rustix waits for no thread of another process")]
fn asked(tid: i32) -> io::Result<Asked> {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    let answer = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL | libc::WNOHANG) };
    match answer {
        0 => Ok(Asked::NotYet),
        -1 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EINTR) => Ok(Asked::NotYet),
            // Somebody else has seen its end: the process that it belongs to has another first thread by exec(2).
            error if error.raw_os_error() == Some(libc::ECHILD) => Ok(Asked::Ended),
            error => Err(error),
        },
        _ if libc::WIFSTOPPED(status) => {
            // Stopped because it was asked to, or by job control, whose stop stays when it is let go of; or about to be told a signal.
            let event = status >> 16 == libc::PTRACE_EVENT_STOP;
            Ok(Asked::Stopped(if event { 0 } else { libc::WSTOPSIG(status) }))
        }
        _ => Ok(Asked::Ended),
    }
}

#[expect(unsafe_code, reason = "rustix has no ptrace(2)")]
fn request(kind: libc::c_uint, tid: i32, data: usize) -> io::Result<()> {
    // SAFETY: of the kinds that are asked for here none reads or writes memory of this process.
    match unsafe { libc::ptrace(kind, tid, 0_usize, data) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// `None`: it was killed meanwhile.
#[expect(unsafe_code, reason = "rustix has no ptrace(2)")]
fn registers(tid: i32) -> io::Result<Option<libc::user_regs_struct>> {
    // SAFETY: a struct of numbers, for which zeros are values.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills the struct, which outlives the call.
    match unsafe { libc::ptrace(libc::PTRACE_GETREGS, tid, 0_usize, &raw mut registers) } {
        -1 => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            error => Err(error).context(|| format!("cannot read the registers of thread {tid}")),
        },
        _ => Ok(Some(registers)),
    }
}
