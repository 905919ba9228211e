//! An orchestration, as it is seen in passing.

use super::run::Run;

/// How an orchestration is that runs, or ran last.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// Its name.
    pub name: String,
    /// `running`, `completed`, `stopped` or `failed`.
    pub state: &'static str,
    /// How much of it is over by time, from 0 to 1.
    pub progress: f64,
    /// The names of the steps that are on.
    pub steps: Vec<String>,
}

impl Running {
    pub(super) fn of(run: &Run) -> Self {
        let ended = run.ended.as_ref();
        let steps = run.orchestration.steps.iter().zip(&run.steps);
        Self {
            name: run.orchestration.name.clone(),
            state: ended.map_or("running", |ended| ended.how.name()),
            progress: ended.map_or_else(|| run.progress(), |ended| ended.progress),
            steps: steps
                .filter(|(_, record)| record.is_running())
                .map(|(step, _)| step.name.clone())
                .collect(),
        }
    }
}
