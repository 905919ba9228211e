//! Bytes that pass from one socket to another inside the kernel, and are not copied here and back (splice(2)).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

/// A pipe, in which what was taken from one socket waits until another takes it. It has two descriptors, and while it is empty hardly any memory:
/// what is in it are pages of the socket that they came from (`skb_splice_bits()` in net/core/skbuff.c).
#[derive(Debug)]
pub struct Hose {
    reads: OwnedFd,
    writes: OwnedFd,
    held: usize,
}

impl Hose {
    /// An empty one.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub fn new() -> io::Result<Self> {
        let (reads, writes) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { reads, writes, held: 0 })
    }

    /// How many bytes are in it.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes up to so many bytes from a socket that does not block, and says how many. 0: it says nothing more. To be asked only of an empty hose:
    /// whether the socket has nothing, or there is no room, is one error.
    ///
    /// # Errors
    /// As of recv(2). `WouldBlock`: there is nothing yet.
    pub fn fill(&mut self, from: impl AsFd, most: usize) -> io::Result<usize> {
        let count = splice(from, None, &self.writes, None, most, SpliceFlags::NONBLOCK)?;
        self.held += count;
        Ok(count)
    }

    /// Gives what it has to a socket that does not block, as much as that takes, and says how much.
    ///
    /// # Errors
    /// As of send(2), but that a broken socket raises SIGPIPE where that is not ignored. `WouldBlock`: it takes nothing yet.
    pub fn pour(&mut self, to: impl AsFd) -> io::Result<usize> {
        let count = splice(&self.reads, None, to, None, self.held, SpliceFlags::NONBLOCK)?;
        self.held -= count;
        Ok(count)
    }

    /// Takes out what it has.
    ///
    /// # Errors
    /// As of read(2).
    pub fn empty(&mut self) -> io::Result<Vec<u8>> {
        let mut all = vec![0; self.held];
        let mut at = 0;
        while at < all.len() {
            match rustix::io::read(&self.reads, &mut all[at..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => at += count,
            }
        }
        self.held = 0;
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (other, _) = listener.accept().unwrap();
        (one, other)
    }

    #[test]
    fn bytes_go_through_it_or_can_be_taken_out() {
        let ((mut sender, from), (to, mut receiver)) = (pair(), pair());
        let mut hose = Hose::new().unwrap();
        from.set_nonblocking(true).unwrap();
        assert_eq!(hose.fill(&from, 9).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        sender.write_all(b"one two").unwrap();
        from.set_nonblocking(false).unwrap();
        assert_eq!((hose.fill(&from, 4).unwrap(), hose.held()), (4, 4));
        assert_eq!((hose.pour(&to).unwrap(), hose.held()), (4, 0));
        let mut came = [0; 4];
        receiver.read_exact(&mut came).unwrap();
        assert_eq!(&came, b"one ");
        assert_eq!(hose.fill(&from, 9).unwrap(), 3);
        assert_eq!((hose.empty().unwrap(), hose.held()), (b"two".to_vec(), 0));
        drop(sender);
        assert_eq!(hose.fill(&from, 9).unwrap(), 0);
    }
}
