//! Questions to name servers, and answers that are made up (RFC 1035, 4.1).
//!
//! Only the question is read, which stands at the beginning and without pointers: all else goes on unread, so there is nothing here that
//! a whole library for DNS would do better, and little that hostile bytes can do.

use std::fmt::Write;
use std::net::IpAddr;

/// Types of questions.
pub(super) const A: u16 = 1;
pub(super) const AAAA: u16 = 28;
/// The internet.
const IN: u16 = 1;
const HEADER: usize = 12;
/// The longest name, with the lengths of its parts.
const LONGEST_NAME: usize = 255;
/// The type of the record that says what whoever asks can do (RFC 6891).
const OPT: u16 = 41;
/// How many bytes an answer by UDP may have that nobody cuts up: <https://www.dnsflagday.net/2020/>.
const LONGEST_UDP: u16 = 1232;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// The name in lower case, without a dot at its end. What is no letter, digit, `-` or `_` in it stands as `\` and its number.
    pub(super) name: String,
    pub(super) kind: u16,
    pub(super) class: u16,
    /// Where it ends in the message.
    end: usize,
}

/// What is said to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// This code: 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED.
    Code(u8),
    /// These of the addresses that are of the type that was asked for.
    Addresses(&'a [IpAddr]),
}

impl Question {
    /// Reads it. `None`: the message is no plain question for one name.
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER] = message.first_chunk()?;
        // An answer, or another operation than a question.
        if header[2] & 0b1111_1000 != 0 || header[4..6] != [0, 1] {
            return None;
        }
        let (mut at, mut name) = (HEADER, String::new());
        loop {
            let length = usize::from(*message.get(at)?);
            if length == 0 {
                break;
            }
            // A pointer, of which a question has none.
            if length > 63 || at + 1 + length - HEADER >= LONGEST_NAME {
                return None;
            }
            if !name.is_empty() {
                name.push('.');
            }
            for byte in message.get(at + 1..at + 1 + length)? {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => {
                        name.push(char::from(byte.to_ascii_lowercase()));
                    }
                    other => {
                        // To write into a text cannot fail.
                        let _written = write!(name, "\\{other:03}");
                    }
                }
            }
            at += 1 + length;
        }
        let number = |at: usize| Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?));
        Some(Self {
            name,
            kind: number(at + 1)?,
            class: number(at + 3)?,
            end: at + 5,
        })
    }

    /// Whether it asks for addresses.
    pub(super) fn is_for_addresses(&self) -> bool {
        self.class == IN && matches!(self.kind, A | AAAA)
    }

    /// An answer to it. Nobody may keep it: what has addresses has no time to live, and what says that there is none has no record that
    /// says for how long (RFC 2308, 5).
    pub(super) fn answer(&self, message: &[u8], said: Said<'_>) -> Vec<u8> {
        let (code, addresses) = match said {
            Said::Code(code) => (code, &[][..]),
            Said::Addresses(all) => (0, all),
        };
        let records: Vec<_> = addresses.iter().filter_map(|address| self.record(*address)).collect();
        let opt = self.has_opt(message);
        let mut answer = message[..self.end].to_vec();
        // An answer; whether it is to be looked for as in the question; that others are asked where it is needed.
        answer[2] = 0b1000_0000 | message[2] & 1;
        answer[3] = 0b1000_0000 | code;
        answer[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
        answer[8..HEADER].copy_from_slice(&[0, 0, 0, u8::from(opt)]);
        answer.extend(records.concat());
        if opt {
            // Who gets none back takes the name server for an old one, also when the fault is gone.
            answer.push(0);
            answer.extend([OPT, LONGEST_UDP, 0, 0, 0].map(u16::to_be_bytes).as_flattened());
        }
        answer
    }

    /// A record with an address; `None`: that was not asked for.
    fn record(&self, address: IpAddr) -> Option<Vec<u8>> {
        let data = match (address, self.kind) {
            (IpAddr::V4(address), A) => address.octets().to_vec(),
            (IpAddr::V6(address), AAAA) => address.octets().to_vec(),
            _ => return None,
        };
        // The name is where it stands in the question; a time to live of 0.
        let mut record = [0xc000 | HEADER as u16, self.kind, IN, 0, 0, data.len() as u16]
            .map(u16::to_be_bytes)
            .concat();
        record.extend(data);
        Some(record)
    }

    /// Whether the question says what whoever asks can do: nothing else stands behind it.
    fn has_opt(&self, message: &[u8]) -> bool {
        let [high, low] = OPT.to_be_bytes();
        message[6..10] == [0; 4] && message.get(self.end..self.end + 3) == Some(&[0, high, low])
    }
}

/// Reads whatever it is. For the fuzzer.
pub(super) fn fuzz(bytes: &[u8]) {
    let Some(question) = Question::read(bytes) else { return };
    let addresses = [IpAddr::from([192, 0, 2, 7]), IpAddr::from([0x2001; 8])];
    for said in [Said::Code(3), Said::Addresses(&addresses)] {
        let answer = question.answer(bytes, said);
        assert!(answer.len() <= 512, "it fits wherever an answer does");
        assert!(Question::read(&answer).is_none(), "an answer is no question");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A question with `more` behind it.
    fn question(name: &str, kind: u16, more: &[u8]) -> Vec<u8> {
        let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!more.is_empty())];
        for label in name.split('.') {
            message.push(label.len() as u8);
            message.extend(label.bytes());
        }
        message.push(0);
        message.extend([kind, IN].map(u16::to_be_bytes).as_flattened());
        message.extend(more);
        message
    }

    #[test]
    fn the_name_and_the_type_are_read() {
        let message = question("Db.EXAMPLE.com", AAAA, &[]);
        let read = Question::read(&message).unwrap();
        assert_eq!(
            (read.name.as_str(), read.kind, read.class),
            ("db.example.com", AAAA, IN)
        );
        assert!(read.is_for_addresses());
        // A dot within a part is not one between two.
        let mut message = question("a-b.example", 15, &[]);
        message[HEADER + 2] = b'.';
        let read = Question::read(&message).unwrap();
        assert_eq!(read.name, "a\\046b.example");
        assert!(!read.is_for_addresses());
    }

    #[test]
    fn what_is_no_question_is_none() {
        let whole = question("db.example.com", A, &[]);
        for length in 0..whole.len() {
            assert_eq!(Question::read(&whole[..length]), None, "{length}");
        }
        for (at, byte) in [(2, 0x81), (2, 0x28), (5, 0), (5, 2), (HEADER, 0xc0), (HEADER, 64)] {
            let mut broken = whole.clone();
            broken[at] = byte;
            assert_eq!(Question::read(&broken), None, "{byte} at {at}");
        }
        let long = vec!["a".repeat(63); 4].join(".");
        assert_eq!(Question::read(&question(&long, A, &[])), None, "256 bytes");
        let longest = [&vec!["a".repeat(63); 3].join("."), ".", &"a".repeat(61)].concat();
        assert!(Question::read(&question(&longest, A, &[])).is_some(), "255 bytes");
    }

    #[test]
    fn an_answer_has_the_question_and_cannot_be_kept() {
        let message = question("db.example", A, &[]);
        let read = Question::read(&message).unwrap();
        let answer = read.answer(&message, Said::Code(3));
        assert_eq!(answer[..4], [0xab, 0xcd, 0x81, 0x83]);
        assert_eq!(answer[4..12], [0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(answer[12..], message[12..], "nothing says for how long");
        let addresses = [IpAddr::from([192, 0, 2, 7]), IpAddr::from([0x2001; 8])];
        let answer = read.answer(&message, Said::Addresses(&addresses));
        assert_eq!(answer[2..4], [0x81, 0x80]);
        let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 7];
        assert_eq!(answer[message.len()..], record);
        let message = question("db.example", AAAA, &[]);
        let read = Question::read(&message).unwrap();
        let answer = read.answer(&message, Said::Addresses(&addresses[..1]));
        assert_eq!(answer[3] & 0xf, 0, "there is such a name");
        assert_eq!(answer.len(), message.len(), "and no address of this type");
    }

    #[test]
    fn who_says_what_he_can_is_told_the_same() {
        let opt = [0, 0, 41, 16, 0, 0, 0, 128, 0, 0, 0];
        let message = question("db.example", A, &opt);
        let read = Question::read(&message).unwrap();
        let answer = read.answer(&message, Said::Code(2));
        assert_eq!(answer[11], 1);
        assert_eq!(answer[answer.len() - 11..], [0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]);
        fuzz(&message);
    }
}
