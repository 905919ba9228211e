//! To which addresses the proxy connects because somebody else says so: by a tunnel, or by a hook of an orchestration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use fracas_core::traffic::Network;

/// Where a cloud tells a machine its secrets, besides the link-local addresses: of Alibaba, Azure and Oracle, of Amazon and Google.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Why nobody has the proxy connect to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is link-local, or tells about a machine: whatever is allowed.
    Secret,
    /// It is none of a server: whatever is allowed. One of them is another name of this machine, which no rule about this machine has in it.
    NoServer,
    /// It is not among those that are allowed.
    NotAllowed,
}

/// Why the proxy does not connect to an address, if these networks may be reached, and, without being among them, this machine.
pub(crate) fn refusal(address: IpAddr, allowed: &[Network], and_here: bool) -> Option<Refusal> {
    let (address, behind) = (address.to_canonical(), behind(address));
    if METADATA.contains(&behind) {
        return Some(Refusal::Secret);
    }
    let is_no_server = match behind {
        IpAddr::V4(ip) if ip.is_link_local() => return Some(Refusal::Secret),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => return Some(Refusal::Secret),
        IpAddr::V4(ip) => ip.is_multicast() || ip.octets()[0] == 0 || ip.octets()[0] >= 240,
        IpAddr::V6(ip) => ip.is_multicast() || ip.is_unspecified(),
    };
    if is_no_server {
        return Some(Refusal::NoServer);
    }
    let mut networks = allowed.iter().map(Network::to_canonical);
    let may = and_here && address.is_loopback()
        || networks.any(|network| network.contains(address) || network.contains(behind));
    (!may).then_some(Refusal::NotAllowed)
}

/// Whether this is one of these ports of this machine.
pub(crate) fn is_own(address: SocketAddr, ports: &[u16]) -> bool {
    ports.contains(&address.port()) && (is_here(address.ip().to_canonical()) || is_here(behind(address.ip())))
}

/// Whether it is one of this machine: then the kernel lets it be taken (`inet_bind()` in net/ipv4/af_inet.c). Where it lets be taken what is none
/// (`ip_nonlocal_bind`), a port too many is kept out.
fn is_here(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

/// The address of IPv4 that one of IPv6 leads to: mapped (RFC 4291, 2.5.5.2), or by a gateway: NAT64 (RFC 6052, 2.1) or 6to4 (RFC 3056, 2). Else
/// the same.
fn behind(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address.to_canonical() else {
        return address.to_canonical();
    };
    match six.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)).into()
        }
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Option<Refusal> = Some(Refusal::Secret);
    const NO_SERVER: Option<Refusal> = Some(Refusal::NoServer);
    const NOT: Option<Refusal> = Some(Refusal::NotAllowed);

    #[test]
    fn what_is_allowed_is_reached_and_some_never() {
        let networks = |texts: &[&str]| -> Vec<Network> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        let (all, ten) = (networks(&["0.0.0.0/0", "::/0"]), networks(&["10.0.0.0/8"]));
        for (address, here, some, every) in [
            ("127.0.0.1", None, NOT, None),
            ("127.9.9.9", None, NOT, None),
            ("::1", None, NOT, None),
            ("::ffff:127.0.0.1", None, NOT, None),
            // Of the gateway's machine, and not of this one.
            ("64:ff9b::127.0.0.1", NOT, NOT, None),
            ("10.1.2.3", NOT, None, None),
            ("::ffff:10.1.2.3", NOT, None, None),
            ("64:ff9b::10.1.2.3", NOT, None, None),
            ("fd00::1", NOT, NOT, None),
            ("192.0.2.1", NOT, NOT, None),
            ("2001:db8::1", NOT, NOT, None),
            ("64:ff9b::192.0.2.1", NOT, NOT, None),
            ("2002:c000:201::1", NOT, NOT, None),
            ("0.0.0.0", NO_SERVER, NO_SERVER, NO_SERVER),
            ("0.1.2.3", NO_SERVER, NO_SERVER, NO_SERVER),
            ("::", NO_SERVER, NO_SERVER, NO_SERVER),
            ("224.0.0.1", NO_SERVER, NO_SERVER, NO_SERVER),
            ("240.0.0.1", NO_SERVER, NO_SERVER, NO_SERVER),
            ("255.255.255.255", NO_SERVER, NO_SERVER, NO_SERVER),
            ("ff02::1", NO_SERVER, NO_SERVER, NO_SERVER),
            ("169.254.169.254", SECRET, SECRET, SECRET),
            ("::ffff:169.254.169.254", SECRET, SECRET, SECRET),
            ("169.254.0.1", SECRET, SECRET, SECRET),
            ("fe80::1", SECRET, SECRET, SECRET),
            ("fd00:ec2::254", SECRET, SECRET, SECRET),
            ("fd20:ce::254", SECRET, SECRET, SECRET),
            ("100.100.100.200", SECRET, SECRET, SECRET),
            ("192.0.0.192", SECRET, SECRET, SECRET),
            ("168.63.129.16", SECRET, SECRET, SECRET),
            ("64:ff9b::169.254.169.254", SECRET, SECRET, SECRET),
            ("64:ff9b::100.100.100.200", SECRET, SECRET, SECRET),
            ("2002:a9fe:a9fe::1", SECRET, SECRET, SECRET),
        ] {
            let ip = address.parse().unwrap();
            assert_eq!(refusal(ip, &[], true), here, "{address}");
            assert_eq!(refusal(ip, &ten, false), some, "{address}");
            assert_eq!(refusal(ip, &all, false), every, "{address}");
        }
        let mapped = networks(&["::ffff:10.0.0.0/104"]);
        assert_eq!(refusal("10.0.0.1".parse().unwrap(), &mapped, false), None);
    }

    #[test]
    fn a_port_of_ours_is_ours_at_every_address_of_this_machine() {
        let own = |address: &str| is_own(address.parse().unwrap(), &[3000]);
        for address in [
            "127.0.0.1:3000",
            "127.9.9.9:3000",
            "[::1]:3000",
            "[::ffff:127.0.0.1]:3000",
            "[64:ff9b::7f00:1]:3000",
            "0.0.0.0:3000",
        ] {
            assert!(own(address), "{address}");
        }
        assert!(!own("127.0.0.1:3001") && !own("198.51.100.1:3000"));
    }
}
