//! Faults: references, times, ranges of parameters.

use std::collections::HashMap;

use fracas_core::experiment::{Execution, FaultSpec};
use fracas_core::params::{FileCorrupt, Inject};
use fracas_core::probe::{Probe, Source};
use fracas_core::problem::codes;
use fracas_core::units::{Percent, Size, Span};

use super::Check;
use crate::place::quoted;
use crate::problems::{listed, nearest};
use crate::tree::Node;

/// No more workers than any machine has CPUs.
const MOST_PERCENT: Percent = Percent(102_400.0);
const MOST_CORES: u32 = 1024;
const LONGEST_GRACE: Span = Span::secs(60);

impl Check<'_, '_> {
    pub(super) fn faults(&mut self) {
        let (experiment, list) = (self.experiment, self.paths.faults);
        // Seed 0 lets two faults share a phase; there they get names of their own.
        if self.native() {
            self.unique(list, self.paths.fault_name);
            self.unique_parts();
        }
        let aliases: Vec<&str> = experiment.targets.iter().map(|target| target.alias.as_str()).collect();
        let mut clock = Span::default();
        let end = Span(experiment.duration.0.saturating_add(experiment.cooldown.0));
        for (position, fault) in experiment.faults.iter().enumerate() {
            let path = format!("{list}[{}]", self.origins.faults[position]);
            if self.undefined(&fault.target) {
                self.dangling(&format!("{path}.target"), &fault.target, &aliases);
            }
            let last = position + 1 == experiment.faults.len();
            clock = self.times(fault, &path, clock, end, last);
            self.params(fault, &path);
            self.way_back(fault, &path);
        }
    }

    /// Names that are there twice only when a fault has become several. Those that are written twice were told.
    fn unique_parts(&mut self) {
        let (experiment, origins, root) = (self.experiment, self.origins, self.root);
        let (list, key) = (self.paths.faults, self.paths.fault_name);
        let items = root.nearest(list).items().unwrap_or_default();
        let written = |index: usize| {
            let name = items.get(index).and_then(|item| item.get(key));
            name.and_then(Node::scalar).map(|name| name.text.as_str())
        };
        let mut seen: HashMap<&str, usize> = HashMap::new();
        // A series may share many names with another: one is enough.
        let mut told = None;
        for (fault, &index) in experiment.faults.iter().zip(&origins.faults) {
            let first = *seen.entry(fault.name.as_str()).or_insert(index);
            if first != index && told != Some(index) && written(first) != written(index) {
                let spot = self.spot(&format!("{list}[{index}].{key}"));
                let what = format!(
                    "{} is the `{key}` of two faults once `{list}[{first}]` and `{list}[{index}]` are taken apart",
                    quoted(&fault.name)
                );
                self.problems.error(&codes::DUPLICATE_NAME, spot, what);
                told = Some(index);
            }
        }
    }

    /// Whether no target of the document has this alias, also none that has a problem of its own.
    pub(super) fn undefined(&self, alias: &str) -> bool {
        let items = self.root.nearest(self.paths.targets).items().unwrap_or_default();
        let named = |item: &Node| {
            item.get("alias")
                .and_then(Node::scalar)
                .is_some_and(|name| name.text == alias)
        };
        !items.iter().any(named)
    }

    pub(super) fn dangling(&mut self, path: &str, alias: &str, aliases: &[&str]) {
        let spot = self.spot(path);
        let next = match nearest(alias, aliases.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the document defines {}", listed(aliases.iter().copied())),
        };
        let what = format!("`{path}` names {}, which is no alias of a target", quoted(alias));
        self.problems.error_next(&codes::DANGLING_ALIAS, spot, what, next);
    }

    /// Checks when a fault begins and ends; gives when the next may begin.
    fn times(&mut self, fault: &FaultSpec, path: &str, clock: Span, end: Span, last: bool) -> Span {
        let sequential = self.experiment.execution == Execution::Sequential;
        let offset = if sequential { clock } else { Span::default() };
        let start = Span(offset.0.saturating_add(fault.start.0));
        let after = if sequential {
            ", counted after the faults before it,"
        } else {
            ""
        };
        if start >= self.experiment.duration {
            let spot = self.spot(&format!("{path}.{}", self.paths.fault_start));
            let what = format!(
                "{} begins at {start}{after} when the experiment of {} is over",
                quoted(&fault.name),
                self.experiment.duration
            );
            self.problems.error(&codes::CONTRADICTION, spot, what);
            return start;
        }
        let Some(duration) = fault.duration else {
            if sequential && !last {
                let spot = self.spot(path);
                let what = format!("{} never ends, so the faults after it never begin", quoted(&fault.name));
                let next = "give it a `duration`, or let the faults run in parallel";
                self.problems.error_next(&codes::CONTRADICTION, spot, what, next);
            }
            return start;
        };
        if duration == Span::default() {
            self.wrong(&format!("{path}.duration"), "must be more than 0s");
        }
        let over = Span(start.0.saturating_add(duration.0));
        if over > end {
            let spot = self.spot(&format!("{path}.duration"));
            let what = format!(
                "{} ends at {over}{after} but the experiment ends at {end}",
                quoted(&fault.name)
            );
            let next = "shorten the fault, start it earlier, or lengthen the experiment";
            self.problems.error_next(&codes::CONTRADICTION, spot, what, next);
        }
        over
    }

    fn params(&mut self, fault: &FaultSpec, path: &str) {
        let native = self.native();
        let set = fault.written.as_ref().filter(|_| native);
        // All parts of a set have the same keys, and its own numbers are right.
        if set.is_some() && !matches!(fault.inject, Inject::Delay(_)) {
            return;
        }
        let name = set.map_or(fault.inject.name(), |set| set.kind.as_str());
        let base = format!("{path}.{}", self.paths.params.replace("{}", name));
        let key = |native_key: &str, seed_key: &str| format!("{base}.{}", if native { native_key } else { seed_key });
        match &fault.inject {
            Inject::MemoryLimit(limit) if limit.limit < Size::mib(4) => {
                self.wrong(
                    &key("limit", "memory_mb"),
                    "must be at least 4MiB: no process can live under it",
                );
            }
            Inject::MemoryStress(stress) => self.amount(&base, &key, stress.size, stress.percent),
            Inject::DiskFill(fill) => {
                self.directory(&key("path", "target_path"), &fill.path);
                self.amount(&base, &key, fill.size, fill.percent);
            }
            Inject::DiskIo(io) => self.disk_io(&key, io),
            Inject::DiskThrottle(throttle) => self.disk_throttle(&base, throttle),
            Inject::CpuLimit(limit) if limit.percent < Percent(1.0) || limit.percent > MOST_PERCENT => {
                self.wrong(&key("percent", "cpu_percent"), "must be from 1% to 102400%");
            }
            Inject::CpuStress(stress) => {
                if stress.percent.0 <= 0.0 || stress.percent > MOST_PERCENT {
                    self.wrong(
                        &key("percent", "cpu_percent"),
                        "must be more than 0% and at most 102400%",
                    );
                } else if let Some(cores) = stress.cores {
                    if cores == 0 || cores > MOST_CORES {
                        self.wrong(&key("cores", "cores"), "must be from 1 to 1024");
                    } else if stress.percent.0 > f64::from(cores) * 100.0 {
                        let (asked, most) = (stress.percent, u64::from(cores) * 100);
                        let key = key("percent", "cpu_percent");
                        let spot = self.spot(&key);
                        let what = format!("`{key}` asks for {asked} of one CPU, and `cores` allows at most {most}%");
                        self.problems.error(&codes::CONTRADICTION, spot, what);
                    }
                }
            }
            Inject::ProcessPause(pause) => {
                if let Some(pattern) = &pause.pattern {
                    self.regex(&key("pattern", "process_pattern"), pattern);
                }
            }
            Inject::ClockSkew(skew) => {
                if let Some(pattern) = &skew.pattern {
                    self.regex(&key("pattern", "process_pattern"), pattern);
                }
                if skew.allow_host_clock && (skew.pattern.is_some() || !skew.children) {
                    let key = key("allow_host_clock", "allow_host_clock");
                    let spot = self.spot(&key);
                    let what =
                        format!("`{key}` sets the clock for everybody, and `pattern` and `children` choose processes");
                    self.problems.error(&codes::CONTRADICTION, spot, what);
                }
                let reads_logs = |probe: &Probe| matches!(probe.source, Source::Log(_));
                if skew.allow_host_clock && self.experiment.probes.iter().any(reads_logs) {
                    let key = key("allow_host_clock", "allow_host_clock");
                    let spot = self.spot(&key);
                    let what =
                        format!("`{key}` sets the clock by which `log` probes ask for lines: they would read nothing");
                    self.problems.error(&codes::CONTRADICTION, spot, what);
                }
            }
            Inject::ProcessKill(kill) => {
                if let Some(pattern) = &kill.pattern {
                    self.regex(&key("pattern", "process_pattern"), pattern);
                }
                self.repeats(&key, fault, "kills", kill.count, kill.interval);
            }
            Inject::FileCorrupt(corrupt) => {
                self.path(&key("path", "target_path"), &corrupt.path);
                if corrupt.bytes == Size(0) || corrupt.bytes > FileCorrupt::MOST {
                    self.wrong(&key("bytes", "corrupt_bytes"), "must be from 1B to 1MiB");
                }
            }
            Inject::FileDelete(delete) => self.path(&key("path", "target_path"), &delete.path),
            Inject::Script(script) => {
                if let Some((name, why)) = script.problem() {
                    self.wrong(&key(name, name), &why);
                }
            }
            Inject::NetworkDisconnect(disconnect) => {
                // 64 characters are the longest name of a network that Docker takes; a link has at most 15.
                let is_name = |name: &String| (1..=64).contains(&name.len()) && !name.contains(char::is_control);
                if disconnect.network.as_ref().is_some_and(|name| !is_name(name)) {
                    self.wrong(&key("network", "network"), "must be a name of 1 to 64 characters");
                }
            }
            Inject::Delay(delay) => self.delay(&key, delay),
            Inject::Loss(loss) => self.loss(&key, loss),
            Inject::Duplicate(duplicate) => self.duplicate(&key, duplicate),
            Inject::Corrupt(corrupt) => self.share_of_packets(&key, "corrupt", corrupt, corrupt.percent),
            Inject::Reorder(reorder) => self.reorder(&key, reorder),
            Inject::RateLimit(rate) => self.rate(&key, rate),
            Inject::ConnectionDrop(drop) => self.connection_drop(&key, drop),
            Inject::Partition(partition) => self.partition(&key, fault, partition),
            Inject::ConnectionReset(reset) => self.connection_reset(&key, fault, reset),
            Inject::Dns(dns) => self.dns(&base, &key, dns),
            Inject::Http(http) => self.http(&key, http),
            Inject::ContainerStop(stop) if stop.grace > LONGEST_GRACE => {
                self.wrong(&key("grace", "grace_period"), "must be at most 60s");
            }
            Inject::ContainerRestart(restart) if restart.grace > LONGEST_GRACE => {
                self.wrong(&key("grace", "grace_period"), "must be at most 60s");
            }
            _ => {}
        }
    }

    /// What happens so often, so long apart: it must be over before the fault is.
    pub(super) fn repeats(
        &mut self,
        key: super::packets::Key<'_>,
        fault: &FaultSpec,
        what: &str,
        count: u32,
        interval: Span,
    ) {
        if !(1..=1000).contains(&count) {
            self.wrong(&key("count", "count"), "must be from 1 to 1000");
        }
        let takes = Span(interval.0.saturating_mul(count.saturating_sub(1)));
        let time = fault.duration.unwrap_or(self.experiment.duration);
        if takes > time {
            let spot = self.spot(&key("count", "count"));
            let what = format!("{count} {what} take {takes}, and {} lasts {time}", quoted(&fault.name));
            self.problems.error(&codes::CONTRADICTION, spot, what);
        }
        if count > 1 && interval < Span::millis(10) {
            self.wrong(&key("interval", "interval"), "must be at least 10ms");
        }
    }

    /// A path inside a target: absolute, for it has no working directory of ours, and of a file, for no target is without its root.
    fn path(&mut self, key: &str, path: &str) {
        if !path.starts_with('/') || path.contains('\0') || path.len() > 4095 {
            self.wrong(key, "must be an absolute path, as the target sees it");
        } else if matches!(path.rsplit('/').next(), None | Some("" | "." | "..")) {
            self.wrong(key, "must end with the name of a file");
        }
    }

    fn way_back(&mut self, fault: &FaultSpec, path: &str) {
        let lost = match &fault.inject {
            Inject::ConnectionReset(_) => "a connection that was reset does not come back",
            Inject::ProcessKill(_) => "a killed process does not come back by itself",
            Inject::ContainerKill(kill) if !kill.restart => "`restart: false` leaves the container dead",
            _ if fault.allow_irreversible => {
                let spot = self.spot(&format!("{path}.allow_irreversible"));
                let what = format!(
                    "`allow_irreversible` does nothing: `{}` has a way back",
                    fault.inject.name()
                );
                return self.problems.warn(&codes::CONTRADICTION, spot, what, "remove it");
            }
            _ => return,
        };
        if !fault.allow_irreversible {
            let spot = self.spot(&format!("{path}.inject"));
            self.problems.error(
                &codes::IRREVERSIBLE,
                spot,
                format!("{} cannot be undone: {lost}", quoted(&fault.name)),
            );
        }
    }
}
