//! Hoses for streams of many bytes, lent by those that need none at the moment: two descriptors for each direction of each connection would be
//! too many, and one who says little is served better by a copy.

use std::sync::atomic::{AtomicUsize, Ordering};
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

static THERE: AtomicUsize = AtomicUsize::new(0);
static IDLE: Mutex<Vec<Lent>> = Mutex::new(Vec::new());

fn idle() -> MutexGuard<'static, Vec<Lent>> {
    // What is in there is whole at every moment.
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One that is lent.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) hose: Hose,
    _counted: Counted,
}

/// One of those that there may be, until it is dropped.
#[derive(Debug)]
struct Counted;

impl Counted {
    fn one_more() -> Option<Self> {
        let room = |there| (there < MOST).then_some(there + 1);
        let before = THERE.fetch_update(Ordering::AcqRel, Ordering::Acquire, room);
        before.is_ok().then(|| Self)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        THERE.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An empty one. `None`: there are as many as may be, there are no more descriptors, or this user has no more room in pipes.
pub(super) fn lend() -> Option<Lent> {
    let kept = idle().pop();
    kept.or_else(|| {
        let counted = Counted::one_more()?;
        let hose = Hose::new(ROOM).ok()?;
        Some(Lent {
            hose,
            _counted: counted,
        })
    })
}

/// Gives one back. What is in it is lost with it.
pub(super) fn give_back(lent: Lent) {
    let mut idle = idle();
    if lent.hose.held() == 0 && idle.len() < KEPT {
        idle.push(lent);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// How many are kept, and how many there are.
    fn counts() -> (usize, usize) {
        (idle().len(), THERE.load(Ordering::Acquire))
    }

    // One test, for all of them are counted together.
    #[test]
    fn there_are_no_more_than_32_of_1_mib_and_none_is_kept_that_holds_something() {
        let all: Vec<Lent> = std::iter::from_fn(lend).take(100).collect();
        assert_eq!((all.len(), counts()), (32, (0, 32)));
        assert!(all.iter().all(|lent| lent.hose.room().unwrap() == 1 << 20));
        all.into_iter().for_each(give_back);
        assert_eq!(counts(), (8, 8));
        // Those that are kept are of the 32.
        let all: Vec<Lent> = std::iter::from_fn(lend).take(100).collect();
        assert_eq!((all.len(), counts()), (32, (0, 32)));
        all.into_iter().for_each(give_back);

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut said = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (heard, _) = listener.accept().unwrap();
        said.write_all(b"x").unwrap();
        let mut lent = lend().unwrap();
        assert!(lent.hose.fill(&heard, 1).unwrap().is_some());
        give_back(lent);
        assert_eq!(counts(), (7, 7));
        drop(lend());
        assert_eq!(counts(), (6, 6));
    }
}
