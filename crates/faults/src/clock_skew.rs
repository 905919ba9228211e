//! `clock_skew`: shifts the time of day, for single processes or, where that is allowed, for the whole machine.

mod machine;
mod processes;

use fracas_core::params;
use fracas_core::problem::Result;
use fracas_core::record::{Dose, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use serde::{Deserialize, Serialize};

use crate::{Context, Fault, Needs, Resource};

/// See [`params::ClockSkew`].
#[derive(Debug)]
pub struct ClockSkew;

/// Whose clock is put right again. The two have no key in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Undo {
    /// That of single processes.
    Processes(Box<processes::Undo>),
    /// That of everybody.
    Machine(machine::Undo),
}

impl Fault for ClockSkew {
    const NAME: &'static str = "clock_skew";
    type Params = params::ClockSkew;
    type Undo = Undo;

    fn undo_class(_: &params::ClockSkew) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::ClockSkew) -> Needs {
        Needs {
            root: true,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::ClockSkew, target: &Target, cx: &Context) -> Result<Undo> {
        if params.allow_host_clock {
            return machine::plan(params, target, cx).map(Undo::Machine);
        }
        processes::plan(params, target, cx).map(Box::new).map(Undo::Processes)
    }

    fn change(params: &params::ClockSkew, undo: &Undo) -> String {
        match undo {
            Undo::Processes(undo) => processes::change(params, undo),
            Undo::Machine(_) => machine::change(params),
        }
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        match undo {
            Undo::Processes(undo) => processes::resources(undo),
            Undo::Machine(_) => machine::resources(),
        }
    }

    async fn apply(params: &params::ClockSkew, undo: &Undo, cx: &Context) -> Result<()> {
        match undo {
            Undo::Processes(undo) => processes::apply(params, undo, cx).await,
            Undo::Machine(undo) => machine::apply(undo),
        }
    }

    async fn measure(params: &params::ClockSkew, undo: &Undo, _: &Context) -> Result<Dose> {
        match undo {
            Undo::Processes(undo) => processes::measure(params, undo),
            Undo::Machine(undo) => Ok(machine::measure(params, undo)),
        }
    }

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        match undo {
            Undo::Processes(undo) => processes::revert(undo, cx).await,
            Undo::Machine(undo) => machine::revert(undo),
        }
    }

    async fn observe(undo: &Undo, cx: &Context) -> Result<Seen> {
        match undo {
            Undo::Processes(undo) => processes::observe(undo, cx).await,
            Undo::Machine(undo) => machine::observe(undo),
        }
    }

    fn manual(undo: &Undo) -> Vec<String> {
        match undo {
            Undo::Processes(undo) => processes::manual(undo),
            Undo::Machine(undo) => machine::manual(undo),
        }
    }
}
