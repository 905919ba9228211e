//! Where the guardian of a run is: on this machine, or beside an engine on another.

use std::path::PathBuf;

use fracas_core::experiment::{Experiment, Selector};
use fracas_core::problem::{Problem, Result, codes};
use fracas_docker::Engine;
use fracas_guardian::Place;
use fracas_guardian::sidecar::Site;

use crate::order::{Settings, Sidecar};

/// Where an engine's socket is on its own machine unless somebody says otherwise.
const USUAL: &str = "/var/run/docker.sock";

/// Where the guardian of this experiment is.
///
/// # Errors
/// T005 when the engine is on another machine and there is to be no sidecar, D009 for what a sidecar cannot do.
pub(crate) fn place(experiment: &Experiment, settings: &Settings, engine: Option<&Engine>) -> Result<Place> {
    let here = || Place::Here(settings.state.clone());
    let containers = |selector: &Selector| matches!(selector, Selector::Container(_));
    let mut targets = experiment.targets.iter();
    let Some(engine) = engine.filter(|_| targets.any(|target| containers(&target.selector))) else {
        return Ok(here());
    };
    match settings.sidecar {
        Sidecar::Auto if engine.is_local() => return Ok(here()),
        // Every fault of this version works on the kernel under the container, or signals its processes.
        Sidecar::Never => return fracas_targets::check_local(engine).map(|()| here()),
        Sidecar::Auto | Sidecar::Always => {}
    }
    let refused = |what: String| {
        Problem::new(&codes::CONTRADICTION, what).since(format!(
            "the guardian is in a sidecar beside the engine at {}",
            engine.address()
        ))
    };
    if let Some(target) = experiment.targets.iter().find(|target| !containers(&target.selector)) {
        return Err(
            refused(format!("target `{}` is processes of this machine", target.alias))
                .next("write an experiment of its own for them"),
        );
    }
    if let Some(fault) = experiment.faults.iter().find(|fault| fault.inject.name() == "script") {
        return Err(
            refused(format!("fault `{}` runs a program of this machine", fault.name))
                .next("run Fracas on the machine with the containers"),
        );
    }
    Ok(Place::Sidecar(site(engine, settings.sidecar_socket.as_deref())))
}

/// The site beside an engine, whose socket is where it is said to be, or else by which it is reached, or else in its usual place.
pub fn site(engine: &Engine, socket: Option<&std::path::Path>) -> Site {
    let socket = socket.or_else(|| engine.socket());
    Site::new(
        engine.clone(),
        socket.map_or_else(|| PathBuf::from(USUAL), PathBuf::from),
    )
}
