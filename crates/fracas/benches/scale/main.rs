//! `cargo xtask bench`: what runs cost and how well they do, beside real peers, in one run, with the spread.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark is a test that prints"
)]

mod accuracy;
mod bystanders;
mod containers;
mod figures;
mod kernel_queue;
mod limited;
mod namespaces;
mod packets;
mod processes;
mod proxy;
mod run;
mod sidecar;
mod start;
mod struck;

use std::process::Command;
use std::time::Instant;

/// Rounds of everything; `FRACAS_BENCH_ROUNDS` wins. `FRACAS_BENCH_ONLY` names the one section that is measured.
const ROUNDS: usize = 5;

/// What is measured, by its name.
type Section<'a> = (&'a str, &'a dyn Fn() -> String);

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
    let sections: [Section<'_>; 11] = [
        ("containers", &|| runtime.block_on(containers::section(rounds))),
        ("processes", &|| processes::section(rounds)),
        ("namespaces", &|| namespaces::section(rounds)),
        ("kernel_queue", &|| kernel_queue::section(rounds)),
        ("struck", &|| struck::section(rounds)),
        ("accuracy", &|| accuracy::section(rounds)),
        ("packets", &|| packets::section(rounds)),
        ("bystanders", &|| bystanders::section(rounds)),
        ("sidecar", &|| runtime.block_on(sidecar::section(rounds))),
        ("proxy", &|| proxy::section(rounds)),
        ("start", &start::section),
    ];
    let only = std::env::var("FRACAS_BENCH_ONLY").ok();
    if let Some(only) = &only {
        assert!(
            sections.iter().any(|(name, _)| name == only),
            "there is no section {only}"
        );
    }
    let wanted = sections
        .iter()
        .filter(|(name, _)| only.as_ref().is_none_or(|only| only == name));
    let measured: Vec<String> = wanted.map(|(_, measure)| measure()).collect();
    let measured = measured.concat();
    println!("{measured}\nall of it took {} s", began.elapsed().as_secs());
    if let Ok(path) = std::env::var("FRACAS_BENCH_PAGE") {
        let page = match only {
            // The others stay as they are.
            Some(_) => figures::replace(&std::fs::read_to_string(&path).unwrap(), &measured),
            None => head(rounds) + &measured,
        };
        std::fs::write(path, page).unwrap();
    }
}

fn head(rounds: usize) -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let peers = ["docker", "stress-ng", start::PYTHON].map(version);
    format!(
        "# Benchmarks\n\nMade by `cargo xtask bench`: each section side by side in one run, {rounds} rounds, median with the two ends. Absolute \
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
