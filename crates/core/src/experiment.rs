//! An experiment: what both kinds of document say, in one form. The documents themselves are in `fracas-spec`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::params::Inject;
use crate::probe::Probe;
use crate::seed::Seed;
use crate::units::{Percent, Span};

/// Everything that a run is asked to do. Complete: every default is filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Experiment {
    /// The document it came from.
    pub format: Format,
    /// The name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whose it is: `owner` of an experiment, `author` of a `ChaosScenario`.
    pub owner: Option<String>,
    /// The document's own version.
    pub version: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// The root of every random choice; drawn by the runner where the document has none.
    pub seed: Option<Seed>,
    /// Time between two readings of each probe.
    pub interval: Span,
    /// How long the baseline must hold before anything is injected.
    pub warmup: Span,
    /// What counts as recovered.
    pub recovery: Recovery,
    /// The measurements.
    pub probes: Vec<Probe>,
    /// The targets, by alias.
    pub targets: Vec<TargetSpec>,
    /// What must be there before anything begins.
    pub preconditions: Vec<Precondition>,
    /// The faults.
    pub faults: Vec<FaultSpec>,
    /// How the faults follow each other.
    pub execution: Execution,
    /// What a failed apply on one target means for the rest.
    pub on_target_failure: OnTargetFailure,
    /// From the first injection to the rollback, without the cooldown.
    pub duration: Span,
    /// How long after `duration` the faults still stay: the cooldown of a `ChaosScenario`. Zero in native experiments.
    pub cooldown: Span,
    /// After so long from the first injection everything is rolled back, whatever else.
    pub max_duration: Span,
    /// PromQL whose values are recorded at every interval, without a judgement.
    pub metrics: Vec<String>,
}

/// Which document an experiment came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `apiVersion: fracas.dev/v1`.
    Native,
    /// `kind: ChaosScenario`: also writes seed 0's report file and summary.
    ChaosScenario,
}

/// When a system counts as recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// How long it may take. Default 60s.
    #[serde(default = "minute")]
    pub within: Span,
    /// How long the expectations must hold without a break. Default 15s.
    #[serde(default = "fifteen_seconds")]
    pub stable_for: Span,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            within: minute(),
            stable_for: fifteen_seconds(),
        }
    }
}

fn minute() -> Span {
    Span::secs(60)
}
fn fifteen_seconds() -> Span {
    Span::secs(15)
}

/// Targets under one alias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetSpec {
    /// The name that faults use.
    pub alias: String,
    /// What matches.
    pub selector: Selector,
    /// How many of them at most.
    pub blast_radius: BlastRadius,
}

/// What a target must be. All parts that are given must match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Selector {
    /// Running containers.
    Container(ContainerSelector),
    /// Processes of this machine.
    Process(ProcessSelector),
}

/// Which running containers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ContainerSelector {
    /// On the name.
    pub name: Option<Pattern>,
    /// Labels that must be there with these values; an empty value asks only for the key.
    pub labels: BTreeMap<String, String>,
    /// The id, or the beginning of it, at least 4 characters.
    pub id: Option<String>,
    /// The image as the container was made from; without a tag, any tag.
    pub image: Option<String>,
    /// The service of a compose project.
    pub compose_service: Option<String>,
}

/// How a text must match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// A regular expression that must match the whole text.
    Whole(String),
    /// A regular expression that may match anywhere.
    Anywhere(String),
    /// A text that must be contained.
    Contains(String),
}

/// Which processes of this machine.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ProcessSelector {
    /// Regular expression for the whole name of the program (`/proc/PID/comm`).
    pub name: Option<String>,
    /// Regular expression for the whole command line, arguments separated by spaces.
    pub command: Option<String>,
    /// A file that holds the pid.
    pub pid_file: Option<String>,
    /// A control group: its path below the mount point, e.g. `/system.slice/nginx.service`; processes in groups below count.
    pub cgroup: Option<String>,
    /// A unit of systemd, e.g. `nginx.service`.
    pub systemd_unit: Option<String>,
    /// A TCP port on which the process listens.
    pub port: Option<u16>,
}

/// How many of the candidates may be broken: max(`at_least`, floor(`percent` of candidates)), then at most `at_most`, then at most
/// candidates minus `leave_healthy`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlastRadius {
    /// Share of the candidates, up to 100. Default 100%.
    #[serde(default = "all")]
    pub percent: Percent,
    /// Never fewer, where there are so many. Default 1.
    #[serde(default = "one")]
    pub at_least: u32,
    /// Never more; 0 is no bound. Default 0. A `ChaosScenario`'s `count`.
    #[serde(default)]
    pub at_most: u32,
    /// So many candidates stay untouched. Default 0.
    #[serde(default)]
    pub leave_healthy: u32,
}

impl Default for BlastRadius {
    fn default() -> Self {
        Self {
            percent: all(),
            at_least: 1,
            at_most: 0,
            leave_healthy: 0,
        }
    }
}

fn all() -> Percent {
    Percent(100.0)
}
fn one() -> u32 {
    1
}

impl BlastRadius {
    /// How many of so many candidates are taken, and the sum as a person would write it.
    pub fn of(&self, candidates: usize) -> (usize, String) {
        let share = (self.percent.fraction() * candidates as f64).floor() as usize;
        let mut taken = share.max(self.at_least as usize);
        let mut sum = format!(
            "max(at_least {}, {} of {candidates} = {share})",
            self.at_least, self.percent
        );
        if self.at_most > 0 {
            taken = taken.min(self.at_most as usize);
            sum = format!("min({sum}, at_most {})", self.at_most);
        }
        let spare = candidates.saturating_sub(self.leave_healthy as usize);
        taken = taken.min(spare);
        (
            taken,
            format!(
                "min({sum}, {candidates} - leave_healthy {} = {spare}) = {taken}",
                self.leave_healthy
            ),
        )
    }
}

/// Containers that must run before anything begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Precondition {
    /// On the container's name.
    pub pattern: Pattern,
    /// How many at least.
    pub at_least: u32,
}

/// One fault of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultSpec {
    /// Its name; a `ChaosScenario`'s `phase`. Unique within the experiment.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The alias of its targets.
    pub target: String,
    /// The fault and its parameters.
    pub inject: Inject,
    /// The fault in the document's own words, where these are not those of Fracas: a `ChaosScenario`'s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Written>,
    /// When, after the first injection could begin.
    pub start: Span,
    /// How long; until the rollback where there is none.
    pub duration: Option<Span>,
    /// Whether it is the next of a series, as ramps and pulses are: it begins at its `start`, and never before the fault that stands
    /// before it in the list is over and undone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follows: bool,
    /// Agrees to a fault that has no way back.
    pub allow_irreversible: bool,
}

/// A fault as the document names it: whoever wrote the document looks for these words in the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Written {
    /// The type, by the alias that was used: `memory_pressure`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The parameters as they were given, without defaults.
    pub parameters: serde_json::Value,
}

/// How faults follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Execution {
    /// Each at its own start.
    #[default]
    Parallel,
    /// The next begins when the one before is clean, its own start counted from there.
    Sequential,
}

/// What a failed apply on one target means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnTargetFailure {
    /// Everything is rolled back and the verdict is ERROR.
    #[default]
    Rollback,
    /// The other targets go on; the verdict is INCONCLUSIVE at best.
    Continue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blast_radius_is_a_share_between_two_bounds() {
        let radius = |percent, at_least, at_most, leave_healthy| BlastRadius {
            percent: Percent(percent),
            at_least,
            at_most,
            leave_healthy,
        };
        for (radius, candidates, taken) in [
            (radius(50.0, 1, 0, 1), 5, 2),
            (radius(50.0, 1, 0, 1), 1, 0),
            (radius(50.0, 1, 0, 0), 1, 1),
            (radius(100.0, 1, 0, 0), 6, 6),
            (radius(100.0, 1, 2, 0), 6, 2),
            (radius(10.0, 3, 0, 0), 2, 2),
            (radius(0.0, 0, 0, 0), 9, 0),
        ] {
            assert_eq!(radius.of(candidates).0, taken, "{radius:?} of {candidates}");
        }
        assert_eq!(
            radius(50.0, 1, 0, 1).of(5).1,
            "min(max(at_least 1, 50% of 5 = 2), 5 - leave_healthy 1 = 4) = 2"
        );
    }
}
