//! Connections of TLS that are not opened: only the name that a client calls is read, and then bytes pass in both directions.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fracas_core::chaos::{ChaosConfig, ConnectionErrorKind, TrafficShaping};
use fracas_core::problem::{Problem, codes};
use fracas_telemetry::proxy::Handshake;
use hyper::HeaderMap;
use hyper::http::uri::Authority;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::handshake::begin;
use super::hello::{Heard, Hello};
use crate::connection::{Connection, late};
use crate::faults::failure::{self, Failure};
use crate::faults::latency;
use crate::identity::Chance;
use crate::link::connect;
use crate::service::Shared;
use crate::shaped::Paced;

/// For a connection to where it goes.
const CONNECT: Duration = Duration::from_secs(10);
/// For a client to take the last word that it gets.
const PARTING: Duration = Duration::from_secs(1);
/// In bytes, of one read of a first message.
const READ: usize = 4 << 10;
/// Fatal alerts in a record of their own (RFC 8446, 5.1 and 6): that the name is of nobody, and that something went wrong here.
const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];
const INTERNAL_ERROR: &[u8] = &[21, 3, 3, 0, 2, 2, 80];

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    host: String,
    port: u16,
}

/// Where connections go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passthrough {
    /// By the name that is called. `*.example.org` is each name with one label more.
    names: BTreeMap<String, Place>,
    /// Those that call another name, or none. `None`: they are refused.
    other: Option<Place>,
}

impl Passthrough {
    /// Those that call one of these names go where it says, all others to the last. Names are the same in small letters and large ones.
    pub fn new(names: impl IntoIterator<Item = (String, Place)>, other: Option<Place>) -> Self {
        let names = names.into_iter();
        Self {
            names: names.map(|(name, place)| (name.to_ascii_lowercase(), place)).collect(),
            other,
        }
    }

    fn place(&self, name: Option<&str>) -> Option<&Place> {
        let by_name = name.and_then(|name| {
            let wild = || Some(format!("*.{}", name.split_once('.')?.1));
            let exact = self.names.get(name);
            exact.or_else(|| wild().and_then(|wild| self.names.get(&wild)))
        });
        by_name.or(self.other.as_ref())
    }
}

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
    let heard = tokio::select! {
        biased;
        heard = timeout(shared.limits.head, hear(&mut client, &shared)) => heard,
        () = late(&mut draining) => return,
    };
    let Ok(Some((name, said))) = heard else { return };
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
        shared.timer.until(Instant::now() + delay.total()).await;
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
    let Ok(Ok(mut server)) = timeout(CONNECT, connect(&to.host, to.port)).await else {
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
        let mut from = Paced::new(&mut client, Arc::clone(bandwidth));
        let mut to = Paced::new(&mut server, Arc::clone(bandwidth));
        copy_bidirectional(&mut from, &mut to).await
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
async fn hear(client: &mut TcpStream, shared: &Shared) -> Option<(Option<String>, Vec<u8>)> {
    let mut begun = begin(client, &shared.metrics).await?;
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

/// Says a last word, and takes what the client has sent meanwhile: what is not read makes the end a reset.
async fn part(client: &mut TcpStream, says: &[u8]) {
    let said = async {
        client.write_all(says).await?;
        client.shutdown().await?;
        tokio::io::copy(&mut client.take(READ as u64), &mut tokio::io::sink()).await
    };
    // What becomes of it is seen by the client alone.
    let _late = timeout(PARTING, said).await;
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place = text
            .parse::<Authority>()
            .ok()
            .filter(|place| !place.as_str().contains('@'));
        let host = |place: &Authority| place.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        place
            .and_then(|place| {
                let (host, port) = (host(&place), place.port_u16()?);
                (!host.is_empty() && port > 0).then_some(Self { host, port })
            })
            .ok_or_else(|| "is no host and port: write it like 127.0.0.1:8443".to_owned())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_fits_best_counts() {
        let place = |text: &str| text.parse::<Place>().unwrap();
        let names = [("A.example", "a:1"), ("*.example", "b:2"), ("*.a.example", "[::1]:3")];
        let names = names.map(|(name, to)| (name.to_owned(), place(to)));
        let passthrough = Passthrough::new(names.clone(), None);
        let to = |name| passthrough.place(name).map(ToString::to_string);
        assert_eq!(to(Some("a.example")).as_deref(), Some("a:1"));
        assert_eq!(to(Some("c.example")).as_deref(), Some("b:2"));
        assert_eq!(to(Some("d.a.example")).as_deref(), Some("[::1]:3"));
        for name in [Some("example"), Some("x.c.example"), Some("other"), None] {
            assert_eq!(to(name), None, "{name:?}");
        }
        let passthrough = Passthrough::new(names, Some(place("o:9")));
        assert_eq!(passthrough.place(None), Some(&place("o:9")));
        for text in ["", "a", ":1", "a:0", "a:b", "u@a:1", "a:70000", "a:1/x"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
