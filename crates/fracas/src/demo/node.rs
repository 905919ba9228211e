//! One process of the shop: it is well if one of those behind it is, or if there is nobody behind it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use super::{argument, number, single_thread, wire};

/// So many requests are served at a time; further ones wait in the kernel's queue.
const AT_ONCE: usize = 128;
/// Who failed is asked last for so long.
const SHUNNED: Duration = Duration::from_secs(1);
/// After an accept that failed (no descriptor is free), before the next.
const PAUSE: Duration = Duration::from_millis(20);

/// Those behind.
struct Behind {
    ports: Vec<u16>,
    /// Until when each is asked last.
    shunned: Mutex<Vec<Instant>>,
    turn: AtomicUsize,
    /// How long one may take.
    limit: Duration,
}

pub(super) fn main(name: &str, arguments: &[String]) -> io::Result<()> {
    fracas_linux::child::set_name(name)?;
    let listener = fracas_linux::child::take_listener(number(argument(arguments, "listener")?)?)?;
    let behind = argument(arguments, "behind")?;
    let ports: Vec<u16> = behind
        .split(',')
        .filter(|port| !port.is_empty())
        .map(number)
        .collect::<io::Result<_>>()?;
    // The front waits longer than a replica, so that an answer of the replica about its database arrives.
    let limit = Duration::from_millis(if name == "demo-front" { 300 } else { 150 });
    single_thread()?.block_on(async {
        let behind = Arc::new(Behind {
            shunned: Mutex::new(vec![Instant::now(); ports.len()]),
            turn: AtomicUsize::new(0),
            ports,
            limit,
        });
        listener.set_nonblocking(true)?;
        serve(TcpListener::from_std(listener)?, behind).await
    })
}

async fn serve(listener: TcpListener, behind: Arc<Behind>) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
        match listener.accept().await {
            Ok((peer, _)) => {
                let behind = Arc::clone(&behind);
                tokio::spawn(async move {
                    // A client that breaks off harms nobody.
                    let _ = respond(peer, &behind).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn respond(mut peer: TcpStream, behind: &Behind) -> io::Result<()> {
    wire::request(&mut peer).await?;
    let well = behind.is_well().await;
    wire::answer(&mut peer, well).await
}

impl Behind {
    async fn is_well(&self) -> bool {
        let now = Instant::now();
        let shunned = self.shunned.lock().await.clone();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        for index in order(turn, now, &shunned) {
            if let Ok(200) = wire::ask(self.ports[index], self.limit).await {
                return true;
            }
            self.shunned.lock().await[index] = Instant::now() + SHUNNED;
        }
        self.ports.is_empty()
    }
}

/// In turn, those that failed of late last.
fn order(turn: usize, now: Instant, shunned: &[Instant]) -> Vec<usize> {
    let count = shunned.len();
    let mut order: Vec<usize> = (0..count).map(|step| (turn % count.max(1) + step) % count).collect();
    order.sort_by_key(|&index| shunned[index] > now);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_has_a_turn_and_who_failed_is_asked_last() {
        let now = Instant::now();
        let later = now + SHUNNED;
        assert_eq!(order(0, now, &[now, now]), [0, 1]);
        assert_eq!(order(1, now, &[now, now]), [1, 0]);
        assert_eq!(order(usize::MAX, now, &[now, now]), [1, 0]);
        assert_eq!(order(0, now, &[later, now]), [1, 0]);
        assert_eq!(order(1, now, &[later, later]), [1, 0]);
        assert!(order(3, now, &[]).is_empty());
    }
}
