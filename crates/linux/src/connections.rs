//! Open connections of TCP: which there are, and how one is ended (sock_diag(7)).
//!
//! The kernel ends a connection as if a program of this machine had aborted it (`tcp_abort` in net/ipv4/tcp.c): the other side gets a
//! reset, and whoever holds the socket here an error, `ECONNABORTED`. Nothing of it is left that could be undone.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::error::{Context, errno, invalid};
use crate::netlink::{Message, Netlink};

/// `SOCK_DIAG_BY_FAMILY` and `SOCK_DESTROY`, include/uapi/linux/sock_diag.h.
const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
/// `TCP_ESTABLISHED`, include/net/tcp_states.h.
const ESTABLISHED: u8 = 1;
/// `TCP_SYN_RECV`: the client's answer to the first answer is not there yet.
const OPENING: u8 = 3;
/// `struct inet_diag_sockid`: two ports, two addresses, an interface, and a cookie that no other socket has.
const ID: usize = 48;
/// What stands before it in `struct inet_diag_msg`, and how long that is.
const BEFORE_ID: usize = 4;
const MESSAGE: usize = 72;
/// Where in it the socket's inode is.
const INODE: usize = 68;

/// An open connection, as one of its sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// This side.
    pub local: SocketAddr,
    /// The other side.
    pub remote: SocketAddr,
    /// The number of the socket, as `/proc/PID/net/tcp` and `/proc/PID/fd` have it. 0: no program holds it.
    pub inode: u32,
    family: u8,
    id: [u8; ID],
}

impl Connection {
    /// Reads a `struct inet_diag_msg`. `None`: it is of no family of IP.
    fn parse(body: &[u8]) -> io::Result<Option<Self>> {
        let Some(body) = body.first_chunk::<MESSAGE>() else {
            return Err(invalid(format!("a socket in {} bytes", body.len())));
        };
        let family = body[0];
        let mut id = [0; ID];
        id.copy_from_slice(&body[BEFORE_ID..BEFORE_ID + ID]);
        let side = |port: usize, address: usize| {
            let port = u16::from_be_bytes([id[port], id[port + 1]]);
            let octets: [u8; 16] = id[address..address + 16].try_into().ok()?;
            let address = match i32::from(family) {
                libc::AF_INET => IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3])),
                // A socket of IPv6 may speak IPv4.
                libc::AF_INET6 => Ipv6Addr::from(octets).to_canonical(),
                _ => return None,
            };
            Some(SocketAddr::new(address, port))
        };
        let (Some(local), Some(remote)) = (side(0, 4), side(2, 20)) else {
            return Ok(None);
        };
        let inode = body[INODE..].first_chunk().copied().unwrap_or_default();
        Ok(Some(Self {
            local,
            remote,
            inode: u32::from_ne_bytes(inode),
            family,
            id,
        }))
    }
}

/// `struct inet_diag_req_v2`.
fn request(kind: u16, family: u8, states: u32, id: &[u8; ID]) -> Message {
    let head = [family, libc::IPPROTO_TCP as u8, 0, 0];
    Message::new(kind, 0, &[&head[..], &states.to_ne_bytes(), id].concat())
}

impl Netlink {
    /// The open connections of TCP in the namespace, of both versions of IP. For a connection made by [`Netlink::sockets`].
    pub fn connections(&mut self) -> io::Result<Vec<Connection>> {
        self.connections_in(ESTABLISHED)
    }

    /// Whether a client is just opening a connection to this port of the namespace. For a connection made by [`Netlink::sockets`].
    pub fn is_opening(&mut self, port: u16) -> io::Result<bool> {
        let opening = self.connections_in(OPENING)?;
        Ok(opening.iter().any(|connection| connection.local.port() == port))
    }

    fn connections_in(&mut self, state: u8) -> io::Result<Vec<Connection>> {
        let what = || "cannot list the open connections".to_owned();
        let mut found = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let message = request(BY_FAMILY, family as u8, 1 << state, &[0; ID]);
            for reply in self.list(&message).context(what)? {
                if reply.kind == BY_FAMILY {
                    found.extend(Connection::parse(&reply.body).context(what)?);
                }
            }
        }
        Ok(found)
    }

    /// Ends a connection. `false`: it has ended already. Needs `CAP_NET_ADMIN`. For a connection made by [`Netlink::sockets`].
    ///
    /// # Errors
    /// `EOPNOTSUPP` from a kernel without `CONFIG_INET_DIAG_DESTROY`.
    pub fn end(&mut self, connection: &Connection) -> io::Result<bool> {
        let Connection { local, remote, .. } = connection;
        self.destroy(connection.family, &connection.id)
            .context(|| format!("cannot end the connection from {local} to {remote}"))
    }

    /// Whether this kernel can end connections: it is asked to end one that nobody can have.
    pub fn can_end_connections(&mut self) -> io::Result<bool> {
        match self.destroy(libc::AF_INET as u8, &[0; ID]) {
            Err(error) if errno(&error) == Some(libc::EOPNOTSUPP) => Ok(false),
            asked => asked
                .context(|| "cannot ask whether connections can be ended".into())
                .map(|_| true),
        }
    }

    fn destroy(&mut self, family: u8, id: &[u8; ID]) -> io::Result<bool> {
        match self.request(request(DESTROY, family, u32::MAX, id)) {
            Err(error) if matches!(errno(&error), Some(libc::ENOENT | libc::ESTALE)) => Ok(false),
            asked => asked.map(|_| true),
        }
    }
}

/// Reads whatever it is. For the fuzzer.
pub(crate) fn fuzz(body: &[u8]) {
    let _refused = Connection::parse(body);
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::process::established;
    use crate::testbed::{LIMIT, Pair, THERE};

    fn connected(pair: &Pair, to: IpAddr) -> (TcpStream, TcpStream) {
        let listener = pair.there.within(|| TcpListener::bind((to, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let near = pair
            .here
            .within(|| TcpStream::connect_timeout(&address, LIMIT))
            .unwrap();
        let far = listener.accept().unwrap().0;
        for stream in [&near, &far] {
            stream.set_read_timeout(Some(LIMIT)).unwrap();
        }
        (near, far)
    }

    #[test]
    fn a_connection_is_reset_on_both_sides_and_its_neighbour_lives() {
        let Some(pair) = Pair::make() else { return };
        let mut netlink = pair.here.within(Netlink::sockets).unwrap();
        if !netlink.can_end_connections().unwrap() {
            return crate::testbed::skipped("a kernel without CONFIG_INET_DIAG_DESTROY");
        }
        assert_eq!(netlink.connections().unwrap(), []);
        for to in THERE {
            let ((mut near, mut far), (mut other, mut bystander)) = (connected(&pair, to), connected(&pair, to));
            let all = netlink.connections().unwrap();
            assert_eq!(all.len(), 2, "{all:?}");
            let of = |stream: &TcpStream| {
                all.iter()
                    .find(|one| one.local == stream.local_addr().unwrap())
                    .unwrap()
            };
            let ours = of(&near);
            assert_eq!(ours.remote, near.peer_addr().unwrap());
            assert!(netlink.end(ours).unwrap());
            assert!(!netlink.end(ours).unwrap(), "it has ended");
            assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
            assert_eq!(far.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
            other.write_all(b"x").unwrap();
            bystander.read_exact(&mut [0]).unwrap();
            assert_eq!(netlink.connections().unwrap(), [of(&other).clone()]);
        }
    }

    #[test]
    fn the_kernel_s_file_names_the_same_connections() {
        let Some(pair) = Pair::make() else { return };
        // A thread has the files of its own namespace.
        let (near, _far) = connected(&pair, THERE[0]);
        let (six, _other) = connected(&pair, THERE[1]);
        let numbers = pair
            .here
            .within(|| {
                let mut of_diag: Vec<_> = Netlink::sockets()?.connections()?;
                of_diag.sort_by_key(|one| one.inode);
                let of_diag: Vec<u64> = of_diag.iter().map(|one| one.inode.into()).collect();
                let of_file = established("/proc/thread-self")?.unwrap();
                Ok((of_diag, of_file.into_iter().collect::<Vec<u64>>()))
            })
            .unwrap();
        assert_eq!(numbers.0, numbers.1);
        assert_eq!(numbers.0.len(), 2);
        drop((near, six));
    }

    #[test]
    fn what_is_no_socket_is_refused() {
        assert!(Connection::parse(&[2; MESSAGE - 1]).is_err());
        assert_eq!(Connection::parse(&[9; MESSAGE]).unwrap(), None, "of another family");
        let mut four = [0; MESSAGE];
        four[0] = libc::AF_INET as u8;
        four[4..8].copy_from_slice(&[0x1f, 0x90, 0, 80]);
        four[8..12].copy_from_slice(&[10, 0, 0, 1]);
        four[24..28].copy_from_slice(&[10, 0, 0, 2]);
        let read = Connection::parse(&four).unwrap().unwrap();
        assert_eq!(read.local.to_string(), "10.0.0.1:8080");
        assert_eq!(read.remote.to_string(), "10.0.0.2:80");
    }
}
