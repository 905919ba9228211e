//! One bounded connection per call.
//!
//! bollard's own transports read answers of any length into memory. This one gives every call a fresh connection that ends after
//! [`LARGEST`] bytes or [`LONGEST`] time, whichever comes first, and writes the negotiated API version into the path, which bollard
//! drops when it joins path and base.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::BollardRequest;
use bollard::errors::Error;
use fracas_linux::command::dial;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue, UPGRADE};
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::address::Address;

/// A connection that speaks no HTTP any more.
pub(crate) type Upgraded = TokioIo<hyper::upgrade::Upgraded>;

/// The largest answer that is read: a list of ten thousand containers is about 40 MiB.
const LARGEST: u64 = 64 << 20;
/// No connection lives longer, whatever the call.
pub(crate) const LONGEST: Duration = Duration::from_mins(3);

/// An answer that is longer than any honest one.
#[derive(Debug, thiserror::Error)]
#[error("the answer is longer than {} MiB", LARGEST >> 20)]
pub(crate) struct TooLong;

/// What is known of an engine once it has said its version.
#[derive(Debug)]
pub(crate) struct Agreed {
    /// The API version that both speak: `1.41`.
    pub(crate) api: String,
    /// Whether it is Podman.
    pub(crate) podman: bool,
}

/// What the head of an answer says of the engine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// Its newest API version.
    pub(crate) api: Option<String>,
    /// Whether it is Podman.
    pub(crate) podman: bool,
}

impl Heard {
    fn of(head: &HeaderMap) -> Self {
        let text = |name| head.get(name).and_then(|value| value.to_str().ok());
        Self {
            api: text("api-version").map(str::to_owned),
            podman: text("libpod-api-version").is_some(),
        }
    }
}

/// The way to one engine.
pub(crate) struct Transport {
    address: Address,
    /// The way to it, where that is another than the address.
    way: Option<Address>,
    tls: Option<TlsConnector>,
    /// What the last answer before the agreement had in its head.
    heard: Mutex<Heard>,
    agreed: OnceLock<Agreed>,
    /// Descriptors that are given back to the kernel when a connection finds none free.
    spare: Mutex<Vec<OwnedFd>>,
}

impl Transport {
    pub(crate) fn new(address: Address, way: Option<Address>, tls: Option<Arc<ClientConfig>>) -> Self {
        Self {
            address,
            way,
            tls: tls.map(TlsConnector::from),
            heard: Mutex::default(),
            agreed: OnceLock::new(),
            spare: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The address by which it is reached.
    pub(crate) fn way(&self) -> &Address {
        self.way.as_ref().unwrap_or(&self.address)
    }

    /// Fixes the API version of all later requests.
    pub(crate) fn speak(&self, agreed: Agreed) {
        // Negotiation happens once per engine; a second answer would not be more right than the first.
        let _first_wins = self.agreed.set(agreed);
    }

    /// What the last answer before the agreement had in its head.
    pub(crate) fn heard(&self) -> Heard {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the engine is Podman; false before it has said its version.
    pub(crate) fn is_podman(&self) -> bool {
        self.agreed.get().is_some_and(|agreed| agreed.podman)
    }

    /// Sets descriptors aside, so that a call can be made when the process has no free one left.
    pub(crate) fn reserve(&self, descriptors: usize) -> io::Result<()> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        while spare.len() < descriptors {
            spare.push(std::fs::File::open("/dev/null")?.into());
        }
        Ok(())
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self.open().await {
            // EMFILE is 24 on every Linux: a socket needs one descriptor, and one was kept for this.
            Err(error) if error.raw_os_error() == Some(24) => {
                let kept = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
                if kept.is_none() {
                    return Err(error);
                }
                drop(kept);
                self.open().await
            }
            other => other,
        }
    }

    async fn open(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self.way() {
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Address::Tcp { host, port, .. } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                match &self.tls {
                    None => Box::new(stream),
                    Some(connector) => {
                        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                        Box::new(connector.connect(name, stream).await?)
                    }
                }
            }
            Address::Ssh {
                user,
                host,
                port,
                socket,
            } => Box::new(dial(&login(user.as_deref(), host, *port, socket.as_deref()))?),
        })
    }

    /// The path in the version that both speak.
    fn versioned(&self, path: &str) -> String {
        match self.agreed.get() {
            Some(Agreed { api, .. }) => format!("/v{api}{path}"),
            None => path.to_owned(),
        }
    }

    fn host(&self) -> Result<HeaderValue, Error> {
        Ok(HeaderValue::from_str(&self.way().host_header()).map_err(hyper::http::Error::from)?)
    }

    /// Asks for a connection of its own, as `docker attach` does: after the head of the answer it speaks no HTTP any more.
    pub(crate) async fn hijack(&self, path: &str) -> Result<Upgraded, Error> {
        let request = hyper::Request::post(self.versioned(path))
            .header(HOST, self.host()?)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "tcp")
            .body(String::new())?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.connect().await?)).await?;
        // Ends when the head is read: then the connection is the caller's.
        tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(request).await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::DockerResponseServerError {
                status_code: status.as_u16(),
                message: "no connection of its own was given".to_owned(),
            });
        }
        Ok(TokioIo::new(hyper::upgrade::on(response).await?))
    }

    /// Sends one request and gives the answer as far as its head.
    pub(crate) async fn send(&self, mut request: BollardRequest) -> Result<Response<Incoming>, Error> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = self.versioned(path).parse()?;
        request.headers_mut().insert(HOST, self.host()?);

        let stream = Bounded {
            inner: self.connect().await?,
            left: LARGEST,
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the call: when the answer is dropped, hyper closes the connection, and the time limit is the last resort.
        let driven = tokio::spawn(tokio::time::timeout(LONGEST, connection));
        let response = match sender.send_request(request).await {
            Ok(response) => response,
            // The connection ended before it took the request, as where the other side has not believed our certificate: it knows why.
            Err(error) if error.is_canceled() => {
                let why = driven.await.ok().and_then(Result::ok).and_then(Result::err);
                return Err(why.unwrap_or(error).into());
            }
            Err(error) => return Err(error.into()),
        };
        if self.agreed.get().is_none() {
            *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Heard::of(response.headers());
        }
        // bollard takes "it was so already" for "it was done"; callers want to know.
        if response.status() == StatusCode::NOT_MODIFIED {
            return Err(Error::DockerResponseServerError {
                status_code: StatusCode::NOT_MODIFIED.as_u16(),
                message: String::new(),
            });
        }
        Ok(response)
    }
}

/// What the `docker` command starts for an address of ssh (`cli/connhelper` in docker/cli), but that nothing is asked: whoever could
/// answer may be looking at a run. Behind the two dashes nothing is an option of ssh any more.
fn login(user: Option<&str>, host: &str, port: Option<u16>, socket: Option<&Path>) -> Vec<String> {
    let mut words: Vec<String> = ["ssh", "-o", "ConnectTimeout=10", "-o", "BatchMode=yes", "-T"]
        .map(str::to_owned)
        .into();
    words.extend(user.into_iter().flat_map(|user| ["-l".to_owned(), user.to_owned()]));
    words.extend(port.into_iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
    words.extend(["--", host, "docker"].map(str::to_owned));
    words.extend(
        socket
            .into_iter()
            .flat_map(|socket| ["--host".to_owned(), format!("unix://{}", socket.display())]),
    );
    words.extend(["system", "dial-stdio"].map(str::to_owned));
    words
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream that refuses to be read beyond its bound.
struct Bounded {
    inner: Box<dyn Stream>,
    left: u64,
}

impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other(TooLong)));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.left = self.left.saturating_sub((buf.filled().len() - before) as u64);
        polled
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_gets_what_docker_gives_it() {
        let plain = login(None, "h", None, None);
        assert_eq!(plain[6..], ["--", "h", "docker", "system", "dial-stdio"]);
        let whole = login(Some("me"), "h", Some(22), Some(Path::new("/run/d.sock")));
        let words = "-l me -p 22 -- h docker --host unix:///run/d.sock system dial-stdio";
        assert_eq!(whole[6..].join(" "), words);
    }
}
