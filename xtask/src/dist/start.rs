//! How long the binary takes to say its version: what every completion and every probe of a script pays.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often it is started.
const TIMES: usize = 100;

/// The middle and the longest of the times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    /// Half of all starts took no longer.
    pub(crate) middle: Duration,
    /// No start took longer.
    pub(crate) longest: Duration,
}

/// Starts `program --version` a hundred times, one after the other.
pub(crate) fn measure(program: &Path) -> Result<Start> {
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let began = Instant::now();
        let status = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("cannot start {}", program.display()))?;
        times.push(began.elapsed());
        if !status.success() {
            bail!("`{} --version` ended with {status}", program.display());
        }
    }
    Ok(of(times))
}

fn of(mut times: Vec<Duration>) -> Start {
    times.sort();
    Start {
        middle: times.get(times.len() / 2).copied().unwrap_or_default(),
        longest: times.last().copied().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_longest_are_found() {
        let times = [5, 1, 9, 2, 3].map(Duration::from_millis).to_vec();
        let start = of(times);
        assert_eq!(start.middle, Duration::from_millis(3));
        assert_eq!(start.longest, Duration::from_millis(9));
    }

    #[test]
    fn a_program_that_fails_or_is_not_there_is_an_error() {
        assert!(measure(Path::new("/bin/false")).is_err());
        assert!(measure(Path::new("/nonexistent/program")).is_err());
        assert!(measure(Path::new("/bin/true")).is_ok());
    }
}
