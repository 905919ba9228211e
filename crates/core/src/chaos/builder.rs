//! Orchestrations in Rust, step by step. The names are those of seed 3.

use super::{ChaosConfig, Orchestration, Scenario, Step};

impl Orchestration {
    /// One without steps, which begins with none until one is added.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            max_iterations: 1,
            ..Self::default()
        }
    }

    /// Says what it is for.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Adds a word by which it is found.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Adds a step behind those that it has.
    #[must_use]
    pub fn add_step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// All steps begin at once.
    #[must_use]
    pub fn with_parallel_execution(mut self) -> Self {
        self.parallel = true;
        self
    }

    /// It runs so often, the first time included. 0: until its `max_duration_seconds` are over.
    #[must_use]
    pub fn with_loop(mut self, iterations: u32) -> Self {
        self.loop_orchestration = true;
        self.max_iterations = iterations;
        self
    }

    /// It ends after so many seconds, wherever it is then.
    #[must_use]
    pub fn with_max_duration(mut self, seconds: impl Into<f64>) -> Self {
        self.max_duration_seconds = Some(seconds.into());
        self
    }
}

impl Step {
    /// One that does this for as long as the scenario says.
    #[must_use]
    pub fn new(name: impl Into<String>, scenario: Scenario) -> Self {
        Self {
            name: name.into(),
            scenario: Some(scenario),
            ..Self::default()
        }
    }

    /// It is on for so many seconds.
    #[must_use]
    pub fn with_duration(mut self, seconds: impl Into<f64>) -> Self {
        self.duration_seconds = seconds.into();
        self
    }

    /// So many seconds pass before it begins.
    #[must_use]
    pub fn with_delay_before(mut self, seconds: impl Into<f64>) -> Self {
        self.delay_before_seconds = seconds.into();
        self
    }

    /// The orchestration goes on although this step fails.
    #[must_use]
    pub fn continue_on_failure(mut self) -> Self {
        self.continue_on_failure = true;
        self
    }
}

impl Scenario {
    /// One with a configuration of its own, by any name.
    #[must_use]
    pub fn new(name: impl Into<String>, config: &ChaosConfig) -> Self {
        Self {
            // A configuration always has a JSON form: its keys are texts.
            config: serde_json::to_value(config).ok(),
            ..Self::named(name)
        }
    }

    /// The one that has this name: see [`PREDEFINED`](super::PREDEFINED).
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..Self::default()
        }
    }
}
