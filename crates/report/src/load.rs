//! The report of an earlier run, from its directory.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use fracas_core::probe::Moment;
use fracas_core::problem::{Problem, Result, codes};

use crate::fold::{Fold, Samples};
use crate::log::{MOST_BYTES, read_events};
use crate::model::{Report, VERSION};

/// The report of the run in `dir`: `report.json`, or, where there is none that this version can read, made again from
/// `events.ndjson`. So also a run whose runner died has a report, without a verdict.
///
/// # Errors
/// `S005` if neither can be read.
pub fn load(dir: &Path) -> Result<Report> {
    // Whatever is wrong with the report, the events are the source of it.
    let torn = match written(&dir.join("report.json")) {
        Ok(report) => return Ok(report),
        Err(torn) => torn,
    };
    let path = dir.join("events.ndjson");
    let mut fold = Fold::default();
    let mut any = false;
    let unreadable = read_events(&path, |event| {
        any = true;
        fold.apply(&event);
    });
    let unreadable = match (unreadable, torn) {
        (Ok(lines), _) => lines,
        // The cause is what is wrong with the report: that there are no events either is no news.
        (Err(_), Some(torn)) if !path.exists() => return Err(torn),
        (Err(problem), _) => return Err(problem),
    };
    if !any {
        let problem = Problem::new(&codes::SYSTEM, format!("{} holds no event", path.display()));
        return Err(problem.since(format!("{unreadable} lines in it are no events of this version")));
    }
    Ok(fold.report())
}

/// A report with the samples behind its figures.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The report.
    pub report: Report,
    /// Why there are no samples, if there are none.
    pub torn: Option<String>,
    samples: Samples,
}

impl Measured {
    /// The report with the samples that the `events.ndjson` in its directory holds.
    pub fn with_samples(report: Report, dir: &Path) -> Self {
        let mut fold = Fold::default();
        let read = read_events(&dir.join("events.ndjson"), |event| fold.apply(&event));
        let torn = read.err().map(|problem| {
            let why = problem.line();
            format!("its readings are gone, so there are no tests: {why}")
        });
        Self {
            report,
            torn,
            samples: fold.samples(),
        }
    }

    /// The same from the events themselves.
    #[cfg(test)]
    pub(crate) fn of(events: Vec<fracas_core::event::Event>) -> Self {
        let mut fold = Fold::default();
        for event in events {
            fold.apply(&event);
        }
        Self {
            report: fold.report(),
            torn: None,
            samples: fold.samples(),
        }
    }

    /// The independent samples of a probe in a moment; none if it was not read in it.
    pub(crate) fn samples(&self, probe: &str, moment: Moment) -> Vec<f64> {
        let found = self.samples.get(probe).and_then(|moments| moments.get(&moment));
        found.cloned().unwrap_or_default()
    }
}

/// What every version of a report has.
#[derive(serde::Deserialize)]
struct Versioned {
    version: u32,
}

/// The written report. Else why it cannot be read; `None` if there is none.
fn written(path: &Path) -> std::result::Result<Report, Option<Box<Problem>>> {
    let failed = || Problem::new(&codes::SYSTEM, format!("cannot read {}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(None),
        Err(error) => return Err(Some(failed().because(&error))),
    };
    let mut text = Vec::new();
    file.take(MOST_BYTES)
        .read_to_end(&mut text)
        .map_err(|error| failed().because(&error))?;
    if text.is_empty() {
        return Err(Some(failed().since("it is empty")));
    }
    if let Ok(Versioned { version }) = serde_json::from_slice(&text)
        && version != VERSION
    {
        let problem = failed().since(format!("it has version {version}, this Fracas reads version {VERSION}"));
        return Err(Some(problem.next("use the Fracas that wrote it")));
    }
    serde_json::from_slice(&text).map_err(|error| Some(failed().since(format!("it is no report: {error}"))))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{fold, samples, write_all};

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let report = fold(samples::residue());
        write_all(dir.path(), &report, None).unwrap();
        assert_eq!(load(dir.path()).unwrap(), report);
    }

    #[test]
    fn without_a_report_that_can_be_read_the_events_tell_it() {
        let dir = tempfile::tempdir().unwrap();
        let events = samples::aborted();
        let report = fold(events.clone());
        write_all(dir.path(), &report, Some(&events)).unwrap();
        let mut other = report.clone();
        other.version = VERSION + 1;
        let other = serde_json::to_string(&other).unwrap();
        for bad in ["", "{", "[]", other.as_str()] {
            fs::write(dir.path().join("report.json"), bad).unwrap();
            assert_eq!(load(dir.path()).unwrap(), report, "{bad:.20}");
        }
    }

    #[test]
    fn without_its_events_a_run_has_figures_and_no_samples() {
        let dir = tempfile::tempdir().unwrap();
        let events = samples::measured(1, [9, 10, 11], 0.0);
        write_all(dir.path(), &fold(events.clone()), Some(&events)).unwrap();
        let measured = || Measured::with_samples(load(dir.path()).unwrap(), dir.path());
        let whole = measured();
        let sizes =
            |one: &Measured| [Moment::Before, Moment::During, Moment::After].map(|at| one.samples("p0", at).len());
        assert_eq!((sizes(&whole), whole.torn.clone()), ([9, 10, 11], None));
        fs::remove_file(dir.path().join("events.ndjson")).unwrap();
        let torn = measured();
        assert_eq!((sizes(&torn), torn.report), ([0; 3], whole.report));
        assert!(torn.torn.unwrap().contains("events.ndjson"));
    }

    #[test]
    fn without_events_what_is_wrong_with_the_report_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut report = fold(samples::residue());
        report.version = VERSION + 98;
        let newer = serde_json::to_string(&report).unwrap();
        let cut = &newer[..newer.len() / 2];
        for (text, why) in [
            ("", "it is empty"),
            (cut, "it is no report"),
            ("[]", "it is no report"),
            (newer.as_str(), "it has version"),
        ] {
            fs::write(dir.path().join("report.json"), text).unwrap();
            let problem = load(dir.path()).unwrap_err();
            let said = problem.to_string();
            assert!(said.contains("report.json") && said.contains(why), "{said}");
            assert!(!said.contains("events.ndjson"), "{said}");
        }
    }

    #[test]
    fn nothing_to_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap_err().code.id, "S005");
        fs::write(dir.path().join("events.ndjson"), "garbage\n").unwrap();
        let problem = load(dir.path()).unwrap_err();
        assert!(problem.line().contains("holds no event: 1 lines"), "{problem}");
    }
}
