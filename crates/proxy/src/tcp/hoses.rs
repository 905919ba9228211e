//! Hoses for streams of many bytes, lent by those that need none at the moment: two descriptors for each direction of each connection would be
//! too many, and one who says little is served better by a copy.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use fracas_linux::splice::Hose;

/// In bytes, of what passes through one at once: as much as anybody may have (pipe(7), `pipe-max-size`). With 64 KiB, as pipes have of
/// themselves, a fast stream is a third slower and takes more than twice as much of the processor.
pub(super) const ROOM: usize = 1 << 20;
/// So many that nobody needs are kept for each thread.
const KEPT: usize = 2;
/// And so many are lent at a time: a slow receiver has one as long as it is slow. Together they are half of what all pipes of a user without
/// privileges may have before each new one is made very small (pipe(7), `pipe-user-pages-soft`).
const LENT: usize = 32;

thread_local! {
    static IDLE: RefCell<Vec<Hose>> = const { RefCell::new(Vec::new()) };
}

static OUT: AtomicUsize = AtomicUsize::new(0);

/// One that is lent.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) hose: Hose,
    _counted: Counted,
}

/// One of those that may be lent, until it is dropped.
#[derive(Debug)]
struct Counted;

impl Counted {
    fn one_more() -> Option<Self> {
        let room = |out| (out < LENT).then_some(out + 1);
        let before = OUT.fetch_update(Ordering::AcqRel, Ordering::Acquire, room);
        before.is_ok().then(|| Self)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OUT.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An empty one. `None`: as many are lent as may be, or there are no more descriptors.
pub(super) fn lend() -> Option<Lent> {
    let counted = Counted::one_more()?;
    let hose = IDLE.with_borrow_mut(Vec::pop).or_else(|| Hose::new(ROOM).ok())?;
    Some(Lent {
        hose,
        _counted: counted,
    })
}

/// Gives one back. What is in it is lost with it.
pub(super) fn give_back(lent: Lent) {
    IDLE.with_borrow_mut(|idle| {
        if lent.hose.held() == 0 && idle.len() < KEPT {
            idle.push(lent.hose);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    // One test, for all of them are counted together.
    #[test]
    fn no_more_than_so_many_are_lent_or_kept_and_none_that_holds_something() {
        let all: Vec<Lent> = std::iter::from_fn(lend).take(LENT + 1).collect();
        assert_eq!(all.len(), LENT);
        all.into_iter().for_each(give_back);
        assert_eq!((IDLE.with_borrow(Vec::len), OUT.load(Ordering::Acquire)), (KEPT, 0));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut said = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (heard, _) = listener.accept().unwrap();
        io::Write::write_all(&mut said, b"x").unwrap();
        let mut lent = lend().unwrap();
        assert!(lent.hose.fill(&heard, 1).unwrap().is_some());
        give_back(lent);
        assert_eq!((IDLE.with_borrow(Vec::len), OUT.load(Ordering::Acquire)), (KEPT - 1, 0));
        drop(lend());
        assert_eq!((IDLE.with_borrow(Vec::len), OUT.load(Ordering::Acquire)), (KEPT - 2, 0));
    }
}
