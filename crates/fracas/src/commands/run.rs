//! `fracas run`

use std::process::ExitCode;

use fracas_core::event::Verdict;
use fracas_core::experiment::Experiment;
use fracas_core::problem::{Problem, Result, codes};
use fracas_engine::{Dry, Ended, Order};
use fracas_report::{Report, Style, plain, render, summary};
use fracas_spec::Loaded;
use fracas_telemetry::{Endpoint, Metrics, Serving};
use tokio::sync::mpsc;

use crate::cli::{Common, DryRun, Execution, Format, Run};
use crate::document::{load, notes};
use crate::output::{manner, print, tell, tell_problem, tell_warning};
use crate::screen::{Screen, Show};
use crate::settings::Settings;
use crate::watching::Watching;

pub(crate) fn command(common: &Common, run: Run) -> Result<ExitCode> {
    let settings = Settings::load(common)?;
    // Either is there: the command line's rules say so.
    let file = run.file.or(run.scenario).unwrap_or_default();
    let loaded = load(&file, &run.document, &settings)?;
    go(common, &settings, loaded, run.execution)
}

/// Runs it, from the question to the summary.
pub(super) fn go(common: &Common, settings: &Settings, loaded: Loaded, run: Execution) -> Result<ExitCode> {
    let dry = match run.dry_run {
        None => Dry::No,
        Some(DryRun::Quick) => Dry::Quick,
        Some(DryRun::Full) => Dry::Full,
    };
    let asks = !run.yes && dry == Dry::No;
    if asks && !fracas_linux::terminal::stdin_is_terminal() {
        // Before anything is prepared: there is nobody to ask.
        return Err(Problem::new(
            &codes::NOT_CONFIRMED,
            "there is no terminal to ask on, and `--yes` is not given",
        ));
    }
    let screen = Screen::new(Show::fitting(common.quiet, common.verbose));
    let (listener, events) = mpsc::unbounded_channel();
    let confirm = asks.then(|| {
        let (screen, experiment) = (screen.clone(), loaded.experiment.clone());
        Box::new(move |report: &Report| screen.aside(|| confirm(report, &experiment))) as fracas_engine::Confirm
    });
    let engine = settings.engine(run.out, run.strict_certificate)?;
    let (outlets, state) = (engine.outlets.clone(), engine.state.clone());
    // Before anything is touched: a port that somebody else has is no reason to have begun.
    let (metrics, serving) = serve(settings, common.quiet)?.unzip();
    let order = Order {
        notes: notes(&loaded),
        experiment: loaded.experiment,
        settings: engine,
        dry,
        confirm,
        listener,
    };
    let runtime = super::runtime()?;
    let (ended, untold) = runtime.block_on(async move {
        let (shown, shows) = mpsc::unbounded_channel();
        let teller = tokio::spawn(screen.follow(shows));
        let watching = tokio::spawn(Watching::start(outlets, metrics).follow(events, shown));
        let ended = Box::pin(fracas_engine::run(order)).await;
        // All events were sent; the last lines are still to be told.
        let watched = watching.await;
        let _ = teller.await;
        let untold = match watched {
            Ok(watching) => watching.finish(&state).await,
            Err(_) => Vec::new(),
        };
        (ended, untold)
    });
    // A thread that still waits for a person's answer, or for a name to be resolved, holds nobody up any more.
    runtime.shutdown_background();
    // The report is written.
    drop(serving);
    for problem in &untold {
        tell_warning(problem);
    }
    let ended = ended?;
    finish(&ended, run.format, common.quiet)?;
    Ok(ExitCode::from(ended.verdict.exit_code()))
}

/// Begins to answer for metrics, where the settings say so, and says where.
fn serve(settings: &Settings, quiet: bool) -> Result<Option<(Metrics, Serving)>> {
    let Some(at) = settings.metrics_listen() else {
        return Ok(None);
    };
    let endpoint = Endpoint::bind(at)?;
    // Nobody can know a port that the kernel chose.
    if !quiet || at.is_any_port() {
        tell(&format!("metrics: http://{}/metrics", endpoint.address()));
    }
    let metrics = Metrics::default();
    let serving = endpoint.serve(metrics.page())?;
    Ok(Some((metrics, serving)))
}

/// The question before harm: the whole plan, and one answer.
fn confirm(report: &Report, experiment: &Experiment) -> Result<()> {
    tell(&super::plan::Shown::of(report, experiment).text());
    let count = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    tell(&format!(
        "{} on {}. Go on? [y/N]",
        count(report.injections.len(), "injection"),
        count(report.chosen(), "target")
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

fn finish(ended: &Ended, format: Format, quiet: bool) -> Result<()> {
    for problem in &ended.problems {
        tell_problem(problem);
    }
    if let Some(problem) = &ended.failure {
        tell_problem(problem);
    }
    match format {
        Format::Json => print(&render(&ended.report, &[], fracas_report::Format::Json)?)?,
        // All that a script reads.
        Format::Text if quiet => return print(&format!("{}\n", verdict(ended, false))),
        Format::Text => {
            print(&summary(&ended.report, Style::from(ended.report.format)))?;
            for file in &ended.files {
                // As seed 0 prints it: `reports/…`, though the setting says `./reports`.
                let file = file.strip_prefix(".").unwrap_or(file);
                print(&format!("  Report: {}\n", file.display()))?;
            }
        }
    }
    // As JSON the last event says it.
    if !manner().json {
        tell(&verdict(ended, manner().colour));
    }
    Ok(())
}

/// The last line of a run.
fn verdict(ended: &Ended, coloured: bool) -> String {
    let word = ended.verdict.word();
    let colour = match ended.verdict {
        Verdict::Passed => 32,
        Verdict::Inconclusive => 33,
        _ => 31,
    };
    let word = if coloured {
        format!("\u{1b}[1;{colour}m{word}\u{1b}[0m")
    } else {
        word.to_owned()
    };
    let why = match plain(&ended.report.why) {
        why if why.is_empty() => why,
        why => format!(": {why}"),
    };
    format!("{word}{why} (exit code {})", ended.verdict.exit_code())
}
