//! Bytes that pass from one socket to another inside the kernel, and are not copied here and back (splice(2)).

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice};

/// A pipe, in which what was taken from one socket waits until another takes it. It has two descriptors, and while it is empty hardly any memory:
/// what is in it are pages of the socket that they came from (`skb_splice_bits()` in net/core/skbuff.c).
#[derive(Debug)]
pub struct Hose {
    reads: OwnedFd,
    writes: OwnedFd,
    held: usize,
}

impl Hose {
    /// An empty one for so many bytes, which are a power of two of pages or made so (pipe(7)).
    ///
    /// # Errors
    /// There are no more descriptors, or it is more than this user may have (`pipe-max-size`, `pipe-user-pages-soft`).
    pub fn new(room: usize) -> io::Result<Self> {
        let (reads, writes) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        fcntl_setpipe_size(&writes, room)?;
        Ok(Self { reads, writes, held: 0 })
    }

    /// For how many bytes there is room, as the kernel counts it (`F_GETPIPE_SZ`, fcntl(2)): in pages, of which each may be one of less, or a part of
    /// a larger one.
    ///
    /// # Errors
    /// None that is known.
    pub fn room(&self) -> io::Result<usize> {
        Ok(fcntl_getpipe_size(&self.reads)?)
    }

    /// How many bytes are in it.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes up to so many bytes from a socket, if there are some, and says how many. Of an empty hose `None` says that nothing can be had so, and
    /// is to be asked for by recv(2): there is nothing, or the end, or splicing is not had here, or there is urgent data. At that the kernel stops
    /// for ever (`tcp_read_sock()` in net/ipv4/tcp.c), whatever comes behind it; recv(2) goes on.
    ///
    /// # Errors
    /// That of the connection. It is told once, and recv(2) finds the end then.
    pub fn fill(&mut self, from: impl AsFd, most: usize) -> io::Result<Option<NonZeroUsize>> {
        match splice(from, None, &self.writes, None, most, SpliceFlags::NONBLOCK) {
            Ok(count) => {
                self.held += count;
                Ok(NonZeroUsize::new(count))
            }
            Err(Errno::AGAIN | Errno::INTR | Errno::NOMEM | Errno::INVAL | Errno::NOSYS | Errno::PERM) => Ok(None),
            Err(error) => Err(error.into()),
        }
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

    /// Twice what pipes have of themselves.
    const ROOM: usize = 128 << 10;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (other, _) = listener.accept().unwrap();
        (one, other)
    }

    #[test]
    fn bytes_go_through_it_or_can_be_taken_out() {
        let ((mut sender, from), (to, mut receiver)) = (pair(), pair());
        let mut hose = Hose::new(ROOM).unwrap();
        assert_eq!(hose.room().unwrap(), ROOM);
        // One that does not get its room is none.
        assert!(Hose::new(usize::MAX).is_err());
        from.set_nonblocking(true).unwrap();
        assert_eq!(hose.fill(&from, 9).unwrap(), None);
        sender.write_all(b"one two").unwrap();
        from.set_nonblocking(false).unwrap();
        assert_eq!((hose.fill(&from, 4).unwrap(), hose.held()), (NonZeroUsize::new(4), 4));
        assert_eq!((hose.pour(&to).unwrap(), hose.held()), (4, 0));
        let mut came = [0; 4];
        receiver.read_exact(&mut came).unwrap();
        assert_eq!(&came, b"one ");
        assert_eq!(hose.fill(&from, 9).unwrap(), NonZeroUsize::new(3));
        assert_eq!((hose.empty().unwrap(), hose.held()), (b"two".to_vec(), 0));
        drop(sender);
        assert_eq!(hose.fill(&from, 9).unwrap(), None);
    }
}
