//! A runner that is killed, and one that is stopped: how long until everything is as it was.

use std::time::{Duration, Instant};

use fracas_guardian::lease::PATIENCE;
use fracas_lab::{TestGroup, TestProcess, eventually};
use fracas_linux::cgroup::{Controller, Version};
use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, waitpid};

use crate::figures::{Figures, table};
use crate::limited::{self, Limited};
use crate::run::{LIMIT, Running, document};

const SIGKILL: i32 = 9;
const SIGSTOP: i32 = 19;

pub(crate) fn section(rounds: usize) -> String {
    // Guardians come to us when their runner dies: not every machine's first process collects them, and each that lies there makes
    // every look through /proc longer.
    set_child_subreaper(Some(getpid())).unwrap();
    let mut rows = Vec::new();
    for count in [1, 100] {
        let Some(bounded) = Bounded::new(count) else {
            return String::new();
        };
        for (name, signal) in [("`kill -9`", SIGKILL), ("`kill -STOP`", SIGSTOP)] {
            let [mut dead, mut undone, mut clean, mut proven] = [(); 4].map(|()| Figures::times());
            for _ in 0..rounds {
                let took = strike(&bounded, signal);
                dead.took(took.dead);
                undone.took(took.clean.saturating_sub(took.dead));
                clean.took(took.clean);
                proven.took(took.proven);
            }
            let cells = [dead, undone, clean, proven].map(|all| all.to_string());
            rows.push([name.to_owned(), count.to_string()].into_iter().chain(cells).collect());
        }
    }
    format!(
        "## The runner is killed, or hangs\n\nProcesses, one `memory_limit` each; the blow falls as soon as all are on. A runner that \
         hangs lives on until its lease ends ({} ms unheard), is killed then, and nothing is undone before it is dead: of its times the \
         first is the lease. *Proven*: the guardian has certified that nothing is left, and is gone. A loop that is killed leaves what it \
         did: there is no peer.\n\n{}\n",
        PATIENCE.as_millis(),
        table(
            &[
                "blow",
                "targets",
                "blow to runner dead",
                "dead to all clean",
                "blow to all clean",
                "blow to proven"
            ],
            &rows
        )
    )
}

/// Times since the blow.
struct Took {
    dead: Duration,
    clean: Duration,
    proven: Duration,
}

fn strike(bounded: &Bounded, signal: i32) -> Took {
    let running = Running::start(&bounded.document(), None);
    running.until("on", &|| bounded.limited.are_on());
    let guardian = running.guardian();
    let struck = Instant::now();
    running.runner.signal(signal).unwrap();
    running.until("the runner's death", &|| running.runner.has_ended().unwrap());
    let dead = struck.elapsed();
    running.until("off", &|| bounded.limited.are_off());
    let clean = struck.elapsed();
    assert!(guardian.wait(LIMIT).unwrap(), "the guardian ends after its runner");
    let proven = struck.elapsed();
    running.buried();
    let guardian = Pid::from_raw(guardian.identity().pid.cast_signed());
    assert!(waitpid(guardian, WaitOptions::empty()).unwrap().is_some());
    Took { dead, clean, proven }
}

/// Processes, each in a memory group of its own, all of which lie in one.
struct Bounded {
    // Dropped in this order, after what `drop` does.
    processes: Vec<TestProcess>,
    limited: Limited,
    all: TestGroup,
}

impl Bounded {
    /// `None` where no such groups can be made.
    fn new(count: usize) -> Option<Self> {
        let all = TestGroup::new(&[Controller::Memory]).unwrap()?;
        let above = all.group(Controller::Memory)?;
        if above.version() == Version::V2 {
            above.write("cgroup.subtree_control", "+memory").unwrap();
        }
        let (mut processes, mut groups) = (Vec::new(), Vec::new());
        for number in 0..count {
            let process = TestProcess::sleep().unwrap();
            let group = above.child(&number.to_string()).unwrap();
            group.add(process.pid()).unwrap();
            processes.push(process);
            groups.push(group);
        }
        Some(Self {
            processes,
            limited: Limited::now(groups),
            all,
        })
    }

    fn document(&self) -> String {
        document(
            &format!("process: {{ cgroup: \"/{}\" }}", self.all.name()),
            &format!("memory_limit: {{ limit: {} }}", limited::LIMIT),
        )
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        self.processes.clear();
        let above = self.all.group(Controller::Memory).expect("it was made");
        for name in above.children().unwrap_or_default() {
            // A killed process leaves its group when it is gone, which takes a moment.
            eventually(Duration::from_secs(5), "the group of a process is empty", || {
                above.remove_child(&name).is_ok()
            });
        }
    }
}
