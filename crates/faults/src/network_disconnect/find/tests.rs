use fracas_linux::netlink::Bridge;

use super::*;

/// A target with two pairs: `eth0` to a port of `br-a`, `eth1` to one of `br-b`.
fn ground() -> Ground {
    let link = |index: u32, name: &str, kind: Option<&str>| Link {
        index,
        name: name.to_owned(),
        kind: kind.map(str::to_owned),
        up: true,
        ..Link::default()
    };
    let bridge = |index, name: &str| Link {
        bridge: Some(Bridge::default()),
        ..link(index, name, Some("bridge"))
    };
    let pair = |index, name: &str, other, namespace| Link {
        other: Some(other),
        other_namespace: Some(namespace),
        address: vec![2, 0, 0, 0, 0, index as u8],
        operational: true,
        ..link(index, name, Some("veth"))
    };
    let port = |index, name: &str, other, master| Link {
        master: Some(master),
        port_kind: Some("bridge".to_owned()),
        state: Some(PortState::Forwarding),
        ..pair(index, name, other, 7)
    };
    let lo = Link {
        loopback: true,
        ..link(1, "lo", None)
    };
    Ground {
        host: 100,
        inside: 200,
        here: vec![
            lo.clone(),
            link(2, "ens3", None),
            bridge(3, "br-a"),
            bridge(4, "br-b"),
            port(5, "veth-a", 2, 3),
            port(6, "veth-b", 3, 4),
        ],
        there: vec![lo, pair(2, "eth0", 5, 0), pair(3, "eth1", 6, 0)],
        here_from_there: Some(0),
        there_from_here: Some(7),
        around_us: false,
    }
}

fn wanted(name: &str, address: Option<Vec<u8>>) -> Wanted {
    Wanted {
        name: name.to_owned(),
        address,
        known: vec!["backend".to_owned()],
    }
}

fn names(ports: &[Port]) -> Vec<(&str, &str, &str)> {
    ports
        .iter()
        .map(|port| (port.name.as_str(), port.bridge_name.as_str(), port.inside_name.as_str()))
        .collect()
}

#[test]
fn the_ports_of_all_networks_are_found_or_that_of_one() {
    let found = ports(&ground(), None).unwrap();
    assert_eq!(names(&found), [("veth-a", "br-a", "eth0"), ("veth-b", "br-b", "eth1")]);
    assert_eq!((found[0].index, found[0].bridge, found[0].inside), (5, 3, 2));
    let one = ports(&ground(), Some(&wanted("br-b", None))).unwrap();
    assert_eq!(names(&one), [("veth-b", "br-b", "eth1")]);
    let by_address = wanted("backend", Some(vec![2, 0, 0, 0, 0, 2]));
    assert_eq!(
        names(&ports(&ground(), Some(&by_address)).unwrap()),
        [("veth-a", "br-a", "eth0")]
    );
}

/// What is said where this is different.
fn why(change: impl FnOnce(&mut Ground)) -> String {
    let mut ground = ground();
    change(&mut ground);
    ports(&ground, None).unwrap_err().why
}

#[test]
fn what_has_no_port_of_its_own_is_refused_with_the_reason() {
    for (said, wanted) in [
        (
            why(|ground| ground.inside = ground.host),
            "shares the network namespace",
        ),
        (why(|ground| ground.around_us = true), "the session"),
        (why(|ground| ground.there.truncate(1)), "no interface that is up"),
        (
            why(|ground| ground.there.iter_mut().for_each(|link| link.up = false)),
            "no interface that is up",
        ),
        (
            why(|ground| ground.here_from_there = None),
            "eth0 is not in the network namespace of Fracas",
        ),
        (
            why(|ground| ground.there[1].other_namespace = Some(3)),
            "eth0 is not in the network namespace",
        ),
        (
            why(|ground| ground.here[5].other_namespace = Some(1)),
            "eth1 is not in the network namespace",
        ),
        (
            why(|ground| ground.here[4].other = Some(9)),
            "eth0 is not in the network namespace",
        ),
        (why(|ground| ground.here[4].master = None), "is in no bridge"),
        (why(|ground| ground.here[4].master = Some(99)), "is in no bridge"),
        (
            why(|ground| {
                ground.here[2].kind = Some("openvswitch".to_owned());
                ground.here[2].bridge = None;
            }),
            "br-a (openvswitch), which is no Linux bridge",
        ),
        (
            why(|ground| ground.here[2].bridge = Some(Bridge { stp: true, mst: false })),
            "spanning tree",
        ),
        (
            why(|ground| ground.here[3].bridge = Some(Bridge { stp: false, mst: true })),
            "(mst)",
        ),
        (
            why(|ground| ground.here[5].state = Some(PortState::Disabled)),
            "veth-b of bridge br-b is disabled already",
        ),
    ] {
        assert!(said.contains(wanted), "{said}");
    }
}

#[test]
fn a_target_with_another_way_out_is_not_called_disconnected() {
    let past = |kind: Option<&str>, namespace| {
        let mut ground = ground();
        ground.there.push(Link {
            index: 9,
            name: "out".to_owned(),
            kind: kind.map(str::to_owned),
            other_namespace: namespace,
            up: true,
            ..Link::default()
        });
        ground
    };
    for ground in [past(None, None), past(Some("macvlan"), Some(0))] {
        let refused = ports(&ground, None).unwrap_err();
        assert!(
            refused.why.contains("out (") && refused.why.contains("goes past"),
            "{refused:?}"
        );
        // One network alone can be cut off all the same.
        assert!(ports(&ground, Some(&wanted("br-a", None))).is_ok());
    }
    // What is on top of the target's own pairs goes with them.
    assert!(ports(&past(Some("wireguard"), None), None).is_ok());
}

#[test]
fn a_network_that_is_not_there_is_refused_with_those_that_are() {
    let refused = ports(&ground(), Some(&wanted("nowhere", None))).unwrap_err();
    assert!(refused.why.contains("\"nowhere\""), "{refused:?}");
    assert_eq!(refused.next, "those that there are: backend, br-a, br-b");
    assert!(ports(&ground(), Some(&wanted("", None))).is_err());
}

#[test]
fn hardware_addresses_are_read() {
    assert_eq!(
        hardware_address("02:42:ac:11:00:0f"),
        Some(vec![2, 0x42, 0xac, 0x11, 0, 15])
    );
    for wrong in [
        "",
        "02:42",
        "02:42:ac:11:00:02:03",
        "02:42:ac:11:00:xx",
        "0:0:0:0:0:100",
    ] {
        assert_eq!(hardware_address(wrong), None, "{wrong}");
    }
}
