//! Requests of our own: written and read apart from the proxy that answers them.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use fracas_proxy::{ABOUT, CANARY, REPORT};

/// For a connection over the loopback device, which the kernel makes by itself.
const CONNECT: Duration = Duration::from_millis(500);
/// For a report, which nothing holds up.
const SOON: Duration = Duration::from_millis(500);
/// No answer to a canary or for a report is longer.
const LONGEST: usize = 16 << 10;
/// Between two looks at what has come.
const LOOK: Duration = Duration::from_micros(500);

/// In bytes, the body of an answer to a request that meets nothing.
const SONG: usize = 1000;
/// The first byte of a frame of WebSocket that is a text, and of one that closes (RFC 6455, 5.2).
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
/// In bytes, the text of a message of WebSocket, which is all points.
const WORDS: usize = 20;

/// What a canary asks, and what it gets if it meets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asks {
    pub(super) method: String,
    pub(super) path: String,
    /// What it is about, if that is one part alone.
    pub(super) about: Option<String>,
    /// Further lines of its head.
    pub(super) headers: &'static str,
    pub(super) body: String,
    pub(super) song: Song,
}

/// An answer that met nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Song {
    /// A thousand points.
    Points,
    /// No body.
    Head,
    /// This body.
    Text(String),
    /// The same. One with an error has no data.
    Graphql(&'static str),
    /// So many messages of gRPC without a byte.
    Calls(usize),
    /// So many messages of WebSocket, and a close frame without a code.
    Messages(usize),
}

/// What became of a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// An answer, whose head came after so long, and whether its body is the one that a canary has.
    Answer { passed: bool, took: Duration, whole: bool },
    /// Messages.
    Messages(Messages),
    /// The connection ended without one.
    Ended,
    /// Nothing yet.
    Open,
}

/// What came by a connection of WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Messages {
    /// So many there were.
    pub(super) of: u64,
    /// How long after the one before it each came that came; the first, after it was asked.
    pub(super) gaps: Vec<Duration>,
    /// How many of them were others.
    pub(super) harmed: u64,
    /// Whether it was closed in the place of one.
    pub(super) is_closed: bool,
    /// Whether no more comes.
    pub(super) is_over: bool,
}

/// A canary that is under way.
pub(super) struct Canary {
    stream: TcpStream,
    song: Song,
    began: Instant,
    /// When so many bytes were there.
    marks: Vec<(usize, Duration)>,
    said: Vec<u8>,
    over: bool,
}

/// Asked when a connection is open, and before anything is said: whether it must be one to the worker. The secret is for nobody else.
pub(super) type Sure<'a> = &'a mut dyn FnMut() -> io::Result<()>;

/// How many requests of others came, and how many of them were hit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Report {
    pub(super) asked: u64,
    pub(super) hit: u64,
    /// Of each part, by its name: how many it was about, and how often it hit one.
    pub(super) parts: BTreeMap<String, (u64, u64)>,
}

impl Canary {
    /// Sends one by this name, in the namespace of this thread.
    ///
    /// # Errors
    /// There is no connection, or nobody says that it is one to the worker.
    pub(super) fn send(to: SocketAddr, secret: &str, name: &str, asks: &Asks, sure: Sure<'_>) -> io::Result<Self> {
        let about = asks.about.as_ref().map(|about| format!("{ABOUT}: {about}\r\n"));
        let length = match asks.body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        let lines = [
            &format!("{CANARY}: {secret}\r\nx-request-id: {name}\r\n"),
            about.as_deref().unwrap_or_default(),
            asks.headers,
            &length,
        ];
        let (stream, began) = ask(to, (&asks.method, &asks.path), &lines.concat(), &asks.body, sure)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            song: asks.song.clone(),
            began,
            marks: Vec::new(),
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
                    self.said.extend_from_slice(&part[..count]);
                    self.marks.push((self.said.len(), self.began.elapsed()));
                    self.over = self.said.len() > LONGEST || self.is_closed();
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
        let answer = status(&self.said).zip(self.marks.first());
        match (answer, self.over) {
            (Some((101, (_, _))), _) if matches!(self.song, Song::Messages(_)) => Heard::Messages(self.messages()),
            (Some((status, (_, took))), true) => {
                let body = body(&self.said).unwrap_or_default();
                Heard::Answer {
                    passed: status == 200 && !self.song.is_error(body),
                    took: *took,
                    whole: self.song.is_whole(body),
                }
            }
            (_, true) => Heard::Ended,
            (_, false) => Heard::Open,
        }
    }

    /// The messages that have come so far.
    fn messages(&self) -> Messages {
        let Song::Messages(of) = self.song else {
            return Messages::default();
        };
        let mut messages = Messages {
            of: of as u64,
            is_over: self.over,
            ..Messages::default()
        };
        let mut rest = body(&self.said).unwrap_or_default();
        let mut before = Duration::ZERO;
        while let [kind, length, behind @ ..] = rest {
            let Some((payload, next)) = behind.split_at_checked(usize::from(*length)) else {
                break;
            };
            let when = self.when(self.said.len() - next.len());
            match *kind {
                TEXT => {
                    messages.gaps.push(when.saturating_sub(before));
                    messages.harmed += u64::from(payload != [b'.'; WORDS]);
                }
                // That of its other end has no code.
                CLOSE => {
                    messages.is_closed |= !payload.is_empty();
                    messages.is_over = true;
                }
                _ => messages.harmed += 1,
            }
            (before, rest) = (when, next);
        }
        messages
    }

    /// When so many bytes were there.
    fn when(&self, count: usize) -> Duration {
        let mark = self.marks.iter().find(|(there, _)| *there >= count);
        mark.map_or(Duration::ZERO, |(_, when)| *when)
    }

    /// Whether the other end of a connection of messages has closed it, and so has nothing more to say.
    fn is_closed(&self) -> bool {
        matches!(self.song, Song::Messages(_)) && status(&self.said) == Some(101) && self.messages().is_over
    }
}

impl Song {
    fn is_whole(&self, body: &[u8]) -> bool {
        match self {
            Self::Points => body.len() == SONG && body.iter().all(|byte| *byte == b'.'),
            Self::Head => true,
            Self::Text(text) => body == text.as_bytes(),
            Self::Graphql(data) => body == data.as_bytes(),
            Self::Calls(count) => body.len() == count * 5 && body.iter().all(|byte| *byte == 0),
            Self::Messages(_) => false,
        }
    }

    /// Whether a body says that nothing came of a request.
    fn is_error(&self, body: &[u8]) -> bool {
        const NO_DATA: &[u8] = b"\"data\":null";
        matches!(self, Self::Graphql(_)) && body.windows(NO_DATA.len()).any(|part| part == NO_DATA)
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
    let (stream, began) = ask(to, ("GET", "/"), &format!("{REPORT}: {secret}\r\n"), "", sure)?;
    stream.set_read_timeout(Some(SOON))?;
    let mut said = Vec::new();
    (&stream).take(LONGEST as u64).read_to_end(&mut said)?;
    Ok(read_report(&said).map(|report| (report, began.elapsed())))
}

/// Asks, and says when.
fn ask(
    to: SocketAddr,
    (method, path): (&str, &str),
    headers: &str,
    body: &str,
    sure: Sure<'_>,
) -> io::Result<(TcpStream, Instant)> {
    let mut stream = TcpStream::connect_timeout(&to, CONNECT)?;
    sure()?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(SOON))?;
    let connection = if headers.contains("Upgrade") {
        ""
    } else {
        "Connection: close\r\n"
    };
    let began = Instant::now();
    // In one go.
    let text = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\n{headers}{connection}\r\n{body}");
    stream.write_all(text.as_bytes())?;
    Ok((stream, began))
}

fn read_report(said: &[u8]) -> Option<Report> {
    let mut lines = std::str::from_utf8(body(said)?).ok()?.lines();
    let two = |text: &str| {
        let (came, hit) = text.split_once(' ')?;
        Some((came.parse().ok()?, hit.parse().ok()?))
    };
    let (asked, hit) = two(lines.next()?)?;
    let part = |line: &str| {
        let (name, numbers) = line.split_once(' ')?;
        Some((name.to_owned(), two(numbers)?))
    };
    let parts = lines.map(part).collect::<Option<_>>()?;
    (status(said) == Some(200)).then_some(Report { asked, hit, parts })
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

/// Reads whatever it is, as an answer and as a report. For the fuzzer.
pub(super) fn fuzz(bytes: &[u8]) {
    let _nothing = (read_report(bytes), status(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let answer = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n{body}").into_bytes();
        let report = |parts: &[(&str, (u64, u64))]| Report {
            asked: 7,
            hit: 3,
            parts: parts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        };
        assert_eq!(read_report(&answer("7 3\n")), Some(report(&[])));
        assert_eq!(
            read_report(&answer("7 3\ngrpc 2 1\nrule.a 0 0\n")),
            Some(report(&[("grpc", (2, 1)), ("rule.a", (0, 0))]))
        );
        for wrong in [
            "7\n",
            "7 3 1",
            "x y",
            "",
            "-1 2",
            "7 3\ngrpc 2",
            "7 3\ngrpc 2 x",
            "7 3\n\n",
        ] {
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
        assert!(Song::Points.is_whole(".".repeat(1000).as_bytes()));
        for broken in [".".repeat(999), format!("{},", ".".repeat(999)), ".".repeat(1001)] {
            assert!(!Song::Points.is_whole(broken.as_bytes()));
        }
        let graphql = Song::Graphql(r#"{"data":{"a":1}}"#);
        assert!(graphql.is_error(br#"{"errors":[],"data":null}"#) && !graphql.is_error(br#"{"data":{"a":null}}"#));
        assert!(Song::Calls(2).is_whole(&[0; 10]) && !Song::Calls(2).is_whole(&[0; 5]));
    }

    /// A canary that has heard this, one part after the other, each 10 ms after the one before.
    fn heard(parts: &[&[u8]], over: bool) -> Heard {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut canary = Canary {
            stream: TcpStream::connect(listener.local_addr().unwrap()).unwrap(),
            song: Song::Messages(4),
            began: Instant::now(),
            marks: Vec::new(),
            said: Vec::new(),
            over,
        };
        let mut when = Duration::ZERO;
        for part in parts {
            when += Duration::from_millis(10);
            canary.said.extend_from_slice(part);
            canary.marks.push((canary.said.len(), when));
        }
        canary.heard()
    }

    #[test]
    fn messages_are_read() {
        const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        let whole = [&[TEXT, 20][..], &[b'.'; 20]].concat();
        let mut other = whole.clone();
        other[7] = b'/';
        let ms = |times: &[u64]| {
            times
                .iter()
                .map(|time| Duration::from_millis(*time))
                .collect::<Vec<_>>()
        };
        let messages = |gaps: &[u64], harmed, is_closed, is_over| {
            Heard::Messages(Messages {
                of: 4,
                gaps: ms(gaps),
                harmed,
                is_closed,
                is_over,
            })
        };
        // Its head with the first, two at once, and the end of the other side.
        let first = [HEAD, &whole].concat();
        let two = [&other[..], &whole].concat();
        assert_eq!(
            heard(&[&first, &two, &[CLOSE, 0]], false),
            messages(&[10, 10, 0], 1, false, true)
        );
        let closed = [&[CLOSE, 5, 3, 0xf3][..], b"abc"].concat();
        assert_eq!(heard(&[HEAD, &whole, &closed], false), messages(&[20], 0, true, true));
        // A part of one is none yet.
        assert_eq!(heard(&[HEAD, &whole[..9]], false), messages(&[], 0, false, false));
        assert_eq!(
            heard(&[HEAD, &whole[..9], &whole[9..]], true),
            messages(&[30], 0, false, true)
        );
        assert_eq!(heard(&[b"HTTP/1.1 101"], true), Heard::Ended);
    }
}
