//! `cargo xtask bench`: what runs cost and how well they do, beside real peers, in one run, with the spread.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark is a test that prints"
)]

mod accuracy;
mod containers;
mod figures;
mod limited;
mod packets;
mod processes;
mod run;
mod start;
mod struck;

use std::process::Command;
use std::time::Instant;

/// Rounds of everything; `FRACAS_BENCH_ROUNDS` wins.
const ROUNDS: usize = 5;

fn main() {
    let began = Instant::now();
    let rounds = match std::env::var("FRACAS_BENCH_ROUNDS") {
        Ok(text) => text.parse().expect("FRACAS_BENCH_ROUNDS is a number"),
        Err(_) => ROUNDS,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut page = head(rounds);
    page.push_str(&runtime.block_on(containers::section(rounds)));
    page.push_str(&processes::section(rounds));
    page.push_str(&struck::section(rounds));
    page.push_str(&accuracy::section(rounds));
    page.push_str(&packets::section(rounds));
    page.push_str(&start::section());
    println!("{page}\nall of it took {} s", began.elapsed().as_secs());
    if let Ok(path) = std::env::var("FRACAS_BENCH_PAGE") {
        std::fs::write(path, page).unwrap();
    }
}

fn head(rounds: usize) -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let peers = ["docker", "stress-ng", start::PYTHON].map(version);
    format!(
        "# Benchmarks\n\nMade by `cargo xtask bench`: everything side by side in one run, {rounds} rounds, median with the two ends. Absolute \
         figures are those of one machine ({} processors, Linux {}); ratios carry over.\n\nBeside it: {}.\n\n",
        std::thread::available_parallelism().map_or(1, usize::from),
        kernel.trim(),
        peers.join("; ")
    )
}

/// What a peer says that it is.
#[expect(clippy::disallowed_methods, reason = "a benchmark names what it compares with")]
fn version(program: &str) -> String {
    let said = Command::new(program).arg("--version").output();
    let text = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
    let text = text.unwrap_or_default();
    let first = text.lines().next().unwrap_or_default().trim();
    if first.is_empty() {
        format!("no {program}")
    } else {
        first.to_owned()
    }
}
