//! Hoses for streams of many bytes, lent by those that need none at the moment: two descriptors for each direction of each connection would be
//! too many, and one who says little is served better by a copy.

use std::cell::RefCell;

use fracas_linux::splice::Hose;

/// So many that nobody needs are kept for each thread.
const KEPT: usize = 8;

thread_local! {
    static IDLE: RefCell<Vec<Hose>> = const { RefCell::new(Vec::new()) };
}

/// An empty one. `None`: there are no more descriptors.
pub(super) fn lend() -> Option<Hose> {
    IDLE.with_borrow_mut(Vec::pop).or_else(|| Hose::new().ok())
}

/// Gives one back. What is in it is lost with it.
pub(super) fn give_back(hose: Hose) {
    IDLE.with_borrow_mut(|idle| {
        if hose.held() == 0 && idle.len() < KEPT {
            idle.push(hose);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn no_more_than_so_many_are_kept_and_none_that_holds_something() {
        let lent: Vec<Hose> = (0..=KEPT).map(|_| lend().unwrap()).collect();
        lent.into_iter().for_each(give_back);
        assert_eq!(IDLE.with_borrow(Vec::len), KEPT);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut said = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (heard, _) = listener.accept().unwrap();
        io::Write::write_all(&mut said, b"x").unwrap();
        let mut hose = lend().unwrap();
        assert_eq!(hose.fill(&heard, 1).unwrap(), 1);
        give_back(hose);
        assert_eq!(IDLE.with_borrow(Vec::len), KEPT - 1);
    }
}
