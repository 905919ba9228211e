//! `connection_drop`: packets are not let through.

use fracas_core::params::{self, Refusal};
use fracas_core::problem::Result;
use fracas_core::target::Target;

use super::{Cut, Kind, Rules, Undo};
use crate::{Context, Fault, impairment, observers};

/// See [`params::ConnectionDrop`].
pub(crate) type ConnectionDrop = Rules<Kinds>;

/// What `connection_drop` is.
#[derive(Debug)]
pub(crate) struct Kinds;

impl Kind for Kinds {
    const NAME: &'static str = "connection_drop";
    type Params = params::ConnectionDrop;

    async fn cut(params: &params::ConnectionDrop, target: &Target, cx: &Context) -> Result<Cut> {
        let params::ConnectionDrop {
            action,
            probability,
            connections,
            direction,
            to,
            except,
            ports,
            device,
            include_observers,
        } = params.clone();
        Ok(Cut {
            to,
            except,
            ports,
            device,
            ways: direction,
            action,
            probability,
            connections,
            spared: observers::of(Self::NAME, target, cx, include_observers).await?,
            include_observers,
        })
    }

    fn asked(params: &params::ConnectionDrop) -> String {
        let what = match params.action {
            Refusal::Drop => "dropping",
            Refusal::Reject => "rejecting",
        };
        format!("{what} {} of", params.probability)
    }

    // A meter could not tell it from packets that another fault loses.
    fn key(_: &Undo) -> String {
        format!("the {} of packets", impairment::Loss::NAME)
    }
}
