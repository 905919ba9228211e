//! What is received from a connection of TCP, with how much more there is (`TCP_INQ`, linux/tcp.h, since Linux 4.18): whoever knows that there is
//! no more need not ask for it.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use crate::sockets::{self, set_option};

/// A header, and a number that is rounded up to a word (cmsg(3)).
const WORDS: usize = 3;
/// In the words: the length, level and type, and the number.
const LENGTH: u64 = 20;

/// Has the kernel say how much more there is.
///
/// # Errors
/// It is no socket of TCP, or the kernel is older.
pub fn tell(socket: impl AsFd) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_INQ, &1)
}

/// Takes what was received, without waiting for it, and says how many bytes that was and how many are there behind them. 0 bytes: there is nothing
/// more to come. Behind a connection's last bytes there is one more, its end (`tcp_inq_hint()` in net/ipv4/tcp.c); what is urgent counts, too. `None`:
/// the kernel did not say.
///
/// # Errors
/// As of recv(2).
pub fn received(socket: impl AsFd, into: &mut [u8]) -> io::Result<(usize, Option<u32>)> {
    let mut along = [0_u64; WORDS];
    let mut part = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let mut message = sockets::empty();
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = along.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&along) as _;
    #[expect(unsafe_code, reason = "rustix hands out nothing of TCP that comes along")]
    // SAFETY: the kernel writes within the lengths of buffer and what comes along, which are plain data.
    let taken = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let count = sockets::checked(taken)?;
    let is_told = along[..2] == told();
    let [a, b, c, d, ..] = along[2].to_ne_bytes();
    Ok((count, is_told.then_some(u32::from_ne_bytes([a, b, c, d]))))
}

/// The header of what is told (`struct cmsghdr`).
fn told() -> [u64; 2] {
    let [level, kind] = [libc::IPPROTO_TCP, libc::TCP_CM_INQ].map(|number| u64::from(number.unsigned_abs()));
    let both = if cfg!(target_endian = "little") {
        kind << 32 | level
    } else {
        level << 32 | kind
    };
    [LENGTH, both]
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use rustix::net::{SendFlags, send};

    use super::*;
    use crate::sockets::unacknowledged;

    #[test]
    fn what_is_behind_is_told_and_the_end_is_one_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (receiver, _) = listener.accept().unwrap();
        let mut room = [0; 4];
        let mut takes = |sender: &TcpStream| {
            // All of it is there.
            let begun = Instant::now();
            while unacknowledged(sender).unwrap() > 0 {
                assert!(begun.elapsed() < Duration::from_secs(30));
            }
            received(&receiver, &mut room)
        };
        assert_eq!(takes(&sender).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        sender.write_all(b"a").unwrap();
        assert_eq!(takes(&sender).unwrap(), (1, None));
        tell(&receiver).unwrap();
        sender.write_all(b"seven..").unwrap();
        assert_eq!(takes(&sender).unwrap(), (4, Some(3)));
        assert_eq!(takes(&sender).unwrap(), (3, Some(0)));
        // It stops before an urgent byte, which is no byte of the stream, and goes on behind it.
        sender.write_all(b"a").unwrap();
        send(&sender, b"!", SendFlags::OOB).unwrap();
        sender.write_all(b"b").unwrap();
        assert_eq!(takes(&sender).unwrap(), (1, Some(2)));
        assert_eq!(takes(&sender).unwrap(), (1, Some(0)));
        sender.write_all(b"c").unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
        assert_eq!(takes(&sender).unwrap(), (1, Some(1)));
        assert_eq!(takes(&sender).unwrap().0, 0);
    }
}
