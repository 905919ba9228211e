//! One run, from the order to the files.

use std::path::{Path, PathBuf};

use fracas_core::event::{Hypothesis, Outcome, Phase, Verdict, What};
use fracas_core::experiment::Format;
use fracas_core::ids::RunId;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::seed::Seed;
use fracas_guardian::state::State;

use crate::drive::drive;
use crate::logs;
use crate::order::{Dry, Ended, Order, Settings};
use crate::prepare::{dismiss, prepare, ready_to_run};
use crate::recorder::Recorder;
use crate::stops::{Heard, Stops};

/// Carries out an order.
///
/// # Errors
/// What keeps a run from being recorded at all: the state directory, a stop file, an earlier run that was not cleaned up. Whatever
/// fails later is in [`Ended::failure`], with a report.
pub async fn run(order: Order) -> Result<Ended> {
    let state = State::open(&order.settings.state)?;
    ready_to_run(&state)?;
    let run = RunId::new(jiff::Timestamp::now(), random()? as u16);
    let mut stops = Stops::new(&state, &run, &order.settings.stop_file)?;
    let directory = state.run_directory(&run)?;
    // Until the files are written: no other run's end deletes it.
    let _held = state.hold(&run)?;
    let out = order
        .settings
        .out
        .clone()
        .unwrap_or_else(|| directory.path().to_owned());
    std::fs::create_dir_all(&out)
        .map_err(|error| Problem::new(&codes::STATE_WRITE, format!("cannot make {}", out.display())).because(&error))?;
    if order.settings.out.is_some() {
        let absolute = out.canonicalize().map_err(|error| {
            Problem::new(&codes::STATE_WRITE, format!("cannot find {} again", out.display())).because(&error)
        })?;
        state.remember_report(&run, &absolute)?;
    }
    if order.dry == Dry::No && !order.settings.outlets.is_empty() {
        // Before there is a guardian that might need them.
        state.keep_outlets(&run, Some(&order.settings.outlets))?;
    }
    let mut recorder = Recorder::new(Some(&out.join("events.ndjson")), order.listener.clone());
    let seed = match order.experiment.seed {
        Some(seed) => seed,
        None => Seed(random()?),
    };
    recorder.emit(What::RunStarted {
        run: run.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        experiment: Box::new(order.experiment.clone()),
        seed,
        dry_run: order.dry != Dry::No,
        pid: std::process::id(),
    });
    // The document was read before there was a run: the phase is recorded for whoever counts ten.
    recorder.emit(What::PhaseEntered {
        phase: Phase::Parse,
        expected: None,
    });
    for note in &order.notes {
        recorder.note(note.clone());
    }
    recorder.emit(What::PhaseLeft {
        phase: Phase::Parse,
        outcome: Outcome::Done,
    });
    let settings = order.settings.clone();
    let experiment = order.experiment.clone();
    let failure = Box::pin(carry_out(order, &run, seed, &mut stops, &mut recorder))
        .await
        .err();
    if let Some(problem) = &failure {
        let verdict = match problem.code {
            code if code == &codes::NOT_CONFIRMED => Verdict::Aborted,
            // Left to the guardian: whether anything stays is not known yet.
            code if code == &codes::RESIDUE => Verdict::Residue,
            _ => Verdict::Error,
        };
        recorder.failed(problem);
        recorder.emit(What::RunEnded {
            verdict,
            why: problem.line(),
            hypothesis: Hypothesis::NotEvaluated,
            decisions: (0, String::new()),
        });
    }
    let mut ended = close(recorder, &settings, &out, experiment.format, failure).await;
    if let Err(problem) = state.forget(settings.keep, &run) {
        ended.problems.push(problem);
    }
    Ok(ended)
}

async fn carry_out(order: Order, run: &RunId, seed: Seed, stops: &mut Stops, recorder: &mut Recorder) -> Result<()> {
    let Order {
        experiment,
        settings,
        dry,
        confirm,
        ..
    } = order;
    let prepared = tokio::select! {
        biased;
        // A guardian that was started meanwhile holds nothing, and goes when its socket closes.
        problem = stopped(stops) => return Err(problem),
        prepared = prepare(&experiment, &settings, run, seed, dry, recorder) => prepared?,
    };
    if let Some(confirm) = confirm {
        // Asked in a thread where waiting for a person blocks nobody: the heart beats on.
        let report = recorder.report();
        let asked = tokio::task::spawn_blocking(move || confirm(&report));
        let agreed = tokio::select! {
            biased;
            problem = stopped(stops) => Err(problem),
            agreed = asked => agreed
                .map_err(|error| Problem::new(&codes::INSIDE, "asking failed").because(&error))
                .flatten(),
        };
        if let Err(problem) = agreed {
            dismiss(&prepared.client).await;
            return Err(problem);
        }
    }
    drive(experiment, prepared, dry, &settings, run, stops, recorder).await
}

/// Ends when somebody asks to stop before the first fault: then there is nothing to undo, and no reason to go on preparing.
async fn stopped(stops: &mut Stops) -> Box<Problem> {
    let why = match stops.next().await {
        Heard::Stop(cause) => cause.words(),
        Heard::Again(_) => "asked again".to_owned(),
    };
    Problem::new(
        &codes::NOT_CONFIRMED,
        format!("stopped before anything was touched: {why}"),
    )
}

/// Writes the files.
async fn close(
    recorder: Recorder,
    settings: &Settings,
    out: &Path,
    format: Format,
    failure: Option<Box<Problem>>,
) -> Ended {
    let (mut report, mut problems) = recorder.close();
    let mut files: Vec<PathBuf> = Vec::new();
    let logs = logs::collect(&report).await;
    match fracas_report::logs::write_logs(out, &logs) {
        Ok(kept) => {
            files.extend(kept.iter().filter_map(|log| Some(out.join(log.file.as_ref()?))));
            report.logs = kept;
        }
        Err(problem) => problems.push(problem),
    }
    match fracas_report::write_all(out, &report, None) {
        Ok(written) => files.extend(written),
        Err(problem) => problems.push(problem),
    }
    if format == Format::ChaosScenario && !report.dry_run {
        match fracas_report::write_scenario(&settings.reports, &report, settings.keep_last) {
            Ok(written) => files.push(written),
            Err(problem) => problems.push(problem),
        }
        match fracas_report::logs::write_scenario_logs(&settings.reports, &report, &logs) {
            Ok(written) => files.extend(written),
            Err(problem) => problems.push(problem),
        }
    }
    Ended {
        verdict: report.verdict.unwrap_or(Verdict::Error),
        report,
        files,
        problems,
        failure,
    }
}

/// A number that nobody foresees, for ids and seeds that are not given.
///
/// # Errors
/// S005 if the kernel gives none.
pub fn random() -> Result<u64> {
    use std::io::Read;
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| Problem::new(&codes::SYSTEM, "cannot draw a seed").because(&error))?;
    Ok(u64::from_le_bytes(bytes))
}
