//! `rate`: no more than so much in a second.

use std::time::Duration;

use fracas_core::params;
use fracas_core::record::Landed;

use super::meter::{Measured, Plan};
use super::model::Model;
use super::{Impairment, Kind};

/// See [`params::RateLimit`].
pub(crate) type Rate = Impairment<Kinds>;

/// What `rate` is.
#[derive(Debug)]
pub(crate) struct Kinds;

/// What the target itself has sent may wait before it.
const QUEUE: Duration = Duration::from_secs(1);
/// So many in one go: the link is busy with each while the next one waits.
const TRAIN: u32 = 6;
/// The size of each, with its headers.
const SIZE: usize = 1000;
/// More than this share above what was asked is too fast.
const SHARE: f64 = 1.1;

impl Kind for Kinds {
    const NAME: &'static str = "rate";
    type Params = params::RateLimit;

    fn model(params: &params::RateLimit) -> Model {
        Model::Rate { bits: params.rate.0 }
    }

    fn asked(params: &params::RateLimit) -> String {
        format!("at most {}", params.rate)
    }

    fn plan(params: &params::RateLimit) -> Plan {
        let takes = SIZE as f64 * f64::from(TRAIN) * 8.0 / params.rate.0.max(1) as f64;
        // What waits longer than a second is lost, and so is a probe behind it.
        Plan::train(TRAIN, SIZE, Duration::from_secs_f64(takes.min(2.0)) + QUEUE)
    }

    fn judge(params: &params::RateLimit, measured: &Measured) -> (String, Landed) {
        let Some((bytes, time)) = measured.train() else {
            let why = "fewer than two probes came out".to_owned();
            return (why.clone(), Landed::No(why));
        };
        let bits = bytes as f64 * 8.0 / time.as_secs_f64().max(1e-9);
        let delivered = format!("{:.2}mbit", bits / 1e6);
        let landed = if bits <= params.rate.0 as f64 * SHARE {
            Landed::Yes
        } else {
            Landed::No(format!("{delivered} is more than {}", params.rate))
        };
        (delivered, landed)
    }
}
