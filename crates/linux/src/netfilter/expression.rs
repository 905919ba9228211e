//! Expressions: the steps of a rule. Each takes a list that is being written and adds itself.
//!
//! What is looked at is loaded into a register and compared; the first comparison that fails ends the rule. One register is enough, for
//! nothing is kept; what needs two numbers at once has a second.

use std::net::{IpAddr, SocketAddr};

use super::{ELEMENT, EXPRESSION_DATA, EXPRESSION_NAME};
use crate::netlink::Message;

/// `NFT_REG_VERDICT`, and `NFT_REG_1` and `NFT_REG_2`, which have 16 bytes each.
const VERDICT: u32 = 0;
const REGISTER: u32 = 1;
const SECOND: u32 = 2;
/// `NFTA_DATA_VALUE` and `NFTA_DATA_VERDICT`.
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
/// `NFQ_FLAG_BYPASS` and `NFT_QUEUE_FLAG_BYPASS`: without a listener packets go on.
const BYPASS: u16 = 1;

/// How two values are compared (`NFT_CMP_EQ` …).
#[derive(Debug, Clone, Copy)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Less,
}

/// Where a packet's bytes are counted from (`NFT_PAYLOAD_NETWORK_HEADER` …).
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    Network,
    Transport,
}

fn add(list: Message, name: &str, data: impl FnOnce(Message) -> Message) -> Message {
    list.nest(ELEMENT, |expression| {
        expression.put_text(EXPRESSION_NAME, name).nest(EXPRESSION_DATA, data)
    })
}

/// Loads what the kernel knows of the packet besides its bytes (`NFT_META_MARK` …), in the machine's byte order.
pub(super) fn meta(list: Message, key: i32) -> Message {
    add(list, "meta", |data| data.put_be32(1, REGISTER).put_be32(2, key as u32))
}

/// Loads bytes of the packet.
pub(super) fn payload(list: Message, from: From, offset: u32, length: u32) -> Message {
    let base = match from {
        From::Network => libc::NFT_PAYLOAD_NETWORK_HEADER,
        From::Transport => libc::NFT_PAYLOAD_TRANSPORT_HEADER,
    };
    add(list, "payload", |data| {
        data.put_be32(1, REGISTER)
            .put_be32(2, base as u32)
            .put_be32(3, offset)
            .put_be32(4, length)
    })
}

/// Loads the state of the packet's connection as a bit (`NFT_CT_STATE`).
pub(super) fn connection_state(list: Message) -> Message {
    add(list, "ct", |data| {
        data.put_be32(1, REGISTER).put_be32(2, libc::NFT_CT_STATE as u32)
    })
}

/// Loads a random number below `below`, in the machine's byte order.
pub(super) fn random(list: Message, below: u32) -> Message {
    add(list, "numgen", |data| {
        data.put_be32(1, REGISTER)
            .put_be32(2, below)
            .put_be32(3, libc::NFT_NG_RANDOM as u32)
    })
}

/// Loads what the packet's destination is to this namespace (`RTN_LOCAL` …), in the machine's byte order.
pub(super) fn kind_of_destination(list: Message) -> Message {
    // `NFTA_FIB_DREG`, `_RESULT` with `NFT_FIB_RESULT_ADDRTYPE`, `_FLAGS` with `NFTA_FIB_F_DADDR`.
    add(list, "fib", |data| {
        data.put_be32(1, REGISTER).put_be32(2, 3).put_be32(3, 1 << 1)
    })
}

/// Turns four loaded bytes into network byte order: what is less is decided byte by byte (`nft_cmp_eval` in net/netfilter/nft_cmp.c).
pub(super) fn to_network_order(list: Message) -> Message {
    add(list, "byteorder", |data| {
        data.put_be32(1, REGISTER)
            .put_be32(2, REGISTER)
            .put_be32(3, libc::NFT_BYTEORDER_HTON as u32)
            .put_be32(4, 4)
            .put_be32(5, 4)
    })
}

/// Leaves of what is loaded the bits of the mask.
pub(super) fn mask(list: Message, mask: &[u8]) -> Message {
    let nothing = vec![0; mask.len()];
    add(list, "bitwise", |data| {
        data.put_be32(1, REGISTER)
            .put_be32(2, REGISTER)
            .put_be32(3, mask.len() as u32)
            .nest(4, |value| value.put(DATA_VALUE, mask))
            .nest(5, |value| value.put(DATA_VALUE, &nothing))
    })
}

/// Compares what is loaded.
pub(super) fn compare(list: Message, how: Compare, with: &[u8]) -> Message {
    let how = match how {
        Compare::Equal => libc::NFT_CMP_EQ,
        Compare::NotEqual => libc::NFT_CMP_NEQ,
        Compare::Less => libc::NFT_CMP_LT,
    };
    add(list, "cmp", |data| {
        data.put_be32(1, REGISTER)
            .put_be32(2, how as u32)
            .nest(3, |value| value.put(DATA_VALUE, with))
    })
}

/// Compares what is loaded with the first and the last of what is meant.
pub(super) fn between(list: Message, first: &[u8], last: &[u8]) -> Message {
    add(list, "range", |data| {
        data.put_be32(1, REGISTER)
            .put_be32(2, libc::NFT_RANGE_EQ as u32)
            .nest(3, |value| value.put(DATA_VALUE, first))
            .nest(4, |value| value.put(DATA_VALUE, last))
    })
}

/// Looks for what is loaded in a set of the same table, and goes on if it is there.
pub(super) fn in_set(list: Message, set: &str) -> Message {
    // `NFTA_LOOKUP_SET`, `_SREG`.
    add(list, "lookup", |data| data.put_text(1, set).put_be32(2, REGISTER))
}

/// As [`in_set`], and goes on if it is not there.
pub(super) fn not_in_set(list: Message, set: &str) -> Message {
    // `NFTA_LOOKUP_FLAGS` with `NFT_LOOKUP_F_INV`.
    add(list, "lookup", |data| {
        data.put_text(1, set).put_be32(2, REGISTER).put_be32(5, 1)
    })
}

/// Counts packets and bytes.
pub(super) fn counter(list: Message) -> Message {
    add(list, "counter", |data| data.put_be64(1, 0).put_be64(2, 0))
}

/// Ends the chain with this verdict (`NF_ACCEPT` …).
pub(super) fn verdict(list: Message, code: i32) -> Message {
    add(list, "immediate", |data| {
        data.put_be32(1, VERDICT).nest(2, |value| {
            value.nest(DATA_VERDICT, |verdict| verdict.put_be32(1, code as u32))
        })
    })
}

/// Gives the packet to the transparent socket that listens at this address; without one the rule ends (`nft_tproxy_eval` in
/// net/netfilter/nft_tproxy.c).
pub(super) fn give(list: Message, to: SocketAddr) -> Message {
    let (family, address) = match to.ip() {
        IpAddr::V4(address) => (libc::NFPROTO_IPV4, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::NFPROTO_IPV6, address.octets().to_vec()),
    };
    let list = load(load(list, REGISTER, &address), SECOND, &to.port().to_be_bytes());
    // `NFTA_TPROXY_FAMILY`, `_REG_ADDR`, `_REG_PORT`.
    add(list, "tproxy", |data| {
        data.put_be32(1, family as u32)
            .put_be32(2, REGISTER)
            .put_be32(3, SECOND)
    })
}

/// Loads these bytes.
fn load(list: Message, register: u32, value: &[u8]) -> Message {
    add(list, "immediate", |data| {
        data.put_be32(1, register).nest(2, |data| data.put(DATA_VALUE, value))
    })
}

/// Has the packet belong to no connection that the kernel follows (`nft_notrack_eval` in net/netfilter/nft_ct.c).
pub(super) fn untracked(list: Message) -> Message {
    list.nest(ELEMENT, |expression| expression.put_text(EXPRESSION_NAME, "notrack"))
}

/// Drops the packet and tells its sender.
pub(super) fn reject(list: Message, kind: i32, code: Option<u8>) -> Message {
    add(list, "reject", |data| {
        let data = data.put_be32(1, kind as u32);
        match code {
            Some(code) => data.put_u8(2, code),
            None => data,
        }
    })
}

/// Gives the packet to a queue, by the expression for it (net/netfilter/nft_queue.c).
pub(super) fn queue(list: Message, number: u16) -> Message {
    add(list, "queue", |data| {
        data.put_be16(1, number).put_be16(2, 1).put_be16(3, BYPASS)
    })
}

/// Gives the packet to a queue, by the target that iptables has for it: `struct xt_NFQ_info_v3`, filled up to eight bytes, in the
/// machine's byte order (net/netfilter/xt_NFQUEUE.c, `nft_target_init` in net/netfilter/nft_compat.c).
pub(super) fn queue_target(list: Message, number: u16) -> Message {
    let info = [number, 1, BYPASS, 0].map(u16::to_ne_bytes).concat();
    add(list, "target", |data| {
        data.put_text(1, "NFQUEUE").put_be32(2, 3).put(3, &info)
    })
}
