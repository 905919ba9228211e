//! What is known of an injection from one measurement to the next.

use fracas_core::problem::Result;
use fracas_linux::relay::Troubles;
use serde::{Deserialize, Serialize};

use super::verdict::Tally;
use crate::Context;
use crate::packet_worker::PacketWorker;

/// More than this share of what the target sends may not go otherwise than it was asked.
const OTHERWISE: f64 = 0.05;

/// What is known of an injection from one measurement to the next.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) tally: Tally,
    troubles: Troubles,
    /// How many were lost for want of room that should not be lost.
    #[serde(default)]
    pub(super) crowded: u64,
}

impl Known {
    pub(super) fn of(name: &str, cx: &Context) -> Self {
        let word = cx.nursery.word(name);
        word.and_then(|word| serde_json::from_str(&word).ok())
            .unwrap_or_default()
    }

    /// Takes what the worker has told of its troubles since.
    pub(super) fn hear(&mut self, undo: &PacketWorker, cx: &Context) -> Result<()> {
        for pid in undo.beside.processes()?.unwrap_or_default() {
            let told = cx.nursery.told_by(pid);
            let lines = told.split(|byte| *byte == b'\n');
            if let Some(last) = lines.filter_map(|line| serde_json::from_slice(line).ok()).next_back() {
                self.troubles = last;
            }
        }
        Ok(())
    }

    pub(super) fn keep(&self, name: &str, cx: &Context) {
        cx.nursery.take_word(name, serde_json::to_string(self).ok());
    }

    /// What was done otherwise than it was asked.
    pub(super) fn trouble(&self) -> String {
        let Troubles {
            hurried,
            unsent,
            missed,
            lapses,
        } = self.troubles;
        [
            (hurried, "went on at once, for too many waited"),
            (unsent, "could not be sent again, and were lost"),
            (missed, "found no room in the queue, and went on at once"),
            (lapses, "times the queue was not served, and packets passed it by"),
            (self.crowded, "found no room, and were lost"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("; {count} {what}"))
        .collect::<Vec<_>>()
        .concat()
    }

    /// Why so much went otherwise that what was asked was not delivered.
    pub(super) fn too_much(&self, came: u64) -> Option<String> {
        let Troubles {
            hurried,
            unsent,
            missed,
            ..
        } = self.troubles;
        let otherwise = hurried + unsent + missed + self.crowded;
        (otherwise as f64 > came as f64 * OTHERWISE).then(|| {
            format!(
                "of {came} packets of the target's own{}",
                self.trouble().replacen(';', ",", 1)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_otherwise_is_said_and_too_much_of_it_is_no_dose() {
        let known = |hurried, lapses| Known {
            troubles: Troubles {
                hurried,
                lapses,
                ..Troubles::default()
            },
            ..Known::default()
        };
        assert_eq!(known(0, 0).trouble(), "");
        assert_eq!(known(0, 0).too_much(0), None);
        let said = known(5, 1).trouble();
        assert_eq!(
            said,
            "; 5 went on at once, for too many waited; 1 times the queue was not served, and packets passed it by"
        );
        assert_eq!(known(5, 1).too_much(100), None);
        let why = known(6, 0).too_much(100).unwrap();
        assert_eq!(
            why,
            "of 100 packets of the target's own, 6 went on at once, for too many waited"
        );
        // As the worker tells it, and the guardian keeps it.
        let line = serde_json::to_vec(&known(6, 0).troubles).unwrap();
        assert_eq!(serde_json::from_slice::<Troubles>(&line).unwrap(), known(6, 0).troubles);
    }
}
