//! On a terminal: the question before harm, the live view, and the cursor at the end. The terminal is made by script(1).

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};

use fracas_linux::process::Process;

use crate::cli::{Cli, HOLDS, experiment};
use crate::support::{LIMIT, Target, read, signal, soon};

const HIDE: &str = "\u{1b}[?25l";
const TERM: i32 = 15;
const SHOW: &str = "\u{1b}[?25h";

/// What the key sends.
const CTRL_C: &str = "\u{3}";

/// Runs an experiment on a terminal, answers the question, and gives the exit code and everything that the terminal got.
#[expect(clippy::disallowed_methods, reason = "a terminal is made by its own program")]
fn on_a_terminal(cli: &Cli, file: &str, answer: &str, then: impl FnOnce()) -> Option<(i32, String)> {
    let program = "/usr/bin/script";
    if !std::path::Path::new(program).exists() {
        fracas_lab::skip("there is no /usr/bin/script to make a terminal");
        return None;
    }
    let out = cli.place().join("typescript");
    let command = format!("exec {} run {file}", env!("CARGO_BIN_EXE_fracas"));
    let mut child = Command::new(program)
        .args(["--quiet", "--flush", "--return", "--command", &command, "/dev/null"])
        .env_clear()
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .env("FRACAS_STATE", cli.state())
        .env("FRACAS_EMERGENCY_STOP_FILE", cli.place().join("stop-file"))
        .stdin(Stdio::piped())
        .stdout(File::create(&out).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let process = Process::find(child.id()).unwrap().unwrap();
    let said = || read(&out).unwrap_or_default();
    soon(LIMIT, "the question is asked", || {
        assert!(!process.has_ended().unwrap(), "it ended without a question: {}", said());
        said().contains("Go on? [y/N]").then_some(())
    });
    let mut keyboard = child.stdin.take().unwrap();
    // Ctrl-C needs no Enter after it.
    let enter = if answer == CTRL_C { "" } else { "\n" };
    write!(keyboard, "{answer}{enter}").unwrap();
    keyboard.flush().unwrap();
    then();
    assert!(process.wait(LIMIT).unwrap(), "it did not end: {}", said());
    // The keyboard stays until the end: without one, script(1) ends what runs.
    drop(keyboard);
    let code = child.wait().unwrap().code().unwrap_or(-1);
    Some((code, said()))
}

/// The cursor is shown at the end, and was hidden before.
#[track_caller]
fn cursor_is_back(text: &str) {
    let (hidden, shown) = (text.rfind(HIDE), text.rfind(SHOW));
    assert!(hidden.is_some() && shown > hidden, "{text:?}");
}

#[test]
fn the_plan_is_shown_a_person_agrees_and_sees_what_happens() {
    let Some(target) = Target::process() else { return };
    let before = target.look();
    let cli = Cli::new();
    let file = cli.file("e.yaml", &experiment(&target, HOLDS, "1s"));
    let Some((code, text)) = on_a_terminal(&cli, &file, "y", || {}) else {
        return;
    };
    assert_eq!(code, 0, "{text}");
    for part in [
        "undo: exact",
        "1 injection on 1 target. Go on? [y/N]",
        "\u{1b}[36mMONITOR",
        "PASSED",
    ] {
        assert!(text.contains(part), "{part}: {text:?}");
    }
    cursor_is_back(&text);
    assert_eq!(target.look(), before);
}

#[test]
fn a_person_who_does_not_agree_gets_nothing_broken() {
    let Some(target) = Target::process() else { return };
    let cli = Cli::new();
    let file = cli.file("e.yaml", &experiment(&target, HOLDS, "60s"));
    let Some((code, text)) = on_a_terminal(&cli, &file, "n", || {}) else {
        return;
    };
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("R001"), "{text}");
    assert!(cli.ledgers().is_empty());
    cursor_is_back(&text);
}

#[test]
fn ctrl_c_is_an_answer_to_the_question() {
    let Some(target) = Target::process() else { return };
    let cli = Cli::new();
    let file = cli.file("e.yaml", &experiment(&target, HOLDS, "60s"));
    let Some((code, text)) = on_a_terminal(&cli, &file, CTRL_C, || {}) else {
        return;
    };
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("stopped before anything was touched: SIGINT"), "{text}");
    cursor_is_back(&text);
}

#[test]
fn a_runner_that_is_stopped_leaves_the_cursor() {
    let Some(target) = Target::process() else { return };
    let cli = Cli::new();
    let file = cli.file("e.yaml", &experiment(&target, HOLDS, "60s"));
    let stop = || {
        let ledger = soon(LIMIT, "there is a ledger with a plan", || {
            let bytes = std::fs::read(cli.ledgers().pop()?).ok()?;
            let contents = fracas_guardian::ledger::Contents::parse(&bytes).ok()?;
            contents.open().next()?;
            contents.runner
        });
        signal(&Process::open(&ledger).unwrap().unwrap(), TERM);
    };
    let Some((code, text)) = on_a_terminal(&cli, &file, "y", stop) else {
        return;
    };
    assert_eq!(code, 3, "{text}");
    cursor_is_back(&text);
}
