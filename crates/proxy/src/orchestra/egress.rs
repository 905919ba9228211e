//! To which addresses hooks may send anything.

use std::net::{IpAddr, SocketAddr};

use fracas_core::traffic::Network;
use hyper::http::uri::Authority;

/// Where clouds tell what only their own machines may know. Of those that are link-local the rule of all such is enough.
const METADATA: [&str; 4] = ["100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"];

/// The address of a host, looked up once. Of several the first, if all may be asked.
pub(super) async fn resolve(authority: &Authority, allowed: &[Network]) -> Result<SocketAddr, String> {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((host, authority.port_u16().unwrap_or(80))).await;
    let found: Vec<SocketAddr> = found.map_err(|error| error.to_string())?.collect();
    if let Some(why) = found.iter().find_map(|address| forbidden(address.ip(), allowed)) {
        return Err(why);
    }
    found
        .first()
        .copied()
        .ok_or_else(|| "the name has no address".to_owned())
}

/// Why nothing is sent to an address.
pub(super) fn forbidden(address: IpAddr, allowed: &[Network]) -> Option<String> {
    let address = address.to_canonical();
    let link_local = match address {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    };
    if link_local || METADATA.iter().any(|known| known.parse() == Ok(address)) {
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
        ] {
            assert_eq!(forbidden(address, &[]), none, "{address}");
            assert_eq!(forbidden(address, &ten), some, "{address}");
            assert_eq!(forbidden(address, &all), every, "{address}");
        }
    }
}
