//! Orchestrations: files, and bodies of REST requests.

use std::collections::BTreeSet;

use fracas_core::chaos::{ChaosConfig, Mutations, Orchestration, PREDEFINED, Plan, Route, Step, Unresolved};
use fracas_core::problem::{Problem, codes};
use fracas_core::units::Span;

use crate::chaos::{Chaos, Finds, read};
use crate::place::quoted;
use crate::problems::listed;
use crate::tree::{Entry, Node, Scalar, Value};
use crate::{Source, later};

mod advanced;
mod export;

pub use export::Export;

/// The key that says when it ends.
const LONGEST: &str = "max_duration_seconds";
/// So many steps are enough for anybody.
const STEPS: usize = 1000;
/// In seconds. What is shorter no client would meet.
const LEAST: f64 = 0.001;

/// A complete orchestration to begin with, every key explained.
pub const ORCHESTRATION: &str = include_str!("templates/orchestration.yaml");

/// Reads an orchestration: YAML, of which JSON is a part. `${NAME}` acts as in every document, by `env`; what comes from the network is read
/// with an `env` that knows nothing. `longest` counts before its `max_duration_seconds`.
///
/// # Errors
/// All problems, in the order of the text: those of [`chaos`](crate::chaos).
pub fn orchestration(
    source: &Source,
    env: &dyn Fn(&str) -> Option<String>,
    longest: Option<Span>,
) -> Result<Orchestration, Vec<Box<Problem>>> {
    read(source, env, |root| {
        ready(root);
        if let Some(longest) = longest {
            bound(root, longest);
        }
    })
}

/// Says when it ends.
fn bound(root: &mut Node, longest: Span) {
    let spot = root.spot;
    let text = longest.as_secs_f64().to_string();
    let Value::Map(entries) = &mut root.value else { return };
    entries.retain(|entry| entry.key != LONGEST);
    entries.push(Entry {
        key: LONGEST.to_owned(),
        spot,
        value: Node {
            spot,
            value: Value::Scalar(Scalar { text, plain: true }),
        },
    });
}

/// Brings what seed 3 and its original write in other ways into one form.
fn ready(root: &mut Node) {
    without_nulls(root);
    let Some(Value::List(steps)) = below(root, "steps").map(|steps| &mut steps.value) else {
        return;
    };
    for scenario in steps.iter_mut().filter_map(|step| below(step, "scenario")) {
        // A name alone.
        if scenario.scalar().is_some_and(|scalar| !scalar.is_null()) {
            let spot = scenario.spot;
            let name = std::mem::replace(&mut scenario.value, Value::Map(Vec::new()));
            let value = Node { spot, value: name };
            scenario.value = Value::Map(vec![Entry {
                key: "name".to_owned(),
                spot,
                value,
            }]);
        }
        if scenario.get("config").is_none()
            && let Value::Map(entries) = &mut scenario.value
            && let Some(entry) = entries.iter_mut().find(|entry| entry.key == "chaos_config")
        {
            "config".clone_into(&mut entry.key);
        }
        // Nothing but comments says nothing.
        let config = below(scenario, "config");
        if let Some(config) = config.filter(|config| config.scalar().is_some_and(Scalar::is_null)) {
            config.value = Value::Map(Vec::new());
        }
        // What the original writes of what it does not do.
        let faults = below(scenario, "config").and_then(|config| below(config, "fault_injection"));
        if let Some(Value::Map(entries)) = faults.map(|faults| &mut faults.value) {
            let is_off = |node: &Node| node.scalar().and_then(Scalar::as_bool) == Some(false);
            entries.retain(|entry| entry.key != "mockai_enabled" || !is_off(&entry.value));
        }
    }
}

/// Leaves out what is said to be nothing: so the original writes what is not there. Nothing at all is a mistake, as everywhere.
fn without_nulls(node: &mut Node) {
    match &mut node.value {
        Value::Map(entries) => {
            entries.retain(|entry| {
                !entry
                    .value
                    .scalar()
                    .is_some_and(|scalar| scalar.plain && scalar.text == "null")
            });
            for entry in entries {
                without_nulls(&mut entry.value);
            }
        }
        Value::List(items) => items.iter_mut().for_each(without_nulls),
        Value::Scalar(_) => {}
    }
}

fn below<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    match &mut node.value {
        Value::Map(entries) => entries
            .iter_mut()
            .find(|entry| entry.key == key)
            .map(|entry| &mut entry.value),
        _ => None,
    }
}

impl Chaos for Orchestration {
    const LATER: fn(&str, &str) -> Option<&'static str> = later::orchestration;

    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        if self.steps.len() > STEPS {
            finds.wrong(&format!("{at}steps"), &format!("must be at most {STEPS} steps"));
        }
        if let Some(longest) = self.max_duration_seconds {
            let path = format!("{at}max_duration_seconds");
            if longest == 0.0 {
                finds.wrong(&path, "must be more than 0: nothing would be done");
            } else {
                length(finds, &path, longest);
            }
        }
        if self.loop_orchestration && self.max_iterations == 0 && self.max_duration_seconds.is_none() {
            let path = format!("{at}max_iterations");
            let what = format!("`{path}` is 0, or not said, so the orchestration would never end");
            let next = "say when it ends: `max_iterations`, `max_duration_seconds`, or `--max-duration` of `fracas orchestrate start`";
            finds.error(&codes::MISSING_KEY, &path, what, next);
        }
        for (index, step) in self.steps.iter().enumerate() {
            let at = format!("{at}steps[{index}]");
            one(step, finds, &format!("{at}."));
            if !self.parallel && step.length() == 0.0 {
                let what = format!("step {} does not say how long it is", quoted(&step.name));
                let next = "add `duration_seconds`: of steps one after the other each needs it";
                finds.error(&codes::MISSING_KEY, &at, what, next);
            }
        }
        advanced::check(self, finds, at);
        if self.parallel {
            together(self, finds, at);
        }
        // Of what is wrong already, times say nothing.
        if finds.found_nothing()
            && let Ok(plan) = Plan::new(self)
        {
            times(self, &plan, finds, at);
        }
    }
}

/// Steps beside each other may have more routes and rules together than one configuration can.
fn together(orchestration: &Orchestration, finds: &mut Finds<'_, '_>, at: &str) {
    let configs: Vec<ChaosConfig> = orchestration
        .steps
        .iter()
        .filter_map(|step| step.config().ok())
        .collect();
    let routes: BTreeSet<String> = configs
        .iter()
        .flat_map(|config| config.routes().iter().map(Route::key))
        .collect();
    let rules = configs.iter().filter_map(ChaosConfig::mutations);
    let rules: BTreeSet<&str> = rules
        .flat_map(|block| block.rules.iter().map(|rule| rule.name.as_str()))
        .collect();
    for (what, count, most) in [
        ("routes", routes.len(), Route::MOST),
        ("rules of `mutations`", rules.len(), Mutations::MOST),
    ] {
        if count > most {
            let what = format!("must have at most {most} {what} together, as they are put together");
            finds.wrong(&format!("{at}steps"), &what);
        }
    }
}

fn times(orchestration: &Orchestration, plan: &Plan, finds: &mut Finds<'_, '_>, at: &str) {
    if let Some(limit) = orchestration.timeout_seconds {
        timeout(
            limit,
            plan.total().as_secs_f64(),
            finds,
            &format!("{at}timeout_seconds"),
        );
    }
    if plan.total() > Span::MAX.0 {
        let what = "the orchestration would go on for more than 30 days".to_owned();
        let next = "say when it ends, by `max_duration_seconds`, or do less";
        finds.error(&codes::WRONG_VALUE, &format!("{at}max_iterations"), what, next);
    }
    for (index, (step, slot)) in orchestration.steps.iter().zip(plan.slots()).enumerate() {
        if slot.to <= slot.from {
            let what = format!(
                "step {} is never on: it begins when all others are over",
                quoted(&step.name)
            );
            let next = "add `duration_seconds`, or begin it sooner";
            finds.error(&codes::CONTRADICTION, &format!("{at}steps[{index}]"), what, next);
        }
        // One that does not say how long it is lasts as long as those beside it.
        if let Some(limit) = step.timeout_seconds.filter(|_| step.length() == 0.0) {
            let length = slot.to.saturating_sub(slot.from).as_secs_f64();
            timeout(limit, length, finds, &format!("{at}steps[{index}].timeout_seconds"));
        }
    }
}

fn one(step: &Step, finds: &mut Finds<'_, '_>, at: &str) {
    length(finds, &format!("{at}duration_seconds"), step.duration_seconds);
    seconds(finds, &format!("{at}delay_before_seconds"), step.delay_before_seconds);
    if let Some(scenario) = &step.scenario {
        length(
            finds,
            &format!("{at}scenario.duration_seconds"),
            scenario.duration_seconds,
        );
    }
    if let Some(limit) = step.timeout_seconds {
        timeout(limit, step.length(), finds, &format!("{at}timeout_seconds"));
    }
    match step.config() {
        Ok(config) => config.check(finds, &format!("{at}scenario.config.")),
        Err(Unresolved::Unknown(name)) => {
            let path = format!("{at}scenario.name");
            let what = format!("no scenario has the name {}", quoted(&name));
            let known = listed(PREDEFINED.iter().map(|one| one.name));
            let next = format!("say what it does in `config`, or use one of {known}");
            finds.error(&codes::WRONG_VALUE, &path, what, &next);
        }
        // Its shape was checked before, so this is a defect; it is still reported as a problem of the document.
        Err(Unresolved::Wrong(why)) => {
            finds.wrong(&format!("{at}scenario.config"), &format!("is not understood: {why}"));
        }
    }
}

/// How long something may take that takes so long by itself.
fn timeout(limit: f64, length: f64, finds: &mut Finds<'_, '_>, path: &str) {
    if limit <= length {
        let what =
            format!("`{path}` is {limit} s, and what it is about takes {length} s by itself: it would always fail");
        finds.error(&codes::CONTRADICTION, path, what, "allow more, or do less");
    } else if limit < LEAST {
        finds.wrong(path, &format!("must be at least {LEAST} seconds, not {limit}"));
    } else {
        seconds(finds, path, limit);
    }
}

/// How long something is on; 0: it is not said here.
fn length(finds: &mut Finds<'_, '_>, path: &str, value: f64) {
    if value > 0.0 && value < LEAST {
        finds.wrong(path, &format!("must be at least {LEAST} seconds, not {value}"));
    } else {
        seconds(finds, path, value);
    }
}

fn seconds(finds: &mut Finds<'_, '_>, path: &str, value: f64) {
    let longest = Span::MAX.as_secs_f64();
    if !(0.0..=longest).contains(&value) {
        finds.wrong(
            path,
            &format!("must be from 0 to {longest} seconds, 30 days, not {value}"),
        );
    }
}

#[cfg(test)]
mod tests;
