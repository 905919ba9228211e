//! Seed 0's report file, with every field that its users know, each with its own value.

use fracas_core::event::Verdict;
use fracas_core::number::Number;
use fracas_core::probe::Source;
use fracas_core::target::Target;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration;
use crate::model::{At, FaultReport, InjectionReport, ProbeReport, Report};
use crate::undo::undos;

/// The label under which Kurtosis keeps the name of a service.
const SERVICE_LABEL: &str = "com.kurtosistech.id";

/// The content of `test-<YYYYMMDD-HHMMSS>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestReport {
    /// The id of the run: `fracas report ID` shows more.
    pub test_id: String,
    /// The scenario's name.
    pub scenario_name: String,
    /// RFC 3339 in UTC.
    pub start_time: String,
    /// RFC 3339 in UTC.
    pub end_time: String,
    /// As Go prints it: `12m0s`.
    pub duration: String,
    /// How far it came.
    pub status: Status,
    /// Whether the verdict is PASSED.
    pub success: bool,
    /// The verdict and why.
    pub message: String,
    /// What was broken.
    pub targets: Vec<TestTarget>,
    /// The faults of the scenario, each with its own times.
    pub faults: Vec<TestFault>,
    /// How many injections were made: one per fault and target.
    pub fault_installs: usize,
    /// The criteria.
    pub success_criteria: Vec<TestCriterion>,
    /// How the undo went.
    pub cleanup_summary: CleanupSummary,
    /// One entry per undo.
    pub cleanup_log: Vec<CleanupEntry>,
    /// What went wrong, one line each.
    pub errors: Vec<String>,
}

/// How far a test came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is not over, or nobody knows how it ended.
    Running,
    /// To its end, with or without a conclusion in its favour.
    Completed,
    /// A criterion failed, or something else that makes it worthless.
    Failed,
    /// It was stopped.
    Stopped,
}

/// A target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestTarget {
    /// Its alias.
    pub alias: String,
    /// The name of the service; of the container where it has none.
    pub service_name: String,
    /// The engine's full id; empty for a process.
    pub container_id: String,
    /// Its first address; empty where there is none.
    pub ip: String,
}

/// A fault of the scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestFault {
    /// Its label.
    pub phase: String,
    /// Its type, by the name that the scenario has for it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The alias of its targets.
    pub target: String,
    /// What it is for.
    pub description: String,
    /// When it was first on; absent if it never was.
    pub start_time: Option<String>,
    /// When it was last seen to be gone; absent while it is on somewhere.
    pub end_time: Option<String>,
    /// Between the two.
    pub duration: Option<String>,
    /// Its parameters, as the scenario gives them.
    pub parameters: serde_json::Value,
}

/// A criterion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestCriterion {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// `prometheus`, `log` …
    #[serde(rename = "type")]
    pub kind: String,
    /// The query, or the pattern.
    pub query: String,
    /// What must hold.
    pub threshold: String,
    /// Whether it held every time that it was judged.
    pub passed: bool,
    /// The value that decided.
    pub value: Option<Number>,
    /// In words.
    pub message: String,
    /// Whether it counts for the verdict.
    pub critical: bool,
    /// When the deciding judgement was made.
    pub eval_time: Option<String>,
}

/// How the undo went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CleanupSummary {
    /// How many undos.
    pub total_actions: usize,
    /// How many left nothing.
    pub succeeded: usize,
    /// How many left something.
    pub failed: usize,
}

/// One undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CleanupEntry {
    /// Which.
    pub what: String,
    /// What it did, and what was seen then.
    pub result: String,
    /// Whether nothing is left.
    pub success: bool,
    /// Milliseconds until the absence was seen.
    pub ms: u64,
}

impl From<&Report> for TestReport {
    fn from(report: &Report) -> Self {
        let undos = undos(report);
        let succeeded = undos.iter().filter(|undo| undo.over).count();
        let status = match report.verdict {
            None => Status::Running,
            Some(Verdict::Passed | Verdict::Inconclusive) => Status::Completed,
            Some(Verdict::Failed | Verdict::Error | Verdict::Residue) => Status::Failed,
            Some(Verdict::Aborted) => Status::Stopped,
        };
        let of_injections = report.injections.iter().flat_map(|injection| {
            let name = format!("{} {} on {}", injection.number, injection.kind, injection.target);
            injection
                .problems
                .iter()
                .map(move |problem| format!("{name}: {problem}"))
        });
        Self {
            test_id: report.run.as_ref().map(ToString::to_string).unwrap_or_default(),
            scenario_name: report.name.clone(),
            start_time: report.started.clone(),
            end_time: report.ended.clone(),
            duration: duration::go(report.duration_ms),
            status,
            success: report.verdict == Some(Verdict::Passed),
            message: format!("{}: {}", report.word(), report.why),
            targets: targets(report),
            faults: report.faults.iter().map(|one| fault(one, &report.injections)).collect(),
            fault_installs: report.applied(),
            success_criteria: report.probes.iter().map(criterion).collect(),
            cleanup_summary: CleanupSummary {
                total_actions: undos.len(),
                succeeded,
                failed: undos.len() - succeeded,
            },
            cleanup_log: undos
                .iter()
                .map(|undo| CleanupEntry {
                    what: undo.what.clone(),
                    result: undo.result.clone(),
                    success: undo.over,
                    ms: undo.millis,
                })
                .collect(),
            errors: report
                .problems
                .iter()
                .map(ToString::to_string)
                .chain(of_injections)
                .collect(),
        }
    }
}

fn targets(report: &Report) -> Vec<TestTarget> {
    let chosen = report.targets.values().flat_map(|targets| &targets.chosen);
    chosen
        .map(|target| {
            let container = target.container();
            TestTarget {
                alias: target.alias.clone(),
                service_name: service(target).to_owned(),
                container_id: container.map(|container| container.id.clone()).unwrap_or_default(),
                ip: container.and_then(|container| container.ip.clone()).unwrap_or_default(),
            }
        })
        .collect()
}

/// The name of a target's service; its identity where it has none.
pub fn service(target: &Target) -> &str {
    let labelled = target
        .container()
        .and_then(|container| container.labels.get(SERVICE_LABEL));
    labelled.unwrap_or(&target.identity)
}

fn fault(fault: &FaultReport, injections: &[InjectionReport]) -> TestFault {
    let on: Vec<(&At, Option<&At>)> = injections
        .iter()
        .filter(|injection| injection.fault == fault.name)
        .filter_map(|injection| Some((injection.applied.as_ref()?, injection.gone.as_ref())))
        .collect();
    let start = on.iter().map(|(applied, _)| *applied).min_by_key(|at| at.elapsed_ms);
    let end = if on.iter().all(|(_, gone)| gone.is_some()) {
        on.iter().filter_map(|(_, gone)| *gone).max_by_key(|at| at.elapsed_ms)
    } else {
        None
    };
    let (kind, parameters) = match &fault.written {
        Some(written) => (&written.kind, &written.parameters),
        None => (&fault.kind, &fault.parameters),
    };
    TestFault {
        phase: fault.name.clone(),
        kind: kind.clone(),
        target: fault.target.clone(),
        description: fault.description.clone().unwrap_or_default(),
        start_time: start.map(|at| at.time.clone()),
        end_time: end.map(|at| at.time.clone()),
        duration: start
            .zip(end)
            .map(|(start, end)| duration::go(end.elapsed_ms.saturating_sub(start.elapsed_ms))),
        parameters: parameters.clone(),
    }
}

fn criterion(probe: &ProbeReport) -> TestCriterion {
    let decided = probe.decided();
    TestCriterion {
        name: probe.name.clone(),
        description: probe.description.clone().unwrap_or_default(),
        kind: probe.source.name().to_owned(),
        query: query(&probe.source),
        threshold: probe.expect.map(|expect| expect.to_string()).unwrap_or_default(),
        passed: probe.passed(),
        value: decided.and_then(|one| one.judgement.value).map(Number),
        message: decided.map_or("not evaluated", |one| &one.judgement.message).to_owned(),
        critical: probe.critical,
        eval_time: decided.map(|one| one.at.time.clone()),
    }
}

/// What is asked, in one line.
pub(crate) fn query(source: &Source) -> String {
    match source {
        Source::Prometheus(prometheus) => prometheus.query.clone(),
        Source::Http(http) => http.url.clone(),
        Source::Tcp(tcp) => tcp.address.clone(),
        Source::Command(command) => command.argv.join(" "),
        Source::Log(log) => log.pattern.clone(),
        Source::Process(process) => process.command.clone(),
    }
}

#[cfg(test)]
mod tests;
