//! Which packets are looked into, as rules of the kernel's.

use std::net::{IpAddr, Ipv6Addr};

use fracas_linux::intercept::{self, Place, been_here};
use fracas_linux::netfilter::{Action, Chain, Hook, Match, Rule, Side};
use fracas_linux::relay;

/// The chain that fills the queue, and the one that sees what has gone on from there as it was: the rest was hit.
pub(super) const QUESTIONS: &str = "questions";
pub(super) const PASSED: &str = "passed";
/// Where name servers listen.
const PORT: u16 = 53;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// The addresses that mean something on one link only (fe80::/10): an answer from there would have to come by that link.
const LINK_LOCAL: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0));
const LINK_LOCAL_BITS: u8 = 10;

/// The rules for questions to these servers; to all where there is none.
pub(super) fn chains(servers: &[IpAddr], place: Place) -> Vec<Chain> {
    let Place { queue, priority, held } = place;
    // What relays have sent again was counted before; what has waited was hit.
    let counted_before = Match::NotMark {
        mask: relay::MARKS | held,
        value: 0,
    };
    // An answer is of no connection that the kernel follows: else it could take it for another one, and give it another port.
    let answers = [UDP, TCP].map(|protocol| {
        let from = Match::Port {
            side: Side::Source,
            first: PORT,
            last: PORT,
        };
        rule(
            vec![intercept::is_answer(), Match::Protocol(protocol), from],
            Action::Untracked,
            false,
        )
    });
    let mut questions = answers.to_vec();
    questions.extend([
        rule(vec![Match::LeaseOver], Action::Accept, false),
        rule(vec![been_here()], Action::Accept, false),
        rule(vec![to(LINK_LOCAL, LINK_LOCAL_BITS)], Action::Accept, false),
    ]);
    // What passes by a queue that is not served came to none.
    let mut passed = vec![
        rule(vec![Match::LeaseOver], Action::Accept, false),
        rule(vec![counted_before], Action::Accept, false),
        rule(vec![to(LINK_LOCAL, LINK_LOCAL_BITS)], Action::Accept, false),
    ];
    for asked in asked(servers) {
        questions.push(rule(asked.clone(), Action::Queue(queue), true));
        passed.push(rule(asked, Action::Accept, true));
    }
    let chain = |name: &str, priority, rules| Chain {
        name: name.to_owned(),
        hook: Hook::Output,
        priority,
        rules,
    };
    vec![
        chain(QUESTIONS, priority, questions),
        chain(PASSED, priority + 1, passed),
    ]
}

fn rule(matches: Vec<Match>, action: Action, counted: bool) -> Rule {
    Rule {
        matches,
        action,
        counted,
    }
}

fn to(network: IpAddr, bits: u8) -> Match {
    Match::Address {
        side: Side::Destination,
        network,
        bits,
    }
}

fn asked(servers: &[IpAddr]) -> Vec<Vec<Match>> {
    let by = |protocol| {
        vec![
            Match::Protocol(protocol),
            Match::Port {
                side: Side::Destination,
                first: PORT,
                last: PORT,
            },
        ]
    };
    let by_each = [by(UDP), by(TCP)];
    if servers.is_empty() {
        return by_each.to_vec();
    }
    let to_one = |server: &IpAddr| to(*server, if server.is_ipv4() { 32 } else { 128 });
    let all = servers.iter().flat_map(|server| {
        let one = to_one(server);
        by_each.clone().map(|by| [vec![one.clone()], by].concat())
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_those_to_the_servers_that_are_meant() {
        let place = Place {
            queue: 7,
            priority: -330,
            held: 1 << 29,
        };
        let queued = |servers: &[IpAddr]| {
            let chains = chains(servers, place);
            assert_eq!(chains[1].priority, -329);
            let counted = |chain: &Chain| chain.rules.iter().filter(|rule| rule.counted).count();
            assert_eq!(counted(&chains[0]), counted(&chains[1]), "each that comes may go on");
            let queued = chains[0].rules.iter().filter(|rule| rule.action == Action::Queue(7));
            queued.map(|rule| rule.matches.len()).collect::<Vec<_>>()
        };
        assert_eq!(queued(&[]), [2, 2], "UDP and TCP");
        let servers = [IpAddr::from([10, 0, 0, 1]), Ipv6Addr::LOCALHOST.into()];
        assert_eq!(queued(&servers), [3, 3, 3, 3]);
    }
}
