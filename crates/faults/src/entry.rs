//! A fault without its types: the same functions over JSON.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Dose, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Context, Fault, Needs, Resource};

/// A future without its type.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A fault without its types. See [`Fault`] for what each function does; parameters and undo are JSON.
#[derive(Clone, Copy)]
#[expect(
    missing_docs,
    reason = "each field is the constant or function of the same name in `Fault`"
)]
pub struct Entry {
    pub name: &'static str,
    pub drains: bool,
    pub check: fn(&Value) -> Result<()>,
    pub undo_class: fn(&Value) -> Result<UndoClass>,
    pub needs: fn(&Value) -> Result<Needs>,
    pub plan: for<'a> fn(&'a Value, &'a Target, &'a Context) -> BoxFuture<'a, Result<Value>>,
    pub change: fn(&Value, &Value) -> Result<String>,
    pub resources: fn(&Value) -> Result<Vec<Resource>>,
    pub in_flight: fn(&Value, &Context) -> Result<Duration>,
    pub apply: for<'a> fn(&'a Value, &'a Value, &'a Context) -> BoxFuture<'a, Result<()>>,
    pub measure: for<'a> fn(&'a Value, &'a Value, &'a Context) -> BoxFuture<'a, Result<Dose>>,
    pub revert: for<'a> fn(&'a Value, &'a Context) -> BoxFuture<'a, Result<Reverted>>,
    pub observe: for<'a> fn(&'a Value, &'a Context) -> BoxFuture<'a, Result<Seen>>,
    pub manual: fn(&Value) -> Result<Vec<String>>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Entry").field(&self.name).finish()
    }
}

/// The entry of a fault.
pub const fn entry<F: Fault>() -> Entry {
    Entry {
        name: F::NAME,
        drains: F::DRAINS,
        check: |params| read::<F::Params>(params).map(drop),
        undo_class: |params| Ok(F::undo_class(&read(params)?)),
        needs: |params| Ok(F::needs(&read(params)?)),
        plan: |params, target, cx| Box::pin(async move { write(&F::plan(&read(params)?, target, cx).await?) }),
        change: |params, undo| Ok(F::change(&read(params)?, &read(undo)?)),
        resources: |undo| Ok(F::resources(&read(undo)?)),
        in_flight: |params, cx| Ok(F::in_flight(&read(params)?, cx)),
        apply: |params, undo, cx| Box::pin(async move { F::apply(&read(params)?, &read(undo)?, cx).await }),
        measure: |params, undo, cx| Box::pin(async move { F::measure(&read(params)?, &read(undo)?, cx).await }),
        revert: |undo, cx| Box::pin(async move { F::revert(&read(undo)?, cx).await }),
        observe: |undo, cx| Box::pin(async move { F::observe(&read(undo)?, cx).await }),
        manual: |undo| Ok(F::manual(&read(undo)?)),
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T> {
    T::deserialize(value)
        .map_err(|error| Problem::new(&codes::LEDGER, "parameters or undo of a fault cannot be read").because(&error))
}

fn write<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|error| Problem::new(&codes::INSIDE, "the undo of a fault cannot be written").because(&error))
}
