//! The binary by itself: its size, and how long it takes to say its version.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Times;

/// How often it is started: a start takes milliseconds.
const STARTS: usize = 100;

#[expect(clippy::disallowed_methods, reason = "what is measured is a start from outside")]
pub(crate) fn table() -> String {
    let program = env!("CARGO_BIN_EXE_fracas");
    let mut times = Times::default();
    for _ in 0..STARTS {
        let began = Instant::now();
        let status = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        times.0.push(began.elapsed());
        assert!(status.unwrap().success());
    }
    format!(
        "\n## Start\n\n`fracas --version`, {STARTS} times: {} (bound: 10 ms). What is shipped is smaller and static; `cargo xtask dist` prints its \
         size (bound: 30 MB) and its time.\n",
        times.shown()
    )
}
