//! Whether what was seen can be what was asked.

use std::fmt::Write;
use std::time::Duration;

use fracas_core::record::Landed;
use fracas_core::units::Percent;
use serde::{Deserialize, Serialize};

/// Seen by chance, when what was asked is what is delivered: one in a million, on each side.
const ALARM: f64 = 1e-6;
/// So few packets may be between two counters while these are read.
const ON_THEIR_WAY: u64 = 2;

/// A time for people.
pub(crate) fn millis(time: Duration) -> String {
    format!("{:.1}ms", time.as_secs_f64() * 1000.0)
}

/// A correlation for people; nothing where there is none.
pub(super) fn like_the_last(correlation: Percent) -> String {
    if correlation.0 > 0.0 {
        format!(", each {correlation} like the one before")
    } else {
        String::new()
    }
}

/// As how many packets that have nothing to do with each other one of such a series counts, turned round: the variance of a mean of an
/// autoregressive process over that of independent values.
pub(super) fn alike(correlation: Percent) -> f64 {
    let like = correlation.fraction().min(0.99);
    (1.0 + like) / (1.0 - like)
}

/// How often something was seen among so many packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) seen: u64,
    pub(crate) of: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, seen: u64, of: u64) {
        self.seen += seen;
        self.of += of;
    }

    fn share(self) -> f64 {
        self.seen as f64 / self.of.max(1) as f64
    }

    /// With `alike` packets in a row that have the same fate, so many fewer say something.
    fn can_be(self, asked: f64, alike: f64) -> bool {
        self.of as f64 / alike.max(1.0) * divergence(self.share(), asked) < -ALARM.ln()
    }
}

/// Judges a share by probes, and by what the kernel has counted of the target's own packets before and behind the fault.
///
/// A small share of few packets looks like none: what has not been seen once is not said to have landed, before as many were looked at
/// as make none impossible.
pub(crate) fn share(what: &str, asked: f64, probes: Tally, own: Option<Tally>, alike: f64) -> (String, Landed) {
    let mut delivered = format!(
        "{:.1}% {what}, {} of {} probes",
        probes.share() * 100.0,
        probes.seen,
        probes.of
    );
    if let Some(own) = own.filter(|own| own.of > 0) {
        let _ = write!(
            delivered,
            "; {:.1}% of {} packets of the target's own",
            own.share() * 100.0,
            own.of
        );
    }
    if probes.of == 0 {
        return (delivered, Landed::No("no probe came out".to_owned()));
    }
    for tally in [Some(probes), own].into_iter().flatten() {
        if tally.of > 0 && !tally.can_be(asked, alike) {
            let why = format!(
                "{:.1}% of {} packets is not {:.1}%, whatever chance does",
                tally.share() * 100.0,
                tally.of,
                asked * 100.0
            );
            return (delivered, Landed::No(why));
        }
    }
    if probes.seen == 0 && own.is_none_or(|own| own.seen <= ON_THEIR_WAY) {
        let of = probes.of.max(own.map_or(0, |own| own.of));
        let why = format!(
            "none of {of} packets was {what}, as it may be with {:.1}%, and without the fault",
            asked * 100.0
        );
        return (delivered, Landed::Unmeasured(why));
    }
    (delivered, Landed::Yes)
}

/// How far a share that was seen is from one that was asked: so many nats for each packet (Kullback and Leibler, 1951). What is seen by
/// chance among n packets is at least as far off with a probability of at most exp(-n × this) (Chernoff, 1952).
fn divergence(seen: f64, asked: f64) -> f64 {
    let part = |seen: f64, asked: f64| if seen > 0.0 { seen * (seen / asked).ln() } else { 0.0 };
    part(seen, asked) + part(1.0 - seen, 1.0 - asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn landed(asked: f64, seen: u64, of: u64, own: Option<(u64, u64)>) -> Landed {
        let own = own.map(|(seen, of)| Tally { seen, of });
        share("lost", asked, Tally { seen, of }, own, 1.0).1
    }

    #[test]
    fn what_chance_can_do_is_accepted_and_what_it_cannot_is_not() {
        for (asked, seen, of, yes) in [
            (0.01, 1, 20, true),
            (0.3, 6, 20, true),
            (0.5, 20, 20, false),
            (0.01, 8, 20, false),
            (1.0, 20, 20, true),
            (1.0, 19, 20, false),
            (0.3, 40, 60, false),
            (0.5, 0, 0, false),
            (0.01, 12, 1000, true),
            (0.01, 10_900, 1_000_000, false),
        ] {
            assert_eq!(
                landed(asked, seen, of, None) == Landed::Yes,
                yes,
                "{seen} of {of} for {asked}"
            );
        }
        let tally = Tally { seen: 0, of: 20 };
        assert!(
            !tally.can_be(0.5, 1.0) && tally.can_be(0.5, 5.0),
            "four fates say little"
        );
    }

    #[test]
    fn nothing_is_no_small_share_and_is_not_said_to_be_one() {
        let unmeasured = |asked, of, own| matches!(landed(asked, 0, of, own), Landed::Unmeasured(_));
        assert!(unmeasured(0.01, 20, None) && unmeasured(0.3, 20, None));
        assert!(unmeasured(0.01, 1300, None));
        assert!(matches!(landed(0.01, 0, 1400, None), Landed::No(_)));
        assert!(matches!(landed(0.5, 0, 20, None), Landed::No(_)));
        // The target's own packets say more.
        assert!(unmeasured(0.01, 20, Some((0, 1000))));
        assert!(matches!(landed(0.01, 0, 20, Some((0, 2000))), Landed::No(_)));
        assert_eq!(landed(0.01, 0, 20, Some((19, 2000))), Landed::Yes);
        assert!(matches!(landed(0.01, 0, 20, Some((200, 2000))), Landed::No(_)));
    }

    #[test]
    fn the_bound_is_above_the_tails_of_a_binomial_distribution() {
        for (seen, of, asked, tail) in [(2, 10, 0.3, 0.382_782_8), (8, 10, 0.5, 0.054_687_5)] {
            let share = f64::from(seen) / f64::from(of);
            let bound = (-f64::from(of) * divergence(share, asked)).exp();
            assert!(bound >= tail && bound < 8.0 * tail, "{bound}");
        }
        assert!(divergence(0.3, 0.3).abs() < 1e-12);
        assert!(divergence(0.5, 1.0).is_infinite());
    }
}
