//! The service that `fracas demo` breaks: a shop with a front page, two replicas and a database, each a process of its own.
//!
//! ```text
//! fracas demo            runs the experiments and makes the load
//!   demo-stage           makes namespaces and control groups, ends everything, tidies up
//!     demo-supervisor    init of the pid namespace: starts the four, starts them again
//!       demo-front       HTTP on loopback of the machine: asks a replica, the other one if that fails
//!       demo-replica     twice: asks the database
//!       demo-database
//! ```
//! All of them end when the demo's end of one socket is closed, which the kernel does also for one that was killed.

pub(crate) mod load;
mod node;
pub(crate) mod stage;
mod supervisor;
mod wire;

use fracas_core::problem::{Problem, Result, codes};

pub(crate) use wire::ask;

/// The names of its workers. Protection knows them by their beginning: these may be broken.
pub(crate) const WORKERS: [&str; 5] = [
    "demo-stage",
    "demo-supervisor",
    "demo-front",
    "demo-replica",
    "demo-database",
];

/// Becomes a worker of the demo.
pub(crate) fn worker(name: &str, arguments: &[String]) -> Result<()> {
    let done = match name {
        "demo-stage" => stage::main(arguments),
        "demo-supervisor" => supervisor::main(arguments),
        _ => node::main(name, arguments),
    };
    done.map_err(|error| Problem::new(&codes::SYSTEM, format!("{name} failed")).because(&error))
}

/// The value of `key=value` among the arguments of a worker.
fn argument<'a>(arguments: &'a [String], key: &str) -> std::io::Result<&'a str> {
    arguments
        .iter()
        .filter_map(|argument| argument.split_once('='))
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value)
        .ok_or_else(|| std::io::Error::other(format!("`{key}=` is missing on the command line")))
}

/// The same, as a number.
fn number<T: std::str::FromStr>(text: &str) -> std::io::Result<T> {
    text.parse()
        .map_err(|_| std::io::Error::other(format!("{text:?} is no number, or too large")))
}

/// A runtime in this one thread: children that shall end with it must be started by a thread that lives as long as the process.
fn single_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Ends when the other side of the socket is gone.
async fn closed(socket: std::os::unix::net::UnixStream) -> std::io::Result<()> {
    use tokio::io::AsyncReadExt;
    socket.set_nonblocking(true)?;
    let mut socket = tokio::net::UnixStream::from_std(socket)?;
    let mut nothing = [0; 64];
    while socket.read(&mut nothing).await? > 0 {}
    Ok(())
}
