//! Each load as the framework that Fracas comes from wants it checked: by a figure of the system, before, during and after the
//! rollback. The figures are the kernel's files and `df`, read here, by nothing of Fracas.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fracas_core::record::State;
use fracas_lab::TestProcess;
use fracas_linux::process::Process;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::support::{Bench, Document, LIMIT, Made, Run, Said, Target, certificate, cgroup_file, read, signal, soon};

const MIB: u64 = 1 << 20;
const SIGINT: i32 = 2;
const SIGUSR1: i32 = 10;

/// A run whose fault is on.
struct On<'a> {
    run: Run,
    directory: PathBuf,
    bench: &'a Bench,
}

impl<'a> On<'a> {
    fn begin(bench: &'a Bench, target: &Target, inject: &str) -> Self {
        let document = Document {
            target,
            inject,
            irreversible: false,
            on: "",
            duration: "60s",
        };
        let run = bench.run(&document.text());
        let (directory, _) = run.begun();
        run.until(&directory, State::Applied);
        Self { run, directory, bench }
    }

    /// Has it rolled back, and looks at the certificate.
    #[track_caller]
    fn roll_back(self) -> Said {
        signal(self.run.process(), SIGINT);
        let said = self.run.end();
        assert_eq!(said.code, 3, "{}{}", said.out, said.err);
        let certificate = certificate(&self.directory).expect("there is a certificate");
        assert!(certificate.is_clean(), "{certificate:?}");
        assert_eq!(self.bench.fracas(&["status"]).code, 0);
        said
    }
}

/// The first of these files that the target's control groups have.
fn file(target: &Target, names: &[&str]) -> PathBuf {
    let pid = target.pid().expect("the target runs");
    let found = names.iter().find_map(|name| cgroup_file(pid, name));
    found.unwrap_or_else(|| panic!("the target has none of {names:?}"))
}

fn number(file: &Path) -> u64 {
    read(file).and_then(|text| text.parse().ok()).expect("a number")
}

/// The number behind a word in a file of words and numbers.
fn field(file: &Path, word: &str) -> u64 {
    let text = read(file).expect("the file is there");
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(word)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("{} has no {word}: {text}", file.display()))
}

/// CPU time of a group and what is below it: `cpuacct.usage` counts nanoseconds, `cpu.stat` microseconds.
fn cpu_time(usage: &Path) -> Duration {
    if usage.ends_with("cpuacct.usage") {
        Duration::from_nanos(number(usage))
    } else {
        Duration::from_micros(field(usage, "usage_usec "))
    }
}

/// How much of a CPU a group uses, in per cent, over a second or more.
fn percent(usage: &Path) -> f64 {
    let (was, begun) = (cpu_time(usage), Instant::now());
    soon(LIMIT, "a second is over", || {
        (begun.elapsed() >= Duration::from_secs(1)).then_some(())
    });
    let used = cpu_time(usage).saturating_sub(was);
    used.as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0
}

#[test]
fn cpu_stress_is_seen_in_the_cpu_figures_of_the_control_group() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let usage = file(&target, &["cpuacct.usage", "cpu.stat"]);
    // Nobody else's work may take what is measured: this test is of a fault, not of an idle machine.
    let weight = file(&target, &["cpu.shares", "cpu.weight"]);
    let most = if weight.ends_with("cpu.shares") {
        "262144"
    } else {
        "10000"
    };
    std::fs::write(&weight, most).unwrap();

    let before = percent(&usage);
    let on = On::begin(&bench, &target, "cpu_stress: { percent: 40% }");
    let during = percent(&usage);
    on.roll_back();
    let after = percent(&usage);

    assert!(before < 2.0 && after < 2.0, "{before} % before, {after} % after");
    // That it is exact is the contract's; here it is there, and no more than was asked.
    assert!((20.0..60.0).contains(&during), "{during} % during");
    bench.finish();
}

#[test]
fn memory_stress_is_seen_in_the_memory_figures_of_the_control_group() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let usage = file(&target, &["memory.usage_in_bytes", "memory.current"]);

    let before = number(&usage);
    let on = On::begin(&bench, &target, "memory_stress: { size: 96MiB }");
    let during = soon(LIMIT, "the memory is taken", || {
        Some(number(&usage)).filter(|now| *now >= before + 91 * MIB)
    });
    on.roll_back();
    let after = number(&usage);

    assert!(during < before + 130 * MIB, "{before} before, {during} during");
    assert!(after < before + 16 * MIB, "{before} before, {after} after");
    bench.finish();
}

/// The kernel's own count of whom its memory killer took: more while the limit is on, and no more once it is gone.
#[test]
fn a_memory_limit_is_seen_in_the_kills_for_want_of_memory() {
    let mode = ["fill", "128"];
    let Some(target) = Target::process_in(&mode) else {
        return;
    };
    let Made::Process(first, group) = &target.made else {
        return;
    };
    let bench = Bench::new();
    let events = file(&target, &["memory.oom_control", "memory.events"]);
    let limit = target.memory_limit();
    let (was, before) = (read(&limit), field(&events, "oom_kill "));

    let on = On::begin(&bench, &target, "memory_limit: { limit: 64MiB }");
    fill(first);
    let first = Process::open(first.identity()).unwrap();
    if let Some(first) = first {
        assert!(first.wait(LIMIT).unwrap(), "it cannot have 128 MiB");
    }
    soon(LIMIT, "the kernel has counted it", || {
        (field(&events, "oom_kill ") > before).then_some(())
    });
    // The run may have ended by itself: its only target is gone.
    let (run, directory) = (on.run, on.directory);
    signal(run.process(), SIGINT);
    run.end();
    let certificate = certificate(&directory).expect("there is a certificate");
    assert!(certificate.is_clean(), "{certificate:?}");

    let during = field(&events, "oom_kill ");
    assert_eq!(read(&limit), was);
    let second = TestProcess::run(mode).unwrap();
    group.add(&second).unwrap();
    fill(&second);
    let usage = limit.with_file_name(if limit.ends_with("memory.max") {
        "memory.current"
    } else {
        "memory.usage_in_bytes"
    });
    soon(LIMIT, "another has its 128 MiB", || {
        (number(&usage) >= 128 * MIB).then_some(())
    });
    assert_eq!(field(&events, "oom_kill "), during);
    drop(second);
    bench.finish();
}

/// Has the lab's program take its memory. Before it has a handler, the signal would end it.
fn fill(process: &TestProcess) {
    let status = format!("/proc/{}/status", process.pid());
    soon(LIMIT, "the program handles SIGUSR1", || {
        let text = read(&status)?;
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
        (caught & 1 << (SIGUSR1 - 1) != 0).then_some(())
    });
    signal(&Process::open(process.identity()).unwrap().expect("it runs"), SIGUSR1);
}

/// A file system in memory, taken away when dropped.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        mount("tmpfs", place.path(), "tmpfs", MountFlags::empty(), Some(c"size=64m")).unwrap();
        Self(place)
    }

    /// How full it is, in per cent, by `df`.
    #[expect(clippy::disallowed_methods, reason = "the meter of this test is another program")]
    fn percent(&self) -> u32 {
        let said = Command::new("df")
            .arg("--output=pcent")
            .arg(self.0.path())
            .output()
            .unwrap();
        assert!(said.status.success(), "{said:?}");
        let text = String::from_utf8(said.stdout).unwrap();
        let last = text.lines().last().expect("a line");
        last.trim().trim_end_matches('%').parse().unwrap()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _gone = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

#[test]
fn disk_fill_is_seen_by_df() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let mounted = Mounted::new();
    std::fs::write(mounted.0.path().join("of-the-application"), vec![1; 8 << 20]).unwrap();

    let before = mounted.percent();
    let inject = format!(
        "disk_fill: {{ path: \"{}\", percent: 80% }}",
        mounted.0.path().display()
    );
    let on = On::begin(&bench, &target, &inject);
    let during = mounted.percent();
    on.roll_back();
    let after = mounted.percent();

    assert_eq!((before, during, after), (13, 80, 13));
    let kept = std::fs::read(mounted.0.path().join("of-the-application")).unwrap();
    assert!(kept == vec![1; 8 << 20], "the application's file is as it was");
    bench.finish();
}
