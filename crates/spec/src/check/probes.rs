//! Probes: names, queries, addresses, thresholds.

use fracas_core::experiment::Selector;
use fracas_core::probe::{Expect, Probe, Source};
use fracas_core::problem::codes;
use fracas_core::units::Span;

use super::Check;
use crate::place::quoted;

impl Check<'_, '_> {
    pub(super) fn probes(&mut self) {
        let (experiment, list) = (self.experiment, self.paths.probes);
        if self.native() {
            self.unique(list, "name");
        }
        if experiment.probes.is_empty() && self.problems.errors.is_empty() {
            let spot = self.spot(list);
            let next = "the run will say what it did, and judge nothing; add a probe to learn something";
            self.problems.warn(
                &codes::MISSING_KEY,
                spot,
                format!("`{list}` is empty: nothing is measured"),
                next,
            );
        }
        for (position, probe) in experiment.probes.iter().enumerate() {
            let path = format!("{list}[{}]", self.origins.probes[position]);
            self.source(probe, &path);
            self.thresholds(probe, &path);
        }
    }

    fn source(&mut self, probe: &Probe, path: &str) {
        let native = self.native();
        let key = |key: &str| {
            if native {
                format!("{path}.{}.{key}", probe.source.name())
            } else {
                format!("{path}.{key}")
            }
        };
        match &probe.source {
            Source::Prometheus(source) => {
                self.query(&key("query"), &source.query);
                if let Some(url) = &source.url {
                    self.url(&key("url"), url);
                }
                self.timeout(&key("timeout"), source.timeout);
                self.timeout(&key("scrape_interval"), source.scrape_interval);
            }
            Source::Http(source) => {
                self.url(&key("url"), &source.url);
                self.timeout(&key("timeout"), source.timeout);
                if source.status.is_some_and(|status| !(100..=599).contains(&status)) {
                    self.wrong(
                        &key(if native { "status" } else { "expected_status" }),
                        "must be from 100 to 599",
                    );
                }
            }
            Source::Tcp(source) => {
                let well_formed = source
                    .address
                    .rsplit_once(':')
                    .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
                if !well_formed {
                    self.wrong(&key("address"), "must be `host:port`");
                }
                self.timeout(&key("timeout"), source.timeout);
            }
            Source::Command(source) => {
                if source.argv.first().is_none_or(String::is_empty) {
                    self.wrong(&key("argv"), "must begin with a program");
                }
                if source.argv.iter().any(|argument| argument.contains('\0')) {
                    self.wrong(&key("argv"), "cannot hold a zero byte");
                }
                self.timeout(&key("timeout"), source.timeout);
            }
            Source::Log(source) => {
                self.regex(&key("pattern"), &source.pattern);
                if let Some(container) = &source.container {
                    self.regex(&key(if native { "container" } else { "container_pattern" }), container);
                }
                if source.target.is_none() && source.container.is_none() {
                    let spot = self.spot(&key("pattern"));
                    let words = if native {
                        "`target` or `container`"
                    } else {
                        "`target_log` or `container_pattern`"
                    };
                    let what = format!("{} does not say whose log it reads", quoted(&probe.name));
                    self.problems
                        .error_next(&codes::MISSING_KEY, spot, what, format!("add {words}"));
                }
                self.log_target(
                    source.target.as_deref(),
                    &key(if native { "target" } else { "target_log" }),
                );
            }
            Source::Process(source) => self.regex(&key("command"), &source.command),
        }
    }

    fn log_target(&mut self, alias: Option<&str>, path: &str) {
        let Some(alias) = alias else { return };
        let experiment = self.experiment;
        let target = experiment.targets.iter().find(|target| target.alias == alias);
        match target.map(|target| &target.selector) {
            Some(Selector::Container(_)) => {}
            Some(Selector::Process(_)) => {
                let spot = self.spot(path);
                let what = format!(
                    "`{path}` names {}, whose targets are processes: they have no log",
                    quoted(alias)
                );
                self.problems.error(&codes::CONTRADICTION, spot, what);
            }
            None if !self.undefined(alias) => {}
            None => {
                let aliases: Vec<&str> = experiment.targets.iter().map(|target| target.alias.as_str()).collect();
                self.dangling(path, alias, &aliases);
            }
        }
    }

    fn timeout(&mut self, path: &str, span: Span) {
        if span < Span::millis(1) || span > Span::secs(3600) {
            self.wrong(path, "must be more than 0s and at most 1h");
        }
    }

    fn url(&mut self, path: &str, url: &str) {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let odd = |c: char| c.is_whitespace() || c.is_control();
        if host.is_none_or(|host| host.is_empty() || host.starts_with(':')) || url.contains(odd) {
            self.wrong(path, "must be an address such as http://127.0.0.1:8080/");
        }
    }

    fn thresholds(&mut self, probe: &Probe, path: &str) {
        match (probe.expect, probe.abort) {
            (Some(expect), Some(abort)) => {
                if let Some(value) = both(expect, abort) {
                    let spot = self.spot(&format!("{path}.abort"));
                    let what = format!("{value} satisfies `expect` {expect} and crosses `abort` {abort}");
                    let next = "let `abort` begin where `expect` ends, or beyond";
                    self.problems.error_next(&codes::CONTRADICTION, spot, what, next);
                }
            }
            (None, None) => {
                let spot = self.spot(path);
                let what = format!("{} is measured, but nothing is expected of it", quoted(&probe.name));
                self.problems.warn(
                    &codes::MISSING_KEY,
                    spot,
                    what,
                    "it is recorded; add `expect` or `abort` to judge it",
                );
            }
            _ => {}
        }
    }
}

/// A value that satisfies both, if there is one. Both sets are made of half lines and points, so looking at the two numbers,
/// between them and beside them is enough.
fn both(expect: Expect, abort: Expect) -> Option<f64> {
    let (a, b) = (expect.number, abort.number);
    let apart = (a - b).abs() / 2.0;
    let step = if apart > 0.0 { apart } else { a.abs().max(1.0) / 2.0 };
    [a, b, f64::midpoint(a, b), a - step, a + step, b - step, b + step]
        .into_iter()
        // Rounded for the eye, where the rounded value is one too.
        .flat_map(|value| [(value * 1e6).round() / 1e6, value])
        .find(|value| expect.holds(*value) && abort.holds(*value))
}
