//! Which packets are led aside, as programs for filters.

use std::collections::BTreeSet;
use std::io;

use fracas_core::params::Traffic;
use fracas_core::traffic::{Direction, Protocol};
use fracas_linux::netfilter::{Match, Side, Version};
use fracas_linux::relay::{MARKS, PROBE, PROBE_PORTS};
use fracas_linux::traffic_control::Program;

use super::super::rules::{address, left_alone, meant, measurer, numbers, of_ours, peer_matches, together};

/// The mark of a packet that measures this fault: behind that of `connection_drop` (`OURS` in cut/rules.rs).
pub(super) const OWN: u32 = PROBE << 2;
/// The port of the target to which packets go that measure what comes in: the one that no packet queue has.
pub(super) const OWN_PORT: u16 = *PROBE_PORTS.end();

/// The program for the packets that measure, and the one for the target's own.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) probes: Program,
    pub(super) own: Program,
}

impl Programs {
    /// # Errors
    /// More than fits into a program.
    pub(super) fn of(traffic: &Traffic<'_>) -> io::Result<Self> {
        let meant: Vec<Vec<Match>> = meant(traffic).into_iter().flat_map(of_ip).collect();
        let mut except: Vec<Vec<Match>> = left_alone(traffic.direction)
            .map(|(side, network)| vec![address(side, network)])
            .collect();
        except.extend(
            traffic
                .except
                .iter()
                .flat_map(|peer| peer_matches(peer, traffic.direction)),
        );
        except.extend(traffic.spared.iter().map(|one| measurer(one, traffic.direction)));
        let probes: Vec<Vec<Match>> = own_probes(traffic.direction)
            .iter()
            .flat_map(|probe| meant.iter().filter_map(|one| together(probe, one)))
            .collect();
        Ok(Self {
            probes: Program::matching(&probes, &except)?,
            own: Program::matching(&meant, &[except, all_probes(traffic.direction)].concat())?,
        })
    }
}

fn own_probes(direction: Direction) -> Vec<Vec<Match>> {
    match direction {
        Direction::Egress => vec![vec![Match::Mark {
            mask: PROBE | MARKS | OWN,
            value: PROBE | MARKS | OWN,
        }]],
        Direction::Ingress => {
            let port = Match::Port {
                side: Side::Destination,
                first: OWN_PORT,
                last: OWN_PORT,
            };
            let all = [Protocol::Tcp, Protocol::Udp].into_iter();
            let numbers = all.flat_map(|one| numbers(Some(one), None)).flatten();
            numbers
                .map(|number| vec![Match::Protocol(number), port.clone()])
                .collect()
        }
    }
}

/// What a packet is like that measures this fault or another one. By one bit of the mark alone the target's own would pass, where others
/// give it that one.
fn all_probes(direction: Direction) -> Vec<Vec<Match>> {
    if direction == Direction::Ingress {
        return of_ours(direction);
    }
    // Of the marks of all packet queues each probe has all, or all but that of the one that it measures.
    let lacking: BTreeSet<u32> = (0..u32::BITS).map(|bit| MARKS & (1 << bit)).collect();
    lacking
        .into_iter()
        .map(|lacks| {
            vec![Match::Mark {
                mask: PROBE | MARKS,
                value: PROBE | MARKS & !lacks,
            }]
        })
        .collect()
}

/// Without a version of IP everything would be meant, also what the kernel asks its neighbours by ARP.
fn of_ip(matches: Vec<Match>) -> Vec<Vec<Match>> {
    let has_version = |one: &Match| matches!(one, Match::Version(_) | Match::Address { .. });
    if matches.iter().any(has_version) {
        return vec![matches];
    }
    let of = |version| [vec![Match::Version(version)], matches.clone()].concat();
    vec![of(Version::V4), of(Version::V6)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impairment::rules::answers;

    #[test]
    fn what_is_for_everybody_is_still_ip() {
        let port = Match::Protocol(6);
        assert_eq!(of_ip(vec![port.clone()]).len(), 2);
        assert_eq!(of_ip(vec![Match::Version(Version::V6), port]).len(), 1);
    }

    #[test]
    fn a_packet_that_measures_is_told_from_one_that_has_a_mark_of_others() {
        let is = |these: &[Vec<Match>], number: u32| {
            let mut lists = these.iter();
            lists.any(|list| matches!(list.as_slice(), [Match::Mark { mask, value }] if number & mask == *value))
        };
        let (own, all) = (own_probes(Direction::Egress), all_probes(Direction::Egress));
        assert_eq!(all.len(), 9, "one for each packet queue, and one for all others");
        let lowest = 1 << MARKS.trailing_zeros();
        assert!(is(&own, PROBE | MARKS | OWN) && !is(&own, PROBE | MARKS));
        for probe in [
            PROBE | MARKS | OWN,
            PROBE | MARKS,
            PROBE | MARKS & !lowest,
            PROBE | MARKS | 7,
        ] {
            assert!(is(&all, probe), "{probe:#x}");
        }
        // What a packet queue has sent again, and what somebody else has marked.
        for own_packet in [0, 7, MARKS, lowest, PROBE, PROBE | lowest, OWN, PROBE | OWN] {
            assert!(!is(&all, own_packet) && !is(&own, own_packet), "{own_packet:#x}");
        }
    }

    #[test]
    fn what_measures_other_faults_is_told_from_what_measures_this_one() {
        assert_eq!(own_probes(Direction::Egress).len(), 1);
        assert_eq!(own_probes(Direction::Ingress).len(), 2, "TCP and UDP");
        assert!(PROBE_PORTS.contains(&OWN_PORT));
        assert!(
            all_probes(Direction::Ingress).contains(&answers()),
            "nor is what name servers tell us"
        );
        // As many as a document may say.
        let to: Vec<_> = (0..64)
            .map(|n| format!("10.0.{n}.0/24:80/tcp").parse().unwrap())
            .collect();
        for direction in [Direction::Egress, Direction::Ingress] {
            let traffic = Traffic {
                direction,
                to: &to,
                except: &to,
                ports: &[],
                device: None,
                spared: &[],
            };
            Programs::of(&traffic).unwrap();
        }
    }
}
