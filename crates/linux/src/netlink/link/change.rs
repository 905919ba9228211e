//! Links that are made, changed and removed: in labs and by tests. Of a run's own is only a link that packets are led aside to.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use super::{Message, Netlink, header};
use crate::error::{Context, errno, invalid};

/// `VETH_INFO_PEER`, include/uapi/linux/veth.h.
const VETH_PEER: u16 = 1;
const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
/// `IFA_F_NODAD`, include/uapi/linux/if_addr.h. For IPv4 it means nothing.
const NO_DETECTION: u8 = 0x02;
/// `IFLA_INET6_ADDR_GEN_MODE` and `IN6_ADDR_GEN_MODE_NONE`, include/uapi/linux/if_link.h.
const ADDRESS_MODE: u16 = 8;
const NO_ADDRESS: u8 = 1;
/// A name with its zero byte.
const LONGEST_NAME: usize = libc::IFNAMSIZ;

impl Netlink {
    /// Makes a bridge; it is down.
    pub fn make_bridge(&mut self, name: &str) -> io::Result<u32> {
        let message = Message::new(libc::RTM_NEWLINK, CREATE, &header(libc::AF_UNSPEC, 0))
            .put_text(libc::IFLA_IFNAME, checked(name)?)
            .nest(libc::IFLA_LINKINFO, |info| {
                info.put_text(libc::IFLA_INFO_KIND, "bridge")
            });
        self.made(message, name)
    }

    /// Gives a link a hardware address. A bridge keeps it then. Without one that was given, it takes the least of its ports' whenever one comes
    /// or goes (`br_stp_recalculate_bridge_id` in net/bridge/br_stp_if.c), and whoever has learned the old one sends to nobody until that is
    /// old.
    ///
    /// # Errors
    /// `ENODEV`: there is no link of this number; `EADDRNOTAVAIL`: the address is none of a single link.
    pub fn set_hardware_address(&mut self, index: u32, address: &[u8]) -> io::Result<()> {
        let message =
            Message::new(libc::RTM_SETLINK, 0, &header(libc::AF_UNSPEC, index)).put(libc::IFLA_ADDRESS, address);
        self.request(message)
            .context(|| format!("cannot set the hardware address of link {index}"))
            .map(drop)
    }

    /// Makes a link that sends on what is sent to it as if its first link had (`ifb`): a place for a queue. It is down. By its hardware
    /// address it is known again when somebody has given it another name.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL`: the address is none of a single link (`ifb_validate` in drivers/net/ifb.c).
    pub fn make_ifb(&mut self, name: &str, address: [u8; 6]) -> io::Result<u32> {
        let message = Message::new(libc::RTM_NEWLINK, CREATE, &header(libc::AF_UNSPEC, 0))
            .put_text(libc::IFLA_IFNAME, checked(name)?)
            .put(libc::IFLA_ADDRESS, &address)
            .nest(libc::IFLA_LINKINFO, |info| info.put_text(libc::IFLA_INFO_KIND, "ifb"));
        self.made(message, name)
    }

    /// Keeps a link from giving itself an address of IPv6, by which it would be one more way for the packets of others. Before it is set up.
    pub fn without_own_address(&mut self, index: u32) -> io::Result<()> {
        let message = Message::new(libc::RTM_SETLINK, 0, &header(libc::AF_UNSPEC, index))
            .nest(libc::IFLA_AF_SPEC, |families| {
                families.nest(libc::AF_INET6 as u16, |six| six.put_u8(ADDRESS_MODE, NO_ADDRESS))
            });
        match self.request(message) {
            // There is no IPv6 here, and so no address.
            Err(error) if errno(&error) == Some(libc::EAFNOSUPPORT) => Ok(()),
            done => done
                .context(|| format!("cannot keep link {index} from having an address"))
                .map(drop),
        }
    }

    /// Makes a pair of links, both down: one by this name here, one by the other name in another namespace.
    pub fn make_pair(&mut self, name: &str, other: &str, namespace: impl AsFd) -> io::Result<u32> {
        let (other, file) = (checked(other)?, namespace.as_fd().as_raw_fd() as u32);
        let message = Message::new(libc::RTM_NEWLINK, CREATE, &header(libc::AF_UNSPEC, 0))
            .put_text(libc::IFLA_IFNAME, checked(name)?)
            .nest(libc::IFLA_LINKINFO, |info| {
                info.put_text(libc::IFLA_INFO_KIND, "veth")
                    .nest(libc::IFLA_INFO_DATA, |data| {
                        data.nest_after(VETH_PEER, &header(libc::AF_UNSPEC, 0), |peer| {
                            peer.put_text(libc::IFLA_IFNAME, other)
                                .put_u32(libc::IFLA_NET_NS_FD, file)
                        })
                    })
            });
        self.made(message, name)
    }

    /// Makes a link a part of another one, or of none.
    pub fn set_master(&mut self, index: u32, master: Option<u32>) -> io::Result<()> {
        let message = Message::new(libc::RTM_SETLINK, 0, &header(libc::AF_UNSPEC, index))
            .put_u32(libc::IFLA_MASTER, master.unwrap_or(0));
        self.request(message)
            .context(|| format!("cannot set the master of link {index}"))
            .map(drop)
    }

    /// Sets a link up or down.
    pub fn set_up(&mut self, index: u32, up: bool) -> io::Result<()> {
        let mut fixed = header(libc::AF_UNSPEC, index);
        let flag = libc::IFF_UP as u32;
        fixed[8..12].copy_from_slice(&if up { flag } else { 0 }.to_ne_bytes());
        // Which flags are meant.
        fixed[12..16].copy_from_slice(&flag.to_ne_bytes());
        self.request(Message::new(libc::RTM_SETLINK, 0, &fixed))
            .context(|| format!("cannot set link {index} {}", if up { "up" } else { "down" }))
            .map(drop)
    }

    /// Gives a link an address, whose first `bits` name its network. One of IPv6 is used as soon as the kernel
    /// gets to it: nobody is asked whether it is his already.
    pub fn add_address(&mut self, index: u32, address: impl Into<IpAddr>, bits: u8) -> io::Result<()> {
        let address = address.into();
        let (family, octets) = match address {
            IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
            IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
        };
        // `struct ifaddrmsg`: family, prefix length, flags, scope, index.
        let mut fixed = [family as u8, bits, NO_DETECTION, 0, 0, 0, 0, 0];
        fixed[4..].copy_from_slice(&index.to_ne_bytes());
        let message = Message::new(libc::RTM_NEWADDR, CREATE, &fixed)
            .put(libc::IFA_LOCAL, &octets)
            .put(libc::IFA_ADDRESS, &octets);
        self.request(message)
            .context(|| format!("cannot give link {index} the address {address}"))
            .map(drop)
    }

    /// Removes a link; of a pair both ends go.
    pub fn remove_link(&mut self, index: u32) -> io::Result<()> {
        self.request(Message::new(libc::RTM_DELLINK, 0, &header(libc::AF_UNSPEC, index)))
            .context(|| format!("cannot remove link {index}"))
            .map(drop)
    }

    fn made(&mut self, message: Message, name: &str) -> io::Result<u32> {
        let what = || format!("cannot make the link {name}");
        self.request(message).context(what)?;
        let link = self.link_by_name(name)?;
        link.map(|link| link.index)
            .ok_or_else(|| invalid("it is gone already"))
            .context(what)
    }
}

/// A name that the kernel takes (`dev_valid_name` in net/core/dev.c).
fn checked(name: &str) -> io::Result<&str> {
    let fits = !name.is_empty() && name.len() < LONGEST_NAME && name != "." && name != "..";
    if fits && !name.contains(|c: char| c == '/' || c == ':' || c == '\0' || c.is_whitespace()) {
        return Ok(name);
    }
    Err(invalid(format!(
        "{name:?} is no name of a link: 1 to {} characters without space, `/` and `:`",
        LONGEST_NAME - 1
    )))
}
