//! Seed 0's fault of clocks.

use fracas_core::params::{ClockSkew, Inject};
use fracas_core::problem::codes;
use fracas_core::units::Offset;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::faults::Reader;

/// Parameters of `clock_skew`: the container's processes see another time. The original shifted the clock of the whole machine.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct ClockSkewParams {
    /// By how much their clocks are later (`+5m`) or earlier (`-1h`).
    pub(crate) offset: Offset,
    /// Changes nothing: the machine's clock stays right, and whatever keeps it so.
    #[serde(default)]
    pub(crate) disable_ntp: bool,
}

impl Reader<'_, '_> {
    pub(super) fn clock_skew(&mut self, params: &Map<String, Value>) -> Option<Inject> {
        let params: ClockSkewParams = self.params(params)?;
        if params.disable_ntp {
            let spot = self.spot("params.disable_ntp");
            let what = "`disable_ntp` changes nothing";
            let next = "only the container's processes see another time, and no time server corrects that; remove the parameter";
            self.problems.warn(&codes::WRONG_VALUE, spot, what, next);
        }
        Some(Inject::ClockSkew(ClockSkew {
            offset: params.offset,
            pattern: None,
            children: true,
            allow_host_clock: false,
        }))
    }
}
