//! `cargo xtask bench`: what a run costs per target, beside a loop over the engine's own client, in one run, with the spread.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark is a test that prints"
)]

mod containers;
mod processes;
mod run;
mod start;

use std::fmt::Write as _;
use std::time::Duration;

/// Rounds of everything; the table shows the median and the two ends.
const ROUNDS: usize = 5;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut page = String::from(
        "# Benchmarks\n\nMade by `cargo xtask bench`: everything side by side in one run, five rounds, median with the two ends. Absolute \
         figures are those of one machine with two cores; ratios carry over.\n\n",
    );
    page.push_str(&runtime.block_on(containers::table()));
    page.push_str(&processes::table());
    page.push_str(&start::table());
    println!("{page}");
    if let Ok(path) = std::env::var("FRACAS_BENCH_PAGE") {
        std::fs::write(path, page).unwrap();
    }
}

/// Times of the rounds of one thing.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn median(&self) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    }

    fn shown(&self) -> String {
        let (least, most) = (self.0.iter().min().unwrap(), self.0.iter().max().unwrap());
        format!("{} ({}..{})", ms(self.median()), ms(*least), ms(*most))
    }
}

fn ms(time: Duration) -> String {
    let mut text = String::new();
    let _ = write!(text, "{:.1} ms", time.as_secs_f64() * 1e3);
    text
}
