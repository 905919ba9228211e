//! As much of HTTP as the shop needs: one request per connection, a status and a short text.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A whole request head.
const HEAD: u64 = 8 << 10;
/// A whole answer.
const ANSWER: u64 = 4 << 10;
/// A client that says nothing for so long is left alone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks a port of loopback for its page. Returns the status.
pub(crate) async fn ask(port: u16, limit: Duration) -> io::Result<u16> {
    timeout(limit, fetch(port))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn fetch(port: u16) -> io::Result<u16> {
    let mut peer = TcpStream::connect(("127.0.0.1", port)).await?;
    peer.write_all(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    peer.take(ANSWER).read_to_end(&mut answer).await?;
    status(&answer).ok_or_else(|| io::Error::other("the answer is no HTTP"))
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(answer.get(..12)?).ok()?;
    line.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

/// Reads the head of a request. What it asks for does not matter: there is one page.
pub(crate) async fn request(peer: &mut TcpStream) -> io::Result<()> {
    let mut head = BufReader::new(peer.take(HEAD));
    let mut line = String::new();
    let read = async {
        // Until the empty line: a socket that is closed with unread bytes resets the connection.
        while head.read_line(&mut line).await? > 2 {
            line.clear();
        }
        Ok(())
    };
    timeout(PATIENCE, read)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Answers.
pub(crate) async fn answer(peer: &mut TcpStream, well: bool) -> io::Result<()> {
    let (status, body) = if well {
        ("200 OK", "the shop is open\n")
    } else {
        ("503 Service Unavailable", "the shop is closed\n")
    };
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    timeout(PATIENCE, peer.write_all(text.as_bytes()))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_in_http_has_a_status() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.1 503 Service Unavailable"), Some(503));
        for wrong in [&b"HTTP/1.1 2"[..], b"HTTP/2.0 200 OK", b"", b"\xff\xfe00000000000000"] {
            assert_eq!(status(wrong), None);
        }
    }

    #[tokio::test]
    async fn what_is_answered_is_what_is_asked_for() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = async {
            for well in [true, false] {
                let (mut peer, _) = listener.accept().await.unwrap();
                request(&mut peer).await.unwrap();
                answer(&mut peer, well).await.unwrap();
            }
        };
        let limit = Duration::from_secs(5);
        let (first, ()) = tokio::join!(async { (ask(port, limit).await, ask(port, limit).await) }, serve);
        assert_eq!((first.0.unwrap(), first.1.unwrap()), (200, 503));
    }
}
