//! What this kernel can do with packets.

use std::io;
use std::sync::OnceLock;

use fracas_linux::netfilter;
use fracas_linux::netlink::Netlink;
use fracas_linux::traffic_control;

/// What this kernel can do with packets. It is found out once, in a namespace that is made for it.
fn possible() -> io::Result<&'static netfilter::Possible> {
    static POSSIBLE: OnceLock<netfilter::Possible> = OnceLock::new();
    match POSSIBLE.get() {
        Some(possible) => Ok(possible),
        None => {
            let found = netfilter::possible()?;
            Ok(POSSIBLE.get_or_init(|| found))
        }
    }
}

/// What this kernel lacks to stop packets by rules.
pub fn no_rules() -> io::Result<Option<String>> {
    let possible = possible()?;
    let lacking = [
        (
            possible.owner,
            "tables of packet rules that go with their owner (Linux 5.12)",
        ),
        (possible.refusal, "rules that drop by chance and reject"),
    ];
    Ok(lacks(&lacking))
}

/// What this kernel lacks to take connections before the program that listens to their port.
pub fn no_diversion() -> io::Result<Option<String>> {
    let possible = possible()?;
    let lacking = [
        (
            possible.owner,
            "tables of packet rules that go with their owner (Linux 5.12)",
        ),
        (possible.lease, "sets of packet rules that forget (nft_set_hash)"),
        (
            possible.diversion,
            "rules that give connections to somebody else's socket (CONFIG_NFT_TPROXY, CONFIG_NFT_FIB_INET)",
        ),
    ];
    Ok(lacks(&lacking))
}

/// What this kernel lacks to end connections.
pub fn no_resets() -> io::Result<Option<String>> {
    let can = Netlink::sockets()?.can_end_connections()?;
    Ok(lacks(&[(can, "way to end connections (CONFIG_INET_DIAG_DESTROY)")]))
}

fn lacks(needed: &[(bool, &str)]) -> Option<String> {
    let lacking: Vec<_> = needed.iter().filter(|(has, _)| !has).map(|(_, what)| *what).collect();
    (!lacking.is_empty()).then(|| format!("this kernel has no {}", lacking.join(", no ")))
}

/// What this kernel lacks for queues of its own that impair packets, as far as can be told before one is made.
pub fn no_kernel_queue() -> io::Result<Option<String>> {
    static POSSIBLE: OnceLock<traffic_control::Possible> = OnceLock::new();
    let possible = match POSSIBLE.get() {
        Some(possible) => possible,
        None => {
            let found = traffic_control::possible()?;
            POSSIBLE.get_or_init(|| found)
        }
    };
    Ok(lacks(&[
        (possible.netem, "netem (CONFIG_NET_SCH_NETEM)"),
        (possible.clsact, "clsact (CONFIG_NET_SCH_INGRESS)"),
        (
            possible.redirect,
            "filters that lead packets aside (CONFIG_NET_CLS_BPF, CONFIG_NET_ACT_MIRRED)",
        ),
        (possible.ifb == Some(true), no_ifb(possible.ifb.is_some())),
    ]))
}

fn no_ifb(known: bool) -> &'static str {
    if known {
        "interfaces to lead them to (CONFIG_IFB)"
    } else {
        "interfaces to lead them to, as far as can be told: the module `ifb` is not loaded, and /lib/modules does not say whether there \
         is one (`modprobe ifb numifbs=0` loads it)"
    }
}

/// What this kernel lacks to give packets to a worker.
pub fn obstacle() -> io::Result<Option<String>> {
    let possible = possible()?;
    let lacking = [
        (
            possible.owner,
            "tables of packet rules that go with their owner (Linux 5.12)",
        ),
        (possible.lease, "sets of packet rules that forget (nft_set_hash)"),
        (possible.queue.is_some(), "rules that queue packets"),
        (possible.bypass, "queues that are passed by where nobody listens"),
        (possible.listen, "queues that can be listened to"),
    ];
    Ok(lacks(&lacking))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_said_to_be_absent() {
        let said = |ifb: Option<bool>| lacks(&[(ifb == Some(true), no_ifb(ifb.is_some()))]);
        assert_eq!(said(Some(true)), None);
        assert!(said(Some(false)).unwrap().contains("CONFIG_IFB"));
        let unknown = said(None).unwrap();
        assert!(
            unknown.contains("as far as can be told") && !unknown.contains("CONFIG_IFB"),
            "{unknown}"
        );
    }
}
