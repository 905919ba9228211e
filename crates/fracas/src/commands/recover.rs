//! `fracas recover`: undoes what runs left whose processes died.

use std::process::ExitCode;

use fracas_core::ids::RunId;
use fracas_core::problem::{Problem, Result, codes};
use fracas_docker::Engine;
use fracas_engine::Sidecar;
use fracas_guardian::protocol::Task;
use fracas_guardian::sidecar::{Found, Site};
use fracas_guardian::state::{Kept, State};
use fracas_guardian::told::{self, Cleanup};
use fracas_guardian::{Client, Place};
use fracas_report::plain_lines;

use crate::cli::{Common, Recover};
use crate::output::{print, tell, tell_problem, tell_warning};
use crate::settings::Settings;

pub(crate) fn command(common: &Common, recover: &Recover) -> Result<ExitCode> {
    let settings = Settings::load(common)?;
    let path = settings.state()?;
    let state = State::open(&path)?;
    let wanted = recover.run.as_deref().map(parse).transpose()?;
    let runs = state.runs()?;
    // What is beside the engine is looked at first: it may be the run that is wanted.
    // An engine that is out of reach keeps nothing on this machine from being recovered, and is told at the end.
    let (beside, unseen) = match super::runtime()?.block_on(beside(&settings)) {
        Ok(found) => (found, None),
        Err(problem) => (None, Some(problem)),
    };
    let beside = beside.filter(|(_, left)| wanted.as_ref().is_none_or(|wanted| left.run() == wanted));
    if let Some(run) = &wanted
        && beside.is_none()
        && !runs.iter().any(|kept| kept.run == *run)
    {
        return Err(unseen.unwrap_or_else(|| Problem::new(&codes::NO_SUCH_RUN, format!("there is no run {run}"))));
    }
    let mut clean = true;
    for kept in runs.iter().filter(|kept| kept.is_stuck()) {
        let run = &kept.run;
        if wanted.as_ref().is_none_or(|wanted| wanted == run) {
            tell(&format!(
                "run {run} still has its processes, and both are stopped: `fracas stop {run}` ends them and undoes it"
            ));
            clean = false;
        }
    }
    let abandoned: Vec<_> = runs
        .into_iter()
        .filter(Kept::is_abandoned)
        .map(|kept| kept.run)
        .filter(|run| wanted.as_ref().is_none_or(|wanted| wanted == run))
        .collect();
    // The groups of guardians that were killed; nothing of a target is in them.
    if let Err(error) = fracas_linux::guard::sweep() {
        tell(&format!("note: {error}"));
    }
    if abandoned.is_empty() && beside.is_none() && unseen.is_none() && clean {
        print("nothing to recover\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    for run in abandoned {
        // A run that cannot be recovered keeps no other one from it.
        clean &= one(&state, &Place::Here(path.clone()), &run).unwrap_or_else(|problem| {
            if done_by_another(&state, &run) {
                tell(&format!("run {run} was recovered by somebody else at the same time"));
                return true;
            }
            tell(&format!("run {run} cannot be recovered:"));
            tell_problem(&problem);
            false
        });
    }
    if let Some((site, left)) = beside {
        let recovered = match left {
            Left::Ledger(run) => one(&state, &Place::Sidecar(site), &run),
            Left::Rest(run) => super::runtime()?.block_on(site.remove(&run)).map(|()| {
                tell(&format!(
                    "removed what was left of a sidecar at {}",
                    site.engine().address()
                ));
                true
            }),
        };
        clean &= recovered.unwrap_or_else(|problem| {
            tell_problem(&problem);
            false
        });
    }
    match unseen {
        // Nothing of this machine is left; what is beside the engine is not known.
        Some(problem) if clean => Err(problem),
        Some(problem) => {
            tell_problem(&problem);
            Ok(ExitCode::from(4))
        }
        None => Ok(ExitCode::from(if clean { 0 } else { 4 })),
    }
}

/// What a run left beside an engine.
enum Left {
    /// A ledger.
    Ledger(RunId),
    /// A container or an image alone.
    Rest(RunId),
}

impl Left {
    fn run(&self) -> &RunId {
        let (Self::Ledger(run) | Self::Rest(run)) = self;
        run
    }
}

/// What was left beside the engine of the settings.
async fn beside(settings: &Settings) -> Result<Option<(Site, Left)>> {
    if settings.sidecar() == Sidecar::Never {
        return Ok(None);
    }
    let host = settings.docker_host();
    let engine = match Engine::connect(host.as_deref()).await {
        Ok(engine) => engine,
        // Most machines have no engine and need none; one that is elsewhere was given on purpose.
        Err(_) if settings.sidecar() == Sidecar::Auto && host.as_ref().is_none_or(|host| host.starts_with("unix:")) => {
            return Ok(None);
        }
        Err(problem) => return Err(problem),
    };
    let site = fracas_engine::site(&engine, settings.sidecar_socket().as_deref());
    Ok(match site.look().await? {
        // Who has the name of a sidecar without being one is none of ours, and no run with a sidecar is there.
        Found::Nothing | Found::Stranger => None,
        Found::AtWork(run) => {
            tell(&format!(
                "run {run} has its sidecar at {}, which is at work",
                engine.address()
            ));
            None
        }
        Found::Left(run) => Some((site, Left::Ledger(run))),
        Found::Rest(run) => Some((site, Left::Rest(run))),
    })
}

/// So long another `fracas recover` that was first may take.
const ANOTHER: std::time::Duration = std::time::Duration::from_mins(1);

/// Whether somebody else recovers this run too, and nothing of it is left when they are done.
fn done_by_another(state: &State, run: &RunId) -> bool {
    let over = super::stop::wait(state, std::slice::from_ref(run), ANOTHER);
    let runs = over.and_then(|()| state.runs());
    runs.is_ok_and(|runs| runs.iter().any(|kept| kept.run == *run && !kept.is_abandoned()))
}

/// Recovers one run; true if nothing of it is left.
pub(super) fn one(state: &State, place: &Place, run: &RunId) -> Result<bool> {
    let runtime = super::runtime()?;
    let began = told::now();
    let certificate = runtime.block_on(async {
        let (client, _news) = Client::start_at(place, Task::Recover { run: run.clone() }).await?;
        client.end().await
    })?;
    print(&format!("run {run}\n"))?;
    for line in &certificate.lines {
        // It may come from another machine.
        let said = plain_lines(&format!(
            "  {:<8} {} on {}: {}; {} ({} ms)",
            line.state.word(),
            line.fault,
            line.target,
            line.undo,
            line.seen,
            line.millis
        ));
        print(&format!("{said}\n"))?;
        for manual in &line.manual {
            print(&format!("{}\n", plain_lines(&format!("           by hand: {manual}"))))?;
        }
    }
    let clean = certificate.is_clean();
    let cleanup = Cleanup {
        run: run.clone(),
        by: "recover",
        why: "runner and guardian died".to_owned(),
        began,
        ended: told::now(),
        certificate,
    };
    for problem in runtime.block_on(told::tell(state, &cleanup)) {
        tell_warning(&problem);
    }
    // A name that is still being resolved holds nobody up.
    runtime.shutdown_background();
    Ok(clean)
}

/// The id of a run, as a person gives it.
pub(super) fn parse(text: &str) -> Result<RunId> {
    text.parse()
        .map_err(|error| Problem::new(&codes::NO_SUCH_RUN, format!("{text:?} is no run")).because(&error))
}
