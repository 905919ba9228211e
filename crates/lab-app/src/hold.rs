//! Holds a connection from and to its own first address: both ends are in this machine's tables.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

/// How long it waits for an address, or before it connects again.
const AGAIN: Duration = Duration::from_millis(20);

pub(crate) fn start() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || until_it_ends(stream));
        }
    });
    thread::spawn(move || {
        loop {
            // What cannot be now can be soon: there may be no address yet.
            if let Ok(stream) = own_address().and_then(|own| TcpStream::connect((own.ip(), port))) {
                until_it_ends(stream);
            }
            crate::pause(AGAIN);
        }
    });
    Ok(())
}

/// The address from which this machine would speak with its neighbour.
fn own_address() -> io::Result<SocketAddr> {
    let neighbour = crate::chat::neighbour().ok_or(io::ErrorKind::NetworkUnreachable)?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    // Of UDP nothing is sent by this.
    socket.connect((neighbour, crate::chat::DISCARD))?;
    socket.local_addr()
}

fn until_it_ends(mut stream: TcpStream) {
    while stream.read(&mut [0; 64]).is_ok_and(|length| length > 0) {}
}
