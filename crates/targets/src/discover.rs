//! All targets of an experiment.

use std::collections::BTreeMap;
use std::sync::Arc;

use fracas_core::experiment::{Pattern, Precondition, Selector, TargetSpec};
use fracas_core::problem::codes::{ENGINE_REMOTE, INSIDE, TARGET_READ, TOO_FEW};
use fracas_core::problem::{Problem, Result};
use fracas_core::seed::Seed;
use fracas_core::target::Target;
use fracas_docker::{Engine, Status, Summary};
use fracas_linux::process;
use serde::{Deserialize, Serialize};

use crate::choose::{Chosen, choose, plural};
use crate::pattern::Matcher;
use crate::protect::Protection;
use crate::{container, process as processes};

/// What was found for an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// The targets of each alias, in the order of the document.
    pub chosen: Vec<Chosen>,
    /// What a person should know, in sentences: the same thing under two aliases.
    pub notes: Vec<String>,
}

/// Whether discovery needs a container engine.
pub fn needs_engine(specs: &[TargetSpec], preconditions: &[Precondition]) -> bool {
    !preconditions.is_empty() || specs.iter().any(|spec| matches!(spec.selector, Selector::Container(_)))
}

/// Finds the candidates of every alias, leaves out what is protected or not healthy, and chooses as many as the blast radius
/// allows; by `seed` where it does not allow all.
///
/// `engine` is asked only when [`needs_engine`]; without one the engine of `DOCKER_HOST` is connected to. Reads only.
///
/// Errors: T001 nothing is left, T002 only what is protected, or it was named outright; T003 something cannot be read; T005 the
/// engine's processes are not ours; T006 a precondition is not met; X001 to X003 from the engine; D004 a pattern is none.
pub async fn discover(
    specs: &[TargetSpec],
    preconditions: &[Precondition],
    engine: Option<&Engine>,
    seed: Seed,
) -> Result<Discovery> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| Problem::new(&TARGET_READ, what).because(&error)
    };
    let protection = Protection::read().map_err(failed("the ancestors of Fracas cannot be read"))?;
    let protection = Arc::new(protection);
    let connected = match engine {
        None if needs_engine(specs, preconditions) => Some(Engine::connect(None).await?),
        _ => None,
    };
    let engine = engine.or(connected.as_ref());
    let containers = match engine {
        Some(engine) if needs_engine(specs, preconditions) => engine.list(true).await?,
        _ => Vec::new(),
    };
    check_preconditions(preconditions, &containers)?;
    let running = if specs.iter().any(|spec| matches!(spec.selector, Selector::Process(_))) {
        blocking(process::all)
            .await?
            .map_err(failed("the processes of this machine cannot be listed"))?
    } else {
        Vec::new()
    };
    let running = Arc::new(running);

    let mut chosen = Vec::new();
    for spec in specs {
        chosen.push(match &spec.selector {
            Selector::Container(selector) => {
                let engine =
                    engine.ok_or_else(|| Problem::new(&INSIDE, "containers are looked for without an engine"))?;
                let matched = container::find(selector, engine, &containers, &protection).await?;
                choose(spec, "container", matched, seed)?
            }
            Selector::Process(selector) => {
                let (selector, running) = (selector.clone(), Arc::clone(&running));
                let protection = Arc::clone(&protection);
                let matched = blocking(move || processes::find(&selector, &running, &protection)).await??;
                choose(spec, "process", matched, seed)?
            }
        });
    }
    let notes = duplicates(&chosen);
    Ok(Discovery { chosen, notes })
}

/// Refuses an engine on another machine, for what needs the kernel under its containers: T005.
pub fn check_local(engine: &Engine) -> Result<()> {
    if engine.is_local() {
        return Ok(());
    }
    Err(Problem::new(
        &ENGINE_REMOTE,
        format!("the container engine at {} is on another machine", engine.address()),
    ))
}

fn check_preconditions(preconditions: &[Precondition], containers: &[Summary]) -> Result<()> {
    for wanted in preconditions {
        let pattern = Matcher::new(&wanted.pattern)?;
        let running = |found: &&Summary| found.status == Status::Running && pattern.matches(&found.name);
        let count = containers.iter().filter(running).count();
        if count < wanted.at_least as usize {
            let (Pattern::Whole(text) | Pattern::Anywhere(text) | Pattern::Contains(text)) = &wanted.pattern;
            return Err(Problem::new(
                &TOO_FEW,
                format!(
                    "{} named like {text:?} must run, but there are {count}",
                    plural("container", wanted.at_least as usize)
                ),
            ));
        }
    }
    Ok(())
}

/// The same process behind two targets: a container twice, or a container and its first process.
fn duplicates(chosen: &[Chosen]) -> Vec<String> {
    let mut seen: BTreeMap<(u32, u64), &Target> = BTreeMap::new();
    let mut notes = Vec::new();
    for target in chosen.iter().flat_map(|chosen| &chosen.targets) {
        let process = target.process();
        if let Some(first) = seen.insert((process.pid, process.start), target) {
            notes.push(format!(
                "{} under target {:?} is also {} under target {:?}",
                target.identity, target.alias, first.identity, first.alias
            ));
        }
    }
    notes
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::new(&INSIDE, "looking at processes was cut short").because(&error))
}
