//! What a connection begins with: a request, or something else, which is carried byte by byte.

use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::Uri;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::Way;
use crate::connection::{LARGEST_HEAD, PREFACE};
use crate::wire::Wire;

/// After so long without a word of the client, its server is asked whether it speaks first, as those of MySQL, SMTP and SSH do.
const SILENT: Duration = Duration::from_millis(300);
/// In bytes, for the name of a method. The longest that is registered has 17.
const LONGEST_METHOD: usize = 32;

/// What it is.
#[derive(Debug)]
pub(crate) enum First {
    /// What was said so far of requests of HTTP/1, or the preface of HTTP/2.
    Request { said: Bytes, is_http2: bool },
    /// No request; with the connection to the server, if there is one already.
    Other { said: Bytes, upstream: Option<TcpStream> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http1,
    Http2,
    Other,
}

impl Way {
    /// Reads until it is sure what this is. A client that has said nothing may have to hear its server first; `late` ends its silence.
    /// `None`: it is over.
    pub(crate) async fn first(&self, client: &mut Wire, late: impl Future<Output = ()>) -> Option<First> {
        let mut said = BytesMut::new();
        tokio::select! {
            // In this order: who has said something is not silent.
            biased;
            read = client.read_buf(&mut said) => drop(read.ok()?),
            server = self.speaks_first() => return Some(First::Other { said: Bytes::new(), upstream: Some(server?) }),
            () = late => return None,
        }
        loop {
            let kind = match kind(&said) {
                // Its end is passed on as well.
                None if said.is_empty() || said.len() >= LARGEST_HEAD => Some(Kind::Other),
                kind => kind,
            };
            match kind {
                Some(Kind::Other) => break,
                Some(kind) => {
                    let (said, is_http2) = (said.freeze(), kind == Kind::Http2);
                    return Some(First::Request { said, is_http2 });
                }
                None if client.read_buf(&mut said).await.ok()? == 0 => break,
                None => {}
            }
        }
        let (said, upstream) = (said.freeze(), None);
        Some(First::Other { said, upstream })
    }

    /// The connection to a server that says something, or ends it, while its client is silent. `None`: there is no connection.
    async fn speaks_first(&self) -> Option<TcpStream> {
        sleep(SILENT).await;
        let upstream = self.connect().await.ok()?;
        upstream.peek(&mut [0]).await.ok()?;
        Some(upstream)
    }
}

/// What begins so. `None`: it is not sure yet.
fn kind(said: &[u8]) -> Option<Kind> {
    if said.starts_with(PREFACE) {
        return Some(Kind::Http2);
    }
    if PREFACE.starts_with(said) {
        return None;
    }
    // One empty line may stand before a request (RFC 9112, 2.2).
    let said = match said {
        b"\r" => return None,
        [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => rest,
        said => said,
    };
    if let Some(end) = said.iter().position(|byte| *byte == b'\n') {
        let line = said[..end].strip_suffix(b"\r").unwrap_or(&said[..end]);
        return Some(if is_request(line) { Kind::Http1 } else { Kind::Other });
    }
    let method = said.split(|byte| *byte == b' ').next().unwrap_or_default();
    let may_be = said.is_empty() || is_method(method);
    (!may_be).then_some(Kind::Other)
}

/// Whether this is the line of a request of HTTP/1 (RFC 9112, 3), and not of one that makes a tunnel. One whose target could not be passed on as
/// it is, as with bytes that are no text, quotes in a query or a fragment, is left to its server.
fn is_request(line: &[u8]) -> bool {
    let parts: Vec<_> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts.as_slice() else {
        return false;
    };
    let is_version = matches!(version.strip_prefix(b"HTTP/1."), Some([digit]) if digit.is_ascii_digit());
    is_method(method)
        && *method != b"CONNECT"
        && is_version
        && !target.contains(&b'#')
        && Uri::try_from(*target).is_ok()
}

/// Whether it is a token (RFC 9110, 5.6.2).
fn is_method(word: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    (1..=LONGEST_METHOD).contains(&word.len()) && word.iter().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_from_what_is_none() {
        for line in [
            "GET / HTTP/1.1\r\n",
            "\r\nPOST /a?b HTTP/1.0\r\nHost",
            "m-search * HTTP/1.1\n",
            "GET http://a/ HTTP/1.1\r\n",
            "GET /\u{e4} HTTP/1.1\r\n",
            "OPTIONS * HTTP/1.1\r\n",
            "GET /a^\"{}|?b^`{} HTTP/1.1\r\n",
        ] {
            assert_eq!(kind(line.as_bytes()), Some(Kind::Http1), "{line}");
        }
        assert_eq!(kind(PREFACE), Some(Kind::Http2));
        for open in [
            "",
            "G",
            "GET",
            "GET / HTTP/1.1",
            "\r",
            "\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
            "SSH-2.0-it",
        ] {
            assert_eq!(kind(open.as_bytes()), None, "{open}");
        }
    }

    #[test]
    fn protocols_that_begin_with_letters_are_no_requests() {
        for other in [
            // TLS, SOCKS, PostgreSQL, AMQP, and the second protocol of proxies.
            &[0x16, 3, 1][..],
            &[5, 1, 0],
            &[0, 0, 0, 8],
            b"AMQP\0\0\x09\x01",
            b"\r\n\r\n\0\r\nQUIT\n",
            // Redis, memcached, SSH, SMTP, the first protocol of proxies, HTTP/0.9, a tunnel, and a preface with another end.
            b"*1\r\n",
            b"PING\r\n",
            b"get a\r\n",
            b"SSH-2.0-it\r\n",
            b"EHLO it\r\n",
            b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
            b"GET /\r\n",
            b"CONNECT a:443 HTTP/1.1\r\n",
            b"PRI * HTTP/2.0\r\n\r\nXX",
            b"GET  HTTP/1.1\r\n",
            b"GET /\xff HTTP/1.1\r\n",
            b"GET http:///a HTTP/1.1\r\n",
            b"GET /a#b HTTP/1.1\r\n",
            b"GET /a?b#c HTTP/1.1\r\n",
            b"GET /s?q=\"x\" HTTP/1.1\r\n",
            b"GET /s?q=<x> HTTP/1.1\r\n",
            b"GET /<a> HTTP/1.1\r\n",
            b"GET /`a HTTP/1.1\r\n",
            &[b'a'; LONGEST_METHOD + 1],
        ] {
            assert_eq!(kind(other), Some(Kind::Other), "{other:?}");
        }
    }
}
