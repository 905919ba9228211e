//! `container_kill`: a signal to the init of a container.
//!
//! From the host by default, so that the engine sees a container that ended by itself and its restart policy acts; `docker kill`
//! counts as stopped by hand and suppresses it.

use std::time::Duration;

use fracas_core::params::{self, Signal, Via};
use fracas_core::problem::{Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use fracas_core::units::Span;
use fracas_linux::process::{self, Reaction};
use serde::{Deserialize, Serialize};

use crate::container_restart::start_later;
use crate::life::{ENGINE_CALL, Life, done};
use crate::members::{self, may_signal};
use crate::say::{OrSay, refuse};
use crate::{Context, Fault, Needs, Resource, signal};

/// See [`params::ContainerKill`].
#[derive(Debug)]
pub struct ContainerKill;

/// The container, running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    life: Life,
    /// Whether it is started when nobody else did.
    restart: bool,
}

impl Fault for ContainerKill {
    const NAME: &'static str = "container_kill";
    type Params = params::ContainerKill;
    type Undo = Undo;

    fn undo_class(params: &params::ContainerKill) -> UndoClass {
        if params.restart {
            UndoClass::Restart
        } else {
            UndoClass::None
        }
    }

    fn needs(params: &params::ContainerKill) -> Needs {
        Needs {
            root: false,
            local: params.via == Via::Host,
            container: true,
        }
    }

    async fn plan(params: &params::ContainerKill, target: &Target, cx: &Context) -> Result<Undo> {
        let (life, found) = Life::of(Self::NAME, target, cx).await?;
        if params.restart {
            Life::comes_back(Self::NAME, target, &found)?;
        }
        if life.local {
            let reads = || format!("{} on {target}: its first process cannot be looked at", Self::NAME);
            let status = process::status(life.init.pid).or_say(&codes::TARGET_READ, reads)?;
            let init: Vec<_> = status
                .filter(|status| status.identity == life.init)
                .into_iter()
                .collect();
            if params.via == Via::Host {
                may_signal(Self::NAME, target, &init)?;
            }
            reaches(params.signal, target, &life)?;
        } else if params.via == Via::Host {
            return Err(refuse(Self::NAME, target, "its engine is on another machine").next("use `via: engine`"));
        }
        Ok(Undo {
            life,
            restart: params.restart,
        })
    }

    fn change(params: &params::ContainerKill, undo: &Undo) -> String {
        let then = match (undo.restart, params.restart_delay) {
            (false, _) => "left as it is".to_owned(),
            (true, Span(Duration::ZERO)) => "started unless its policy does".to_owned(),
            (true, delay) => format!("started {delay} later unless its policy does"),
        };
        let by = match params.via {
            Via::Host => "",
            Via::Engine => " by the engine",
        };
        format!("{} to container {}{by}, then {then}", params.signal, undo.life.name)
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        vec![undo.life.resource()]
    }

    fn in_flight(params: &params::ContainerKill, _: &Context) -> Duration {
        match params.via {
            Via::Host => Duration::ZERO,
            Via::Engine => ENGINE_CALL,
        }
    }

    async fn apply(params: &params::ContainerKill, undo: &Undo, cx: &Context) -> Result<()> {
        let life = &undo.life;
        match params.via {
            Via::Host => {
                let init = members::open(&life.init)?.ok_or_else(|| life.gone(Self::NAME))?;
                let sent = init
                    .signal(params.signal.number())
                    .or_say(&codes::FAULT_APPLY, || format!("cannot signal container {}", life.name))?;
                if !sent {
                    return Err(life.gone(Self::NAME));
                }
                signal::settle(&[init]).await?;
            }
            Via::Engine => {
                if life.now(cx).await?.is_none_or(|now| !life.is_now(&now)) {
                    return Err(life.gone(Self::NAME));
                }
                done(
                    life.engine(cx).await?.kill(&life.id, params.signal).await?,
                    Self::NAME,
                    life,
                )?;
            }
        }
        if params.restart && !params.restart_delay.0.is_zero() {
            start_later(life, params.restart_delay.0, cx);
        }
        Ok(())
    }

    async fn measure(params: &params::ContainerKill, undo: &Undo, cx: &Context) -> Result<Dose> {
        let life = &undo.life;
        let over = life.is_over(cx).await?;
        let landed = if over {
            Landed::Yes
        } else if life.local {
            signal::landed(&life.init, params.signal)?
        } else {
            Landed::Unmeasured(format!("from here it cannot be seen what {} did", params.signal))
        };
        let now = life.now(cx).await?;
        let word = now.map_or("gone", |now| now.state.status.word());
        let delivered = if over {
            format!("its first process ended; the container is {word}")
        } else {
            format!("its first process lives; the container is {word}")
        };
        let (_, said) = cx.nursery.goes_on(&cx.trace_name());
        Ok(Dose {
            asked: format!("{} to its first process", params.signal),
            delivered,
            landed,
            effect: Some(said).filter(|said| !said.is_empty()),
        })
    }

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        cx.nursery.end(&cx.trace_name()).await;
        if undo.restart {
            undo.life.bring_back(cx).await
        } else {
            Ok(Reverted::AlreadyGone)
        }
    }

    async fn observe(undo: &Undo, cx: &Context) -> Result<Seen> {
        if cx.nursery.goes_on(&cx.trace_name()).0 {
            return Ok(Seen::Ours(format!(
                "container {} is to be started later",
                undo.life.name
            )));
        }
        if undo.restart {
            return undo.life.observe_back(cx).await;
        }
        let now = undo.life.now(cx).await?;
        Ok(match now {
            Some(now) if undo.life.is_now(&now) => Seen::Original,
            _ => Seen::TargetGone,
        })
    }

    fn manual(undo: &Undo) -> Vec<String> {
        if undo.restart {
            undo.life.manual("start")
        } else {
            Vec::new()
        }
    }
}

/// The first process of a pid namespace gets no signal that it does not handle, but for SIGKILL and SIGSTOP (`pid_namespaces(7)`).
fn reaches(signal: Signal, target: &Target, life: &Life) -> Result<()> {
    if signal == Signal::Kill {
        return Ok(());
    }
    let own_namespace = process::in_same_pid_namespace(life.init.pid).or_say(&codes::TARGET_READ, || {
        format!("the pid namespace of {target} cannot be read")
    })? == Some(false);
    match signal::reaction(&life.init, signal)? {
        Some(Reaction::Ignored) => Err(format!("its first process ignores {signal}")),
        Some(Reaction::Default) if own_namespace => Err(format!(
            "its first process does not handle {signal}, and the kernel keeps such signals from the first process of a container"
        )),
        _ => Ok(()),
    }
    .map_err(|why| refuse(ContainerKill::NAME, target, why).next("use `signal: KILL`, or `container_stop`"))
}
