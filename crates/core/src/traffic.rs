//! Which packets a fault on a network is about: `10.0.0.0/8:5432/tcp`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{HostName, ends_in_number};
use crate::text::as_text;
use crate::units::NotAQuantity;

/// An address with the bits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// The address; the bits behind the prefix are zero.
    pub address: IpAddr,
    /// How many bits count: up to 32, with IPv6 up to 128.
    pub prefix: u8,
}

/// A protocol above IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// 6
    Tcp,
    /// 17
    Udp,
    /// 1, and 58 with IPv6
    Icmp,
}

/// Ports from one to another, both included: `5432`, `8000-8010`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ports {
    /// The first, at least 1.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// Ports of TCP or UDP: `PORTS[/PROTOCOL]`, such as `80`, `8000-8010` or `53/udp`. Without a protocol those of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Service {
    /// The ports.
    pub ports: Ports,
    /// The protocol: TCP or UDP. `None`: both.
    pub protocol: Option<Protocol>,
}

/// The other side of some packets: `HOST[:PORTS][/PROTOCOL]`.
///
/// `HOST` is an address, a network such as `10.0.0.0/8`, the name of a host, or `*` for all; an IPv6 address before a port stands in
/// brackets. `PORTS` is one port or a range `8000-8010`; `PROTOCOL` is `tcp`, `udp` or `icmp`. Ports without a protocol are those of TCP
/// and UDP.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Who it is. `None`: anybody.
    pub host: Option<Host>,
    /// Its ports. `None`: any, and what has no ports.
    pub ports: Option<Ports>,
    /// The protocol. `None`: any.
    pub protocol: Option<Protocol>,
}

/// One or several hosts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// All of a network, or one address.
    Network(Network),
    /// All addresses that a name has in the target's view.
    Name(HostName),
}

/// In which direction packets go, seen from the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// What the target sends.
    #[default]
    Egress,
    /// What it is sent.
    Ingress,
}

impl Network {
    /// Whether an address is in it. An address of the other family is not.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                masked(own.to_bits().into(), other.to_bits().into(), 32, self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => masked(own.to_bits(), other.to_bits(), 128, self.prefix),
            _ => false,
        }
    }

    /// The network of IPv4 that this is, if it is one that is mapped into IPv6 (RFC 4291, 2.5.5.2).
    #[must_use]
    pub fn to_canonical(&self) -> Self {
        match (self.address.to_canonical(), self.prefix.checked_sub(96)) {
            (address @ IpAddr::V4(_), Some(prefix)) => Self { address, prefix },
            _ => *self,
        }
    }

    fn width(&self) -> u8 {
        match self.address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        }
    }
}

fn masked(one: u128, other: u128, width: u8, prefix: u8) -> bool {
    let behind = u32::from(width.saturating_sub(prefix));
    // Shifting by all bits is no shift in Rust.
    (one ^ other).checked_shr(behind).unwrap_or(0) == 0
}

impl FromStr for Network {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let bad = |why: &str| NotAQuantity(format!("{text:?} is not an address or a network: {why}"));
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| bad("write an address such as 10.0.0.7 or 2001:db8::7, or a network such as 10.0.0.0/8"))?;
        let mut network = Self { address, prefix: 0 };
        let width = network.width();
        network.prefix = match prefix {
            None => width,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|prefix| *prefix <= width)
                .ok_or_else(|| bad(&format!("the prefix of this family is at most {width}")))?,
            Some(_) => return Err(bad("behind the slash stands a number of bits")),
        };
        let whole = network.first();
        if whole != address {
            return Err(bad(&format!(
                "bits behind the prefix are set; write {whole}/{} for the network, or {address} for the address",
                network.prefix
            )));
        }
        Ok(network)
    }
}

impl Network {
    /// Its first address: all bits behind the prefix are zero.
    fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if self.prefix < self.width() {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

impl FromStr for Ports {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let bad = |why: &str| NotAQuantity(format!("{text:?} is no port: {why}; write it like 5432 or 8000-8010"));
        let port = |digits: &str| {
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = is_number.then(|| digits.parse().ok()).flatten();
            number
                .filter(|port| *port >= 1)
                .ok_or_else(|| bad("ports go from 1 to 65535"))
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            return Err(bad("the range ends before it begins"));
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl FromStr for Service {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let (ports, protocol) = match text.split_once('/') {
            None => (text, None),
            Some((ports, "tcp")) => (ports, Some(Protocol::Tcp)),
            Some((ports, "udp")) => (ports, Some(Protocol::Udp)),
            Some(_) => {
                return Err(NotAQuantity(format!(
                    "{text:?} is no port: the protocols that have ports are tcp and udp; write it like 5432, 8000-8010 or 53/udp"
                )));
            }
        };
        Ok(Self {
            ports: ports.parse()?,
            protocol,
        })
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ports)?;
        match self.protocol {
            Some(protocol) => write!(f, "/{}", protocol.name()),
            None => Ok(()),
        }
    }
}

impl FromStr for Host {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        // No name has colons or slashes, or ends in a number: whoever wrote these meant an address.
        if text.contains([':', '/']) || ends_in_number(text) {
            return text.parse().map(Self::Network);
        }
        text.parse().map(Self::Name)
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        let network = Network { address, prefix: 0 };
        Self::Network(Network {
            prefix: network.width(),
            ..network
        })
    }
}

impl Peer {
    /// Its name, where it has one.
    pub fn name(&self) -> Option<&HostName> {
        match &self.host {
            Some(Host::Name(name)) => Some(name),
            _ => None,
        }
    }
}

impl Protocol {
    const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Icmp];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }
}

impl FromStr for Peer {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let bad = |why: &str| {
            NotAQuantity(format!(
                "{text:?} is no peer: {why}; write it like 10.0.0.0/8:5432/tcp, [2001:db8::7]:443 or *:53/udp"
            ))
        };
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        let (rest, protocol) = match text.rsplit_once('/') {
            // Behind the slash of a network stand digits.
            Some((rest, name)) if name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                let found = Protocol::ALL.into_iter().find(|one| one.name() == name);
                let found = found.ok_or_else(|| bad("the protocols are tcp, udp and icmp"))?;
                (rest, Some(found))
            }
            _ => (text, None),
        };
        let (written, ports) = split_ports(rest).ok_or_else(|| bad("a bracket is missing"))?;
        let host = match written {
            "*" | "" => None,
            host => Some(host.parse::<Host>()?),
        };
        let ports = ports.map(str::parse).transpose()?;
        if ports.is_some() && protocol == Some(Protocol::Icmp) {
            return Err(bad("icmp has no ports"));
        }
        if written.is_empty() && ports.is_none() {
            return Err(bad("it names no host and no port"));
        }
        Ok(Self { host, ports, protocol })
    }
}

/// The host and the ports. An IPv6 address has colons of its own: without brackets it has no port.
fn split_ports(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(inside) = text.strip_prefix('[') {
        let (host, behind) = inside.split_once(']')?;
        return match behind {
            "" => Some((host, None)),
            behind => Some((host, Some(behind.strip_prefix(':')?))),
        };
    }
    match text.split_once(':') {
        Some((_, more)) if more.contains(':') => Some((text, None)),
        Some((host, ports)) => Some((host, Some(ports))),
        None => Some((text, None)),
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, &self.ports) {
            (Some(Host::Network(network)), Some(_)) if network.address.is_ipv6() => write!(f, "[{network}]")?,
            (Some(Host::Network(network)), _) => write!(f, "{network}")?,
            (Some(Host::Name(name)), _) => write!(f, "{name}")?,
            (None, _) => f.write_str("*")?,
        }
        if let Some(ports) = self.ports {
            write!(f, ":{ports}")?;
        }
        if let Some(protocol) = self.protocol {
            write!(f, "/{}", protocol.name())?;
        }
        Ok(())
    }
}

as_text!(Peer, "a peer such as 10.0.0.0/8:5432/tcp", {
    "description": "The other side: HOST[:PORTS][/PROTOCOL], such as 10.0.0.0/8:5432/tcp, [2001:db8::7]:443, db.example.com:5432 or *:53/udp.",
    "type": "string",
    "minLength": 1
});
as_text!(Network, "an address or a network such as 10.0.0.0/8", {
    "description": "An address or a network: 10.0.0.7, 10.0.0.0/8, 2001:db8::7, 2001:db8::/32.",
    "type": "string",
    "minLength": 1
});
as_text!(Service, "a port such as 5432, a range such as 8000-8010, or 53/udp", {
    "description": "A port, or a range, of TCP and UDP or of one of them: 5432, 8000-8010, 53/udp.",
    "anyOf": [
        { "type": "string", "pattern": "^[0-9]+(-[0-9]+)?(/(tcp|udp))?$" },
        { "type": "integer", "minimum": 1, "maximum": 65535 }
    ]
});

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_said_the_same() {
        for text in [
            "10.0.0.0/8:5432/tcp",
            "10.0.0.0/8:5432",
            "10.0.0.7",
            "10.0.0.7:80-90",
            "2001:db8::/32",
            "2001:db8::7",
            "[2001:db8::7]:443/tcp",
            "[2001:db8::/32]:443",
            "db.internal:5432/tcp",
            "db",
            "db/tcp",
            "db.example.com.:80-90",
            "7.example",
            "*:53/udp",
            "*/icmp",
            "*",
            "0.0.0.0/0",
            "::/0",
        ] {
            assert_eq!(peer(text).to_string(), text);
        }
        assert_eq!(peer(":53").to_string(), "*:53");
        assert_eq!(peer("[2001:db8::7]").to_string(), "2001:db8::7");
        assert_eq!(peer("10.0.0.7/32").to_string(), "10.0.0.7");
    }

    #[test]
    fn what_is_no_peer_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "is empty"),
            ("/tcp", "names no host"),
            (
                "10.0.0.1/8",
                "write 10.0.0.0/8 for the network, or 10.0.0.1 for the address",
            ),
            ("2001:db8::1/32", "write 2001:db8::/32"),
            ("10.0.0.0/33", "at most 32"),
            ("::/129", "at most 128"),
            ("10.0.0.0/", "stands a number of bits"),
            ("10.0.0.0/sctp", "the protocols are"),
            ("10.0.0.0:0", "from 1 to 65535"),
            ("10.0.0.0:70000", "from 1 to 65535"),
            ("10.0.0.0:90-80", "ends before it begins"),
            ("10.0.0.0:+80", "from 1 to 65535"),
            ("10.0.0.0:80/icmp", "has no ports"),
            ("db.internal/24", "is not an address"),
            ("db internal:5432", "is no name of a host"),
            ("db;reboot", "is no name of a host"),
            ("db..internal:80", "nothing stands"),
            ("10.0.0.256:80", "is not an address"),
            ("10.0.0:80", "is not an address"),
            ("10.0.0.1\n", "is no name of a host"),
            ("db:80:90", "is not an address"),
            ("db\0", "is no name of a host"),
            ("[::1", "a bracket is missing"),
            ("[::1]443", "a bracket is missing"),
        ] {
            let error = text.parse::<Peer>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_network_contains_what_begins_as_it_does() {
        for (network, address, is) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7", "10.0.0.6", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/33", "2001:db8:8000::", false),
            ("2001:db8::/33", "2001:db8:7fff::", true),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), is, "{network} {address}");
        }
    }

    #[test]
    fn what_is_mapped_into_ipv6_is_of_ipv4() {
        for (written, meant) in [
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.7", "10.0.0.7"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
        ] {
            let network: Network = written.parse().unwrap();
            assert_eq!(network.to_canonical().to_string(), meant);
        }
    }

    #[test]
    fn a_port_may_be_a_number() {
        let ports: Vec<Service> = serde_json::from_str(r#"[80, "8000-8010", "53/udp"]"#).unwrap();
        assert_eq!(serde_json::to_string(&ports).unwrap(), r#"["80","8000-8010","53/udp"]"#);
        for wrong in ["0", "\"53/icmp\"", "\"/udp\"", "\"80/\""] {
            assert!(serde_json::from_str::<Service>(wrong).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<Peer>("80.5").is_err());
    }
}
