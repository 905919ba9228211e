//! Answers whoever sees for others what is decided about a request by itself. What counts requests does not count it, and nobody is asked
//! behind the port.

use std::sync::Arc;

use bytes::Bytes;
use fracas_core::chaos::{Graphql, Grpc, Websocket};
use hyper::{Method, Request, Response, StatusCode};
use tokio::io::{AsyncWriteExt as _, DuplexStream};

use super::ABOUT;
use crate::answer::{self, Body};
use crate::connection::Connection;
use crate::faults::verdict::Verdict;
use crate::faults::{bodies, latency, loss};
use crate::identity::Chance;
use crate::service::{Shared, fail, lasts};
use crate::upload::Upload;
use crate::websocket::Session;
use crate::{graphql, grpc, headers};

/// The answer to a request that meets nothing, before anything is done to its body: long enough for something to be done to it.
const SONG: [u8; 1000] = [b'.'; 1000];
/// In GraphQL.
const DATA: &str = r#"{"data":{"a":1,"b":2,"c":3}}"#;
/// A message of gRPC without a byte, and how many there are at most.
const MESSAGE: [u8; 5] = [0; 5];
const MESSAGES: u32 = 1000;
/// In bytes, of a text of JSON that somebody wants to have changed.
const LARGEST: usize = 8 << 10;
/// In bytes, the message of WebSocket that is sent again and again, and how many of them.
const WORDS: u8 = 20;
const MOST_WORDS: usize = 20;
/// The first byte of a frame that is a text, and of one that closes.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

/// Answers a canary.
pub(crate) async fn answer(shared: &Arc<Shared>, connection: &Connection, request: Request<Upload>) -> Response<Body> {
    let active = shared.live.now();
    let chance = Chance::of(shared.seed, request.headers(), connection, connection.next_request());
    let about = request.headers().get(ABOUT).and_then(|about| about.to_str().ok());
    let config = &active.config;
    let answered = match about {
        None => return as_any(shared, connection, &chance, request, None).await,
        Some(about) if about.starts_with("route ") => {
            let at = about.strip_prefix("route ").and_then(|at| at.parse().ok());
            return as_any(shared, connection, &chance, request, at).await;
        }
        Some("grpc") => config.grpc().map(|block| call(block, &chance, shared)),
        Some("graphql") => match config.graphql().filter(|block| graphql::is_about(block, &request)) {
            Some(block) => Some(query(block, &chance, shared).await),
            None => None,
        },
        Some("websocket") => config
            .websocket()
            .and_then(|block| session(block, chance, shared, request)),
        Some(about) => match about.strip_prefix("rule ").zip(active.mutations()) {
            Some((rule, mutations)) => {
                let rule = rule.to_owned();
                text(request, shared)
                    .await
                    .and_then(|text| mutations.trial(&rule, &text, &chance))
                    .map(|changed| answer::with(StatusCode::OK, "application/json", changed))
            }
            None => None,
        },
    };
    answered.unwrap_or_else(|| answer::problem(StatusCode::NOT_FOUND, "there is nothing that this is about"))
}

/// As one of somebody else's for this path, or of the route at this place, where there is one. No matcher is asked: it is one of those that the
/// block is about.
async fn as_any(
    shared: &Shared,
    connection: &Connection,
    chance: &Chance,
    request: Request<Upload>,
    of: Option<usize>,
) -> Response<Body> {
    let active = shared.live.now();
    let shaping = active.config.traffic_shaping();
    if shaping.is_some_and(|block| loss::alone(block, chance)) {
        return answer::problem(StatusCode::REQUEST_TIMEOUT, "this request was lost by Fracas");
    }
    let route = active.route(request.method(), request.uri().path()).0;
    let named = of.and_then(|at| active.config.routes().get(at));
    let route = named.or(route.map(|(_, route)| route));
    let verdict = match route.and_then(|route| route.fault_injection.as_ref()) {
        Some(block) => Verdict::of_route(block, chance),
        None => active
            .config
            .fault_injection()
            .map_or_else(Verdict::default, |block| Verdict::alone(block, chance)),
    };
    let delay = match route.and_then(|route| route.latency.as_ref()) {
        Some(block) => Some(block).filter(|block| block.enabled),
        None => active.config.latency(),
    };
    let holds = match delay.and_then(|block| latency::decide(block, chance)) {
        Some(delay) => shared.holds(delay.total()).await,
        None => true,
    };
    if let Some(failure) = verdict.failure.filter(|_| holds)
        && lasts(shared, failure).await
    {
        return fail(connection, request, failure, verdict.says).await;
    }
    let song = answer::with(StatusCode::OK, "text/plain", &SONG[..]);
    if verdict.harm.is_none() || request.method() == Method::HEAD {
        return song;
    }
    let (version, limit) = (request.version(), shared.limits.answer);
    bodies::meet(verdict.harm, chance, version, limit, song, |_| {}).await
}

/// A call of gRPC, whose status is said as HTTP says it; else one message more than its stream may have.
fn call(block: &Grpc, chance: &Chance, shared: &Arc<Shared>) -> Response<Body> {
    if let Some(failed) = grpc::failure(block, chance) {
        return failed;
    }
    let count = block.interrupt_after_messages.min(MESSAGES - 1) as usize + 1;
    let song = answer::with(StatusCode::OK, "application/grpc", MESSAGE.repeat(count));
    grpc::interrupt(block, chance, shared, song, None)
}

/// A request of GraphQL.
async fn query(block: &Graphql, chance: &Chance, shared: &Arc<Shared>) -> Response<Body> {
    match graphql::failure(block, chance) {
        Some(failed) => failed,
        None => {
            let song = answer::with(StatusCode::OK, "application/json", DATA);
            graphql::meet(block, chance, shared, song, |_| {}).await
        }
    }
}

/// A connection of WebSocket, at whose other end are some messages, all the same, and a close frame.
fn session(
    block: &Websocket,
    chance: Chance,
    shared: &Arc<Shared>,
    mut request: Request<Upload>,
) -> Option<Response<Body>> {
    let protocol = headers::upgrade(request.headers())?;
    let client = hyper::upgrade::on(&mut request);
    let count = words(block.message_delay_ms);
    let (mut own, upstream) = tokio::io::duplex(LARGEST);
    tokio::spawn(async move {
        let frame = [&[TEXT, WORDS][..], &[b'.'; WORDS as usize]].concat();
        let all = [frame.repeat(count), vec![CLOSE, 0]].concat();
        // Who has gone hears nothing.
        let _gone = own.write_all(&all).await;
        drop(own);
    });
    let session = Session::canary(Arc::clone(shared), chance);
    let upstream = std::future::ready(Ok::<DuplexStream, hyper::Error>(upstream));
    shared.tunnels.carry(client, upstream, (), Some(session));
    let mut response = answer::empty();
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    headers::set_upgrade(response.headers_mut(), protocol);
    Some(response)
}

/// How many messages there are: as many as can be held one after the other in a second.
fn words(delay: f64) -> usize {
    let most = if delay > 0.0 { 1000.0 / delay } else { f64::INFINITY };
    (most as usize).clamp(1, MOST_WORDS)
}

/// The body of a request, which is a text.
async fn text(mut request: Request<Upload>, shared: &Shared) -> Option<String> {
    let body = request.body_mut();
    let bytes: Bytes = body.read_ahead(LARGEST, shared.live.room(), shared.pardon()).await?;
    String::from_utf8(bytes.to_vec()).ok()
}
