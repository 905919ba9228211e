//! Taking one injection off, and being sure.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fracas_core::ids::InjectionId;
use fracas_core::problem::Result;
use fracas_core::record::{Certified, Reverted, Seen, State};
use serde_json::Value;

use super::{Hand, Slot, Work, guarded};
use crate::ledger::Record;

/// How long an undo is tried again while our value is still seen, or an error stands in the way. Longer only delays the message to
/// the person who must help.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(20);
/// Time between two looks while an engine call that was cut off may still take effect.
const AGAIN: Duration = Duration::from_millis(300);
/// What is said of a revert that found nothing.
const NOTHING: &str = "nothing was left to undo";

/// What is said where an apply hangs, for instance in a file system that does not answer.
const STILL: &str = "what put it on has not come back yet, and may still do it";

/// How one attempt ended.
struct Attempt {
    state: State,
    undo: String,
    seen: String,
}

impl Hand {
    /// Undoes one injection and gives its line; `None` if it was never on.
    pub(super) async fn undo(&self, injection: InjectionId) -> Option<Certified> {
        let slot = self.get(injection).ok()?;
        let mut work = slot.work.lock().await;
        let state = work.state?;
        if state.is_over() && work.line.is_some() {
            return work.line.clone();
        }
        let undo = work.undo.clone().unwrap_or_default();
        let began = Instant::now();
        // An apply that was cut off may still be at work in a thread: what it does next would be done after the undo.
        let name = slot.context.trace_name();
        let idle = slot.context.nursery.idle(&name, PATIENCE).await;
        let mut attempt = until_gone(&slot, &undo).await;
        if !idle && !slot.context.nursery.idle(&name, Duration::ZERO).await {
            // It is looked at again at the end of the run, and the guardian's own end ends the thread.
            attempt.state = State::Residue;
            let _ = write!(attempt.seen, "; {STILL}");
        }
        let mut asking = began.elapsed();
        let mut waited = Duration::ZERO;
        // An engine call that was cut off may take effect after our undo. It is taken back as soon as that is seen, but only a look
        // that begins when it cannot happen any more is evidence.
        loop {
            let left = work.not_after.saturating_sub(fracas_linux::clock::boottime());
            if left.is_zero() {
                break;
            }
            let pause = left.min(AGAIN);
            tokio::time::sleep(pause).await;
            waited += pause;
            let last = fracas_linux::clock::boottime() >= work.not_after;
            let asked = Instant::now();
            let again = until_gone(&slot, &undo).await;
            asking += asked.elapsed();
            if again.undo != NOTHING {
                attempt.undo = again.undo;
            }
            (attempt.state, attempt.seen) = (again.state, again.seen);
            if last {
                break;
            }
        }
        if !waited.is_zero() {
            let watched = waited.as_millis();
            let _ = write!(
                attempt.seen,
                "; watched for {watched} ms, in which a call that was cut off could take effect"
            );
        }
        work.not_after = Duration::ZERO;
        work.state = Some(attempt.state);
        // What is undone through the engine takes as long as the engine takes.
        let through_engine = (slot.entry.needs)(&work.wanted.params).is_ok_and(|needs| needs.container);
        let engine = if through_engine { asking } else { Duration::ZERO };
        let line = Certified {
            injection,
            fault: work.wanted.fault.clone(),
            target: work.wanted.target.identity.clone(),
            state: attempt.state,
            undo: attempt.undo,
            seen: attempt.seen,
            millis: began.elapsed().as_millis() as u64,
            engine_millis: engine.as_millis() as u64,
            manual: if attempt.state.is_over() {
                Vec::new()
            } else {
                (slot.entry.manual)(&undo).unwrap_or_default()
            },
        };
        let before = work.line.replace(line.clone());
        drop(work);
        // Reverted first, recorded if it can be: a full disk must not keep a fault on.
        let recorded = self.record(&[Record::Became {
            injection,
            state: line.state,
        }]);
        if line.state.is_over() {
            self.claims().settle(injection);
        }
        // A guardian that recovers looks again at what was over, and at the end once more at what is left: where nothing came of that
        // there is nothing to tell.
        let told = before.is_some_and(|before| (before.state, &before.undo) == (line.state, &line.undo));
        if !told && (state != line.state || line.undo != NOTHING) {
            self.tell_state(injection, line.state, &line.undo, Some(line.millis));
        }
        if let Err(problem) = recorded {
            self.failed(injection, &problem);
        }
        Some(line)
    }
}

/// Reverts and observes until the system shows that it is gone, or patience ends.
async fn until_gone(slot: &Slot, undo: &Value) -> Attempt {
    let began = Instant::now();
    let mut did = None;
    loop {
        let reverted = guarded((slot.entry.revert)(undo, &slot.context)).await;
        let seen = guarded((slot.entry.observe)(undo, &slot.context)).await;
        // What the first successful revert did is what happened; later ones find nothing left.
        if let Ok(reverted) = &reverted
            && (did.is_none() || did == Some(Reverted::AlreadyGone))
        {
            did = Some(reverted.clone());
        }
        let attempt = judge(did.as_ref(), &reverted, &seen);
        if attempt.state.is_over() || began.elapsed() > PATIENCE {
            return attempt;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn judge(did: Option<&Reverted>, reverted: &Result<Reverted>, seen: &Result<Seen>) -> Attempt {
    let undo = match (did, reverted) {
        (_, Err(problem)) => problem.line(),
        (Some(Reverted::Restored), _) => "restored".to_owned(),
        (Some(Reverted::Foreign { before, ours, now }), _) => {
            format!("left: it was {before}, ours {ours}, somebody made it {now}")
        }
        (Some(Reverted::AlreadyGone) | None, _) => NOTHING.to_owned(),
    };
    let (state, seen) = match seen {
        Err(problem) => (State::Residue, format!("cannot be seen: {}", problem.line())),
        Ok(Seen::Original) => (State::Clean, "as before".to_owned()),
        Ok(Seen::TargetGone) => (State::Clean, "the target is gone, and the fault with it".to_owned()),
        Ok(Seen::Claimed(what)) => (State::Clean, what.clone()),
        Ok(Seen::Ours(what)) => (State::Residue, what.clone()),
        // Only if revert saw the stranger too: a value that is neither and that revert did not see is one that is just changing.
        Ok(Seen::Foreign(what)) if matches!(reverted, Ok(Reverted::Foreign { .. })) => (State::Foreign, what.clone()),
        Ok(Seen::Foreign(what)) => (State::Residue, what.clone()),
    };
    // An undo that failed while nothing of ours is seen is still clean: what counts is what is there.
    Attempt { state, undo, seen }
}

/// Whether something of an injection that was over is there, at the end of the run. What cannot be seen may be there.
pub(super) async fn is_back(slot: &Slot, work: &Work) -> bool {
    let Some(undo) = &work.undo else { return false };
    match guarded((slot.entry.observe)(undo, &slot.context)).await {
        Ok(Seen::Ours(_)) | Err(_) => true,
        Ok(Seen::Original | Seen::TargetGone | Seen::Foreign(_) | Seen::Claimed(_)) => false,
    }
}
