//! What the fault on requests changes of those that pass unharmed: what its reference says, and nothing else.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};

use fracas_linux::namespace::NetNamespace;
use serde_json::json;

use crate::impairments::{off, on, place, stage};
use crate::requests::{PORT, connect, here, rest, status};

tests! {
    requests_are_written_anew_as_their_reference_says,
    requests_whose_targets_could_not_pass_are_left_to_their_server,
}

/// A server that answers each connection's first request, and tells what it was.
fn teller(there: &NetNamespace) -> Receiver<Vec<u8>> {
    let server = there
        .within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)))
        .unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let (stream, tell) = (stream.unwrap(), tell.clone());
            std::thread::spawn(move || {
                // The client may be gone, and the test over.
                if let Ok(said) = answered(stream) {
                    let _over = tell.send(said);
                }
            });
        }
    });
    told
}

fn answered(mut stream: TcpStream) -> std::io::Result<Vec<u8>> {
    let mut said = Vec::new();
    let mut byte = [0];
    let is_whole = |said: &[u8]| {
        let end = if said.windows(7).any(|part| part == b"chunked") {
            &b"0\r\n\r\n"[..]
        } else {
            b"\r\n\r\n"
        };
        said.ends_with(end)
    };
    while !is_whole(&said) {
        stream.read_exact(&mut byte)?;
        said.push(byte[0]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nX-Its: own\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")?;
    Ok(said)
}

/// The answer to what is said, and what the server was told.
fn pass(to: SocketAddr, says: &[u8], told: &Receiver<Vec<u8>>) -> (String, String) {
    let mut stream = connect(&here(), to);
    stream.write_all(says).unwrap();
    let answer = rest(&stream);
    (answer, String::from_utf8_lossy(&told.recv().unwrap()).into_owned())
}

/// The values of a header, in their order.
fn values<'h>(head: &'h str, name: &str) -> Vec<&'h str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(named, _)| named.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}

async fn requests_are_written_anew_as_their_reference_says() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    let told = teller(&place.there);
    let params = json!({ "port": PORT, "chaos": { "latency": { "fixed_delay_ms": 1 } } });
    let stage = stage(node, "http", params).await;
    let undo = on(&stage).await;

    let (answer, head) = pass(to, b"GET /a HTTP/1.0\r\nX-Own: 1\r\n\r\n", &told);
    assert!(
        status(&answer) == "200" && answer.ends_with("ok") && answer.contains("X-Its: own"),
        "{answer}"
    );
    assert!(head.starts_with("GET /a HTTP/1.1\r\n"), "{head}");
    assert_eq!(values(&head, "host"), [to.to_string()]);

    let (_, head) = pass(
        to,
        b"GET http://other.example/x?y=%20 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n",
        &told,
    );
    assert!(head.starts_with("GET /x?y=%20 HTTP/1.1\r\n"), "{head}");
    assert_eq!(values(&head, "host"), ["other.example"]);

    let lines = "Host: shop\r\nX-One: 1\r\nConnection: close, X-Hop\r\nX-Two:  a \r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\n\
        TE: gzip, trailers\r\nX-Two: b\r\nX-Empty:\r\nX-Three: \u{e4}\r\n";
    let (_, head) = pass(to, format!("GET / HTTP/1.1\r\n{lines}\r\n").as_bytes(), &told);
    for (name, expected) in [
        ("x-one", &["1"][..]),
        ("x-two", &["a", "b"]),
        ("x-empty", &[""]),
        ("x-three", &["\u{e4}"]),
        ("te", &["trailers"]),
        ("connection", &[]),
        ("x-hop", &[]),
        ("keep-alive", &[]),
        ("proxy-connection", &[]),
    ] {
        assert_eq!(values(&head, name), expected, "{name}: {head}");
    }
    // And nothing besides.
    assert_eq!(head.matches("\r\n").count(), 1 + 7 + 1, "{head}");

    let chunked = "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let (_, said) = pass(to, chunked.as_bytes(), &told);
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert_eq!(values(head, "transfer-encoding"), ["chunked"]);
    let bytes: String = body.split("\r\n").filter(|line| line.starts_with(['a', 'd'])).collect();
    assert!(bytes == "abcde" && !body.contains("x=y"), "{said}");

    let (answer, head) = pass(
        to,
        "GET /\u{e4}?\u{e4} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".as_bytes(),
        &told,
    );
    assert_eq!(status(&answer), "200");
    assert!(head.starts_with("GET /\u{e4}?\u{e4} HTTP/1.1\r\n"), "{head}");
    off(&stage, &undo).await;
}

async fn requests_whose_targets_could_not_pass_are_left_to_their_server() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    let told = teller(&place.there);
    let params = json!({ "port": PORT, "chaos": { "latency": { "fixed_delay_ms": 1 } } });
    let stage = stage(node, "http", params).await;
    let undo = on(&stage).await;
    let head = b" HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n";
    for (target, later) in [
        (&b"/\xff"[..], "400"),
        (b"/s?q=\"x\"", "400"),
        (b"/s?q=<x>", "400"),
        (b"/<a>", "400"),
        (b"/a`", "400"),
        // As the reference says: without what stands behind it.
        (b"/a#b", "200"),
    ] {
        let odd = [b"GET ", target, head].concat();
        let mut first = connect(&here(), to);
        first.write_all(&odd).unwrap();
        let answer = rest(&first);
        assert!(status(&answer) == "200" && !answer.contains("x-fracas"), "{answer}");
        // Or it were half open, and the worker would wait for it.
        drop(first);
        // Byte by byte.
        assert_eq!(told.recv().unwrap(), odd);
        let mut second = connect(&here(), to);
        second.write_all(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n").unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"ok") {
            let mut byte = [0];
            second.read_exact(&mut byte).unwrap();
            said.push(byte[0]);
        }
        assert!(told.recv().unwrap().starts_with(b"GET / HTTP/1.1\r\n"));
        second.write_all(&odd).unwrap();
        assert_eq!(status(&rest(&second)), later);
        if later == "200" {
            assert!(told.recv().unwrap().starts_with(b"GET /a HTTP/1.1\r\n"));
        }
    }
    off(&stage, &undo).await;
}
