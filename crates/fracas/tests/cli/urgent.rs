//! Urgent data (tcp(7), `MSG_OOB`) in a stream that is spliced. Where it was splicing stops for ever, whatever comes behind it (`tcp_read_sock()`
//! in net/ipv4/tcp.c).

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use fracas_linux::sockets::unacknowledged;
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{SendFlags, send};

use crate::cli::Cli;
use crate::proxied::{Proxied, address, post};
use crate::support::{LIMIT, soon};

/// In bytes: many reads, of which all but the first are spliced.
const BEFORE: usize = 300_000;
const BEHIND: usize = 500_000;

const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;

/// The byte that is at this place of a stream.
fn byte(at: usize) -> u8 {
    (at % 251) as u8
}

/// A server that says some bytes, an urgent one, and more, and `ends`; or waits until its client has gone.
fn server(ends: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let all: Vec<u8> = (0..BEFORE + BEHIND).map(byte).collect();
        stream.write_all(&all[..BEFORE]).unwrap();
        assert_eq!(send(&stream, b"!", SendFlags::OOB).unwrap(), 1);
        stream.write_all(&all[BEFORE..]).unwrap();
        if ends {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        // The client's end.
        let _gone = stream.read(&mut [0]);
    });
    at
}

/// A proxy of TCP, and a connection by it.
fn through(cli: &Cli, upstream: SocketAddr) -> (Proxied, TcpStream) {
    let proxy = Proxied::start(cli, &["--toxiproxy-api", "0"]);
    let mut api = None;
    proxy.going.until("it says where its API is", || {
        api = address(&proxy.going.err(), "toxiproxy: http://");
        api.is_some()
    });
    let asked = format!(r#"{{"name":"a","upstream":"{upstream}"}}"#);
    let made = post(api.unwrap(), "/proxies", &asked);
    let made: serde_json::Value = serde_json::from_str(&made.body).unwrap();
    let stream = TcpStream::connect(made["listen"].as_str().unwrap()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    (proxy, stream)
}

#[test]
fn urgent_data_ends_no_stream_and_stops_none() {
    let cli = Cli::new();
    for ends in [true, false] {
        let (_proxy, mut stream) = through(&cli, server(ends));
        let mut came = vec![0; BEFORE + BEHIND];
        stream.read_exact(&mut came).unwrap();
        assert!(came.iter().enumerate().all(|(at, came)| *came == byte(at)));
        if ends {
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        }
    }
}

/// Carries what the server does while the proxy is stopped, which finds all of it at once: two bytes, and what the client sees then.
fn at_once(does: impl FnOnce(TcpStream), then: impl FnOnce(TcpStream)) {
    let cli = Cli::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (proxy, mut client) = through(&cli, listener.local_addr().unwrap());
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"x").unwrap();
    server.read_exact(&mut [0]).unwrap();
    let process = proxy.going.process();
    process.signal(SIGSTOP).unwrap();
    let tasks = format!("/proc/{}/task", process.identity().pid);
    soon(LIMIT, "all of it is stopped", || {
        let mut all = fs::read_dir(&tasks).unwrap();
        all.all(|task| {
            let stat = fs::read_to_string(task.unwrap().path().join("stat"));
            stat.is_ok_and(|stat| stat.contains(") T "))
        })
        .then_some(())
    });
    does(server);
    process.signal(SIGCONT).unwrap();
    let mut came = [0; 2];
    client.read_exact(&mut came).unwrap();
    assert_eq!(&came, b"ab");
    then(client);
}

fn arrived(sender: &TcpStream) {
    soon(LIMIT, "it is there", || {
        (unacknowledged(sender).unwrap() == 0).then_some(())
    });
}

/// Reading stops before what is urgent, and the kernel tells of what is behind it once, together with what is before it.
#[test]
fn what_is_behind_urgent_data_waits_for_no_more() {
    let says = |mut server: TcpStream| {
        server.write_all(b"a").unwrap();
        assert_eq!(send(&server, b"!", SendFlags::OOB).unwrap(), 1);
        server.write_all(b"b").unwrap();
        arrived(&server);
    };
    at_once(says, drop);
}

/// The kernel counts a byte for an end that is behind others, but none for a reset.
#[test]
fn a_reset_that_comes_with_the_last_bytes_is_seen() {
    let breaks = |mut server: TcpStream| {
        server.write_all(b"ab").unwrap();
        arrived(&server);
        set_socket_linger(&server, Some(Duration::ZERO)).unwrap();
    };
    at_once(breaks, |mut client| {
        let error = client.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}
