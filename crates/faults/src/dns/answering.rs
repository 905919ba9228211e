//! What becomes of each packet to a name server: a pure function of what it carries, the order in which they come, and the seed.
//!
//! By UDP a packet is a question. By TCP a question has its length before it (RFC 1035, 4.2.2) and stands in one packet, or in the one
//! behind that of its length: no resolver cuts it up further. An answer by TCP takes the place of bytes that the name server has never
//! sent, so the connection cannot go on behind it. It is closed towards whoever asked, as a name server may do after any answer (RFC
//! 7766, 6.2.3), and reset towards the name server, and what still comes of it is answered here.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fracas_core::params::{self, Answer};
use fracas_core::seed::Seed;
use fracas_linux::intercept::{Fate, Sent};
use fracas_linux::packets::{Carrier, Parcel, flags};

use super::message::{Question, Said};

/// The questions of one injection, one after the other.
pub(super) struct Answering {
    params: params::Dns,
    addresses: Vec<IpAddr>,
    seed: Seed,
    identity: String,
    /// How many questions came so far for the names that are meant.
    count: u64,
    /// Whether a question by TCP was hit: what is sent again is the same question.
    drawn: Recent<(u32, bool)>,
    /// The length of a question that stands in a packet of its own, and where the question begins.
    begun: Recent<(u32, [u8; 2])>,
    closed: Recent<Closed>,
}

/// A connection that was closed behind an answer.
#[derive(Debug, Clone, Copy)]
struct Closed {
    /// Where the question began.
    question: u32,
    /// The number of the next byte to whoever asked.
    next: u32,
}

/// What is known of the connections that were met last.
#[derive(Debug)]
struct Recent<T>(VecDeque<(Flow, T)>);

/// A connection, from whoever asks to the name server.
type Flow = (SocketAddr, SocketAddr);

/// Questions by TCP are few, and each is looked for among all of these.
const MOST: usize = 512;
/// Questions in one packet.
const MOST_QUESTIONS: usize = 64;

/// What is done about some questions.
enum Hit {
    Late,
    Lost,
    /// An answer to each of them.
    Answered(Vec<Vec<u8>>),
}

impl<T: Copy> Recent<T> {
    fn new() -> Self {
        Self(VecDeque::new())
    }

    fn get(&self, flow: &Flow) -> Option<T> {
        self.0.iter().find(|(its, _)| its == flow).map(|(_, known)| *known)
    }

    fn forget(&mut self, flow: &Flow) {
        self.0.retain(|(its, _)| its != flow);
    }

    fn note(&mut self, flow: Flow, known: T) {
        self.forget(&flow);
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((flow, known));
    }
}

impl Answering {
    pub(super) fn new(params: params::Dns, seed: Seed, identity: String) -> Self {
        Self {
            addresses: params.addresses.iter().map(|address| address.0).collect(),
            params,
            seed,
            identity,
            count: 0,
            drawn: Recent::new(),
            begun: Recent::new(),
            closed: Recent::new(),
        }
    }

    pub(super) fn fate(&mut self, parcel: &Parcel) -> Fate {
        match parcel.carrier {
            Carrier::Udp => {
                let Some(hit) = self.hit(&[parcel.payload.as_slice()]) else {
                    return Fate::Pass;
                };
                if !self.draw() {
                    return Fate::Pass;
                }
                let answer = |bytes| {
                    Sent::Answer(Parcel {
                        from: parcel.to,
                        to: parcel.from,
                        carrier: Carrier::Udp,
                        payload: bytes,
                    })
                };
                self.done(hit, |answers| answers.into_iter().map(answer).collect())
            }
            Carrier::Tcp { sequence, next, flags } => self.by_tcp(parcel, sequence, next, flags),
        }
    }

    fn done(&self, hit: Hit, sent: impl FnOnce(Vec<Vec<u8>>) -> Vec<Sent>) -> Fate {
        match hit {
            Hit::Late => Fate::Later(self.params.delay.0),
            Hit::Lost => Fate::Replaced(Duration::ZERO, Vec::new()),
            Hit::Answered(answers) => Fate::Replaced(self.params.delay.0, sent(answers)),
        }
    }

    /// What is done about messages if chance takes them. `None`: none of them is about a name that is meant.
    fn hit(&self, messages: &[&[u8]]) -> Option<Hit> {
        let meant: Vec<_> = messages
            .iter()
            .filter_map(|message| Some((*message, Question::read(message)?)))
            .filter(|(_, question)| self.params.names.iter().any(|name| name.matches(&question.name)))
            .filter(|(_, question)| self.addresses.is_empty() || question.is_for_addresses())
            .collect();
        if meant.is_empty() {
            return None;
        }
        let said = match self.params.answer {
            Some(Answer::Timeout) => return Some(Hit::Lost),
            Some(answer) => Said::Code(code(answer)),
            None if self.addresses.is_empty() => return Some(Hit::Late),
            None => Said::Addresses(&self.addresses),
        };
        let answers = meant.iter().map(|(message, question)| question.answer(message, said));
        Some(Hit::Answered(answers.collect()))
    }

    fn draw(&mut self) -> bool {
        let draw = self.seed.draw("question", &self.identity, self.count);
        self.count += 1;
        draw.uniform() < self.params.probability.fraction()
    }

    fn by_tcp(&mut self, parcel: &Parcel, sequence: u32, next: u32, its: u8) -> Fate {
        let flow = (parcel.from, parcel.to);
        if its & flags::SYN != 0 {
            // Another connection between the same two.
            self.closed.forget(&flow);
            self.begun.forget(&flow);
            self.drawn.forget(&flow);
            return Fate::Pass;
        }
        if let Some(closed) = self.closed.get(&flow)
            && (parcel.payload.is_empty() || sequence != closed.question)
        {
            return self.behind(closed, parcel, sequence, next, its);
        }
        if let &[high, low] = parcel.payload.as_slice() {
            self.begun.note(flow, (sequence.wrapping_add(2), [high, low]));
            return Fate::Pass;
        }
        let before = self.begun.get(&flow).filter(|(at, _)| *at == sequence);
        let length = before.map(|(_, length)| length);
        let stream = [length.as_ref().map_or(&[][..], |length| length), &parcel.payload[..]].concat();
        let Some(hit) = self.hit(&messages(&stream)) else {
            return Fate::Pass;
        };
        let known = self.drawn.get(&flow).filter(|(at, _)| *at == sequence);
        let taken = known.map_or_else(|| self.draw(), |(_, taken)| taken);
        self.drawn.note(flow, (sequence, taken));
        if !taken {
            return Fate::Pass;
        }
        let mut closed = None;
        let fate = self.done(hit, |answers| {
            let payload: Vec<u8> = answers
                .iter()
                .flat_map(|answer| [&(answer.len() as u16).to_be_bytes()[..], answer.as_slice()].concat())
                .collect();
            closed = Some(Closed {
                question: sequence,
                // The end of a connection counts as a byte.
                next: next.wrapping_add(payload.len() as u32 + 1),
            });
            let answer = Carrier::Tcp {
                sequence: next,
                next: sequence.wrapping_add(parcel.payload.len() as u32),
                flags: flags::PSH | flags::ACK | flags::FIN,
            };
            // With the number of the byte that the name server waits for, else it does not believe it (RFC 5961, 3.2).
            let reset = Carrier::Tcp {
                sequence,
                next,
                flags: flags::RST | flags::ACK,
            };
            vec![
                Sent::Answer(back(parcel, answer, payload)),
                Sent::Onward(Parcel {
                    carrier: reset,
                    payload: Vec::new(),
                    ..parcel.clone()
                }),
            ]
        });
        if let Some(closed) = closed {
            self.closed.note(flow, closed);
        }
        fate
    }

    /// What still comes of a connection that was closed here. The name server knows nothing of it any more.
    fn behind(&mut self, closed: Closed, parcel: &Parcel, sequence: u32, next: u32, its: u8) -> Fate {
        let answer = |carrier| vec![Sent::Answer(back(parcel, carrier, Vec::new()))];
        let sent = if its & flags::RST != 0 {
            self.closed.forget(&(parcel.from, parcel.to));
            Vec::new()
        } else if its & flags::FIN != 0 {
            let end = sequence.wrapping_add(parcel.payload.len() as u32 + 1);
            answer(Carrier::Tcp {
                sequence: closed.next,
                next: end,
                flags: flags::ACK,
            })
        } else if !parcel.payload.is_empty() {
            // A further question: it has to be asked by another connection.
            answer(Carrier::Tcp {
                sequence: next,
                next: 0,
                flags: flags::RST,
            })
        } else {
            Vec::new()
        };
        Fate::Replaced(Duration::ZERO, sent)
    }
}

fn back(parcel: &Parcel, carrier: Carrier, payload: Vec<u8>) -> Parcel {
    Parcel {
        from: parcel.to,
        to: parcel.from,
        carrier,
        payload,
    }
}

/// The code of an answer (RFC 1035, 4.1.1).
fn code(answer: Answer) -> u8 {
    match answer {
        Answer::Servfail => 2,
        Answer::Nxdomain => 3,
        Answer::Refused => 5,
        // Nothing is no code.
        Answer::Timeout => 0,
    }
}

/// The messages in a part of a stream, each behind its length; of the last one as much as is there.
fn messages(stream: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut rest = stream;
    while let Some((length, more)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(more.len());
        let (message, behind) = more.split_at(length);
        found.push(message);
        rest = behind;
        if found.len() >= MOST_QUESTIONS {
            break;
        }
    }
    found
}

/// Reads whatever it is as what comes of a connection. For the fuzzer.
pub(super) fn fuzz(bytes: &[u8]) {
    let mut params = params::Dns::new(vec![fracas_core::names::NamePattern::all()]);
    params.answer = Some(Answer::Nxdomain);
    let mut answering = Answering::new(params, Seed(0), String::new());
    for (number, payload) in bytes.chunks(300).enumerate() {
        let carrier = Carrier::Tcp {
            sequence: number as u32,
            next: 0,
            flags: payload[0],
        };
        for carrier in [Carrier::Udp, carrier] {
            let _any = answering.fate(&Parcel {
                from: SocketAddr::from(([10, 0, 0, 1], 1)),
                to: SocketAddr::from(([10, 0, 0, 2], 53)),
                carrier,
                payload: payload.to_vec(),
            });
        }
    }
}

#[cfg(test)]
mod tests;
