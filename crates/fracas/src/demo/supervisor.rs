//! Starts the processes of the shop, and starts again what ends. In a pid namespace it is the init.

use std::io;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use fracas_linux::child::{Inner, number as descriptor, start_inner, take_listener};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{argument, closed, number, single_thread};

/// How often it looks after its children.
const LOOK: Duration = Duration::from_millis(20);
/// Between the end of a process and its next start.
const PAUSE: Duration = Duration::from_millis(300);

/// One process of the shop. Its socket is held here, so that a restart finds it as it was.
struct Post {
    arguments: Vec<String>,
    listener: TcpListener,
    child: Option<Inner>,
    start_at: Instant,
}

pub(super) fn main(arguments: &[String]) -> io::Result<()> {
    fracas_linux::child::set_name("demo-supervisor")?;
    let socket = fracas_linux::child::parent_socket()?;
    let front = take_listener(number(argument(arguments, "listener")?)?)?;
    let shop = argument(arguments, "shop")?;
    // All is started by this thread, which lives as long as the process.
    single_thread()?.block_on(async {
        let mut posts = posts(shop, front)?;
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut end = std::pin::pin!(closed(socket));
        loop {
            tokio::select! {
                // The children end as the posts are dropped.
                result = &mut end => return result,
                _ = tick.tick() => for post in &mut posts {
                    post.look()?;
                },
            }
        }
    })
}

fn posts(shop: &str, front: TcpListener) -> io::Result<Vec<Post>> {
    let bind = || TcpListener::bind(("127.0.0.1", 0));
    let (database, first, second) = (bind()?, bind()?, bind()?);
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    let replicas = format!("{},{}", port(&first)?, port(&second)?);
    let behind_replicas = port(&database)?.to_string();
    Ok([
        ("demo-database", database, String::new()),
        ("demo-replica", first, behind_replicas.clone()),
        ("demo-replica", second, behind_replicas),
        ("demo-front", front, replicas),
    ]
    .into_iter()
    .map(|(name, listener, behind)| Post {
        arguments: vec![
            name.to_owned(),
            format!("shop={shop}"),
            format!("listener={}", descriptor(&listener)),
            format!("behind={behind}"),
        ],
        listener,
        child: None,
        start_at: Instant::now(),
    })
    .collect())
}

impl Post {
    fn look(&mut self) -> io::Result<()> {
        if let Some(child) = &mut self.child {
            if child.try_reap()?.is_some() {
                self.child = None;
                self.start_at = Instant::now() + PAUSE;
            }
        } else if self.start_at <= Instant::now() {
            self.child = Some(start_inner(&self.arguments, Stdio::null(), Some(&self.listener), &[])?);
        }
        Ok(())
    }
}
