//! When each step of an orchestration is on, as it is planned: none is skipped, none is tried again, and hooks take no time.

use std::time::Duration;

use super::{ChaosConfig, Orchestration, Unresolved};

/// For steps beside each other of which none says how long it is.
const UNSAID: Duration = Duration::from_mins(10);

/// The times of one iteration, and how many there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    slots: Vec<Slot>,
    /// Of all iterations.
    total: Duration,
    /// How many there are.
    iterations: Option<u32>,
    /// How long they may take, should they be late.
    bound: Option<Duration>,
}

/// The time of a step, from the beginning of an iteration on.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// When it begins.
    pub from: Duration,
    /// When it ends. Not behind its beginning: it is never on.
    pub to: Duration,
    /// What is done then.
    pub config: ChaosConfig,
}

impl Plan {
    /// The plan of an orchestration.
    ///
    /// # Errors
    /// If it is not known what one of its steps does.
    pub fn new(orchestration: &Orchestration) -> Result<Self, Unresolved> {
        let steps = &orchestration.steps;
        let longest = steps.iter().filter(|step| step.length() > 0.0);
        let longest = longest
            .map(|step| seconds(step.delay_before_seconds) + seconds(step.length()))
            .max();
        let mut end = Duration::ZERO;
        let mut slots = Vec::with_capacity(steps.len());
        for step in steps {
            let before = if orchestration.parallel { Duration::ZERO } else { end };
            let from = before + seconds(step.delay_before_seconds);
            let to = if step.length() > 0.0 {
                from + seconds(step.length())
            } else {
                longest.unwrap_or(UNSAID).max(from)
            };
            end = end.max(to);
            let config = step.config()?;
            slots.push(Slot { from, to, config });
        }
        let iterations = match (orchestration.loop_orchestration, orchestration.max_iterations) {
            (false, _) => Some(1),
            (true, 0) => None,
            (true, count) => Some(count),
        };
        let bound = orchestration.max_duration_seconds.map(seconds);
        let whole = iterations.map(|count| end.saturating_mul(count));
        let total = match (whole, bound) {
            (Some(whole), Some(bound)) => whole.min(bound),
            (Some(one), None) | (None, Some(one)) => one,
            // Such a document is refused; an end is there all the same.
            (None, None) => end,
        };
        Ok(Self {
            slots,
            total,
            iterations,
            bound,
        })
    }

    /// The steps' times.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// How long all iterations take together.
    pub fn total(&self) -> Duration {
        self.total
    }

    /// How long they may take, whatever is over by then. A machine that is busy begins and ends steps late.
    pub fn bound(&self) -> Option<Duration> {
        self.bound
    }

    /// How many iterations there are. `None`: until the time is over.
    pub fn iterations(&self) -> Option<u32> {
        self.iterations
    }
}

/// What no document has is none at all.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::{Scenario, Step};
    use super::*;

    fn step(delay: f64, duration: f64) -> Step {
        Step {
            delay_before_seconds: delay,
            duration_seconds: duration,
            ..Step::default()
        }
    }

    fn orchestration(steps: Vec<Step>) -> Orchestration {
        let document = serde_json::json!({ "name": "o", "steps": [] });
        Orchestration {
            steps,
            ..serde_json::from_value(document).unwrap()
        }
    }

    fn plan(orchestration: &Orchestration) -> Plan {
        Plan::new(orchestration).unwrap()
    }

    /// From when to when each step is on, in seconds.
    fn times(plan: &Plan) -> Vec<(u64, u64)> {
        let slots = plan.slots().iter();
        slots.map(|slot| (slot.from.as_secs(), slot.to.as_secs())).collect()
    }

    #[test]
    fn steps_follow_one_another_after_their_delays() {
        let plan = plan(&orchestration(vec![step(0.0, 30.0), step(5.0, 60.0)]));
        assert_eq!(plan.total(), Duration::from_secs(95));
        assert_eq!(times(&plan), [(0, 30), (35, 95)]);
    }

    #[test]
    fn a_scenario_says_how_long_it_is_if_its_step_does_not() {
        let scenario = Scenario {
            duration_seconds: 7.0,
            ..Scenario::default()
        };
        let steps = [0.0, 3.0].map(|seconds| Step {
            scenario: Some(scenario.clone()),
            ..step(0.0, seconds)
        });
        assert_eq!(plan(&orchestration(steps.to_vec())).total(), Duration::from_secs(10));
    }

    #[test]
    fn steps_beside_each_other_are_on_together() {
        let parallel = Orchestration {
            parallel: true,
            ..orchestration(vec![step(0.0, 60.0), step(10.0, 20.0), step(0.0, 0.0)])
        };
        let plan = plan(&parallel);
        assert_eq!(plan.total(), Duration::from_mins(1));
        assert_eq!(times(&plan), [(0, 60), (10, 30), (0, 60)]);
        let unsaid = Orchestration {
            parallel: true,
            ..orchestration(vec![step(0.0, 0.0), step(0.0, 0.0)])
        };
        assert_eq!(self::plan(&unsaid).total(), UNSAID);
    }

    #[test]
    fn iterations_follow_until_their_number_or_the_time_is_over() {
        let mut looped = orchestration(vec![step(1.0, 9.0)]);
        looped.loop_orchestration = true;
        looped.max_iterations = 3;
        let three = plan(&looped);
        assert_eq!((three.total(), three.iterations()), (Duration::from_secs(30), Some(3)));
        looped.max_duration_seconds = Some(15.0);
        assert_eq!(plan(&looped).total(), Duration::from_secs(15));
        looped.max_iterations = 0;
        assert_eq!(plan(&looped).iterations(), None);
        assert_eq!(plan(&looped).total(), Duration::from_secs(15));
        looped.loop_orchestration = false;
        assert_eq!(plan(&looped).total(), Duration::from_secs(10));
    }

    #[test]
    fn the_longest_that_can_be_written_has_times() {
        let month = 2_592_000.0;
        let mut longest = orchestration(vec![step(month, month); 1000]);
        longest.loop_orchestration = true;
        longest.max_iterations = u32::MAX;
        let plan = plan(&longest);
        assert_eq!(plan.total(), Duration::MAX);
    }
}
