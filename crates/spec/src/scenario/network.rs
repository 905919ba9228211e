//! Seed 0's fault of networks: one of its faults has several effects, each of which is a fault of ours.

use std::str::FromStr;

use fracas_core::params::{Corrupt, Delay, Duplicate, Inject, Loss, RateLimit, Reorder};
use fracas_core::problem::codes;
use fracas_core::traffic::{Peer, Protocol, Service};
use fracas_core::units::{NotAQuantity, Percent, Rate, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::faults::Reader;
use crate::lenient::Number;
use crate::place::quoted;

/// Parameters of `network`: what the container sends is impaired. At least one effect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct NetworkParams {
    /// The interface, as the container has it. Default `eth0`.
    #[serde(default = "eth0")]
    pub(crate) device: String,
    /// A delay, in milliseconds.
    pub(crate) latency: Option<Number>,
    /// How many packets of a hundred are lost.
    pub(crate) packet_loss: Option<Percent>,
    /// How much may be sent, in kbit in a second.
    pub(crate) bandwidth: Option<Number>,
    /// How many packets of a hundred are sent at once while the others wait for the `latency`, which it needs.
    pub(crate) reorder: Option<Percent>,
    /// How much a packet's fate is like that of the one before, in per cent. Only with `reorder`.
    pub(crate) reorder_correlation: Option<Percent>,
    /// How many packets of a hundred get a wrong bit.
    pub(crate) corrupt: Option<Percent>,
    /// How many packets of a hundred are sent twice.
    pub(crate) duplicate: Option<Percent>,
    /// Ports of either side, separated by commas. Default: all, and what has none.
    pub(crate) target_ports: Option<String>,
    /// The protocols of `target_ports`: `tcp`, `udp` or `tcp,udp`. Default `tcp`.
    pub(crate) target_proto: Option<String>,
    /// To whom, by addresses that are separated by commas. Default: everybody.
    pub(crate) target_ips: Option<String>,
    /// To whom, by networks that are separated by commas. Default: everybody.
    pub(crate) target_cidr: Option<String>,
}

fn eth0() -> String {
    "eth0".to_owned()
}

/// Which packets, as every effect has them.
struct Of {
    to: Vec<Peer>,
    ports: Vec<Service>,
    device: Option<String>,
}

impl Reader<'_, '_> {
    /// The effects, each with the end of its name; one alone has the name of the fault.
    pub(super) fn network(&mut self, params: &Map<String, Value>) -> Option<Vec<(&'static str, Inject)>> {
        let params: NetworkParams = self.params(params)?;
        let of = self.of(&params)?;
        if params.reorder.is_some() && params.latency.is_none() {
            let next = "the others must wait for something: give it a `latency`";
            return self.no("params.reorder", "`reorder` needs a `latency`", next);
        }
        if params.reorder_correlation.is_some() && params.reorder.is_none() {
            let what = "`reorder_correlation` means nothing without `reorder`";
            return self.no("params.reorder_correlation", what, "give it a `reorder`, or remove it");
        }
        let mut effects = Vec::new();
        if let Some(latency) = params.latency {
            // No document can ask for more than a span can hold: what is beyond it is refused with its range.
            let latency = Span::millis(latency.0.round() as u64);
            effects.push(match params.reorder {
                None => ("latency", Inject::Delay(of.delay(latency))),
                Some(percent) => {
                    let correlation = params.reorder_correlation.unwrap_or_default();
                    ("reorder", Inject::Reorder(of.reorder(percent, correlation, latency)))
                }
            });
        }
        effects.extend(
            params
                .packet_loss
                .map(|percent| ("packet_loss", Inject::Loss(of.loss(percent)))),
        );
        effects.extend(
            params
                .duplicate
                .map(|percent| ("duplicate", Inject::Duplicate(of.duplicate(percent)))),
        );
        effects.extend(
            params
                .corrupt
                .map(|percent| ("corrupt", Inject::Corrupt(of.corrupt(percent)))),
        );
        effects.extend(params.bandwidth.map(|kbit| {
            let rate = Rate((kbit.0 * 1000.0).round() as u64);
            ("bandwidth", Inject::RateLimit(of.rate(rate)))
        }));
        if effects.is_empty() {
            let next = "give it one of `latency`, `packet_loss`, `bandwidth`, `corrupt` and `duplicate`";
            return self.no("params", "a fault of the type `network` without an effect", next);
        }
        Some(effects)
    }

    fn of(&mut self, params: &NetworkParams) -> Option<Of> {
        let mut to: Vec<Peer> = Vec::new();
        for (key, text) in [("target_ips", &params.target_ips), ("target_cidr", &params.target_cidr)] {
            to.extend(self.list(key, text.as_deref())?);
        }
        if params.target_ports.is_none() && params.target_proto.is_some() {
            let spot = self.spot("params.target_proto");
            let what = "`target_proto` means nothing without `target_ports`";
            let next = "give it `target_ports`, or remove it";
            self.problems.warn(&codes::WRONG_VALUE, spot, what, next);
        }
        let protocols = self.protocols(params.target_proto.as_deref())?;
        Some(Of {
            to,
            ports: self.ports(params.target_ports.as_deref(), &protocols)?,
            device: Some(params.device.clone()),
        })
    }

    /// Ports that are separated by commas, each of each of these protocols.
    pub(super) fn ports(&mut self, text: Option<&str>, protocols: &[Protocol]) -> Option<Vec<Service>> {
        let ports: Vec<Service> = self.list("target_ports", text)?;
        let of = |service: Service| {
            protocols.iter().map(move |protocol| Service {
                protocol: Some(*protocol),
                ..service
            })
        };
        Some(ports.into_iter().flat_map(of).collect())
    }

    /// The protocols of `target_proto`: TCP where there is none.
    pub(super) fn protocols(&mut self, text: Option<&str>) -> Option<Vec<Protocol>> {
        let Some(text) = text else {
            return Some(vec![Protocol::Tcp]);
        };
        let read = |word: &str| match word.trim() {
            "tcp" => Some(Protocol::Tcp),
            "udp" => Some(Protocol::Udp),
            _ => None,
        };
        let protocols: Option<Vec<Protocol>> = text.split(',').map(read).collect();
        match protocols {
            Some(protocols) => Some(protocols),
            None => self.no(
                "params.target_proto",
                &format!("{} are no protocols", quoted(text)),
                "write `tcp`, `udp` or `tcp,udp`",
            ),
        }
    }

    /// What is separated by commas.
    fn list<T: FromStr<Err = NotAQuantity>>(&mut self, key: &str, text: Option<&str>) -> Option<Vec<T>> {
        let mut all = Vec::new();
        for word in text.into_iter().flat_map(|text| text.split(',')) {
            match word.trim().parse::<T>() {
                Ok(one) => all.push(one),
                Err(not) => {
                    let what = format!("`{key}` is wrong: {}", not.0);
                    return self.no(&format!("params.{key}"), &what, "separate them by commas");
                }
            }
        }
        Some(all)
    }

    pub(super) fn no<T>(&mut self, key: &str, what: &str, next: &str) -> Option<T> {
        let spot = self.spot(key);
        self.problems.error_next(&codes::WRONG_VALUE, spot, what, next);
        None
    }
}

macro_rules! effect {
    ($self:ident, $kind:ident { $($field:ident),* $(,)? }) => {
        $kind {
            $($field,)*
            to: $self.to.clone(),
            ports: $self.ports.clone(),
            device: $self.device.clone(),
            ..$kind::default()
        }
    };
}

impl Of {
    fn delay(&self, mean: Span) -> Delay {
        effect!(self, Delay { mean })
    }

    fn loss(&self, percent: Percent) -> Loss {
        effect!(self, Loss { percent })
    }

    fn duplicate(&self, percent: Percent) -> Duplicate {
        effect!(self, Duplicate { percent })
    }

    fn corrupt(&self, percent: Percent) -> Corrupt {
        effect!(self, Corrupt { percent })
    }

    fn reorder(&self, percent: Percent, correlation: Percent, delay: Span) -> Reorder {
        effect!(
            self,
            Reorder {
                percent,
                correlation,
                delay
            }
        )
    }

    fn rate(&self, rate: Rate) -> RateLimit {
        effect!(self, RateLimit { rate })
    }
}
