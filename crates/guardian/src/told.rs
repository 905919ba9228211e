//! What is told outside of a run whose runner cannot tell it any more: the cleanup into the run's trace, and what is left to its
//! webhook. Only ever after everything is undone and nothing of a target is held, for answers from outside are hostile.

use fracas_core::event::What;
use fracas_core::ids::RunId;
use fracas_core::problem::Problem;
use fracas_core::record::Certificate;
use fracas_telemetry::webhook::{self, Notice};
use fracas_telemetry::{Otlp, Outlets, Trace, otlp};

use crate::state::State;

/// A cleanup by somebody else than the runner.
#[derive(Debug)]
pub struct Cleanup {
    /// Of which run.
    pub run: RunId,
    /// Who did it: `guardian` or `recover`.
    pub by: &'static str,
    /// Why it was needed, in words.
    pub why: String,
    /// From when: nanoseconds since 1970.
    pub began: u64,
    /// Until when.
    pub ended: u64,
    /// What is left.
    pub certificate: Certificate,
}

/// The time of people, as nanoseconds since 1970.
pub fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default()
}

/// Tells of a cleanup where the run's settings say. Gives what could not be told; it takes half a minute at most.
pub async fn tell(state: &State, cleanup: &Cleanup) -> Vec<Box<Problem>> {
    let run = &cleanup.run;
    let mut problems = Vec::new();
    let outlets = match state.outlets(run) {
        Ok(Some(outlets)) => outlets,
        Ok(None) => return problems,
        Err(problem) => return vec![problem],
    };
    let traced = async {
        match &outlets.otlp {
            Some(otlp) => trace(state, otlp, outlets.told, cleanup).await,
            None => None,
        }
    };
    let hooked = async {
        let time = jiff::Timestamp::now().to_string();
        let notice = Notice::of_cleanup(run, cleanup.by, &cleanup.why, time, &cleanup.certificate)?;
        webhook::tell(outlets.webhook.as_ref()?, &notice).await
    };
    let (traced, hooked) = tokio::join!(traced, hooked);
    problems.extend(traced);
    problems.extend(hooked);
    let rest = Outlets { told: true, ..outlets };
    // What is left will be cleaned up by somebody else, who tells it, too.
    let kept = (!cleanup.certificate.is_clean()).then_some(&rest);
    problems.extend(state.keep_outlets(run, kept).err());
    problems
}

/// Sends the spans of the cleanup, and ends those that the runner could not: a fold of the events that it has left.
async fn trace(state: &State, otlp: &Otlp, told: bool, cleanup: &Cleanup) -> Option<Box<Problem>> {
    let mut trace = Trace::default();
    if let Ok(directory) = state.report_directory(&cleanup.run) {
        // Without its events, what the ledger knows must do.
        let _lines = fracas_report::read_events(&directory.join("events.ndjson"), |event| {
            if !matches!(event.what, What::RunEnded { .. }) {
                // What has ended was sent by the runner.
                drop(trace.apply(&event));
            }
        });
    }
    if trace.run() != Some(&cleanup.run) {
        trace = Trace::of(&cleanup.run, cleanup.began);
    }
    let by = format!("{}: {}", cleanup.by, cleanup.why);
    let mut spans = trace.cleaned(&by, cleanup.began, cleanup.ended, &cleanup.certificate);
    if told {
        // The runner has ended its own spans; these it could not know.
        spans.retain(|span| matches!(span.name.as_str(), "cleanup" | "revert"));
    } else {
        spans.extend(trace.abandon(cleanup.ended, &cleanup.why));
    }
    otlp::export(otlp, spans).await.problem(otlp)
}
