//! Connections of TLS that are not opened: only the name that a client calls is read, and then bytes pass in both directions.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

use fracas_core::chaos::{ChaosConfig, ConnectionErrorKind, TrafficShaping};
use fracas_core::problem::{Problem, codes};
use fracas_telemetry::proxy::Handshake;
use hyper::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::handshake::{begin, part};
use super::hello::{Heard, Hello};
use crate::connection::Connection;
use crate::faults::failure::{self, Failure};
use crate::faults::latency;
use crate::identity::Chance;
use crate::link::connect;
use crate::service::Shared;
use crate::shaped::Paced;
use crate::tunnel::watched;

/// In bytes, of one read of a first message.
const READ: usize = 4 << 10;
/// Fatal alerts in a record of their own (RFC 8446, 5.1 and 6): that the name is of nobody, and that something went wrong here.
const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];
const INTERNAL_ERROR: &[u8] = &[21, 3, 3, 0, 2, 2, 80];

/// What of a configuration cannot act on connections whose requests nobody reads.
pub(crate) fn refused(config: &ChaosConfig) -> Vec<Box<Problem>> {
    let mut wrong = Vec::new();
    let mut refuse = |is_on: bool, key: &str, why: &str| {
        if is_on {
            wrong.push(Problem::new(
                &codes::PASSED_THROUGH,
                format!("`{key}` cannot act: {why}"),
            ));
        }
    };
    if let Some(block) = config.fault_injection.as_ref().filter(|block| block.enabled) {
        let http = !block.http_errors.is_empty() && block.http_error_probability > 0.0;
        let is_503 = block.connection_error_kind == ConnectionErrorKind::Http503;
        for (is_on, key, why) in [
            (
                http,
                "fault_injection.http_errors",
                "there is no answer to be given; `http_errors: []` says that there are none",
            ),
            (
                block.connection_errors && is_503,
                "fault_injection.connection_error_kind",
                "http_503 is an answer; tcp_reset and tcp_close are none",
            ),
            (
                block.timeout_errors,
                "fault_injection.timeout_errors",
                "there is no request that could take its time",
            ),
            (
                block.partial_responses,
                "fault_injection.partial_responses",
                "there is no body to be cut",
            ),
            (
                block.payload_corruption,
                "fault_injection.payload_corruption",
                "there is no body to be corrupted",
            ),
            (
                block.error_pattern.is_some(),
                "fault_injection.error_pattern",
                "there is no answer to be given",
            ),
            (
                block.request_matcher.is_some(),
                "fault_injection.request_matcher",
                "there is no request to be looked at",
            ),
        ] {
            refuse(is_on, key, why);
        }
    }
    let limit = config.rate_limit.as_ref().is_some_and(|block| block.enabled);
    refuse(limit, "rate_limit", "it counts requests");
    let breaker = config.circuit_breaker.as_ref().is_some_and(|block| block.enabled);
    refuse(breaker, "circuit_breaker", "it judges answers");
    let bulkhead = config.bulkhead.as_ref().is_some_and(|block| block.enabled);
    refuse(
        bulkhead,
        "bulkhead",
        "it counts requests; `traffic_shaping.max_connections` counts connections",
    );
    let grpc = config.grpc.as_ref().is_some_and(|block| block.enabled);
    refuse(grpc, "grpc", "it is about calls, which are requests");
    let websocket = config.websocket.as_ref().is_some_and(|block| block.enabled);
    refuse(websocket, "websocket", "it is about messages, and nobody reads them");
    let graphql = config.graphql.as_ref().is_some_and(|block| block.enabled);
    refuse(graphql, "graphql", "it is about questions, which are requests");
    let mutations = config.mutations.as_ref().is_some_and(|block| block.enabled);
    refuse(mutations, "mutations", "it is about answers, and nobody reads them");
    refuse(
        !config.routes.is_empty(),
        "routes",
        "they are about the paths of requests",
    );
    if let Some(block) = config.traffic_shaping.as_ref().filter(|block| block.enabled) {
        let usual = TrafficShaping::default().connection_timeout_ms;
        let loses = block.packet_loss_percent > 0.0;
        refuse(loses, "traffic_shaping.packet_loss_percent", "it loses requests");
        let ends = ![0, usual].contains(&block.connection_timeout_ms);
        refuse(
            ends,
            "traffic_shaping.connection_timeout_ms",
            "it is about connections without a request",
        );
    }
    wrong
}

/// What of a configuration cannot act, on a proxy as it is.
pub(crate) fn refused_by(shared: &Shared, config: &ChaosConfig) -> Vec<Box<Problem>> {
    match shared.passthrough {
        Some(_) => refused(config),
        None => Vec::new(),
    }
}

/// Why no orchestration begins.
pub(crate) fn no_orchestration() -> Box<Problem> {
    let what = "an orchestration cannot act: its steps are about requests";
    Problem::new(&codes::PASSED_THROUGH, what)
}

/// Carries a connection to its end: that of the client, of whom it goes to, or of a fault.
pub(crate) async fn carry(
    mut client: TcpStream,
    connection: Arc<Connection>,
    shared: Arc<Shared>,
    mut draining: watch::Receiver<bool>,
) {
    let Some(passthrough) = &shared.passthrough else { return };
    // Small parts go as they come. Where it cannot be said, they go later.
    let _later = client.set_nodelay(true);
    let heard = timeout(shared.limits.head, hear(&mut client, &shared, &mut draining));
    let Ok(Some((name, said))) = heard.await else { return };
    let active = shared.live.now();
    let shaping = active.config.traffic_shaping();
    if !connection.traffic.counts(
        shared.live.connections(),
        shaping.map_or(0, |block| block.max_connections),
    ) {
        shared.metrics.met("connection_limit");
        return;
    }
    let chance = Chance::of(shared.seed, &HeaderMap::new(), &connection, connection.next_request());
    let failure = active
        .config
        .fault_injection()
        .and_then(|block| failure::decide(block, None, &chance, Instant::now()));
    if let Some(delay) = active
        .config
        .latency()
        .and_then(|block| latency::decide(block, &chance))
    {
        shared.metrics.met("latency");
        shared.metrics.held(delay.total().as_secs_f64());
        tokio::select! {
            () = shared.timer.until(Instant::now() + delay.total()) => {}
            () = goes(&client) => return,
        }
    }
    if let Some(failure) = failure {
        shared.metrics.met(failure.name());
        if failure == Failure::Connection(ConnectionErrorKind::TcpReset) {
            // With a linger time of 0 close(2) sends a reset (tcp_close() in net/ipv4/tcp.c). One that is broken has no need of it.
            let _broken = client.set_zero_linger();
        }
        return;
    }
    let Some(to) = passthrough.place(name.as_deref()) else {
        return part(&mut client, UNRECOGNIZED_NAME).await;
    };
    let limit = shared.limits.connect;
    let connected = tokio::select! {
        connected = timeout(limit, connect(&to.host, to.port, limit)) => connected,
        () = goes(&client) => return,
    };
    let Ok(Ok(mut server)) = connected else {
        return part(&mut client, INTERNAL_ERROR).await;
    };
    let _later = server.set_nodelay(true);
    let bandwidth = shared.live.bandwidth();
    if bandwidth.is_limited() {
        shared.metrics.met("bandwidth_throttle");
    }
    // What was said so far is a part of what passes, and small.
    let carried = async {
        server.write_all(&said).await?;
        let (from, to, gone) = watched(&mut client, &mut server);
        let mut from = Paced::new(from, Arc::clone(bandwidth));
        let mut to = Paced::new(to, Arc::clone(bandwidth));
        tokio::select! {
            biased;
            carried = copy_bidirectional(&mut from, &mut to) => carried.map(drop),
            () = gone => Err(ErrorKind::ConnectionReset.into()),
        }
    };
    let is_reset = carried.await.is_err();
    if is_reset {
        for socket in [&client, &server] {
            // Who broke off is seen by the other side as what it was.
            let _broken = socket.set_zero_linger();
        }
    }
}

/// Reads until it is known which name is called, and gives it with all that was read. `None`: there is nobody to be carried.
async fn hear(
    client: &mut TcpStream,
    shared: &Shared,
    draining: &mut watch::Receiver<bool>,
) -> Option<(Option<String>, Vec<u8>)> {
    let mut begun = begin(client, &shared.metrics, draining).await?;
    let mut hello = Hello::default();
    let mut room = [0; READ];
    loop {
        let count = client.read(&mut room).await.unwrap_or(0);
        let heard = match count {
            0 => Heard::Wrong(Vec::new()),
            count => hello.take(&room[..count]),
        };
        match heard {
            Heard::Part => {}
            Heard::Name(name) => {
                begun.ends(Handshake::Done);
                return Some((name, hello.into_bytes()));
            }
            Heard::Wrong(says) => {
                begun.ends(Handshake::Failed);
                part(client, &says).await;
                return None;
            }
        }
    }
}

/// When the client has said its last, and so waits for nothing any more. What it has said and nobody has read does not hide that.
async fn goes(client: &TcpStream) {
    // Of this kind is what closes (EPOLLRDHUP in man 2 epoll_ctl), and not what can be read. An error is an end, too.
    let _ended = client.ready(Interest::PRIORITY).await;
}
