//! Seed 0's fault of names: one of its faults may have two effects, each of which is a fault of ours.

use fracas_core::names::NamePattern;
use fracas_core::params::{Answer, Dns, Inject};
use fracas_core::problem::codes;
use fracas_core::units::{Percent, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::faults::Reader;
use crate::lenient::Number;

/// Parameters of `dns`: questions for any name are late or lost.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DnsParams {
    /// How long questions wait, in milliseconds, up to 3000. Default 2000.
    #[serde(default = "two_seconds")]
    pub(crate) delay_ms: Number,
    /// How many questions are lost: a share up to 1, which is all of them, or, above 1, how many of a hundred. Default 0.
    #[serde(default = "none")]
    pub(crate) failure_rate: Number,
}

fn two_seconds() -> Number {
    Number(2000.0)
}

fn none() -> Number {
    Number(0.0)
}

impl Reader<'_, '_> {
    /// The effects, each with the end of its name; one alone has the name of the fault.
    pub(super) fn dns(&mut self, params: &Map<String, Value>) -> Option<Vec<(&'static str, Inject)>> {
        let params: DnsParams = self.params(params)?;
        let lost = Percent(match params.failure_rate.0 {
            share if share <= 1.0 => share * 100.0,
            percent => percent,
        });
        let base = Dns::new(vec![NamePattern::all()]);
        let mut effects = Vec::new();
        // Where everything is lost, nothing is left that could be late.
        if params.delay_ms.0 > 0.0 && lost < Percent(100.0) {
            let delay = Dns {
                // No document can ask for more than a span can hold: what is beyond it is refused with its range.
                delay: Span::millis(params.delay_ms.0.round() as u64),
                ..base.clone()
            };
            effects.push(("delay", Inject::Dns(delay)));
        }
        if lost.0 > 0.0 {
            let failure = Dns {
                answer: Some(Answer::Timeout),
                probability: lost,
                ..base
            };
            effects.push(("failure", Inject::Dns(failure)));
        }
        if effects.is_empty() {
            let spot = self.spot("params");
            let what = "a fault of the type `dns` without an effect";
            let next = "give it a `delay_ms` or a `failure_rate` that is more than 0";
            self.problems.error_next(&codes::WRONG_VALUE, spot, what, next);
            return None;
        }
        Some(effects)
    }
}
