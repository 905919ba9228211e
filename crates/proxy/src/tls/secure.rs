//! How an upstream of TLS is reached.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use fracas_core::problem::Result;
use hyper::Uri;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::session::{Session, Wants};
use super::trust::{Identity, Trust};
use super::{HTTP1, HTTP2, cannot};
use crate::link::connect;
use crate::stream::Stream;
use crate::upload::Broken;
use crate::upstream::Upstream;

/// The way to an upstream of TLS; copies are of the same. As a service it opens connections for HTTP/1.1.
#[derive(Debug, Clone)]
pub(crate) struct Secure {
    host: String,
    port: u16,
    /// For whom its certificate must be: the host of its address.
    name: ServerName<'static>,
    any: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    /// For a connection, with its handshake.
    limit: Duration,
    /// When it chose HTTP/1.1, if it did so the last time that it had the choice.
    chose_http1: Arc<Mutex<Option<Instant>>>,
    /// How long that is believed.
    choice: Duration,
    wants: Wants,
}

/// There is no connection.
#[derive(Debug)]
pub(crate) struct NoTls(String);

impl NoTls {
    pub(crate) fn without_certificate() -> Self {
        Self("it wants a certificate of its clients; --upstream-cert shows it one".to_owned())
    }
}

impl Secure {
    /// # Errors
    /// N010 if nobody can vouch for it, or its host is no name.
    pub(crate) fn new(
        upstream: &Upstream,
        (trust, identity): (&Trust, Option<&Identity>),
        limit: Duration,
        choice: Duration,
    ) -> Result<Self> {
        let host = upstream.host().to_owned();
        let name = ServerName::try_from(host.clone())
            .map_err(|error| cannot(format!("`{host}` is no name that a certificate could have"), error))?;
        let mut http1 = trust.config(identity)?;
        let mut any = http1.clone();
        any.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        http1.alpn_protocols = vec![HTTP1.to_vec()];
        Ok(Self {
            host,
            port: upstream.port(),
            name,
            any: Arc::new(any),
            http1: Arc::new(http1),
            limit,
            chose_http1: Arc::default(),
            choice,
            wants: Wants::default(),
        })
    }

    /// Whether it chose HTTP/1.1 the last time that it had the choice, not long ago.
    pub(crate) fn prefers_http1(&self) -> bool {
        let chose = *self.chose_http1.lock().unwrap_or_else(PoisonError::into_inner);
        chose.is_some_and(|at| at.elapsed() < self.choice)
    }

    /// How often it has said that it wants a certificate, where it had been taken for content with none.
    pub(crate) fn wants(&self) -> u64 {
        self.wants.count()
    }

    fn chose(&self, is_http2: bool) {
        let at = (!is_http2).then(Instant::now);
        *self.chose_http1.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// A connection of HTTP/2. `None`: it chose HTTP/1.1.
    pub(crate) async fn http2(&self) -> Result<Option<Stream>, Broken> {
        let (stream, is_http2) = self.open(&self.any).await?;
        self.chose(is_http2);
        Ok(is_http2.then_some(stream))
    }

    async fn open(&self, config: &Arc<ClientConfig>) -> Result<(Stream, bool), Broken> {
        let stream = connect(&self.host, self.port, self.limit).await?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector
            .connect(self.name.clone(), stream)
            .await
            .map_err(|error| self.failed(error))?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
        let session = Session::of_upstream(stream.into(), self.wants.clone());
        Ok((Stream::Tls(Box::new(session)), is_http2))
    }

    fn failed(&self, error: io::Error) -> Broken {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let why = match inner {
            Some(rustls::Error::InvalidCertificate(wrong)) => wrong_with(wrong),
            Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
                // It may speak HTTP/2 alone by now: the next one offers that, too.
                self.chose(true);
                "it speaks none of the protocols that it was offered".to_owned()
            }
            Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)) => {
                return NoTls::without_certificate().into();
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                format!(
                    "what it says is no TLS; an upstream without it is `http://{}:{}`",
                    self.host, self.port
                )
            }
            Some(other) => other.to_string(),
            None => return error.into(),
        };
        NoTls(why).into()
    }
}

/// What is wrong with a certificate.
fn wrong_with(wrong: &CertificateError) -> String {
    let when = |at: &UnixTime| {
        let at = i64::try_from(at.as_secs())
            .ok()
            .and_then(|at| Timestamp::from_second(at).ok());
        at.map_or_else(|| "a time that has no date".to_owned(), |at| at.to_string())
    };
    match wrong {
        // The second is of one who is called like somebody that is.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is signed by nobody who is trusted; --upstream-ca says whom to trust".to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = if presented.is_empty() {
                "no name".to_owned()
            } else {
                presented.join(", ")
            };
            format!("its certificate is not for `{}`, but for {names}", expected.to_str())
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate expired on {}", when(not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("its certificate is good only from {} on", when(not_before))
        }
        other => format!("its certificate is not good: {other}"),
    }
}

impl Service<Uri> for Secure {
    type Response = TokioIo<Stream>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, Broken>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    /// All go to the one upstream, whatever their address is.
    fn call(&mut self, _: Uri) -> Self::Future {
        let to = self.clone();
        Box::pin(async move {
            match timeout(to.limit, to.open(&to.http1)).await {
                Ok(opened) => opened.map(|(stream, _)| TokioIo::new(stream)),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}

impl fmt::Display for NoTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no TLS with it: {}", self.0)
    }
}

impl Error for NoTls {}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    // It takes the connection, and says nothing.
    #[tokio::test]
    async fn who_is_silent_is_not_waited_for() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = format!("https://{}", silent.local_addr().unwrap()).parse().unwrap();
        let mut secure = Secure::new(
            &upstream,
            (&Trust::Anybody, None),
            Duration::from_millis(20),
            Duration::ZERO,
        )
        .unwrap();
        let why = secure.call(Uri::default()).await.unwrap_err();
        assert_eq!(why.downcast::<io::Error>().unwrap().kind(), io::ErrorKind::TimedOut);
    }
}
