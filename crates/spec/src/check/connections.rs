//! Parameters of the faults on connections.

use fracas_core::experiment::FaultSpec;
use fracas_core::params::{ConnectionDrop, ConnectionReset, Partition};
use fracas_core::traffic::Protocol;

use super::Check;
use super::loads::WHOLE;
use super::packets::Key;

impl Check<'_, '_> {
    pub(super) fn connection_drop(&mut self, key: Key<'_>, drop: &ConnectionDrop) {
        if drop.probability.0 <= 0.0 || drop.probability > WHOLE {
            self.wrong(
                &key("probability", "probability"),
                "must be more than 0% and at most 100%",
            );
        }
        self.not_too_many(key, drop.to.len(), drop.except.len(), drop.ports.len());
        self.device(key, drop.device.as_deref());
    }

    pub(super) fn partition(&mut self, key: Key<'_>, fault: &FaultSpec, partition: &Partition) {
        let path = key("from", "from");
        let targets = &self.experiment.targets;
        let aliases: Vec<&str> = targets.iter().map(|target| target.alias.as_str()).collect();
        if partition.from == fault.target {
            let why = "names the targets of the fault itself: nothing is parted from itself";
            self.wrong(&path, why);
        } else if self.undefined(&partition.from) {
            self.dangling(&path, &partition.from, &aliases);
        }
    }

    pub(super) fn connection_reset(&mut self, key: Key<'_>, fault: &FaultSpec, reset: &ConnectionReset) {
        self.not_too_many(key, reset.to.len(), reset.except.len(), reset.ports.len());
        let other = |protocol: Option<Protocol>| protocol.is_some_and(|protocol| protocol != Protocol::Tcp);
        for (name, foreign) in [
            ("to", reset.to.iter().any(|peer| other(peer.protocol))),
            ("except", reset.except.iter().any(|peer| other(peer.protocol))),
            ("ports", reset.ports.iter().any(|ports| other(ports.protocol))),
        ] {
            if foreign {
                self.wrong(&key(name, name), "names another protocol: connections are those of tcp");
            }
        }
        self.repeats(key, fault, "resets", reset.count, reset.interval);
    }
}
