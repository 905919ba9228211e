//! `reorder`: packets overtake others.

use fracas_core::params;
use fracas_core::record::Landed;

use super::meter::{Measured, Plan};
use super::model::Model;
use super::verdict::{Tally, alike, like_the_last, share};
use super::{Impairment, Kind};

/// See [`params::Reorder`].
pub(crate) type Reorder = Impairment<Kinds>;

/// What `reorder` is.
#[derive(Debug)]
pub(crate) struct Kinds;

impl Kind for Kinds {
    const NAME: &'static str = "reorder";
    const CHANGES: &'static str = "time";
    type Params = params::Reorder;

    fn model(params: &params::Reorder) -> Model {
        Model::Reorder {
            share: params.percent.fraction(),
            correlation: params.correlation.fraction(),
            delay: params.delay.0,
        }
    }

    fn asked(params: &params::Reorder) -> String {
        let alike = like_the_last(params.correlation);
        format!("{} at once, the others {} later{alike}", params.percent, params.delay)
    }

    fn plan(params: &params::Reorder) -> Plan {
        Plan::spread(Plan::MOST, params.delay.0)
    }

    fn judge(params: &params::Reorder, measured: &Measured, tally: &mut Tally) -> (String, Landed) {
        let early = measured.count(|arrivals| arrivals.iter().any(|arrival| arrival.delay * 2 < params.delay.0));
        let arrived = measured.count(|arrivals| !arrivals.is_empty());
        tally.add(early, arrived);
        let alike = alike(params.correlation);
        share("at once", params.percent.fraction(), *tally, None, alike)
    }
}
