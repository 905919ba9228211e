//! What an orchestration asks, and does besides: conditions, assertions, hooks, variables, attempts.

use std::collections::{BTreeMap, BTreeSet};

use fracas_core::chaos::{
    Assertion, AssertionKind, Condition, ConditionKind, Hook, HttpHook, MEASURES, Orchestration, Retry, Step,
};
use fracas_core::problem::codes;

use crate::chaos::Finds;
use crate::place::quoted;

/// In one list.
const HOOKS: usize = 20;
/// In one map.
const VARIABLES: usize = 100;
/// In one list.
const ASSERTIONS: usize = 100;
/// Of a name, a value or a message, in characters: results repeat them.
const TEXT: usize = 1000;
/// So many known names are told.
const TOLD: usize = 20;
/// Of attempts, and in seconds of a pause.
const ATTEMPTS: u32 = 100;
const PAUSE: f64 = 3600.0;
/// In seconds, for a hook.
const SHORTEST: f64 = 0.001;
const LONGEST: f64 = 60.0;

/// Names that something of the document gives.
struct Names<'o> {
    steps: BTreeSet<&'o str>,
    /// Those that are measured, and those that hooks record.
    metrics: BTreeSet<&'o str>,
    variables: BTreeSet<&'o str>,
}

/// Notes what is wrong with all that.
pub(super) fn check(orchestration: &Orchestration, finds: &mut Finds<'_, '_>, at: &str) {
    let names = Names::of(orchestration);
    hooks(&orchestration.pre_hooks, finds, &format!("{at}pre_hooks"));
    hooks(&orchestration.post_hooks, finds, &format!("{at}post_hooks"));
    short(&orchestration.name, finds, &format!("{at}name"));
    variables(&orchestration.variables, finds, &format!("{at}variables"));
    assertions(&orchestration.assertions, &names, finds, &format!("{at}assertions"));
    if orchestration.enable_reporting == Some(true) && orchestration.report_path.is_none() {
        let what = "`enable_reporting` does not say where the report goes".to_owned();
        finds.error(
            &codes::MISSING_KEY,
            &format!("{at}enable_reporting"),
            what,
            "add `report_path`",
        );
    }
    if orchestration
        .report_path
        .as_deref()
        .is_some_and(|path| path.is_empty() || path.contains('\0'))
    {
        finds.wrong(&format!("{at}report_path"), "must be the path of a file");
    }
    for (index, one) in orchestration.steps.iter().enumerate() {
        step(one, &names, finds, &format!("{at}steps[{index}]."));
    }
}

impl<'o> Names<'o> {
    fn of(orchestration: &'o Orchestration) -> Self {
        let steps = &orchestration.steps;
        let of_steps = steps
            .iter()
            .flat_map(|step| step.pre_hooks.iter().chain(&step.post_hooks));
        let hooks: Vec<&Hook> = of_steps
            .chain(&orchestration.pre_hooks)
            .chain(&orchestration.post_hooks)
            .collect();
        let recorded = hooks.iter().filter_map(|hook| match hook {
            Hook::RecordMetric(metric) => Some(metric.name.as_str()),
            _ => None,
        });
        let set = hooks.iter().filter_map(|hook| match hook {
            Hook::SetVariable(variable) => Some(variable.name.as_str()),
            _ => None,
        });
        let said = steps
            .iter()
            .flat_map(|step| step.variables.keys())
            .chain(orchestration.variables.keys());
        Self {
            steps: steps.iter().map(|step| step.name.as_str()).collect(),
            metrics: recorded.chain(MEASURES).collect(),
            variables: set.chain(said.map(String::as_str)).collect(),
        }
    }
}

fn step(step: &Step, names: &Names<'_>, finds: &mut Finds<'_, '_>, at: &str) {
    if let Some(one) = &step.condition {
        condition(one, names, finds, &format!("{at}condition"));
    }
    short(&step.name, finds, &format!("{at}name"));
    assertions(&step.assertions, names, finds, &format!("{at}assertions"));
    variables(&step.variables, finds, &format!("{at}variables"));
    hooks(&step.pre_hooks, finds, &format!("{at}pre_hooks"));
    hooks(&step.post_hooks, finds, &format!("{at}post_hooks"));
    if let Some(one) = &step.retry {
        retry(one, finds, &format!("{at}retry."));
    }
}

fn variables(all: &BTreeMap<String, String>, finds: &mut Finds<'_, '_>, path: &str) {
    if all.len() > VARIABLES {
        finds.wrong(path, &format!("must be at most {VARIABLES}"));
    }
    for text in all.iter().flat_map(|(name, value)| [name, value]) {
        short(text, finds, path);
    }
}

fn assertions(all: &[Assertion], names: &Names<'_>, finds: &mut Finds<'_, '_>, path: &str) {
    if all.len() > ASSERTIONS {
        finds.wrong(path, &format!("must be at most {ASSERTIONS} assertions"));
    }
    for (index, one) in all.iter().enumerate() {
        assertion(one, names, finds, &format!("{path}[{index}]"));
    }
}

fn short(text: &str, finds: &mut Finds<'_, '_>, path: &str) {
    if text.chars().count() > TEXT {
        finds.wrong(path, &format!("has a text of more than {TEXT} characters"));
    }
}

fn retry(retry: &Retry, finds: &mut Finds<'_, '_>, at: &str) {
    if !(1..=ATTEMPTS).contains(&retry.max_attempts) {
        let what = format!(
            "must be from 1 to {ATTEMPTS}, the first time included, not {}",
            retry.max_attempts
        );
        finds.wrong(&format!("{at}max_attempts"), &what);
    }
    if !(0.0..=PAUSE).contains(&retry.delay_seconds) {
        let what = format!("must be from 0 to {PAUSE} seconds, not {}", retry.delay_seconds);
        finds.wrong(&format!("{at}delay_seconds"), &what);
    }
}

fn hooks(all: &[Hook], finds: &mut Finds<'_, '_>, path: &str) {
    if all.len() > HOOKS {
        finds.wrong(path, &format!("must be at most {HOOKS} hooks"));
    }
    for (index, hook) in all.iter().enumerate() {
        let at = format!("{path}[{index}].{}", hook.name());
        match hook {
            Hook::SetVariable(variable) => {
                short(&variable.name, finds, &format!("{at}.name"));
                short(&variable.value, finds, &format!("{at}.value"));
            }
            Hook::Log(line) => short(&line.message, finds, &format!("{at}.message")),
            Hook::RecordMetric(metric) => {
                short(&metric.name, finds, &format!("{at}.name"));
                if MEASURES.contains(&metric.name.as_str()) {
                    finds.wrong(&format!("{at}.name"), "is measured already; choose another name");
                }
            }
            Hook::HttpRequest(request) => {
                http(request, finds, &at);
                time(request.timeout_seconds, finds, &at);
            }
            Hook::Command(command) => {
                if command.argv.iter().any(|word| word.contains('\0'))
                    || command.argv.first().is_some_and(String::is_empty)
                {
                    finds.wrong(&format!("{at}.argv"), "must be a program and its arguments");
                }
                time(command.timeout_seconds, finds, &at);
            }
        }
    }
}

fn time(limit: f64, finds: &mut Finds<'_, '_>, at: &str) {
    if !(SHORTEST..=LONGEST).contains(&limit) {
        let what = format!("must be from {SHORTEST} to {LONGEST} seconds, not {limit}");
        finds.wrong(&format!("{at}.timeout_seconds"), &what);
    }
}

fn http(request: &HttpHook, finds: &mut Finds<'_, '_>, at: &str) {
    short(&request.url, finds, &format!("{at}.url"));
    let host = request
        .url
        .strip_prefix("http://")
        .and_then(|rest| rest.split(['/', '?', '#']).next());
    // Behind the brackets of an address of IPv6, if there are any.
    let behind = host.map(|host| host.rsplit_once(']').map_or(host, |(_, behind)| behind));
    let port = behind.and_then(|behind| behind.rsplit_once(':')).map(|(_, port)| port);
    if port.is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_err()) {
        finds.wrong(&format!("{at}.url"), "must have a port from 0 to 65535, or none");
        return;
    }
    let is_printable = request.url.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_printable || host.is_none_or(|host| host.is_empty() || host.contains('@')) {
        finds.wrong(
            &format!("{at}.url"),
            "must be an address: write it like http://127.0.0.1:8080/path",
        );
    }
    // RFC 9110, 9.1: what stands there is a token. CONNECT asks for a tunnel.
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_token(&request.method) || request.method == "CONNECT" {
        finds.wrong(&format!("{at}.method"), "must be a method, such as GET or POST");
    }
}

/// One of the keys that a kind has, or has not.
struct Key {
    name: &'static str,
    is_said: bool,
    is_wanted: bool,
}

/// Whether all that a kind wants is there, and nothing else.
fn fits<const N: usize>(keys: [Key; N], kind: &str, finds: &mut Finds<'_, '_>, at: &str) -> bool {
    let mut fits = true;
    for key in keys {
        let name = key.name;
        if key.is_wanted && !key.is_said {
            fits = false;
            finds.error(
                &codes::MISSING_KEY,
                at,
                format!("`{at}` has no `{name}`"),
                &format!("`type: {kind}` needs it"),
            );
        }
        if key.is_said && !key.is_wanted {
            fits = false;
            let path = format!("{at}.{name}");
            let what = format!("`{path}` says nothing: `type` is `{kind}`");
            finds.error(&codes::CONTRADICTION, &path, what, "remove it, or choose another type");
        }
    }
    fits
}

fn key(name: &'static str, is_said: bool, is_wanted: bool) -> Key {
    Key {
        name,
        is_said,
        is_wanted,
    }
}

/// As it is written.
fn word(kind: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(kind).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn known(what: &str, name: Option<&str>, all: &BTreeSet<&str>, finds: &mut Finds<'_, '_>, path: &str) {
    if let Some(name) = name.filter(|name| !all.contains(name)) {
        let next = if all.is_empty() {
            "there is none".to_owned()
        } else {
            let told: Vec<String> = all.iter().take(TOLD).map(|name| quoted(name)).collect();
            let more = match all.len() - told.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("known here: {}{more}", told.join(", "))
        };
        finds.error(
            &codes::WRONG_VALUE,
            path,
            format!("no {what} has the name {}", quoted(name)),
            &next,
        );
    }
}

fn condition(condition: &Condition, names: &Names<'_>, finds: &mut Finds<'_, '_>, at: &str) {
    use ConditionKind as Kind;
    let kind = condition.kind;
    let is_number = matches!(kind, Kind::GreaterThan | Kind::LessThan);
    let compares = is_number || matches!(kind, Kind::Equals | Kind::NotEquals);
    let keys = [
        key(
            "variable",
            condition.variable.is_some(),
            compares || kind == Kind::Exists,
        ),
        key("value", condition.value.is_some(), compares),
        key(
            "conditions",
            !condition.conditions.is_empty(),
            matches!(kind, Kind::And | Kind::Or),
        ),
        key("condition", condition.condition.is_some(), kind == Kind::Not),
        key("metric", condition.metric.is_some(), kind == Kind::MetricThreshold),
        key("operator", condition.operator.is_some(), kind == Kind::MetricThreshold),
        key(
            "threshold",
            condition.threshold.is_some(),
            kind == Kind::MetricThreshold,
        ),
    ];
    if !fits(keys, &word(&kind), finds, at) {
        return;
    }
    if is_number
        && condition
            .value
            .as_deref()
            .is_some_and(|value| !value.parse::<f64>().is_ok_and(f64::is_finite))
    {
        finds.wrong(&format!("{at}.value"), "must be a number: it is compared as one");
    }
    known(
        "variable",
        condition.variable.as_deref(),
        &names.variables,
        finds,
        &format!("{at}.variable"),
    );
    known(
        "metric",
        condition.metric.as_deref(),
        &names.metrics,
        finds,
        &format!("{at}.metric"),
    );
    for (index, inner) in condition.conditions.iter().enumerate() {
        self::condition(inner, names, finds, &format!("{at}.conditions[{index}]"));
    }
    if let Some(inner) = &condition.condition {
        self::condition(inner, names, finds, &format!("{at}.condition"));
    }
}

fn assertion(assertion: &Assertion, names: &Names<'_>, finds: &mut Finds<'_, '_>, at: &str) {
    use AssertionKind as Kind;
    let kind = assertion.kind;
    let ranges = kind == Kind::MetricInRange;
    let keys = [
        key("metric", assertion.metric.is_some(), ranges),
        // One of the two is enough.
        key("min", assertion.min.is_some() && !ranges, false),
        key("max", assertion.max.is_some() && !ranges, false),
        key("variable", assertion.variable.is_some(), kind == Kind::VariableEquals),
        key("expected", assertion.expected.is_some(), kind == Kind::VariableEquals),
        key(
            "step",
            assertion.step.is_some(),
            matches!(kind, Kind::StepSucceeded | Kind::StepFailed),
        ),
        key("condition", assertion.condition.is_some(), kind == Kind::Condition),
    ];
    if !fits(keys, &word(&kind), finds, at) {
        return;
    }
    if let Some(expected) = &assertion.expected {
        short(expected, finds, &format!("{at}.expected"));
    }
    match (assertion.min, assertion.max) {
        (None, None) if ranges => {
            let what = format!("`{at}` holds whatever is measured");
            finds.error(&codes::MISSING_KEY, at, what, "add `min`, `max` or both");
        }
        (Some(min), Some(max)) if min > max => finds.wrong(at, &format!("can never hold: {min} is more than {max}")),
        _ => {}
    }
    known(
        "metric",
        assertion.metric.as_deref(),
        &names.metrics,
        finds,
        &format!("{at}.metric"),
    );
    known(
        "variable",
        assertion.variable.as_deref(),
        &names.variables,
        finds,
        &format!("{at}.variable"),
    );
    known(
        "step",
        assertion.step.as_deref(),
        &names.steps,
        finds,
        &format!("{at}.step"),
    );
    if let Some(inner) = &assertion.condition {
        condition(inner, names, finds, &format!("{at}.condition"));
    }
}
