//! Which tests run in the machine, and after which of them it loses its power.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::Lane;
use super::programs::Programs;
use crate::children;

/// The faults whose mechanism is another one here: on version 2 of control groups, and the one that stands for all that take packets out,
/// here by the queue of nftables' own. It is not `delay`, whose meter tells what slow processors add. The kernel queue is nowhere else.
const DIFFERENT: [&str; 10] = [
    "memory_limit",
    "memory_stress",
    "cpu_limit",
    "cpu_stress",
    "pid_exhaustion",
    "disk_throttle",
    "disk_io",
    "loss",
    "loss_by_kernel_queue",
    "kernel_queue",
];

/// Where the saboteurs strike: the one of [`DIFFERENT`], and in the full lane the others that only this kernel has.
const STRUCK: [&str; 6] = [
    "loss_by_kernel_queue",
    "delay_by_kernel_queue",
    "duplicate_by_kernel_queue",
    "corrupt_by_kernel_queue",
    "reorder_by_kernel_queue",
    "rate_by_kernel_queue",
];

/// What is left when runner and guardian are killed, where only this kernel has it.
const LEFT: &str = "kernel_queue::a_kernel_queue_that_both_left_is_recovered";

/// The section of the benchmarks that only this kernel can have, and how often it is measured: its processors are slow.
const BENCHMARK: [&str; 2] = ["FRACAS_BENCH_ONLY=kernel_queue", "FRACAS_BENCH_ROUNDS=3"];

/// Parts of `crates/linux` that this kernel may answer in another way, each with the filters of its tests.
const PARTS: &[(&str, &[&str])] = &[
    ("control groups", &["cgroup::"]),
    ("traffic control", &["traffic_control::"]),
    (
        "packets",
        &[
            "netfilter::tests::traffic::",
            "queue::",
            "relay::",
            "raw::",
            "packets::",
            // How many milliseconds something takes is no matter of this kernel's, and of an emulated processor's.
            "--skip",
            "what_is_delayed_comes_so_much_later_and_delays_add_up",
            // It sends tens of megabytes as fast as it can, and in one boot of many that left an emulated processor in the kernel for good
            // (a soft lockup; seen with Debian's 6.1.0-57). What it asks for is ours, not that kernel's, and is asked outside.
            "--skip",
            "no_more_than_so_many_bytes_wait",
        ],
    ),
];

/// The checks of the contract that need an engine for containers, which the machine does not have.
const WITH_ENGINE: &[&str] = &["target_restarts_while_on"];

/// What the program of the power cut says when the time has come.
const CUT: &str = "power cut: now";

/// One boot of the machine.
#[derive(Debug)]
pub(super) struct Boot {
    /// A name for files.
    pub(super) name: &'static str,
    /// What is run, one after the other.
    pub(super) tests: Vec<Test>,
    /// The line at which the machine loses its power. Without one it goes off by itself after the last test.
    pub(super) cut: Option<&'static str>,
}

/// A test: it passes by exit code 0, or when it is the one that the power cut ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) name: String,
    /// The program and its arguments; none of them has a tab or a newline.
    pub(super) words: Vec<String>,
}

impl Test {
    fn new(name: impl Into<String>, program: &Path, arguments: &[&str]) -> Self {
        let words = std::iter::once(program.display().to_string());
        Self {
            name: name.into(),
            words: words.chain(arguments.iter().map(|&word| word.to_owned())).collect(),
        }
    }
}

/// All boots, in order.
pub(super) fn all(programs: &Programs, lane: Lane) -> Result<Vec<Boot>> {
    if let Some([benchmarks, _]) = &programs.benchmarks {
        let program = benchmarks.display().to_string();
        let words = [&BENCHMARK[..], &[&program]].concat();
        return Ok(vec![Boot {
            name: "bench",
            tests: vec![Test::new("benchmarks", Path::new("/bin/env"), &words)],
            cut: None,
        }]);
    }
    let full = lane == Lane::Full;
    let list = |program: &Path| -> Result<String> {
        let answer = children::output(Command::new(program).args(["--list", "--format", "terse"]))?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let part = |(name, filters): &(&str, &[&str])| Test::new(*name, &programs.linux, filters);
    let mut tests: Vec<Test> = PARTS.iter().map(part).collect();
    // Each in a process of its own, as outside: what one test leaves in its process is not there for the next.
    for name in chosen(&list(&programs.contract)?, &DIFFERENT, full)? {
        tests.push(Test::new(&*name, &programs.contract, &["--exact", &name]));
    }
    tests.push(Test::new("host clock", &programs.power_cut, &["host-clock"]));
    let struck = if full { &STRUCK[..] } else { &STRUCK[..1] };
    for name in chosen(&list(&programs.saboteurs)?, struck, false)? {
        tests.push(Test::new(
            format!("saboteurs: {name}"),
            &programs.saboteurs,
            &["--exact", &name],
        ));
    }
    tests.push(Test::new(LEFT, &programs.left, &["--exact", LEFT]));
    let power_cut = |how: &str| Test::new(format!("power cut: {how}"), &programs.power_cut, &[how]);
    tests.push(power_cut("before"));
    Ok(vec![
        Boot {
            name: "first",
            tests,
            cut: Some(CUT),
        },
        Boot {
            name: "second",
            tests: vec![power_cut("after"), power_cut("before-written")],
            cut: Some(CUT),
        },
        Boot {
            name: "third",
            tests: vec![power_cut("after-written")],
            cut: Some(CUT),
        },
        Boot {
            name: "fourth",
            tests: vec![power_cut("still")],
            cut: None,
        },
    ])
}

/// The tests of a program that are run, from lines `delay::everything_twice: test`: those of these faults, or of all.
fn chosen(list: &str, faults: &[&str], full: bool) -> Result<Vec<String>> {
    let tests: Vec<(&str, &str)> = list
        .lines()
        .filter_map(|line| line.strip_suffix(": test")?.split_once("::"))
        .collect();
    for fault in faults {
        if !tests.iter().any(|(of, _)| of == fault) {
            bail!("there is no test of {fault}");
        }
    }
    Ok(tests
        .into_iter()
        .filter(|(_, check)| !WITH_ENGINE.contains(check))
        .filter(|(fault, _)| faults.contains(fault) || full && !needs_engine(fault))
        .map(|(fault, check)| format!("{fault}::{check}"))
        .collect())
}

/// Faults whose target is a container.
fn needs_engine(fault: &str) -> bool {
    fault.starts_with("container_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_an_engine_is_left_out_and_the_rest_is_what_differs_here() {
        let different = DIFFERENT.map(|fault| format!("{fault}::a: test\n")).concat();
        let list = format!(
            "{different}memory_limit::target_restarts_while_on: test\ndelay::a: test\ncontainer_kill::a: test\nx: test\n"
        );
        let short = chosen(&list, &DIFFERENT, false).unwrap();
        assert_eq!(short.len(), DIFFERENT.len());
        assert!(short.contains(&"memory_limit::a".to_owned()));
        let full = chosen(&list, &DIFFERENT, true).unwrap();
        assert_eq!(full.len(), DIFFERENT.len() + 1);
        assert!(full.contains(&"delay::a".to_owned()));
        assert!(chosen("delay::a: test\n", &DIFFERENT, false).is_err());
    }
}
