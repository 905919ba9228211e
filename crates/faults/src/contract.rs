//! What every fault must be able to do.

use std::future::Future;

use fracas_core::problem::Result;
use fracas_core::record::{Dose, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Context;

/// One way to break something. A type without values: parameters, undo and context come in; nothing is kept.
///
/// `measure` and `observe` share no descriptor and no cached value with `apply`: the meter is not the actuator. An error is never
/// "absent".
pub trait Fault: Send + Sync + 'static {
    /// The fault's name: its key in a document.
    const NAME: &'static str;
    /// Whether its undo may wait for what is under way to end. Then it is undone beside the others of its target, not in their order: they
    /// must not wait for it, and nothing of theirs may stand on it.
    const DRAINS: bool = false;
    /// The parameters, as the document has them.
    type Params: Serialize + DeserializeOwned + Send + Sync;
    /// The way back: values before, values of ours, identities, and every name that apply will create. Written to disk before
    /// apply; a later version of Fracas must be able to read it.
    type Undo: Serialize + DeserializeOwned + Send + Sync;

    /// How it is undone.
    fn undo_class(params: &Self::Params) -> UndoClass;

    /// What it cannot do without.
    fn needs(params: &Self::Params) -> Needs;

    /// Looks at the target and says how the way back will be. Reads only.
    fn plan(params: &Self::Params, target: &Target, cx: &Context) -> impl Future<Output = Result<Self::Undo>> + Send;

    /// The change and its way back, in words: `memory limit unlimited → 512MiB, then back`.
    fn change(params: &Self::Params, undo: &Self::Undo) -> String;

    /// What nobody else may hold meanwhile.
    fn resources(undo: &Self::Undo) -> Vec<Resource>;

    /// How long after the caller's death a call of apply may still take effect, beyond the call itself. Zero for the kernel; the
    /// container engine goes on with what it was asked.
    fn in_flight(_params: &Self::Params, _cx: &Context) -> std::time::Duration {
        std::time::Duration::ZERO
    }

    /// Does it. At most 1 s of its own, engine calls apart; what goes on longer is a worker.
    fn apply(params: &Self::Params, undo: &Self::Undo, cx: &Context) -> impl Future<Output = Result<()>> + Send;

    /// Reads how much was delivered.
    fn measure(params: &Self::Params, undo: &Self::Undo, cx: &Context) -> impl Future<Output = Result<Dose>> + Send;

    /// Takes the way back. May be called twice, without apply, by another process, after the target's death.
    fn revert(undo: &Self::Undo, cx: &Context) -> impl Future<Output = Result<Reverted>> + Send;

    /// Reads what is there.
    fn observe(undo: &Self::Undo, cx: &Context) -> impl Future<Output = Result<Seen>> + Send;

    /// What a person can type where revert fails: exact commands.
    fn manual(undo: &Self::Undo) -> Vec<String>;
}

/// What a fault cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Effective uid 0, or the capability to write what root owns.
    pub root: bool,
    /// The target must be a container of an engine.
    pub container: bool,
    /// The target must live on this machine's kernel; a remote engine is not enough.
    pub local: bool,
}

/// A thing that only one injection may hold at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// What exactly; two injections of one run with the same key conflict.
    pub key: String,
    /// The kernel object on which the claim against other runs is laid: a directory or file that takes flock(2). Where there is
    /// none, a lock file by the key in the state directory.
    pub object: Option<String>,
}
