//! `container_pause`: the engine freezes all processes of a container, and lets them go on.

use fracas_core::params;
use fracas_core::problem::{Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use fracas_docker::Outcome;
use fracas_linux::cgroup::{self, Controller, Version};
use serde::{Deserialize, Serialize};

use crate::kernel_file::{field, is_gone};
use crate::life::{ENGINE_CALL, Life, done};
use crate::say::{OrSay, missed, refuse};
use crate::{Context, Fault, Needs, Resource};

/// See [`params::ContainerPause`].
#[derive(Debug)]
pub struct ContainerPause;

/// The container, not paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    life: Life,
}

impl Fault for ContainerPause {
    const NAME: &'static str = "container_pause";
    type Params = params::ContainerPause;
    type Undo = Undo;

    fn undo_class(_: &params::ContainerPause) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::ContainerPause) -> Needs {
        Needs {
            root: false,
            local: false,
            container: true,
        }
    }

    async fn plan(_: &params::ContainerPause, target: &Target, cx: &Context) -> Result<Undo> {
        let (life, found) = Life::of(Self::NAME, target, cx).await?;
        if found.state.paused {
            return Err(refuse(Self::NAME, target, "it is paused already"));
        }
        Ok(Undo { life })
    }

    fn change(_: &params::ContainerPause, undo: &Undo) -> String {
        format!("container {} paused, then unpaused", undo.life.name)
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        vec![undo.life.resource()]
    }

    fn in_flight(_: &params::ContainerPause, _: &Context) -> std::time::Duration {
        ENGINE_CALL
    }

    async fn apply(_: &params::ContainerPause, undo: &Undo, cx: &Context) -> Result<()> {
        let life = &undo.life;
        // The call names the container and not its life: the next one must not be paused in its place.
        if life.now(cx).await?.is_none_or(|now| !life.is_now(&now)) {
            return Err(life.gone(Self::NAME));
        }
        done(life.engine(cx).await?.pause(&life.id).await?, Self::NAME, life)
    }

    async fn measure(_: &params::ContainerPause, undo: &Undo, cx: &Context) -> Result<Dose> {
        let asked = "all processes frozen".to_owned();
        let life = &undo.life;
        let Some(now) = life.now(cx).await?.filter(|now| life.is_now(now)) else {
            return Ok(missed(asked, "the container does not run as it did"));
        };
        let engine = if now.state.paused { "paused" } else { "running" };
        let kernel = if life.local { frozen(life.init.pid)? } else { None };
        let landed = match (now.state.paused, kernel) {
            (true, Some(false)) => Landed::No("the engine says paused, and the kernel's freezer is open".to_owned()),
            (true, Some(true) | None) => Landed::Yes,
            (false, _) => Landed::No(format!("the container is {}", now.state.status.word())),
        };
        let delivered = match kernel {
            Some(true) => format!("{engine} by the engine, frozen in the kernel"),
            Some(false) => format!("{engine} by the engine, not frozen in the kernel"),
            None => format!("{engine} by the engine"),
        };
        Ok(Dose {
            asked,
            delivered,
            landed,
            effect: None,
        })
    }

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        let life = &undo.life;
        let Some(now) = life.now(cx).await? else {
            return Ok(Reverted::AlreadyGone);
        };
        // A pause ends with the life it was put on: another one that is paused was paused by somebody else.
        if !life.is_now(&now) || !now.state.paused {
            return Ok(Reverted::AlreadyGone);
        }
        match life.engine(cx).await?.unpause(&life.id).await? {
            Outcome::Done => Ok(Reverted::Restored),
            Outcome::Already | Outcome::NotRunning | Outcome::Missing => Ok(Reverted::AlreadyGone),
        }
    }

    async fn observe(undo: &Undo, cx: &Context) -> Result<Seen> {
        let life = &undo.life;
        Ok(match life.now(cx).await? {
            Some(now) if life.is_now(&now) && now.state.paused => {
                Seen::Ours(format!("container {} is paused", life.name))
            }
            Some(now) if life.is_now(&now) => Seen::Original,
            _ => Seen::TargetGone,
        })
    }

    fn manual(undo: &Undo) -> Vec<String> {
        undo.life.manual("unpause")
    }
}

/// What the freezer of a process's group says: v1 `freezer.state`, v2 `cgroup.events`. `None` without a freezer.
fn frozen(pid: u32) -> Result<Option<bool>> {
    let read = || {
        let Some(group) = cgroup::of(pid, Controller::Freezer)? else {
            return Ok(None);
        };
        match group.version() {
            Version::V1 => group.read("freezer.state").map(|state| Some(state == "FROZEN")),
            Version::V2 => group
                .read("cgroup.events")
                .map(|events| Some(field(&events, "frozen") == 1)),
        }
    };
    match read() {
        Err(error) if is_gone(&error) => Ok(None),
        answer => answer.or_say(&codes::FAULT_MEASURE, || {
            format!("the freezer of pid {pid} cannot be read")
        }),
    }
}
