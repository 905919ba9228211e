//! Requests of our own: written and read apart from the proxy that answers them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use fracas_proxy::{CANARY, REPORT};

/// For a connection over the loopback device, which the kernel makes by itself.
const CONNECT: Duration = Duration::from_millis(500);
/// For a report, which nothing holds up.
const SOON: Duration = Duration::from_millis(500);
/// No answer to a canary or for a report is longer.
const LONGEST: usize = 8 << 10;
/// Between two looks at what has come.
const LOOK: Duration = Duration::from_micros(500);

/// What became of a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// An answer with this status, whose head came after so long, and whether its body is the one that a canary has.
    Answer { status: u16, took: Duration, whole: bool },
    /// The connection ended without one.
    Ended,
    /// Nothing yet.
    Open,
}

/// A canary that is under way.
pub(super) struct Canary {
    stream: TcpStream,
    began: Instant,
    /// When its first byte came.
    first: Option<Duration>,
    said: Vec<u8>,
    over: bool,
}

/// Asked when a connection is open, and before anything is said: whether it must be one to the worker. The secret is for nobody else.
pub(super) type Sure<'a> = &'a mut dyn FnMut() -> io::Result<()>;

/// How many requests of others came, and how many of them were hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Report {
    pub(super) asked: u64,
    pub(super) hit: u64,
}

impl Canary {
    /// Sends one by this name, in the namespace of this thread.
    ///
    /// # Errors
    /// There is no connection, or nobody says that it is one to the worker.
    pub(super) fn send(to: SocketAddr, secret: &str, name: &str, sure: Sure<'_>) -> io::Result<Self> {
        let (stream, began) = ask(to, &format!("{CANARY}: {secret}\r\nx-request-id: {name}\r\n"), sure)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            began,
            first: None,
            said: Vec::new(),
            over: false,
        })
    }

    /// Takes what has come. Whether nothing more does.
    fn look(&mut self) -> bool {
        let mut part = [0; 2048];
        while !self.over {
            match self.stream.read(&mut part) {
                Ok(0) => self.over = true,
                Ok(count) => {
                    self.first.get_or_insert_with(|| self.began.elapsed());
                    self.said.extend_from_slice(&part[..count]);
                    self.over = self.said.len() > LONGEST;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.over = true,
            }
        }
        true
    }

    /// What became of it.
    pub(super) fn heard(&self) -> Heard {
        match (self.first.zip(status(&self.said)), self.over) {
            (Some((took, status)), true) => Heard::Answer {
                status,
                took,
                whole: is_whole(&self.said),
            },
            (_, true) => Heard::Ended,
            (_, false) => Heard::Open,
        }
    }
}

/// Looks at all of them until each is over, at most so long.
#[expect(
    clippy::disallowed_methods,
    reason = "it looks again within a limit, in a thread that may block"
)]
pub(super) fn listen(all: &mut [Canary], limit: Duration, until_over: bool) {
    let began = Instant::now();
    loop {
        let mut open = 0_usize;
        for canary in all.iter_mut() {
            open += usize::from(!canary.look());
        }
        if until_over && open == 0 || began.elapsed() >= limit {
            return;
        }
        std::thread::sleep(LOOK);
    }
}

/// Asks what came of others. `None`: whoever answers does not know the secret.
///
/// # Errors
/// Nobody answers.
pub(super) fn report(to: SocketAddr, secret: &str, sure: Sure<'_>) -> io::Result<Option<(Report, Duration)>> {
    let (stream, began) = ask(to, &format!("{REPORT}: {secret}\r\n"), sure)?;
    stream.set_read_timeout(Some(SOON))?;
    let mut said = Vec::new();
    (&stream).take(LONGEST as u64).read_to_end(&mut said)?;
    Ok(read_report(&said).map(|report| (report, began.elapsed())))
}

/// Asks, and says when.
fn ask(to: SocketAddr, headers: &str, sure: Sure<'_>) -> io::Result<(TcpStream, Instant)> {
    let mut stream = TcpStream::connect_timeout(&to, CONNECT)?;
    sure()?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(SOON))?;
    let began = Instant::now();
    // In one go.
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {to}\r\n{headers}Connection: close\r\n\r\n").as_bytes())?;
    Ok((stream, began))
}

fn read_report(said: &[u8]) -> Option<Report> {
    let body = std::str::from_utf8(body(said)?).ok()?;
    let mut numbers = body.split_ascii_whitespace().map(str::parse);
    let (Some(Ok(asked)), Some(Ok(hit)), None) = (numbers.next(), numbers.next(), numbers.next()) else {
        return None;
    };
    (status(said) == Some(200)).then_some(Report { asked, hit })
}

/// The status of an answer whose head is there.
fn status(said: &[u8]) -> Option<u16> {
    body(said)?;
    let digits = said.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn body(said: &[u8]) -> Option<&[u8]> {
    let end = said.windows(4).position(|four| four == b"\r\n\r\n")?;
    said.get(end + 4..)
}

/// Whether the body is as it was made: a thousand points.
fn is_whole(said: &[u8]) -> bool {
    body(said).is_some_and(|body| body.len() == 1000 && body.iter().all(|byte| *byte == b'.'))
}

/// Reads whatever it is, as an answer and as a report. For the fuzzer.
pub(super) fn fuzz(bytes: &[u8]) {
    let _nothing = (read_report(bytes), status(bytes), is_whole(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let answer = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n{body}").into_bytes();
        assert_eq!(read_report(&answer("7 3\n")), Some(Report { asked: 7, hit: 3 }));
        for wrong in ["7\n", "7 3 1", "x y", "", "-1 2"] {
            assert_eq!(read_report(&answer(wrong)), None, "{wrong}");
        }
        assert_eq!(read_report(b"HTTP/1.1 404 Not Found\r\n\r\n1 1"), None);
        assert_eq!(status(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), Some(503));
        for none in [
            &b"HTTP/1.1 503 Service"[..],
            b"HTTP/1.1\r\n\r\n",
            b"SSH-2.0\r\n\r\n",
            b"",
        ] {
            assert_eq!(status(none), None);
        }
        assert!(is_whole(&answer(&".".repeat(1000))));
        for broken in [".".repeat(999), format!("{},", ".".repeat(999)), ".".repeat(1001)] {
            assert!(!is_whole(&answer(&broken)));
        }
    }
}
