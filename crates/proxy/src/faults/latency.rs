//! For how long a request is held.

use std::time::Duration;

use fracas_core::chaos::{Distribution, Latency};

use crate::identity::Chance;

/// An hour, in milliseconds: nothing is held for longer.
const LONGEST: f64 = 3_600_000.0;

/// The mean and the standard deviation of a Pareto distribution with the shape 3 that begins at 1.
const PARETO_MEAN: f64 = 1.5;
const PARETO_DEVIATION: f64 = 0.866_025_403_784_438_6;

/// How long a request is held, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Delay {
    /// Without the jitter.
    pub(crate) base: f64,
    /// May be negative.
    pub(crate) jitter: f64,
}

impl Delay {
    pub(crate) fn total(self) -> Duration {
        Duration::from_secs_f64((self.base + self.jitter).clamp(0.0, LONGEST) / 1000.0)
    }
}

/// Decides. `None`: not this one.
pub(crate) fn decide(block: &Latency, chance: &Chance) -> Option<Delay> {
    if !chance.happens("proxy latency", block.probability) {
        return None;
    }
    let base = base(block, chance)?.clamp(0.0, LONGEST);
    // Uniform to either side is what a uniform share with the sign of a coin is.
    let jitter = if block.jitter_percent > 0.0 {
        let share = chance.uniform("proxy latency jitter").mul_add(2.0, -1.0);
        base * share * block.jitter_percent / 100.0
    } else {
        0.0
    };
    Some(Delay { base, jitter })
}

fn base(block: &Latency, chance: &Chance) -> Option<f64> {
    let uniform = || chance.uniform("proxy latency delay");
    if let Some(fixed) = block.fixed_delay_ms {
        return Some(fixed);
    }
    if let Some([least, most]) = block.random_delay_range_ms {
        return Some((most - least).mul_add(uniform(), least));
    }
    // A uniform number may be 0, whose logarithm is infinite; 1 - it may not.
    let logarithm = || -(1.0 - uniform()).ln();
    Some(match block.distribution? {
        Distribution::Exponential(exponential) => logarithm() / exponential.lambda,
        Distribution::Pareto(pareto) => {
            let drawn = (1.0 - uniform()).powf(-1.0 / 3.0);
            pareto
                .std_dev_ms
                .mul_add((drawn - PARETO_MEAN) / PARETO_DEVIATION, pareto.mean_ms)
        }
        Distribution::Normal(normal) => {
            // Box and Muller's method.
            let angle = std::f64::consts::TAU * chance.uniform("proxy latency angle");
            let standard = (2.0 * logarithm()).sqrt() * angle.cos();
            normal.std_dev_ms.mul_add(standard, normal.mean_ms)
        }
    })
}

#[cfg(test)]
mod tests {
    use fracas_core::chaos::{Exponential, Normal, Pareto};

    use super::*;

    fn totals(block: &Latency) -> Vec<f64> {
        (0..10_000)
            .filter_map(|n| decide(block, &Chance::named(7, &format!("request {n}"))))
            .map(|delay| delay.total().as_secs_f64() * 1000.0)
            .collect()
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }

    // The draws are fixed by the seed: what holds here, holds always. The bounds are five standard errors.
    #[test]
    fn delays_have_the_distribution_that_was_asked() {
        let block = |distribution| Latency {
            distribution: Some(distribution),
            ..Latency::default()
        };
        let normal = block(Distribution::Normal(Normal {
            mean_ms: 100.0,
            std_dev_ms: 10.0,
        }));
        let (mean, spread) = moments(&totals(&normal));
        assert!((mean - 100.0).abs() < 0.5, "{mean}");
        assert!((spread - 10.0).abs() < 0.36, "{spread}");
        let pareto = totals(&block(Distribution::Pareto(Pareto {
            mean_ms: 100.0,
            std_dev_ms: 10.0,
        })));
        // It begins at the mean less 0.577 deviations; the median is 0.277 below the mean. Its deviation comes slowly: there is no fourth moment.
        let (mean, spread) = moments(&pareto);
        assert!((mean - 100.0).abs() < 0.5, "{mean}");
        assert!((5.0..15.0).contains(&spread), "{spread}");
        assert!(pareto.iter().all(|delay| *delay > 94.2), "{pareto:?}");
        let below = pareto.iter().filter(|delay| **delay < 97.23).count();
        assert!((4750..5250).contains(&below), "{below}");
        assert!(pareto.iter().any(|delay| *delay > 150.0));
        let exponential = block(Distribution::Exponential(Exponential { lambda: 0.05 }));
        let (mean, spread) = moments(&totals(&exponential));
        assert!((mean - 20.0).abs() < 1.0, "{mean}");
        assert!((spread - 20.0).abs() < 1.5, "{spread}");
    }

    #[test]
    fn a_range_is_kept_and_filled() {
        let range = Latency {
            random_delay_range_ms: Some([100.0, 500.0]),
            ..Latency::default()
        };
        let all = totals(&range);
        assert!(all.iter().all(|delay| (100.0..=500.0).contains(delay)));
        let (mean, spread) = moments(&all);
        assert!((mean - 300.0).abs() < 5.8, "{mean}");
        assert!((spread - 400.0 / 12f64.sqrt()).abs() < 3.0, "{spread}");
    }

    #[test]
    fn jitter_goes_to_both_sides_and_no_further_than_asked() {
        let jitter = Latency {
            fixed_delay_ms: Some(100.0),
            jitter_percent: 20.0,
            ..Latency::default()
        };
        let all = totals(&jitter);
        assert!(all.iter().all(|delay| (80.0..=120.0).contains(delay)));
        assert!(all.iter().any(|delay| *delay < 81.0) && all.iter().any(|delay| *delay > 119.0));
    }

    #[test]
    fn what_is_drawn_below_zero_is_zero() {
        let wide = Latency {
            distribution: Some(Distribution::Normal(Normal {
                mean_ms: 0.0,
                std_dev_ms: 5.0,
            })),
            ..Latency::default()
        };
        let none = totals(&wide).iter().filter(|delay| **delay == 0.0).count();
        assert!((4750..5250).contains(&none), "{none}");
    }

    #[test]
    fn a_share_of_the_requests_is_held() {
        let some = Latency {
            fixed_delay_ms: Some(1.0),
            probability: 0.1,
            ..Latency::default()
        };
        let count = totals(&some).len();
        assert!((850..1150).contains(&count), "{count}");
    }
}
