//! To which addresses hooks may send anything.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};

use fracas_core::traffic::Network;
use hyper::http::uri::Authority;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Where clouds tell what only their own machines may know. Of those that are link-local the rule of all such is enough.
const METADATA: [&str; 4] = ["100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"];

/// A lookup goes on when whoever asked for it has given up, so there is one at a time.
static LOOKUP: Semaphore = Semaphore::const_new(1);

/// The addresses of a host, looked up once, if all of them may be asked.
pub(super) async fn resolve(authority: &Authority, allowed: &[Network]) -> Result<Vec<SocketAddr>, String> {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let found = look_up(host, authority.port_u16().unwrap_or(80)).await?;
    match found.iter().find_map(|address| forbidden(address.ip(), allowed)) {
        Some(why) => Err(why),
        None if found.is_empty() => Err("the name has no address".to_owned()),
        None => Ok(found),
    }
}

async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let permit = LOOKUP.acquire().await.map_err(|error| error.to_string())?;
    let host = host.to_owned();
    let lookup = spawn_blocking(move || {
        let _until_it_ends = permit;
        (host.as_str(), port).to_socket_addrs().map(Vec::from_iter)
    });
    let found = lookup.await.map_err(|error| error.to_string())?;
    found.map_err(|error| error.to_string())
}

/// Why nothing is sent to an address.
pub(super) fn forbidden(address: IpAddr, allowed: &[Network]) -> Option<String> {
    let address = address.to_canonical();
    let behind = behind(address);
    let link_local = match behind {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    };
    if link_local || METADATA.iter().any(|known| known.parse() == Ok(behind)) {
        return Some(format!(
            "{address} is link-local, or tells about a machine: nothing is ever sent there"
        ));
    }
    // The first is another name of this machine, which no rule about this machine has in it.
    if address.is_unspecified() || address.is_multicast() {
        return Some(format!("{address} is no address of a server"));
    }
    let may = address.is_loopback() || allowed.iter().any(|network| network.to_canonical().contains(address));
    (!may).then(|| format!("{address} is not of this machine: `--allow-upstream {address}` of the proxy allows it"))
}

/// The address of IPv4 that one of IPv6 leads to by a gateway: NAT64 (RFC 6052, 2.1) or 6to4 (RFC 3056, 2). Else the same.
fn behind(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
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

    #[test]
    fn this_machine_and_what_is_allowed_may_be_asked_and_metadata_never() {
        let all: Vec<Network> = ["0.0.0.0/0", "::/0"].map(|text| text.parse().unwrap()).to_vec();
        let ten: Vec<Network> = vec!["10.0.0.0/8".parse().unwrap()];
        let forbidden = |text: &str, allowed: &[Network]| forbidden(text.parse().unwrap(), allowed).is_some();
        for (address, none, some, every) in [
            ("127.0.0.1", false, false, false),
            ("127.9.9.9", false, false, false),
            ("::1", false, false, false),
            ("::ffff:127.0.0.1", false, false, false),
            ("10.1.2.3", true, false, false),
            ("::ffff:10.1.2.3", true, false, false),
            ("192.0.2.1", true, true, false),
            ("2001:db8::1", true, true, false),
            ("0.0.0.0", true, true, true),
            ("::", true, true, true),
            ("224.0.0.1", true, true, true),
            ("169.254.169.254", true, true, true),
            ("::ffff:169.254.169.254", true, true, true),
            ("169.254.0.1", true, true, true),
            ("fe80::1", true, true, true),
            ("fd00:ec2::254", true, true, true),
            ("100.100.100.200", true, true, true),
            ("192.0.0.192", true, true, true),
            ("168.63.129.16", true, true, true),
            ("64:ff9b::169.254.169.254", true, true, true),
            ("64:ff9b::100.100.100.200", true, true, true),
            ("2002:a9fe:a9fe::1", true, true, true),
            ("64:ff9b::192.0.2.1", true, true, false),
            ("2002:c000:201::1", true, true, false),
        ] {
            assert_eq!(forbidden(address, &[]), none, "{address}");
            assert_eq!(forbidden(address, &ten), some, "{address}");
            assert_eq!(forbidden(address, &all), every, "{address}");
        }
    }
}
