//! How a client of TLS comes in.

use std::io;
use std::time::Duration;

use fracas_telemetry::proxy::{Handshake, Traffic};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::HTTP2;
use super::certificate::Certificate;
use super::session::Session;
use crate::connection::unless_late;
use crate::stream::Stream;

/// What a record of a handshake begins with (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;
/// For a client to take the last word that it gets, and in bytes what is read of it meanwhile: what is not read makes the end a reset, and that
/// may take the word away.
const PARTING: Duration = Duration::from_secs(1);
const UNREAD: u64 = 64 << 10;

const PLAIN: &str = "{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"this port speaks TLS: ask it by https\"}";

/// One that was begun. Dropped before anything came of it, it is one that was given up.
pub(super) struct Begun<'t> {
    traffic: &'t Traffic,
    end: Handshake,
}

impl Begun<'_> {
    pub(super) fn ends(&mut self, end: Handshake) {
        self.end = end;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.traffic.shook_hands(self.end);
    }
}

/// Lets a client in, and says whether they agreed on HTTP/2, if they agreed on anything. Who speaks HTTP without TLS is told so. `None`: there is
/// nobody to be served. How long it takes is the caller's business, and that of the kernel.
pub(crate) async fn accept(
    mut stream: TcpStream,
    certificate: &Certificate,
    traffic: &Traffic,
    draining: &mut watch::Receiver<bool>,
) -> Option<(Stream, Option<bool>)> {
    let mut begun = begin(&mut stream, traffic, draining).await?;
    let accepts = TlsAcceptor::from(certificate.0.clone()).accept(stream);
    match accepts.into_fallible().await {
        Ok(stream) => {
            begun.ends(Handshake::Done);
            let agreed = stream.get_ref().1.alpn_protocol().map(|protocol| protocol == HTTP2);
            Some((Stream::Tls(Box::new(Session::of_client(stream.into()))), agreed))
        }
        Err((error, mut stream)) => {
            begun.ends(Handshake::Failed);
            drop(begun);
            // rustls has told the client why. In TLS 1.3 that may have sent a request before it hears it.
            if error.kind() == io::ErrorKind::InvalidData {
                part(&mut stream, &[]).await;
            }
            None
        }
    }
}

/// Waits for the first byte of a handshake. Who speaks HTTP without TLS is told so. `None`: there is none, or none came while the proxy ends.
pub(super) async fn begin<'t>(
    stream: &mut TcpStream,
    traffic: &'t Traffic,
    draining: &mut watch::Receiver<bool>,
) -> Option<Begun<'t>> {
    let mut first = [0];
    // Who goes without a word, as checks of health do, has not begun one.
    if !matches!(unless_late(draining, stream.peek(&mut first)).await?, Ok(1)) {
        return None;
    }
    let mut begun = Begun {
        traffic,
        end: Handshake::GivenUp,
    };
    if first[0] == HANDSHAKE {
        return Some(begun);
    }
    begun.ends(Handshake::NoTls);
    if first[0].is_ascii_uppercase() {
        part(stream, plain().as_bytes()).await;
    }
    None
}

/// Says a last word.
pub(super) async fn part(stream: &mut TcpStream, says: &[u8]) {
    let said = async {
        stream.write_all(says).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(UNREAD), &mut tokio::io::sink()).await
    };
    // What becomes of it is seen by the client alone.
    let _late = timeout(PARTING, said).await;
}

/// What a client without TLS is told.
fn plain() -> String {
    let length = PLAIN.len();
    let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nconnection: close\r\n";
    format!("{head}content-length: {length}\r\n\r\n{PLAIN}")
}
