//! The worker: it holds the table and stands in front of the port until it is over, and then until what it has taken has ended.

use std::io;
use std::time::{Duration, Instant};

use fracas_core::params;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::seed::Seed;
use fracas_linux::diversion::Diversion;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use fracas_linux::process::Process;
use fracas_linux::{clock, limits};
use fracas_proxy::{FrontOrder, Proxy, Secret};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::DRAIN;
use crate::beside::worker::{self, READY};
use crate::say::OrSay;

/// Its name: `fracas worker http`.
pub(super) const NAME: &str = "http";
/// How often it looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);
/// For the rest of a connection's opening, which goes to the socket that had its first packet: one way there and back to a client nearby, and
/// to one far away, where the kernel says that there is one.
const OPENING: Duration = Duration::from_millis(150);
const FAR: Duration = Duration::from_secs(3);
/// More threads than this carry no more in front of one port.
const MOST_THREADS: usize = 4;

/// What the worker is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The target's network namespace.
    pub(super) inside: u64,
    pub(super) table: String,
    pub(super) params: params::Http,
    pub(super) seed: u64,
    pub(super) secret: String,
    /// When it ends by itself, in CLOCK_BOOTTIME.
    pub(super) not_after: Duration,
}

/// The main of `fracas worker http`.
///
/// # Errors
/// I001 when somebody else than the guardian started it; F002 when connections cannot be diverted. The guardian reads why from the socket.
pub fn http_worker_main() -> Result<()> {
    worker::main(
        "fracas-http",
        "the proxy in front of a port",
        |order: Order, target, post| {
            let failed = || "the proxy in front of a port cannot be made".to_owned();
            let there = NetNamespace::of(target)
                .or_say(&codes::FAULT_APPLY, failed)?
                .filter(|there| there.inode() == order.inside)
                .ok_or_else(|| Problem::new(&codes::TARGET_GONE, format!("{target} is gone")))?;
            // Two for each connection.
            limits::raise_own_descriptor_limit().or_say(&codes::FAULT_APPLY, failed)?;
            let port = order.params.port;
            // All threads of the runtime are begun there, and open their sockets there.
            let (runtime, mut sockets, mut diversion, listeners) = there
                .within(|| {
                    let runtime = runtime()?;
                    let (diversion, listeners) = Diversion::open(&order.table, port)?;
                    Ok((runtime, Netlink::sockets()?, diversion, listeners))
                })
                .or_say(&codes::FAULT_APPLY, failed)?;
            // A namespace that is held would not go with its target.
            drop(there);
            let done = runtime.block_on(async {
                let proxy = Proxy::in_front(FrontOrder {
                    listeners,
                    port,
                    secret: Secret(order.secret),
                    seed: Seed(order.seed),
                    config: *order.params.chaos,
                })?;
                let pardon = proxy.pardon();
                post.say(READY)?;
                let (stop, stopped) = oneshot::channel::<()>();
                // Without the target there is nobody behind it.
                let its_target = target.clone();
                let lives = move || Process::open(&its_target).is_ok_and(|process| process.is_some());
                let stopped = async { drop(stopped.await) };
                let patience = {
                    let lives = lives.clone();
                    async move { tokio::time::sleep(if lives() { DRAIN } else { Duration::ZERO }).await }
                };
                let serving = tokio::spawn(proxy.serve(stopped, patience));
                // In the runtime that serves: one that hangs renews nothing.
                let over = post.over().clone();
                let held = tokio::spawn(async move {
                    // A guardian that hangs does not keep it on.
                    while !over.is() && clock::boottime() < order.not_after {
                        diversion.renew()?;
                        tokio::time::sleep(LOOK).await;
                    }
                    // In this order: who finds no table meets nothing more.
                    pardon.grant();
                    // It goes with its socket; then nothing more comes, but for connections that are just being opened.
                    drop(diversion);
                    let began = Instant::now();
                    // A busy program has clients of its own that are just coming: they cannot be told from ours.
                    while lives() && began.elapsed() < FAR {
                        tokio::time::sleep(LOOK).await;
                        if began.elapsed() >= OPENING && !sockets.is_opening(port)? {
                            break;
                        }
                    }
                    Ok::<_, io::Error>(())
                });
                let held = held.await.map_err(io::Error::other).flatten();
                drop(stop);
                // What is left is what was cut off; the guardian sees that nothing is there.
                let _drained = serving.await;
                held.or_say(&codes::FAULT_APPLY, || {
                    "connections cannot be diverted any more".to_owned()
                })
            });
            // Nobody is waited for who still looks something up.
            runtime.shutdown_background();
            done
        },
    )
}

/// With threads of its own, all in the namespace of this thread.
fn runtime() -> io::Result<Runtime> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(MOST_THREADS));
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("fracas-http")
        .enable_all()
        .build()
}
