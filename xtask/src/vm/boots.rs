//! Which tests run in the machine, and after which of them it loses its power.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

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

/// Parts of `crates/linux` that this kernel may answer in another way, each with the filters of its tests. Those of packet rules alone
/// compare with programs that are not in the machine.
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
pub(super) fn all(programs: &Programs, full: bool) -> Result<Vec<Boot>> {
    let names = children::output(Command::new(&programs.contract).args(["--list", "--format", "terse"]))?;
    let part = |(name, filters): &(&str, &[&str])| Test::new(*name, &programs.linux, filters);
    let mut tests: Vec<Test> = PARTS.iter().map(part).collect();
    // Each in a process of its own, as outside: what one test leaves in its process is not there for the next.
    for name in chosen(&String::from_utf8_lossy(&names), full)? {
        tests.push(Test::new(&*name, &programs.contract, &["--exact", &name]));
    }
    tests.push(Test::new("host clock", &programs.power_cut, &["host-clock"]));
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

/// The tests of the contract that are run, from lines `delay::everything_twice: test`.
fn chosen(list: &str, full: bool) -> Result<Vec<String>> {
    let tests: Vec<(&str, &str)> = list
        .lines()
        .filter_map(|line| line.strip_suffix(": test")?.split_once("::"))
        .collect();
    for fault in DIFFERENT {
        if !tests.iter().any(|(of, _)| *of == fault) {
            bail!("the contract has no test of {fault}");
        }
    }
    Ok(tests
        .into_iter()
        .filter(|(_, check)| !WITH_ENGINE.contains(check))
        .filter(|(fault, _)| DIFFERENT.contains(fault) || full && !needs_engine(fault))
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
        let short = chosen(&list, false).unwrap();
        assert_eq!(short.len(), DIFFERENT.len());
        assert!(short.contains(&"memory_limit::a".to_owned()));
        let full = chosen(&list, true).unwrap();
        assert_eq!(full.len(), DIFFERENT.len() + 1);
        assert!(full.contains(&"delay::a".to_owned()));
        assert!(chosen("delay::a: test\n", false).is_err());
    }
}
