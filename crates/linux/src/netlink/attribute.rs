//! Attributes: a length, a type and a value, which may be attributes again (netlink(7), include/uapi/linux/netlink.h).

use std::io;

use super::aligned;
use crate::error::invalid;

/// Length and type.
pub(super) const HEADER: usize = 4;
/// Two bits of the type are flags: nested, and network byte order (`NLA_TYPE_MASK`).
const TYPE: u16 = !(3 << 14);

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The type, without flags.
    pub kind: u16,
    /// The value.
    pub value: &'a [u8],
}

/// The attributes in these bytes, in order. The first that does not fit in what is left is an error and the last.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = io::Result<Attribute<'_>>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        // The kernel pads the last one, too; fewer bytes than a header are padding (`nla_ok` in include/net/netlink.h).
        if rest.len() < HEADER {
            return None;
        }
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let kind = u16::from_ne_bytes([rest[2], rest[3]]) & TYPE;
        let Some(value) = rest.get(HEADER..length) else {
            let what = format!("an attribute of {length} bytes where {} are left", rest.len());
            rest = &[];
            return Some(Err(invalid(what)));
        };
        rest = rest.get(aligned(length)..).unwrap_or(&[]);
        Some(Ok(Attribute { kind, value }))
    })
}

impl<'a> Attribute<'a> {
    /// The value as a number of one byte.
    pub fn u8(&self) -> io::Result<u8> {
        self.number().map(u8::from_ne_bytes)
    }

    /// The value as a number of two bytes.
    pub fn u16(&self) -> io::Result<u16> {
        self.number().map(u16::from_ne_bytes)
    }

    /// The value as a number of four bytes.
    pub fn u32(&self) -> io::Result<u32> {
        self.number().map(u32::from_ne_bytes)
    }

    /// The value as a signed number of four bytes.
    pub fn i32(&self) -> io::Result<i32> {
        self.number().map(i32::from_ne_bytes)
    }

    /// The value as a number of two bytes in network byte order.
    pub fn be16(&self) -> io::Result<u16> {
        self.number().map(u16::from_be_bytes)
    }

    /// The value as a number of four bytes in network byte order.
    pub fn be32(&self) -> io::Result<u32> {
        self.number().map(u32::from_be_bytes)
    }

    /// The value as a number of eight bytes in network byte order.
    pub fn be64(&self) -> io::Result<u64> {
        self.number().map(u64::from_be_bytes)
    }

    /// The value as a text, which ends at its first zero byte. Names of the kernel's may be no UTF-8: what is none is replaced.
    pub fn text(&self) -> String {
        let end = self.value.iter().position(|&byte| byte == 0);
        String::from_utf8_lossy(&self.value[..end.unwrap_or(self.value.len())]).into_owned()
    }

    /// The value as attributes.
    pub fn nested(&self) -> impl Iterator<Item = io::Result<Attribute<'a>>> + use<'a> {
        attributes(self.value)
    }

    fn number<const N: usize>(&self) -> io::Result<[u8; N]> {
        self.value.try_into().map_err(|_| {
            let (kind, length) = (self.kind, self.value.len());
            invalid(format!("attribute {kind} has {length} bytes and not {N}"))
        })
    }
}
