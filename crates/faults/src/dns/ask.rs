//! Questions of our own, of a meter and of whoever looks for a host, and what is answered: written and read apart from what the worker
//! of `dns` has for that.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use fracas_linux::intercept::go_past;
use fracas_linux::relay::{QUESTION_PORTS, go_past_all};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    V4,
    V6,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Its code, 0 where all is well.
    pub(crate) code: u8,
    pub(crate) addresses: Vec<IpAddr>,
    /// Whether these are all that there are.
    pub(crate) whole: bool,
    /// How long it took.
    pub(crate) took: Duration,
}

/// A socket that asks one name server.
pub(crate) struct Line {
    socket: UdpSocket,
    /// Whether answers may be as long as [`LONGEST`].
    roomy: bool,
    asked: Vec<Asked>,
}

/// Whose rules are asked about what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meets {
    /// All.
    All,
    /// Those of no fault on names.
    NoNames,
    /// None of Fracas, also not those for the answers.
    Nothing,
}

#[derive(Debug)]
struct Asked {
    question: Vec<u8>,
    /// Whether it says how long the answer may be.
    roomy: bool,
    at: Instant,
    heard: Option<Heard>,
}

const PORT: u16 = 53;
/// No answer to such a question is longer.
const LONGEST: usize = 4096;
/// So many pointers of a name are followed by no reader.
const MOST_RECORDS: usize = 64;
/// A server that cannot read the record about room, or does not know what it is for (RFC 6891, 7).
const UNREAD: [u8; 2] = [1, 4];
/// The header, and the types of records with addresses.
const HEADER: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
/// What a socket waits for at least: with none it would wait for ever.
const LEAST: Duration = Duration::from_millis(1);

impl Line {
    /// One in the network namespace of this thread.
    pub(crate) fn to(server: IpAddr, meets: Meets) -> io::Result<Self> {
        let any: IpAddr = if server.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = match meets {
            Meets::Nothing => by_own_port(any)?,
            Meets::All | Meets::NoNames => UdpSocket::bind(SocketAddr::new(any, 0))?,
        };
        match meets {
            Meets::All => {}
            Meets::NoNames => go_past(&socket)?,
            Meets::Nothing => go_past_all(&socket)?,
        }
        socket.connect(SocketAddr::new(server, PORT))?;
        Ok(Self {
            socket,
            roomy: meets == Meets::Nothing,
            asked: Vec::new(),
        })
    }

    /// Asks, and gives the number of the question. `id` is one that no other question of this line has.
    pub(crate) fn ask(&mut self, id: u16, name: &str, kind: Kind) -> io::Result<usize> {
        let mut asked = Asked {
            question: question(id, name, kind),
            roomy: self.roomy,
            at: Instant::now(),
            heard: None,
        };
        asked.send(&self.socket)?;
        self.asked.push(asked);
        Ok(self.asked.len() - 1)
    }

    /// Asks once more what has no answer, for it may have been lost; and without the record about room what was refused for it. Whether
    /// there was anything to ask.
    pub(crate) fn ask_again(&mut self) -> io::Result<bool> {
        let mut any = false;
        for asked in &mut self.asked {
            match &asked.heard {
                None => {}
                Some(heard) if asked.roomy && UNREAD.contains(&heard.code) => {
                    asked.roomy = false;
                    asked.heard = None;
                }
                Some(_) => continue,
            }
            asked.send(&self.socket)?;
            any = true;
        }
        Ok(any)
    }

    /// Takes answers for so long, or until all of these questions have one.
    pub(crate) fn listen(&mut self, limit: Duration, enough: &[usize]) -> io::Result<()> {
        let until = Instant::now() + limit;
        let mut buffer = [0; LONGEST];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let all = !enough.is_empty() && enough.iter().all(|number| self.heard(*number).is_some());
            if all || left.is_zero() {
                return Ok(());
            }
            self.socket.set_read_timeout(Some(left.max(LEAST)))?;
            match self.socket.recv(&mut buffer) {
                Ok(length) => self.take(&buffer[..length]),
                Err(error) if is_refused(&error) => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What was answered to a question. `None`: nothing.
    pub(crate) fn heard(&self, number: usize) -> Option<&Heard> {
        self.asked.get(number)?.heard.as_ref()
    }

    fn take(&mut self, message: &[u8]) {
        let now = Instant::now();
        for asked in &mut self.asked {
            if asked.heard.is_none()
                && let Some(heard) = answer(message, &asked.question, now.saturating_duration_since(asked.at))
            {
                asked.heard = Some(heard);
                return;
            }
        }
    }
}

impl Asked {
    fn send(&mut self, socket: &UdpSocket) -> io::Result<()> {
        let message = if self.roomy {
            with_room(&self.question)
        } else {
            self.question.clone()
        };
        self.at = Instant::now();
        // A refusal of what was sent before is told to whoever sends next (udp(7)).
        match socket.send(&message) {
            Err(error) if is_refused(&error) => match socket.send(&message) {
                Err(error) if !is_refused(&error) => Err(error),
                _ => Ok(()),
            },
            sent => sent.map(drop),
        }
    }
}

/// A socket by whose port its answers are known; where others have them all, by any.
fn by_own_port(any: IpAddr) -> io::Result<UdpSocket> {
    let mut free = QUESTION_PORTS.filter_map(|port| UdpSocket::bind(SocketAddr::new(any, port)).ok());
    match free.next() {
        Some(socket) => Ok(socket),
        None => UdpSocket::bind(SocketAddr::new(any, 0)),
    }
}

/// Nobody listens there.
fn is_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

fn question(id: u16, name: &str, kind: Kind) -> Vec<u8> {
    let kind = match kind {
        Kind::V4 => TYPE_A,
        Kind::V6 => TYPE_AAAA,
    };
    // To be looked for elsewhere, too; one question, of the internet.
    let mut message = [id, 0x0100, 1, 0, 0, 0].map(u16::to_be_bytes).concat();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend([kind, 1].map(u16::to_be_bytes).as_flattened());
    message
}

/// The question, with a record that says how long the answer may be (RFC 6891, 6.1.2).
fn with_room(question: &[u8]) -> Vec<u8> {
    let mut message = question.to_vec();
    // One more record at the end.
    message[11] = 1;
    message.push(0);
    message.extend([41, LONGEST as u16, 0, 0, 0].map(u16::to_be_bytes).as_flattened());
    message
}

/// What an answer to just this question says, which took so long. `None`: it is none.
fn answer(message: &[u8], question: &[u8], took: Duration) -> Option<Heard> {
    let is_answer = message.get(2)? & 0x80 != 0;
    // Who cannot read a question may say so without it.
    let code = message.get(3)? & 0xf;
    if message.get(..2)? == &question[..2]
        && is_answer
        && UNREAD.contains(&code)
        && message.len() == HEADER
        && message[4..] == [0; 8]
    {
        return Some(Heard {
            code,
            addresses: Vec::new(),
            whole: true,
            took,
        });
    }
    let same_question = message
        .get(HEADER..question.len())?
        .eq_ignore_ascii_case(&question[HEADER..]);
    if message.get(..2)? != &question[..2] || !is_answer || !same_question {
        return None;
    }
    let number = |at: usize| Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?));
    let (mut at, mut addresses) = (question.len(), Vec::new());
    let records = usize::from(number(6)?);
    let is_cut = message[2] & 2 != 0;
    for _ in 0..records.min(MOST_RECORDS) {
        at = behind_name(message, at)?;
        let (kind, length) = (number(at)?, usize::from(number(at + 8)?));
        let data = message.get(at + 10..at + 10 + length)?;
        match (kind, data.len()) {
            (TYPE_A, 4) => addresses.extend(data.first_chunk::<4>().map(|bytes| IpAddr::from(*bytes))),
            (TYPE_AAAA, 16) => addresses.extend(
                data.first_chunk::<16>()
                    .map(|bytes| IpAddr::from(*bytes).to_canonical()),
            ),
            // The other name that it is, and whatever else.
            _ => {}
        }
        at += 10 + length;
    }
    addresses.sort_unstable();
    Some(Heard {
        code,
        addresses,
        whole: !is_cut && records <= MOST_RECORDS,
        took,
    })
}

/// Where a name ends; what its pointers lead to is not asked.
fn behind_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*message.get(at)?) {
            0 => return Some(at + 1),
            0xc0.. => return Some(at + 2),
            length => at += length + 1,
        }
    }
}

/// Reads whatever it is. For the fuzzer.
pub(crate) fn fuzz(bytes: &[u8]) {
    let asked = question(0x0707, "a.example", Kind::V4);
    let _none = answer(bytes, &asked, Duration::ZERO);
    // As far as the question it is right.
    let mut message = asked.clone();
    message[2] |= 0x80;
    for (to, from) in message[3..HEADER].iter_mut().zip(bytes) {
        *to = *from;
    }
    message.extend(bytes.get(HEADER - 3..).unwrap_or_default());
    if let Some(heard) = answer(&message, &asked, Duration::ZERO) {
        assert!(heard.addresses.len() <= MOST_RECORDS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_behind_another_name() {
        let asked = question(7, "Db.example", Kind::V4);
        let mut message = asked.clone();
        message[2..4].copy_from_slice(&[0x81, 0x80]);
        message[7] = 2;
        // It is b.c, which is at 192.0.2.7.
        message.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 5, 1, b'b', 1, b'c', 0]);
        message.extend([1, b'b', 1, b'c', 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 7]);
        let answer = |message: &[u8], question: &[u8]| answer(message, question, Duration::ZERO);
        let expected = Heard {
            code: 0,
            addresses: vec![IpAddr::from([192, 0, 2, 7])],
            whole: true,
            took: Duration::ZERO,
        };
        assert_eq!(answer(&message, &asked), Some(expected.clone()));
        for length in 0..message.len() {
            assert_eq!(answer(&message[..length], &asked), None, "{length}");
        }
        assert_eq!(
            answer(&message, &question(8, "db.example", Kind::V4)),
            None,
            "another one's"
        );
        assert_eq!(answer(&message, &question(7, "db.example", Kind::V6)), None);
        assert_eq!(answer(&asked, &asked), None, "a question");
        let mut cut = message.clone();
        cut[2] |= 2;
        let part = Heard {
            whole: false,
            ..expected
        };
        assert_eq!(answer(&cut, &asked), Some(part), "there was more");
        fuzz(&message);
    }

    #[test]
    fn a_question_with_room_is_the_same_question() {
        let asked = question(7, "db", Kind::V6);
        let roomy = with_room(&asked);
        assert_eq!(roomy[..11], asked[..11]);
        assert_eq!(roomy[12..asked.len()], asked[12..]);
        assert_eq!(roomy[11], 1);
        assert_eq!(roomy[asked.len()..], [0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
    }

    /// A server, and a line to it that asks with room.
    fn line() -> (UdpSocket, Line) {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server.local_addr().unwrap()).unwrap();
        let line = Line {
            socket,
            roomy: true,
            asked: Vec::new(),
        };
        (server, line)
    }

    #[test]
    fn a_server_that_cannot_read_the_record_about_room_is_asked_without() {
        for code in UNREAD {
            for with_question in [true, false] {
                let (server, mut line) = line();
                let limit = Duration::from_secs(20);
                line.ask(7, "db", Kind::V4).unwrap();
                let mut buffer = [0; 512];
                let (length, from) = server.recv_from(&mut buffer).unwrap();
                let plain = question(7, "db", Kind::V4);
                assert_eq!(buffer[..length], with_room(&plain));
                let mut refusal = plain.clone();
                refusal[2..4].copy_from_slice(&[0x81, 0x80 | code]);
                if !with_question {
                    refusal.truncate(HEADER);
                    refusal[4..].fill(0);
                }
                server.send_to(&refusal, from).unwrap();
                line.listen(limit, &[0]).unwrap();
                assert_eq!(line.heard(0).unwrap().code, code);
                assert!(line.ask_again().unwrap());
                let (length, from) = server.recv_from(&mut buffer).unwrap();
                assert_eq!(buffer[..length], plain);
                let mut answer = plain.clone();
                answer[2..4].copy_from_slice(&[0x81, 0x80]);
                server.send_to(&answer, from).unwrap();
                line.listen(limit, &[0]).unwrap();
                assert_eq!(line.heard(0).unwrap().code, 0);
                assert!(!line.ask_again().unwrap(), "it is answered");
            }
        }
    }

    #[test]
    fn a_question_that_was_lost_is_asked_once_more_as_it_was() {
        let (server, mut line) = line();
        line.ask(7, "db", Kind::V4).unwrap();
        line.listen(Duration::ZERO, &[0]).unwrap();
        assert!(line.ask_again().unwrap());
        let (mut first, mut second) = ([0; 512], [0; 512]);
        let lengths = [server.recv(&mut first).unwrap(), server.recv(&mut second).unwrap()];
        assert_eq!(first[..lengths[0]], second[..lengths[1]]);
    }

    #[test]
    fn who_is_not_there_says_nothing_and_is_no_error() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server.local_addr().unwrap()).unwrap();
        drop(server);
        let mut line = Line {
            socket,
            roomy: false,
            asked: Vec::new(),
        };
        for id in 0..3 {
            line.ask(id, "a", Kind::V4).unwrap();
        }
        line.listen(Duration::from_millis(20), &[0]).unwrap();
        assert_eq!(line.heard(0), None);
    }
}
