//! Messages to be sent.

use std::io;

use super::aligned;
use super::attribute;
use crate::error::invalid;

/// Length, type, flags, sequence number and port (`struct nlmsghdr`).
pub(crate) const HEADER: usize = 16;
/// The length of an attribute has two bytes.
const LONGEST_ATTRIBUTE: usize = u16::MAX as usize;
/// What one message may have; the kernel takes no more than the socket's send buffer.
const LONGEST: usize = 1 << 17;

/// A message to be sent: a fixed part that depends on its type, then attributes.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
    /// What could not be written; told when the message is finished.
    wrong: Option<String>,
}

impl Message {
    /// A message of this type (`RTM_NEWLINK` …) with these flags besides those that every request has, and its fixed part.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(fixed);
        let mut message = Self { bytes, wrong: None };
        message.pad();
        message
    }

    /// Adds an attribute.
    #[must_use]
    pub fn put(mut self, kind: u16, value: &[u8]) -> Self {
        let start = self.begin(kind);
        self.bytes.extend_from_slice(value);
        self.end(start);
        self
    }

    /// Adds a number of one byte.
    #[must_use]
    pub fn put_u8(self, kind: u16, value: u8) -> Self {
        self.put(kind, &[value])
    }

    /// Adds a number of four bytes.
    #[must_use]
    pub fn put_u32(self, kind: u16, value: u32) -> Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Adds a number of two bytes in network byte order.
    #[must_use]
    pub fn put_be16(self, kind: u16, value: u16) -> Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Adds a number of four bytes in network byte order, as packet rules have them.
    #[must_use]
    pub fn put_be32(self, kind: u16, value: u32) -> Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Adds a number of eight bytes in network byte order.
    #[must_use]
    pub fn put_be64(self, kind: u16, value: u64) -> Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// Adds a text with its zero byte; one that has a zero byte within is refused when the message is finished.
    #[must_use]
    pub fn put_text(mut self, kind: u16, text: &str) -> Self {
        if text.contains('\0') {
            self.wrong = Some(format!("{text:?} has a zero byte within"));
        }
        self.put(kind, &[text.as_bytes(), &[0]].concat())
    }

    /// Adds an attribute that holds attributes. Its type has the flag for that, which older parts of the kernel do not ask for and newer
    /// ones refuse to do without (`NLA_F_NESTED`).
    #[must_use]
    pub fn nest(self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        self.nest_after(kind, &[], fill)
    }

    /// As [`Message::nest`], with a fixed part before the attributes.
    #[must_use]
    pub fn nest_after(mut self, kind: u16, fixed: &[u8], fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.begin(kind | libc::NLA_F_NESTED as u16);
        self.bytes.extend_from_slice(fixed);
        self.pad();
        self = fill(self);
        self.end(start);
        self
    }

    /// The bytes, with this sequence number.
    ///
    /// # Errors
    /// A value was longer than an attribute can be, or the whole is longer than 128 KiB.
    pub(crate) fn finish(mut self, more_flags: u16, sequence: u32) -> io::Result<Vec<u8>> {
        if let Some(wrong) = self.wrong {
            return Err(invalid(wrong));
        }
        if self.bytes.len() > LONGEST {
            return Err(invalid(format!("a message of {} bytes", self.bytes.len())));
        }
        let flags = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | more_flags;
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        Ok(self.bytes)
    }

    fn begin(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    fn end(&mut self, start: usize) {
        let length = self.bytes.len() - start;
        if length > LONGEST_ATTRIBUTE {
            self.wrong = Some(format!("an attribute of {length} bytes"));
        }
        debug_assert!(length >= attribute::HEADER);
        self.bytes[start..start + 2].copy_from_slice(&(length as u16).to_ne_bytes());
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(aligned(self.bytes.len()), 0);
    }
}
