//! When each step of an orchestration is on. Nothing here waits: whoever carries a plan out asks what is on at a time.

use std::time::Duration;

use super::orchestration::together;
use super::{ChaosConfig, Orchestration, Unresolved};

/// For steps beside each other of which none says how long it is.
const UNSAID: Duration = Duration::from_mins(10);

/// The times of one iteration, and how many there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    slots: Vec<Slot>,
    /// Of one iteration.
    length: Duration,
    /// Of all of them.
    total: Duration,
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
    config: ChaosConfig,
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
            length: end,
            total,
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

    /// In which iteration a time is, from 0 on, and how long that has gone on.
    pub fn within(&self, at: Duration) -> (u32, Duration) {
        if self.length.is_zero() {
            return (0, at);
        }
        let iteration = at.as_nanos() / self.length.as_nanos();
        let rest = at.as_nanos() % self.length.as_nanos();
        (
            u32::try_from(iteration).unwrap_or(u32::MAX),
            Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX)),
        )
    }

    /// What is done to traffic so long after the beginning of an iteration.
    pub fn config(&self, within: Duration) -> ChaosConfig {
        let on = self.slots.iter().filter(|slot| slot.is_on(within));
        together(on.map(|slot| &slot.config))
    }

    /// When something begins or ends next, so long after the beginning of all; `None`: the end of all comes before.
    pub fn next(&self, at: Duration) -> Option<Duration> {
        let (_, within) = self.within(at);
        let begun = at.saturating_sub(within);
        let ends = self.slots.iter().flat_map(|slot| [slot.from, slot.to]);
        let next = ends.chain([self.length]).filter(|end| *end > within).min()?;
        Some(begun + next).filter(|next| *next < self.total)
    }
}

impl Slot {
    /// Whether the step is on so long after the beginning of an iteration.
    pub fn is_on(&self, within: Duration) -> bool {
        (self.from..self.to).contains(&within)
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

    /// A plan in which step n limits to n requests in a second.
    fn plan(orchestration: &Orchestration) -> Plan {
        let mut orchestration = orchestration.clone();
        for (index, step) in orchestration.steps.iter_mut().enumerate() {
            let config = serde_json::json!({ "rate_limit": { "requests_per_second": index + 1 } });
            step.scenario = Some(Scenario {
                config: Some(config),
                ..step.scenario.clone().unwrap_or_default()
            });
        }
        Plan::new(&orchestration).unwrap()
    }

    /// The limit that is on, or 0.
    fn on(plan: &Plan, at: u64) -> u32 {
        let (_, within) = plan.within(Duration::from_secs(at));
        let limit = plan.config(within).rate_limit;
        limit.map_or(0, |limit| limit.requests_per_second)
    }

    fn changes(plan: &Plan) -> Vec<u64> {
        let mut all = Vec::new();
        let mut at = Duration::ZERO;
        while let Some(next) = plan.next(at) {
            all.push(next.as_secs());
            at = next;
        }
        all
    }

    #[test]
    fn steps_follow_one_another_after_their_delays() {
        let plan = plan(&orchestration(vec![step(0.0, 30.0), step(5.0, 60.0)]));
        assert_eq!(plan.total(), Duration::from_secs(95));
        assert_eq!([0, 29, 30, 34, 35, 94].map(|at| on(&plan, at)), [1, 1, 0, 0, 2, 2]);
        assert_eq!(changes(&plan), [30, 35]);
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
        // The third says the same as the others, and is the last.
        assert_eq!([0, 10, 59].map(|at| on(&plan, at)), [3, 3, 3]);
        assert_eq!(changes(&plan), [10, 30]);
        let unsaid = Orchestration {
            parallel: true,
            ..orchestration(vec![step(0.0, 0.0), step(0.0, 0.0)])
        };
        assert_eq!(super::tests::plan(&unsaid).total(), UNSAID);
    }

    #[test]
    fn iterations_follow_until_their_number_or_the_time_is_over() {
        let mut looped = orchestration(vec![step(1.0, 9.0)]);
        looped.loop_orchestration = true;
        looped.max_iterations = 3;
        let three = plan(&looped);
        assert_eq!(three.total(), Duration::from_secs(30));
        assert_eq!(changes(&three), [1, 10, 11, 20, 21]);
        assert_eq!(three.within(Duration::from_secs(21)), (2, Duration::from_secs(1)));
        looped.max_duration_seconds = Some(15.0);
        assert_eq!(changes(&plan(&looped)), [1, 10, 11]);
        looped.max_iterations = 0;
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
        let second = Duration::from_secs_f64(2000.0 * month);
        assert_eq!(plan.within(second), (1, Duration::ZERO));
        assert_eq!(plan.next(second), Some(second + Duration::from_secs_f64(month)));
    }
}
