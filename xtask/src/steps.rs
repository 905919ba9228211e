//! Steps with a name and a time: what `cargo xtask ci` prints, and the table at its end.

use std::fmt::Write as _;
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// The steps that were done, in order.
#[derive(Debug)]
pub(crate) struct Steps {
    began: Instant,
    done: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    took: Duration,
    failed: bool,
}

impl Steps {
    /// None yet; the time of all runs from now on.
    pub(crate) fn begin() -> Self {
        Self {
            began: Instant::now(),
            done: Vec::new(),
        }
    }

    /// Does a step and notes its time. The error of a failing step carries the step's name.
    pub(crate) fn step<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("\n==> {name}");
        let done = timed(work);
        self.note(name, done)
    }

    /// Does two steps at the same time, each of which keeps one processor busy; their lines mix. Both are done to their ends, and the
    /// error is that of the first that failed.
    pub(crate) fn both<A: Send, B: Send>(
        &mut self,
        (one, first): (&'static str, impl FnOnce() -> Result<A> + Send),
        (other, second): (&'static str, impl FnOnce() -> Result<B> + Send),
    ) -> Result<(A, B)> {
        println!("\n==> {one}, and beside it {other}");
        let (first, second) = thread::scope(|scope| {
            let beside = scope.spawn(|| timed(second));
            let first = timed(first);
            // A panic there is a panic here.
            (first, beside.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        let first = self.note(one, first);
        let second = self.note(other, second);
        Ok((first?, second?))
    }

    fn note<T>(&mut self, name: &'static str, (took, result): (Duration, Result<T>)) -> Result<T> {
        println!(
            "<== {name}: {} in {took:.1?}",
            if result.is_ok() { "ok" } else { "FAILED" }
        );
        self.done.push(Step {
            name,
            took,
            failed: result.is_err(),
        });
        result.with_context(|| format!("step `{name}` failed"))
    }

    /// A line for each step, and one for the time since the first began.
    pub(crate) fn table(&self) -> String {
        let mut table = String::new();
        for step in &self.done {
            let mark = if step.failed { "FAILED" } else { "ok" };
            // Writing to a String cannot fail.
            let _ = writeln!(table, "  {:<12} {:>8.1} s  {mark}", step.name, step.took.as_secs_f64());
        }
        let all = self.began.elapsed();
        let _ = writeln!(table, "  {:<12} {:>8.1} s", "all", all.as_secs_f64());
        table
    }
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> (Duration, Result<T>) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_is_named_in_the_error_and_in_the_table() {
        let mut steps = Steps::begin();
        assert_eq!(steps.step("good", || Ok(7)).unwrap(), 7);
        let error = steps
            .step("bad", || -> Result<()> { anyhow::bail!("no disk") })
            .unwrap_err();
        assert_eq!(format!("{error:#}"), "step `bad` failed: no disk");
        let table = steps.table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("  good") && lines[0].ends_with("ok"), "{table}");
        assert!(lines[1].starts_with("  bad") && lines[1].ends_with("FAILED"), "{table}");
    }

    #[test]
    fn of_two_at_the_same_time_both_are_done_and_the_one_that_fails_is_named() {
        let mut steps = Steps::begin();
        // Each waits for the other: one after the other they would never end.
        let (here, there) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        let first = move || {
            here.0.send(())?;
            Ok(there.1.recv()?)
        };
        let second = move || -> Result<()> {
            there.0.send(())?;
            here.1.recv()?;
            anyhow::bail!("no luck")
        };
        let error = steps.both(("good", first), ("bad", second)).unwrap_err();
        assert_eq!(format!("{error:#}"), "step `bad` failed: no luck");
        let table = steps.table();
        assert!(table.contains("  good") && table.contains("FAILED"), "{table}");
    }
}
