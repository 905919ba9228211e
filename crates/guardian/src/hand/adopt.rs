//! Taking over from a guardian that is dead.

use std::time::Duration;

use fracas_core::record::{Certified, State};

use super::Hand;
use crate::ledger::{Contents, PlannedRecord};
use crate::protocol::Wanted;

impl Hand {
    /// Takes over what a dead guardian left, from its ledger. Returns what could not be taken over, as lines of the certificate.
    pub fn adopt(&self, contents: &Contents) -> Vec<Certified> {
        let mut lost = Vec::new();
        for entry in contents.entries.values() {
            let planned = &entry.planned;
            let Some(fault) = fracas_faults::find(&planned.fault) else {
                lost.push(Certified {
                    injection: planned.injection,
                    fault: planned.fault.clone(),
                    target: planned.target.identity.clone(),
                    state: if entry.state.is_over() {
                        entry.state
                    } else {
                        State::Residue
                    },
                    undo: "this Fracas does not know the fault".to_owned(),
                    seen: "not looked at".to_owned(),
                    millis: 0,
                    engine_millis: 0,
                    manual: vec![format!("fracas recover, with the version that made run {}", self.run)],
                });
                continue;
            };
            let wanted = Wanted {
                injection: planned.injection,
                name: String::new(),
                fault: planned.fault.clone(),
                params: planned.params.clone(),
                target: planned.target.clone(),
                // Nothing is planned any more.
                others: Vec::new(),
                observers: Vec::new(),
                at_most: fracas_core::units::Span::MAX,
                allow_irreversible: true,
                turn: crate::protocol::Turn::default(),
                seed: fracas_core::seed::Seed::default(),
            };
            let slot = self.slot(fault, wanted);
            if let Ok(mut work) = slot.work.try_lock() {
                work.undo = Some(planned.undo.clone());
                work.state = Some(entry.state);
                work.not_after = still_in_flight(planned);
                if entry.state.is_over() && slot.comes_back(&work) {
                    work.line = Some(Certified {
                        injection: planned.injection,
                        fault: planned.fault.clone(),
                        target: planned.target.identity.clone(),
                        state: entry.state,
                        undo: "it was undone by the guardian before this one".to_owned(),
                        seen: "as before, then".to_owned(),
                        millis: 0,
                        engine_millis: 0,
                        manual: Vec::new(),
                    });
                }
            }
            self.slots().insert(planned.injection, slot);
        }
        lost
    }
}

/// Until when an engine call that a dead guardian made may still take effect. CLOCK_BOOTTIME begins anew with each boot, and no call
/// outlives one: what was written before a reboot is waited for no more.
fn still_in_flight(planned: &PlannedRecord) -> Duration {
    let same_boot = fracas_linux::process::boot_id().is_ok_and(|boot| boot == planned.target.process().boot);
    if same_boot {
        Duration::from_millis(planned.not_after_ms)
    } else {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use fracas_core::ids::InjectionId;
    use fracas_core::target::{Kind, Process, ProcessIdentity, Target};
    use serde_json::Value;

    use super::*;

    fn planned(boot: &str) -> PlannedRecord {
        let process = ProcessIdentity {
            pid: 7,
            start: 8,
            boot: boot.to_owned(),
        };
        PlannedRecord {
            injection: InjectionId(0),
            fault: "container_stop".to_owned(),
            params: Value::Null,
            target: Target {
                alias: "a".to_owned(),
                identity: "x".to_owned(),
                kind: Kind::Process(Process {
                    process,
                    command: "x".to_owned(),
                }),
            },
            undo: Value::Null,
            not_after_ms: 90_000,
        }
    }

    #[test]
    fn calls_to_the_engine_are_waited_for_within_one_boot_only() {
        let now = fracas_linux::process::boot_id().unwrap();
        assert_eq!(still_in_flight(&planned(&now)), Duration::from_secs(90));
        assert_eq!(
            still_in_flight(&planned("00000000-0000-0000-0000-000000000000")),
            Duration::ZERO
        );
    }
}
