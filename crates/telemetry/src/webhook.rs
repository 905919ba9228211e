//! The webhook: one POST with a JSON body when a run was aborted, or when something of it is left.
//!
//! ```json
//! {
//!   "event": "residue",
//!   "run": "20261121-100000-beef",
//!   "experiment": "checkout-survives-a-small-cache",
//!   "verdict": "RESIDUE",
//!   "reason": "something is left of 1 injection",
//!   "time": "2026-11-21T10:01:12Z",
//!   "told_by": "runner",
//!   "residue": [{
//!     "injection": 0, "fault": "memory_limit", "target": "web-1",
//!     "undo": "refused: EBUSY", "seen": "the limit is 64MiB", "manual": ["…"]
//!   }]
//! }
//! ```
//!
//! It has five seconds; without an answer, or after 429, 502, 503 or 504, it is sent once more a second later. So a server may get one
//! twice: `run`, `event` and `told_by` are then the same.

use fracas_core::event::{Event, Verdict, What};
use fracas_core::ids::{InjectionId, RunId};
use fracas_core::problem::{Problem, codes};
use fracas_core::record::Certificate;
use reqwest::header::HeaderMap;
use serde::Serialize;

use crate::outlets::Hook;
use crate::peer::Peer;

/// The body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// `aborted`, or `residue` if something is left.
    pub event: &'static str,
    /// The run.
    pub run: RunId,
    /// The experiment's name; `null` where only the ledger is known.
    pub experiment: Option<String>,
    /// The verdict in capitals; `null` where the runner died before it had one.
    pub verdict: Option<&'static str>,
    /// Why, in a sentence.
    pub reason: String,
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// `runner`, `guardian` or `recover`.
    pub told_by: &'static str,
    /// What is left.
    pub residue: Vec<Left>,
}

/// Something that is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The injection's number.
    pub injection: InjectionId,
    /// The fault's type.
    pub fault: String,
    /// The target's identity.
    pub target: String,
    /// What the undo did, or why it could not.
    pub undo: String,
    /// What is seen in the system.
    pub seen: String,
    /// What a person can do by hand: exact commands.
    pub manual: Vec<String>,
}

impl Notice {
    /// Somebody else than the runner cleaned up, at this time. `None` if nothing is left: then there is nothing to do for anybody.
    pub fn of_cleanup(
        run: &RunId,
        told_by: &'static str,
        reason: &str,
        time: String,
        certificate: &Certificate,
    ) -> Option<Self> {
        let residue = left(certificate);
        (!residue.is_empty()).then(|| Self {
            event: "residue",
            run: run.clone(),
            experiment: None,
            verdict: None,
            reason: reason.to_owned(),
            time,
            told_by,
            residue,
        })
    }
}

fn left(certificate: &Certificate) -> Vec<Left> {
    let open = certificate.lines.iter().filter(|line| !line.state.is_over());
    open.map(|line| Left {
        injection: line.injection,
        fault: line.fault.clone(),
        target: line.target.clone(),
        undo: line.undo.clone(),
        seen: line.seen.clone(),
        manual: line.manual.clone(),
    })
    .collect()
}

/// A run, as far as its notice needs it: a fold of its events.
#[derive(Debug, Default)]
pub struct Notices {
    run: Option<(RunId, String)>,
    certificate: Option<Certificate>,
}

impl Notices {
    /// Takes an event. Gives the notice once the run is over, if there is anything to be told: it was aborted after its certificate
    /// was made, or something is left. A dry run tells nobody.
    pub fn apply(&mut self, event: &Event) -> Option<Notice> {
        match &event.what {
            What::RunStarted {
                run,
                experiment,
                dry_run: false,
                ..
            } => self.run = Some((run.clone(), experiment.name.clone())),
            What::Certified { certificate } => self.certificate = Some(certificate.clone()),
            What::RunEnded { verdict, why, .. } => {
                let (run, experiment) = self.run.take()?;
                let residue = left(self.certificate.as_ref()?);
                let event_name = match (verdict, residue.is_empty()) {
                    (_, false) | (Verdict::Residue, true) => "residue",
                    (Verdict::Aborted, true) => "aborted",
                    _ => return None,
                };
                return Some(Notice {
                    event: event_name,
                    run,
                    experiment: Some(experiment),
                    verdict: Some(verdict.word()),
                    reason: why.clone(),
                    time: event.at.clone(),
                    told_by: "runner",
                    residue,
                });
            }
            _ => {}
        }
        None
    }
}

/// Tells it, within twelve seconds. Gives why it could not be told.
pub async fn tell(hook: &Hook, notice: &Notice) -> Option<Box<Problem>> {
    let body = serde_json::to_vec(notice).unwrap_or_default();
    let told = match hook.url().and_then(|url| Peer::new(url, HeaderMap::new())) {
        Ok(peer) => peer.post("application/json", body).await.map(drop),
        Err(why) => Err(why),
    };
    let why = told.err()?;
    let what = format!(
        "the webhook at {} did not take the notice of run {}",
        hook.shown(),
        notice.run
    );
    Some(Problem::new(&codes::NOT_TOLD, what).since(why))
}

#[cfg(test)]
mod tests {
    use fracas_core::record::State;

    use super::*;
    use crate::story::{Story, certified, run};

    fn told(certificate: Option<State>, verdict: Verdict) -> Option<Notice> {
        let mut story = Story::begin();
        if let Some(state) = certificate {
            let lines = vec![certified(0, state, 1)];
            story.at(
                5,
                What::Certified {
                    certificate: Certificate { lines },
                },
            );
        }
        story.ended(10, verdict);
        let mut notices = Notices::default();
        let mut told: Vec<_> = story.events().iter().filter_map(|event| notices.apply(event)).collect();
        assert!(told.len() <= 1);
        told.pop()
    }

    #[test]
    fn aborts_and_residue_are_told_and_nothing_else() {
        let clean = Some(State::Clean);
        for verdict in [Verdict::Passed, Verdict::Failed, Verdict::Inconclusive, Verdict::Error] {
            assert_eq!(told(clean, verdict), None, "{verdict:?}");
        }
        assert_eq!(told(clean, Verdict::Aborted).unwrap().event, "aborted");
        // Nobody agreed: there never was a certificate.
        assert_eq!(told(None, Verdict::Aborted), None);
        let notice = told(Some(State::Residue), Verdict::Residue).unwrap();
        assert_eq!(
            (notice.event, notice.verdict, notice.told_by),
            ("residue", Some("RESIDUE"), "runner")
        );
        assert_eq!(notice.residue[0].manual, ["echo 1 > limit"]);
    }

    #[test]
    fn the_body_is_what_is_documented() {
        let notice = told(Some(State::Residue), Verdict::Residue).unwrap();
        let body = serde_json::to_value(&notice).unwrap();
        let expected = serde_json::json!({
            "event": "residue",
            "run": "20261121-100000-beef",
            "experiment": "little-memory",
            "verdict": "RESIDUE",
            "reason": "because",
            "time": "2026-11-21T10:00:00Z",
            "told_by": "runner",
            "residue": [{
                "injection": 0, "fault": "memory_limit", "target": "web-1",
                "undo": "refused: EBUSY", "seen": "the limit is 64MiB", "manual": ["echo 1 > limit"]
            }]
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn a_cleanup_that_left_nothing_is_not_told() {
        let of = |state| {
            let lines = vec![certified(0, state, 1)];
            Notice::of_cleanup(
                &run(),
                "guardian",
                "the runner died",
                String::new(),
                &Certificate { lines },
            )
        };
        assert_eq!(of(State::Clean), None);
        assert_eq!(of(State::Residue).unwrap().verdict, None);
    }
}
