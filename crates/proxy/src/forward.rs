//! The way to the upstream and back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fracas_core::problem::Problem;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::http::uri::Authority;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use crate::Limits;
use crate::accept::SILENCE;
use crate::answer::Body;
use crate::faults::bulkhead::Place;
use crate::headers;
use crate::link::{Kept, Link, UNHEARD};
use crate::past::Past;
use crate::tls::secure::Secure;
use crate::tls::trust::{Identity, Trust};
use crate::tunnel::Tunnels;
use crate::upload::{Broken, Upload};
use crate::upstream::Upstream;
use crate::websocket::{self, Session};

/// For a connection to the upstream.
const CONNECT: Duration = Duration::from_secs(10);
/// For a connection that nobody needs. Servers of Node.js close theirs after five seconds, and a request that crosses that is lost.
const IDLE: Duration = Duration::from_secs(4);
/// So many of these are kept.
const MOST_IDLE: usize = 1024;
/// In bytes, for the head of an answer.
const LARGEST_HEAD: usize = 128 << 10;
const HEADERS: usize = 256;

/// Passes requests on.
#[derive(Debug)]
pub(crate) struct Forward {
    upstream: Upstream,
    way: Way,
    /// For the head of an answer, from the last part of the request on that the upstream took.
    limit: Duration,
    tunnels: Tunnels,
    /// Whether requests come as if there were no proxy.
    unseen: bool,
}

#[derive(Debug)]
enum Way {
    Http1(Box<Client<HttpConnector, Upload>>),
    /// As the first, past all diversions.
    Past(Box<Client<Past, Upload>>),
    Http2(Link),
    /// By TLS, in which the upstream chooses.
    Either(Link, Box<Client<Secure, Upload>>),
}

/// A client that wants to go over to another protocol.
#[derive(Debug)]
struct Offer {
    protocol: HeaderValue,
    client: OnUpgrade,
    /// In the bulkhead.
    place: Option<Arc<Place>>,
    /// Should it be WebSocket.
    session: Option<Session>,
}

/// Why there is no answer of the upstream.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    pub(crate) status: StatusCode,
    pub(crate) why: String,
    /// What the upstream did, where it is not there or broke off.
    pub(crate) broke_off: Option<Broken>,
}

impl Forward {
    /// # Errors
    /// N010 if nobody can vouch for an upstream of TLS.
    pub(crate) fn new(
        upstream: Upstream,
        trust: (&Trust, Option<&Identity>),
        limits: Limits,
        tunnels: Tunnels,
    ) -> Result<Self, Box<Problem>> {
        let link = |secure| Link::new(&upstream, secure, CONNECT, LARGEST_HEAD as u32, None);
        let way = if upstream.is_tls() {
            let secure = Secure::new(&upstream, trust, CONNECT, limits.choice)?;
            Way::Either(link(Some(secure.clone())), Box::new(client(secure, false)))
        } else if upstream.is_http2() {
            Way::Http2(link(None))
        } else {
            Way::Http1(Box::new(client(http1(), false)))
        };
        Ok(Self {
            upstream,
            way,
            limit: limits.answer,
            tunnels,
            unseen: false,
        })
    }

    /// To whom clients have called, past what diverts them, and without a word of ours.
    pub(crate) fn unseen(upstream: Upstream, called: SocketAddr, limit: Duration, tunnels: Tunnels) -> Self {
        let way = if upstream.is_http2() {
            Way::Http2(Link::new(&upstream, None, CONNECT, LARGEST_HEAD as u32, Some(called)))
        } else {
            Way::Past(Box::new(client(Past(called), true)))
        };
        Self {
            upstream,
            way,
            limit,
            tunnels,
            unseen: true,
        }
    }

    /// Passes a request on, and gives the answer as soon as its head is there.
    pub(crate) async fn pass(&self, kept: &Kept, mut request: Request<Upload>) -> Result<Response<Body>, NoAnswer> {
        let version = request.version();
        let place = request.extensions_mut().remove::<Arc<Place>>();
        let session = request.extensions_mut().remove::<Session>();
        let asked =
            headers::upgrade(request.headers()).filter(|_| version == Version::HTTP_11 && !self.upstream.is_http2());
        let offer = asked.map(|protocol| Offer {
            protocol,
            client: hyper::upgrade::on(&mut request),
            place,
            session,
        });
        // Another protocol is begun in HTTP/1.1 alone.
        let is_http2 = match &self.way {
            Way::Http1(_) | Way::Past(_) => false,
            Way::Http2(_) => true,
            Way::Either(link, _) => offer.is_none() && link.is_spoken(kept).await.map_err(bad_gateway)?,
        };
        self.readdress(&mut request, is_http2)?;
        headers::strip(request.headers_mut());
        if !self.unseen {
            headers::add_via(request.headers_mut(), version);
        }
        if let Some(offer) = &offer {
            headers::set_upgrade(request.headers_mut(), offer.protocol.clone());
        }
        if !is_http2 {
            announce(&mut request);
        }
        let progress = request.body().progress();
        // What was done to the request before is not the upstream's time.
        progress.moved();
        let answered = tokio::select! {
            answered = self.way.send(kept, request, is_http2) => answered,
            () = progress.rests_for(self.limit) => {
                let why = format!("it did not answer within {} s", self.limit.as_secs_f64());
                return Err(NoAnswer { status: StatusCode::GATEWAY_TIMEOUT, why, broke_off: None });
            }
        };
        match answered {
            Ok(response) => self.back(response, offer),
            Err(_) if progress.is_silent() => Err(NoAnswer {
                status: StatusCode::REQUEST_TIMEOUT,
                why: "the client sent nothing of its body for too long".to_owned(),
                broke_off: None,
            }),
            // No fault of the upstream's.
            Err(_) if progress.is_broken() => Err(NoAnswer {
                status: StatusCode::BAD_REQUEST,
                why: "the body of the request broke off".to_owned(),
                broke_off: None,
            }),
            Err(error) => Err(bad_gateway(error)),
        }
    }

    fn readdress(&self, request: &mut Request<Upload>, is_http2: bool) -> Result<(), NoAnswer> {
        // In HTTP/2, and where a request names the whole address, that is what counts (RFC 9112, 3.2.2).
        if let Some(authority) = request.uri().authority()
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            request.headers_mut().insert(HOST, host);
        }
        let own = self.upstream.authority();
        let to = if is_http2 {
            // HTTP/2 says whom the client called by the address, HTTP/1.1 by the header.
            let called = request.headers_mut().remove(HOST);
            let called = called.and_then(|host| Authority::try_from(host.as_bytes()).ok());
            called.unwrap_or_else(|| own.clone())
        } else {
            headers::join_cookies(request.headers_mut());
            if let (false, Ok(host)) = (
                request.headers().contains_key(HOST),
                HeaderValue::from_str(own.as_str()),
            ) {
                request.headers_mut().insert(HOST, host);
            }
            own.clone()
        };
        let uri = self.upstream.uri(to, request.uri().path_and_query());
        *request.uri_mut() = uri.ok_or_else(|| NoAnswer {
            status: StatusCode::BAD_REQUEST,
            why: "the path cannot be passed on".to_owned(),
            broke_off: None,
        })?;
        *request.version_mut() = if is_http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        Ok(())
    }

    fn back(&self, mut response: Response<Incoming>, offer: Option<Offer>) -> Result<Response<Body>, NoAnswer> {
        let wrong = |why: &str| {
            Err(NoAnswer {
                status: StatusCode::BAD_GATEWAY,
                why: why.to_owned(),
                broke_off: None,
            })
        };
        if headers::is_coded(response.headers()) {
            return wrong("its body has a transfer coding besides chunks");
        }
        let protocol = headers::upgrade(response.headers());
        headers::strip(response.headers_mut());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let agreed = offer.zip(protocol);
            let Some((offer, protocol)) = agreed.filter(|(offer, protocol)| headers::offers(&offer.protocol, protocol))
            else {
                return wrong("it went over to a protocol that nobody had asked for");
            };
            let upstream = hyper::upgrade::on(&mut response);
            let session = offer.session.filter(|_| websocket::is_named(&protocol));
            headers::set_upgrade(response.headers_mut(), protocol);
            let upstream = async move { Ok(TokioIo::new(upstream.await?)) };
            self.tunnels.carry(offer.client, upstream, offer.place, session);
        }
        // Each end speaks for itself (RFC 9110, 2.5): a client of 1.1 would close its connection behind an answer of 1.0.
        *response.version_mut() = Version::HTTP_11;
        Ok(response.map(Body::Passed))
    }
}

impl Way {
    async fn send(&self, kept: &Kept, request: Request<Upload>, is_http2: bool) -> Result<Response<Incoming>, Broken> {
        match self {
            Self::Either(link, _) if is_http2 => link.send(kept, request).await,
            Self::Either(_, client) => client.request(request).await.map_err(Broken::from),
            Self::Http1(client) => client.request(request).await.map_err(Broken::from),
            Self::Past(client) => client.request(request).await.map_err(Broken::from),
            Self::Http2(link) => link.send(kept, request).await,
        }
    }
}

fn bad_gateway(error: Broken) -> NoAnswer {
    NoAnswer {
        status: StatusCode::BAD_GATEWAY,
        why: fracas_core::problem::causes(&*error).join(": "),
        broke_off: Some(error),
    }
}

fn http1() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_keepalive(Some(SILENCE));
    connector.set_keepalive_interval(Some(SILENCE / 3));
    connector.set_keepalive_retries(Some(3));
    connector.set_tcp_user_timeout(Some(UNHEARD));
    connector
}

fn client<C: Connect + Clone>(connector: C, unseen: bool) -> Client<C, Upload> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MOST_IDLE)
        .http1_max_buf_size(LARGEST_HEAD)
        .http1_max_headers(HEADERS)
        .http1_preserve_header_case(unseen)
        // Whoever the client called is whom the upstream is to be.
        .set_host(false)
        .build(connector)
}

/// Says that there is a body. hyper takes a GET and a HEAD for requests without one unless their headers say otherwise, and drops it
/// (`Client::set_length()` in its `proto::h1::role`).
fn announce(request: &mut Request<Upload>) {
    if !request.body().is_end_stream() && !request.headers().contains_key(CONTENT_LENGTH) {
        request
            .headers_mut()
            .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}
