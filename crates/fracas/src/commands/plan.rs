//! `fracas plan`: everything that a run would do, without doing it.

mod shown;

use std::process::ExitCode;

use fracas_core::event::{Event, What};
use fracas_core::problem::{Problem, Result};
use fracas_engine::{Dry, Order};
use tokio::sync::mpsc;

use crate::cli::{Common, Format, Plan};
use crate::document::{load, notes};
use crate::output::{print, print_json, tell_problem};
use crate::settings::Settings;
pub(super) use shown::{Shown, line, need_words, undo};

/// So many refused injections are told beside the first: on a hundred targets all of them would bury it.
const TOLD: usize = 20;

/// Why each injection could not be planned.
fn refusals(events: &mut mpsc::UnboundedReceiver<Event>) -> Vec<Box<Problem>> {
    let mut refused = Vec::new();
    // The run is over: what will come is here.
    while let Ok(event) = events.try_recv() {
        if let What::InjectionFailed { problem, .. } = event.what {
            refused.push(problem.into());
        }
    }
    refused
}

pub(crate) fn command(common: &Common, plan: &Plan) -> Result<ExitCode> {
    let settings = Settings::load(common)?;
    let loaded = load(&plan.file, &plan.document, &settings)?;
    let notes = notes(&loaded);
    let experiment = loaded.experiment.clone();
    let (listener, mut events) = mpsc::unbounded_channel();
    let order = Order {
        notes,
        experiment: loaded.experiment,
        settings: settings.engine(None, false)?,
        dry: Dry::Quick,
        confirm: None,
        listener,
    };
    let ended = super::runtime()?.block_on(Box::pin(fracas_engine::run(order)))?;
    if let Some(problem) = ended.failure {
        // The first is the failure itself, which the caller tells.
        let others = refusals(&mut events).into_iter().skip(1);
        for other in others.take(TOLD) {
            tell_problem(&other);
        }
        return Err(problem);
    }
    for problem in &ended.problems {
        tell_problem(problem);
    }
    let shown = Shown::of(&ended.report, &experiment);
    match plan.format {
        Format::Json => print_json(&shown)?,
        Format::Text => print(&shown.text())?,
    }
    // What was asked for is the plan, and here it is, whether or not the system is well enough for a run now.
    Ok(ExitCode::SUCCESS)
}
