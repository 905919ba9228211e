//! Hoses for streams of many bytes, lent by those that need none at the moment: two descriptors for each direction of each connection would be
//! too many, and one who says little is served better by a copy.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fracas_linux::splice::Hose;

/// In bytes, of what passes through one at once: as much as anybody may have (pipe(7), `pipe-max-size`). With 64 KiB, as pipes have of
/// themselves, a fast stream is a third slower and takes more than twice as much of the processor.
pub(super) const ROOM: usize = 1 << 20;
/// So many there are at a time: a slow receiver has one as long as it is slow. Together they have half of what all pipes of a user without
/// privileges may have before each new one is made very small (pipe(7), `pipe-user-pages-soft`).
const MOST: usize = 32;
/// And so many of them that nobody needs are kept.
const KEPT: usize = 8;

/// Those that there are.
struct Hoses {
    there: AtomicUsize,
    idle: Mutex<Vec<Lent>>,
    /// This user may not have so much room in pipes. To ask each time would cost more than a copy.
    is_refused: AtomicBool,
}

static HOSES: Hoses = Hoses::new();

/// One that is lent.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) hose: Hose,
    _counted: Counted,
}

/// One of those that there may be, until it is dropped.
#[derive(Debug)]
struct Counted(&'static AtomicUsize);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An empty one. `None`: there are as many as may be, there are no more descriptors, or this user may not have so much room in pipes.
pub(super) fn lend() -> Option<Lent> {
    HOSES.lend(ROOM)
}

/// Gives one back. What is in it is lost with it.
pub(super) fn give_back(lent: Lent) {
    HOSES.take_back(lent);
}

impl Hoses {
    const fn new() -> Self {
        Self {
            there: AtomicUsize::new(0),
            idle: Mutex::new(Vec::new()),
            is_refused: AtomicBool::new(false),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Lent>> {
        // What is in there is whole at every moment.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one_more(&'static self) -> Option<Counted> {
        let room = |there| (there < MOST).then_some(there + 1);
        let before = self.there.fetch_update(Ordering::AcqRel, Ordering::Acquire, room);
        before.is_ok().then(|| Counted(&self.there))
    }

    fn lend(&'static self, room: usize) -> Option<Lent> {
        let kept = self.idle().pop();
        kept.or_else(|| {
            if self.is_refused.load(Ordering::Relaxed) {
                return None;
            }
            let counted = self.one_more()?;
            let hose = Hose::new(room);
            if hose
                .as_ref()
                .is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
            {
                self.is_refused.store(true, Ordering::Relaxed);
            }
            Some(Lent {
                hose: hose.ok()?,
                _counted: counted,
            })
        })
    }

    fn take_back(&self, lent: Lent) {
        let mut idle = self.idle();
        if lent.hose.held() == 0 && idle.len() < KEPT {
            idle.push(lent);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// How many are kept, and how many there are.
    fn counts(hoses: &Hoses) -> (usize, usize) {
        (hoses.idle().len(), hoses.there.load(Ordering::Acquire))
    }

    #[test]
    fn there_are_no_more_than_32_of_1_mib_and_none_is_kept_that_holds_something() {
        static HOSES: Hoses = Hoses::new();
        let lend = || HOSES.lend(ROOM);
        let all: Vec<Lent> = std::iter::from_fn(lend).take(100).collect();
        assert_eq!((all.len(), counts(&HOSES)), (32, (0, 32)));
        assert!(all.iter().all(|lent| lent.hose.room().unwrap() == 1 << 20));
        for lent in all {
            HOSES.take_back(lent);
        }
        assert_eq!(counts(&HOSES), (8, 8));
        // Those that are kept are of the 32.
        let all: Vec<Lent> = std::iter::from_fn(lend).take(100).collect();
        assert_eq!((all.len(), counts(&HOSES)), (32, (0, 32)));
        for lent in all {
            HOSES.take_back(lent);
        }

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut said = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (heard, _) = listener.accept().unwrap();
        said.write_all(b"x").unwrap();
        let mut lent = lend().unwrap();
        assert!(lent.hose.fill(&heard, 1).unwrap().is_some());
        HOSES.take_back(lent);
        assert_eq!(counts(&HOSES), (7, 7));
        drop(lend());
        assert_eq!(counts(&HOSES), (6, 6));
    }

    #[test]
    fn who_may_not_have_so_much_is_not_asked_again() {
        static HOSES: Hoses = Hoses::new();
        assert!(HOSES.lend(usize::MAX).is_none() && HOSES.lend(ROOM).is_none());
        assert_eq!(counts(&HOSES), (0, 0));
    }
}
