//! State directories that cannot be used, privileges that are missing, and machines on which somebody wants quiet.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fracas_linux::process::Process;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use crate::cli::{Cli, HOLDS, experiment, limited};
use crate::support::{LIMIT, Target, is_stopped, signal, soon};

/// Nobody: a user without any privilege.
const NOBODY: u32 = 65534;

/// A file system in memory, taken away when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path, size: &str) -> Self {
        fs::create_dir(at).unwrap();
        let options = std::ffi::CString::new(format!("size={size},mode=0700")).unwrap();
        mount("tmpfs", at, "tmpfs", MountFlags::empty(), Some(options.as_c_str())).unwrap();
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _gone = unmount(&self.0, UnmountFlags::DETACH);
    }
}

fn is_root() -> bool {
    let root = fracas_linux::privileges::is_root();
    if !root {
        fracas_lab::skip("needs root");
    }
    root
}

/// Runs an experiment that would do, and gives what is said.
#[track_caller]
fn refused(cli: &Cli, target: &Target) -> String {
    let file = cli.file("e.yaml", &experiment(target, HOLDS, "10s"));
    let told = cli.refused(&["run", &file, "--yes"]);
    assert!(!limited(target), "{told}");
    told
}

#[test]
fn a_state_directory_that_is_read_only() {
    let (true, Some(target)) = (is_root(), Target::process()) else {
        return;
    };
    let cli = Cli::new();
    let mounted = Mounted::new(&cli.state(), "1m");
    mount_remount(&mounted.0, MountFlags::RDONLY, c"").unwrap();
    let told = refused(&cli, &target);
    assert!(told.contains("error[S00"), "{told}");
    assert!(told.to_lowercase().contains("read-only"), "{told}");
}

#[test]
fn a_state_directory_that_is_full() {
    let (true, Some(target)) = (is_root(), Target::process()) else {
        return;
    };
    let cli = Cli::new();
    let mounted = Mounted::new(&cli.state(), "64k");
    let _full = fs::write(mounted.0.join("filler"), vec![1; 1 << 20]);
    let told = refused(&cli, &target);
    assert!(told.contains("No space left"), "{told}");
    // The doctor tries it, too.
    let said = cli.run(&["doctor"]);
    assert_eq!(said.code, 2, "{}", said.out);
    assert!(said.out.contains("✗ state directory"), "{}", said.out);
}

#[test]
fn a_state_directory_of_somebody_else() {
    let (true, Some(target)) = (is_root(), Target::process()) else {
        return;
    };
    let cli = Cli::new();
    fs::create_dir(cli.state()).unwrap();
    std::os::unix::fs::chown(cli.state(), Some(NOBODY), Some(NOBODY)).unwrap();
    let told = refused(&cli, &target);
    assert!(
        told.contains("error[S001]") && told.contains("belongs to uid 65534"),
        "{told}"
    );
}

#[test]
fn a_state_directory_that_others_can_write() {
    let Some(target) = Target::process() else { return };
    let cli = Cli::new();
    fs::create_dir(cli.state()).unwrap();
    fs::set_permissions(cli.state(), fs::Permissions::from_mode(0o777)).unwrap();
    let told = refused(&cli, &target);
    assert!(told.contains("error[S001]") && told.contains("chmod go-w"), "{told}");
}

#[test]
fn a_missing_capability() {
    let (true, Some(target)) = (is_root(), Target::process()) else {
        return;
    };
    let mut cli = Cli::new();
    cli.as_user(NOBODY);
    fs::create_dir(cli.state()).unwrap();
    fs::set_permissions(cli.state(), fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(cli.state(), Some(NOBODY), Some(NOBODY)).unwrap();
    cli.set("FRACAS_STATE", &cli.state().join("own").display().to_string());
    // The pid itself: a pid file of root's is not readable for nobody.
    let crate::support::Made::Process(process, _) = &target.made else {
        return;
    };
    let pid_file = cli.file("pid", &process.pid().to_string());
    let text = experiment(&target, HOLDS, "10s");
    let from = text.lines().find(|line| line.contains("pid_file")).unwrap();
    let to = format!("  - {{ alias: it, process: {{ pid_file: \"{pid_file}\" }} }}");
    let file = cli.file("e.yaml", &text.replace(from, &to));
    let told = cli.refused(&["run", &file, "--yes"]);
    assert!(
        told.contains("error[S003]") && told.contains("CAP_DAC_OVERRIDE"),
        "{told}"
    );
    assert!(!limited(&target));
}

#[test]
fn a_stop_file_that_exists_already() {
    let Some(target) = Target::process() else { return };
    let cli = Cli::new();
    cli.file("stop-file", "");
    let told = refused(&cli, &target);
    assert!(told.contains("error[R002]") && told.contains("stop-file"), "{told}");
    assert_eq!(cli.run(&["doctor"]).code, 2);
}

#[test]
fn a_frozen_machine() {
    let Some(target) = Target::process() else { return };
    let cli = Cli::new();
    assert_eq!(cli.run(&["freeze", "the audit"]).code, 0);
    let told = refused(&cli, &target);
    assert!(told.contains("error[G007]") && told.contains("the audit"), "{told}");
    assert_eq!(cli.run(&["thaw"]).code, 0);
    let file = cli.file("e.yaml", &experiment(&target, HOLDS, "100ms"));
    let said = cli.run(&["run", &file, "--yes"]);
    assert_eq!(said.code, 0, "{}", said.err);
}

#[test]
fn a_second_run_on_the_same_target() {
    let Some(target) = Target::process() else { return };
    let cli = Cli::new();
    let file = cli.file("e.yaml", &experiment(&target, HOLDS, "60s"));
    let first = cli.start(&["run", &file, "--yes"]);
    first.until("the limit is on", || limited(&target));
    let second = cli.run(&["run", &file, "--yes"]);
    assert_eq!(second.code, 2, "{}", second.err);
    assert!(second.err.contains("error[G003]"), "{}", second.err);
    let holder = cli.ledgers()[0].parent().unwrap().file_name().unwrap().to_owned();
    assert!(
        second.err.contains(holder.to_str().unwrap()),
        "the holder is named: {}",
        second.err
    );
    assert!(limited(&target), "the first goes on");
    let stopped = cli.run(&["stop", holder.to_str().unwrap()]);
    assert_eq!(stopped.code, 0, "{}", stopped.err);
    assert_eq!(first.end().code, 3);
    assert!(!limited(&target));
}

/// Runner and guardian at once. The runner must not see its guardian die and start another: it is stopped first.
fn kill_both(runner: &Process, guardian: &Process) {
    const KILL: i32 = 9;
    const STOP: i32 = 19;
    signal(runner, STOP);
    let pid = runner.identity().pid;
    soon(LIMIT, "the runner is stopped", || is_stopped(pid).then_some(()));
    signal(guardian, KILL);
    signal(runner, KILL);
    assert!(guardian.wait(LIMIT).unwrap() && runner.wait(LIMIT).unwrap());
}

#[test]
fn abandoned_runs_are_told_by_every_command() {
    let Some(target) = Target::process() else { return };
    let cli = Cli::new();
    let file = cli.file("e.yaml", &experiment(&target, HOLDS, "60s"));
    let going = cli.start(&["run", &file, "--yes"]);
    going.until("the limit is on", || limited(&target));
    let ledger = cli.ledgers().remove(0);
    let contents = fracas_guardian::ledger::Contents::parse(&fs::read(ledger).unwrap()).unwrap();
    let guardian = Process::open(&contents.guardian.unwrap()).unwrap().unwrap();
    kill_both(going.process(), &guardian);
    let said = cli.run(&["explain", "G005"]);
    assert!(said.err.contains("was not cleaned up: fracas recover"), "{}", said.err);
    assert_eq!(cli.run(&["explain", "G005", "-q"]).err, "");
    let runs = cli.run(&["runs"]);
    assert!(runs.out.contains("LEFT"), "{}", runs.out);
    assert_eq!(cli.run(&["doctor"]).code, 2);
    let told = cli.run(&["run", &file, "--yes"]);
    assert!(told.code == 2 && told.err.contains("error[G005]"), "{}", told.err);
    assert_eq!(cli.run(&["recover"]).code, 0);
    assert!(!limited(&target));
    assert_eq!(cli.run(&["explain", "G005"]).err, "");
    // Its report is there, made from the events, with the recovery's certificate.
    let report = cli.run(&["report", "last"]);
    assert_eq!(report.code, 0, "{}", report.err);
    assert!(report.err.contains("did not say how it ended"), "{}", report.err);
    assert!(
        report.out.contains("UNFINISHED") && report.out.contains("memory_limit"),
        "{}",
        report.out
    );
}

/// Where the ledger lies must not depend on where somebody stands.
#[test]
fn a_state_directory_that_is_not_absolute() {
    let mut cli = Cli::new();
    cli.set("FRACAS_STATE", "state-here");
    for words in [&["status"][..], &["recover"], &["runs"]] {
        let told = cli.refused(words);
        assert!(told.contains("error[S001]") && told.contains("state-here"), "{told}");
    }
    assert!(!cli.place().join("state-here").exists());
}
