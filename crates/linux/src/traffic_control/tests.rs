//! What we write is what tc(8) would have made, what we read is what it shows, and what is beside it stays as it was.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::error::errno;
use crate::netfilter::{Match, Side as End, Version};
use crate::netlink::Netlink;
use crate::testbed::{HERE, LIMIT, OTHER, Pair, THERE, said, udp};

const COOKIE: Cookie = Cookie(*b"\x01\x23\x45\x67\x89\xab\xcd\xef\x10\x32\x54\x76\x98\xba\xdc\xfe");
const PLACE: (u16, u32) = (7, 3);

/// Two namespaces, and in the first a link to send packets to, which sends them on.
struct Bed {
    pair: Pair,
    netlink: Netlink,
    ifb: u32,
}

impl Bed {
    fn make() -> Option<Self> {
        let pair = Pair::make()?;
        let mut netlink = pair.here.within(Netlink::route).unwrap();
        let ifb = netlink.make_ifb("aside", [2; 6]).unwrap();
        netlink.set_up(ifb, true).unwrap();
        Some(Self { pair, netlink, ifb })
    }

    fn tc(&self, words: &str) {
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        assert!(said(&self.pair.here, "tc", &words).is_some(), "tc is not here");
    }

    /// What tc shows.
    fn shown(&self, words: &str) -> Value {
        let words: Vec<&str> = ["-j"].into_iter().chain(words.split_ascii_whitespace()).collect();
        serde_json::from_str(&said(&self.pair.here, "tc", &words).expect("tc is here")).unwrap()
    }

    /// How many packets went aside.
    fn aside(&self) -> u64 {
        let words = ["-s", "-j", "link", "show", "dev", "aside"];
        let text = said(&self.pair.here, "ip", &words).expect("ip is here");
        let shown: Value = serde_json::from_str(&text).unwrap();
        shown[0]["stats64"]["tx"]["packets"].as_u64().unwrap()
    }

    /// Sends a datagram from this port to that one, and waits until it arrives.
    fn send(&self, from: IpAddr, to: IpAddr, ports: (u16, u16)) {
        let there = udp(&self.pair.there, to, ports.1);
        let here = udp(&self.pair.here, from, ports.0);
        here.send_to(b"x", SocketAddr::new(to, ports.1)).unwrap();
        assert_eq!(there.recv(&mut [0; 4]).unwrap(), 1);
    }

    fn redirect(&mut self, program: &Program) {
        let (at, ifb) = ((self.pair.near, Side::Egress), self.ifb);
        self.netlink.add_redirect(at, PLACE, program, ifb, COOKIE).unwrap();
    }
}

/// Without netem there is nothing to be compared: `cargo xtask vm` has a kernel with it, and says so by a variable.
fn has_netem(bed: &mut Bed) -> bool {
    let added = bed
        .netlink
        .add_netem(bed.ifb, Handle::new(1, 0), ROOT, &Netem::default());
    match added {
        Ok(()) => {
            bed.netlink.remove_qdisc(bed.ifb, Handle::new(1, 0), ROOT).unwrap();
            true
        }
        Err(error) => {
            assert_eq!(errno(&error), Some(libc::ENOENT), "{error}");
            assert!(
                std::env::var_os("FRACAS_TEST_VM").is_none(),
                "the machine for tests must have netem"
            );
            eprintln!("skipped: this kernel has no netem, that of `cargo xtask vm` has");
            false
        }
    }
}

fn to(network: &str, bits: u8) -> Match {
    Match::Address {
        side: End::Destination,
        network: network.parse().unwrap(),
        bits,
    }
}

fn port(side: End, first: u16, last: u16) -> Match {
    Match::Port { side, first, last }
}

const UDP: Match = Match::Protocol(17);

#[test]
fn a_filter_that_tc_makes_is_read_as_ours_is() {
    let Some(mut bed) = Bed::make() else { return };
    let near = bed.pair.near;
    let program = Program::matching(&[vec![to("10.77.0.0", 24), UDP, port(End::Destination, 80, 90)]], &[]).unwrap();
    bed.netlink.add_clsact(near).unwrap();
    bed.redirect(&program);
    let ours = bed.netlink.filters(near, Side::Egress).unwrap();
    let shown = bed.shown("filter show dev near egress");
    let shown = shown
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["options"].is_object())
        .unwrap();
    assert_eq!(
        (&shown["pref"], &shown["kind"], &shown["protocol"]),
        (&json!(7), &json!("bpf"), &json!("all"))
    );
    let action = &shown["options"]["actions"][0];
    assert_eq!(
        (&action["kind"], &action["mirred_action"]),
        (&json!("mirred"), &json!("redirect"))
    );
    assert_eq!(
        (&action["direction"], &action["to_dev"]),
        (&json!("egress"), &json!("aside"))
    );
    assert_eq!(action["cookie"], json!(COOKIE.to_string()));
    bed.netlink.remove_filter((near, Side::Egress), PLACE).unwrap();
    assert_eq!(bed.netlink.filters(near, Side::Egress).unwrap(), []);

    let bytes = program.bytes();
    let steps = bytes.chunks(8).map(|step| {
        let code = u16::from_ne_bytes([step[0], step[1]]);
        let number = u32::from_ne_bytes([step[4], step[5], step[6], step[7]]);
        format!("{code} {} {} {number}", step[2], step[3])
    });
    let code: Vec<String> = std::iter::once(program.count().to_string()).chain(steps).collect();
    let code = code.join(",");
    let words = "filter add dev near egress pref 7 handle 3 protocol all bpf bytecode CODE action mirred egress redirect dev aside cookie";
    let cookie = COOKIE.to_string();
    let words: Vec<&str> = words
        .split(' ')
        .map(|word| if word == "CODE" { code.as_str() } else { word })
        .chain([cookie.as_str()])
        .collect();
    assert!(said(&bed.pair.here, "tc", &words).is_some());
    let theirs = bed.netlink.filters(near, Side::Egress).unwrap();
    assert_eq!(theirs, ours);
    assert_eq!(
        (ours.len(), ours[0].to, ours[0].cookie),
        (1, Some(bed.ifb), Some(COOKIE))
    );
    assert_eq!(ours[0].program.as_ref(), Some(&program));
}

type Packet = (IpAddr, IpAddr, (u16, u16));
/// What is meant, what is left out, a packet that is taken, and packets that are not.
type Case = (Vec<Vec<Match>>, Vec<Vec<Match>>, Packet, Vec<Packet>);

#[test]
fn a_program_takes_what_is_meant_and_nothing_else() {
    let Some(mut bed) = Bed::make() else { return };
    let near = bed.pair.near;
    bed.netlink.add_clsact(near).unwrap();
    let [here_4, here_6] = HERE;
    let [there_4, there_6] = THERE;
    let [other_4, other_6] = OTHER;
    let four = (here_4, there_4, (1000, 2000));
    let six = (here_6, there_6, (1000, 2000));
    let cases: Vec<Case> = vec![
        (
            vec![vec![to("10.77.0.2", 32)]],
            vec![],
            four,
            vec![six, (here_4, other_4, four.2)],
        ),
        (
            vec![vec![to("fd77::2", 128)]],
            vec![],
            six,
            vec![four, (here_6, other_6, six.2)],
        ),
        (
            vec![vec![to("10.77.0.2", 31)]],
            vec![vec![to("10.77.0.3", 32)]],
            four,
            vec![six, (here_4, other_4, four.2)],
        ),
        (
            vec![vec![to("fd77::", 126)]],
            vec![vec![to("fd77::3", 128)]],
            six,
            vec![four, (here_6, other_6, six.2)],
        ),
        (vec![vec![to("0.0.0.0", 0)]], vec![], four, vec![six]),
        (vec![vec![Match::Version(Version::V6), UDP]], vec![], six, vec![four]),
        (
            vec![vec![UDP, port(End::Destination, 2000, 2000)]],
            vec![],
            four,
            vec![(here_4, there_4, (2000, 1999)), (here_6, there_6, (2000, 2001))],
        ),
        (
            vec![vec![UDP, port(End::Source, 999, 1000)]],
            vec![],
            six,
            vec![(here_4, there_4, (998, 1000)), (here_6, there_6, (1001, 999))],
        ),
        (
            vec![vec![]],
            vec![vec![UDP, port(End::Destination, 2000, 2010)], vec![to("10.77.0.3", 32)]],
            (here_4, there_4, (1000, 2011)),
            vec![four, six, (here_4, other_4, (1, 1))],
        ),
    ];
    for (these, except, taken, not) in cases {
        let program = Program::matching(&these, &except).unwrap();
        bed.redirect(&program);
        let before = bed.aside();
        for (from, to, ports) in &not {
            bed.send(*from, *to, *ports);
        }
        // What the kernel sends of its own, such as questions for neighbours, may be meant, too, where everything is.
        let wild = these.iter().any(Vec::is_empty);
        assert!(
            wild || bed.aside() == before,
            "{these:?} but {except:?} takes one of {not:?}"
        );
        let before = bed.aside();
        bed.send(taken.0, taken.1, taken.2);
        assert!(bed.aside() > before, "{these:?} but {except:?} does not take {taken:?}");
        bed.netlink.remove_filter((near, Side::Egress), PLACE).unwrap();
    }
}

#[test]
fn what_only_rules_can_look_at_is_refused() {
    let refused = |one: Match| Program::matching(&[vec![one]], &[]).unwrap_err().to_string();
    assert!(refused(Match::NewConnection).contains("cannot look at"));
    assert!(refused(Match::Share { taken: 1, of: 2 }).contains("cannot look at"));
    assert!(refused(port(End::Source, 1, 2)).contains("without TCP or UDP"));
    assert!(refused(to("10.0.0.0", 33)).contains("no network"));
    let two = Program::matching(&[vec![Match::Version(Version::V6), to("10.0.0.0", 8)]], &[]);
    assert!(two.is_err());
    let many = vec![vec![to("10.0.0.0", 8)]; 1000];
    assert!(Program::matching(&many, &[]).unwrap_err().to_string().contains("steps"));
}

#[test]
fn what_others_have_on_the_link_stays_as_it_is() {
    let Some(mut bed) = Bed::make() else { return };
    let near = bed.pair.near;
    bed.tc("qdisc add dev near root handle 5: htb default 1");
    bed.tc("class add dev near parent 5: classid 5:1 htb rate 100mbit");
    bed.tc("qdisc add dev near parent 5:1 handle 6: tbf rate 10mbit burst 16kb latency 50ms");
    // What tc knows of classes it does not write as JSON.
    let shown = |bed: &Bed| {
        let classes = said(&bed.pair.here, "tc", &["class", "show", "dev", "near"]).unwrap();
        (bed.shown("qdisc show dev near"), classes)
    };
    let before = shown(&bed);
    let handles: Vec<_> = bed
        .netlink
        .qdiscs(near)
        .unwrap()
        .iter()
        .map(|qdisc| (qdisc.handle.to_string(), qdisc.kind.clone()))
        .collect();
    assert_eq!(
        handles,
        [("5:".to_owned(), "htb".to_owned()), ("6:".to_owned(), "tbf".to_owned())]
    );
    bed.netlink.add_clsact(near).unwrap();
    bed.redirect(&Program::matching(&[vec![]], &[]).unwrap());
    bed.send(HERE[0], THERE[0], (1000, 2000));
    bed.netlink.remove_filter((near, Side::Egress), PLACE).unwrap();
    bed.netlink.remove_qdisc(near, Handle::new(0xffff, 0), CLSACT).unwrap();
    assert_eq!(shown(&bed), before);
}

#[test]
fn there_is_one_place_for_filters_and_who_was_there_first_keeps_it() {
    let Some(mut bed) = Bed::make() else { return };
    let near = bed.pair.near;
    for kind in ["ingress", "clsact"] {
        bed.tc(&format!("qdisc add dev near {kind}"));
        let refused = bed.netlink.add_clsact(near).unwrap_err();
        assert_eq!(errno(&refused), Some(libc::EEXIST), "{refused}");
        let there = bed.netlink.qdiscs(near).unwrap();
        assert!(
            there.iter().any(|qdisc| qdisc.kind == kind && qdisc.parent == CLSACT),
            "{there:?}"
        );
        bed.tc(&format!("qdisc del dev near {kind}"));
    }
    // A filter of another kind is seen, without what it looks for.
    bed.tc("qdisc add dev near clsact");
    bed.tc("filter add dev near ingress pref 9 protocol ip u32 match u32 0 0 action mirred egress redirect dev aside");
    let others = bed.netlink.filters(near, Side::Ingress).unwrap();
    assert!(
        others
            .iter()
            .any(|one| one.kind == "u32" && one.to == Some(bed.ifb) && one.program.is_none()),
        "{others:?}"
    );
    assert_eq!(bed.netlink.filters(near, Side::Egress).unwrap(), []);
}

#[test]
fn where_filters_of_others_lead_is_seen_behind_another_action_and_in_a_shared_block() {
    let Some(mut bed) = Bed::make() else { return };
    let near = bed.pair.near;
    bed.tc("qdisc add dev near ingress_block 7 egress_block 8 clsact");
    bed.tc("filter add block 7 pref 9 protocol ip u32 match u32 0 0 action mirred egress redirect dev aside");
    bed.tc(concat!(
        "filter add block 8 pref 9 protocol ip u32 match u32 0 0 action mirred egress mirror dev aside pipe ",
        "action mirred egress redirect dev aside",
    ));
    for side in [Side::Ingress, Side::Egress] {
        let all = bed.netlink.filters(near, side).unwrap();
        let leads = |one: &Filter| one.kind == "u32" && one.side == side && one.to == Some(bed.ifb);
        assert!(all.iter().any(leads), "{all:?}");
        assert!(
            all.iter().all(|one| one.link != near && one.cookie.is_none()),
            "{all:?}"
        );
    }
}

/// A share as tc makes it of a word: rint(3) of its part of 2³² - 1.
fn percent(percent: u32) -> u32 {
    (f64::from(percent) / 100.0 * f64::from(u32::MAX)).round_ties_even() as u32
}

#[test]
fn a_netem_that_tc_makes_is_read_as_ours_is() {
    let Some(mut bed) = Bed::make() else { return };
    if !has_netem(&mut bed) {
        return;
    }
    let chance = |share, correlation| Chance {
        share: percent(share),
        correlation: percent(correlation),
    };
    let base = Netem {
        limit: 500,
        ..Netem::default()
    };
    let delay = Netem {
        latency: Duration::from_millis(100),
        jitter: Duration::from_millis(10),
        delay_correlation: percent(25),
        ..base.clone()
    };
    let cases = [
        ("", base.clone()),
        ("delay 100ms 10ms 25%", delay.clone()),
        (
            "loss random 10% 50%",
            Netem {
                loss: Loss::Random(chance(10, 50)),
                ..base.clone()
            },
        ),
        (
            "loss gemodel 1% 10% 75% 2%",
            Netem {
                loss: Loss::GilbertElliott {
                    p: percent(1),
                    r: percent(10),
                    kept_bad: u32::MAX - percent(75),
                    lost_good: percent(2),
                },
                ..base.clone()
            },
        ),
        (
            // tc forgets the correlation of what it doubles where nothing else has one.
            "delay 100ms 10ms 25% duplicate 20% 5%",
            Netem {
                duplicate: chance(20, 5),
                ..delay.clone()
            },
        ),
        (
            "corrupt 3% 7%",
            Netem {
                corrupt: chance(3, 7),
                ..base.clone()
            },
        ),
        (
            "delay 100ms 10ms 25% reorder 30% 40%",
            Netem {
                reorder: chance(30, 40),
                ..delay
            },
        ),
        (
            "rate 8mbit",
            Netem {
                rate: 1_000_000,
                ..base.clone()
            },
        ),
        (
            "rate 80gbit",
            Netem {
                rate: 10_000_000_000,
                ..base.clone()
            },
        ),
    ];
    let (ifb, handle) = (bed.ifb, Handle::new(9, 0));
    for (words, netem) in cases {
        bed.tc(&format!("qdisc add dev aside root handle 9: netem limit 500 {words}"));
        let theirs = (bed.netlink.qdiscs(ifb).unwrap(), bed.shown("qdisc show dev aside"));
        bed.tc("qdisc del dev aside root");
        bed.netlink.add_netem(ifb, handle, ROOT, &netem).unwrap();
        let ours = (bed.netlink.qdiscs(ifb).unwrap(), bed.shown("qdisc show dev aside"));
        assert_eq!(ours, theirs, "{words}");
        let [qdisc] = ours.0.as_slice() else { panic!("{ours:?}") };
        assert_eq!((qdisc.handle, qdisc.parent), (handle, ROOT));
        assert_eq!(qdisc.options, Options::Netem(netem), "{words}");
        let again = bed.netlink.add_netem(ifb, handle, ROOT, &Netem::default()).unwrap_err();
        assert_eq!(errno(&again), Some(libc::EEXIST), "{again}");
        bed.netlink.remove_qdisc(ifb, handle, ROOT).unwrap();
    }
}

#[test]
fn a_delay_meets_what_is_sent_aside_and_nobody_else_and_is_gone_with_its_queue() {
    const DELAY: Duration = Duration::from_millis(300);
    let Some(mut bed) = Bed::make() else { return };
    if !has_netem(&mut bed) {
        return;
    }
    let (near, ifb) = (bed.pair.near, bed.ifb);
    let took = |bed: &Bed, to| {
        let began = Instant::now();
        bed.send(HERE[0], to, (1000, 2000));
        began.elapsed()
    };
    // Neighbours are known from here on.
    for to in [THERE[0], OTHER[0]] {
        took(&bed, to);
    }
    let (first, second) = (Handle::new(1, 0), Handle::new(2, 0));
    let half = Netem {
        latency: DELAY / 2,
        ..Netem::default()
    };
    bed.netlink.add_netem(ifb, first, ROOT, &half).unwrap();
    bed.netlink.add_netem(ifb, second, Handle::new(1, 1), &half).unwrap();
    bed.netlink.add_clsact(near).unwrap();
    bed.redirect(&Program::matching(&[vec![to("10.77.0.2", 32)]], &[]).unwrap());
    let both = took(&bed, THERE[0]);
    assert!(both >= DELAY && both < LIMIT, "two queues, one in the other: {both:?}");
    let other = took(&bed, OTHER[0]);
    assert!(other < DELAY / 2, "nobody else: {other:?}");
    bed.netlink.remove_qdisc(ifb, second, Handle::new(1, 1)).unwrap();
    let one = took(&bed, THERE[0]);
    assert!(one >= DELAY / 2 && one < DELAY, "one is left: {one:?}");
    bed.netlink.remove_filter((near, Side::Egress), PLACE).unwrap();
    let none = took(&bed, THERE[0]);
    assert!(none < DELAY / 2, "none is left: {none:?}");
    // With the link its queues go, too.
    bed.netlink.remove_link(ifb).unwrap();
    assert_eq!(bed.netlink.qdiscs(ifb).unwrap(), []);
}

#[test]
fn what_is_no_message_is_refused() {
    assert!(Qdisc::parse(&[0; 19]).is_err());
    assert!(Filter::parse(&[0; 19], Side::Egress).is_err());
    let kind = |kind: &str| [&[(5 + kind.len()) as u8, 0, 1, 0][..], kind.as_bytes(), &[0]].concat();
    let mut netem = [header(1, 2, 3, 0).to_vec(), kind("netem")].concat();
    netem.resize(netem.len().next_multiple_of(4), 0);
    netem.extend([8, 0, 2, 0, 1, 2, 3, 4]);
    assert!(
        Qdisc::parse(&netem)
            .unwrap_err()
            .to_string()
            .contains("a netem of 4 bytes")
    );
    assert!(Program::parse(&[0; 9]).is_err());
}
