//! Seed 0's fault of connections.

use fracas_core::params::{ConnectionDrop, Connections, Inject, Refusal, Ways};
use fracas_core::traffic::Peer;
use fracas_core::units::Percent;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::faults::Reader;
use crate::lenient::Number;

/// Parameters of `connection_drop`: some of the packets that the container is sent are not let in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectionDropParams {
    /// What happens to a packet that is not let in. Default `drop`.
    #[serde(default)]
    pub(crate) rule_type: Refusal,
    /// Ports of either side, separated by commas. Default: all.
    pub(crate) target_ports: Option<String>,
    /// The protocols: `tcp`, `udp` or `tcp,udp`. Default `tcp`.
    pub(crate) target_proto: Option<String>,
    /// How many packets are not let in, from 0 to 1. Default 0.1.
    #[serde(default = "tenth")]
    pub(crate) probability: Number,
}

fn tenth() -> Number {
    Number(0.1)
}

impl Reader<'_, '_> {
    pub(super) fn connection_drop(&mut self, params: &Map<String, Value>) -> Option<Inject> {
        let params: ConnectionDropParams = self.params(params)?;
        let protocols = self.protocols(params.target_proto.as_deref())?;
        let ports = self.ports(params.target_ports.as_deref(), &protocols)?;
        if params.probability.0 > 1.0 {
            let what = format!("`probability` is {}, and can be 1 at most", params.probability.0);
            return self.no("params.probability", &what, "write 0.1 for every tenth packet");
        }
        // Without ports the protocols alone say which.
        let of = |protocol| Peer {
            host: None,
            ports: None,
            protocol: Some(protocol),
        };
        let to = if ports.is_empty() {
            protocols.into_iter().map(of).collect()
        } else {
            Vec::new()
        };
        Some(Inject::ConnectionDrop(ConnectionDrop {
            action: params.rule_type,
            probability: Percent(params.probability.0 * 100.0),
            connections: Connections::All,
            // The original tool had its rules where packets come in.
            direction: Ways::Ingress,
            to,
            ports,
            ..ConnectionDrop::default()
        }))
    }
}
