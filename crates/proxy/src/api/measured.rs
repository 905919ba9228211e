//! What was counted and measured, as JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::NAMES;
use crate::measures::Sample;
use crate::service::Shared;

/// How long the last answers took.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LatencySamples")]
pub(super) struct Samples {
    pub(super) samples: Vec<Sample>,
}

/// What was counted since the proxy began.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Stats")]
pub(super) struct Counted {
    /// Requests that were answered, those of the API not counted.
    requests: u64,
    /// Those of them whose status was 500 or more.
    server_errors: u64,
    /// Requests that were answered, by the class of the status: `2xx`.
    by_class: BTreeMap<&'static str, u64>,
    /// Faults that requests met; one may meet several.
    faults: u64,
    /// The same, by their names.
    by_fault: BTreeMap<&'static str, u64>,
    /// Connections of clients that are open, also as tunnels and those of the API.
    connections: u64,
}

impl Counted {
    pub(super) fn of(shared: &Shared) -> Self {
        let counts = shared.metrics.counts(NAMES);
        Self {
            requests: counts.requests.iter().map(|(_, count)| count).sum(),
            server_errors: counts
                .requests
                .iter()
                .find(|(class, _)| *class == "5xx")
                .map_or(0, |(_, count)| *count),
            by_class: counts.requests.into_iter().collect(),
            faults: counts.faults.iter().map(|(_, count)| count).sum(),
            by_fault: counts.faults.into_iter().collect(),
            connections: counts.connections,
        }
    }
}
