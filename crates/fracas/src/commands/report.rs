//! `fracas report`: the report of an earlier run, also of one whose runner died; and two runs side by side.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fracas_core::ids::RunId;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::Certificate;
use fracas_guardian::ledger::Ledger;
use fracas_guardian::serve::CERTIFICATE;
use fracas_guardian::state::State;
use fracas_report::versus::{text, versus};
use fracas_report::{Format, Measured, Report, plain, render};

use crate::cli::{self, Common, Compare, ReportMore};
use crate::output::{print, print_json, tell};
use crate::settings::Settings;

/// The largest certificate that is read, in bytes.
const LARGEST: u64 = 64 << 20;

pub(crate) fn command(common: &Common, report: &cli::Report) -> Result<ExitCode> {
    let state = Settings::load(common)?.state()?;
    if let Some(ReportMore::Compare(runs)) = &report.more {
        return compare(&state, runs);
    }
    // It is there where nothing else is asked: the command line's rules say so.
    let found = Found::of(&state, report.run.as_deref().unwrap_or_default())?;
    if found.report.verdict.is_none() {
        tell("note: the runner of this run did not say how it ended");
    }
    let mut events = Vec::new();
    if report.format == Format::Ndjson {
        fracas_report::read_events(&found.directory.join("events.ndjson"), |event| events.push(event))?;
    }
    print(&render(&found.report, &events, report.format)?)?;
    Ok(ExitCode::SUCCESS)
}

fn compare(state: &Path, runs: &Compare) -> Result<ExitCode> {
    let measured = |run: &str| -> Result<Measured> {
        let found = Found::of(state, run)?;
        Ok(Measured::with_samples(found.report, &found.directory))
    };
    let both = versus(&measured(&runs.first)?, &measured(&runs.second)?)?;
    if runs.json {
        print_json(&both)?;
    } else {
        print(&text(&both))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A report that was found, with its proof.
struct Found {
    directory: PathBuf,
    report: Report,
}

impl Found {
    fn of(state: &Path, run: &str) -> Result<Self> {
        let (directory, id) = find(state, run)?;
        if !directory.join("report.json").exists() && !directory.join("events.ndjson").exists() {
            let what = format!("run {} has no report here", plain(run));
            return Err(Problem::new(&codes::NO_SUCH_RUN, what)
                .since(format!(
                    "{} holds neither report.json nor events.ndjson",
                    directory.display()
                ))
                .next("if the directory that its `--out` named was moved, name its new place"));
        }
        let mut report = fracas_report::load(&directory)?;
        if let Some(run) = id.filter(|run| report.run.as_ref() != Some(run)) {
            let what = format!("the report of run {run} is not there any more");
            return Err(Problem::new(&codes::NO_SUCH_RUN, what)
                .since(format!("another run wrote its report into {}", directory.display()))
                .next("give each run its own `--out`"));
        }
        // A guardian that outlived its runner wrote the proof alone, into the state directory.
        if report.certificate.is_none() {
            let of_run = report.run.as_ref().map(|run| state.join("runs").join(run.as_str()));
            let mut proof = None;
            for place in [Some(directory.clone()), of_run].into_iter().flatten() {
                proof = proof.or(certificate(&place.join(CERTIFICATE))?);
            }
            // Where both died the ledger knows what was on, and how a person takes it off.
            let proof = match (proof, &report.run) {
                (None, Some(run)) => account(state, run)?,
                (proof, _) => proof,
            };
            if let Some(proof) = proof {
                report.take_certificate(proof);
            }
        }
        Ok(Self { directory, report })
    }
}

/// What the ledger of a run says that nobody keeps any more; `None` while its guardian is at work, and where nothing was touched.
fn account(state: &Path, run: &RunId) -> Result<Option<Certificate>> {
    if !state.join("runs").join(run.as_str()).is_dir() {
        return Ok(None);
    }
    let directory = State::open(state)?.run_directory(run)?;
    Ok(Ledger::look(&directory)?
        .filter(|(contents, kept)| !kept && !contents.entries.is_empty())
        .map(|(contents, _)| contents.account()))
}

/// The directory of a report, and the run whose report must be in it, where one was named.
fn find(state: &Path, run: &str) -> Result<(PathBuf, Option<RunId>)> {
    if run.contains('/') || Path::new(run).is_dir() {
        return Ok((PathBuf::from(run), None));
    }
    let state = State::open(state)?;
    let runs = state.runs()?;
    let found = if run == "last" {
        runs.last().map(|kept| kept.run.clone())
    } else {
        let wanted = super::recover::parse(run)?;
        runs.into_iter().map(|kept| kept.run).find(|run| *run == wanted)
    };
    let missing = || match run {
        "last" => "there are no runs yet".to_owned(),
        _ => format!("there is no run {run}"),
    };
    let found = found.ok_or_else(|| Problem::new(&codes::NO_SUCH_RUN, missing()))?;
    Ok((state.report_directory(&found)?, Some(found)))
}

fn certificate(path: &Path) -> Result<Option<Certificate>> {
    use std::io::Read as _;
    let failed = |why: &dyn std::error::Error| {
        Problem::new(&codes::SYSTEM, format!("cannot read {}", path.display())).since(why.to_string())
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let mut text = Vec::new();
    file.take(LARGEST)
        .read_to_end(&mut text)
        .map_err(|error| failed(&error))?;
    serde_json::from_slice(&text).map(Some).map_err(|error| failed(&error))
}
