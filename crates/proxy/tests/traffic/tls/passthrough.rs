//! Connections that are passed through by the name that they call.

use std::time::{Duration, Instant};

use fracas_core::chaos::Predefined;
use fracas_linux::sockets::unacknowledged;
use fracas_proxy::Proxy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::parts::{Authority, Door, HTTP1, HTTP2, call, hello};
use crate::client::{Raw, curl};
use crate::stand::{LIMIT, Stand, Wish, soon, wish};
use crate::upstream::{LARGE, Upstream};

const GOOD: (i32, i32) = (2020, 2100);
const SHORT: Duration = Duration::from_millis(100);

/// A server of TLS that is called localhost, and whom its clients trust.
struct Row {
    upstream: Upstream,
    door: Door,
    authority: Authority,
}

impl Row {
    async fn new() -> Self {
        let (upstream, http2) = (Upstream::start().await, Upstream::http2().await);
        let authority = Authority::new();
        let signed = authority.signs("localhost", GOOD);
        let door = Door::before(&upstream, &http2, signed, &[HTTP2, HTTP1]).await;
        Self {
            upstream,
            door,
            authority,
        }
    }

    /// A proxy before it that knows nobody else.
    fn before(&self, wish: Wish) -> Stand {
        wish.passes(&[("LocalHost", self.door.place())], None).start()
    }

    fn ca(&self) -> String {
        self.authority.file().display().to_string()
    }

    async fn get(&self, proxy: &Stand, path: &str) -> crate::client::Curl {
        let url = format!("https://localhost:{}{path}", proxy.address.port());
        curl(&["--cacert", &self.ca(), &url]).await
    }
}

fn handshakes(proxy: &Stand, end: &str) -> u32 {
    proxy.counted(&format!("tls_handshakes_total{{end=\"{end}\"}}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_goes_where_its_name_is_and_nothing_of_it_is_changed() {
    let (row, other) = (Row::new().await, Row::new().await);
    let names = [("localhost", row.door.place()), ("*.example", other.door.place())];
    let proxy = wish("{}").passes(&names, None).start();
    let said = row.get(&proxy, "/large").await;
    // Its own certificate is seen, and what it chose.
    assert!(said.head.starts_with("HTTP/2 200"), "{said:?}");
    assert_eq!(said.body.len(), LARGE);
    assert!(!said.head.contains("via"), "{said:?}");
    assert_eq!(row.door.greeted().len(), 1);
    // By curl, for its certificate is of another name.
    let port = proxy.address.port();
    let resolve = format!("shop.example:{port}:127.0.0.1");
    let url = format!("https://shop.example:{port}/");
    let said = curl(&["-k", "--resolve", &resolve, &url]).await;
    assert_eq!(said.status(), 200);
    assert_eq!(other.door.greeted()[0].0.as_deref(), Some("shop.example"));
    assert_eq!(row.door.greeted().len(), 1);
    // Whom nobody knows, and who calls nobody, is told so.
    let ca = std::fs::read_to_string(row.authority.file()).unwrap();
    for name in ["nobody.test", "a.b.example", "127.0.0.1"] {
        let error = call(proxy.address, name, &ca, &[HTTP1]).await.unwrap_err();
        assert!(error.to_string().contains("UnrecognisedName"), "{name}: {error}");
    }
    assert_eq!(handshakes(&proxy, "done"), 5);
    // All others have a place, too, if one is given.
    let proxy = wish("{}").passes(&[], Some(&row.door.place())).start();
    let url = format!("https://127.0.0.1:{}/", proxy.address.port());
    assert_eq!(curl(&["-k", &url]).await.status(), 200);
    assert_eq!(row.door.greeted()[1].0, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_message_may_come_in_any_parts() {
    let row = Row::new().await;
    let proxy = row.before(wish("{}"));
    let whole = hello("localhost");
    // The same message in many records of a few bytes each.
    let records: Vec<u8> = whole[5..]
        .chunks(7)
        .flat_map(|part| [&[22, 3, 1, 0, u8::try_from(part.len()).unwrap()], part].concat())
        .collect();
    // Some write the dot of the root.
    let mut dotted = hello("localhostx");
    let name = dotted.windows(10).position(|part| part == b"localhostx").unwrap();
    dotted[name + 9] = b'.';
    for (bytes, size) in [
        (&whole, 1),
        (&whole, 100),
        (&records, 1000),
        (&records, 3),
        (&dotted, 1000),
    ] {
        let mut client = Raw::to(proxy.address).await;
        for part in bytes.chunks(size) {
            client.send(part).await;
        }
        // What comes back is a server's: a record with its first message.
        let head = client.first::<6>().await;
        assert_eq!((head[0], head[5]), (22, 2), "{size}");
    }
    assert_eq!(handshakes(&proxy, "done"), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_first_message_goes_nowhere() {
    let row = Row::new().await;
    let proxy = row.before(wish("{}"));
    let said = curl(&[&format!("http://{}/", proxy.address)]).await;
    assert!(
        said.status() == 400 && said.text().contains("this port speaks TLS"),
        "{said:?}"
    );
    let nonsense: [&[u8]; 4] = [
        // Another message, a version that is none, no length, and one in which the name is no name.
        &[22, 3, 1, 0, 4, 2, 0, 0, 0],
        &[22, 9, 9, 0, 1, 1],
        &[22, 3, 1, 0, 0],
        &[22, 3, 1, 255, 255, 1, 255, 255, 255],
    ];
    for (number, bytes) in (1..).zip(nonsense) {
        let mut client = Raw::to(proxy.address).await;
        client.send(bytes).await;
        client.said().await;
        soon("it is counted", || handshakes(&proxy, "failed") == number).await;
    }
    // Versions that are too old; OpenSSL itself refuses to offer them at its usual level.
    let old = ["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", "-k"];
    let url = format!("https://localhost:{}/", proxy.address.port());
    assert_eq!(curl(&[&old[..], &[&url]].concat()).await.code, 35);
    soon("it is counted", || handshakes(&proxy, "failed") == 5).await;
    // One that goes on and on: records of a message that is longer than all that is read.
    let mut endless = Raw::to(proxy.address).await;
    let mut record = vec![22, 3, 1, 0x3f, 0xff, 1, 0xff, 0xff, 0xff];
    record.resize(5 + 0x3fff, 0);
    for _ in 0..10 {
        if endless.try_send_bytes(&record).await.is_err() {
            break;
        }
        record[5] = 0;
    }
    endless.said().await;
    assert_eq!(handshakes(&proxy, "done"), 0);
    soon("none is left", || proxy.connections() == 0).await;
    let proxy = row.before(wish("{}").head(SHORT));
    let mut half = Raw::to(proxy.address).await;
    half.send(&hello("localhost")[..50]).await;
    assert_eq!(half.said().await, "");
    soon("it is given up", || handshakes(&proxy, "given_up") > 0).await;
    assert_eq!(handshakes(&proxy, "done"), 0);
    assert!(row.door.greeted().is_empty());
    soon("none is left", || proxy.connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_told_by_an_alert() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let proxy = wish("{}").passes(&[], Some(&free.to_string())).start();
    let said = curl(&["-k", &format!("https://localhost:{}/", proxy.address.port())]).await;
    assert_eq!(said.code, 35);
    assert!(said.told.contains("internal error"), "{}", said.told);
}

/// One who hears of nobody: its queue is full (tcp_conn_request() in net/ipv4/tcp_input.c).
async fn deaf() -> (TcpListener, Vec<TcpStream>) {
    let deaf = TcpSocket::new_v4().unwrap();
    deaf.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let deaf = deaf.listen(0).unwrap();
    let mut queue = Vec::new();
    while let Ok(one) = timeout(SHORT, TcpStream::connect(deaf.local_addr().unwrap())).await {
        queue.push(one.unwrap());
    }
    (deaf, queue)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_waited_for_so_long_and_not_for_a_client_that_is_gone() {
    let (deaf, _queue) = deaf().await;
    let to = deaf.local_addr().unwrap().to_string();
    let proxy = wish("{}").passes(&[], Some(&to)).connect_limit(SHORT).start();
    let begun = Instant::now();
    let said = curl(&["-k", &format!("https://localhost:{}/", proxy.address.port())]).await;
    assert_eq!(said.code, 35);
    assert!(said.told.contains("internal error"), "{}", said.told);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let proxy = wish("{}").passes(&[], Some(&to)).connect_limit(LIMIT * 10).start();
    let mut client = Raw::to(proxy.address).await;
    client.send(hello("localhost")).await;
    soon("it is heard", || handshakes(&proxy, "done") == 1).await;
    drop(client);
    soon("its place is free", || proxy.connections() == 0).await;
}

// Or those who give up would hold all places, and the server would be called for nobody.
#[tokio::test(flavor = "multi_thread")]
async fn who_goes_while_it_is_held_is_let_go() {
    let row = Row::new().await;
    // With and without something that nobody has read yet.
    for more in [&b""[..], b"early"] {
        let proxy = row.before(wish("latency: { fixed_delay_ms: 3600000 }"));
        let mut client = Raw::to(proxy.address).await;
        client.send(hello("localhost")).await;
        soon("it is held", || proxy.counted("faults_total{fault=\"latency\"}") == 1).await;
        client.send(more).await;
        assert_eq!(proxy.connections(), 1);
        drop(client);
        soon("its place is free", || proxy.connections() == 0).await;
    }
    assert!(row.door.greeted().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_of_one_side_is_one_for_the_other() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = server.local_addr().unwrap().to_string();
    let proxy = wish("{}").passes(&[], Some(&to)).start();
    let both = async || {
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client.write_all(&hello("localhost")).await.unwrap();
        let (mut behind, _) = timeout(LIMIT, server.accept()).await.unwrap().unwrap();
        // What is not read makes the end a reset in any case.
        let mut first = vec![0; hello("localhost").len()];
        behind.read_exact(&mut first).await.unwrap();
        (client, behind)
    };
    for is_clients in [true, false] {
        let (client, behind) = both().await;
        let (breaks, mut other) = if is_clients { (client, behind) } else { (behind, client) };
        breaks.set_zero_linger().unwrap();
        drop(breaks);
        let end = timeout(LIMIT, other.read(&mut [0])).await.unwrap();
        let kind = end.map_err(|error| error.kind());
        assert_eq!(
            kind,
            Err(std::io::ErrorKind::ConnectionReset),
            "of the client: {is_clients}"
        );
    }
    // And an end is an end.
    let (client, mut behind) = both().await;
    drop(client);
    assert_eq!(timeout(LIMIT, behind.read(&mut [0])).await.unwrap().unwrap(), 0);
}

fn ends(kind: &str, share: &str) -> String {
    format!(
        "fault_injection: {{ http_errors: [], connection_errors: true, connection_error_probability: {share}, \
         connection_error_kind: {kind} }}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_held_ended_narrowed_and_numbered() {
    let row = Row::new().await;
    let count = |proxy: &Stand, name: &str| proxy.counted(&format!("faults_total{{fault=\"{name}\"}}"));
    let proxy = row.before(wish("latency: { fixed_delay_ms: 40 }"));
    let begun = Instant::now();
    assert_eq!(row.get(&proxy, "/").await.status(), 200);
    assert!(begun.elapsed() >= Duration::from_millis(40) && count(&proxy, "latency") == 1);
    for (kind, is_reset) in [("tcp_reset", true), ("tcp_close", false)] {
        let proxy = row.before(wish(&ends(kind, "1")));
        let mut client = Raw::to(proxy.address).await;
        client.send(hello("localhost")).await;
        let rest = client.rest().await;
        assert_eq!(rest.is_err(), is_reset, "{kind}: {rest:?}");
        assert_eq!(rest.unwrap_or_default(), "");
        assert_eq!(count(&proxy, kind), 1);
    }
    let proxy = row.before(wish("traffic_shaping: { bandwidth_limit_bps: 20000 }"));
    let begun = Instant::now();
    assert_eq!(row.get(&proxy, "/").await.status(), 200);
    // Two certificates and what else is said: more than a kilobyte.
    assert!(begun.elapsed() >= Duration::from_millis(50) && count(&proxy, "bandwidth_throttle") == 1);
    let proxy = row.before(wish("traffic_shaping: { max_connections: 1 }"));
    let mut inside = Raw::to(proxy.address).await;
    inside.send(hello("localhost")).await;
    inside.first::<6>().await;
    assert_eq!(row.get(&proxy, "/").await.code, 35);
    assert_eq!(count(&proxy, "connection_limit"), 1);
    drop(inside);
    soon("its place is free", || proxy.connections() == 0).await;
    assert_eq!(row.get(&proxy, "/").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_the_connections_is_the_same_by_the_same_seed() {
    let row = Row::new().await;
    let seen = async |seed, asks_api: bool| {
        let proxy = row.before(wish(&ends("tcp_reset", "0.5")).seed(seed));
        let mut seen = Vec::new();
        for _ in 0..24 {
            let mut client = Raw::to(proxy.address).await;
            client.send(hello("localhost")).await;
            // A server that is reached begins with a record of a handshake.
            seen.push(client.hears_anything().await);
            if asks_api {
                let status = format!("http://{}/api/chaos/status", proxy.api);
                assert_eq!(curl(&[&status]).await.status(), 200);
            }
        }
        seen
    };
    let first = seen(7, false).await;
    // Who looks at the API changes nothing.
    assert_eq!(first, seen(7, true).await);
    assert_ne!(first, seen(8, false).await);
    assert!(first.contains(&true) && first.contains(&false));
}

// What acts on what passes does so on connections that are open, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_acts_on_open_connections_and_what_cannot_act_is_refused() {
    let row = Row::new().await;
    let proxy = row.before(wish("{}"));
    let ca = std::fs::read_to_string(row.authority.file()).unwrap();
    let mut open = call(proxy.address, "localhost", &ca, &[HTTP1]).await.unwrap();
    let put = async |path: &str, body: &str| {
        let url = format!("http://{}/api/chaos{path}", proxy.api);
        let method = if path.starts_with("/config") { "PUT" } else { "POST" };
        curl(&["-X", method, "-H", "content-type: application/json", "-d", body, &url]).await
    };
    let scenarios = format!("http://{}/api/chaos/scenarios", proxy.api);
    for (path, body, says) in [
        (
            "/config/faults",
            r#"{"http_errors": [500], "http_error_probability": 0.1}"#,
            "http_errors",
        ),
        (
            "/config/faults",
            r#"{"http_errors": [], "connection_errors": true}"#,
            "connection_error_kind",
        ),
        (
            "/config/faults",
            r#"{"http_errors": [], "timeout_errors": true}"#,
            "timeout_errors",
        ),
        (
            "/config/faults",
            r#"{"http_errors": [], "partial_responses": true}"#,
            "partial_responses",
        ),
        (
            "/config/faults",
            r#"{"http_errors": [], "payload_corruption": true, "corruption_type": "truncate"}"#,
            "payload_corruption",
        ),
        (
            "/config/faults",
            r#"{"http_errors": [], "error_pattern": {"type": "sequential", "sequence": [500]}}"#,
            "error_pattern",
        ),
        (
            "/config/faults",
            r#"{"http_errors": [], "request_matcher": {"headers": [{"name": "x-canary"}]}}"#,
            "request_matcher",
        ),
        ("/config/rate-limit", r#"{"requests_per_second": 5}"#, "rate_limit"),
        ("/config/circuit-breaker", "{}", "circuit_breaker"),
        ("/config/bulkhead", "{}", "bulkhead"),
        ("/config/grpc", "{}", "`grpc`"),
        ("/config/websocket", "{}", "`websocket`"),
        ("/config/graphql", "{}", "`graphql`"),
        (
            "/protocols/grpc/status-codes",
            r#"{"status_codes": [14], "probability": 0.1}"#,
            "`grpc`",
        ),
        (
            "/protocols/websocket/message-drop",
            r#"{"probability": 0.1}"#,
            "`websocket`",
        ),
        (
            "/protocols/graphql/resolver-latency",
            r#"{"enabled": true}"#,
            "`graphql`",
        ),
        (
            "/mutations",
            r#"{"rules": [{"name": "a", "operations": [{"type": "delete_field", "field": "a"}]}]}"#,
            "`mutations`",
        ),
        (
            "/routes",
            r#"{"path": "/a", "latency": {"fixed_delay_ms": 1}}"#,
            "`routes`",
        ),
        ("/scenarios/service_instability", "", "http_errors"),
        (
            "/config/traffic",
            r#"{"packet_loss_percent": 1}"#,
            "packet_loss_percent",
        ),
        (
            "/config/traffic",
            r#"{"connection_timeout_ms": 5}"#,
            "connection_timeout_ms",
        ),
        ("/config", r#"{"enabled": false, "bulkhead": {}}"#, "bulkhead"),
        (
            "/orchestration/start",
            r#"{"name": "a", "steps": [{"name": "b", "duration_seconds": 1, "config": {}}]}"#,
            "orchestration",
        ),
    ] {
        let said = put(path, body).await;
        assert_eq!(said.status(), 422, "{path} {body}: {}", said.text());
        assert!(
            said.text().contains("N011") && said.text().contains(says),
            "{says}: {}",
            said.text()
        );
    }
    // A profile is kept for whatever proxy it can act on.
    let profile = r#"{"name": "mine", "description": "", "chaos_config": {"bulkhead": {}}}"#;
    assert_eq!(put("/profiles", profile).await.status(), 201);
    let said = put("/profiles/mine/apply", "").await;
    assert!(
        said.status() == 422 && said.text().contains("N011") && said.text().contains("`bulkhead`"),
        "{}",
        said.text()
    );
    // What can act does, and what is off does not.
    assert_eq!(put("/scenarios/slow_backend", "").await.status(), 200);
    assert_eq!(curl(&["-X", "DELETE", &scenarios]).await.status(), 200);
    assert_eq!(put("/config/bulkhead", r#"{"enabled": false}"#).await.status(), 200);
    assert_eq!(
        put("/config/traffic", r#"{"bandwidth_limit_bps": 20000}"#)
            .await
            .status(),
        200
    );
    let begun = Instant::now();
    open.write_all(b"POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2000\r\n\r\n")
        .await
        .unwrap();
    open.write_all(&[b'x'; 2000]).await.unwrap();
    let mut said = Vec::new();
    open.read_to_end(&mut said).await.unwrap();
    assert!(
        said.ends_with(&[b'x'; 2000]) && begun.elapsed() >= Duration::from_millis(150),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(row.upstream.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_act_is_refused_at_start() {
    let refused = |wish: Wish| {
        let order = wish.passes(&[], Some("127.0.0.1:1")).order();
        Proxy::bind(order).is_err_and(|problem| problem.code.id == "N011")
    };
    for block in ["bulkhead", "grpc", "websocket", "graphql", "mutations"] {
        assert!(refused(wish(&format!("{block}: {{}}"))), "{block}");
        assert!(!refused(wish(&format!("{block}: {{ enabled: false }}"))), "{block}");
    }
    assert!(refused(wish("routes: [{ path: /, latency: { fixed_delay_ms: 1 } }]")));
    let known = |name| wish("{}").scenario(Predefined::named(name).unwrap());
    assert!(refused(known("service_instability")));
    assert!(!refused(known("slow_backend")));
}

#[tokio::test(flavor = "multi_thread")]
async fn open_ones_are_waited_for_and_then_cut_off() {
    let row = Row::new().await;
    let proxy = row.before(wish("{}").patience(SHORT));
    let mut open = Raw::to(proxy.address).await;
    open.send(hello("localhost")).await;
    open.first::<6>().await;
    assert_eq!(proxy.ended().await.cut, 1);
    open.said().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ended_one_direction_and_is_gone_is_not_waited_for() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = server.local_addr().unwrap().to_string();
    let proxy = wish("{}").passes(&[("localhost", place)], None).start();
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    let hello = hello("localhost");
    client.write_all(&hello).await.unwrap();
    let mut server = server.accept().await.unwrap().0;
    let mut said = vec![0; hello.len()];
    server.read_exact(&mut said).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(server.read(&mut said).await.unwrap(), 0);
    // It is still answered.
    let begun = Instant::now();
    soon("a while is over", || begun.elapsed() > Duration::from_millis(1500)).await;
    server.write_all(b"s").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b's');
    client.set_zero_linger().unwrap();
    drop(client);
    soon("it is over", || proxy.connections() == 0).await;
    // The server is told what became of it.
    assert!(server.write_all(b"s").await.is_err());
}

// What a client said to its end is the server's, however slowly that reads.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_by_one_that_is_gone_arrives_whole() {
    let server = TcpSocket::new_v4().unwrap();
    server.set_recv_buffer_size(4 << 10).unwrap();
    server.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let server = server.listen(1).unwrap();
    let place = server.local_addr().unwrap().to_string();
    let proxy = wish("{}").passes(&[("localhost", place)], None).start();
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    let all = [&hello("localhost")[..], "x".repeat(200_000).as_bytes()].concat();
    client.write_all(&all).await.unwrap();
    client.shutdown().await.unwrap();
    let mut server = server.accept().await.unwrap().0;
    // Its reset would overtake what is with its own kernel.
    soon("the proxy has all", || unacknowledged(&client).unwrap() == 0).await;
    client.set_zero_linger().unwrap();
    drop(client);
    // It is looked at each second.
    let begun = Instant::now();
    soon("a while is over", || begun.elapsed() > Duration::from_millis(2200)).await;
    assert_eq!(proxy.connections(), 1);
    let mut said = Vec::new();
    timeout(LIMIT, server.read_to_end(&mut said)).await.unwrap().unwrap();
    assert!(said == all, "{} of {} bytes", said.len(), all.len());
    soon("it is over", || proxy.connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_one_goes_on_when_no_more_are_taken() {
    let row = Row::new().await;
    let mut proxy = row.before(wish("{}"));
    let ca = std::fs::read_to_string(row.authority.file()).unwrap();
    let mut open = call(proxy.address, "localhost", &ca, &[HTTP1]).await.unwrap();
    proxy.ask_to_stop();
    let at = proxy.address;
    soon("the port is free", || std::net::TcpStream::connect(at).is_err()).await;
    open.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut said = String::new();
    open.read_to_string(&mut said).await.unwrap();
    assert!(said.ends_with("hello\n"), "{said}");
    drop(open);
    assert_eq!(proxy.ended().await.cut, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_message_that_has_begun_is_waited_for() {
    let row = Row::new().await;
    // Longer than a first byte is waited for.
    let proxy = row.before(wish("{}").patience(SHORT * 5));
    let mut half = Raw::to(proxy.address).await;
    half.send(&hello("localhost")[..50]).await;
    soon("it is there", || proxy.connections() == 1).await;
    let counts = proxy.counts();
    assert_eq!(proxy.ended().await.cut, 1);
    assert_eq!(counts.of("tls_handshakes_total{end=\"given_up\"}"), 1);
    assert_eq!(half.said().await, "");
}
