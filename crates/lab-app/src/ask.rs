//! Asks a name server for a name, as a resolver would.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

const PORT: u16 = 53;

pub(crate) fn start(every: Duration, name: String, server: Option<IpAddr>) {
    thread::spawn(move || {
        for number in (0..=u16::MAX).cycle() {
            // Nobody waits for the answer.
            if let Some(server) = server.or_else(configured) {
                let _unheard = ask(server, &name, number);
            }
            crate::pause(every);
        }
    });
}

fn ask(server: IpAddr, name: &str, number: u16) -> std::io::Result<()> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    let mut message = [number, 0x0100, 1, 0, 0, 0].map(u16::to_be_bytes).concat();
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    socket.send_to(&message, SocketAddr::new(server, PORT)).map(drop)
}

/// The first name server of resolv.conf(5).
fn configured() -> Option<IpAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    let mut servers = text.lines().filter_map(|line| line.strip_prefix("nameserver"));
    servers.find_map(|server| server.trim().parse().ok())
}
