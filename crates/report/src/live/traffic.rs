//! What passes a proxy, as a picture, as a line and as JSON: a fold of two looks at its counters. Pure, as the view of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::paint::{Colour, Line, pad};
use crate::duration::clock;
use crate::figure::figure;
use crate::plain::plain;

/// So many kinds of faults, scenarios and steps are named; of the others only the number.
const MOST: usize = 4;
/// In columns.
const LABEL: usize = 15;
/// The faults that end a connection without an answer, so that no status counts them.
const BREAKS: [&str; 2] = ["tcp_close", "tcp_reset"];

/// Which proxy is shown.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Where its clients come to.
    pub address: String,
    /// The root of its decisions.
    pub seed: u64,
}

/// What had been counted by a moment, and what acted then.
#[derive(Debug, Clone, Default)]
pub struct Passed {
    /// After the view began.
    pub at: Duration,
    /// Requests that were answered, by the class of the status.
    pub requests: Vec<(&'static str, u64)>,
    /// Faults that requests met, by name.
    pub faults: Vec<(&'static str, u64)>,
    /// Connections that are open.
    pub connections: u64,
    /// How long half of the answers took at most that have ended since the moment before. `None`: there were none.
    pub p50_ms: Option<f64>,
    /// How long 99 of a hundred of them did.
    pub p99_ms: Option<f64>,
    /// The names of the scenarios that act.
    pub scenarios: Vec<String>,
    /// The orchestration that runs, or ran last.
    pub orchestration: Option<Orchestrated>,
    /// Whether the proxy takes no more connections, and waits for those that it has.
    pub ends: bool,
}

/// How an orchestration is.
#[derive(Debug, Clone, Serialize)]
pub struct Orchestrated {
    /// Its name.
    pub name: String,
    /// `running`, `completed`, `stopped` or `failed`.
    pub state: &'static str,
    /// How much of it is over, from 0 to 1.
    pub progress: f64,
    /// The names of the steps that are on.
    pub steps: Vec<String>,
}

/// What passed between two moments, and what has until the later one. As JSON it has the names of `GET /api/chaos/stats`.
#[derive(Debug, Serialize)]
pub struct Traffic {
    seconds: f64,
    requests: u64,
    requests_per_second: f64,
    by_class: BTreeMap<&'static str, u64>,
    /// Answers of 500 or more, and connections that a fault ended without an answer.
    errors: u64,
    errors_per_second: f64,
    server_errors: u64,
    broken_connections: u64,
    faults: u64,
    faults_per_second: f64,
    by_fault: BTreeMap<&'static str, u64>,
    /// Those that were met, the most frequent of the time between first.
    #[serde(skip)]
    kinds: Vec<(&'static str, f64)>,
    connections: u64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    scenarios: Vec<String>,
    orchestration: Option<Orchestrated>,
    #[serde(skip)]
    ends: bool,
}

impl Traffic {
    /// What passed between the two.
    pub fn between(before: &Passed, now: &Passed) -> Self {
        let span = now.at.saturating_sub(before.at).as_secs_f64();
        // A counter that went back was another's: nothing is known of the time between.
        let rate = |count: u64, then: u64| match count.saturating_sub(then) {
            0 => 0.0,
            _ if span <= 0.0 => 0.0,
            more => more as f64 / span,
        };
        let sum = |counts: &[(&str, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
        let of = |counts: &[(&str, u64)], name: &str| {
            let found = counts.iter().find(|(known, _)| *known == name);
            found.map_or(0, |(_, count)| *count)
        };
        let broken = |passed: &Passed| BREAKS.iter().map(|name| of(&passed.faults, name)).sum::<u64>();
        let server_errors = of(&now.requests, "5xx");
        let (errors, errors_then) = (
            server_errors + broken(now),
            of(&before.requests, "5xx") + broken(before),
        );
        let met = now.faults.iter().filter(|(_, count)| *count > 0);
        let mut kinds: Vec<_> = met
            .map(|(name, count)| (*name, rate(*count, of(&before.faults, name)), *count))
            .collect();
        kinds.sort_by(|(_, rate, count), (_, other, others)| other.total_cmp(rate).then(others.cmp(count)));
        Self {
            seconds: now.at.as_secs_f64(),
            requests: sum(&now.requests),
            requests_per_second: rate(sum(&now.requests), sum(&before.requests)),
            by_class: now.requests.iter().copied().collect(),
            errors,
            errors_per_second: rate(errors, errors_then),
            server_errors,
            broken_connections: broken(now),
            faults: sum(&now.faults),
            faults_per_second: rate(sum(&now.faults), sum(&before.faults)),
            by_fault: now.faults.iter().copied().collect(),
            kinds: kinds.into_iter().map(|(name, rate, _)| (name, rate)).collect(),
            connections: now.connections,
            p50_ms: now.p50_ms,
            p99_ms: now.p99_ms,
            scenarios: now.scenarios.iter().map(|name| plain(name)).collect(),
            orchestration: now.orchestration.as_ref().map(|one| Orchestrated {
                name: plain(&one.name),
                steps: one.steps.iter().map(|step| plain(step)).collect(),
                ..one.clone()
            }),
            ends: now.ends,
        }
    }

    /// The picture: at most eight lines of at most `width` columns, without line breaks; with `colour`, between ANSI sequences that do
    /// not count as columns.
    pub fn picture(&self, of: &Shown, width: usize, colour: bool) -> Vec<String> {
        let up = clock(self.seconds as u64 * 1000);
        let mut head = Line::of(Colour::Bold, "fracas proxy")
            .then(Colour::Plain, format!("  {}", of.address))
            .then(Colour::Dim, format!("  seed {}  up {up}", of.seed));
        if self.ends {
            head = head.then(Colour::Yellow, "  stopping");
        }
        let classes = self.by_class.iter().filter(|(_, count)| **count > 0);
        let classes: Vec<_> = classes.map(|(class, count)| format!("{class} {count}")).collect();
        let mut lines = vec![
            head,
            counted(
                "requests",
                (self.requests_per_second, self.requests),
                Colour::Plain,
                &classes.join("  "),
            ),
            counted(
                "errors",
                (self.errors_per_second, self.errors),
                Colour::Red,
                &self.whose_errors(),
            ),
            counted(
                "faults",
                (self.faults_per_second, self.faults),
                Colour::Cyan,
                &self.top("  "),
            ),
            label("latency").then(Colour::Plain, self.latency()),
            label("connections").then(Colour::Plain, self.connections.to_string()),
            label("scenarios").then(
                if self.scenarios.is_empty() {
                    Colour::Dim
                } else {
                    Colour::Yellow
                },
                named(&self.scenarios),
            ),
        ];
        if let Some(one) = &self.orchestration {
            lines.push(label("orchestration").then(Colour::Plain, one.words()));
        }
        lines.iter().map(|line| line.paint(width, colour)).collect()
    }

    /// The same in one line.
    pub fn line(&self) -> String {
        let counted = |rate, all, what: String| {
            let what = if what.is_empty() { what } else { format!(": {what}") };
            format!("{}/s ({all}{what})", figure(rate, 3))
        };
        let requests = counted(self.requests_per_second, self.requests, String::new());
        let errors = counted(self.errors_per_second, self.errors, self.whose_errors());
        let faults = counted(self.faults_per_second, self.faults, self.top(", "));
        let mut line = format!(
            "{} requests {requests}, errors {errors}, faults {faults}, latency {}, connections {}, scenarios {}",
            clock(self.seconds as u64 * 1000),
            self.latency(),
            self.connections,
            named(&self.scenarios)
        );
        if let Some(one) = &self.orchestration {
            line.push_str(", orchestration ");
            line.push_str(&one.words());
        }
        line
    }

    fn whose_errors(&self) -> String {
        let two = [
            ("5xx", self.server_errors),
            ("broken connections", self.broken_connections),
        ];
        let some = two.iter().filter(|(_, count)| *count > 0);
        some.map(|(what, count)| format!("{what} {count}"))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The kinds of faults that were met most in the time between; if none was, in all.
    fn top(&self, between: &str) -> String {
        let met = self.kinds.iter().filter(|(_, rate)| *rate > 0.0);
        let met: Vec<_> = met
            .map(|(name, rate)| format!("{name} {}/s", figure(*rate, 3)))
            .collect();
        let all = || {
            let all = self
                .kinds
                .iter()
                .filter_map(|(name, _)| self.by_fault.get_key_value(name));
            all.map(|(name, count)| format!("{name} {count}")).collect()
        };
        let top = if met.is_empty() { all() } else { met };
        let more = top.len().saturating_sub(MOST);
        let more = (more > 0).then(|| format!("and {more} more"));
        top.into_iter().take(MOST).chain(more).collect::<Vec<_>>().join(between)
    }

    fn latency(&self) -> String {
        match (self.p50_ms, self.p99_ms) {
            (Some(half), Some(most)) => format!("p50 {} ms p99 {} ms", figure(half, 3), figure(most, 3)),
            _ => "no answers".to_owned(),
        }
    }
}

impl Orchestrated {
    fn words(&self) -> String {
        let percent = (self.progress * 100.0).floor();
        let steps = match self.steps.len() {
            0 => String::new(),
            1 => format!(", step {}", named(&self.steps)),
            _ => format!(", steps {}", named(&self.steps)),
        };
        format!("{} {} {percent}%{steps}", self.name, self.state)
    }
}

fn label(text: &str) -> Line {
    Line::of(Colour::Bold, pad(text, LABEL))
}

fn counted(what: &str, (rate, all): (f64, u64), colour: Colour, of: &str) -> Line {
    let colour = if rate > 0.0 { colour } else { Colour::Dim };
    let line = label(what)
        .then(colour, pad(&format!("{}/s", figure(rate, 3)), 11))
        .then(Colour::Plain, format!("{all} in all"));
    if of.is_empty() {
        line
    } else {
        line.then(Colour::Dim, format!("  {of}"))
    }
}

/// Some names, and how many others there are.
fn named(all: &[String]) -> String {
    match all.len() {
        0 => "none".to_owned(),
        count if count > MOST => format!("{} and {} more", all[..MOST].join(", "), count - MOST),
        _ => all.join(", "),
    }
}

#[cfg(test)]
mod tests;
