//! Processes of this machine as probes: how many have a matching command line. Zombies are not counted, for they no longer run.

use fracas_core::probe::{ProcessCount, Reading};
use fracas_core::problem::Result;
use fracas_linux::process;
use regex::Regex;

use crate::log::pattern;

/// The whole command line must match, as in target selectors.
pub(crate) fn anchored(source: &ProcessCount) -> Result<Regex> {
    // First as it is, so that an error shows what the author wrote, and so that a bracket cannot close ours.
    pattern("command", &source.command)?;
    pattern("command", &format!("^(?:{})$", source.command))
}

/// Takes a reading. /proc is read on a thread that may block.
pub(crate) async fn read(source: &ProcessCount) -> Reading {
    let command = match anchored(source) {
        Ok(command) => command,
        Err(problem) => return Reading::failed(problem.line()),
    };
    let counted = tokio::task::spawn_blocking(move || {
        process::all().map(|all| {
            all.iter()
                .filter(|status| status.state != 'Z' && command.is_match(&status.command))
                .count()
        })
    });
    match counted.await {
        Ok(Ok(count)) => Reading::of(count as f64),
        Ok(Err(error)) => Reading::failed(format!("the processes of this machine cannot be listed: {error}")),
        Err(error) => Reading::failed(format!("the processes of this machine could not be counted: {error}")),
    }
}
