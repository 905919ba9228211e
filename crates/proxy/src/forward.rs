//! The way to the upstream and back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fracas_core::problem::{Problem, codes};
use hyper::body::Body as _;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue, SEC_WEBSOCKET_ACCEPT, TRANSFER_ENCODING};
use hyper::http::uri::Authority;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::connect::HttpConnector;

use crate::Limits;
use crate::accept::SILENCE;
use crate::answer::Body;
use crate::extended::{self, Extended};
use crate::faults::bulkhead::Place;
use crate::faults::connections::Busy;
use crate::headers;
use crate::link::{Kept, Link, NotTaken, UNHEARD};
use crate::past::Past;
use crate::pool::Pool;
use crate::tls::secure::{NoTls, Secure};
use crate::tls::trust::{Identity, Trust};
use crate::tunnel::{Tunnels, Upgraded};
use crate::upload::{Broken, Upload};
use crate::upstream::Upstream;
use crate::websocket::{self, Session};

/// For a connection to the upstream.
const CONNECT: Duration = Duration::from_secs(10);
/// In bytes, for the head of an answer.
const LARGEST_HEAD: u32 = 128 << 10;

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
    Http1(Box<Pool<HttpConnector>>),
    /// As the first, past all diversions.
    Past(Box<Pool<Past>>),
    Http2(Link),
    /// By TLS, in which the upstream chooses.
    Either(Link, Box<Pool<Secure>>),
}

/// A client that wants to go over to another protocol.
#[derive(Debug)]
struct Offer {
    protocol: HeaderValue,
    /// What an upstream of HTTP/1.1 has to make of a key that is ours.
    accept: Option<HeaderValue>,
    client: OnUpgrade,
    /// In the bulkhead, and in the connection of the client, where that goes on besides.
    held: (Option<Arc<Place>>, Option<Arc<Busy>>),
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
        let link = |secure| Link::new(&upstream, secure, CONNECT, LARGEST_HEAD, None);
        let way = if upstream.is_tls() {
            let secure = Secure::new(&upstream, trust, CONNECT, limits.choice)?;
            Way::Either(
                link(Some(secure.clone())),
                Box::new(Pool::new(secure, Uri::default(), false, limits.unused)),
            )
        } else if upstream.is_http2() {
            Way::Http2(link(None))
        } else {
            let to = upstream.uri(Some(upstream.authority().clone()), None);
            let to = to.ok_or_else(|| Problem::new(&codes::INSIDE, "an upstream has no address"))?;
            Way::Http1(Box::new(Pool::new(http1(), to, false, limits.unused)))
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
    pub(crate) fn unseen(upstream: Upstream, called: SocketAddr, limits: Limits, tunnels: Tunnels) -> Self {
        let way = if upstream.is_http2() {
            Way::Http2(Link::new(&upstream, None, CONNECT, LARGEST_HEAD, Some(called)))
        } else {
            Way::Past(Box::new(Pool::new(Past(called), Uri::default(), true, limits.unused)))
        };
        Self {
            upstream,
            way,
            limit: limits.answer,
            tunnels,
            unseen: true,
        }
    }

    /// Passes a request on, and gives the answer as soon as its head is there.
    pub(crate) async fn pass(
        &self,
        kept: &Kept,
        mut request: Box<Request<Upload>>,
    ) -> Result<Response<Body>, NoAnswer> {
        let version = request.version();
        let of_request = request.extensions_mut();
        let held = (of_request.remove::<Arc<Place>>(), of_request.remove::<Arc<Busy>>());
        let session = of_request.remove::<Session>();
        let is_extended = of_request.remove::<Extended>().is_some();
        let can_go_over = is_extended || version == Version::HTTP_11 && !self.upstream.is_http2();
        let asked = headers::upgrade(request.headers()).filter(|_| can_go_over);
        let accept = match &session {
            Some(session) if is_extended => extended::put_key(request.headers_mut(), session),
            _ => None,
        };
        let offer = asked.map(|protocol| Offer {
            protocol,
            accept,
            client: hyper::upgrade::on(&mut *request),
            held,
            session,
        });
        let wants = self.way.wants();
        // Another protocol is begun in HTTP/1.1, where that is spoken.
        let is_http2 = match &self.way {
            Way::Http1(_) | Way::Past(_) => false,
            Way::Http2(_) => true,
            Way::Either(link, _) => {
                offer.is_none()
                    && Box::pin(link.is_spoken(kept))
                        .await
                        .map_err(|error| self.unanswered(error, wants))?
            }
        };
        self.readdress(&mut request, is_http2)?;
        headers::strip(request.headers_mut());
        if !self.unseen {
            headers::add_via(request.headers_mut(), version);
        }
        match &offer {
            Some(_) if is_http2 => extended::connect(&mut request),
            Some(offer) => headers::set_upgrade(request.headers_mut(), offer.protocol.clone()),
            None => {}
        }
        if !is_http2 {
            announce(&mut request);
        }
        let progress = request.body().progress();
        // What was done to the request before is not the upstream's time.
        progress.moved();
        let answered = tokio::select! {
            answered = self.way.send(kept, request, is_http2, offer.is_some()) => answered,
            () = progress.rests_for(self.limit) => {
                let why = format!("it did not answer within {} s", self.limit.as_secs_f64());
                return Err(NoAnswer { status: StatusCode::GATEWAY_TIMEOUT, why, broke_off: None });
            }
        };
        match answered {
            Ok(response) => self.back(response, offer, is_extended),
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
            Err(error) if error.is::<NotTaken>() => Err(no(&error.to_string())),
            Err(error) => Err(self.unanswered(error, wants)),
        }
    }

    /// Says why there is no answer, and if it has said meanwhile that it wants a certificate, that, too: by which of its connections is not known.
    fn unanswered(&self, error: Broken, wants: u64) -> NoAnswer {
        let mut failed = bad_gateway(error);
        let hint = NoTls::without_certificate().to_string();
        if self.way.wants() > wants && !failed.why.contains(&hint) {
            failed.why = format!("{}; {hint}", failed.why);
        }
        failed
    }

    fn readdress(&self, request: &mut Request<Upload>, is_http2: bool) -> Result<(), NoAnswer> {
        // In HTTP/2, and where a request names the whole address, that is what counts (RFC 9112, 3.2.2).
        if let Some(authority) = request.uri().authority()
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            request.headers_mut().insert(HOST, host);
        }
        let own = self.upstream.authority();
        let called = if is_http2 {
            // HTTP/2 says whom the client called by the address, HTTP/1.1 by the header.
            let called = request.headers_mut().remove(HOST);
            let called = called.and_then(|host| Authority::try_from(host.as_bytes()).ok());
            Some(called.unwrap_or_else(|| own.clone()))
        } else {
            headers::join_cookies(request.headers_mut());
            if let (false, Ok(host)) = (
                request.headers().contains_key(HOST),
                HeaderValue::from_str(own.as_str()),
            ) {
                request.headers_mut().insert(HOST, host);
            }
            None
        };
        let uri = self.upstream.uri(called, request.uri().path_and_query());
        *request.uri_mut() = uri.ok_or_else(|| NoAnswer {
            status: StatusCode::BAD_REQUEST,
            why: "the path cannot be passed on".to_owned(),
            broke_off: None,
        })?;
        *request.version_mut() = if is_http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        Ok(())
    }

    fn back(
        &self,
        mut response: Response<Body>,
        offer: Option<Offer>,
        is_extended: bool,
    ) -> Result<Response<Body>, NoAnswer> {
        let wrong = |why: &str| Err(no(why));
        if headers::is_coded(response.headers()) {
            return wrong("its body has a transfer coding besides chunks");
        }
        let protocol = headers::upgrade(response.headers());
        let is_http1 = response.version() < Version::HTTP_2;
        headers::strip(response.headers_mut());
        // By its answer to an extended CONNECT.
        let protocol = match &offer {
            Some(offer) if response.version() == Version::HTTP_2 && response.status() == StatusCode::OK => {
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                Some(offer.protocol.clone())
            }
            _ => protocol,
        };
        if is_extended && response.status().is_success() {
            return wrong("it answered, and did not go over to WebSocket");
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let agreed = offer.zip(protocol);
            let Some((offer, protocol)) = agreed.filter(|(offer, protocol)| headers::offers(&offer.protocol, protocol))
            else {
                return wrong("it went over to a protocol that nobody had asked for");
            };
            let accepts = |wanted| response.headers().get(SEC_WEBSOCKET_ACCEPT) == Some(wanted);
            if is_http1 && !offer.accept.as_ref().is_none_or(accepts) {
                return wrong("its Sec-WebSocket-Accept is not the one of the key that it was sent");
            }
            let upstream = hyper::upgrade::on(&mut response);
            let session = offer.session.filter(|_| websocket::is_named(&protocol));
            headers::set_upgrade(response.headers_mut(), protocol);
            let upstream = async move { Ok(Upgraded::from(upstream.await?)) };
            self.tunnels.carry(offer.client, upstream, offer.held, session);
        }
        // Each end speaks for itself (RFC 9110, 2.5): a client of 1.1 would close its connection behind an answer of 1.0.
        *response.version_mut() = Version::HTTP_11;
        Ok(response)
    }
}

impl Way {
    /// How often the upstream has said that it wants a certificate, where it had been taken for content with none.
    fn wants(&self) -> u64 {
        match self {
            Self::Either(link, _) => link.wants(),
            Self::Http1(_) | Self::Past(_) | Self::Http2(_) => 0,
        }
    }

    async fn send(
        &self,
        kept: &Kept,
        request: Box<Request<Upload>>,
        is_http2: bool,
        goes_over: bool,
    ) -> Result<Response<Body>, Broken> {
        let shared = match self {
            Self::Http1(pool) => return pool.send(request, goes_over).await,
            Self::Past(pool) => return pool.send(request, goes_over).await,
            Self::Either(_, pool) if !is_http2 => return pool.send(request, goes_over).await,
            Self::Either(link, _) | Self::Http2(link) => Box::pin(link.send(kept, *request, goes_over)).await,
        };
        shared.map(|response| response.map(Body::Passed))
    }
}

fn no(why: &str) -> NoAnswer {
    NoAnswer {
        status: StatusCode::BAD_GATEWAY,
        why: why.to_owned(),
        broke_off: None,
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

/// Says that there is a body. hyper takes a GET and a HEAD for requests without one unless their headers say otherwise, and drops it
/// (`Client::set_length()` in its `proto::h1::role`).
fn announce(request: &mut Request<Upload>) {
    if !request.body().is_end_stream() && !request.headers().contains_key(CONTENT_LENGTH) {
        request
            .headers_mut()
            .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}
