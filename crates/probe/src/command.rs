//! Programs as probes.

use std::time::Duration;

use fracas_core::probe::{Command, CommandMeasure, Reading};
use fracas_linux::command::{Finished, run_bounded};

use crate::prometheus::excerpt;

/// Of each output so much is looked at, in bytes. A number is shorter.
const MOST_OUTPUT: usize = 4096;

/// Takes a reading; after `limit` the program is killed with all that it started.
pub(crate) async fn read(source: &Command, limit: Duration) -> Reading {
    let program = source.argv.first().map_or("", String::as_str);
    match run_bounded(&source.argv, limit, MOST_OUTPUT).await {
        Ok(finished) => reading(source.measure, &finished, limit)
            .map_or_else(|why| Reading::failed(format!("{program} {why}")), Reading::of),
        // The error names the program.
        Err(error) => Reading::failed(error.to_string()),
    }
}

/// What the end of a program says, or why it says nothing.
fn reading(measure: CommandMeasure, finished: &Finished, limit: Duration) -> Result<f64, String> {
    if finished.timed_out {
        return Err(format!(
            "did not end within {} and was killed",
            fracas_core::units::Span(limit)
        ));
    }
    let Some(code) = finished.code else {
        return Err(match finished.signal {
            Some(signal) => format!("was ended by signal {signal}, so it has no exit code"),
            None => "has no exit code".to_owned(),
        });
    };
    match measure {
        CommandMeasure::ExitCode => Ok(f64::from(code)),
        CommandMeasure::Number if code != 0 => {
            let said = excerpt(&finished.stderr);
            Err(if said.is_empty() {
                format!("failed with exit code {code}")
            } else {
                format!("failed with exit code {code}: {said}")
            })
        }
        CommandMeasure::Number => std::str::from_utf8(&finished.stdout)
            .ok()
            // More output than is kept is more than a number, even if its beginning is one.
            .filter(|_| !finished.truncated)
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| match excerpt(&finished.stdout) {
                said if said.is_empty() => "printed nothing where a number was expected".to_owned(),
                said => format!("printed something else than one number: {said}"),
            }),
    }
}
