//! `duplicate`: packets come twice.

use std::time::Duration;

use fracas_core::params;
use fracas_core::record::Landed;

use super::meter::{Measured, Plan};
use super::model::Model;
use super::verdict::{Tally, share};
use super::{Impairment, Kind};

/// See [`params::Duplicate`].
pub(crate) type Duplicate = Impairment<Kinds>;

/// What `duplicate` is.
#[derive(Debug)]
pub(crate) struct Kinds;

impl Kind for Kinds {
    const NAME: &'static str = "duplicate";
    const NOT_IN: Option<&'static str> =
        Some("what comes in cannot be doubled, for the kernel takes a copy from nobody");
    type Params = params::Duplicate;

    fn model(params: &params::Duplicate) -> Model {
        Model::Duplicate {
            share: params.percent.fraction(),
        }
    }

    fn asked(params: &params::Duplicate) -> String {
        format!("{} twice", params.percent)
    }

    fn plan(_: &params::Duplicate) -> Plan {
        Plan::spread(Plan::MOST, Duration::ZERO)
    }

    fn judge(params: &params::Duplicate, measured: &Measured, tally: &mut Tally) -> (String, Landed) {
        let twice = measured.count(|arrivals| arrivals.len() > 1);
        let arrived = measured.count(|arrivals| !arrivals.is_empty());
        tally.add(twice, arrived);
        share(
            "twice",
            params.percent.fraction(),
            *tally,
            Some(measured.own_twice()),
            1.0,
        )
    }
}
