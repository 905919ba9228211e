use fracas_core::params::ConnectionDrop;
use fracas_core::units::Percent;

use super::*;
use crate::cut::{Kind, drop::Kinds};

fn cut(params: &ConnectionDrop) -> Option<Cut> {
    let target = fracas_core::target::Target {
        alias: "a".to_owned(),
        identity: "a".to_owned(),
        kind: fracas_core::target::Kind::Process(fracas_core::target::Process {
            process: fracas_core::target::ProcessIdentity {
                pid: 1,
                start: 1,
                boot: String::new(),
            },
            command: String::new(),
        }),
    };
    let cx = crate::Context {
        run: "00000000-000000-0000".parse().unwrap(),
        injection: fracas_core::ids::InjectionId(0),
        others: Vec::new(),
        observers: Vec::new(),
        rank: 0,
        seed: fracas_core::seed::Seed(7),
        at_most: std::time::Duration::ZERO,
        state: "/proc".into(),
        engines: crate::Engines::default(),
        nursery: crate::Nursery::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(Kinds::cut(params, &target, &cx)).unwrap().narrowed()
}

/// What is stopped or given its chance, in both directions.
fn hits(params: &ConnectionDrop) -> [Vec<Rule>; 2] {
    let chains = cut(params).map(|cut| chains(&cut)).unwrap_or_default();
    let of = |name: &str| {
        let chain = chains.iter().find(|chain| chain.name == name);
        let rules = chain.map(|chain| chain.rules.clone()).unwrap_or_default();
        rules.into_iter().filter(|rule| rule.counted).collect()
    };
    [of("output"), of("input")]
}

fn to(peers: &[&str]) -> ConnectionDrop {
    ConnectionDrop {
        to: peers.iter().map(|peer| peer.parse().unwrap()).collect(),
        ..ConnectionDrop::default()
    }
}

#[test]
fn what_comes_in_is_the_same_turned_round() {
    let [out, into] = hits(&to(&["10.0.0.7:5432/tcp"]));
    let address = |side| Match::Address {
        side,
        network: "10.0.0.7".parse().unwrap(),
        bits: 32,
    };
    let port = |side| Match::Port {
        side,
        first: 5432,
        last: 5432,
    };
    for (rules, side, way) in [(out, Side::Destination, Way::Out), (into, Side::Source, Way::In)] {
        let [rule] = rules.as_slice() else { panic!("{rules:?}") };
        assert_eq!(
            rule.matches,
            [address(side), Match::Protocol(TCP), port(side), Match::NotLoopback(way)]
        );
        assert_eq!(rule.action, Action::Drop);
    }
}

#[test]
fn a_direction_has_the_chains_that_it_needs() {
    for (direction, out, into) in [(Ways::Both, 1, 1), (Ways::Egress, 1, 0), (Ways::Ingress, 0, 1)] {
        let of = hits(&ConnectionDrop {
            direction,
            ..to(&["10.0.0.0/8"])
        });
        assert_eq!(of.map(|rules| rules.len()), [out, into], "{direction:?}");
    }
}

#[test]
fn what_is_spared_once_has_no_second_chance() {
    let [out, _] = hits(&ConnectionDrop {
        probability: Percent(12.5),
        ..to(&["10.0.0.0/8", "10.0.0.7"])
    });
    let chance = Match::Share {
        taken: 125_000,
        of: PARTS,
    };
    let shape: Vec<_> = out
        .iter()
        .map(|rule| (rule.matches.contains(&chance), rule.action))
        .collect();
    let pair = [(true, Action::Drop), (false, Action::Accept)];
    assert_eq!(shape, [pair, pair].concat());
}

#[test]
fn only_tcp_is_reset_and_all_else_is_unreachable() {
    let actions = |peers: &[&str]| {
        let [out, _] = hits(&ConnectionDrop {
            action: Refusal::Reject,
            ..to(peers)
        });
        out.into_iter().map(|rule| rule.action).collect::<Vec<_>>()
    };
    assert_eq!(actions(&[]), [Action::Reset, Action::Unreachable]);
    assert_eq!(actions(&["*:80/tcp"]), [Action::Reset]);
    assert_eq!(actions(&["*:53"]), [Action::Reset, Action::Unreachable]);
    assert_eq!(actions(&["10.0.0.1/icmp"]), [Action::Unreachable]);
    let all = cut(&ConnectionDrop {
        action: Refusal::Reject,
        ..to(&[])
    });
    let chains = chains(&all.unwrap());
    // What tells the sender of a packet that came in leaves by the other chain.
    let reset = Match::TcpFlags { mask: RST, value: RST };
    let passes = |chain: &Chain| {
        chain
            .rules
            .iter()
            .any(|rule| !rule.counted && rule.matches.contains(&reset))
    };
    assert_eq!(chains.iter().map(passes).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn new_connections_are_those_of_tcp() {
    let new = |peers: &[&str]| {
        hits(&ConnectionDrop {
            connections: Connections::New,
            ..to(peers)
        })
    };
    let opens = Match::TcpFlags {
        mask: SYN | ACK,
        value: SYN,
    };
    for rules in new(&[]).into_iter().chain(new(&["10.0.0.7"])).chain(new(&["*:80"])) {
        let [rule] = rules.as_slice() else { panic!("{rules:?}") };
        assert!(
            rule.matches.contains(&Match::Protocol(TCP)) && rule.matches.contains(&opens),
            "{rule:?}"
        );
    }
    assert_eq!(
        new(&["*:53/udp"]).map(|rules| rules.len()),
        [0, 0],
        "nothing of UDP opens one"
    );
}

#[test]
fn exceptions_and_neighbours_pass_before_anything_is_asked() {
    let cut = cut(&ConnectionDrop {
        except: vec!["10.0.0.53".parse().unwrap()],
        ..to(&[])
    });
    let cut = cut.unwrap();
    for chain in chains(&cut) {
        let first = chain.rules.iter().position(|rule| rule.counted).unwrap();
        assert!(chain.rules[..first].iter().all(|rule| rule.action == Action::Accept));
        assert_eq!(first, chain.rules.len() - 1);
        for kind in NEIGHBOURS {
            let passes = |rule: &Rule| rule.matches == [Match::Protocol(ICMP6), Match::IcmpType(kind)];
            assert!(chain.rules[..first].iter().any(passes));
        }
    }
    let (all, hits) = count(&cut);
    assert_eq!((all - hits, hits), (21, 2));
}
