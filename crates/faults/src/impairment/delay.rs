//! `delay`: packets come later.

use std::time::Duration;

use fracas_core::params::{self, Distribution};
use fracas_core::record::Landed;

use super::meter::{Measured, Plan};
use super::model::Model;
use super::verdict::{Tally, alike, like_the_last, millis};
use super::{Impairment, Kind};

/// See [`params::Delay`].
pub(crate) type Delay = Impairment<Kinds>;

/// What `delay` is.
#[derive(Debug)]
pub(crate) struct Kinds;

/// So many packets, half a second long.
const PROBES: u32 = 10;
/// How late a packet may be on a machine that has something else to do, or off by half of a small delay: what does nothing is never so.
const SLACK: Duration = Duration::from_millis(5);
/// How far from what was asked a delay may be otherwise.
const SHARE: f64 = 0.05;
/// Deviations of a mean: further off is one in a million.
const DEVIATIONS: f64 = 5.0;

impl Kind for Kinds {
    const NAME: &'static str = "delay";
    const CHANGES: &'static str = "time";
    type Params = params::Delay;

    fn model(params: &params::Delay) -> Model {
        Model::Delay {
            mean: params.mean.0,
            jitter: params.jitter.0,
            correlation: params.correlation.fraction(),
            distribution: params.distribution,
        }
    }

    fn asked(params: &params::Delay) -> String {
        let jitter = match (params.jitter.0.is_zero(), params.distribution) {
            (true, _) => String::new(),
            (false, Distribution::Uniform) => format!(" ± {} (uniform)", params.jitter),
            (false, Distribution::Normal) => format!(" ± {} (normal)", params.jitter),
            (false, Distribution::Pareto) => format!(" ± {} (pareto)", params.jitter),
        };
        let correlation = like_the_last(params.correlation);
        format!("delay {}{jitter}{correlation}", params.mean)
    }

    fn plan(params: &params::Delay) -> Plan {
        Plan::spread(PROBES, params.mean.0 + 3 * params.jitter.0)
    }

    fn judge(params: &params::Delay, measured: &Measured, _: &mut Tally) -> (String, Landed) {
        let delays = measured.delays();
        if delays.is_empty() {
            return (
                "no probe came out".to_owned(),
                Landed::No("no probe came out".to_owned()),
            );
        }
        let asked = params.mean.0;
        let (got, spread) = if params.jitter.0.is_zero() {
            (middle(&delays), Duration::ZERO)
        } else {
            (mean(&delays), deviation(params))
        };
        let chance = spread.mul_f64(DEVIATIONS / (delays.len() as f64).sqrt() * alike(params.correlation).sqrt());
        let tolerance = SLACK.min(asked / 2).max(asked.mul_f64(SHARE)) + chance;
        let delivered = format!("{} on {} probes", millis(got), delays.len());
        let landed = if got.abs_diff(asked) <= tolerance {
            Landed::Yes
        } else {
            Landed::No(format!(
                "{} is more than {} from {}",
                millis(got),
                millis(tolerance),
                millis(asked)
            ))
        };
        (delivered, landed)
    }
}

/// The standard deviation that a jitter asks for.
fn deviation(params: &params::Delay) -> Duration {
    match params.distribution {
        Distribution::Uniform => params.jitter.0.div_f64(3.0_f64.sqrt()),
        Distribution::Normal | Distribution::Pareto => params.jitter.0,
    }
}

fn mean(delays: &[Duration]) -> Duration {
    delays.iter().sum::<Duration>() / delays.len().max(1) as u32
}

/// The one in the middle: a probe that the machine kept waiting moves it little.
fn middle(delays: &[Duration]) -> Duration {
    let mut sorted = delays.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
