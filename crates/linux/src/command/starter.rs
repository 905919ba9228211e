//! The thread that starts programs.
//!
//! PDEATHSIG fires when the *thread* ends that started the child (prctl(2)), and the threads of a runtime come and go. This one lives
//! as long as the process.

use std::io;
use std::process::Command;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};

use tokio::process::Child;
use tokio::runtime::Handle;

/// A program to be started.
struct Order {
    command: tokio::process::Command,
    /// The runtime that shall hear of its end.
    runtime: Handle,
    answer: SyncSender<io::Result<Child>>,
}

/// The way to the thread, once there is one.
static STARTER: Mutex<Option<Sender<Order>>> = Mutex::new(None);

/// Starts a program that is killed when it is dropped, in the thread that lives as long as the process. Needs a tokio runtime.
pub(super) fn start(command: Command) -> io::Result<Child> {
    let runtime = Handle::try_current().map_err(io::Error::other)?;
    let (answer, answered) = sync_channel(1);
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    let order = Order {
        command,
        runtime,
        answer,
    };
    let gone = || io::Error::other("the thread that starts programs has ended");
    starter()?.send(order).map_err(|_| gone())?;
    // As long as fork and exec take: so long the caller would wait if it started the program itself.
    answered.recv().map_err(|_| gone())?
}

/// The way to the thread, which is begun when it is first needed.
fn starter() -> io::Result<Sender<Order>> {
    let mut starter = STARTER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(starter) = &*starter {
        return Ok(starter.clone());
    }
    let (orders, next) = channel::<Order>();
    std::thread::Builder::new().name("starter".to_owned()).spawn(move || {
        while let Ok(mut order) = next.recv() {
            let _runtime = order.runtime.enter();
            // Where nobody waits any more, the child is killed as it is dropped.
            let _ = order.answer.send(order.command.spawn());
        }
    })?;
    Ok(starter.insert(orders).clone())
}
