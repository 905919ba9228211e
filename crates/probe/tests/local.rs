//! Processes and programs of this machine.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

mod support;

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use fracas_core::probe::{Command, CommandMeasure, ProcessCount, Source};
use fracas_core::problem::codes;
use fracas_core::units::Span;
use fracas_probe::{Prober, Settings};
use support::{error, eventually, read};

/// A sleeping program with a command line that no other has. Killed when dropped.
struct Sleeper(Child);

impl Sleeper {
    fn start(seconds: &str) -> Self {
        Self::run(Path::new("/bin/sleep"), seconds)
    }

    #[expect(clippy::disallowed_methods, reason = "the test counts real processes")]
    fn run(program: &Path, seconds: &str) -> Self {
        let child = std::process::Command::new(program)
            .arg(seconds)
            .stdin(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It may have been killed by the test; either way it is gone after the wait.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn count(command: &str) -> Source {
    Source::Process(ProcessCount {
        command: command.to_owned(),
    })
}

#[tokio::test]
async fn processes_are_counted_by_their_whole_command_line() {
    // Distinct from those of tests that run at the same time.
    let marks = [
        std::process::id().to_string() + ".25",
        std::process::id().to_string() + ".75",
    ];
    let pattern = format!("/bin/sleep {}\\.(25|75)", std::process::id());
    assert_eq!(read(count(&pattern)).await.values, [0.0]);
    let (mut first, _second) = (Sleeper::start(&marks[0]), Sleeper::start(&marks[1]));
    // Between fork and exec a child still has our command line.
    eventually(count(&pattern), "two", |reading| reading.values == [2.0]).await;
    assert_eq!(
        read(count(&pattern[4..])).await.values,
        [0.0],
        "anchored at the beginning"
    );
    let short = format!("/bin/sleep {}", std::process::id());
    assert_eq!(read(count(&short)).await.values, [0.0], "anchored at the end");
    assert_eq!(
        read(count(&format!("x|{short}.*"))).await.values,
        [2.0],
        "anchored around alternatives"
    );
    // Killed and not waited for it is a zombie, whose command line is gone.
    first.0.kill().unwrap();
    eventually(count(&pattern), "one", |reading| reading.values == [1.0]).await;
}

#[tokio::test]
async fn a_zombie_is_not_counted_by_its_name_either() {
    let directory = tempfile::tempdir().unwrap();
    // The kernel keeps the name under which a program was started, at most 15 bytes of it; so a link is enough.
    let name = format!("z{}", std::process::id());
    let program = directory.path().join(&name);
    std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
    let mut sleeper = Sleeper::run(&program, "1000");
    let running = format!(".*/{name} 1000");
    eventually(count(&running), "running", |reading| reading.values == [1.0]).await;
    sleeper.0.kill().unwrap();
    eventually(count(&running), "a zombie", |reading| reading.values == [0.0]).await;
    assert_eq!(read(count(&format!("\\[{name}\\]"))).await.values, [0.0]);
}

#[tokio::test]
async fn a_bad_pattern_is_an_error_before_and_during_the_run() {
    let prober = Prober::new(Settings::default()).unwrap();
    for bad in ["(", ")|(", "x{999999}{999999}"] {
        assert!(
            error(&read(count(bad)).await).contains("not a regular expression"),
            "{bad}"
        );
        assert_eq!(prober.check(&count(bad)).await.unwrap_err().code, &codes::WRONG_VALUE);
    }
    prober.check(&count("nginx: .*")).await.unwrap();
}

fn run(argv: &[&str], measure: CommandMeasure) -> Command {
    Command {
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        timeout: Span::secs(10),
        measure,
    }
}

#[tokio::test]
async fn a_program_gives_its_exit_code() {
    let code = |argv: &[&str]| read(Source::Command(run(argv, CommandMeasure::ExitCode)));
    assert_eq!(code(&["/bin/true"]).await.values, [0.0]);
    assert_eq!(code(&["/bin/false"]).await.values, [1.0]);
    // No shell: the words are arguments.
    assert_eq!(code(&["/usr/bin/test", "a b", "=", "a b"]).await.values, [0.0]);
    let missing = code(&["/no/such/program"]).await;
    assert!(error(&missing).contains("/no/such/program"), "{missing:?}");
}

#[tokio::test]
async fn a_program_gives_the_number_that_it_prints() {
    let number = |argv: &[&str]| read(Source::Command(run(argv, CommandMeasure::Number)));
    assert_eq!(number(&["/bin/echo", " -1.5e3 "]).await.values, [-1500.0]);
    for (argv, says) in [
        (
            &["/bin/echo", "12 apples"][..],
            "something else than one number: 12 apples",
        ),
        (&["/bin/true"][..], "printed nothing"),
        (&["/bin/false"][..], "failed with exit code 1"),
        (&["/bin/ls", "/no/such/file"][..], "No such file"),
        (&["/usr/bin/seq", "100000"][..], "something else than one number"),
        (
            &["/usr/bin/head", "-c", "5000", "/dev/zero"][..],
            "something else than one number",
        ),
    ] {
        let reading = number(argv).await;
        assert!(error(&reading).contains(says), "{argv:?}: {reading:?}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_end_is_killed() {
    let started = Instant::now();
    let seconds = format!("{}.5", std::process::id());
    let mut source = run(&["/bin/sleep", &seconds], CommandMeasure::ExitCode);
    source.timeout = Span::millis(300);
    let reading = read(Source::Command(source)).await;
    assert_eq!(error(&reading), "/bin/sleep did not end within 300ms and was killed");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(read(count(&format!("/bin/sleep {seconds}"))).await.values, [0.0]);
}

#[tokio::test]
async fn a_program_that_is_none_is_found_before_the_run() {
    let prober = Prober::new(Settings::default()).unwrap();
    let problem = prober.check(&Source::Command(run(&[], CommandMeasure::ExitCode))).await;
    assert_eq!(problem.unwrap_err().code, &codes::MISSING_KEY);
}
