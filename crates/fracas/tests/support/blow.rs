//! The ways in which a runner, or more, is struck.

use std::io;

use fracas_lab::{TestGroup, TestProcess};
use fracas_linux::cgroup::{Controller, Version};
use fracas_linux::process::Process;

use super::{LIMIT, Run, is_stopped, read, soon};

const KILL: i32 = 9;
const CONT: i32 = 18;
const STOP: i32 = 19;

/// A blow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blow {
    /// SIGKILL of the runner.
    Kill,
    /// SIGSTOP of the runner.
    Stop,
    /// The kernel's killer takes the runner, because its control group has no memory left.
    Oom,
    /// SIGKILL of runner and guardian together; `fracas recover` cleans.
    Both,
}

impl Blow {
    pub(crate) const ALL: [Self; 4] = [Self::Kill, Self::Stop, Self::Oom, Self::Both];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Oom => "OOM",
            Self::Both => "BOTH",
        }
    }

    /// Strikes.
    pub(crate) fn strike(self, run: &Run, guardian: &Process, trap: Option<&Trap>) {
        match self {
            Self::Kill => signal(run.process(), KILL),
            Self::Stop => signal(run.process(), STOP),
            Self::Oom => trap.expect("a trap was set").spring(),
            Self::Both => {
                // The runner must not see its guardian die and start another: it is stopped first.
                signal(run.process(), STOP);
                // If this test gets no processor for as long as the lease, the guardian has ended the runner by now.
                soon(LIMIT, "the runner is stopped or gone", || {
                    (is_stopped(run.pid()) || run.process().has_ended().unwrap()).then_some(())
                });
                signal(guardian, KILL);
                signal(run.process(), KILL);
                assert!(guardian.wait(LIMIT).unwrap() && run.process().wait(LIMIT).unwrap());
            }
        }
    }
}

/// Sends a signal to a process that has not been waited for.
pub(crate) fn signal(process: &Process, number: i32) {
    process.signal(number).unwrap();
}

/// A control group with little memory, for a runner, and a process in it that will take all of it.
pub(crate) struct Trap {
    hog: Process,
    // Dropped in this order: the process, then its group.
    _taker: TestProcess,
    group: TestGroup,
}

/// What runner and hog may have together, in MiB. The runner has by far the less.
const ROOM: u64 = 32;

impl Trap {
    /// Sets a trap. `None` where no control group for memory can be made.
    pub(crate) fn set() -> io::Result<Option<Self>> {
        let Some(group) = TestGroup::new(&[Controller::Memory])? else {
            return Ok(None);
        };
        let taker = TestProcess::run(["fill", &(2 * ROOM).to_string()])?;
        let hog = Process::open(taker.identity())?.expect("it was just started");
        // It waits for SIGUSR1 before it takes anything, once it listens: SigCgt in proc_pid_status(5), bit 9 is SIGUSR1.
        soon(LIMIT, "the hog listens", || {
            let status = read(format!("/proc/{}/status", taker.pid()))?;
            let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
            let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
            (mask & (1 << 9) != 0).then_some(())
        });
        group.add(&taker)?;
        let memory = group.group(Controller::Memory).expect("it was asked for");
        let room = (ROOM << 20).to_string();
        let (limit, swap, none) = match memory.version() {
            Version::V1 => ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", room.as_str()),
            Version::V2 => ("memory.max", "memory.swap.max", "0"),
        };
        memory.write(limit, &room)?;
        if memory.has(swap)? {
            memory.write(swap, none)?;
        }
        Ok(Some(Self {
            hog,
            _taker: taker,
            group,
        }))
    }

    /// Puts a runner into it. Of all in the group the kernel takes the one with the highest score first, see
    /// `proc_pid_oom_score_adj(5)`; whoever the runner started before this keeps its own score.
    pub(crate) fn take(&self, run: &Run) {
        let memory = self.group.group(Controller::Memory).expect("it was asked for");
        memory.add(run.pid()).unwrap();
        std::fs::write(format!("/proc/{}/oom_score_adj", run.pid()), "1000").unwrap();
    }

    /// The memory is used up.
    fn spring(&self) {
        const USR1: i32 = 10;
        signal(&self.hog, USR1);
    }
}

/// Lets a stopped process go on.
pub(crate) fn go_on(process: &Process) {
    signal(process, CONT);
}
