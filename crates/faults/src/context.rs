//! What a fault gets besides its parameters and its undo.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use fracas_core::ids::{InjectionId, RunId, trace_name};
use fracas_core::problem::Result;
use fracas_docker::Engine;
use fracas_linux::child::Worker;

/// What a fault gets besides its parameters and its undo.
#[derive(Clone)]
pub struct Context {
    /// The run it belongs to.
    pub run: RunId,
    /// Its number within the run.
    pub injection: InjectionId,
    /// Connections to container engines.
    pub engines: Engines,
    /// Where started workers are kept until they end.
    pub nursery: Nursery,
}

impl Context {
    /// The name for whatever this injection creates in the system.
    pub fn trace_name(&self) -> String {
        trace_name(&self.run, self.injection)
    }
}

/// Connections to container engines by address, made once.
#[derive(Clone, Default)]
pub struct Engines(Arc<Mutex<HashMap<String, Engine>>>);

impl Engines {
    /// The engine at this address. Connects at the first call; the guardian makes that call before it says ready.
    pub async fn at(&self, address: &str) -> Result<Engine> {
        if let Some(engine) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(address) {
            return Ok(engine.clone());
        }
        let engine = Engine::connect(Some(address)).await?;
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(address.to_owned(), engine.clone());
        Ok(engine)
    }
}

/// Workers that were started, until they end. The undo does not need it (a stranger finds workers by their names in the system); it
/// only keeps the guardian from collecting zombies.
#[derive(Clone, Default)]
pub struct Nursery(Arc<Mutex<Vec<Worker>>>);

impl Nursery {
    /// Keeps a worker until it ends.
    pub fn keep(&self, worker: Worker) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
    }

    /// Lets go of those that have ended.
    pub fn reap(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain_mut(|worker| matches!(worker.try_reap(), Ok(None)));
    }
}
