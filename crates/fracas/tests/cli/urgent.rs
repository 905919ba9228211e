//! Urgent data (tcp(7), `MSG_OOB`) in a stream that is spliced. Where it was splicing stops for ever, whatever comes behind it (`tcp_read_sock()`
//! in net/ipv4/tcp.c).

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use rustix::net::{SendFlags, send};

use crate::cli::Cli;
use crate::proxied::{Proxied, address, post};
use crate::support::LIMIT;

/// In bytes: many reads, of which all but the first are spliced.
const BEFORE: usize = 300_000;
const BEHIND: usize = 500_000;

/// The byte that is at this place of a stream.
fn byte(at: usize) -> u8 {
    (at % 251) as u8
}

/// A server that says some bytes, an urgent one, and more, and `ends`; or waits until its client has gone.
fn server(ends: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
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

#[test]
fn urgent_data_ends_no_stream_and_stops_none() {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &["--toxiproxy-api", "0"]);
    let mut api = None;
    proxy.going.until("it says where its API is", || {
        api = address(&proxy.going.err(), "toxiproxy: http://");
        api.is_some()
    });
    for ends in [true, false] {
        let upstream = server(ends);
        let asked = format!(r#"{{"name":"{ends}","upstream":"{upstream}"}}"#);
        let made = post(api.unwrap(), "/proxies", &asked);
        let made: serde_json::Value = serde_json::from_str(&made.body).unwrap();
        let mut stream = TcpStream::connect(made["listen"].as_str().unwrap()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut came = vec![0; BEFORE + BEHIND];
        stream.read_exact(&mut came).unwrap();
        assert!(came.iter().enumerate().all(|(at, came)| *came == byte(at)));
        if ends {
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        }
    }
}
