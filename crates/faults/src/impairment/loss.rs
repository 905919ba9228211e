//! `loss`: packets do not come.

use std::time::Duration;

use fracas_core::params;
use fracas_core::record::Landed;

use super::meter::{Measured, Plan};
use super::model::Model;
use super::verdict::{Tally, alike, like_the_last, share};
use super::{Impairment, Kind};

/// See [`params::Loss`].
pub(crate) type Loss = Impairment<Kinds>;

/// What `loss` is.
#[derive(Debug)]
pub(crate) struct Kinds;

impl Kind for Kinds {
    const NAME: &'static str = "loss";
    const LOSES: bool = true;
    type Params = params::Loss;

    fn model(params: &params::Loss) -> Model {
        Model::Loss {
            share: params.percent.fraction(),
            correlation: params.correlation.fraction(),
            burst: params.burst,
        }
    }

    fn asked(params: &params::Loss) -> String {
        let alike = match params.burst {
            Some(burst) => format!(", {burst} in a row"),
            None => like_the_last(params.correlation),
        };
        format!("loss of {}{alike}", params.percent)
    }

    fn plan(_: &params::Loss) -> Plan {
        Plan::spread(Plan::MOST, Duration::ZERO)
    }

    fn judge(params: &params::Loss, measured: &Measured, tally: &mut Tally) -> (String, Landed) {
        let lost = measured.count(<[_]>::is_empty);
        let alike = params.burst.unwrap_or_else(|| alike(params.correlation));
        tally.add(lost, measured.sent());
        share(
            "lost",
            params.percent.fraction(),
            *tally,
            Some(measured.own_lost()),
            alike,
        )
    }
}
