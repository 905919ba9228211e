//! One connection of a client, from its first byte to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fracas_telemetry::proxy::Open;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};
use tokio::time::{sleep, timeout};

use crate::faults::connections::Use;
use crate::front::{First, Way};
use crate::link::Kept;
use crate::listeners::Gate;
use crate::service::{Ended, Shared, answer};
use crate::stream::Stream;
use crate::tls::handshake::accept;
use crate::tls::passthrough::carry;
use crate::upload::Upload;
use crate::wire::Wire;

/// In bytes, for the line and the headers of a request. There may be a hundred of them, as hyper has it: another number costs an allocation
/// for each request (role.rs in hyper).
pub(crate) const LARGEST_HEAD: usize = 64 << 10;
/// Requests at a time in a connection of HTTP/2.
const STREAMS: u32 = 256;
/// In bytes, what a client may send of one request before it is passed on. The connection takes as much of all of them: a request that is
/// held holds up no other.
const WINDOW: u32 = 64 << 10;
/// When the proxy ends, for the first byte of a connection that was just taken: it may be on its way.
const LATE: Duration = Duration::from_millis(100);
/// What a client of HTTP/2 begins with (RFC 9113, 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection of a client.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The how-manieth of those that came to the same listener.
    pub(crate) number: u64,
    pub(crate) peer: SocketAddr,
    /// What part of the proxy it came to.
    pub(crate) door: Door,
    /// To which listener. That of the API says nothing.
    pub(crate) gate: Arc<Gate>,
    requests: AtomicU64,
    /// What goes on in it.
    pub(crate) traffic: Use,
    reset: AtomicBool,
    cut: Notify,
    /// Its own connection to an upstream of HTTP/2.
    pub(crate) link: Kept,
    /// To whom its client came, where that is somebody else's port. `None` there: it came to nobody.
    pub(crate) way: Option<Way>,
    /// It is counted, and has its place, as long as anybody has its socket: also as a tunnel.
    _open: Open,
    _place: OwnedSemaphorePermit,
}

/// To what a client came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Traffic alone.
    Traffic,
    /// Traffic, and the API for those of this machine.
    Both,
    /// The API alone.
    Api,
    /// Somebody else's port.
    Front,
}

impl Connection {
    pub(crate) fn new(
        number: u64,
        peer: SocketAddr,
        (door, gate): (Door, Arc<Gate>),
        way: Option<Way>,
        open: Open,
        place: OwnedSemaphorePermit,
    ) -> Arc<Self> {
        Arc::new(Self {
            number,
            peer,
            door,
            gate,
            requests: AtomicU64::new(0),
            traffic: Use::new(),
            reset: AtomicBool::new(false),
            cut: Notify::new(),
            link: Kept::default(),
            way,
            _open: open,
            _place: place,
        })
    }

    /// The how-manieth request of the connection this one is.
    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends the connection at once, whatever else goes on in it: by a reset, or as its owner would.
    pub(crate) fn end(&self, reset: bool) {
        self.reset.store(reset, Ordering::Release);
        self.cut.notify_one();
    }

    /// Whether it is one of TLS. The API has none at an address of its own.
    pub(crate) fn is_secure(&self, shared: &Shared) -> bool {
        shared.certificate.is_some() && self.door != Door::Api
    }

    pub(crate) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Acquire) || self.way.as_ref().is_some_and(Way::is_cut)
    }
}

/// Drives a connection to its end: that of the client, that of a fault, or, once `draining` or idle for too long, that of its last request.
macro_rules! drive {
    ($served:expr, $connection:expr, $shared:expr, $draining:expr) => {{
        let served = $served;
        let idle = $connection.traffic.is_idle($shared.live.idle());
        tokio::pin!(served, idle);
        let mut told = false;
        loop {
            tokio::select! {
                // In this order: a connection that is to end before it was looked at is closed by hyper, although its request may be there.
                biased;
                // Whether it was served, broke off or was too slow: it is over, and there is nobody to be told.
                _over = &mut served => break,
                () = $connection.cut.notified() => break,
                // Gone with the proxy: the same.
                _ = $draining.wait_for(|draining| *draining), if !told => {
                    told = true;
                    served.as_mut().graceful_shutdown();
                }
                () = &mut idle, if !told => {
                    told = true;
                    $shared.metrics.met("connection_timeout");
                    served.as_mut().graceful_shutdown();
                }
            }
        }
        if !told {
            // hyper may have been first with the same end: by default its limit is as long.
            tokio::select! {
                biased;
                () = &mut idle => {
                    $shared.metrics.met("connection_timeout");
                }
                () = std::future::ready(()) => {}
            }
        }
    }};
}

/// Serves a connection.
pub(crate) async fn serve(
    stream: TcpStream,
    connection: Arc<Connection>,
    shared: Arc<Shared>,
    mut draining: watch::Receiver<bool>,
) {
    if connection.door == Door::Front && connection.way.is_none() {
        return;
    }
    if shared.passthrough.is_some() && connection.door != Door::Api {
        // Apart, as all that few connections need: what one may need at some time it would take as long as it is open.
        return Box::pin(carry(stream, connection, shared, draining)).await;
    }
    let limit = shared.limits.head;
    // Small answers are not held back until others have been acknowledged. Where it cannot be said, they are.
    let _held_back = stream.set_nodelay(true);
    let (wire, is_http2) = if let Some(way) = &connection.way {
        let mut wire = Wire::new(Bytes::new(), Stream::Plain(stream), Arc::clone(&connection));
        match Box::pin(timeout(limit, way.first(&mut wire, late(&mut draining)))).await {
            Ok(Some(First::Request { said, is_http2 })) => {
                wire.put_back(said);
                (wire, is_http2)
            }
            Ok(Some(First::Other { said, upstream })) => {
                wire.put_back(said);
                return Box::pin(way.carry(wire, upstream)).await;
            }
            Ok(None) | Err(_) => return,
        }
    } else {
        let begun = timeout(limit, open(stream, &connection, &shared, &mut draining));
        let Ok(Some((head, stream, is_http2))) = begun.await else {
            return;
        };
        (Wire::new(head, stream, Arc::clone(&connection)), is_http2)
    };
    let service = service_fn({
        let (shared, connection) = (Arc::clone(&shared), Arc::clone(&connection));
        move |request| {
            let (shared, connection) = (Arc::clone(&shared), Arc::clone(&connection));
            // In one place: each function that it goes through would have room for it, and carry it over.
            let request = Box::new(Upload::of(request, shared.limits.silence));
            async move {
                let mut response = answer(shared, connection, request).await;
                // Of HTTP/2: without an answer the stream ends alone.
                response.extensions_mut().remove::<Ended>().map_or(Ok(response), Err)
            }
        }
    });
    let wire = TokioIo::new(wire);
    if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        if connection.gate.forward.is_some() && connection.door != Door::Api {
            // A client that is not told so begins WebSocket in HTTP/1.1, which is right where there is nobody who could go over to it, and in
            // front of somebody else's port, who knows what he can.
            builder.enable_connect_protocol();
        }
        let served = builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW * STREAMS)
            .max_header_list_size(LARGEST_HEAD as u32)
            .keep_alive_interval(limit)
            .keep_alive_timeout(limit)
            .serve_connection(wire, service);
        drive!(served, connection, shared, draining);
    } else {
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limit)
            // In front of somebody else's port nobody is to see that it is one.
            .preserve_header_case(connection.way.is_some())
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(wire, service)
            .with_upgrades();
        drive!(served, connection, shared, draining);
    }
}

/// Finds out what a client speaks, and gives what was read of it. `None`: it ended before, says nothing while the proxy ends, or does not do what
/// it agreed to.
async fn open(
    stream: TcpStream,
    connection: &Connection,
    shared: &Shared,
    draining: &mut watch::Receiver<bool>,
) -> Option<(Bytes, Stream, bool)> {
    let certificate = shared.certificate.as_ref().filter(|_| connection.is_secure(shared));
    let (mut stream, agreed) = match certificate {
        Some(certificate) => Box::pin(accept(stream, certificate, &shared.metrics, draining)).await?,
        None => (Stream::Plain(stream), None),
    };
    let (head, is_http2) = unless_late(draining, begin(&mut stream)).await??;
    agreed
        .is_none_or(|agreed| agreed == is_http2)
        .then_some((head, stream, is_http2))
}

/// Waits for what a client begins with. `None`: the proxy has begun to end, and a while has passed. What has begun is not cut off by that, a handshake
/// neither: it goes on as requests do.
pub(crate) async fn unless_late<T>(draining: &mut watch::Receiver<bool>, begins: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        // In this order: what both have come at the same moment is there.
        biased;
        begun = begins => Some(begun),
        () = late(draining) => None,
    }
}

/// When the proxy has begun to end, and a while has passed.
async fn late(draining: &mut watch::Receiver<bool>) {
    // Gone with the proxy: the same.
    drop(draining.wait_for(|draining| *draining).await);
    sleep(LATE).await;
}

/// Reads until it is sure whether this is HTTP/2, and gives what was read. `None`: it ended before.
async fn begin(stream: &mut Stream) -> Option<(Bytes, bool)> {
    let mut head = BytesMut::with_capacity(PREFACE.len());
    while head.len() < PREFACE.len() && PREFACE.starts_with(&head) {
        let mut more = [0; PREFACE.len()];
        let room = PREFACE.len() - head.len();
        match stream.read(&mut more[..room]).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => head.extend_from_slice(&more[..count]),
        }
    }
    let is_http2 = head == PREFACE;
    Some((head.freeze(), is_http2))
}
