//! `rate`: no more than so much in a second.

use std::time::Duration;

use fracas_core::params;
use fracas_core::record::Landed;

use super::meter::{Measured, Plan};
use super::model::Model;
use super::verdict::Tally;
use super::{Impairment, Kind};

/// See [`params::RateLimit`].
pub(crate) type Rate = Impairment<Kinds>;

/// What `rate` is.
#[derive(Debug)]
pub(crate) struct Kinds;

/// So many at least in one go, and at most: the link is busy with each while the next one waits.
const TRAIN: std::ops::RangeInclusive<f64> = 6.0..=400.0;
/// As long a train is, unless it would have too many.
const TAKES: Duration = Duration::from_millis(100);
/// The size of each, with its headers.
const SIZE: usize = 1000;
/// More than this share above what was asked is too fast; less than that share of it, in all parts of a train, is too slow. A machine that
/// has something else to do for a while holds up a train of some milliseconds, and no rate is slower for that.
const FAST: f64 = 1.1;
const SLOW: f64 = 0.5;
/// How late the first of a train may be seen: a machine that has something else to do sends or sees several at once.
const LATE: Duration = Duration::from_millis(5);
/// So much faster than the fault lets them the probes must be sent: what is slow by itself shows nothing.
const FASTER: f64 = 2.0;

impl Kind for Kinds {
    const NAME: &'static str = "rate";
    const LOSES: bool = true;
    type Params = params::RateLimit;

    fn model(params: &params::RateLimit) -> Model {
        Model::Rate { bits: params.rate.0 }
    }

    fn asked(params: &params::RateLimit) -> String {
        format!("at most {}", params.rate)
    }

    fn plan(params: &params::RateLimit) -> Plan {
        let each = SIZE as f64 * 8.0 / params.rate.0.max(1) as f64;
        let train = (TAKES.as_secs_f64() / each).clamp(*TRAIN.start(), *TRAIN.end()).round();
        // What waits longer than a second is lost.
        Plan::train(train as u32, SIZE, Duration::from_secs_f64((each * train).min(2.0)))
    }

    fn judge(params: &params::RateLimit, measured: &Measured, _: &mut Tally) -> (String, Landed) {
        let (Some((bytes, time)), Some(fastest)) = (measured.train(), measured.fastest()) else {
            let why = "fewer than two probes came out".to_owned();
            return (why.clone(), Landed::No(why));
        };
        let in_a_second = |bytes: u64, time: Duration| bytes as f64 * 8.0 / time.as_secs_f64().max(1e-9);
        let (bits, asked) = (in_a_second(bytes, time), params.rate.0 as f64);
        let of = measured.sent();
        let came = measured.count(|arrivals| !arrivals.is_empty());
        let delivered = format!("{:.2}mbit, {came} of {of} probes came", bits / 1e6);
        let sent = in_a_second((of - 1) * SIZE as u64, measured.sending());
        let landed = if in_a_second(bytes, time + LATE) > asked * FAST {
            Landed::No(format!("{:.2}mbit is more than {}", bits / 1e6, params.rate))
        } else if in_a_second(fastest.0, fastest.1) < asked * SLOW {
            Landed::No(format!("{:.2}mbit is less than half of {}", bits / 1e6, params.rate))
        } else if sent < asked * FASTER {
            Landed::Unmeasured(format!(
                "the probes themselves are sent with {:.2}mbit, which tells nothing of {}",
                sent / 1e6,
                params.rate
            ))
        } else {
            Landed::Yes
        };
        (delivered, landed)
    }
}
