//! Processes of this machine that match a selector.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use fracas_core::experiment::ProcessSelector;
use fracas_core::problem::codes::TARGET_READ;
use fracas_core::problem::{Problem, Result};
use fracas_core::seed::Seed;
use fracas_core::target::{self, Kind};
use fracas_linux::process::{self, Status};
use regex::Regex;

use crate::choose::{Found, Matched, Out};
use crate::pattern::whole;
use crate::protect::Protection;

/// The kernel's own threads are children of this one (`kthreadd`, see `rest_init` in init/main.c).
const KTHREADD: u32 = 2;
/// A pid is a short text.
const PID_FILE: u64 = 64;
/// As much of a command line as names a process.
const SHOWN: usize = 160;

/// A selector, ready to be asked.
struct Ready {
    name: Option<Regex>,
    command: Option<Regex>,
    pid: Option<u32>,
    listeners: Option<Vec<u32>>,
    cgroup: Option<String>,
    unit: Option<String>,
}

/// The candidates among all processes. Reads /proc and blocks.
pub(crate) fn find(selector: &ProcessSelector, all: &[Status], protection: &Protection) -> Result<Matched> {
    let expression = |text: &Option<String>| text.as_deref().map(whole).transpose();
    let listeners = match selector.port {
        None => None,
        Some(port) => Some(process::listeners(port).map_err(|error| {
            Problem::new(&TARGET_READ, format!("who listens on port {port} cannot be found out")).because(&error)
        })?),
    };
    let ready = Ready {
        name: expression(&selector.name)?,
        command: expression(&selector.command)?,
        pid: selector.pid_file.as_deref().map(pid_file).transpose()?,
        listeners,
        cgroup: selector
            .cgroup
            .as_ref()
            .map(|path| path.trim_end_matches('/').to_owned()),
        unit: selector.systemd_unit.as_deref().map(unit),
    };
    let ranks = ranks(all);
    let mut matched = Matched {
        outright: selector.pid_file.is_some(),
        ..Default::default()
    };
    if let (Some(file), Some(pid)) = (&selector.pid_file, ready.pid)
        && !all.iter().any(|status| status.identity.pid == pid)
    {
        matched
            .hints
            .push(format!("{file} names pid {pid}, which does not run"));
    }
    if let (Some(port), Some([])) = (selector.port, ready.listeners.as_deref()) {
        matched.hints.push(format!("nobody listens on port {port}"));
    }
    for status in all {
        // A zombie is the end of a process, and a thread of the kernel is none.
        let kernel = status.identity.pid == KTHREADD || status.parent == KTHREADD;
        if status.state == 'Z' || kernel || !ready.matches(status)? {
            continue;
        }
        let out = match protection.of_process(status) {
            Some(why) => Some(Out::Protected(why.to_owned())),
            None => matches!(status.state, 'T' | 't').then(|| Out::Unfit("stopped".to_owned())),
        };
        matched.found.push(Found {
            identity: format!(
                "{} #{}",
                short(&status.command),
                ranks.get(&status.identity.pid).copied().unwrap_or(1)
            ),
            kind: Kind::Process(target::Process {
                process: status.identity.clone(),
                command: status.command.clone(),
            }),
            out,
        });
    }
    Ok(matched)
}

impl Ready {
    /// Cheap questions first: the control group is another file per process.
    fn matches(&self, status: &Status) -> Result<bool> {
        let pid = status.identity.pid;
        let quick = self.pid.is_none_or(|wanted| wanted == pid)
            && self.name.as_ref().is_none_or(|name| name.is_match(&status.comm))
            && self
                .command
                .as_ref()
                .is_none_or(|command| command.is_match(&status.command))
            && self.listeners.as_ref().is_none_or(|pids| pids.contains(&pid));
        if !quick || (self.cgroup.is_none() && self.unit.is_none()) {
            return Ok(quick);
        }
        let groups = match std::fs::read_to_string(format!("/proc/{pid}/cgroup")) {
            Ok(groups) => groups,
            // It has ended since the list was made.
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3) => {
                return Ok(false);
            }
            Err(error) => {
                return Err(
                    Problem::new(&TARGET_READ, format!("the control group of pid {pid} cannot be read"))
                        .because(&error),
                );
            }
        };
        Ok(self
            .cgroup
            .as_ref()
            .is_none_or(|path| paths(&groups).any(|group| is_below(group, path)))
            && self
                .unit
                .as_ref()
                .is_none_or(|unit| paths(&groups).any(|group| group.split('/').any(|part| part == unit))))
    }
}

/// The paths in `/proc/PID/cgroup`: lines of `number:controllers:path`, where the path may itself hold colons, see cgroups(7).
fn paths(groups: &str) -> impl Iterator<Item = &str> {
    groups.lines().filter_map(|line| line.splitn(3, ':').nth(2))
}

fn is_below(group: &str, path: &str) -> bool {
    group
        .strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `nginx` is `nginx.service`, as systemctl has it.
fn unit(name: &str) -> String {
    if name.contains('.') {
        name.to_owned()
    } else {
        format!("{name}.service")
    }
}

fn pid_file(path: &str) -> Result<u32> {
    let read = || -> io::Result<u32> {
        // Not a pipe: opening one would wait for a writer.
        if !Path::new(path).metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut text = String::new();
        File::open(path)?.take(PID_FILE).read_to_string(&mut text)?;
        let first = text.split_ascii_whitespace().next().unwrap_or_default();
        first
            .parse()
            .ok()
            .filter(|pid| *pid > 0)
            .ok_or_else(|| io::Error::other(format!("it holds {first:?}, which is no pid")))
    };
    read().map_err(|error| Problem::new(&TARGET_READ, format!("the pid file {path} cannot be used")).because(&error))
}

/// The place of each process among those with the same command line, from 1, oldest first; by pid.
fn ranks(all: &[Status]) -> BTreeMap<u32, usize> {
    let mut by_command: BTreeMap<&str, Vec<(u64, u32)>> = BTreeMap::new();
    for status in all.iter().filter(|status| status.state != 'Z') {
        by_command
            .entry(&status.command)
            .or_default()
            .push((status.identity.start, status.identity.pid));
    }
    let mut ranks = BTreeMap::new();
    for mut same in by_command.into_values() {
        // Two may start in one tick; pids grow, but for the moment when they begin anew.
        same.sort_unstable();
        ranks.extend(same.into_iter().zip(1..).map(|((_, pid), rank)| (pid, rank)));
    }
    ranks
}

/// A command line as a name: on one line, and of a length that a person reads. What is cut off still counts.
fn short(command: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    if command.chars().count() <= SHOWN {
        return command.chars().map(clean).collect();
    }
    let digest = Seed(0).draw("command line", command, 0).0;
    let begin: String = command.chars().map(clean).take(SHOWN).collect();
    format!("{begin}… ({digest:016x})")
}

#[cfg(test)]
mod tests {
    use fracas_core::target::ProcessIdentity;

    use super::*;

    #[test]
    fn groups_below_count_and_groups_with_a_like_name_do_not() {
        let groups = "5:memory:/system.slice/nginx.service/worker\n0::/a:b/c\n";
        let below = |path| paths(groups).any(|group| is_below(group, path));
        for path in ["/system.slice/nginx.service", "/system.slice", "/a:b/c", ""] {
            assert!(below(path), "{path}");
        }
        for path in ["/system.slice/nginx", "/nginx.service", "/a:b/c/d"] {
            assert!(!below(path), "{path}");
        }
        assert_eq!(
            (unit("nginx"), unit("a.scope")),
            ("nginx.service".into(), "a.scope".into())
        );
    }

    #[test]
    fn ranks_follow_the_start() {
        let status = |pid, start, command: &str| Status {
            identity: ProcessIdentity {
                pid,
                start,
                boot: "b".into(),
            },
            parent: 1,
            comm: "x".into(),
            command: command.into(),
            state: 'S',
            threads: 1,
            uid: 0,
        };
        let all = [
            status(10, 30, "a"),
            status(11, 20, "a"),
            status(12, 5, "b"),
            status(9, 20, "a"),
        ];
        assert_eq!(ranks(&all), BTreeMap::from([(9, 1), (11, 2), (10, 3), (12, 1)]));
    }

    #[test]
    fn long_command_lines_are_cut_and_stay_different() {
        let (one, two) = (format!("{}1", "x".repeat(9999)), format!("{}2", "x".repeat(9999)));
        assert_ne!(short(&one), short(&two));
        assert!(short(&one).chars().count() < 200);
        assert_eq!(short("a\u{1b}b\n"), "a b ");
    }

    #[test]
    fn a_pid_file_must_hold_a_pid() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let path = path.to_str().unwrap();
        for bad in ["", "x", "0", "-5", "99999999999"] {
            std::fs::write(path, bad).unwrap();
            assert_eq!(pid_file(path).unwrap_err().code.id, "T003", "{bad:?}");
        }
        std::fs::write(path, " 42\n").unwrap();
        assert_eq!(pid_file(path).unwrap(), 42);
        assert_eq!(pid_file(dir.path().to_str().unwrap()).unwrap_err().code.id, "T003");
        assert_eq!(pid_file("/no/such/file").unwrap_err().code.id, "T003");
    }
}
