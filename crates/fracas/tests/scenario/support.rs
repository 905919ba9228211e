//! Real parts for the tests: containers that serve, a Prometheus that scrapes them, and the program itself.

mod prometheus;
mod raw;
mod run;
mod services;

use std::time::Duration;

pub(crate) use prometheus::Prometheus;
pub(crate) use raw::{Settings, get_from, inspect, limit_file, memory_limit, shown_limit};
pub(crate) use run::{Bench, Done, at};
pub(crate) use services::{Services, set_value};

/// The longest that a test waits for something that should be there soon.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// The limit that the faults of these tests set.
pub(crate) const HALF_A_GIB: u64 = 536_870_912;

/// A scenario that limits the memory of every container whose name contains `pattern`. `spec` and `fault` are more lines of the
/// spec and of its fault; `criteria` are the items of `success_criteria`, indented by four.
pub(crate) fn scenario(pattern: &str, spec: &str, fault: &str, criteria: &str) -> String {
    let criteria = if criteria.is_empty() {
        String::new()
    } else {
        format!("  success_criteria:\n{criteria}\n")
    };
    format!(
        "apiVersion: chaos.polygon.io/v1
kind: ChaosScenario
metadata: {{ name: scenario }}
spec:
  targets:
    - alias: victim
      selector: {{ type: docker_container, pattern: \"{pattern}\" }}
  interval: 200ms
  warmup: 400ms
  cooldown: 200ms
  {spec}
  faults:
    - phase: limit
      target: victim
      type: memory_pressure
      params: {{ memory_mb: 512 }}
      {fault}
{criteria}"
    )
}

/// An experiment that limits the memory of every container whose whole name `pattern` matches. `top` are more lines at the top,
/// `target` of the target, `probes` the items of `hypothesis.probes`, indented by four.
pub(crate) fn experiment(pattern: &str, top: &str, target: &str, probes: &str) -> String {
    let probes = if probes.is_empty() {
        String::new()
    } else {
        format!("  probes:\n{probes}\n")
    };
    format!(
        "apiVersion: fracas.dev/v1
kind: Experiment
metadata: {{ name: experiment }}
{top}
hypothesis:
  interval: 500ms
  warmup: 1s
  recovery: {{ within: 20s, stable_for: 1s }}
{probes}
targets:
  - alias: victim
    container: {{ name: \"{pattern}\" }}
    {target}
faults:
  - name: limit
    target: victim
    inject: {{ memory_limit: {{ limit: 512MiB }} }}
"
    )
}
