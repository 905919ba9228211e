//! What a run comes to.

use super::Machine;
use crate::event::{Hypothesis, StopCause, Verdict};
use crate::probe::Moment;
use crate::record::{Landed, State};

impl Machine {
    /// Verdict, reason and hypothesis. Precedence: residue > error > aborted > inconclusive > failed > passed.
    pub(super) fn verdict(&self) -> (Verdict, String, Hypothesis) {
        let hypothesis = self.hypothesis();
        let (verdict, why) = self.judge_all();
        (verdict, why, hypothesis)
    }

    fn judge_all(&self) -> (Verdict, String) {
        let residue = self
            .certificate
            .iter()
            .flat_map(|certificate| &certificate.lines)
            .find(|line| !line.state.is_over());
        if let Some(line) = residue {
            return (
                Verdict::Residue,
                format!("{} on {}: {}", line.fault, line.target, line.seen),
            );
        }
        if let Some(said) = &self.failure {
            return (Verdict::Error, said.to_string());
        }
        match &self.stop {
            Some(StopCause::ApplyFailed) => {
                let said = self.faults.injections().iter().find_map(|one| one.failed.as_ref());
                return (
                    Verdict::Error,
                    said.map_or_else(|| StopCause::ApplyFailed.words(), ToString::to_string),
                );
            }
            Some(cause @ StopCause::Panic(_)) => return (Verdict::Error, cause.words()),
            Some(cause) => return (Verdict::Aborted, cause.words()),
            None => {}
        }
        // Before what cannot be concluded: a value of others is no dose of ours, and drift would always be that.
        if let Some(why) = self.drift() {
            return (Verdict::Failed, why);
        }
        if let Some(why) = self.inconclusive() {
            return (Verdict::Inconclusive, why);
        }
        let failed = self
            .judgements
            .iter()
            .find(|judgement| judgement.critical && !judgement.passed);
        if let Some(judgement) = failed {
            return (
                Verdict::Failed,
                format!(
                    "{} {} the faults: {}",
                    judgement.probe, judgement.moment, judgement.message
                ),
            );
        }
        if self.unstable {
            let recovery = self.experiment.recovery;
            return (
                Verdict::Failed,
                format!(
                    "no recovery: the expectations did not hold for {} without a break within {}",
                    recovery.stable_for, recovery.within
                ),
            );
        }
        (Verdict::Passed, self.praise().to_owned())
    }

    /// What others changed, where that is asked for.
    fn drift(&self) -> Option<String> {
        let lines = &self.certificate.as_ref().filter(|_| self.strict)?.lines;
        let line = lines.iter().find(|line| line.state == State::Foreign)?;
        Some(format!(
            "the certificate is strict, and others changed {} on {}: {}",
            line.fault, line.target, line.seen
        ))
    }

    /// What a run that passed has shown: no more than was asked of it.
    fn praise(&self) -> &'static str {
        if self.judgements.is_empty() {
            "the faults landed and are gone; nothing was expected, so nothing was judged"
        } else if self.judgements.iter().all(|judgement| judgement.passed) {
            "every expectation held"
        } else if self.judgements.iter().any(|judgement| judgement.critical) {
            "every critical expectation held; others did not"
        } else {
            "nothing that is critical was expected; other expectations did not hold"
        }
    }

    /// Why nothing can be concluded, if so.
    fn inconclusive(&self) -> Option<String> {
        let mut any = false;
        for one in self.faults.injections() {
            let id = one.id;
            if let Some(said) = &one.failed {
                return Some(format!("injection {id} failed: {said}"));
            }
            if !one.was_on {
                return Some(format!("injection {id} never came on"));
            }
            any = true;
            match one.dose.as_ref().map(|dose| &dose.landed) {
                Some(Landed::Yes) => {}
                Some(Landed::No(why)) => return Some(format!("injection {id} did not land: {why}")),
                Some(Landed::Unmeasured(why)) => return Some(format!("injection {id} was not measured: {why}")),
                None => return Some(format!("injection {id} was not measured")),
            }
        }
        (!any).then(|| "nothing was injected".to_owned())
    }

    fn hypothesis(&self) -> Hypothesis {
        let mut tested = self
            .judgements
            .iter()
            .filter(|judgement| judgement.critical && judgement.moment != Moment::Before)
            .peekable();
        if tested.peek().is_none() {
            // An abort threshold that was crossed is a violation, even before the end at which the rest is judged.
            return if matches!(self.stop, Some(StopCause::Abort { .. })) {
                Hypothesis::Violated
            } else {
                Hypothesis::NotEvaluated
            };
        }
        let held = tested.all(|judgement| judgement.passed) && !self.unstable;
        match &self.stop {
            None if held => Hypothesis::Maintained,
            // Stopped for another reason than the hypothesis: what was seen of it held, and the rest was never seen.
            Some(cause) if held && !matches!(cause, StopCause::Abort { .. }) => Hypothesis::NotEvaluated,
            _ => Hypothesis::Violated,
        }
    }
}
