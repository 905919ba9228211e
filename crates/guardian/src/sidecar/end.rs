//! The end of a sidecar.
//!
//! A container cannot remove itself and what it is made of: it is killed first. So its guardian, as the last that it does, starts a
//! process that leaves the container's control groups, outlives it therefore, and removes container, image and volume. It needs no
//! file of the container any more: its program is mapped, and the engine's socket is a mount of its own.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use fracas_core::ids::RunId;
use fracas_core::problem::{Problem, Result, codes};
use fracas_docker::Engine;
use fracas_linux::child::{WorkerOptions, parent_socket, start_worker};

use super::{SOCKET, STATE, clear, of};
use crate::state::{Kept, State};

/// The worker that removes the sidecar.
pub const WORKER: &str = "sidecar-end";
/// Its argument behind the run where the ledger is to stay.
const KEEP: &str = "keep-ledger";

/// How long it may take to be out of the container.
const OUT: Duration = Duration::from_secs(10);

/// Has this sidecar removed once this process has ended.
pub(crate) fn depart(run: &RunId) -> Result<()> {
    let failed =
        |error: &std::io::Error| Problem::new(&codes::GUARDIAN_LOST, "the sidecar cannot remove itself").because(error);
    let options = WorkerOptions {
        own_session: true,
        // It inherits the guardian's, and is worth less.
        oom_score_adj: Some(0),
        arguments: [run.as_str()]
            .into_iter()
            .chain(is_needed().then_some(KEEP))
            .map(str::to_owned)
            .collect(),
        ..WorkerOptions::default()
    };
    let worker = start_worker(WORKER, options).map_err(|error| failed(&error))?;
    let mut ready = [0];
    worker
        .socket
        .set_read_timeout(Some(OUT))
        .and_then(|()| (&worker.socket).read_exact(&mut ready))
        .map_err(|error| failed(&error))
}

/// Whether there is something to recover in the ledger. What cannot be read may hold anything.
fn is_needed() -> bool {
    let runs = State::open(Path::new(STATE)).and_then(|state| state.runs());
    runs.map_or(true, |runs| runs.iter().any(Kept::is_abandoned))
}

/// The main of the worker.
///
/// # Errors
/// I001 when no guardian of a sidecar started it; G002 when it cannot leave the container; what the engine refuses.
pub fn main(arguments: &[String]) -> Result<()> {
    let run = of(arguments)?;
    let failed =
        |what: &str, error: &std::io::Error| Problem::new(&codes::GUARDIAN_LOST, what.to_owned()).because(error);
    let mut guardian = parent_socket().map_err(|error| failed("nobody wants the sidecar removed", &error))?;
    fracas_linux::cgroup::join_roots().map_err(|error| failed("cannot leave the sidecar", &error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed("cannot start", &error))?;
    runtime.block_on(async {
        let engine = Engine::connect(Some(&format!("unix://{SOCKET}"))).await?;
        guardian
            .write_all(&[1])
            .map_err(|error| failed("the guardian is gone", &error))?;
        // Its end closes the socket. It has nothing more to do; one that hangs is killed with its container.
        let ended = guardian
            .set_read_timeout(Some(OUT))
            .and_then(|()| guardian.read(&mut [0]));
        drop(ended);
        clear(&engine, &run, arguments.get(1).is_none_or(|word| word != KEEP)).await
    })
}
