//! `corrupt`: packets come with a wrong bit.

use std::time::Duration;

use fracas_core::params;
use fracas_core::record::Landed;

use super::meter::{Measured, Plan};
use super::model::Model;
use super::verdict::{Tally, share};
use super::{Impairment, Kind};

/// See [`params::Corrupt`].
pub(crate) type Corrupt = Impairment<Kinds>;

/// What `corrupt` is.
#[derive(Debug)]
pub(crate) struct Kinds;

/// How long probes are; the mark has 16 bytes of it.
const SIZE: usize = 1000;

impl Kind for Kinds {
    const NAME: &'static str = "corrupt";
    type Params = params::Corrupt;

    fn model(params: &params::Corrupt) -> Model {
        Model::Corrupt {
            share: params.percent.fraction(),
        }
    }

    fn asked(params: &params::Corrupt) -> String {
        format!("a wrong bit in {}", params.percent)
    }

    fn plan(_: &params::Corrupt) -> Plan {
        // Long: a probe whose mark is hit is not known again.
        Plan::spread(Plan::MOST, Duration::ZERO).of(SIZE)
    }

    fn judge(params: &params::Corrupt, measured: &Measured, tally: &mut Tally) -> (String, Landed) {
        let wrong = measured.count(|arrivals| arrivals.iter().any(|arrival| !arrival.intact));
        let arrived = measured.count(|arrivals| !arrivals.is_empty());
        tally.add(wrong, arrived);
        let asked = params.percent.fraction() * measured.seen_of_wrong();
        share("wrong", asked, *tally, None, 1.0)
    }
}
