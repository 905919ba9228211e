//! The binary by itself: its size, and how long it takes to say its version.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::figures::{Figures, table};

/// How often it is started: a start takes milliseconds.
const STARTS: usize = 100;
/// Debian's, and not what stands first in `PATH`: that may be a script that looks for one.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

pub(crate) fn section() -> String {
    let program = env!("CARGO_BIN_EXE_fracas");
    let python = Path::new(PYTHON).exists();
    let (mut ours, mut theirs) = (Figures::times(), Figures::times());
    for _ in 0..STARTS {
        start(&mut ours, program, &["--version"]);
        if python {
            start(&mut theirs, PYTHON, &["-c", "pass"]);
        }
    }
    let rows = [
        vec!["`fracas --version` (bound: 10 ms)".to_owned(), ours.to_string()],
        vec![
            "`python3 -c pass`, what every tool in Python begins with".to_owned(),
            theirs.to_string(),
        ],
    ];
    format!(
        "## Size and start\n\nThe binary has {:.1} MB without symbols, linked to glibc. What is shipped is static: `cargo xtask dist` prints \
         its size (bound: 30 MB) and its time.\n\n{}",
        stripped(program),
        table(&["", &format!("{STARTS} starts")], &rows)
    )
}

#[expect(clippy::disallowed_methods, reason = "what is measured is a start from outside")]
fn start(times: &mut Figures, program: &str, words: &[&str]) {
    let began = Instant::now();
    let status = Command::new(program).args(words).stdout(Stdio::null()).status();
    times.took(began.elapsed());
    assert!(status.unwrap().success());
}

/// The size in MB without what only debuggers and traces read.
#[expect(clippy::disallowed_methods, reason = "binutils knows what can go")]
fn stripped(program: &str) -> f64 {
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("fracas");
    let done = Command::new("strip").arg("-o").arg(&copy).arg(program).status();
    assert!(done.expect("strip comes with every C compiler").success());
    std::fs::metadata(&copy).unwrap().len() as f64 / 1e6
}
