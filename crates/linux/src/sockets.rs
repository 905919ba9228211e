//! What sockets take and give besides their bytes, as socket(7) and cmsg(3) have it: options, and what comes along with a packet.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::net::RecvFlags;
use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_user_timeout,
};

use crate::error::invalid;

/// `struct cmsghdr`: a length, a level and a type.
const HEADER: usize = size_of::<usize>() + 8;
/// So many words are more than all that is asked for here.
const WORDS: usize = 24;

/// Has the kernel look after a connection of TCP: when nothing came for `silence` it asks whether the other machine is there, again three times
/// with a third of that between, and it ends the connection when what was sent is not acknowledged, or the other side takes nothing, for
/// `unheard` (tcp(7), `TCP_USER_TIMEOUT`; for those that take nothing since Linux 5.11, `tcp_probe_timer` in net/ipv4/tcp_timer.c). Whoever
/// takes a little at times is not ended. Both are rounded to what the kernel counts in, seconds and milliseconds.
///
/// # Errors
/// It is no socket of TCP.
pub fn look_after(socket: impl AsFd, silence: Duration, unheard: Duration) -> io::Result<()> {
    let socket = socket.as_fd();
    let second = Duration::from_secs(1);
    set_socket_keepalive(socket, true)?;
    set_tcp_keepidle(socket, silence.max(second))?;
    set_tcp_keepintvl(socket, (silence / 3).max(second))?;
    set_tcp_keepcnt(socket, 3)?;
    // Of 0 the kernel knows no end.
    let millis = u32::try_from(unheard.as_millis()).unwrap_or(u32::MAX).max(1);
    set_tcp_user_timeout(socket, millis)?;
    Ok(())
}

/// Says to the other side of a connection that nothing more comes; what comes from there can still be read (shutdown(2)).
///
/// # Errors
/// It is connected no more.
pub fn end_writing(socket: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::shutdown(socket, rustix::net::Shutdown::Write)?)
}

/// Takes what was received, without waiting for it (recv(2)). It is there also when the other side has reset the connection since then
/// (tcp_recvmsg_locked() in net/ipv4/tcp.c gives the error last). 0: there is nothing more to come.
///
/// # Errors
/// Nothing is there, or the connection is broken.
pub fn received(socket: impl AsFd, into: &mut [u8]) -> io::Result<usize> {
    let (count, _) = rustix::net::recv(socket, into, RecvFlags::DONTWAIT)?;
    Ok(count)
}

/// How many bytes that were sent have not been acknowledged by the other side (tcp(7), `SIOCOUTQ`).
///
/// # Errors
/// It is no socket of TCP.
pub fn unacknowledged(socket: impl AsFd) -> io::Result<u32> {
    let mut bytes: libc::c_int = 0;
    #[expect(unsafe_code, reason = "rustix does not have this request")]
    // SAFETY: the kernel writes one int, which is there (tcp_ioctl() in net/ipv4/tcp.c).
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    checked(result as isize)?;
    Ok(bytes.unsigned_abs())
}

/// Whether a connection of TCP has broken: the other side has reset it, or the kernel has given it up. `SO_ERROR` would also tell, as if it were
/// that, what ICMP and ARP say of the way while the kernel goes on trying (`sk_err_soft`, sk_getsockopt() in net/core/sock.c); poll(2) does not
/// (tcp_poll() in net/ipv4/tcp.c).
///
/// # Errors
/// There is no memory for the question.
pub fn is_broken(socket: impl AsFd) -> io::Result<bool> {
    // Errors are told whatever is asked for.
    let mut asked = [PollFd::new(&socket, PollFlags::empty())];
    // Not to be taken for an end: a signal that comes at this moment (do_poll() in fs/select.c).
    retry_on_intr(|| poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })))?;
    Ok(asked[0].revents().contains(PollFlags::ERR))
}

/// Sets an option of a socket. The type of the value is the one that the option has.
pub(crate) fn set_option<T: Copy>(socket: impl AsFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    #[expect(unsafe_code, reason = "rustix knows few options by name, and none by number")]
    // SAFETY: the kernel reads the value, and what it points to, during the call only; both are there.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    checked(result as isize).map(drop)
}

/// Gets an option that is some numbers.
pub(crate) fn numbers<const N: usize>(socket: impl AsFd, level: i32, option: i32) -> io::Result<[u32; N]> {
    let mut value = [0_u32; N];
    let mut length = size_of_val(&value) as libc::socklen_t;
    #[expect(unsafe_code, reason = "rustix knows few options by name, and none by number")]
    // SAFETY: the kernel writes at most as many bytes as the value has, of which all are valid numbers.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            value.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    checked(result as isize)?;
    if length as usize != size_of_val(&value) {
        return Err(invalid(format!("an option of {length} bytes")));
    }
    Ok(value)
}

/// What comes along with bytes (`struct msghdr::msg_control`).
#[derive(Debug, Default)]
pub(crate) struct Along {
    /// Words, for the kernel wants them aligned.
    words: [u64; WORDS],
    length: usize,
}

impl Along {
    /// Adds something.
    ///
    /// # Errors
    /// More than fits.
    pub(crate) fn push(&mut self, level: i32, kind: i32, value: &[u8]) -> io::Result<()> {
        let length = HEADER + value.len();
        let bytes = [
            &length.to_ne_bytes()[..],
            &level.to_ne_bytes(),
            &kind.to_ne_bytes(),
            value,
        ]
        .concat();
        let padded = length.next_multiple_of(size_of::<usize>());
        if self.length + padded > size_of_val(&self.words) {
            return Err(invalid(format!("{length} bytes do not come along any more")));
        }
        for (number, byte) in bytes.into_iter().enumerate() {
            let at = self.length + number;
            let mut word = self.words[at / 8].to_ne_bytes();
            word[at % 8] = byte;
            self.words[at / 8] = u64::from_ne_bytes(word);
        }
        self.length += padded;
        Ok(())
    }

    /// The first of this level and type that is as long as asked; `None`: there is none.
    pub(crate) fn find<const N: usize>(&self, level: i32, kind: i32) -> Option<[u8; N]> {
        let bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut rest = bytes.get(..self.length)?;
        while let Some((length, more)) = rest.split_first_chunk() {
            let length = usize::from_ne_bytes(*length);
            let (its_level, more) = more.split_first_chunk()?;
            let (its_kind, _) = more.split_first_chunk()?;
            let value = rest.get(HEADER..length)?;
            if i32::from_ne_bytes(*its_level) == level && i32::from_ne_bytes(*its_kind) == kind {
                return value.try_into().ok();
            }
            rest = rest.get(length.next_multiple_of(size_of::<usize>())..)?;
        }
        None
    }
}

/// Sends a packet to an address, of the type that the socket's family has, with what goes along.
pub(crate) fn send<A: Copy>(socket: impl AsFd, bytes: &[u8], to: &A, along: &Along) -> io::Result<()> {
    let mut part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut message = empty();
    message.msg_name = std::ptr::from_ref(to).cast_mut().cast();
    message.msg_namelen = size_of::<A>() as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = along.words.as_ptr().cast_mut().cast();
    message.msg_controllen = along.length as _;
    #[expect(unsafe_code, reason = "rustix sends no marks and no interfaces along")]
    // SAFETY: address, bytes and what goes along are there during the call, with these lengths, and the kernel only reads them.
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, 0) };
    let sent = checked(sent)?;
    if sent == bytes.len() {
        Ok(())
    } else {
        Err(invalid(format!("only {sent} of {} bytes were sent", bytes.len())))
    }
}

/// What was received by a packet socket.
#[derive(Debug)]
pub(crate) struct Received {
    /// How many bytes the packet had, of which the buffer has as many as it has room for.
    pub(crate) length: usize,
    /// The interface, and whether the packet came in or left (packet(7)).
    pub(crate) at: libc::sockaddr_ll,
    /// What came along.
    pub(crate) along: Along,
}

/// Receives by a packet socket, without waiting.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Received> {
    let (mut at, mut along) = (link_address(), Along::default());
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let mut message = empty();
    message.msg_name = (&raw mut at).cast();
    message.msg_namelen = size_of_val(&at) as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = along.words.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&along.words) as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    #[expect(unsafe_code, reason = "rustix hands out no time of arrival")]
    // SAFETY: the kernel writes within the lengths of address, buffer and what comes along, all of which are plain data.
    let taken = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, flags) };
    let length = checked(taken)?;
    // What nothing was written to is zeros, which no length is: it ends there.
    along.length = size_of_val(&along.words);
    Ok(Received { length, at, along })
}

/// An address of packet(7) that names no link yet.
pub(crate) fn link_address() -> libc::sockaddr_ll {
    #[expect(unsafe_code, reason = "it has no other way to be made")]
    // SAFETY: it is plain data for which zeros are valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address
}

/// Binds a packet socket to an address.
pub(crate) fn bind(socket: impl AsFd, address: &libc::sockaddr_ll) -> io::Result<()> {
    #[expect(unsafe_code, reason = "rustix has no addresses of packet(7)")]
    // SAFETY: the kernel reads the address during the call only, with the length that it has.
    let result = unsafe {
        libc::bind(
            socket.as_fd().as_raw_fd(),
            std::ptr::from_ref(address).cast(),
            size_of_val(address) as libc::socklen_t,
        )
    };
    checked(result as isize).map(drop)
}

/// Lets into a socket what a program of classic BPF lets in (the kernel's Documentation/networking/filter.rst).
pub(crate) fn filter(socket: impl AsFd, program: &mut [libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| invalid("a filter of more steps than there can be"))?,
        filter: program.as_mut_ptr(),
    };
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

pub(crate) fn empty() -> libc::msghdr {
    #[expect(unsafe_code, reason = "it has fields that differ between C libraries")]
    // SAFETY: it is plain data for which zeros are valid: no address, no parts, nothing along.
    unsafe {
        std::mem::zeroed()
    }
}

pub(crate) fn checked(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::Instant;

    use super::*;

    #[test]
    fn who_has_said_his_last_has_not_broken_and_who_was_reset_has() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let (mut behind, _) = server.accept().unwrap();
        assert!(!is_broken(&client).unwrap());
        behind.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        assert!(!is_broken(&client).unwrap());
        client.write_all(b"a").unwrap();
        assert_eq!(behind.read(&mut [0; 2]).unwrap(), 1);
        client.write_all(b"unread").unwrap();
        let begun = Instant::now();
        while unacknowledged(&client).unwrap() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(30));
        }
        drop(behind);
        while !is_broken(&client).unwrap() {
            assert!(begun.elapsed() < Duration::from_secs(30));
        }
        // Who asks takes nothing away.
        assert!(is_broken(&client).unwrap());
        assert!(client.write_all(b"a").is_err());
    }

    #[test]
    fn what_goes_along_is_found_again() {
        let mut along = Along::default();
        along.push(1, 2, &[3, 4, 5, 6]).unwrap();
        along.push(7, 8, &[9; 20]).unwrap();
        assert_eq!(along.find(1, 2), Some([3, 4, 5, 6]));
        assert_eq!(along.find(7, 8), Some([9; 20]));
        assert_eq!(along.find::<4>(7, 8), None, "of another length");
        assert_eq!(along.find::<4>(1, 3), None);
        assert!(along.push(1, 1, &[0; 200]).is_err());
        // A length that leads out of what is there.
        along.words[0] = u64::MAX;
        assert_eq!(along.find::<20>(7, 8), None);
        along.words[0] = 0;
        assert_eq!(along.find::<20>(7, 8), None);
    }
}
