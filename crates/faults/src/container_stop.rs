//! `container_stop`: the engine stops a container, and starts it at the end of the fault.

use fracas_core::params;
use fracas_core::problem::Result;
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use serde::{Deserialize, Serialize};

use crate::life::{ENGINE_CALL, Life, check_grace, done};
use crate::{Context, Fault, Needs, Resource};

/// See [`params::ContainerStop`].
#[derive(Debug)]
pub struct ContainerStop;

/// The container, running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    life: Life,
}

impl Fault for ContainerStop {
    const NAME: &'static str = "container_stop";
    type Params = params::ContainerStop;
    type Undo = Undo;

    fn undo_class(_: &params::ContainerStop) -> UndoClass {
        UndoClass::Restart
    }

    fn needs(_: &params::ContainerStop) -> Needs {
        Needs {
            root: false,
            local: false,
            container: true,
        }
    }

    async fn plan(params: &params::ContainerStop, target: &Target, cx: &Context) -> Result<Undo> {
        check_grace(Self::NAME, target, params.grace.0)?;
        let (life, found) = Life::of(Self::NAME, target, cx).await?;
        Life::comes_back(Self::NAME, target, &found)?;
        Ok(Undo { life })
    }

    fn change(params: &params::ContainerStop, undo: &Undo) -> String {
        format!(
            "container {} stopped within {}, then started",
            undo.life.name, params.grace
        )
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        vec![undo.life.resource()]
    }

    /// The engine kills after the grace, also when nobody waits for its answer any more.
    fn in_flight(params: &params::ContainerStop, _: &Context) -> std::time::Duration {
        params.grace.0 + ENGINE_CALL
    }

    async fn apply(params: &params::ContainerStop, undo: &Undo, cx: &Context) -> Result<()> {
        stop(Self::NAME, &undo.life, params.grace.0, cx).await
    }

    async fn measure(_: &params::ContainerStop, undo: &Undo, cx: &Context) -> Result<Dose> {
        let now = undo.life.now(cx).await?;
        let over = undo.life.is_over(cx).await?;
        let word = now.as_ref().map_or("gone", |now| now.state.status.word());
        let landed = match &now {
            None => Landed::No("the container is gone".to_owned()),
            Some(_) if !over => Landed::No("its first process still runs".to_owned()),
            Some(now) if now.state.running => Landed::No("somebody started it again".to_owned()),
            Some(_) => Landed::Yes,
        };
        Ok(Dose {
            asked: "container stopped".to_owned(),
            delivered: format!("the container is {word}"),
            landed,
            effect: now.map(|now| format!("its first process ended with {}", now.state.exit_code)),
        })
    }

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        undo.life.bring_back(cx).await
    }

    async fn observe(undo: &Undo, cx: &Context) -> Result<Seen> {
        undo.life.observe_back(cx).await
    }

    fn manual(undo: &Undo) -> Vec<String> {
        undo.life.manual("start")
    }
}

/// Stops exactly this life of a container.
pub(crate) async fn stop(fault: &str, life: &Life, grace: std::time::Duration, cx: &Context) -> Result<()> {
    if life.now(cx).await?.is_none_or(|now| !life.is_now(&now)) {
        return Err(life.gone(fault));
    }
    done(life.engine(cx).await?.stop(&life.id, grace).await?, fault, life)
}
