//! `container_restart`: stops a container, waits, and starts it.
//!
//! With a `delay` apply returns when the container is down, and the start follows later; the end of the fault, or a rollback, does
//! not wait for it and starts the container at once.

use std::time::Duration;

use fracas_core::params;
use fracas_core::problem::Result;
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use serde::{Deserialize, Serialize};

use crate::container_stop::stop;
use crate::life::{ENGINE_CALL, Life, check_grace};
use crate::say::missed;
use crate::{Context, Fault, Needs, Resource};

/// See [`params::ContainerRestart`].
#[derive(Debug)]
pub struct ContainerRestart;

/// The container, running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    life: Life,
}

impl Fault for ContainerRestart {
    const NAME: &'static str = "container_restart";
    type Params = params::ContainerRestart;
    type Undo = Undo;

    fn undo_class(_: &params::ContainerRestart) -> UndoClass {
        UndoClass::Restart
    }

    fn needs(_: &params::ContainerRestart) -> Needs {
        Needs {
            root: false,
            local: false,
            container: true,
        }
    }

    async fn plan(params: &params::ContainerRestart, target: &Target, cx: &Context) -> Result<Undo> {
        check_grace(Self::NAME, target, params.grace.0)?;
        let (life, found) = Life::of(Self::NAME, target, cx).await?;
        Life::comes_back(Self::NAME, target, &found)?;
        Ok(Undo { life })
    }

    fn change(params: &params::ContainerRestart, undo: &Undo) -> String {
        let turn = if params.stagger.0.is_zero() {
            String::new()
        } else {
            format!("{} after the one before ", params.stagger)
        };
        format!(
            "container {} {turn}stopped within {}, started {} later",
            undo.life.name, params.grace, params.delay
        )
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        vec![undo.life.resource()]
    }

    fn in_flight(params: &params::ContainerRestart, cx: &Context) -> Duration {
        turn(params, cx) + params.grace.0 + ENGINE_CALL
    }

    async fn apply(params: &params::ContainerRestart, undo: &Undo, cx: &Context) -> Result<()> {
        tokio::time::sleep(turn(params, cx)).await;
        stop(Self::NAME, &undo.life, params.grace.0, cx).await?;
        if params.delay.0.is_zero() {
            return undo.life.bring_back(cx).await.map(drop);
        }
        start_later(&undo.life, params.delay.0, cx);
        Ok(())
    }

    async fn measure(_: &params::ContainerRestart, undo: &Undo, cx: &Context) -> Result<Dose> {
        let asked = "container restarted".to_owned();
        let Some(now) = undo.life.now(cx).await? else {
            return Ok(missed(asked, "the container is gone"));
        };
        if !undo.life.is_over(cx).await? {
            return Ok(missed(asked, "its first process still runs"));
        }
        let delivered = if now.state.running {
            format!("stopped, and started again at {}", now.state.started_at)
        } else {
            format!("stopped; it is {}", now.state.status.word())
        };
        let (_, said) = cx.nursery.goes_on(&cx.trace_name());
        Ok(Dose {
            asked,
            delivered,
            landed: Landed::Yes,
            effect: Some(said).filter(|said| !said.is_empty()),
        })
    }

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        cx.nursery.end(&cx.trace_name()).await;
        undo.life.bring_back(cx).await
    }

    async fn observe(undo: &Undo, cx: &Context) -> Result<Seen> {
        if cx.nursery.goes_on(&cx.trace_name()).0 {
            return Ok(Seen::Ours(format!(
                "container {} is to be started later",
                undo.life.name
            )));
        }
        undo.life.observe_back(cx).await
    }

    fn manual(undo: &Undo) -> Vec<String> {
        undo.life.manual("start")
    }
}

/// How long this target waits for the ones before it.
fn turn(params: &params::ContainerRestart, cx: &Context) -> Duration {
    params.stagger.0.saturating_mul(cx.rank)
}

/// Starts the container after a while, unless the revert is earlier.
pub(crate) fn start_later(life: &Life, delay: Duration, cx: &Context) {
    let (life, own) = (life.clone(), cx.clone());
    cx.nursery.later(cx.trace_name(), move |note| async move {
        tokio::time::sleep(delay).await;
        // The revert starts it as well: here it can only be said.
        note.say(match life.bring_back(&own).await {
            Ok(_) => "started again after its delay".to_owned(),
            Err(problem) => format!("could not be started after its delay: {}", problem.line()),
        });
    });
}
