//! The worker: it gets one order by its socket and burns until the target ends, the guardian hangs up, or somebody kills it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fracas_core::problem::{Problem, Result, codes};
use fracas_core::target::ProcessIdentity;
use fracas_linux::burn::burn;
use fracas_linux::process::Process;
use fracas_linux::{child, signals};
use serde::{Deserialize, Serialize};

use crate::say::OrSay;

/// Its name: `fracas worker cpu-stress`.
pub(crate) const NAME: &str = "cpu-stress";
/// What it says when it begins; anything else is why it does not.
pub(super) const READY: &[u8] = b"ready\n";
/// No order and no answer is longer.
pub(super) const LONGEST: u64 = 4096;
/// How long the order may take. A worker without one has nothing to do.
const ORDER: Duration = Duration::from_secs(10);

/// What the worker is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// Of one CPU, in total.
    pub(super) percent: f64,
    pub(super) threads: u32,
    /// With whom it leaves.
    pub(super) target: ProcessIdentity,
}

/// The main of `fracas worker cpu-stress`.
///
/// # Errors
/// I001 when somebody else than the guardian started it; F002 when the load cannot be made. The guardian reads why from the socket.
pub fn cpu_stress_worker_main() -> Result<()> {
    let failed = || "the load cannot be made".to_owned();
    let mut socket = child::parent_socket().or_say(&codes::INSIDE, || "this is a worker of the guardian".to_owned())?;
    // The name is for people who look with `ps`; without it the worker works as well.
    let _unnamed = child::set_name("fracas-stress");
    signals::restore().or_say(&codes::FAULT_APPLY, failed)?;
    let done = work(&mut socket);
    if let Err(problem) = &done {
        // Nobody may be left to hear it.
        let _nobody = socket.write_all(problem.line().as_bytes());
    }
    done
}

fn work(socket: &mut UnixStream) -> Result<()> {
    let failed = || "the load cannot be made".to_owned();
    let order = read_order(socket)?;
    let target = Process::open(&order.target)
        .or_say(&codes::FAULT_APPLY, failed)?
        .ok_or_else(|| Problem::new(&codes::TARGET_GONE, format!("{} is gone", order.target)))?;
    let over = Arc::new(AtomicBool::new(false));
    watch(Arc::clone(&over), "watch-guardian", {
        let mut socket = socket.try_clone().or_say(&codes::FAULT_APPLY, failed)?;
        // Nothing more is said: what ends the reading is the end of the guardian.
        move || drop(socket.read(&mut [0]))
    })?;
    watch(Arc::clone(&over), "watch-target", move || {
        while !target.wait(Duration::from_hours(1)).unwrap_or(true) {}
    })?;
    socket.write_all(READY).or_say(&codes::FAULT_APPLY, failed)?;
    burn(order.percent, order.threads, || !over.load(Ordering::Relaxed))
        .or_say(&codes::FAULT_APPLY, failed)
        .map(drop)
}

fn read_order(socket: &UnixStream) -> Result<Order> {
    let failed = || "the order of the guardian cannot be read".to_owned();
    socket
        .set_read_timeout(Some(ORDER))
        .or_say(&codes::FAULT_APPLY, failed)?;
    let mut line = String::new();
    BufReader::new(socket.take(LONGEST))
        .read_line(&mut line)
        .or_say(&codes::FAULT_APPLY, failed)?;
    socket.set_read_timeout(None).or_say(&codes::FAULT_APPLY, failed)?;
    serde_json::from_str(&line).map_err(|error| Problem::new(&codes::INSIDE, failed()).because(&error))
}

/// Ends the load when `wait` returns, in a thread that does nothing else.
fn watch(over: Arc<AtomicBool>, name: &str, wait: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    let started = thread.spawn(move || {
        wait();
        over.store(true, Ordering::Relaxed);
    });
    started
        .or_say(&codes::FAULT_APPLY, || {
            "a thread of the worker cannot be started".to_owned()
        })
        .map(drop)
}
