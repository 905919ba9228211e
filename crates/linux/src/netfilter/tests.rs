use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::error::errno;
use crate::namespace::NetNamespace;
use crate::netlink::Netlink;
use crate::testbed::{may, peer, said, until};

mod traffic;

const UDP: Match = Match::Protocol(libc::IPPROTO_UDP as u8);
const TCP: Match = Match::Protocol(libc::IPPROTO_TCP as u8);

fn rule(matches: &[Match], action: Action) -> Rule {
    Rule {
        matches: matches.to_vec(),
        action,
        counted: true,
    }
}

fn chain(name: &str, hook: Hook, rules: &[Rule]) -> Chain {
    Chain {
        name: name.to_owned(),
        hook,
        priority: 0,
        rules: rules.to_vec(),
    }
}

/// Which tables there are, as `nft` writes them.
fn names(namespace: &NetNamespace) -> Vec<String> {
    let tables = namespace.within(|| Netlink::netfilter()?.tables()).unwrap();
    let mut names: Vec<_> = tables
        .iter()
        .map(|table| format!("{} {}", table.family, table.name))
        .collect();
    names.sort();
    names
}

#[test]
fn a_table_is_there_as_long_as_it_is_held() {
    if !may() {
        return;
    }
    let namespace = NetNamespace::make().unwrap();
    assert_eq!(names(&namespace), [""; 0]);
    let output = chain("output", Hook::Output, &[rule(&[], Action::Accept)]);
    let table = namespace
        .within(|| Table::make("held", std::slice::from_ref(&output)))
        .unwrap();
    assert_eq!(
        (table.name(), table.families(), table.queue_way()),
        ("held", &[Family::Inet][..], None)
    );
    assert_eq!(names(&namespace), ["inet held"]);
    namespace
        .within(|| {
            let mut netlink = Netlink::netfilter()?;
            let [found] = &netlink.tables()?[..] else {
                panic!("one table");
            };
            assert!(found.is_owned() && found.owner.is_some());
            assert!(netlink.has_table("held")? && !netlink.has_table("hel")?);
            let again = Table::make("held", &[output]).unwrap_err();
            assert_eq!(errno(&again), Some(libc::EPERM), "somebody else's: {again}");
            assert!(again.to_string().contains("the table inet held"), "{again}");
            Ok(())
        })
        .unwrap();
    assert_eq!(names(&NetNamespace::make().unwrap()), [""; 0], "another namespace");
    drop(table);
    assert_eq!(names(&namespace), [""; 0]);
}

#[test]
fn rules_of_others_are_left_alone_and_leave_ours_alone() {
    if !may() {
        return;
    }
    let namespace = NetNamespace::make().unwrap();
    let nft = |words: &[&str]| said(&namespace, "nft", words);
    for words in [
        "add table inet theirs",
        "add chain inet theirs output { type filter hook output priority 0; policy accept; }",
        "add rule inet theirs output udp dport 1234 counter drop",
    ] {
        if nft(&[words]).is_none() {
            return;
        }
    }
    let iptables = [
        "-A",
        "INPUT",
        "-p",
        "tcp",
        "--dport",
        "99",
        "-j",
        "NFQUEUE",
        "--queue-num",
        "77",
        "--queue-bypass",
    ];
    if said(&namespace, "iptables", &iptables).is_none() {
        return;
    }
    let all = || {
        let theirs = nft(&["list", "table", "inet", "theirs"]).unwrap();
        (
            theirs,
            said(&namespace, "iptables-save", &["-c"])
                .unwrap()
                .lines()
                .filter(|line| !line.starts_with('#'))
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    };
    let before = all();
    let error = namespace.within(|| Table::make("theirs", &[])).unwrap_err();
    assert_eq!(errno(&error), Some(libc::EEXIST), "{error}");
    let rules = [rule(&[UDP], Action::Queue(5)), rule(&[], Action::Accept)];
    let chains = [
        chain("input", Hook::Input, &rules),
        chain("output", Hook::Output, &rules),
    ];
    let mut table = namespace.within(|| Table::make("ours", &chains)).unwrap();
    assert_eq!(names(&namespace), ["inet ours", "inet theirs", "ip filter"]);
    let queues = namespace.within(|| Netlink::netfilter()?.queues_of_rules()).unwrap();
    assert_eq!(queues, BTreeSet::from([5, 77]));
    assert_eq!(all(), before);
    // Neither can somebody else change it, nor does it go with all the others.
    let refused = peer(&namespace, "nft", &["delete", "table", "inet", "ours"]).unwrap();
    assert!(!refused.status.success(), "{refused:?}");
    nft(&["flush", "ruleset"]).unwrap();
    assert_eq!(names(&namespace), ["inet ours"]);
    assert_eq!(table.counters().unwrap(), [[Some(Counter::default()); 2]; 2]);
    drop(table);
    assert_eq!(names(&namespace), [""; 0]);
}

#[test]
fn tables_of_the_older_iptables_are_seen_by_their_names() {
    if !may() {
        return;
    }
    let namespace = NetNamespace::make().unwrap();
    assert_eq!(namespace.within(older_tables).unwrap(), [""; 0]);
    // Looking at it makes the table.
    if said(&namespace, "iptables-legacy", &["-t", "mangle", "-S"]).is_some() {
        assert_eq!(namespace.within(older_tables).unwrap(), ["mangle"]);
    }
}

#[test]
fn a_lease_runs_out_unless_it_is_renewed() {
    if !may() {
        return;
    }
    let namespace = NetNamespace::make().unwrap();
    let leased = || namespace.within(|| Netlink::netfilter()?.has_lease("leased")).unwrap();
    assert!(!leased(), "there is no table");
    let output = chain("output", Hook::Output, &[rule(&[Match::LeaseOver], Action::Accept)]);
    let mut table = namespace.within(|| Table::make("leased", &[output])).unwrap();
    assert!(!leased(), "nobody has renewed it");
    table.renew(Duration::from_mins(1)).unwrap();
    assert!(leased());
    let begun = Instant::now();
    table.renew(Duration::from_millis(100)).unwrap();
    until("it runs out", || !leased());
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(90) && took < Duration::from_millis(600),
        "{took:?}"
    );
    table.renew(Duration::from_mins(1)).unwrap();
    assert!(leased(), "one that has run out is renewed, too");
    let output = chain("output", Hook::Output, &[rule(&[], Action::Accept)]);
    let mut without = namespace.within(|| Table::make("without", &[output])).unwrap();
    assert!(without.renew(Duration::from_mins(1)).is_err());
}

#[test]
fn a_list_grows_while_its_rules_go_on_counting() {
    if !may() {
        return;
    }
    let namespace = NetNamespace::make().unwrap();
    let listed = |version| Match::Listed {
        side: Side::Destination,
        version,
        list: "host-0".to_owned(),
    };
    let rules = [Version::V4, Version::V6].map(|version| rule(&[listed(version), UDP], Action::Accept));
    let output = [chain("output", Hook::Output, &rules)];
    let addresses = |texts: &[&str]| -> Vec<IpAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
    let list = |texts: &[&str]| List {
        name: "host-0".to_owned(),
        addresses: addresses(texts),
    };
    for families in [&[Family::Inet][..], &[Family::Ip, Family::Ip6]] {
        let refused = namespace.within(|| Table::make("lists", &output)).unwrap_err();
        assert!(refused.to_string().contains("which is not there"), "{refused}");
        namespace
            .within(|| {
                let mut route = Netlink::route()?;
                let loopback = route.link_by_name("lo")?.unwrap();
                route.set_up(loopback.index, true)?;
                let mut table = Table::make_in_with(families, "lists", &output, &[list(&["127.0.0.7"])])?;
                let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
                let counted = |table: &mut Table, to: &str| {
                    let packets = |table: &mut Table| table.counters().unwrap()[0][0].unwrap().packets;
                    let before = packets(table);
                    socket.send_to(b"x", (to, 9)).unwrap();
                    packets(table) - before
                };
                assert_eq!(counted(&mut table, "127.0.0.7"), 1);
                assert_eq!(counted(&mut table, "127.0.0.8"), 0);
                // What is there already is no error.
                table.add(&list(&["127.0.0.8", "127.0.0.7", "2001:db8::7"]))?;
                table.add(&list(&[]))?;
                assert_eq!(counted(&mut table, "127.0.0.8"), 1);
                assert_eq!(counted(&mut table, "127.0.0.7"), 1, "it stays");
                assert_eq!(table.counters()?[0][0].unwrap().packets, 3, "no counter began again");
                let mut netlink = Netlink::netfilter()?;
                let all = netlink.listed("lists", "host-0")?;
                assert_eq!(
                    all,
                    addresses(&["127.0.0.7", "127.0.0.8", "2001:db8::7"])
                        .into_iter()
                        .collect()
                );
                assert!(netlink.listed("lists", "host-1")?.is_empty());
                let unknown = List {
                    name: "host-1".to_owned(),
                    ..list(&["127.0.0.9"])
                };
                assert_eq!(
                    table.add(&unknown).map_err(|error| errno(&error)),
                    Err(Some(libc::ENOENT))
                );
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn nft_reads_what_we_write() {
    if !may() {
        return;
    }
    let namespace = NetNamespace::make().unwrap();
    let network = |side, text: &str, bits| Match::Address {
        side,
        network: text.parse().unwrap(),
        bits,
    };
    let port = |side, first, last| Match::Port { side, first, last };
    let link = |way, name: &str| Match::Link {
        way,
        name: name.to_owned(),
    };
    let (from, to) = (Side::Source, Side::Destination);
    let wanted = [
        (vec![], Action::Drop, "drop"),
        (
            vec![Match::Version(Version::V6)],
            Action::Accept,
            "meta nfproto ipv6 accept",
        ),
        (
            vec![network(from, "10.1.2.3", 32)],
            Action::Drop,
            "ip saddr 10.1.2.3 drop",
        ),
        (
            vec![network(to, "10.1.2.3", 9)],
            Action::Drop,
            "ip daddr 10.0.0.0/9 drop",
        ),
        (
            vec![network(to, "fd00::1", 128)],
            Action::Drop,
            "ip6 daddr fd00::1 drop",
        ),
        (
            vec![network(from, "fd00::1", 63)],
            Action::Drop,
            "ip6 saddr fd00::/63 drop",
        ),
        (
            vec![network(from, "10.1.2.3", 0)],
            Action::Drop,
            "meta nfproto ipv4 drop",
        ),
        (vec![TCP], Action::Drop, "meta l4proto tcp drop"),
        (vec![TCP, port(from, 80, 80)], Action::Drop, "tcp sport 80 drop"),
        (vec![UDP, port(to, 80, 90)], Action::Drop, "udp dport 80-90 drop"),
        (vec![UDP, port(to, 0, 65535)], Action::Drop, "udp dport 0-65535 drop"),
        (vec![link(Way::In, "eth0")], Action::Drop, "iifname \"eth0\" drop"),
        (
            vec![link(Way::Out, "fifteen-letters")],
            Action::Drop,
            "oifname \"fifteen-letters\" drop",
        ),
        (
            vec![Match::NotLoopback(Way::Out)],
            Action::Drop,
            "meta oiftype != loopback drop",
        ),
        (
            vec![Match::Mark {
                mask: 0xff,
                value: 0x12,
            }],
            Action::Drop,
            "meta mark & 0x000000ff == 0x00000012 drop",
        ),
        (
            vec![Match::NotMark { mask: 1, value: 1 }],
            Action::Drop,
            "meta mark & 0x00000001 != 0x00000001 drop",
        ),
        (
            vec![Match::Share {
                taken: 3,
                of: 1_000_000,
            }],
            Action::Drop,
            "numgen random mod 1000000 < 3 drop",
        ),
        (
            vec![TCP, Match::TcpFlags { mask: 0x12, value: 2 }],
            Action::Drop,
            "tcp flags syn / syn,ack drop",
        ),
        (
            vec![Match::Protocol(1), Match::IcmpType(3)],
            Action::Drop,
            "icmp type destination-unreachable drop",
        ),
        (
            vec![Match::Protocol(58), Match::IcmpType(135)],
            Action::Accept,
            "icmpv6 type nd-neighbor-solicit accept",
        ),
        (vec![Match::LeaseOver], Action::Accept, "meta nfproto != @lease accept"),
        (vec![Match::NewConnection], Action::Drop, "ct state new drop"),
        (vec![TCP], Action::Reset, "meta l4proto tcp reject with tcp reset"),
        (vec![], Action::Unreachable, "reject"),
        (
            vec![Match::Version(Version::V4)],
            Action::Unreachable,
            "meta nfproto ipv4 reject",
        ),
    ];
    let rules: Vec<Rule> = wanted
        .iter()
        .map(|(matches, action, _)| Rule {
            matches: matches.clone(),
            action: *action,
            counted: false,
        })
        .collect();
    let chains = [Chain {
        priority: -7,
        ..chain("output", Hook::Output, &rules)
    }];
    let table = namespace.within(|| Table::make("read", &chains)).unwrap();
    let Some(shown) = said(&namespace, "nft", &["list", "table", "inet", "read"]) else {
        return;
    };
    assert!(shown.contains("flags owner"), "{shown}");
    assert!(
        shown.contains("type filter hook output priority filter - 7; policy accept;"),
        "{shown}"
    );
    let lines: Vec<_> = shown
        .lines()
        .map(str::trim)
        .filter(|line| line.contains(" comment "))
        .collect();
    assert_eq!(lines.len(), wanted.len(), "{shown}");
    for (number, (line, (_, _, wanted))) in lines.iter().zip(&wanted).enumerate() {
        assert_eq!(*line, format!("{wanted} comment \"fracas rule {number}\""));
    }
    drop(table);
}

#[test]
fn what_the_kernel_refuses_is_named_and_nothing_is_left() {
    if !may() {
        return;
    }
    let namespace = NetNamespace::make().unwrap();
    let good = rule(&[UDP], Action::Accept);
    let chains = [
        chain("output", Hook::Output, std::slice::from_ref(&good)),
        chain("late", Hook::Postrouting, &[good, rule(&[], Action::Unreachable)]),
    ];
    let error = namespace.within(|| Table::make("refused", &chains)).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("message 6 of 6 was refused, rule 1 of the chain late"),
        "{text}"
    );
    assert_eq!(errno(&error), Some(libc::EOPNOTSUPP), "{text}");
    assert_eq!(names(&namespace), [""; 0]);
}

#[test]
fn what_cannot_be_a_table_is_told_before_the_kernel_is_asked() {
    let port = Match::Port {
        side: Side::Source,
        first: 2,
        last: 1,
    };
    let address = |text: &str, bits| Match::Address {
        side: Side::Source,
        network: text.parse().unwrap(),
        bits,
    };
    for (matches, action, why) in [
        (vec![port.clone()], Action::Drop, "must have a protocol"),
        (vec![TCP, port], Action::Drop, "2-1 are no ports"),
        (vec![address("10.0.0.0", 33)], Action::Drop, "10.0.0.0/33 is no network"),
        (vec![address("::1", 129)], Action::Drop, "is no network"),
        (
            vec![address("10.0.0.0", 8), address("::1", 9)],
            Action::Drop,
            "IPv4 and IPv6",
        ),
        (vec![UDP], Action::Reset, "must have the protocol TCP"),
        (
            vec![UDP, Match::TcpFlags { mask: 1, value: 1 }],
            Action::Drop,
            "must have the protocol TCP",
        ),
        (
            vec![UDP, Match::IcmpType(3)],
            Action::Drop,
            "must have the protocol ICMP",
        ),
        (
            vec![Match::Share { taken: 2, of: 1 }],
            Action::Drop,
            "2 of 1 is no share",
        ),
        (
            vec![Match::Share { taken: 0, of: 0 }],
            Action::Drop,
            "0 of 0 is no share",
        ),
        (
            vec![Match::Link {
                way: Way::In,
                name: "sixteen-letters-".into(),
            }],
            Action::Drop,
            "no name of a link",
        ),
    ] {
        let error = Table::make("name", &[chain("c", Hook::Input, &[rule(&matches, action)])]).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
    for name in ["", "1", "a b", "a\0", "ü", "{", &"a".repeat(65)] {
        assert!(
            Table::make(name, &[]).unwrap_err().to_string().contains("is no name"),
            "{name}"
        );
    }
    let twice = [chain("c", Hook::Input, &[]), chain("c", Hook::Output, &[])];
    assert!(
        Table::make("name", &twice)
            .unwrap_err()
            .to_string()
            .contains("two chains")
    );
}

#[test]
fn what_this_kernel_can_do_is_seen() {
    if !may() {
        return;
    }
    let possible = possible().unwrap();
    eprintln!("{possible:#?}");
    assert!(possible.packet_queue() && possible.refusal, "{possible:?}");
}
