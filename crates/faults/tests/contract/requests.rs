//! What the fault on requests really does, seen by requests of the test's own.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use fracas_core::record::Landed;
use fracas_faults::find;
use fracas_lab::{TestProcess, eventually};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use fracas_proxy::{Order, Proxy};
use serde_json::{Value, json};

use crate::fixture::{LIMIT, Stage, on_process};
use crate::impairments::{MS, Place, also, dose, off, on, place, stage};
use crate::names::{program, refused};

tests! {
    requests_meet_it_from_everywhere_and_connections_that_were_open_live,
    requests_meet_the_same_with_the_same_seed,
    each_block_lands_and_says_what_it_did,
    requests_that_nobody_makes_are_not_met,
    two_in_front_of_one_port_are_a_conflict_and_of_two_compose,
    requests_also_meet_faults_on_packets,
    what_is_no_request_passes,
    a_port_without_a_program_ends_connections,
    requests_come_as_they_were_sent,
    requests_are_told_from_other_protocols,
    requests_wait_for_no_server_that_speaks_first,
    requests_of_http2_fail_alone,
    requests_of_http2_pass_and_fail,
    http_refuses_where_it_would_lose_its_way,
}

pub const PORT: u16 = 8080;
/// A server at all addresses, that also asks itself.
pub const CALL: [&str; 3] = ["call", "20", "8080"];
pub const SERVE: [&str; 3] = ["serve", "8080", "::"];

pub fn all_503() -> Value {
    json!({ "port": PORT, "chaos": { "fault_injection": { "http_errors": [503], "http_error_probability": 1 } } })
}

pub fn connect(from: &NetNamespace, to: SocketAddr) -> TcpStream {
    let stream = from.within(|| TcpStream::connect_timeout(&to, LIMIT)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// All that is said, up to the end of the connection.
pub fn rest(mut stream: &TcpStream) -> String {
    let mut said = Vec::new();
    // A reset ends it as well.
    let _reset = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

/// The whole answer to a request with these header lines.
pub fn get(from: &NetNamespace, to: SocketAddr, headers: &str) -> String {
    let mut stream = connect(from, to);
    write!(
        stream,
        "GET /healthz HTTP/1.1\r\nHost: it\r\n{headers}Connection: close\r\n\r\n"
    )
    .unwrap();
    rest(&stream)
}

pub fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or_default()
}

pub fn here() -> NetNamespace {
    NetNamespace::ours().unwrap()
}

/// Where the node is reached from outside, and from inside.
fn ways(place: &Place, own: Ipv4Addr) -> Vec<(NetNamespace, IpAddr)> {
    let inside = |to: IpAddr| (place.there.within(NetNamespace::ours).unwrap(), to);
    vec![
        (here(), own.into()),
        inside(own.into()),
        inside(Ipv4Addr::LOCALHOST.into()),
        inside(Ipv6Addr::LOCALHOST.into()),
    ]
}

pub fn served(place: &Place, port: u16) {
    eventually(LIMIT, "it serves", || {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        place.there.within(|| Ok(TcpStream::connect(to).is_ok())).unwrap()
    });
}

async fn requests_meet_it_from_everywhere_and_connections_that_were_open_live() {
    let Some((place, node)) = place(&CALL) else { return };
    let own = node.ports()[0].address;
    served(&place, PORT);
    let all = ways(&place, own);
    let open: Vec<TcpStream> = all
        .iter()
        .map(|(from, to)| {
            let mut stream = connect(from, SocketAddr::new(*to, PORT));
            stream.write_all(b"GET /healthz HTTP/1.1\r\nx-before: 1\r\n").unwrap();
            stream
        })
        .collect();
    // The server has four threads: one connection of the test's for each.
    let stage = stage(node, "http", all_503()).await;
    let undo = on(&stage).await;
    for (from, to) in &all {
        let answer = get(from, SocketAddr::new(*to, PORT), "");
        assert_eq!(status(&answer), "503", "{to}: {answer}");
        assert!(answer.contains("x-fracas-fault: http_error"), "{answer}");
    }
    for mut stream in &open {
        stream.write_all(b"x-during: 1\r\n").unwrap();
    }
    let dose = dose(&stage, &undo).await;
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    assert!(
        dose.delivered.contains("100.0% failed, 3 of 3 probes") && dose.delivered.contains("another port answers"),
        "{dose:?}"
    );
    off(&stage, &undo).await;
    for mut stream in &open {
        stream.write_all(b"x-after: 1\r\n\r\n").unwrap();
        let answer = rest(stream);
        assert!(status(&answer) == "200" && answer.ends_with("ok\n"), "{answer}");
    }
    for (from, to) in &all {
        let answer = get(from, SocketAddr::new(*to, PORT), "");
        assert_eq!(status(&answer), "200", "{answer}");
    }
}

/// Which of many requests by name are hit.
fn hit(from: &NetNamespace, to: SocketAddr) -> BTreeSet<u32> {
    let is_hit = |n: &u32| status(&get(from, to, &format!("x-request-id: {n}\r\n"))) == "503";
    (0..200).filter(is_hit).collect()
}

async fn requests_meet_the_same_with_the_same_seed() {
    let Some((place, node)) = place(&CALL) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    served(&place, PORT);
    let mut params = all_503();
    params["chaos"]["fault_injection"]["http_error_probability"] = json!(0.2);
    let stage = stage(node, "http", params.clone()).await;
    let undo = on(&stage).await;
    let first = hit(&here(), to);
    let dose = dose(&stage, &undo).await;
    assert!(!matches!(dose.landed, Landed::No(_)), "{dose:?}");
    off(&stage, &undo).await;
    assert!((15..70).contains(&first.len()), "{first:?}");
    let again = also(&stage, "http", params.clone());
    let undo = on(&again).await;
    assert_eq!(hit(&here(), to), first);
    off(&again, &undo).await;
    let mut other = also(&stage, "http", params);
    other.cx.seed = fracas_core::seed::Seed(8);
    let undo = on(&other).await;
    assert_ne!(hit(&here(), to), first);
    off(&other, &undo).await;
    assert_eq!(hit(&here(), to), BTreeSet::new());
}

async fn each_block_lands_and_says_what_it_did() {
    let Some((place, node)) = place(&CALL) else { return };
    served(&place, PORT);
    let first = stage(node, "http", all_503()).await;
    for (chaos, says, lands) in [
        (
            json!({ "latency": { "fixed_delay_ms": 80 } }),
            "100.0% late, 3 of 3 probes",
            true,
        ),
        (
            json!({ "latency": { "random_delay_range_ms": [40, 90], "jitter_percent": 5 } }),
            "100.0% late",
            true,
        ),
        (
            json!({ "latency": { "fixed_delay_ms": 60, "probability": 0.5 } }),
            "% late",
            true,
        ),
        (
            json!({ "latency": { "distribution": { "exponential": { "lambda": 0.02 } } } }),
            "% late",
            true,
        ),
        (
            json!({ "fault_injection": { "http_errors": [], "connection_errors": true, "connection_error_probability": 1,
                "connection_error_kind": "tcp_reset" } }),
            "100.0% failed, 3 of 3 probes",
            true,
        ),
        (
            json!({ "fault_injection": { "http_errors": [], "timeout_errors": true, "timeout_ms": 100, "timeout_probability": 1 } }),
            "100.0% failed, 3 of 3 probes",
            true,
        ),
        (
            json!({ "fault_injection": { "http_errors": [], "partial_responses": true, "partial_response_probability": 1 } }),
            "100.0% harmed, 3 of 3 probes",
            true,
        ),
        (
            json!({ "fault_injection": { "http_errors": [], "payload_corruption": true, "payload_corruption_probability": 1,
                "corruption_type": "bit_flip" } }),
            "100.0% harmed, 3 of 3 probes",
            true,
        ),
        (
            json!({ "traffic_shaping": { "packet_loss_percent": 100 } }),
            "100.0% failed",
            true,
        ),
        (
            json!({ "rate_limit": { "requests_per_second": 1, "burst_size": 1 } }),
            "the worker answers",
            false,
        ),
    ] {
        let stage = also(&first, "http", json!({ "port": PORT, "chaos": chaos }));
        let undo = on(&stage).await;
        // Somebody of its own must have been met.
        let landed = eventually_landed(&stage, &undo, lands).await;
        assert!(landed.contains(says), "{}: {landed}", stage.params);
        off(&stage, &undo).await;
    }
}

/// Measures until others were met as well.
pub async fn eventually_landed(stage: &Stage, undo: &Value, lands: bool) -> String {
    let began = Instant::now();
    loop {
        let dose = dose(stage, undo).await;
        let done = match &dose.landed {
            Landed::Yes => lands,
            Landed::Unmeasured(why) => !lands && why.contains("what counts requests is not tried"),
            Landed::No(_) => false,
        };
        if done {
            return dose.delivered;
        }
        assert!(began.elapsed() < LIMIT, "{}: {dose:?}", stage.params);
    }
}

async fn requests_that_nobody_makes_are_not_met() {
    let Some((place, node)) = place(&SERVE) else { return };
    served(&place, PORT);
    let stage = stage(node, "http", all_503()).await;
    let undo = on(&stage).await;
    for _ in 0..2 {
        let dose = dose(&stage, &undo).await;
        let Landed::No(why) = &dose.landed else {
            panic!("{dose:?}")
        };
        assert_eq!(why, "nobody else opened a connection to port 8080");
        assert!(dose.delivered.contains("100.0% failed"), "{dose:?}");
    }
    let _silent = connect(&place.there, SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    let dose = dose(&stage, &undo).await;
    let Landed::No(why) = &dose.landed else {
        panic!("{dose:?}")
    };
    assert_eq!(why, "no request came by 1 connections to port 8080");
    off(&stage, &undo).await;
}

async fn two_in_front_of_one_port_are_a_conflict_and_of_two_compose() {
    let Some((place, node)) = place(&CALL) else { return };
    let own = node.ports()[0].address;
    served(&place, PORT);
    let first = stage(node, "http", all_503()).await;
    let same = also(&first, "http", all_503());
    let mut params = all_503();
    params["port"] = json!(PORT + 1);
    let second = also(&first, "http", params);
    let plan = |stage: &Stage| {
        let (params, target, cx) = (stage.params.clone(), stage.target.clone(), stage.cx.clone());
        async move { (find("http").unwrap().plan)(&params, &target, &cx).await.unwrap() }
    };
    let keys = |undo: &Value| (first.entry.resources)(undo).unwrap()[0].key.clone();
    let (a, b, c) = (plan(&first).await, plan(&same).await, plan(&second).await);
    assert_eq!(keys(&a), keys(&b));
    assert_ne!(keys(&a), keys(&c));
    // A second server, at the other port.
    let server = place
        .there
        .within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT + 1)))
        .unwrap();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            // The client may be gone.
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    let (one, two) = (on(&first).await, on(&second).await);
    for port in [PORT, PORT + 1] {
        assert_eq!(
            status(&get(&here(), SocketAddr::from((own, port)), "")),
            "503",
            "{port}"
        );
    }
    off(&first, &one).await;
    assert_eq!(status(&get(&here(), SocketAddr::from((own, PORT)), "")), "200");
    assert_eq!(status(&get(&here(), SocketAddr::from((own, PORT + 1)), "")), "503");
    off(&second, &two).await;
}

async fn requests_also_meet_faults_on_packets() {
    let Some((place, node)) = place(&CALL) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    served(&place, PORT);
    let late = stage(node, "delay", json!({ "mean": "60ms" })).await;
    let requests = also(&late, "http", all_503());
    let (one, two) = (on(&late).await, on(&requests).await);
    // The answers to the connection and to the request, once each; the quickest of several, where the machine has something else to do.
    let takes = |_| {
        let began = Instant::now();
        let answer = get(&here(), to, "");
        assert_eq!(status(&answer), "503", "{answer}");
        began.elapsed()
    };
    let took = (0..5).map(takes).min().unwrap();
    assert!(took >= 120 * MS && took < 240 * MS, "{took:?}");
    assert_eq!(dose(&requests, &two).await.landed, Landed::Yes);
    off(&late, &one).await;
    assert_eq!(status(&get(&here(), to, "")), "503");
    off(&requests, &two).await;
    assert_eq!(status(&get(&here(), to, "")), "200");
}

/// A server in the node's network that says back what it hears.
pub fn echo(there: &NetNamespace, port: u16) {
    let server = there
        .within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)))
        .unwrap();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut part = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut part) {
                    if stream.write_all(&part[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

async fn what_is_no_request_passes() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    echo(&place.there, PORT);
    let stage = stage(node, "http", all_503()).await;
    let undo = on(&stage).await;
    let mut stream = connect(&here(), to);
    // As a client of TLS begins, and then whatever it likes.
    let hello: Vec<u8> = [&[0x16, 3, 1, 0, 5][..], &vec![7; 100_000]].concat();
    let mut writing = stream.try_clone().unwrap();
    let sent = hello.clone();
    let writer = std::thread::spawn(move || writing.write_all(&sent).unwrap());
    let mut heard = vec![0; hello.len()];
    stream.read_exact(&mut heard).unwrap();
    writer.join().unwrap();
    assert!(heard == hello, "another one came back");
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "its end passes, too");
    // Who calls the worker's own socket is let go.
    let own: Vec<u16> = listening(&place.there)
        .into_iter()
        .filter(|port| *port != PORT)
        .collect();
    assert!(!own.is_empty());
    for port in own {
        let mut stranger = connect(&place.there, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        // It may be over already.
        let _over = stranger.write_all(b"GET / HTTP/1.1\r\nHost: it\r\n\r\n");
        assert_eq!(rest(&stranger), "");
    }
    off(&stage, &undo).await;
    assert_eq!(listening(&place.there), [PORT]);
}

/// The ports of IPv4 at which somebody listens in a namespace, and of IPv6 those of all addresses.
pub fn listening(there: &NetNamespace) -> Vec<u16> {
    let read = |file: &str| {
        there
            .within(|| std::fs::read_to_string(format!("/proc/thread-self/net/{file}")))
            .unwrap()
    };
    let text = read("tcp") + &read("tcp6");
    let ports = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, _, state) = (words.next()?, words.next()?, words.next()?);
        let loopback_of_six = local.starts_with("00000000000000000000000001000000");
        let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
        (state == "0A" && !loopback_of_six).then_some(port)
    });
    let ports: BTreeSet<u16> = ports.collect();
    ports.into_iter().collect()
}

async fn a_port_without_a_program_ends_connections() {
    let Some((_place, node)) = place(&["sleep"]) else {
        return;
    };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    let params = json!({ "port": PORT, "chaos": { "latency": { "fixed_delay_ms": 1 } } });
    let stage = stage(node, "http", params).await;
    let undo = on(&stage).await;
    let mut stream = connect(&here(), to);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: it\r\n\r\n").unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    off(&stage, &undo).await;
    let refused = TcpStream::connect_timeout(&to, LIMIT).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

async fn requests_come_as_they_were_sent() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let own = node.ports()[0].address;
    let to = SocketAddr::from((own, PORT));
    let server = place
        .there
        .within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)))
        .unwrap();
    let heard = std::thread::spawn(move || {
        let (mut stream, from) = server.accept().unwrap();
        let mut said = vec![0; 4096];
        let mut length = 0;
        while !said[..length].ends_with(b"the body") {
            length += stream.read(&mut said[length..]).unwrap();
        }
        stream
            .write_all(b"HTTP/1.1 201 Created\r\nX-Own: yes\r\nContent-Length: 4\r\n\r\ndone")
            .unwrap();
        (String::from_utf8_lossy(&said[..length]).into_owned(), from)
    });
    let params = json!({ "port": PORT, "chaos": { "latency": { "fixed_delay_ms": 1 } } });
    let stage = stage(node, "http", params).await;
    let undo = on(&stage).await;
    let mut stream = connect(&here(), to);
    stream
        .write_all(b"POST /a/../b?c=%20 HTTP/1.1\r\nHost: shop.example:1234\r\nX-ODD:  v\r\nContent-Length: 8\r\nConnection: close\r\n\r\nthe body")
        .unwrap();
    let answer = rest(&stream);
    let (head, from) = heard.join().unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 201") && answer.ends_with("done"),
        "{answer}"
    );
    assert!(answer.contains("x-fracas-latency-ms: 1.000"), "{answer}");
    assert!(answer.contains("X-Own: yes\r\n"), "{answer}");
    let lower = head.to_ascii_lowercase();
    assert!(head.starts_with("POST /a/../b?c=%20 HTTP/1.1\r\n"), "{head}");
    // As they were written, but for the blanks before a value.
    assert!(
        head.contains("Host: shop.example:1234\r\n") && head.contains("\r\nX-ODD: v\r\n"),
        "{head}"
    );
    // What is about its client's connection is not passed on.
    assert!(!lower.contains("connection: close"), "{head}");
    assert!(
        !lower.contains("via") && !lower.contains("forwarded") && !lower.contains("fracas"),
        "{head}"
    );
    // By whom the client called, which is the target itself.
    assert_eq!(from.ip().to_canonical(), IpAddr::from(own));
    off(&stage, &undo).await;
}

async fn requests_are_told_from_other_protocols() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    echo(&place.there, PORT);
    let stage = stage(node, "http", all_503()).await;
    let undo = on(&stage).await;
    for words in [
        "*1\r\n$4\r\nPING\r\n",
        "get a\r\n",
        "SSH-2.0-it and more\r\n",
        "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1\r\n\r\n",
        "AMQP\0\0\u{9}\u{1}",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    ] {
        let mut stream = connect(&here(), to);
        stream.write_all(words.as_bytes()).unwrap();
        let mut heard = vec![0; words.len()];
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(String::from_utf8_lossy(&heard), words);
    }
    // A half of a line is no other protocol, and an end is passed on with it.
    let mut half = connect(&here(), to);
    half.write_all(b"GET /").unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(rest(&half), "GET /");
    assert_eq!(status(&get(&here(), to, "")), "503");
    off(&stage, &undo).await;
}

async fn requests_wait_for_no_server_that_speaks_first() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    let server = place
        .there
        .within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)))
        .unwrap();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                // The client may be gone.
                if stream.write_all(b"220 it\r\n").is_ok() {
                    let mut said = [0; 6];
                    let _gone = stream.read_exact(&mut said).and_then(|()| stream.write_all(&said));
                }
            });
        }
    });
    let stage = stage(node, "http", all_503()).await;
    let undo = on(&stage).await;
    let mut stream = connect(&here(), to);
    let mut heard = [0; 8];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"220 it\r\n");
    stream.write_all(b"QUIT\r\n").unwrap();
    assert_eq!(rest(&stream), "QUIT\r\n");
    // Or it were half open, and the worker would wait for it.
    drop(stream);
    assert_eq!(status(&get(&here(), to, "")), "503");
    off(&stage, &undo).await;
}

/// A frame of HTTP/2 (RFC 9113, 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The kind, the flags, the stream and the payload of the next one.
pub fn next_frame(mut stream: &TcpStream) -> std::io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut payload)?;
    let id = u32::from_be_bytes(head[5..9].try_into().unwrap());
    Ok((head[3], head[4], id, payload))
}

pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
/// `END_STREAM` and `END_HEADERS`.
pub const WHOLE: u8 = 5;
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `REFUSED_STREAM`: the request may be sent again.
const REFUSED: u32 = 7;

async fn requests_of_http2_fail_alone() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    let server = place
        .there
        .within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)))
        .unwrap();
    // It refuses the first stream when it has both, and then answers the second one.
    std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        stream.read_exact(&mut [0; PREFACE.len()]).unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
        let mut asked = Vec::new();
        while let Ok((kind, _, id, _)) = next_frame(&stream) {
            if kind == HEADERS {
                asked.push(id);
            }
            if let ([first, second], HEADERS) = (asked.as_slice(), kind) {
                let refused = frame(RST_STREAM, 0, *first, &REFUSED.to_be_bytes());
                // The status 200, by its number in the table of HPACK.
                let answer = frame(HEADERS, WHOLE, *second, &[0x88]);
                stream.write_all(&[refused, answer].concat()).unwrap();
            }
        }
    });
    let params = json!({ "port": PORT, "chaos": { "latency": { "fixed_delay_ms": 1 } } });
    let stage = stage(node, "http", params).await;
    let undo = on(&stage).await;
    let mut client = connect(&here(), to);
    // GET, http, /, and an authority.
    let asks = [&[0x82, 0x86, 0x84, 0x41, 2][..], b"it"].concat();
    let both = [frame(HEADERS, WHOLE, 1, &asks), frame(HEADERS, WHOLE, 3, &asks)].concat();
    client
        .write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &both].concat())
        .unwrap();
    let mut ends = Vec::new();
    while ends.len() < 2 {
        let (kind, _, id, payload) = next_frame(&client).unwrap();
        match kind {
            RST_STREAM => ends.push((kind, payload)),
            HEADERS => ends.push((kind, Vec::new())),
            _ => assert!(id == 0 || kind == 0, "a frame {kind} of stream {id}"),
        }
    }
    ends.sort();
    assert_eq!(
        ends,
        [(HEADERS, Vec::new()), (RST_STREAM, REFUSED.to_be_bytes().to_vec())]
    );
    drop(client);
    off(&stage, &undo).await;
}

async fn requests_of_http2_pass_and_fail() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    // A server of both versions: a proxy that answers itself.
    let runtime = tokio::runtime::Handle::current();
    let server = place.there.within(|| {
        let _entered = runtime.enter();
        let order = Order::new(to, fracas_core::seed::Seed(1));
        Proxy::bind(order).map_err(std::io::Error::other)
    });
    let serving = tokio::spawn(server.unwrap().serve(std::future::pending(), std::future::pending()));
    let url = format!("http://{to}/some/path");
    let curl = |version: &'static str| {
        let (url, there) = (url.clone(), place.there.within(NetNamespace::ours).unwrap());
        async move {
            let shown = [
                "-s",
                version,
                "-d",
                "body",
                "-w",
                "\n%{http_version} %{http_code}",
                &url,
            ];
            tokio::task::spawn_blocking({
                let shown = shown.map(str::to_owned);
                move || program(&there, "curl", &shown.each_ref().map(String::as_str))
            })
            .await
            .unwrap()
        }
    };
    let late = json!({ "port": PORT, "chaos": { "latency": { "fixed_delay_ms": 20 } } });
    let stage = stage(node, "http", late).await;
    let undo = on(&stage).await;
    for (version, number) in [("--http2-prior-knowledge", "2"), ("--http1.1", "1.1")] {
        let answer = curl(version).await;
        let expected = r#"{"method":"POST","path":"/some/path","body":4}"#;
        assert_eq!(answer, format!("{expected}\n{number} 200"));
    }
    // On a machine that has something else to do an answer may be later than that for a moment.
    eventually_landed(&stage, &undo, true).await;
    let dose = dose(&stage, &undo).await;
    assert_eq!(
        dose.effect.as_deref(),
        Some("2 of 2 requests of others were hit, in 2 connections")
    );
    off(&stage, &undo).await;
    let failing = also(&stage, "http", all_503());
    let undo = on(&failing).await;
    for (version, number) in [("--http2-prior-knowledge", "2"), ("--http1.1", "1.1")] {
        let answer = curl(version).await;
        assert!(answer.ends_with(&format!("\n{number} 503")), "{answer}");
    }
    off(&failing, &undo).await;
    serving.abort();
}

async fn http_refuses_where_it_would_lose_its_way() {
    let process = TestProcess::run(["sleep"]).unwrap();
    let alone = on_process(find("http").unwrap(), all_503(), process, &[]).await;
    let why = refused(&alone).await;
    assert!(why.contains("shares the machine's network"), "{why}");
    let Some((place, node)) = place(&["sleep"]) else { return };
    let stage = stage(node, "http", all_503()).await;
    let mut netlink = place.there.within(Netlink::route).unwrap();
    let links = netlink.links().unwrap();
    let loopback = links.iter().find(|link| link.loopback).unwrap().index;
    netlink.set_up(loopback, false).unwrap();
    program(&place.there, "ip", &["addr", "flush", "dev", "lo"]);
    let why = refused(&stage).await;
    assert!(why.contains("its loopback device is down"), "{why}");
    netlink.set_up(loopback, true).unwrap();
    program(
        &place.there,
        "ip",
        &["rule", "add", "fwmark", "0x100000", "lookup", "100"],
    );
    let why = refused(&stage).await;
    assert!(why.contains("its routes are chosen by marks"), "{why}");
    program(
        &place.there,
        "ip",
        &["rule", "del", "fwmark", "0x100000", "lookup", "100"],
    );
    let undo = on(&stage).await;
    off(&stage, &undo).await;
}
