//! Whether a target is still the one that was chosen.

use fracas_core::problem::codes::TARGET_READ;
use fracas_core::problem::{Problem, Result};
use fracas_core::target::{Kind, ProcessIdentity, Target};
use fracas_docker::Engine;
use fracas_linux::process;
use serde::{Deserialize, Serialize};

use crate::container;

/// What became of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Followed {
    /// It is the same.
    Same,
    /// A container of the same name runs with another first process: it restarted, or was made anew.
    Restarted(Box<Target>),
    /// It does not run. A container may come back: ask again.
    Gone,
}

/// Looks for a target again.
///
/// A container whose first process still runs costs no call to the engine. Otherwise `engine` is asked for the container's name;
/// without one the engine that the target came from is connected to.
pub async fn follow(target: &Target, engine: Option<&Engine>) -> Result<Followed> {
    let container = match &target.kind {
        Kind::Process(found) => {
            let same = runs(&found.process, &target.identity)?;
            return Ok(if same { Followed::Same } else { Followed::Gone });
        }
        Kind::Container(container) => container,
    };
    if runs(&container.init, &target.identity)? {
        return Ok(Followed::Same);
    }
    let connected = match engine {
        Some(_) => None,
        None => Some(Engine::connect(Some(&container.engine)).await?),
    };
    let Some(engine) = engine.or(connected.as_ref()) else {
        return Ok(Followed::Gone);
    };
    // By name: a container that was made anew has another id.
    let Some(details) = engine.inspect(&container.name).await? else {
        return Ok(Followed::Gone);
    };
    if !details.state.running || details.state.restarting {
        return Ok(Followed::Gone);
    }
    let (now, _) = container::target(&details, engine)?;
    if now.init.pid == 0 {
        return Ok(Followed::Gone);
    }
    if now.id == container.id && now.init == container.init {
        return Ok(Followed::Same);
    }
    Ok(Followed::Restarted(Box::new(Target {
        alias: target.alias.clone(),
        identity: target.identity.clone(),
        kind: Kind::Container(now),
    })))
}

/// Whether exactly this process runs. A zombie does not. One of another machine, without a boot, is not known here.
fn runs(identity: &ProcessIdentity, name: &str) -> Result<bool> {
    let status = process::status(identity.pid)
        .map_err(|error| Problem::new(&TARGET_READ, format!("{name} cannot be looked at")).because(&error))?;
    Ok(status.is_some_and(|status| status.identity == *identity && status.state != 'Z'))
}
