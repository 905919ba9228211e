//! Places for requests, and a queue before them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fracas_core::chaos::Bulkhead;
use fracas_telemetry::proxy::Level;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The places. They are the same for as long as the proxy lives, however many there may be.
#[derive(Debug)]
pub(crate) struct Places {
    state: Mutex<State>,
    /// Show how many have a place, and how many wait.
    taken_level: Level,
    waiting_level: Level,
}

/// At every moment somebody waits only if there is no room.
#[derive(Debug)]
struct State {
    most: usize,
    longest_queue: usize,
    taken: usize,
    /// By number: who has the lowest came first.
    queue: BTreeMap<u64, oneshot::Sender<()>>,
    next: u64,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

/// Who waits for a place. Dropped, he leaves the queue, or gives back the place that he has got and not seen.
#[derive(Debug)]
struct Waiting {
    places: Arc<Places>,
    number: u64,
    called: oneshot::Receiver<()>,
    /// The place is somebody else's care.
    is_over: bool,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// All are taken, and nobody else may wait.
    Full,
    /// None was free in time.
    Late,
}

impl Places {
    pub(crate) fn new(block: Option<&Bulkhead>, [taken_level, waiting_level]: [Level; 2]) -> Arc<Self> {
        let (most, longest_queue) = bounds(block);
        Arc::new(Self {
            state: Mutex::new(State {
                most,
                longest_queue,
                taken: 0,
                queue: BTreeMap::new(),
                next: 0,
            }),
            taken_level,
            waiting_level,
        })
    }

    /// Goes by this block from now on; without one there is room for all. Who has a place keeps it.
    pub(crate) fn configure(&self, block: Option<&Bulkhead>) {
        let mut state = self.lock();
        (state.most, state.longest_queue) = bounds(block);
        self.call(&mut state);
    }

    /// How many have a place, and how many wait for one.
    pub(crate) fn counts(&self) -> [usize; 2] {
        let state = self.lock();
        [state.taken, state.queue.len()]
    }

    /// Gets a place, and waits so long for it. Cancel safe.
    pub(crate) async fn enter(self: &Arc<Self>, limit: Duration) -> Result<Place, NoPlace> {
        let mut waiting = match self.stand()? {
            Stood::In(place) => return Ok(place),
            Stood::Queued(waiting) => waiting,
        };
        match timeout(limit, &mut waiting.called).await {
            Ok(Ok(())) => {
                waiting.is_over = true;
                Ok(Place(Arc::clone(self)))
            }
            // Nobody lets go of a queue without calling who is in it.
            Ok(Err(_)) | Err(_) => Err(NoPlace::Late),
        }
    }

    fn stand(self: &Arc<Self>) -> Result<Stood, NoPlace> {
        let mut state = self.lock();
        if state.taken < state.most {
            state.taken += 1;
            self.show(&state);
            return Ok(Stood::In(Place(Arc::clone(self))));
        }
        if state.queue.len() >= state.longest_queue {
            return Err(NoPlace::Full);
        }
        let (call, called) = oneshot::channel();
        let number = state.next;
        state.next += 1;
        state.queue.insert(number, call);
        self.show(&state);
        Ok(Stood::Queued(Waiting {
            places: Arc::clone(self),
            number,
            called,
            is_over: false,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is in there is whole at every moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a place back.
    fn leave(&self, state: &mut State) {
        state.taken -= 1;
        self.call(state);
    }

    /// Gives what is free to those who wait.
    fn call(&self, state: &mut State) {
        while state.taken < state.most
            && let Some((_, call)) = state.queue.pop_first()
        {
            state.taken += 1;
            // Whoever goes leaves the queue first, so this one is there.
            let _heard = call.send(());
        }
        self.show(state);
    }

    fn show(&self, state: &State) {
        self.taken_level.set(state.taken as i64);
        self.waiting_level.set(state.queue.len() as i64);
    }
}

/// What becomes of who comes.
#[derive(Debug)]
enum Stood {
    In(Place),
    Queued(Waiting),
}

fn bounds(block: Option<&Bulkhead>) -> (usize, usize) {
    block.map_or((usize::MAX, 0), |block| {
        (block.max_concurrent_requests as usize, block.max_queue_size as usize)
    })
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        self.0.leave(&mut state);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut state = self.places.lock();
        if state.queue.remove(&self.number).is_some() {
            self.places.show(&state);
        } else {
            self.places.leave(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn block(most: u32, queue: u32) -> Bulkhead {
        Bulkhead {
            max_concurrent_requests: most,
            max_queue_size: queue,
            ..Bulkhead::default()
        }
    }

    fn places(most: u32, queue: u32) -> Arc<Places> {
        Places::new(Some(&block(most, queue)), [Level::default(), Level::default()])
    }

    /// Looks once.
    fn look<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn so_many_get_in_so_many_wait_and_the_rest_is_refused() {
        let places = places(2, 1);
        let first = places.enter(LONG).await.unwrap();
        let _second = places.enter(LONG).await.unwrap();
        let mut third = pin!(places.enter(LONG));
        assert!(look(third.as_mut()).is_none());
        assert_eq!(places.counts(), [2, 1]);
        assert_eq!(places.enter(LONG).await.unwrap_err(), NoPlace::Full);
        drop(first);
        let _third = look(third.as_mut()).unwrap().unwrap();
        assert_eq!(places.counts(), [2, 0]);
    }

    #[tokio::test]
    async fn without_a_queue_nobody_waits() {
        let places = places(1, 0);
        let one = places.enter(LONG).await.unwrap();
        assert_eq!(places.enter(LONG).await.unwrap_err(), NoPlace::Full);
        drop(one);
        assert!(places.enter(LONG).await.is_ok());
        assert_eq!(places.counts(), [0, 0]);
    }

    #[tokio::test]
    async fn who_waits_too_long_leaves_the_queue() {
        let places = places(1, 1);
        let _one = places.enter(LONG).await.unwrap();
        assert_eq!(places.enter(Duration::ZERO).await.unwrap_err(), NoPlace::Late);
        assert_eq!(places.counts(), [1, 0]);
    }

    #[tokio::test]
    async fn the_first_that_waits_is_the_first_that_gets_in() {
        let places = places(1, 3);
        let inside = places.enter(LONG).await.unwrap();
        let mut one = pin!(places.enter(LONG));
        let mut two = Box::pin(places.enter(LONG));
        let mut three = pin!(places.enter(LONG));
        assert!(look(one.as_mut()).is_none() && look(two.as_mut()).is_none() && look(three.as_mut()).is_none());
        drop(inside);
        assert!(look(three.as_mut()).is_none() && look(two.as_mut()).is_none());
        // Nobody gets in before those that wait.
        let mut late = pin!(places.enter(LONG));
        assert!(look(late.as_mut()).is_none());
        let inside = look(one.as_mut()).unwrap().unwrap();
        // Who has gone is passed over.
        drop(two);
        drop(inside);
        assert!(look(late.as_mut()).is_none());
        assert!(look(three.as_mut()).unwrap().is_ok());
        assert!(look(late.as_mut()).unwrap().is_ok());
        assert_eq!(places.counts(), [0, 0]);
    }

    // A client may go in the very moment in which its place becomes free.
    #[tokio::test]
    async fn a_place_that_was_given_and_not_seen_comes_back() {
        let places = places(1, 2);
        let inside = places.enter(LONG).await.unwrap();
        let mut gone = Box::pin(places.enter(LONG));
        let mut next = pin!(places.enter(LONG));
        assert!(look(gone.as_mut()).is_none() && look(next.as_mut()).is_none());
        drop(inside);
        assert_eq!(places.counts(), [1, 1]);
        drop(gone);
        assert!(look(next.as_mut()).unwrap().is_ok());
        assert_eq!(places.counts(), [0, 0]);
    }

    #[tokio::test]
    async fn a_change_leaves_places_to_those_who_have_them_and_lets_in_those_who_wait() {
        let places = places(2, 9);
        let (one, two) = (places.enter(LONG).await.unwrap(), places.enter(LONG).await.unwrap());
        let mut third = pin!(places.enter(LONG));
        assert!(look(third.as_mut()).is_none());
        places.configure(Some(&block(3, 9)));
        let third = look(third.as_mut()).unwrap().unwrap();
        places.configure(Some(&block(1, 9)));
        assert_eq!(places.counts(), [3, 0]);
        let mut fourth = pin!(places.enter(LONG));
        assert!(look(fourth.as_mut()).is_none());
        drop((one, two));
        assert!(look(fourth.as_mut()).is_none());
        drop(third);
        let fourth = look(fourth.as_mut()).unwrap().unwrap();
        // Without a block there is room for all.
        let mut fifth = pin!(places.enter(LONG));
        assert!(look(fifth.as_mut()).is_none());
        places.configure(None);
        let _fifth = look(fifth.as_mut()).unwrap().unwrap();
        // Those who came before count when it is there again.
        places.configure(Some(&block(2, 0)));
        assert_eq!(places.enter(LONG).await.unwrap_err(), NoPlace::Full);
        drop(fourth);
        assert!(places.enter(LONG).await.is_ok());
    }
}
