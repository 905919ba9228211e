//! `pid_exhaustion`: `pids.max` of the target's control group becomes what is in use, plus a reserve. Nothing is forked.
//!
//! The file is the same in both versions (Documentation/admin-guide/cgroup-v1/pids.rst and cgroup-v2.rst). It counts threads too,
//! and a limit below what is in use ends nothing: it only refuses the next.

use fracas_core::params;
use fracas_core::problem::{Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::cgroup::Controller;
use serde::{Deserialize, Serialize};

use crate::kernel_file::{KernelFile, field, group_of, lives, resources_of};
use crate::say::{OrSay, missed, refuse};
use crate::{Context, Fault, Needs, Resource};

/// See [`params::PidExhaustion`].
#[derive(Debug)]
pub struct PidExhaustion;

/// The file with the limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    file: KernelFile,
    /// Whom it is for.
    #[serde(default)]
    target: Option<ProcessIdentity>,
    /// How often the limit had refused a new process when it was planned.
    refused: u64,
}

impl Fault for PidExhaustion {
    const NAME: &'static str = "pid_exhaustion";
    type Params = params::PidExhaustion;
    type Undo = Undo;

    fn undo_class(_: &params::PidExhaustion) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::PidExhaustion) -> Needs {
        Needs {
            root: true,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::PidExhaustion, target: &Target, _: &Context) -> Result<Undo> {
        let group = group_of(Self::NAME, target, Controller::Pids)?;
        let read = |file: &str| {
            group.read(file).or_say(&codes::TARGET_READ, || {
                format!("{} on {target}: {file} cannot be read", Self::NAME)
            })
        };
        let number = |text: &str| text.parse::<u64>().ok();
        let (current, before) = (read("pids.current")?, read("pids.max")?);
        let used =
            number(&current).ok_or_else(|| refuse(Self::NAME, target, format!("pids.current is {current:?}")))?;
        let ours = used + u64::from(params.reserve);
        if let Some(before) = number(&before).filter(|before| *before <= ours) {
            return Err(refuse(
                Self::NAME,
                target,
                format!(
                    "{used} in use and {} in reserve are not below the present limit of {before}",
                    params.reserve
                ),
            ));
        }
        Ok(Undo {
            file: KernelFile::of(&group, "pids.max", ours.to_string()).or_say(&codes::TARGET_READ, || {
                format!("{} on {target}: pids.max cannot be read", Self::NAME)
            })?,
            target: Some(target.process().clone()),
            refused: field(&read("pids.events")?, "max"),
        })
    }

    fn change(_: &params::PidExhaustion, undo: &Undo) -> String {
        let before = if undo.file.before == "max" {
            "unlimited"
        } else {
            &undo.file.before
        };
        format!("process limit {before} → {}, then back", undo.file.ours)
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        resources_of(std::slice::from_ref(&undo.file))
    }

    async fn apply(_: &params::PidExhaustion, undo: &Undo, _: &Context) -> Result<()> {
        undo.file.apply()
    }

    async fn measure(params: &params::PidExhaustion, undo: &Undo, _: &Context) -> Result<Dose> {
        let asked = format!("room for {} more processes", params.reserve);
        if !lives(undo.target.as_ref())? {
            return Ok(missed(asked, "the target is gone"));
        }
        let Some(group) = undo.file.open()? else {
            return Ok(missed(asked, "the target is gone"));
        };
        let read = |file: &str| {
            group.read(file).or_say(&codes::FAULT_MEASURE, || {
                format!("{}/{file} cannot be read", undo.file.cgroup.path)
            })
        };
        let (limit, used, events) = (read("pids.max")?, read("pids.current")?, read("pids.events")?);
        let refused = field(&events, "max").saturating_sub(undo.refused);
        let effect = if refused > 0 {
            format!("{refused} new processes were refused")
        } else {
            "in force, never reached".to_owned()
        };
        let landed = if limit == undo.file.ours {
            Landed::Yes
        } else {
            Landed::No(format!("{} holds {limit}, not {}", undo.file.path(), undo.file.ours))
        };
        Ok(Dose {
            asked,
            delivered: format!("limit {limit}, {used} in use"),
            landed,
            effect: Some(effect),
        })
    }

    async fn revert(undo: &Undo, _: &Context) -> Result<Reverted> {
        undo.file.revert()
    }

    async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
        undo.file.observe()
    }

    fn manual(undo: &Undo) -> Vec<String> {
        vec![undo.file.manual()]
    }
}
