//! What every worker beside a target does: it takes one order by its socket, and ends when the target ends or the guardian hangs up.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use fracas_core::problem::{Problem, Result, codes};
use fracas_core::target::ProcessIdentity;
use fracas_linux::process::Process;
use fracas_linux::{child, signals};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::say::OrSay;

/// What it says when it begins; anything else is why it does not.
pub(crate) const READY: &[u8] = b"ready\n";
/// No more than this of what a worker says.
pub(crate) const LONGEST: u64 = 8192;
/// No longer order: one with all peers and hosts that a document may name has some 60 KiB.
const LONGEST_ORDER: u64 = 128 << 10;
/// How long the order may take. A worker without one has nothing to do.
const ORDER: Duration = Duration::from_secs(10);

/// What a worker is to do, and with whom it leaves.
#[derive(Debug, Serialize, Deserialize)]
struct Order<O> {
    target: ProcessIdentity,
    job: O,
}

/// The line that tells a worker what to do.
pub(super) fn line(target: &ProcessIdentity, job: &impl Serialize) -> Result<Vec<u8>> {
    let order = Order {
        target: target.clone(),
        job,
    };
    let mut line = serde_json::to_vec(&order)
        .map_err(|error| Problem::new(&codes::INSIDE, "an order cannot be written").because(&error))?;
    line.push(b'\n');
    Ok(line)
}

/// A worker at work.
pub(crate) struct Post {
    socket: UnixStream,
    over: Over,
}

/// Whether the work is over. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Over(Arc<(Mutex<bool>, Condvar)>);

impl Over {
    /// Whether it is.
    pub(crate) fn is(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is.
    pub(crate) fn set(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Waits until it is, at most so long. Whether it is.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        let over = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(over, limit, |over| !*over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The main of a worker: `name` is for people who look with `ps`, `what` is what it makes.
///
/// # Errors
/// I001 when somebody else than the guardian started it; F002 when the work cannot be done. The guardian reads why from the socket.
pub(crate) fn main<O: DeserializeOwned>(
    name: &str,
    what: &str,
    work: impl FnOnce(O, &ProcessIdentity, &mut Post) -> Result<()>,
) -> Result<()> {
    let failed = || format!("{what} cannot be made");
    let mut socket = child::parent_socket().or_say(&codes::INSIDE, || "this is a worker of the guardian".to_owned())?;
    // Without its name the worker works as well.
    let _unnamed = child::set_name(name);
    signals::restore().or_say(&codes::FAULT_APPLY, failed)?;
    let done = begin(&socket, what).and_then(|(order, mut post)| work(order.job, &order.target, &mut post));
    if let Err(problem) = &done {
        // Nobody may be left to hear it.
        let _nobody = socket.write_all(problem.line().as_bytes());
    }
    done
}

fn begin<O: DeserializeOwned>(socket: &UnixStream, what: &str) -> Result<(Order<O>, Post)> {
    let failed = || format!("{what} cannot be made");
    let order: Order<O> = read_order(socket)?;
    let target = Process::open(&order.target)
        .or_say(&codes::FAULT_APPLY, failed)?
        .ok_or_else(|| Problem::new(&codes::TARGET_GONE, format!("{} is gone", order.target)))?;
    let over = Over::default();
    watch(over.clone(), "watch-guardian", {
        let mut socket = socket.try_clone().or_say(&codes::FAULT_APPLY, failed)?;
        // Nothing more is said: what ends the reading is the end of the guardian.
        move || drop(socket.read(&mut [0]))
    })?;
    watch(over.clone(), "watch-target", move || {
        while !target.wait(Duration::from_hours(1)).unwrap_or(true) {}
    })?;
    let socket = socket.try_clone().or_say(&codes::FAULT_APPLY, failed)?;
    Ok((order, Post { socket, over }))
}

impl Post {
    /// Tells the guardian something.
    pub(crate) fn say(&mut self, word: &[u8]) -> Result<()> {
        self.socket
            .write_all(word)
            .or_say(&codes::FAULT_APPLY, || "the guardian does not listen".to_owned())
    }

    /// Tells the guardian something that it may ask for later, as a line; without waiting, for it may never ask. Whether there was room.
    ///
    /// # Errors
    /// F002 when nobody listens any more.
    pub(crate) fn tell(&self, what: &impl Serialize) -> Result<bool> {
        let mut line = serde_json::to_vec(what)
            .map_err(|error| Problem::new(&codes::INSIDE, "what a worker says cannot be written").because(&error))?;
        line.push(b'\n');
        child::say_now(&self.socket, &line).or_say(&codes::FAULT_APPLY, || "the guardian does not listen".to_owned())
    }

    /// What can be read when the guardian hangs up.
    pub(crate) fn guardian(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether it is time to end.
    pub(crate) fn over(&self) -> &Over {
        &self.over
    }
}

fn read_order<O: DeserializeOwned>(socket: &UnixStream) -> Result<Order<O>> {
    let failed = || "the order of the guardian cannot be read".to_owned();
    socket
        .set_read_timeout(Some(ORDER))
        .or_say(&codes::FAULT_APPLY, failed)?;
    let mut line = String::new();
    BufReader::new(socket.take(LONGEST_ORDER))
        .read_line(&mut line)
        .or_say(&codes::FAULT_APPLY, failed)?;
    socket.set_read_timeout(None).or_say(&codes::FAULT_APPLY, failed)?;
    serde_json::from_str(&line).map_err(|error| Problem::new(&codes::INSIDE, failed()).because(&error))
}

/// Ends the work when `wait` returns, in a thread that does nothing else.
fn watch(over: Over, name: &str, wait: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    let started = thread.spawn(move || {
        wait();
        over.set();
    });
    started
        .or_say(&codes::FAULT_APPLY, || {
            "a thread of the worker cannot be started".to_owned()
        })
        .map(drop)
}
