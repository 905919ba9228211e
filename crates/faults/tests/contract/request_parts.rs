//! What the fault on requests does to some of them alone: of a route, of a protocol, with an answer of JSON. Each lands on those that others
//! send, or not at all, and each lets go of what it holds when it ends.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use fracas_core::record::Landed;
use fracas_lab::eventually;
use fracas_linux::namespace::NetNamespace;
use serde_json::{Value, json};

use crate::fixture::{LIMIT, Stage};
use crate::impairments::{MS, also, dose, off, on, place, stage};
use crate::requests::{
    HEADERS, PORT, PREFACE, RST_STREAM, SERVE, SETTINGS, WHOLE, connect, eventually_landed, frame, here, next_frame,
    rest, served, status,
};
use crate::requests_end::{came, has_table};

tests! {
    requests_of_a_route_meet_it_and_others_do_not,
    requests_of_a_pattern_meet_it_and_others_do_not,
    requests_of_a_route_are_a_share_of_all,
    requests_that_a_matcher_takes_must_come,
    requests_with_answers_of_json_find_them_changed,
    requests_of_graphql_fail_lose_data_and_are_late,
    requests_that_are_calls_of_grpc_fail_and_are_cut,
    requests_that_become_websockets_meet_it_by_message,
    requests_of_a_route_that_are_held_pass_when_it_ends,
    requests_whose_answers_are_held_pass_when_it_ends,
    requests_that_are_calls_go_on_unharmed_when_it_ends,
    requests_that_are_calls_of_slow_readers_are_not_cut_when_it_has_ended,
    requests_that_became_websockets_go_on_unharmed_when_it_ends,
    requests_that_wait_for_an_answer_are_not_read_to_their_end,
}

fn params(chaos: &Value) -> Value {
    json!({ "port": PORT, "chaos": chaos })
}

/// The whole answer to a request with this body, which is of JSON.
fn ask(to: SocketAddr, line: &str, headers: &str, body: &str) -> String {
    let mut stream = connect(&here(), to);
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: it\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    rest(&stream)
}

fn get(to: SocketAddr, path: &str) -> String {
    ask(to, &format!("GET {path}"), "", "")
}

/// Why it has not landed, as it is said when somebody measures.
async fn missed(stage: &Stage, undo: &Value) -> String {
    let dose = dose(stage, undo).await;
    match dose.landed {
        Landed::No(why) => why,
        other => panic!("{other:?}: {}", dose.delivered),
    }
}

/// A server in the node's network that does this with each connection.
fn serve(there: &NetNamespace, with: impl Fn(TcpStream) -> std::io::Result<()> + Clone + Send + 'static) {
    let server = there
        .within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)))
        .unwrap();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let (stream, with) = (stream.unwrap(), with.clone());
            // The client may be gone.
            std::thread::spawn(move || drop(with(stream)));
        }
    });
}

/// The head of a request, and its body where it says how long that is.
fn heard(mut stream: &TcpStream) -> std::io::Result<String> {
    let mut said = Vec::new();
    let mut byte = [0];
    while !said.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        said.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&said).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok(head + &String::from_utf8_lossy(&body))
}

/// A server whose answers are this text.
fn json_server(there: &NetNamespace, text: &'static str) {
    serve(there, move |mut stream| {
        let said = heard(&stream)?;
        let kind = if said.contains(" /text") {
            "text/plain"
        } else {
            "application/json"
        };
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        )
    });
}

async fn requests_of_a_route_meet_it_and_others_do_not() {
    let Some((place, node)) = place(&SERVE) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    served(&place, PORT);
    let chaos = json!({ "routes": [
        { "path": "/healthz", "method": "GET",
          "fault_injection": { "fault_types": [{ "type": "http_error", "status_code": 503 }] } },
        { "path": "/{any}", "latency": { "fixed_delay_ms": 80 } },
    ] });
    let stage = stage(node, "http", params(&chaos)).await;
    let undo = on(&stage).await;
    assert_eq!(
        missed(&stage, &undo).await,
        "nobody else opened a connection to port 8080"
    );
    // Of neither: it has no part that is not empty.
    let answer = get(to, "/");
    assert!(answer.ends_with("hello\n") && !answer.contains("x-fracas"), "{answer}");
    let why = missed(&stage, &undo).await;
    assert_eq!(why, "GET /healthz: none of 1 requests of others was for GET /healthz");
    let answer = get(to, "/healthz");
    assert!(
        status(&answer) == "503" && answer.contains("x-fracas-fault: http_error"),
        "{answer}"
    );
    let why = missed(&stage, &undo).await;
    assert_eq!(why, "/{any}: none of 2 requests of others was for /{any}");
    // The second: the first is about another method.
    let began = Instant::now();
    let answer = ask(to, "POST /healthz", "", "");
    assert!(status(&answer) == "200" && began.elapsed() >= 80 * MS, "{answer}");
    assert!(answer.contains("x-fracas-fault: latency"), "{answer}");
    let delivered = eventually_landed(&stage, &undo, true).await;
    for part in [
        "GET /healthz: 100.0% failed, ",
        "1 hits on 1 requests of others, /{any}: 100.0% late, ",
    ] {
        assert!(delivered.contains(part), "{delivered}");
    }
    off(&stage, &undo).await;
    assert_eq!(status(&get(to, "/healthz")), "200");
}

async fn requests_of_a_pattern_meet_it_and_others_do_not() {
    let Some((place, node)) = place(&SERVE) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    served(&place, PORT);
    let error = json!({ "fault_types": [{ "type": "http_error", "status_code": 503 }] });
    let chaos = json!({ "routes": [{ "path": "~/(now|set).*", "fault_injection": error }] });
    let stage = stage(node, "http", params(&chaos)).await;
    let undo = on(&stage).await;
    assert_eq!(status(&get(to, "/healthz?/now")), "200");
    let why = missed(&stage, &undo).await;
    assert_eq!(why, "~/(now|set).*: none of 1 requests of others was for ~/(now|set).*");
    for path in ["/now", "/set?value=7", "/setting"] {
        assert_eq!(status(&get(to, path)), "503", "{path}");
    }
    let delivered = eventually_landed(&stage, &undo, true).await;
    assert!(
        delivered.contains("~/(now|set).*: 100.0% failed, ") && delivered.contains("3 hits on 3 requests of others"),
        "{delivered}"
    );
    off(&stage, &undo).await;
}

async fn requests_of_a_route_are_a_share_of_all() {
    let Some((place, node)) = place(&SERVE) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    served(&place, PORT);
    let chaos = json!({ "routes": [
        { "path": "/healthz", "fault_injection": { "probability": 0.2, "fault_types": [{ "type": "http_error", "status_code": 503 }] } },
    ] });
    let stage = stage(node, "http", params(&chaos)).await;
    let undo = on(&stage).await;
    let hit = |path: &str| -> Vec<u32> {
        let is_hit = |n: &u32| {
            let answer = ask(to, &format!("GET {path}"), &format!("x-request-id: {n}\r\n"), "");
            status(&answer) == "503"
        };
        (0..200).filter(is_hit).collect()
    };
    let (first, second) = (hit("/healthz"), hit("/healthz"));
    // Five standard deviations of 200 times 0.2. The draws are fixed by the seed.
    assert!((12..=68).contains(&first.len()), "{first:?}");
    assert_eq!(second, first);
    assert_eq!(hit("/now"), Vec::<u32>::new());
    let delivered = eventually_landed(&stage, &undo, true).await;
    let hits = format!("{} hits on 400 requests of others", first.len() * 2);
    assert!(delivered.contains(&hits), "{delivered}");
    off(&stage, &undo).await;
}

async fn requests_that_a_matcher_takes_must_come() {
    let Some((place, node)) = place(&SERVE) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    served(&place, PORT);
    let chaos = json!({ "fault_injection": { "http_errors": [503], "http_error_probability": 1,
        "request_matcher": { "headers": [{ "name": "x-tenant", "value": "7" }] } } });
    let stage = stage(node, "http", params(&chaos)).await;
    let undo = on(&stage).await;
    assert_eq!(status(&get(to, "/")), "200");
    let why = missed(&stage, &undo).await;
    assert_eq!(why, "none of 1 requests of others was one that `request_matcher` takes");
    assert_eq!(status(&ask(to, "GET /", "x-tenant: 7\r\n", "")), "503");
    eventually_landed(&stage, &undo, true).await;
    off(&stage, &undo).await;
}

async fn requests_with_answers_of_json_find_them_changed() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    json_server(&place.there, r#"{"a":1, "b":[1, 2]}"#);
    let chaos = json!({ "mutations": { "rules": [
        { "name": "less", "path_pattern": "^/(json|text)", "operations": [{ "type": "delete_field", "field": "a" }] },
    ] } });
    let stage = stage(node, "http", params(&chaos)).await;
    let undo = on(&stage).await;
    // What the rule is not about, and what it could not change.
    for path in ["/other", "/text"] {
        assert!(get(to, path).ends_with(r#"{"a":1, "b":[1, 2]}"#));
    }
    let why = missed(&stage, &undo).await;
    assert_eq!(
        why,
        "the rule `less`: none of 2 requests of others was answered by JSON that the rule `less` is about"
    );
    let answer = get(to, "/json");
    assert!(
        answer.ends_with(r#"{ "b":[1, 2]}"#) && answer.contains("x-fracas-mutation: less"),
        "{answer}"
    );
    let delivered = eventually_landed(&stage, &undo, true).await;
    assert!(
        delivered.contains("the rule `less`: 100.0% harmed, ") && delivered.contains("1 hits on 1 answers of others"),
        "{delivered}"
    );
    off(&stage, &undo).await;
    // A field that no answer has.
    let chaos = json!({ "mutations": { "rules": [{ "name": "less", "operations": [{ "type": "delete_field", "field": "c" }] }] } });
    let stage = also(&stage, "http", params(&chaos));
    let undo = on(&stage).await;
    assert!(get(to, "/json").ends_with(r#"{"a":1, "b":[1, 2]}"#));
    let landed = dose(&stage, &undo).await.landed;
    assert!(
        matches!(&landed, Landed::Unmeasured(why) if why == "the rule `less`: none of 1 answers of others was hit so far"),
        "{landed:?}"
    );
    off(&stage, &undo).await;
}

const QUERY: &str = r#"{"query":"{x y}"}"#;

async fn requests_of_graphql_fail_lose_data_and_are_late() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    json_server(&place.there, r#"{"data":{"x":1,"y":2}}"#);
    let first = stage(node, "http", params(&json!({}))).await;
    for (block, says, lands) in [
        (
            json!({ "error_codes": ["UNAUTHENTICATED"], "error_probability": 1 }),
            r#""code":"UNAUTHENTICATED""#,
            "GraphQL: 100.0% failed, ",
        ),
        (
            json!({ "partial_data_probability": 1 }),
            ":null",
            "GraphQL: 100.0% harmed",
        ),
        (
            json!({ "resolver_latency": true, "resolver_latency_ms": 30 }),
            "x-fracas-fault: graphql_resolver_latency",
            "GraphQL: 100.0% late",
        ),
    ] {
        let stage = also(&first, "http", params(&json!({ "graphql": block })));
        let undo = on(&stage).await;
        assert!(ask(to, "POST /other", "", QUERY).ends_with(r#"{"data":{"x":1,"y":2}}"#));
        let why = missed(&stage, &undo).await;
        assert_eq!(
            why,
            "GraphQL: none of 1 requests of others was one of GraphQL for /graphql"
        );
        let answer = ask(to, "POST /graphql", "", QUERY);
        assert!(answer.contains(says), "{answer}");
        let delivered = eventually_landed(&stage, &undo, true).await;
        assert!(delivered.contains(lands), "{delivered}");
        off(&stage, &undo).await;
    }
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// With its head, so that nobody was asked.
    Head,
    /// With trailers, behind so many bytes.
    Trailers(usize),
    /// By a reset with this code, behind so many.
    Reset(u8, usize),
}

const DATA: u8 = 0;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// A message of gRPC that has two bytes.
const MESSAGE: &[u8] = &[0, 0, 0, 0, 2, 7, 7];

/// A server of gRPC that sends a message to each call as often as it is told to, at once, and then its end.
fn grpc_server(there: &NetNamespace) -> Sender<usize> {
    let (told, tells) = mpsc::channel::<usize>();
    let server = there
        .within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)))
        .unwrap();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            // The client may be gone.
            let _gone = calls(stream.unwrap(), &tells);
        }
    });
    told
}

fn calls(mut stream: TcpStream, tells: &Receiver<usize>) -> std::io::Result<()> {
    stream.read_exact(&mut [0; PREFACE.len()])?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    loop {
        let (kind, flags, id, _) = next_frame(&stream)?;
        if kind == SETTINGS && flags == 0 {
            stream.write_all(&frame(SETTINGS, 1, 0, &[]))?;
        }
        if kind != HEADERS {
            continue;
        }
        // The status 200, and the kind, whose name has the number 31 in the table of HPACK.
        let head = [&[0x88, 0x0f, 0x10, 16][..], b"application/grpc"].concat();
        stream.write_all(&frame(HEADERS, END_HEADERS, id, &head))?;
        while let Ok(count @ 1..) = tells.recv() {
            stream.write_all(&frame(DATA, 0, id, &MESSAGE.repeat(count)))?;
        }
        let trailers = [&[0x00, 11][..], b"grpc-status", &[1], b"0"].concat();
        stream.write_all(&frame(HEADERS, WHOLE, id, &trailers))?;
    }
}

/// Begins a call, and gives its connection.
fn call(to: SocketAddr) -> TcpStream {
    call_with(to, &[])
}

/// The same with these settings.
fn call_with(to: SocketAddr, settings: &[u8]) -> TcpStream {
    let mut client = connect(&here(), to);
    // POST, http, /, an authority, and the kind.
    let asks = [
        &[0x83, 0x86, 0x84, 0x41, 2][..],
        b"it",
        &[0x0f, 0x10, 16],
        b"application/grpc",
    ]
    .concat();
    let begins = [
        PREFACE,
        &frame(SETTINGS, 0, 0, settings),
        &frame(HEADERS, WHOLE, 1, &asks),
    ]
    .concat();
    client.write_all(&begins).unwrap();
    client
}

/// How a call ends; who waits is told of each part that comes.
fn ended(client: &TcpStream, told: &Sender<usize>) -> End {
    let (mut bytes, mut heads) = (0, 0);
    loop {
        let (kind, flags, id, payload) = next_frame(client).unwrap();
        match kind {
            _ if id != 1 => {}
            RST_STREAM => return End::Reset(payload[3], bytes),
            DATA => bytes += payload.len(),
            HEADERS if flags & END_STREAM != 0 && heads == 0 => return End::Head,
            HEADERS if flags & END_STREAM != 0 => return End::Trailers(bytes),
            HEADERS => heads += 1,
            _ => {}
        }
        // Nobody may wait.
        let _unheard = told.send(bytes);
    }
}

async fn requests_that_are_calls_of_grpc_fail_and_are_cut() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    let tell = grpc_server(&place.there);
    let first = stage(node, "http", params(&json!({}))).await;
    let (unheard, _) = mpsc::channel();
    for (block, end, lands) in [
        (
            json!({ "status_codes": [14], "status_code_probability": 1 }),
            End::Head,
            "gRPC: 100.0% failed, ",
        ),
        (
            json!({ "stream_interruption_probability": 1, "interrupt_after_messages": 2 }),
            End::Trailers(2 * MESSAGE.len()),
            "gRPC: 100.0% harmed, ",
        ),
        (
            json!({ "stream_interruption_probability": 1, "interrupt_after_messages": 2, "reset_code": 7 }),
            End::Reset(7, 2 * MESSAGE.len()),
            "gRPC: 100.0% harmed, ",
        ),
    ] {
        let stage = also(&first, "http", params(&json!({ "grpc": block })));
        let undo = on(&stage).await;
        // What is no call comes by HTTP/1.1, of which this server knows nothing.
        assert_eq!(get(to, "/"), "");
        let why = missed(&stage, &undo).await;
        assert_eq!(why, "gRPC: none of 1 requests of others was a call of gRPC");
        if end != End::Head {
            tell.send(5).unwrap();
            tell.send(0).unwrap();
        }
        let client = call(to);
        assert_eq!(ended(&client, &unheard), end, "{}", stage.params);
        drop(client);
        let delivered = eventually_landed(&stage, &undo, true).await;
        assert!(
            delivered.contains(lands) && delivered.contains("1 hits on 1 calls of others"),
            "{delivered}"
        );
        let effect = dose(&stage, &undo).await.effect;
        assert_eq!(
            effect.as_deref(),
            Some("1 of 2 requests of others were hit, in 2 connections")
        );
        off(&stage, &undo).await;
    }
}

/// A server of WebSocket that sends each frame back, without its mask.
fn websocket_server(there: &NetNamespace) {
    serve(there, |mut stream| {
        heard(&stream)?;
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")?;
        loop {
            let (kind, payload) = message(&stream)?;
            stream.write_all(&[&[kind, u8::try_from(payload.len()).unwrap()], &payload[..]].concat())?;
            if kind == CLOSE {
                return Ok(());
            }
        }
    });
}

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

/// The next frame, with what its mask means.
fn message(mut stream: &TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let mut mask = [0; 4];
    if head[1] & 0x80 != 0 {
        stream.read_exact(&mut mask)?;
    }
    let mut payload = vec![0; usize::from(head[1] & 0x7f)];
    stream.read_exact(&mut payload)?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Ok((head[0], payload))
}

fn open(to: SocketAddr) -> TcpStream {
    let mut stream = connect(&here(), to);
    stream
        .write_all(b"GET /chat HTTP/1.1\r\nHost: it\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .unwrap();
    let head = heard(&stream).unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream
}

/// Sends a message with the mask 0, which changes nothing.
fn says(mut stream: &TcpStream, kind: u8, words: &str) {
    let length = 0x80 | u8::try_from(words.len()).unwrap();
    let frame = [&[kind, length, 0, 0, 0, 0], words.as_bytes()].concat();
    stream.write_all(&frame).unwrap();
}

fn hears(stream: &TcpStream) -> (u8, String) {
    let (kind, payload) = message(stream).unwrap();
    (kind, String::from_utf8_lossy(&payload).into_owned())
}

async fn requests_that_become_websockets_meet_it_by_message() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    websocket_server(&place.there);
    let first = stage(node, "http", params(&json!({}))).await;
    let closed: fn(&TcpStream) = |stream| {
        let (kind, payload) = message(stream).unwrap();
        assert_eq!((kind, &payload[..2]), (CLOSE, &1011_u16.to_be_bytes()[..]));
    };
    let corrupted: fn(&TcpStream) = |stream| {
        let (kind, words) = hears(stream);
        assert!(kind == TEXT && words.len() == 5 && words != "hello", "{words}");
    };
    let dropped: fn(&TcpStream) = |stream| {
        says(stream, CLOSE, "");
        assert_eq!(hears(stream).0, CLOSE);
    };
    let late: fn(&TcpStream) = |stream| {
        let began = Instant::now();
        assert_eq!(hears(stream), (TEXT, "hello".to_owned()));
        // Both ways, the first from before it was looked at.
        assert!(began.elapsed() >= 70 * MS, "{:?}", began.elapsed());
    };
    for (block, check, lands) in [
        (
            json!({ "close_codes": [1011], "close_probability": 1 }),
            closed,
            "WebSocket: 100.0% failed, ",
        ),
        (
            json!({ "message_drop_probability": 1 }),
            dropped,
            "WebSocket: 100.0% dropped, ",
        ),
        (
            json!({ "message_corruption_probability": 1 }),
            corrupted,
            "WebSocket: 100.0% harmed, ",
        ),
        (json!({ "message_delay_ms": 50 }), late, "WebSocket: 100.0% late, "),
    ] {
        let stage = also(&first, "http", params(&json!({ "websocket": block })));
        let undo = on(&stage).await;
        let stream = open(to);
        let why = missed(&stage, &undo).await;
        assert_eq!(
            why,
            "WebSocket: none of 1 requests of others was one behind which messages of WebSocket came"
        );
        says(&stream, TEXT, "hello");
        check(&stream);
        drop(stream);
        let delivered = eventually_landed(&stage, &undo, true).await;
        assert!(delivered.contains(lands), "{delivered}");
        // Whatever its messages meet, it is one.
        let effect = dose(&stage, &undo).await.effect;
        assert_eq!(
            effect.as_deref(),
            Some("1 of 1 requests of others were hit, in 1 connections")
        );
        off(&stage, &undo).await;
    }
}

async fn requests_of_a_route_that_are_held_pass_when_it_ends() {
    let Some((place, node)) = place(&SERVE) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    served(&place, PORT);
    let chaos = json!({ "routes": [{ "path": "/healthz", "latency": { "fixed_delay_ms": 60_000 },
        "fault_injection": { "fault_types": [{ "type": "http_error", "status_code": 500 }] } }] });
    let stage = stage(node, "http", params(&chaos)).await;
    let undo = on(&stage).await;
    let asked = std::thread::spawn(move || get(to, "/healthz"));
    came(to, &undo, 1);
    let began = Instant::now();
    off(&stage, &undo).await;
    let answer = asked.join().unwrap();
    assert_eq!(status(&answer), "200", "{answer}");
    assert!(began.elapsed() < 5000 * MS, "{:?}", began.elapsed());
}

/// Does this in the moment in which there is no table, and gives what comes of it.
fn afterwards<T: Send + 'static>(
    there: &NetNamespace,
    does: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    let there = there.within(NetNamespace::ours).unwrap();
    std::thread::spawn(move || {
        eventually(LIMIT, "there is no table", || !has_table(&there));
        does()
    })
}

async fn requests_whose_answers_are_held_pass_when_it_ends() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    // The second half of its answers comes when it is told to.
    let (tell, told) = mpsc::channel::<()>();
    let told = std::sync::Arc::new(std::sync::Mutex::new(told));
    serve(&place.there, move |mut stream| {
        heard(&stream)?;
        let text = r#"{"data":{"x":1,"y":2}}"#;
        let (one, two) = text.split_at(9);
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{one}",
            text.len()
        )?;
        // Gone with the test.
        let _told = told.lock().unwrap().recv();
        stream.write_all(two.as_bytes())
    });
    let first = stage(node, "http", params(&json!({}))).await;
    let graphql = json!({ "graphql": { "partial_data_probability": 1 } });
    let late = json!({ "graphql": { "partial_data_probability": 1, "resolver_latency": true, "resolver_latency_ms": 60_000 } });
    let rule = json!({ "mutations": { "rules": [{ "name": "r", "operations": [{ "type": "delete_field", "field": "data" }] }] } });
    for (chaos, is_whole) in [(rule.clone(), false), (graphql, false), (late, true)] {
        let stage = also(&first, "http", params(&chaos));
        let undo = on(&stage).await;
        let asked = std::thread::spawn(move || ask(to, "POST /graphql", "", QUERY));
        came(to, &undo, 1);
        if is_whole {
            tell.send(()).unwrap();
        }
        let told = tell.clone();
        let tells = afterwards(&place.there, move || {
            if !is_whole {
                told.send(()).unwrap();
            }
        });
        let began = Instant::now();
        off(&stage, &undo).await;
        tells.join().unwrap();
        let answer = asked.join().unwrap();
        assert!(
            answer.ends_with(r#"{"data":{"x":1,"y":2}}"#),
            "{}: {answer}",
            stage.params
        );
        assert!(began.elapsed() < 4000 * MS, "{}: {:?}", stage.params, began.elapsed());
    }
    // A rule does not hold what does not come for longer than this, also while it is on.
    let stage = also(&first, "http", params(&rule));
    let undo = on(&stage).await;
    let began = Instant::now();
    let mut slow = connect(&here(), to);
    slow.write_all(b"GET / HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n")
        .unwrap();
    slow.read_exact(&mut [0]).unwrap();
    let took = began.elapsed();
    assert!((4900 * MS..8000 * MS).contains(&took), "{took:?}");
    tell.send(()).unwrap();
    assert!(rest(&slow).ends_with(r#""y":2}}"#));
    off(&stage, &undo).await;
}

async fn requests_that_are_calls_go_on_unharmed_when_it_ends() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    let tell = grpc_server(&place.there);
    let chaos = json!({ "grpc": { "stream_interruption_probability": 1, "interrupt_after_messages": 3 } });
    let stage = stage(node, "http", params(&chaos)).await;
    let undo = on(&stage).await;
    tell.send(1).unwrap();
    let client = call(to);
    let (told, parts) = mpsc::channel();
    let ends = std::thread::spawn(move || ended(&client, &told));
    // One of three has come.
    while parts.recv().unwrap() < MESSAGE.len() {}
    let tells = afterwards(&place.there, move || {
        tell.send(9).unwrap();
        tell.send(0).unwrap();
    });
    off(&stage, &undo).await;
    tells.join().unwrap();
    assert_eq!(ends.join().unwrap(), End::Trailers(10 * MESSAGE.len()));
}

/// How many bytes of a stream are taken before the client says more (RFC 9113, 6.5.2), and that it takes 1000 more.
const INITIAL_WINDOW_SIZE: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const MORE: [u8; 4] = 1000_u32.to_be_bytes();

async fn requests_that_are_calls_of_slow_readers_are_not_cut_when_it_has_ended() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    let tell = grpc_server(&place.there);
    let first = stage(node, "http", params(&json!({}))).await;
    let cuts = json!({ "stream_interruption_probability": 1, "interrupt_after_messages": 2 });
    let mut resets = cuts.clone();
    resets["reset_code"] = json!(7);
    // Its window ends within the last message that is to pass, so that the end waits for the rest.
    let window = 2 * MESSAGE.len() - 1;
    for block in [cuts, resets] {
        let stage = also(&first, "http", params(&json!({ "grpc": block })));
        let undo = on(&stage).await;
        tell.send(5).unwrap();
        tell.send(0).unwrap();
        let client = call_with(to, &[0, INITIAL_WINDOW_SIZE, 0, 0, 0, u8::try_from(window).unwrap()]);
        let mut says = client.try_clone().unwrap();
        let (told, parts) = mpsc::channel();
        let ends = std::thread::spawn(move || ended(&client, &told));
        while parts.recv().unwrap() < window {}
        let opens = afterwards(&place.there, move || {
            says.write_all(&frame(WINDOW_UPDATE, 0, 1, &MORE)).unwrap();
        });
        off(&stage, &undo).await;
        opens.join().unwrap();
        let whole = End::Trailers(5 * MESSAGE.len());
        assert_eq!(ends.join().unwrap(), whole, "{}", stage.params);
    }
}

async fn requests_that_became_websockets_go_on_unharmed_when_it_ends() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    websocket_server(&place.there);
    let first = stage(node, "http", params(&json!({}))).await;
    for block in [
        json!({ "message_drop_probability": 1 }),
        json!({ "message_corruption_probability": 1 }),
        json!({ "message_delay_ms": 60_000 }),
    ] {
        let is_held = block.get("message_delay_ms").is_some();
        let stage = also(&first, "http", params(&json!({ "websocket": block })));
        let undo = on(&stage).await;
        let stream = open(to);
        says(&stream, TEXT, "during");
        let after = afterwards(&place.there, move || {
            says(&stream, TEXT, "after");
            let mut heard = vec![hears(&stream).1];
            while heard.last().is_some_and(|words| words != "after") {
                heard.push(hears(&stream).1);
            }
            says(&stream, CLOSE, "");
            assert_eq!(hears(&stream).0, CLOSE);
            heard
        });
        let began = Instant::now();
        off(&stage, &undo).await;
        let heard = after.join().unwrap();
        assert!(began.elapsed() < 5000 * MS, "{}: {:?}", stage.params, began.elapsed());
        if is_held {
            assert_eq!(heard, ["during", "after"]);
        }
    }
}

async fn requests_that_wait_for_an_answer_are_not_read_to_their_end() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    // It answers when it has the head, as to whom wants to know first whether to go on, and then takes the rest.
    serve(&place.there, |mut stream| {
        heard(&stream)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    });
    let chaos = json!({ "mutations": { "rules": [
        { "name": "r", "method_match": "^a$", "operations": [{ "type": "delete_field", "field": "a" }] },
    ] } });
    let stage = stage(node, "http", params(&chaos)).await;
    let undo = on(&stage).await;
    // One may be a call that is not yet all there: it is waited for, but not for ever. The other is none.
    for (kind, long) in [
        ("application/json", 4900 * MS..8000 * MS),
        ("application/grpc+json", Duration::ZERO..4000 * MS),
        ("application/connect+json", Duration::ZERO..4000 * MS),
    ] {
        let began = Instant::now();
        let mut client = connect(&here(), to);
        write!(
            client,
            "POST / HTTP/1.1\r\nHost: it\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n"
        )
        .unwrap();
        let head = heard(&client).unwrap();
        let took = began.elapsed();
        assert!(
            head.starts_with("HTTP/1.1 200") && head.ends_with("ok"),
            "{kind}: {head}"
        );
        assert!(long.contains(&took), "{kind}: {took:?}");
    }
    off(&stage, &undo).await;
}
