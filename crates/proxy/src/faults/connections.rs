//! How many connections may have requests, and for how long a connection may have none.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::sleep_until;

/// The connections that count.
#[derive(Debug, Default)]
pub(crate) struct Connections(AtomicUsize);

/// One of them, until it is dropped.
#[derive(Debug)]
struct Slot(Arc<Connections>);

/// What goes on in a connection.
#[derive(Debug)]
pub(crate) struct Use {
    slot: Mutex<Option<Slot>>,
    requests: Arc<Requests>,
}

/// Those of a connection. A lock and a bell, for a channel would ring for each request, also where nobody listens.
#[derive(Debug, Default)]
struct Requests {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    open: usize,
    /// Since when there is none. `None`: there is one, or there was none yet, or the last was one to the API.
    idle: Option<Instant>,
}

/// A request that is open, until it is dropped.
#[derive(Debug)]
pub(crate) struct Busy {
    requests: Arc<Requests>,
    is_of_api: bool,
}

impl Use {
    pub(crate) fn new() -> Self {
        Self {
            slot: Mutex::new(None),
            requests: Arc::default(),
        }
    }

    /// Counts the connection if it does not yet and there is room, where so many may. 0: as many as want; they count, too, for there may be a
    /// limit later.
    pub(crate) fn counts(&self, all: &Arc<Connections>, most: u32) -> bool {
        // What is in there is whole at every moment.
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            let room = |count| (most == 0 || count < most as usize).then_some(count + 1);
            let taken = all.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, room);
            *slot = taken.is_ok().then(|| Slot(Arc::clone(all)));
        }
        slot.is_some()
    }

    /// A request begins.
    pub(crate) fn begins(&self, is_of_api: bool) -> Busy {
        self.requests.change(|state| {
            state.open += 1;
            state.idle = None;
        });
        Busy {
            requests: Arc::clone(&self.requests),
            is_of_api,
        }
    }

    /// Waits until there was no request for too long.
    pub(crate) async fn is_idle(&self, mut limit: watch::Receiver<Option<Duration>>) {
        loop {
            let longest = *limit.borrow_and_update();
            // From here on it hears what changes, and so what is read behind is old at no time.
            let changed = self.requests.changed.notified();
            tokio::pin!(changed);
            let end = longest.and_then(|longest| {
                changed.as_mut().enable();
                Some(self.requests.idle()? + longest)
            });
            let over = async {
                match end {
                    Some(at) => sleep_until(at.into()).await,
                    None => pending().await,
                }
            };
            // The other end is the proxy's: gone with us.
            tokio::select! {
                // In this order: who has begun a request in the last moment is not idle.
                biased;
                _changed = limit.changed() => {}
                () = changed, if longest.is_some() => {}
                () = over => return,
            }
        }
    }
}

impl Requests {
    fn change(&self, change: impl FnOnce(&mut State)) {
        // What is in there is whole at every moment.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
    }

    fn idle(&self) -> Option<Instant> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).idle
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let is_of_api = self.is_of_api;
        self.requests.change(|state| {
            state.open -= 1;
            state.idle = (state.open == 0 && !is_of_api).then(Instant::now);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn so_many_count_and_none_is_lost() {
        let all = Arc::<Connections>::default();
        let connections: Vec<Use> = (0..5).map(|_| Use::new()).collect();
        // Again and again, as by many requests.
        for _ in 0..3 {
            let counts: Vec<bool> = connections.iter().map(|one| one.counts(&all, 2)).collect();
            assert_eq!(counts, [true, true, false, false, false]);
        }
        assert!(connections[2].counts(&all, 3) && !connections[3].counts(&all, 1));
        // Where there is no limit they count for one that comes later.
        assert!(connections[3].counts(&all, 0) && !connections[4].counts(&all, 4));
        drop(connections);
        assert_eq!(all.0.load(Ordering::Acquire), 0);
    }

    #[test]
    fn many_at_once_get_no_more_than_there_are() {
        let all = Arc::<Connections>::default();
        let go = AtomicBool::new(false);
        let connections: Vec<Use> = (0..8).map(|_| Use::new()).collect();
        let counted = std::thread::scope(|scope| {
            let try_it = |one| {
                let (all, go) = (&all, &go);
                scope.spawn(move || {
                    while !go.load(Ordering::Acquire) {
                        std::hint::spin_loop();
                    }
                    usize::from(Use::counts(one, all, 3))
                })
            };
            let threads: Vec<_> = connections.iter().map(try_it).collect();
            go.store(true, Ordering::Release);
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        assert_eq!(counted, 3);
    }

    #[tokio::test]
    async fn idle_is_who_had_a_request_and_has_none() {
        let one = Use::new();
        let is_idle = || one.requests.idle().is_some();
        assert!(!is_idle());
        let (first, second) = (one.begins(false), one.begins(false));
        drop(first);
        assert!(!is_idle());
        drop(second);
        assert!(is_idle());
        let (limit, limited) = watch::channel(None);
        let waits = one.is_idle(limited);
        tokio::pin!(waits);
        tokio::select! {
            biased;
            () = &mut waits => panic!("there was no limit"),
            () = tokio::task::yield_now() => {}
        }
        // Acts on who is idle already.
        limit.send_replace(Some(Duration::ZERO));
        waits.await;
        drop(one.begins(true));
        assert!(!is_idle());
    }
}
