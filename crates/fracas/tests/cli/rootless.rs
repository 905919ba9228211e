//! Without root: what a user can do to his own processes is done and put back; what he cannot is refused with what is missing.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;

use fracas_core::record::Certificate;
use fracas_guardian::ledger::Contents;
use fracas_lab::TestProcess;
use fracas_linux::process::Process;
use serde_json::Value;

use crate::cli::{Cli, Going};
use crate::support::{LIMIT, is_stopped, read, signal, soon};

/// Nobody: a user without any privilege.
const NOBODY: u32 = 65534;
const KILL: i32 = 9;

/// A command line of nobody's, with a process of his.
struct Stage {
    cli: Cli,
    process: TestProcess,
}

impl Stage {
    /// `None`, with a printed skip, without root: a test cannot become somebody else.
    fn new() -> Option<Self> {
        if !fracas_linux::privileges::is_root() {
            fracas_lab::skip("needs root to become somebody else");
            return None;
        }
        let mut cli = Cli::new();
        cli.at_home_of(NOBODY);
        let process = TestProcess::sleep_of(NOBODY).unwrap();
        Some(Self { cli, process })
    }

    /// Faults on a process.
    fn document(&self, pid: u32, injects: &[&str], duration: &str) -> String {
        let pid_file = self.cli.file("pid", &pid.to_string());
        let mut faults = String::new();
        for (index, inject) in injects.iter().enumerate() {
            let _ = writeln!(faults, "  - {{ name: f{index}, target: it, inject: {{ {inject} }} }}");
        }
        let text = format!(
            "apiVersion: fracas.dev/v1\n\
             kind: Experiment\n\
             metadata: {{ name: rootless }}\n\
             hypothesis: {{ interval: 100ms, warmup: 0s, recovery: {{ within: 1s, stable_for: 0s }} }}\n\
             targets:\n  - {{ alias: it, process: {{ pid_file: \"{pid_file}\" }} }}\n\
             faults:\n{faults}\
             duration: {duration}\n"
        );
        self.cli.file("experiment.yaml", &text)
    }

    /// Pauses his process for long, and waits until it is.
    fn pause(&self) -> Going {
        let file = self.document(self.process.pid(), &["process_pause: {}"], "60s");
        let run = self.cli.start(&["run", &file, "--yes"]);
        run.until("the process is stopped", || is_stopped(self.process.pid()));
        run
    }

    fn guardian(&self) -> Process {
        let bytes = std::fs::read(self.cli.ledgers().remove(0)).unwrap();
        let guardian = Contents::parse(&bytes).unwrap().guardian.unwrap();
        Process::open(&guardian).unwrap().expect("the guardian lives")
    }

    /// Waits for the certificate of the only run, and for the process to go on.
    #[track_caller]
    fn is_clean(&self) {
        let ledger = self.cli.ledgers().remove(0);
        let file = ledger.with_file_name("certificate.json");
        let text = soon(LIMIT, "there is a certificate", || read(&file));
        let certificate: Certificate = serde_json::from_str(&text).unwrap();
        assert!(certificate.is_clean(), "{certificate:?}");
        assert!(!is_stopped(self.process.pid()));
    }
}

/// The soft limit of open files, as the kernel shows it.
fn open_files(pid: u32) -> String {
    let limits = read(format!("/proc/{pid}/limits")).expect("the process runs");
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(3)).unwrap().to_owned()
}

#[test]
fn a_pause_of_an_own_process_is_put_on_and_taken_off() {
    let Some(stage) = Stage::new() else { return };
    let file = stage.document(stage.process.pid(), &["process_pause: {}"], "1s");
    let run = stage.cli.start(&["run", &file, "--yes"]);
    run.until("the process is stopped", || is_stopped(stage.process.pid()));
    let said = run.end();
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    stage.is_clean();

    let state = std::fs::metadata(stage.cli.place().join("home/fracas")).unwrap();
    assert_eq!((state.uid(), state.mode() & 0o777), (NOBODY, 0o700));
}

#[test]
fn descriptors_of_an_own_process_are_taken_and_given_back() {
    let Some(stage) = Stage::new() else { return };
    let pid = stage.process.pid();
    let before = open_files(pid);
    let file = stage.document(pid, &["fd_exhaustion: { reserve: 3 }"], "1s");
    let run = stage.cli.start(&["run", &file, "--yes"]);
    run.until("the limit is lowered", || open_files(pid) != before);
    let said = run.end();
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(open_files(pid), before);
    stage.is_clean();
}

#[test]
fn a_file_of_his_own_is_corrupted_and_restored() {
    let Some(stage) = Stage::new() else { return };
    let victim = stage.cli.place().join("home/victim");
    let text = vec![7; 4096];
    std::fs::write(&victim, &text).unwrap();
    std::os::unix::fs::chown(&victim, Some(NOBODY), Some(NOBODY)).unwrap();
    let inject = format!("file_corrupt: {{ path: \"{}\" }}", victim.display());
    let file = stage.document(stage.process.pid(), &[&inject], "1s");
    let run = stage.cli.start(&["run", &file, "--yes"]);
    run.until("the file is corrupted", || std::fs::read(&victim).unwrap() != text);
    let said = run.end();
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(std::fs::read(&victim).unwrap(), text);
    stage.is_clean();
}

#[test]
fn a_runner_that_is_killed_leaves_nothing() {
    let Some(stage) = Stage::new() else { return };
    let run = stage.pause();
    signal(run.process(), KILL);
    assert_eq!(run.end().code, 128 + KILL);
    let pid = stage.process.pid();
    soon(LIMIT, "the process goes on", || (!is_stopped(pid)).then_some(()));
    stage.is_clean();
}

#[test]
fn a_guardian_that_is_killed_is_replaced_and_leaves_nothing() {
    let Some(stage) = Stage::new() else { return };
    let run = stage.pause();
    signal(&stage.guardian(), KILL);
    let said = run.end();
    assert_eq!(said.code, 3, "the run is aborted: {}{}", said.out, said.err);
    stage.is_clean();
}

#[test]
fn runner_and_guardian_killed_together_are_cleaned_up_by_recover() {
    let Some(stage) = Stage::new() else { return };
    let run = stage.pause();
    let guardian = stage.guardian();
    // The runner must not see its guardian die and start another.
    let runner = run.process().identity().pid;
    signal(run.process(), 19);
    soon(LIMIT, "the runner is stopped", || is_stopped(runner).then_some(()));
    signal(&guardian, KILL);
    signal(run.process(), KILL);
    assert!(guardian.wait(LIMIT).unwrap() && run.process().wait(LIMIT).unwrap());
    assert!(is_stopped(stage.process.pid()), "a stop goes by nobody's end");
    let said = stage.cli.run(&["recover"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    stage.is_clean();
}

#[test]
fn every_fault_that_needs_more_is_refused_with_what_is_missing() {
    let Some(stage) = Stage::new() else { return };
    let own = stage.process.pid();
    let other = TestProcess::sleep().unwrap();
    let pause = "process_pause: {}";
    let limit = "memory_limit: { limit: 64MiB }";
    for (pid, inject, missing) in [
        (other.pid(), pause, "CAP_KILL"),
        (own, limit, "CAP_DAC_OVERRIDE"),
        (own, "cpu_stress: { percent: 10% }", "CAP_DAC_OVERRIDE"),
        (own, "disk_fill: { path: /dev/shm, size: 1MiB }", "CAP_DAC_OVERRIDE"),
    ] {
        let file = stage.document(pid, &[inject], "60s");
        let told = stage.cli.refused(&["run", &file, "--yes"]);
        assert!(told.contains(missing), "{inject}: {told}");
        assert!(told.contains("run as root"), "{inject}: {told}");
    }
    assert!(!is_stopped(other.pid()));

    // A plan tells all of them at once, and what of it would do.
    let injects = [pause, limit, "cpu_limit: { percent: 20% }"];
    let file = stage.document(own, &injects, "60s");
    let told = stage.cli.refused(&["plan", &file]);
    for fault in ["memory_limit on /", "cpu_limit on /"] {
        assert!(told.contains(fault), "{fault}: {told}");
    }
    assert!(!told.contains("process_pause on"), "{told}");
}

#[test]
fn the_doctor_says_for_each_fault_what_is_missing() {
    let Some(stage) = Stage::new() else { return };
    let said = stage.cli.run(&["doctor", "--json"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let found: Value = serde_json::from_str(&said.out).unwrap();
    for fault in found["faults"].as_array().unwrap() {
        let name = fault["fault"].as_str().unwrap();
        let (why, only) = (fault["why"].as_str(), fault["only"].as_str());
        let missing = match name {
            "process_pause" | "process_kill" => (None, Some("CAP_KILL")),
            "fd_exhaustion" => (None, Some("CAP_SYS_RESOURCE")),
            "file_corrupt" | "file_delete" => (None, Some("CAP_SYS_PTRACE")),
            "script" => (None, None),
            // There is no engine in this test.
            name if name.starts_with("container_") => (Some("no-engine.sock"), None),
            "network_disconnect" | "delay" | "loss" | "duplicate" | "corrupt" | "reorder" | "rate" | "dns"
            | "connection_drop" | "partition" | "connection_reset" | "http" => (Some("CAP_NET_ADMIN"), None),
            _ => (Some("CAP_DAC_OVERRIDE"), None),
        };
        assert_eq!(fault["possible"], missing.0.is_none(), "{fault}");
        for (said, missing) in [(why, missing.0), (only, missing.1)] {
            assert_eq!(said.is_some(), missing.is_some(), "{fault}");
            assert!(
                said.unwrap_or_default().contains(missing.unwrap_or_default()),
                "{name}: {fault}"
            );
        }
    }
    let text = stage.cli.run(&["doctor"]).out;
    assert!(
        text.contains("uid 65534: only this user's own processes can be targets"),
        "{text}"
    );
}

/// In a user namespace everybody who is not in its map looks the same, the machine's root too: nothing there can be believed.
#[test]
fn root_of_a_user_namespace_is_told_to_leave_it() {
    let Some(mut stage) = Stage::new() else { return };
    stage.cli.under(&["/usr/bin/unshare", "--user", "--map-root-user"]);
    let file = stage.document(stage.process.pid(), &["process_pause: {}"], "60s");
    for words in [["doctor"].as_slice(), &["plan", &file], &["run", &file, "--yes"]] {
        let told = stage.cli.refused(words);
        assert!(told.contains("outside of this user namespace"), "{words:?}: {told}");
    }
    assert!(!is_stopped(stage.process.pid()));
}
