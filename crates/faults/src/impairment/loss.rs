//! `loss`: packets do not come.

use std::time::Duration;

use fracas_core::params;
use fracas_core::record::Landed;

use super::meter::{Measured, Plan};
use super::model::Model;
use super::verdict::share;
use super::{Impairment, Kind};

/// See [`params::Loss`].
pub(crate) type Loss = Impairment<Kinds>;

/// What `loss` is.
#[derive(Debug)]
pub(crate) struct Kinds;

impl Kind for Kinds {
    const NAME: &'static str = "loss";
    type Params = params::Loss;

    fn model(params: &params::Loss) -> Model {
        Model::Loss {
            share: params.percent.fraction(),
            burst: params.burst,
        }
    }

    fn asked(params: &params::Loss) -> String {
        match params.burst {
            Some(burst) => format!("loss of {}, {burst} in a row", params.percent),
            None => format!("loss of {}", params.percent),
        }
    }

    fn plan(_: &params::Loss) -> Plan {
        Plan::spread(Plan::MOST, Duration::ZERO)
    }

    fn judge(params: &params::Loss, measured: &Measured) -> (String, Landed) {
        let lost = measured.count(<[_]>::is_empty);
        let alike = params.burst.unwrap_or(1.0);
        share("lost", params.percent.fraction(), lost, measured.sent(), alike)
    }
}
