//! Requests to a server of one's own, by the loopback device.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::pause;

/// For an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks again and again, in a thread, whatever becomes of it.
pub(crate) fn start(every: Duration, port: u16) {
    thread::spawn(move || {
        loop {
            let _unanswered = call(port);
            pause(every);
        }
    });
}

fn call(port: u16) -> io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}
