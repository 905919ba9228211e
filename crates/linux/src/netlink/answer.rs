//! The answer to one request: messages of the kernel's, put together.

use std::io;

use super::aligned;
use super::attribute::attributes;
use super::message::HEADER;
use crate::error::{Context, invalid};

/// So many messages one answer may have: a machine with more links has no kernel that could list them.
const MOST: usize = 1 << 18;
/// So many bytes all of them may have.
const MOST_BYTES: usize = 256 << 20;
/// `NLMSGERR_ATTR_MSG`: the kernel's words about an error.
const WORDS: u16 = 1;
/// More words than this are none.
const LONGEST_WORDS: usize = 512;

/// One message of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its type.
    pub kind: u16,
    /// Its fixed part and its attributes.
    pub body: Vec<u8>,
}

/// What has come of the answer to one request.
#[derive(Debug)]
pub struct Answer {
    sequence: u32,
    replies: Vec<Reply>,
    bytes: usize,
    interrupted: bool,
}

impl Answer {
    /// An answer to the request with this sequence number.
    pub fn to(sequence: u32) -> Self {
        Self {
            sequence,
            replies: Vec::new(),
            bytes: 0,
            interrupted: false,
        }
    }

    /// Takes what was received in one go. Whether the answer is complete: the kernel said that a list is at its end, or that a request
    /// was done. Messages to other requests are passed over: an answer that was given up may still come.
    ///
    /// # Errors
    /// The kernel's error with its own words, where it has some; bytes that are no messages; an answer beyond all bounds.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<bool> {
        for part in parts(bytes) {
            let Part {
                kind,
                flags,
                sequence,
                body,
            } = part?;
            if sequence != self.sequence {
                continue;
            }
            // What is listed changed meanwhile: something may be missing, or there twice.
            self.interrupted |= flags & libc::NLM_F_DUMP_INTR != 0;
            match i32::from(kind) {
                libc::NLMSG_NOOP => {}
                libc::NLMSG_OVERRUN => return Err(invalid("the kernel lost a netlink message")),
                // A list ends with its error, or with 0 (`netlink_dump_done` in net/netlink/af_netlink.c).
                libc::NLMSG_DONE | libc::NLMSG_ERROR => {
                    refused(kind, flags, body)?;
                    return Ok(true);
                }
                _ => self.keep(kind, body)?,
            }
        }
        Ok(false)
    }

    /// The messages so far.
    pub fn replies(&self) -> &[Reply] {
        &self.replies
    }

    /// The messages, and whether what they list changed while it was listed.
    pub(super) fn into_parts(self) -> (Vec<Reply>, bool) {
        (self.replies, self.interrupted)
    }

    fn keep(&mut self, kind: u16, body: &[u8]) -> io::Result<()> {
        self.bytes += body.len();
        if self.replies.len() >= MOST || self.bytes > MOST_BYTES {
            return Err(invalid(format!(
                "a netlink answer of more than {MOST} messages or {MOST_BYTES} bytes"
            )));
        }
        self.replies.push(Reply {
            kind,
            body: body.to_vec(),
        });
        Ok(())
    }
}

/// One message of those that were received in one go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: i32,
    pub(crate) sequence: u32,
    pub(crate) body: &'a [u8],
}

/// The messages in these bytes, in order. The first that does not fit in what is left is an error and the last.
pub(crate) fn parts(bytes: &[u8]) -> impl Iterator<Item = io::Result<Part<'_>>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let header = rest.first_chunk::<HEADER>()?;
        let number = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let length = number(0) as usize;
        let Some(body) = rest.get(HEADER..length) else {
            let what = format!("a netlink message of {length} bytes where {} are left", rest.len());
            rest = &[];
            return Some(Err(invalid(what)));
        };
        let part = Part {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            flags: i32::from(u16::from_ne_bytes([header[6], header[7]])),
            sequence: number(8),
            body,
        };
        rest = rest.get(aligned(length)..).unwrap_or(&[]);
        Some(Ok(part))
    })
}

/// The error in an acknowledgement (`struct nlmsgerr`) or at the end of a list; none where the number is 0.
pub(crate) fn refused(kind: u16, flags: i32, body: &[u8]) -> io::Result<()> {
    let Some((number, rest)) = body.split_first_chunk::<4>() else {
        // The end of a list without a number.
        return if i32::from(kind) == libc::NLMSG_DONE {
            Ok(())
        } else {
            Err(invalid("a netlink error without a number"))
        };
    };
    let number = i32::from_ne_bytes(*number);
    if number == 0 {
        return Ok(());
    }
    let error = Err(io::Error::from_raw_os_error(number.saturating_neg()));
    match words(kind, flags, rest) {
        Some(words) => error.context(|| format!("the kernel says {words:?}")),
        None => error,
    }
}

/// What the kernel says besides the number: attributes behind the request, or behind its header where that was asked for
/// (`NETLINK_CAP_ACK`), see netlink(7).
fn words(kind: u16, flags: i32, rest: &[u8]) -> Option<String> {
    if flags & libc::NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let start = if i32::from(kind) == libc::NLMSG_DONE {
        0
    } else if flags & libc::NLM_F_CAPPED != 0 {
        HEADER
    } else {
        aligned(u32::from_ne_bytes(*rest.first_chunk::<4>()?) as usize)
    };
    let mut all = attributes(rest.get(start..)?).map_while(Result::ok);
    let words = all.find(|attribute| attribute.kind == WORDS)?.text();
    Some(words.chars().take(LONGEST_WORDS).collect())
}
