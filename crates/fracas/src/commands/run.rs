//! `fracas run`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fracas_core::event::Event;
use fracas_core::experiment::Format as DocumentFormat;
use fracas_core::problem::{Problem, Result, codes};
use fracas_engine::{Dry, Ended, Order, Settings};
use fracas_report::{Report, Style, Verbosity, line, render, summary};
use fracas_spec::{Loaded, Source};
use tokio::sync::mpsc;

use crate::cli::{Common, Document, DryRun, Format, Run};
use crate::output::{print, tell};
use crate::settings::{env, state_path};

pub(crate) fn command(common: &Common, run: Run) -> Result<ExitCode> {
    // Either is there: the command line's rules say so.
    let file = run.file.or(run.scenario).unwrap_or_default();
    let loaded = load(&file, &run.document)?;
    let settings = Settings {
        state: state_path(common)?,
        out: run.out,
        reports: PathBuf::from("reports"),
        keep_last: 50,
        prometheus_url: env("PROMETHEUS_URL"),
        docker_host: env("DOCKER_HOST"),
        stop_file: PathBuf::from("/tmp/chaos-stop"),
    };
    let format = loaded.experiment.format;
    let (listener, events) = mpsc::unbounded_channel();
    let order = Order {
        notes: loaded
            .warnings
            .iter()
            .map(|warning| format!("{}; {}", warning.what, warning.next.as_deref().unwrap_or_default()))
            .collect(),
        experiment: loaded.experiment,
        settings,
        dry: match run.dry_run {
            None => Dry::No,
            Some(DryRun::Quick) => Dry::Quick,
            Some(DryRun::Full) => Dry::Full,
        },
        confirm: (!run.yes && run.dry_run.is_none()).then(|| Box::new(confirm) as fracas_engine::Confirm),
        listener,
    };
    let verbosity = match (common.quiet, common.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, 0) => Verbosity::Normal,
        (_, _) => Verbosity::Verbose,
    };
    let ended = super::runtime()?.block_on(async move {
        let teller = tokio::spawn(follow(events, verbosity));
        let ended = Box::pin(fracas_engine::run(order)).await;
        // All events were sent; the last lines are still to be told.
        let _ = teller.await;
        ended
    })?;
    finish(&ended, run.format, format)?;
    Ok(ExitCode::from(ended.verdict.exit_code()))
}

/// Reads a document, with all problems at once.
pub(crate) fn load(file: &Path, document: &Document) -> Result<Loaded> {
    let mut overrides = Vec::new();
    for set in &document.set {
        let (key, value) = set
            .split_once('=')
            .ok_or_else(|| Problem::new(&codes::BAD_OVERRIDE, format!("`--set {set}` has no `=`")))?;
        overrides.push((key.to_owned(), value.to_owned()));
    }
    let text = fracas_spec::read_file(file)?;
    let source = Source {
        name: file.display().to_string(),
        text,
    };
    match fracas_spec::load(&source, &overrides, &env) {
        Ok(loaded) => {
            if let Some(first) = loaded.unsupported.first()
                && !document.skip_unsupported
            {
                return Err(Box::new(first.clone()).next("`--skip-unsupported` runs the rest"));
            }
            Ok(loaded)
        }
        Err(problems) => {
            let mut problems = problems.into_iter();
            let last = problems.next_back();
            for problem in problems {
                tell(&format!("{problem}\n"));
            }
            Err(last.unwrap_or_else(|| Problem::new(&codes::INSIDE, "the document was refused without a reason")))
        }
    }
}

async fn follow(mut events: mpsc::UnboundedReceiver<Event>, verbosity: Verbosity) {
    while let Some(event) = events.recv().await {
        if let Some(line) = line(&event, verbosity) {
            tell(&line);
        }
    }
}

/// The question before harm.
fn confirm(report: &Report) -> Result<()> {
    if !fracas_linux::terminal::stdin_is_terminal() {
        return Err(Problem::new(&codes::NOT_CONFIRMED, "there is no terminal to ask on"));
    }
    tell(&format!(
        "{} injections on {} targets. Go on? [y/N]",
        report.injections.len(),
        report.chosen()
    ));
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Problem::new(&codes::NOT_CONFIRMED, "cannot read the answer").because(&error))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Problem::new(&codes::NOT_CONFIRMED, "nobody agreed to the run"))
    }
}

fn finish(ended: &Ended, format: Format, document: DocumentFormat) -> Result<()> {
    for problem in &ended.problems {
        tell(&problem.to_string());
    }
    if let Some(problem) = &ended.failure {
        tell(&problem.to_string());
    }
    match format {
        Format::Json => print(&render(&ended.report, &[], fracas_report::Format::Json)?)?,
        Format::Text => {
            let style = if document == DocumentFormat::ChaosScenario {
                Style::ChaosScenario
            } else {
                Style::Native
            };
            print(&summary(&ended.report, style))?;
            for file in &ended.files {
                print(&format!("  Report: {}\n", file.display()))?;
            }
        }
    }
    Ok(())
}
