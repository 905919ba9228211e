//! What is asked of packets as a netem (net/sched/sch_netem.c).

use std::time::Duration;

use fracas_core::params::Distribution;
use fracas_core::statistics::upper_tail;
use fracas_linux::traffic_control::{Chance, Loss, Netem};

use super::super::model::{Model, pareto};

/// So many packets a second find room while they are delayed, as long as there are not too many altogether: each is memory of the machine.
const A_SECOND: f64 = 200_000.0;
const ROOM: std::ops::RangeInclusive<f64> = 1000.0..=50_000.0;
/// Behind a narrow link that sends these: as many as it takes a second to send, and not fewer or more than so many.
const LONG: f64 = 1500.0;
const QUEUE: std::ops::RangeInclusive<f64> = 16.0..=22_000.0;
/// What netem cuts jitter to (`get_dist_table` and `netem_change`: `INT_MAX` nanoseconds).
const MOST_JITTER: Duration = Duration::from_nanos(i32::MAX as u64);
/// A deviation in the tables of distributions (`NETEM_DIST_SCALE`), and how many values one of ours has.
const SCALE: f64 = 8192.0;
const VALUES: u32 = 4096;

/// The netem that does it; else why none can.
pub(super) fn netem(model: &Model) -> Result<Netem, &'static str> {
    const ALIKE: &str = "netem takes a `correlation` for another share or spread than asked";
    let alike = match model {
        Model::Delay { correlation, .. } | Model::Loss { correlation, .. } | Model::Reorder { correlation, .. } => {
            *correlation
        }
        Model::Duplicate { .. } | Model::Corrupt { .. } | Model::Rate { .. } => 0.0,
    };
    if alike > 0.0 {
        return Err(ALIKE);
    }
    let chance = |share: f64| Chance {
        share: part(share),
        correlation: 0,
    };
    let base = Netem {
        limit: *ROOM.start() as u32,
        ..Netem::default()
    };
    Ok(match *model {
        Model::Delay {
            mean,
            jitter,
            distribution,
            ..
        } => {
            if jitter > MOST_JITTER {
                return Err("netem cuts a `jitter` to 2.1s");
            }
            Netem {
                limit: room(mean + 4 * jitter),
                latency: mean,
                jitter,
                distribution: if jitter.is_zero() {
                    Vec::new()
                } else {
                    table(distribution)
                },
                ..base
            }
        }
        Model::Loss {
            share,
            burst: Some(burst),
            ..
        } if share < 1.0 => {
            let end = 1.0 / burst;
            Netem {
                loss: Loss::GilbertElliott {
                    p: part(end * share / (1.0 - share)),
                    r: part(end),
                    kept_bad: 0,
                    lost_good: 0,
                },
                ..base
            }
        }
        Model::Loss { share, .. } => Netem {
            loss: Loss::Random(chance(share)),
            ..base
        },
        Model::Duplicate { share } => Netem {
            duplicate: chance(share),
            ..base
        },
        Model::Corrupt { share } => Netem {
            corrupt: chance(share),
            ..base
        },
        Model::Reorder { share, delay, .. } => Netem {
            limit: room(delay),
            latency: delay,
            reorder: chance(share),
            ..base
        },
        Model::Rate { bits } => {
            let rate = bits / 8;
            Netem {
                limit: (rate as f64 / LONG).clamp(*QUEUE.start(), *QUEUE.end()) as u32,
                rate,
                ..base
            }
        }
    })
}

/// A share of [`u32::MAX`]; what is there at all is not nothing.
fn part(share: f64) -> u32 {
    ((share * f64::from(u32::MAX)).round() as u32).max(1)
}

/// How many may wait that wait for so long.
fn room(delay: Duration) -> u32 {
    (delay.as_secs_f64() * A_SECOND).clamp(*ROOM.start(), *ROOM.end()) as u32
}

/// A distribution's values, of which each is as likely; what is further than four deviations away is cut. Empty: netem's own, all delays
/// between mean and jitter.
fn table(distribution: Distribution) -> Vec<i16> {
    let value: fn(f64) -> f64 = match distribution {
        Distribution::Uniform => return Vec::new(),
        Distribution::Normal => normal,
        Distribution::Pareto => pareto,
    };
    let share = |index: u32| (f64::from(index) + 0.5) / f64::from(VALUES);
    (0..VALUES)
        .map(|index| (value(share(index)) * SCALE).round() as i16)
        .collect()
}

/// Below which value a normal variable with mean 0 and deviation 1 is with this probability.
fn normal(share: f64) -> f64 {
    if share < 0.5 {
        return -normal(1.0 - share);
    }
    let (mut low, mut high) = (0.0, 8.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if upper_tail(middle) > 1.0 - share {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn delay(jitter: Duration, correlation: f64, distribution: Distribution) -> Model {
        Model::Delay {
            mean: 100 * MS,
            jitter,
            correlation,
            distribution,
        }
    }

    #[test]
    fn tables_have_mean_0_and_deviation_1() {
        assert!(table(Distribution::Uniform).is_empty());
        for (distribution, mean_off, deviation) in [
            (Distribution::Normal, 0.001, 0.99..1.01),
            // What is beyond four deviations is cut: of the shape 3 that is much.
            (Distribution::Pareto, 0.03, 0.7..1.0),
        ] {
            let values: Vec<f64> = table(distribution)
                .into_iter()
                .map(|value| f64::from(value) / SCALE)
                .collect();
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            assert!(mean.abs() < mean_off, "{distribution:?}: {mean}");
            assert!(
                deviation.contains(&variance.sqrt()),
                "{distribution:?}: {}",
                variance.sqrt()
            );
            assert!(values.is_sorted(), "{distribution:?}");
        }
        assert!((normal(0.975) - 1.959_964).abs() < 1e-4, "{}", normal(0.975));
    }

    #[test]
    fn what_netem_does_in_another_way_is_refused() {
        let correlated = |correlation| Model::Loss {
            share: 0.1,
            correlation,
            burst: None,
        };
        assert!(netem(&correlated(0.1)).unwrap_err().contains("correlation"));
        assert!(netem(&correlated(0.0)).is_ok());
        assert!(netem(&delay(10 * MS, 0.5, Distribution::Normal)).is_err());
        assert!(
            netem(&delay(2500 * MS, 0.0, Distribution::Normal))
                .unwrap_err()
                .contains("jitter")
        );
        assert!(netem(&delay(2000 * MS, 0.0, Distribution::Normal)).is_ok());
    }

    #[test]
    fn what_should_not_be_lost_finds_room_and_what_waits_has_an_end() {
        let limit = |model| netem(&model).unwrap().limit;
        assert_eq!(limit(delay(Duration::ZERO, 0.0, Distribution::Uniform)), 20_000);
        assert_eq!(limit(Model::Duplicate { share: 0.5 }), 1000);
        let reorder = |delay| Model::Reorder {
            share: 0.5,
            correlation: 0.0,
            delay,
        };
        assert_eq!(limit(reorder(MS)), 1000);
        assert_eq!(limit(reorder(3000 * MS)), 50_000);
        // As many of 1500 bytes as take a second.
        assert_eq!(limit(Model::Rate { bits: 12_000_000 }), 1000);
        assert_eq!(limit(Model::Rate { bits: 8000 }), 16);
        assert_eq!(limit(Model::Rate { bits: 10_000_000_000 }), 22_000);
    }

    #[test]
    fn losses_in_a_row_are_those_of_gilbert() {
        let loss = |share, burst| {
            let model = Model::Loss {
                share,
                correlation: 0.0,
                burst,
            };
            netem(&model).unwrap().loss
        };
        let Loss::GilbertElliott { p, r, .. } = loss(0.2, Some(5.0)) else {
            panic!("no series");
        };
        let share = f64::from(p) / (f64::from(p) + f64::from(r));
        assert!((share - 0.2).abs() < 1e-6, "{share}");
        assert_eq!(r, part(0.2));
        let all = Loss::Random(Chance {
            share: u32::MAX,
            correlation: 0,
        });
        assert_eq!([loss(1.0, Some(5.0)), loss(1.0, None)], [all, all]);
    }
}
