//! Transactions: messages that are carried out all or not at all (`nfnetlink_rcv_batch` in net/netfilter/nfnetlink.c).

use std::io;

use super::answer::{parts, refused};
use super::message::Message;
use crate::error::{Context, invalid};

/// `NFNL_MSG_BATCH_BEGIN` and `NFNL_MSG_BATCH_END`, include/uapi/linux/netfilter/nfnetlink.h.
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;
/// So many messages one transaction may have: as many errors fit in the socket.
const MOST: usize = 2048;
/// So many bytes all of them may have: the kernel takes them in one go, within the socket's send buffer (`net.core.wmem_default`).
const MOST_BYTES: usize = 192 << 10;

/// Messages to be carried out all or not at all, each with a name for errors.
#[derive(Debug)]
pub struct Transaction {
    subsystem: u8,
    messages: Vec<(String, Message)>,
}

impl Transaction {
    /// A transaction without messages, for a part of netfilter (`NFNL_SUBSYS_NFTABLES` …).
    pub fn new(subsystem: u8) -> Self {
        Self {
            subsystem,
            messages: Vec::new(),
        }
    }

    /// Adds a message. The name is a fragment such as "the chain `output`".
    pub fn push(&mut self, name: impl Into<String>, message: Message) {
        self.messages.push((name.into(), message));
    }

    /// The bytes, with numbers from this one on, and what takes the answer.
    ///
    /// # Errors
    /// A message that cannot be sent, more messages or bytes than fit.
    pub(super) fn finish(self, first: u32) -> io::Result<(Vec<u8>, Outcome)> {
        let count = self.messages.len();
        if count == 0 || count > MOST {
            return Err(invalid(format!(
                "a transaction of {count} messages: it may have 1 to {MOST}"
            )));
        }
        // `struct nfgenmsg`: family, version, and here the part of netfilter in network byte order.
        let frame = |kind| Message::new(kind, 0, &[0, 0, 0, self.subsystem]);
        let request = libc::NLM_F_REQUEST as u16;
        let mut bytes = frame(BEGIN).finish(request, first)?;
        let mut names = Vec::with_capacity(count);
        for (number, (name, message)) in self.messages.into_iter().enumerate() {
            // Errors come in the order of the messages, and without being asked for. So the last one's acknowledgement is the end.
            let acknowledge = if number + 1 == count { libc::NLM_F_ACK as u16 } else { 0 };
            let sequence = first.wrapping_add(number as u32 + 1);
            bytes.extend(
                message
                    .finish(request | acknowledge, sequence)
                    .context(|| name.clone())?,
            );
            names.push(name);
        }
        let last = first.wrapping_add(count as u32 + 1);
        bytes.extend(frame(END).finish(request, last)?);
        if bytes.len() > MOST_BYTES {
            let length = bytes.len();
            return Err(invalid(format!(
                "a transaction of {length} bytes: it may have {MOST_BYTES}"
            )));
        }
        Ok((bytes, Outcome { first, names }))
    }
}

/// What has come of the answer to a transaction.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The number of the message that begins the transaction.
    first: u32,
    names: Vec<String>,
}

impl Outcome {
    /// The number of the message that ends the transaction.
    pub(super) fn last(&self) -> u32 {
        self.first.wrapping_add(self.names.len() as u32 + 1)
    }

    /// Takes what was received in one go. Whether the transaction is done.
    ///
    /// # Errors
    /// The first message that was refused, or the transaction as a whole: then nothing was done.
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<bool> {
        for part in parts(bytes) {
            let part = part?;
            let number = part.sequence.wrapping_sub(self.first) as usize;
            if i32::from(part.kind) != libc::NLMSG_ERROR || number > self.names.len() + 1 {
                continue;
            }
            let count = self.names.len();
            refused(part.kind, part.flags, part.body).context(|| match self.names.get(number.wrapping_sub(1)) {
                Some(name) => format!("message {number} of {count} was refused, {name}"),
                // The right to send it at all, the part of netfilter, and what turns out only when all messages are carried out.
                None => format!("a transaction of {count} messages was refused as a whole"),
            })?;
            if number == count {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Reads whatever it is as the answer to a transaction. For the fuzzer.
pub(super) fn fuzz(bytes: &[u8]) {
    let names = vec![String::new(); 2];
    let _refused = Outcome { first: 0, names }.take(bytes);
}
