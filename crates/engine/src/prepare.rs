//! Everything that comes before the first fault and can only succeed or fail: targets, needs, plans, the guardian.

use std::collections::BTreeMap;
use std::time::Duration;

use fracas_core::event::{Environment, Outcome, Phase, What};
use fracas_core::experiment::{Execution, Experiment, FaultSpec};
use fracas_core::ids::{InjectionId, RunId};
use fracas_core::problem::{Problem, Result, Said, codes};
use fracas_core::record::UndoClass;
use fracas_core::run::Injection;
use fracas_core::seed::Seed;
use fracas_core::target::Target;
use fracas_core::units::Span;
use fracas_docker::Engine;
use fracas_guardian::client::{Client, News, Place};
use fracas_guardian::protocol::{Planned, Sought, Task, Turn, Wanted};
use fracas_guardian::state::State;
use fracas_probe::Prober;

use crate::observers::Observers;
use crate::order::{Dry, Settings};
use crate::recorder::Recorder;
use crate::sidecar;

/// A run that may begin.
pub struct Prepared {
    /// The guardian.
    pub(crate) client: Client,
    /// Where it is, and another would be.
    pub(crate) place: Place,
    /// What it says unasked.
    pub(crate) news: News,
    /// The container engine, where one is needed.
    pub(crate) engine: Option<Engine>,
    /// The measurements.
    pub(crate) prober: Prober,
    /// All targets.
    pub(crate) targets: Vec<Target>,
    /// The injections, for the machine.
    pub(crate) injections: Vec<Injection>,
    /// The target of each, and how it is undone.
    pub(crate) planned: BTreeMap<InjectionId, (Target, UndoClass)>,
}

/// Whether nothing of earlier runs stands in the way of a new one.
///
/// # Errors
/// G005 if a run died without being cleaned up.
pub fn ready_to_run(state: &State) -> Result<()> {
    let abandoned: Vec<_> = state
        .runs()?
        .into_iter()
        .filter(fracas_guardian::state::Kept::is_abandoned)
        .map(|kept| kept.run.to_string())
        .collect();
    if abandoned.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        &codes::UNFINISHED,
        format!("run {} was not cleaned up", abandoned.join(", ")),
    ))
}

/// Prepares a run.
pub(crate) async fn prepare(
    experiment: &Experiment,
    settings: &Settings,
    run: &RunId,
    seed: Seed,
    dry: Dry,
    recorder: &mut Recorder,
) -> Result<Prepared> {
    recorder.emit(What::PhaseEntered {
        phase: Phase::Discover,
        expected: None,
    });
    let engine = connect(experiment, settings).await?;
    let place = sidecar::place(experiment, settings, engine.as_ref())?;
    recorder.emit(What::Surrounded(environment(engine.as_ref()).await));
    let task = Task::Run {
        run: run.clone(),
        engines: engine.iter().map(fracas_docker::Engine::address).collect(),
        dry: dry != Dry::No,
    };
    // The processes beside another engine are seen from there only.
    let (early, task) = match place {
        Place::Sidecar(_) => (Some(Client::start_at(&place, task).await?), None),
        Place::Here(_) => (None, Some(task)),
    };
    let client = early.as_ref().map(|(client, _)| client);
    let targets = match discover(experiment, engine.as_ref(), client, seed, recorder).await {
        Ok(targets) => targets,
        Err(problem) => {
            if let Some(client) = client {
                dismiss(client).await;
            }
            return Err(problem);
        }
    };
    recorder.emit(What::PhaseLeft {
        phase: Phase::Discover,
        outcome: Outcome::Done,
    });
    recorder.emit(What::PhaseEntered {
        phase: Phase::Prepare,
        expected: None,
    });
    let prober = match probes(experiment, settings).await {
        Ok(prober) => prober,
        Err(problem) => {
            if let Some(client) = client {
                dismiss(client).await;
            }
            return Err(problem);
        }
    };
    let observers = Observers::find(experiment, &prober, engine.as_ref(), recorder).await;
    let (client, news) = match (early, task) {
        (Some(started), _) => started,
        (None, Some(task)) => Client::start_at(&place, task).await?,
        (None, None) => return Err(Problem::new(&codes::INSIDE, "there is no guardian and no task for one")),
    };
    for weak in client.weak() {
        recorder.note(format!("the guardian is weaker than it could be: {weak}"));
    }
    let mut wanted = wanted(experiment, &targets, seed);
    for (fault, wanted) in &mut wanted {
        if experiment.faults[*fault].inject.include_observers().is_some() {
            wanted.observers = observers.of(&wanted.target, engine.as_ref()).await;
        }
    }
    let (injections, planned) = match plan(experiment, &client, wanted, recorder).await {
        Ok(plan) => plan,
        Err(problem) => {
            dismiss(&client).await;
            return Err(problem);
        }
    };
    recorder.emit(What::PhaseLeft {
        phase: Phase::Prepare,
        outcome: Outcome::Done,
    });
    Ok(Prepared {
        client,
        place,
        news,
        engine,
        prober,
        targets,
        injections,
        planned,
    })
}

/// The measurements, each of which is possible.
async fn probes(experiment: &Experiment, settings: &Settings) -> Result<Prober> {
    let prober = Prober::new(fracas_probe::Settings {
        prometheus_url: settings.prometheus_url.clone(),
        docker_host: settings.docker_host.clone(),
    })?;
    for probe in &experiment.probes {
        prober.check(&probe.source).await.map_err(|mut problem| {
            problem.what = format!("probe `{}`: {}", probe.name, problem.what);
            problem
        })?;
    }
    Ok(prober)
}

async fn connect(experiment: &Experiment, settings: &Settings) -> Result<Option<Engine>> {
    if !fracas_targets::needs_engine(&experiment.targets, &experiment.preconditions) {
        return Ok(None);
    }
    Engine::connect(settings.docker_host.as_deref()).await.map(Some)
}

/// Where the run goes on. What cannot be told is left out: a report is no reason to fail a run.
async fn environment(engine: Option<&Engine>) -> Environment {
    let version = match engine {
        Some(engine) => engine.version().await.ok(),
        None => None,
    };
    Environment {
        host: fracas_linux::kernel::host_name().ok(),
        kernel: fracas_linux::kernel::release().ok(),
        architecture: std::env::consts::ARCH.to_owned(),
        engine: version.map(|version| {
            let (name, server, api, groups) = (version.name, version.server, version.api, version.cgroup_version);
            format!("{name} {server} (API {api}, control groups v{groups})")
        }),
    }
}

async fn discover(
    experiment: &Experiment,
    engine: Option<&Engine>,
    sidecar: Option<&Client>,
    seed: Seed,
    recorder: &mut Recorder,
) -> Result<Vec<Target>> {
    let found = match sidecar {
        Some(client) => {
            let sought = Sought {
                targets: experiment.targets.clone(),
                preconditions: experiment.preconditions.clone(),
                seed,
            };
            client.discover(sought).await?
        }
        None => fracas_targets::discover(&experiment.targets, &experiment.preconditions, engine, seed).await?,
    };
    let mut targets = Vec::new();
    for chosen in found.chosen {
        for decision in chosen.decisions {
            recorder.emit(What::Decided {
                purpose: decision.purpose,
                identity: decision.identity,
                ordinal: decision.ordinal,
                chosen: decision.chosen,
            });
        }
        targets.extend(chosen.targets.clone());
        recorder.emit(What::TargetsChosen {
            alias: chosen.alias,
            candidates: chosen.candidates,
            sum: chosen.sum,
            chosen: chosen.targets,
        });
    }
    for note in found.notes {
        recorder.note(note);
    }
    Ok(targets)
}

/// Every fault on each of its targets, in the order of the document.
fn wanted(experiment: &Experiment, targets: &[Target], seed: Seed) -> Vec<(usize, Wanted)> {
    let turns = turns(experiment);
    let mut wanted = Vec::new();
    for (fault, spec) in experiment.faults.iter().enumerate() {
        let others: Vec<Target> = targets
            .iter()
            .filter(|target| Some(target.alias.as_str()) == spec.inject.others())
            .cloned()
            .collect();
        for target in targets.iter().filter(|target| target.alias == spec.target) {
            let injection = InjectionId(wanted.len() as u32);
            wanted.push((
                fault,
                Wanted {
                    injection,
                    name: spec.name.clone(),
                    fault: spec.inject.name().to_owned(),
                    params: spec.inject.params(),
                    target: target.clone(),
                    others: others.clone(),
                    observers: Vec::new(),
                    at_most: experiment.max_duration,
                    allow_irreversible: spec.allow_irreversible,
                    turn: turns[fault],
                    seed,
                },
            ));
        }
    }
    wanted
}

/// When each fault is on. Those that follow each other wait for the one before to be clean, so they are apart however short the time
/// between them is.
fn turns(experiment: &Experiment) -> Vec<Turn> {
    let sequential = experiment.execution == Execution::Sequential;
    let mut clock = Duration::ZERO;
    let mut series = None;
    let turn = |(index, spec): (usize, &FaultSpec)| {
        // A series is known by its first.
        if !spec.follows {
            let next = experiment.faults.get(index + 1);
            series = next.filter(|next| next.follows).map(|_| index as u32);
        }
        let from = clock.saturating_add(spec.start.0);
        let until = spec.duration.map(|duration| from.saturating_add(duration.0));
        if sequential {
            clock = until.unwrap_or(from).saturating_add(Turn::GAP.0);
        }
        Turn {
            from: Span(from),
            until: until.map(Span),
            series,
        }
    };
    experiment.faults.iter().enumerate().map(turn).collect()
}

/// Sends a guardian home that holds nothing. That it does not answer is no news any more: it ends when this process does.
pub(crate) async fn dismiss(client: &Client) {
    // A sidecar takes its container and image along, which an engine may take a while for.
    let _gone = tokio::time::timeout(Duration::from_secs(15), client.end()).await;
}

type Plan = (Vec<Injection>, BTreeMap<InjectionId, (Target, UndoClass)>);

/// Plans all injections. Refused if one cannot be planned: nothing has been touched, and the rest alone is not what was asked.
async fn plan(
    experiment: &Experiment,
    client: &Client,
    wanted: Vec<(usize, Wanted)>,
    recorder: &mut Recorder,
) -> Result<Plan> {
    let answers: Vec<std::result::Result<Planned, Said>> = client
        .plan(wanted.iter().map(|(_, wanted)| wanted.clone()).collect())
        .await?;
    let mut first: Option<Box<Problem>> = None;
    let mut refused = 0;
    let mut injections = Vec::new();
    let mut planned = BTreeMap::new();
    for ((fault, wanted), answer) in wanted.into_iter().zip(answers) {
        let spec = &experiment.faults[fault];
        match answer {
            Ok(plan) => {
                recorder.emit(What::Planned {
                    injection: plan.injection,
                    fault: spec.name.clone(),
                    kind: wanted.fault,
                    target: wanted.target.identity.clone(),
                    undo: plan.undo,
                    change: plan.change,
                    start: spec.start,
                    duration: spec.duration,
                });
                injections.push(Injection {
                    id: plan.injection,
                    fault,
                });
                planned.insert(plan.injection, (wanted.target, plan.undo));
            }
            Err(said) => {
                recorder.emit(What::InjectionFailed {
                    injection: wanted.injection,
                    problem: said.clone(),
                });
                refused += 1;
                first.get_or_insert_with(|| said.into());
            }
        }
    }
    match first {
        None => Ok((injections, planned)),
        Some(problem) if refused == 1 => Err(problem),
        // Each has been told; on a hundred targets all of them would bury the first.
        Some(problem) => Err(problem.since(match refused - 1 {
            1 => "another injection cannot be planned either".to_owned(),
            others => format!("{others} other injections cannot be planned either"),
        })),
    }
}
