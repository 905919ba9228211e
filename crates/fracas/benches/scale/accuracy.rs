//! How much of a CPU `cpu_stress` takes, beside `stress-ng`: both by the kernel's count of one control group, in the same window.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fracas_lab::{TestGroup, TestProcess, eventually};
use fracas_linux::cgroup::{Cgroup, Controller};
use fracas_linux::process::{self, Process};

use crate::figures::{Figures, table};
use crate::run::{LIMIT, Running, document};

/// What a load may take to settle.
const SETTLE: Duration = Duration::from_secs(1);
/// Long beside the periods of both.
const WINDOW: Duration = Duration::from_secs(3);
/// What a load has used when it has begun: more than a process that starts and sleeps.
const BEGUN: Duration = Duration::from_millis(20);
const SIGTERM: i32 = 15;

pub(crate) fn section(rounds: usize) -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut rows = Vec::new();
    for percent in [10, 50, 150] {
        if percent > 100 * processors {
            continue;
        }
        let (mut ours, mut theirs) = (Figures::of("%"), Figures::of("%"));
        for _ in 0..rounds {
            let Some(delivered) = fracas(percent) else {
                return String::new();
            };
            ours.add(delivered);
            if let Some(delivered) = stress_ng(percent) {
                theirs.add(delivered);
            }
        }
        rows.push(vec![format!("{percent} %"), ours.to_string(), theirs.to_string()]);
    }
    format!(
        "## Accuracy: a load on the CPU\n\nDelivered in {} s, by the control group's own count; of `stress-ng` as many workers as carry \
         it (`--cpu 1 --cpu-load 50`, `--cpu 2 --cpu-load 75`).\n\n{}\n",
        WINDOW.as_secs(),
        table(&["asked", "`cpu_stress`", "`stress-ng`"], &rows)
    )
}

/// Of Fracas. `None` where no group can be made.
fn fracas(percent: usize) -> Option<f64> {
    let made = TestGroup::new(&[Controller::CpuAcct]).unwrap()?;
    let group = made.group(Controller::CpuAcct)?;
    let target = TestProcess::sleep().unwrap();
    made.add(&target).unwrap();
    let running = Running::start(
        &document(
            &format!("process: {{ cgroup: \"/{}\" }}", made.name()),
            &format!("cpu_stress: {{ percent: {percent}% }}"),
        ),
        None,
    );
    running.until("a load", &|| group.cpu_usage().unwrap() > BEGUN);
    let delivered = delivered(group);
    running.stop();
    Some(delivered)
}

/// Of stress-ng. `None` where there is none.
fn stress_ng(percent: usize) -> Option<f64> {
    let made = TestGroup::new(&[Controller::CpuAcct]).unwrap()?;
    let group = made.group(Controller::CpuAcct)?;
    let workers = percent.div_ceil(100);
    #[expect(clippy::disallowed_methods, reason = "a benchmark starts what it compares with")]
    let mut child = Command::new("stress-ng")
        .args(["--quiet", "--timeout", "60", "--cpu", &workers.to_string()])
        .args(["--cpu-load", &(percent / workers).to_string()])
        .stdout(Stdio::null())
        .spawn()
        .ok()?;
    // Its workers may have begun before it is in the group.
    eventually(LIMIT, "all of stress-ng is in its group", || {
        let below = process::descendants(child.id()).unwrap();
        let pids = below.iter().map(|status| status.identity.pid).chain([child.id()]);
        // Who has ended meanwhile cannot be moved.
        pids.for_each(|pid| drop(group.add(pid)));
        group.processes().unwrap().len() > workers
    });
    let delivered = delivered(group);
    let whole = Process::find(child.id()).unwrap().expect("it was not waited for");
    whole.signal(SIGTERM).unwrap();
    child.wait().unwrap();
    Some(delivered)
}

/// How much of a CPU a group uses, in per cent, once it has settled.
fn delivered(group: &Cgroup) -> f64 {
    pause(SETTLE);
    let (before, began) = (group.cpu_usage().unwrap(), Instant::now());
    pause(WINDOW);
    let used = group.cpu_usage().unwrap().saturating_sub(before);
    used.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0
}

fn pause(time: Duration) {
    let began = Instant::now();
    while let Some(left) = time.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}
