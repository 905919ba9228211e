//! Steps with a name and a time: what `cargo xtask ci` prints, and the table at its end.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// The steps that were done, in order.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    took: Duration,
    failed: bool,
}

impl Steps {
    /// Does a step and notes its time. The error of a failing step carries the step's name.
    pub(crate) fn step<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let sum: Duration = self.done.iter().map(|step| step.took).sum();
        println!("\n==> {name}, after {sum:.0?}");
        let start = Instant::now();
        let result = work();
        let took = start.elapsed();
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

    /// A line for each step, and one for the sum.
    pub(crate) fn table(&self) -> String {
        let mut table = String::new();
        for step in &self.done {
            let mark = if step.failed { "FAILED" } else { "ok" };
            // Writing to a String cannot fail.
            let _ = writeln!(table, "  {:<12} {:>8.1} s  {mark}", step.name, step.took.as_secs_f64());
        }
        let sum: Duration = self.done.iter().map(|step| step.took).sum();
        let _ = writeln!(table, "  {:<12} {:>8.1} s", "all", sum.as_secs_f64());
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_is_named_in_the_error_and_in_the_table() {
        let mut steps = Steps::default();
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
}
