//! What happens to each packet: a pure function of the order in which they come, their lengths and times, and the seed.
//!
//! The models are those of netem (net/sched/sch_netem.c), but for correlation: netem mixes uniform numbers, which makes their spread,
//! and with it a share, smaller than asked. Here what is correlated is a normal variable, so that the spread stays as it is.

use std::f64::consts::TAU;
use std::time::Duration;

use fracas_core::params::Distribution;
use fracas_core::seed::Seed;
use fracas_core::statistics::upper_tail;
use fracas_linux::relay::{Came, Fate};
use serde::{Deserialize, Serialize};

/// What is done to packets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Model {
    Delay {
        mean: Duration,
        jitter: Duration,
        /// From 0 to 1.
        correlation: f64,
        distribution: Distribution,
    },
    Loss {
        share: f64,
        correlation: f64,
        burst: Option<f64>,
    },
    Duplicate {
        share: f64,
    },
    Corrupt {
        share: f64,
    },
    Reorder {
        share: f64,
        correlation: f64,
        delay: Duration,
    },
    Rate {
        /// Bits in a second.
        bits: u64,
    },
}

/// The packets of one injection, one after the other. Those that measure are apart, in what is drawn and in how narrow a link is: how
/// many there are depends on when somebody looks, and what becomes of the target's own packets must not.
#[derive(Debug)]
pub(crate) struct Stream {
    model: Model,
    own: Lane,
    probes: Lane,
}

/// Packets for which is drawn in their order, and which go by a link of their own.
#[derive(Debug)]
struct Lane {
    seed: Seed,
    identity: String,
    /// How many came so far.
    count: u64,
    /// The last normal variable, for what is correlated.
    last: f64,
    /// Whether packets are being lost in a row.
    losing: bool,
    /// When the link has sent what was before, since the stream began.
    free: Duration,
}

/// What waits longer behind a narrow link is lost, and what comes when so many bytes wait: they are memory of the machine.
const LONGEST_QUEUE: Duration = Duration::from_secs(1);
const LARGEST_QUEUE: u64 = 32 << 20;
/// No packet waits longer, whatever is drawn.
pub(crate) const LONGEST: Duration = Duration::from_mins(2);
/// The mean and the standard deviation of a Pareto distribution with the shape 3 that begins at 1.
const PARETO_MEAN: f64 = 1.5;
const PARETO_DEVIATION: f64 = 0.866_025_403_784_438_6;

impl Stream {
    pub(crate) fn new(model: Model, seed: Seed, identity: String) -> Self {
        Self {
            model,
            probes: Lane::new(seed, format!("{identity} probes")),
            own: Lane::new(seed, identity),
        }
    }

    /// What happens to the next packet.
    pub(crate) fn next(&mut self, packet: Came) -> Fate {
        let lane = if packet.probe { &mut self.probes } else { &mut self.own };
        match self.model {
            Model::Rate { bits } => lane.send(packet.length, bits, packet.after),
            _ => lane.next(&self.model),
        }
    }
}

impl Lane {
    fn new(seed: Seed, identity: String) -> Self {
        Self {
            seed,
            identity,
            count: 0,
            last: 0.0,
            losing: false,
            free: Duration::ZERO,
        }
    }

    fn send(&mut self, length: usize, bits: u64, now: Duration) -> Fate {
        let begin = self.free.max(now);
        // A rate of 0 is refused in the document.
        let takes = |bytes: f64| Duration::from_secs_f64(bytes * 8.0 / bits.max(1) as f64);
        if begin.saturating_sub(now) > LONGEST_QUEUE.min(takes(LARGEST_QUEUE as f64)) {
            return Fate::LOST;
        }
        self.free = begin + takes(length as f64).min(LONGEST);
        Fate {
            delay: self.free.saturating_sub(now),
            ..Fate::PASS
        }
    }

    fn next(&mut self, model: &Model) -> Fate {
        let fate = match model.clone() {
            Model::Delay {
                mean,
                jitter,
                correlation,
                distribution,
            } => Fate {
                delay: self.delay(mean, jitter, correlation, distribution),
                ..Fate::PASS
            },
            Model::Loss {
                share,
                correlation,
                burst,
            } if self.is_lost(share, correlation, burst) => Fate::LOST,
            Model::Duplicate { share } if self.draw("duplicate") < share => Fate {
                copies: 2,
                ..Fate::PASS
            },
            Model::Corrupt { share } if self.draw("corrupt") < share => Fate {
                flip: Some(self.seed.draw("bit", &self.identity, self.count).0),
                ..Fate::PASS
            },
            Model::Reorder {
                share,
                correlation,
                delay,
            } if self.uniform("reorder", correlation) >= share => Fate { delay, ..Fate::PASS },
            // See [`Lane::send`].
            Model::Rate { .. }
            | Model::Loss { .. }
            | Model::Duplicate { .. }
            | Model::Corrupt { .. }
            | Model::Reorder { .. } => Fate::PASS,
        };
        self.count += 1;
        fate
    }

    fn draw(&self, purpose: &str) -> f64 {
        self.seed.draw(purpose, &self.identity, self.count).uniform()
    }

    /// A normal variable with mean 0 and deviation 1 (Box and Muller, 1958), like the last one as far as asked.
    fn normal(&mut self, correlation: f64) -> f64 {
        // From above 0 up to 1: of 0 there is no logarithm.
        let (one, two) = (1.0 - self.draw("radius"), self.draw("angle"));
        let fresh = (-2.0 * one.ln()).sqrt() * (TAU * two).cos();
        let before = if self.count == 0 { fresh } else { self.last };
        self.last = correlation.mul_add(before, (1.0 - correlation * correlation).max(0.0).sqrt() * fresh);
        if self.count == 0 {
            self.last = fresh;
        }
        self.last
    }

    fn delay(&mut self, mean: Duration, jitter: Duration, correlation: f64, distribution: Distribution) -> Duration {
        if jitter.is_zero() {
            return mean;
        }
        if distribution == Distribution::Normal {
            let normal = self.normal(correlation);
            return moved(mean, jitter, normal);
        }
        let share = self.uniform("delay", correlation);
        let by = match distribution {
            Distribution::Uniform | Distribution::Normal => share.mul_add(2.0, -1.0),
            Distribution::Pareto => pareto(share),
        };
        moved(mean, jitter, by)
    }

    /// A uniform number, like the last one as far as asked.
    fn uniform(&mut self, purpose: &str, correlation: f64) -> f64 {
        if correlation > 0.0 {
            below(self.normal(correlation))
        } else {
            self.draw(purpose)
        }
    }

    fn is_lost(&mut self, share: f64, correlation: f64, burst: Option<f64>) -> bool {
        let Some(burst) = burst else {
            return self.uniform("loss", correlation) < share;
        };
        // Gilbert's model (1960): the share of time in the bad state is begin / (begin + end).
        let end = 1.0 / burst;
        let begin = if share < 1.0 { end * share / (1.0 - share) } else { 1.0 };
        self.losing = match (self.count, self.losing) {
            (0, _) => self.draw("loss") < share,
            (_, true) => share >= 1.0 || self.draw("loss") >= end,
            (_, false) => self.draw("loss") < begin,
        };
        self.losing
    }
}

fn moved(mean: Duration, jitter: Duration, by: f64) -> Duration {
    let seconds = jitter.as_secs_f64().mul_add(by, mean.as_secs_f64());
    Duration::from_secs_f64(seconds.clamp(0.0, LONGEST.as_secs_f64()))
}

/// Below which value a Pareto variable with the shape 3, mean 0 and deviation 1 is with this probability.
pub(crate) fn pareto(share: f64) -> f64 {
    // Above 0: nothing is infinite.
    ((1.0 - share).max(f64::EPSILON).powf(-1.0 / 3.0) - PARETO_MEAN) / PARETO_DEVIATION
}

/// How much of a normal distribution lies below.
fn below(normal: f64) -> f64 {
    let tail = upper_tail(normal.abs());
    if normal < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 40_000;

    fn came(length: usize, after: Duration) -> Came {
        Came {
            length,
            after,
            probe: false,
        }
    }

    fn fates(model: Model) -> Vec<Fate> {
        let mut stream = Stream::new(model, Seed(7), "web-1".to_owned());
        (0..COUNT).map(|_| stream.next(came(100, Duration::ZERO))).collect()
    }

    fn share(fates: &[Fate], is: impl Fn(&Fate) -> bool) -> f64 {
        fates.iter().filter(|fate| is(fate)).count() as f64 / fates.len() as f64
    }

    /// Mean, deviation, and correlation of each with the one before, of the delays in ms.
    fn spread(fates: &[Fate]) -> (f64, f64, f64) {
        let all: Vec<f64> = fates.iter().map(|fate| fate.delay.as_secs_f64() * 1000.0).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let square = |x: f64| (x - mean) * (x - mean);
        let variance = all.iter().map(|x| square(*x)).sum::<f64>() / all.len() as f64;
        let together = all.windows(2).map(|two| (two[0] - mean) * (two[1] - mean)).sum::<f64>();
        (mean, variance.sqrt(), together / (all.len() - 1) as f64 / variance)
    }

    fn delay(distribution: Distribution, correlation: f64) -> (f64, f64, f64) {
        spread(&fates(Model::Delay {
            mean: Duration::from_millis(100),
            jitter: Duration::from_millis(10),
            correlation,
            distribution,
        }))
    }

    // The draws are fixed by the seed: these either hold for ever or never. Bounds are five standard errors or more.
    #[test]
    fn delays_have_the_mean_the_spread_and_the_correlation_that_were_asked() {
        for (distribution, deviation) in [
            (Distribution::Uniform, 10.0 / 3.0_f64.sqrt()),
            (Distribution::Normal, 10.0),
            (Distribution::Pareto, 10.0),
        ] {
            for correlation in [0.0, 0.5] {
                let (mean, spread, with_last) = delay(distribution, correlation);
                let slack = if correlation > 0.0 { 2.0 } else { 1.0 };
                assert!(
                    (mean - 100.0).abs() < 0.3 * slack,
                    "{distribution:?} {correlation}: {mean}"
                );
                // A Pareto distribution with the shape 3 has no fourth moment: its deviation comes slowly.
                let far = if distribution == Distribution::Pareto {
                    0.15
                } else {
                    0.03
                };
                assert!(
                    (spread / deviation - 1.0).abs() < far * slack,
                    "{distribution:?}: {spread}"
                );
                let about = if distribution == Distribution::Pareto {
                    0.25
                } else {
                    0.05
                };
                assert!((with_last - correlation).abs() < about, "{distribution:?}: {with_last}");
            }
        }
    }

    #[test]
    fn no_delay_is_below_nothing() {
        let fates = fates(Model::Delay {
            mean: Duration::from_millis(1),
            jitter: Duration::from_millis(10),
            correlation: 0.0,
            distribution: Distribution::Normal,
        });
        assert!(share(&fates, |fate| fate.delay.is_zero()) > 0.4);
    }

    #[test]
    fn shares_are_as_asked() {
        let five = |share: f64| 5.0 * (share * (1.0 - share) / COUNT as f64).sqrt();
        for asked in [0.01, 0.1, 0.3] {
            let lost = share(
                &fates(Model::Loss {
                    share: asked,
                    correlation: 0.0,
                    burst: None,
                }),
                |fate| fate.copies == 0,
            );
            assert!((lost - asked).abs() < five(asked), "{lost} of {asked}");
            let two = share(&fates(Model::Duplicate { share: asked }), |fate| fate.copies == 2);
            assert!((two - asked).abs() < five(asked), "{two} of {asked}");
            let wrong = share(&fates(Model::Corrupt { share: asked }), |fate| fate.flip.is_some());
            assert!((wrong - asked).abs() < five(asked), "{wrong} of {asked}");
            let delay = Duration::from_millis(10);
            let early = share(
                &fates(Model::Reorder {
                    share: asked,
                    correlation: 0.0,
                    delay,
                }),
                |fate| fate.delay.is_zero(),
            );
            assert!((early - asked).abs() < five(asked), "{early} of {asked}");
        }
        for all in [None, Some(3.0)] {
            assert!(
                fates(Model::Loss {
                    share: 1.0,
                    correlation: 0.0,
                    burst: all
                })
                .iter()
                .all(|fate| fate.copies == 0)
            );
        }
    }

    #[test]
    fn correlated_losses_are_as_many_and_come_together() {
        let of = |correlation| {
            let fates = fates(Model::Loss {
                share: 0.2,
                correlation,
                burst: None,
            });
            let pairs = fates
                .windows(2)
                .filter(|two| two[0].copies == 0 && two[1].copies == 0)
                .count();
            (
                share(&fates, |fate| fate.copies == 0),
                pairs as f64 / fates.len() as f64,
            )
        };
        let ((apart, few), (together, many)) = (of(0.0), of(0.7));
        assert!(
            (apart - 0.2).abs() < 0.01 && (together - 0.2).abs() < 0.02,
            "{apart} {together}"
        );
        // Independent: a square. Normal variables that are 0.7 alike are both in the lowest fifth in 0.113 of all cases.
        assert!(
            (few - 0.04).abs() < 0.005 && (many - 0.113).abs() < 0.01,
            "{few} {many}"
        );
    }

    #[test]
    fn losses_in_a_row_are_as_long_and_as_many_as_asked() {
        let fates = fates(Model::Loss {
            share: 0.2,
            correlation: 0.0,
            burst: Some(5.0),
        });
        let lost = share(&fates, |fate| fate.copies == 0);
        // Correlated: the standard error is about three times as large.
        assert!((lost - 0.2).abs() < 0.03, "{lost}");
        let runs: Vec<usize> = fates
            .split(|fate| fate.copies == 1)
            .map(<[Fate]>::len)
            .filter(|length| *length > 0)
            .collect();
        let mean = runs.iter().sum::<usize>() as f64 / runs.len() as f64;
        assert!((mean - 5.0).abs() < 0.7, "{mean}");
    }

    #[test]
    fn a_narrow_link_sends_one_after_the_other_and_its_queue_has_an_end() {
        // 1,000 bytes take 8 ms.
        let mut stream = Stream::new(Model::Rate { bits: 1_000_000 }, Seed(7), String::new());
        let ms = Duration::from_millis;
        let mut next = |after| stream.next(came(1000, ms(after)));
        assert_eq!(next(0).delay, ms(8));
        assert_eq!(next(0).delay, ms(16));
        assert_eq!(next(10).delay, ms(14));
        assert_eq!(next(1000).delay, ms(8), "the link was free meanwhile");
        let passed = (0..1000).filter(|_| next(2000).copies == 1).count();
        assert_eq!(passed, 126, "one second's worth, and the one that goes over");
    }

    #[test]
    fn behind_a_wide_link_no_more_waits_than_there_is_memory_for() {
        let mut stream = Stream::new(Model::Rate { bits: 10_000_000_000 }, Seed(7), String::new());
        let mut next = || stream.next(came(1500, Duration::ZERO));
        let waiting = (0..200_000).filter(|_| next().copies == 1).count() as u64 * 1500;
        assert!((LARGEST_QUEUE..LARGEST_QUEUE + 3000).contains(&waiting), "{waiting}");
    }

    #[test]
    fn what_measures_draws_nothing_from_the_target() {
        let model = Model::Loss {
            share: 0.5,
            correlation: 0.3,
            burst: None,
        };
        let mut with = Stream::new(model.clone(), Seed(7), "a".to_owned());
        let mut without = Stream::new(model, Seed(7), "a".to_owned());
        let probe = Came {
            probe: true,
            ..came(1, Duration::ZERO)
        };
        let mut lost = 0;
        for number in 0..200 {
            if number % 3 == 0 {
                lost += usize::from(with.next(probe).copies == 0);
            }
            let own = came(1, Duration::ZERO);
            assert_eq!(with.next(own), without.next(own));
        }
        assert!(lost > 10 && lost < 60, "{lost}");
    }

    #[test]
    fn what_measures_takes_nothing_of_a_narrow_link_from_the_target() {
        let mut stream = Stream::new(Model::Rate { bits: 1_000_000 }, Seed(7), String::new());
        let mut next = |probe| {
            let packet = Came {
                probe,
                ..came(1000, Duration::ZERO)
            };
            stream.next(packet).delay.as_millis()
        };
        let delays: Vec<_> = [true, true, false, true, false].map(&mut next).to_vec();
        assert_eq!(delays, [8, 16, 8, 24, 16]);
    }

    #[test]
    fn the_same_seed_and_name_decide_the_same() {
        let of = |seed, name: &str| {
            let mut stream = Stream::new(
                Model::Loss {
                    share: 0.5,
                    correlation: 0.0,
                    burst: None,
                },
                Seed(seed),
                name.to_owned(),
            );
            (0..200)
                .map(|_| stream.next(came(1, Duration::ZERO)).copies)
                .collect::<Vec<_>>()
        };
        assert_eq!(of(1, "a"), of(1, "a"));
        assert_ne!(of(1, "a"), of(2, "a"));
        assert_ne!(of(1, "a"), of(1, "b"));
    }

    #[test]
    fn below_is_the_distribution_of_a_normal_variable() {
        for (z, wanted) in [(0.0, 0.5), (1.0, 0.841_344_7), (-1.96, 0.024_997_9), (3.0, 0.998_650_1)] {
            assert!((below(z) - wanted).abs() < 1e-6, "{z}: {}", below(z));
        }
    }
}
