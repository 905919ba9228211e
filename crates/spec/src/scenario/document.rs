//! What stands in a `ChaosScenario`. The comments are its reference: they become the schema's descriptions.

use std::collections::BTreeMap;

use fracas_core::experiment::Execution;
use fracas_core::params::{Garbage, Signal};
use fracas_core::probe::Expect;
use fracas_core::units::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::types;
use crate::lenient::{Number, Seconds, Whole};

/// A scenario of seed 0: containers, faults on them, and criteria of success. A document may also consist of `spec` alone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// `chaos.polygon.io/v1` or `chaos/v1`; others are read with a warning.
    #[serde(rename = "apiVersion")]
    #[expect(dead_code, reason = "read from the tree, with its position")]
    pub(crate) api_version: Option<String>,
    /// `ChaosScenario`; others are read with a warning.
    #[expect(dead_code, reason = "read from the tree, with its position")]
    pub(crate) kind: Option<String>,
    /// What the scenario is called, and whose it is.
    pub(crate) metadata: Option<Metadata>,
    /// What is done.
    pub(crate) spec: Spec,
}

/// What the scenario is called, and whose it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metadata {
    /// The name: small letters, digits and `-`.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// Words to find it by.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// Whose it is.
    pub(crate) author: Option<String>,
    /// The document's own version.
    pub(crate) version: Option<String>,
    /// Further reading. Accepted with a warning: nothing is done with it.
    #[serde(default)]
    #[expect(dead_code, reason = "nothing is done with it, and a warning says so")]
    pub(crate) references: Vec<String>,
}

/// What is done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// Which containers may be broken.
    #[schemars(length(min = 1))]
    pub(crate) targets: Vec<Target>,
    /// How long the system is watched with the faults on.
    pub(crate) duration: Span,
    /// How long it is watched before. Default: the setting `execution.default_warmup` (2m).
    pub(crate) warmup: Option<Span>,
    /// How long the faults stay after `duration`. Default: the setting `execution.default_cooldown` (2m).
    pub(crate) cooldown: Option<Span>,
    /// Time between two readings of each criterion. An addition of Fracas. Default: the setting `prometheus.refresh_interval`
    /// (15s), but at most a quarter of `duration` and at least 100ms.
    pub(crate) interval: Option<Span>,
    /// How the containers are broken.
    #[schemars(length(min = 1))]
    pub(crate) faults: Vec<Fault>,
    /// What must hold.
    #[serde(default)]
    pub(crate) success_criteria: Vec<Criterion>,
    /// PromQL whose values are recorded at every interval, without a judgement.
    #[serde(default)]
    pub(crate) metrics: Vec<String>,
    /// How the faults follow each other. Default parallel: each after its own `delay`.
    #[serde(default)]
    pub(crate) execution_mode: Execution,
    /// What must be there before anything begins.
    pub(crate) preconditions: Option<Preconditions>,
}

/// Containers under one alias.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    /// The name that faults use; unique within the scenario.
    pub(crate) alias: String,
    /// Which running containers.
    pub(crate) selector: Selector,
    /// How many of them at most; 0 takes all. Default 0.
    #[serde(default)]
    pub(crate) count: u32,
}

/// Which running containers. All that is given must match.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Selector {
    /// `docker_container`: any. `kurtosis_service`: one with the label `com.kurtosistech.id`. Default `docker_container`.
    #[serde(default, rename = "type")]
    pub(crate) kind: SelectorKind,
    /// The enclave: the label `com.kurtosistech.enclave-name`.
    pub(crate) enclave: Option<String>,
    /// On the name, anywhere in it: a regular expression if it has one of `\[](){}^$+?.|`, else a text. `*` is all.
    pub(crate) pattern: Option<String>,
    /// Labels that must be there with these values; an empty value asks only for the key.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// The id, or its beginning: at least 4 characters.
    pub(crate) container_id: Option<String>,
    /// The service: the label `com.kurtosistech.id`.
    pub(crate) service_name: Option<String>,
}

/// What kind of container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SelectorKind {
    /// Any.
    #[default]
    DockerContainer,
    /// A service of Kurtosis.
    KurtosisService,
}

/// One fault on the containers of one alias.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = types::add_rules)]
pub(crate) struct Fault {
    /// Its name; unique within the scenario.
    pub(crate) phase: String,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// The alias of its targets.
    pub(crate) target: String,
    /// The fault's type.
    #[serde(rename = "type")]
    pub(crate) kind: FaultType,
    /// Its parameters, at least one. Which there are depends on the type.
    #[schemars(extend("minProperties" = 1))]
    pub(crate) params: Map<String, Value>,
    /// When, counted from the first injection; with `execution_mode: sequential` from the end of the fault before. Default 0s.
    #[serde(default)]
    pub(crate) delay: Span,
    /// How long. Default: until the end of the cooldown.
    pub(crate) duration: Option<Span>,
    /// Spares the chain's block producer. Not supported: a fault with it is left out with `--skip-unsupported`. Default false.
    #[serde(default)]
    pub(crate) exclude_producer: bool,
}

/// The type of a fault, by any of its names.
#[derive(Debug, Deserialize)]
pub(crate) struct FaultType(pub(crate) String);

impl JsonSchema for FaultType {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FaultType".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = types::ALL.iter().map(|known| known.name).collect();
        json_schema!({ "description": "The type of a fault.", "type": "string", "enum": names })
    }
}

/// Parameters of `memory_pressure`, `memory_stress` and `memory`: a limit on the container's memory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct MemoryParams {
    /// The limit in MiB. Default 512.
    #[serde(default = "half_a_gibibyte")]
    pub(crate) memory_mb: Number,
    /// `limit`. Others are read with a warning, and are a limit too. Default `limit`.
    #[serde(default = "limit")]
    pub(crate) method: String,
}

fn half_a_gibibyte() -> Number {
    Number(512.0)
}
fn limit() -> String {
    "limit".to_owned()
}

/// Parameters of `cpu_stress` and `cpu`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct CpuParams {
    /// `stress` burns CPU time in the container; `limit`, and anything else with a warning, limits it. Default `stress`.
    #[serde(default = "stress")]
    pub(crate) method: String,
    /// Per cent of one CPU, for each of `cores`. Default 50.
    #[serde(default = "fifty")]
    pub(crate) cpu_percent: Number,
    /// How many CPUs. Default 1.
    #[serde(default = "one")]
    pub(crate) cores: Whole,
}

fn stress() -> String {
    "stress".to_owned()
}
fn fifty() -> Number {
    Number(50.0)
}
fn one() -> Whole {
    Whole(1)
}

/// Parameters of `container_restart`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct RestartParams {
    /// How long the container may take to end by itself before it is killed; at most 60 s. Default 10 s.
    #[serde(default = "ten_seconds")]
    pub(crate) grace_period: Seconds,
    /// How long it stays down. Default 0.
    #[serde(default = "no_time")]
    pub(crate) restart_delay: Seconds,
    /// Time between the restarts of two containers; 0 takes all at once. Default 0.
    #[serde(default = "no_time")]
    pub(crate) stagger: Seconds,
}

fn ten_seconds() -> Seconds {
    Seconds(Span::secs(10))
}
fn no_time() -> Seconds {
    Seconds(Span::default())
}

/// Parameters of `container_kill`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct KillParams {
    /// The signal. Default SIGKILL.
    #[serde(default)]
    pub(crate) signal: Signal,
    /// Whether the container is started again. `false` has no way back. Default true.
    #[serde(default = "yes")]
    pub(crate) restart: bool,
    /// How long it stays down at least before it is started. Default 0.
    #[serde(default = "no_time")]
    pub(crate) restart_delay: Seconds,
}

fn yes() -> bool {
    true
}

/// Parameters of `container_pause`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct PauseParams {
    /// How long; the fault's own `duration` wins. Default: until the end of the cooldown.
    pub(crate) duration: Option<Seconds>,
    /// Always true: Fracas leaves nothing paused. Default true.
    #[serde(default = "yes")]
    pub(crate) unpause: bool,
}

/// Parameters of `process_kill`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct ProcessKillParams {
    /// On the command line, anywhere in it: a regular expression if it has one of `\[](){}^$+?.|`, else a text. Default: the
    /// container's first process.
    pub(crate) process_pattern: Option<String>,
    /// The signal. Default SIGKILL.
    #[serde(default)]
    pub(crate) signal: Signal,
    /// Also the descendants. Default false.
    #[serde(default)]
    pub(crate) kill_children: bool,
    /// How often in all. Default 1.
    #[serde(default = "one")]
    pub(crate) count: Whole,
    /// Time between two kills. Default 1 s.
    #[serde(default = "second")]
    pub(crate) interval: Seconds,
}

fn second() -> Seconds {
    Seconds(Span::secs(1))
}

/// What must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the keys are seed 0's")]
pub(crate) struct Criterion {
    /// Its name; unique within the scenario.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// Where the measurement comes from.
    #[serde(rename = "type")]
    pub(crate) kind: CriterionKind,
    /// Whether a failure changes the verdict. Default false.
    #[serde(default)]
    pub(crate) critical: bool,
    /// Judged only after the faults are gone. Default false.
    #[serde(default)]
    pub(crate) post_fault_only: bool,
    /// Judged over every reading while the faults are on, and not before. Default false.
    #[serde(default)]
    pub(crate) during_fault: bool,
    /// Every reading of the last so long must hold. Default: the last reading decides, with `during_fault` all.
    pub(crate) window: Option<Span>,
    /// `prometheus`: PromQL.
    pub(crate) query: Option<String>,
    /// `prometheus`, `log`: what must hold for the value, or for the number of lines. Default for `log`: `>= 1`.
    pub(crate) threshold: Option<Expect>,
    /// `log`: a regular expression that a line must contain.
    pub(crate) pattern: Option<String>,
    /// `log`: the containers of this alias.
    pub(crate) target_log: Option<String>,
    /// `log`: the containers with such a name, ended ones too; as `pattern` of a selector.
    pub(crate) container_pattern: Option<String>,
    /// `log`: no line may match. Default false.
    #[serde(default)]
    pub(crate) absence: bool,
    /// `health_check`: what to ask for.
    pub(crate) url: Option<String>,
    /// `health_check`: the status that counts as healthy. Default: any from 200 to 299.
    pub(crate) expected_status: Option<u16>,
}

/// Where a measurement comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CriterionKind {
    /// An instant query to Prometheus.
    Prometheus,
    /// Lines in the logs of containers since the first injection.
    Log,
    /// An HTTP GET.
    HealthCheck,
    /// Ethereum only: not supported, left out with `--skip-unsupported`.
    StateRootConsensus,
}

/// Parameters of `file_corrupt`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct FileCorruptParams {
    /// The file, as the container sees it.
    pub(crate) target_path: String,
    /// How many bytes, up to 1048576; where the file ends before, fewer. Default 512.
    #[serde(default = "half_a_kibibyte")]
    pub(crate) corrupt_bytes: Whole,
    /// Where they begin; 0 draws the place from the run's seed. Default 0.
    #[serde(default = "nowhere")]
    pub(crate) corrupt_offset: Whole,
    /// What the bytes become. Default random.
    #[serde(default)]
    pub(crate) method: Garbage,
    /// What was there is kept in any case: `false` is read with a warning. Default true.
    #[serde(default = "yes")]
    pub(crate) backup_first: bool,
}

fn half_a_kibibyte() -> Whole {
    Whole(512)
}
fn nowhere() -> Whole {
    Whole(0)
}

/// Parameters of `file_delete`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct FileDeleteParams {
    /// The file or directory, as the container sees it.
    pub(crate) target_path: String,
    /// Whether it may be a directory, which goes with all that is in it. Default false.
    #[serde(default)]
    pub(crate) recursive: bool,
    /// What was there is kept in any case: `false` is read with a warning. Default true.
    #[serde(default = "yes")]
    pub(crate) backup_first: bool,
}

/// What must be there before anything begins.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preconditions {
    /// So many containers must match at least. Default 1.
    #[serde(default = "single")]
    pub(crate) min_validators: u32,
    /// On the name; as `pattern` of a selector.
    #[serde(default = "validators")]
    pub(crate) validator_pattern: String,
}

fn single() -> u32 {
    1
}
/// The names that Polygon's development networks give to validators.
fn validators() -> String {
    "l2-el-.*-validator".to_owned()
}
