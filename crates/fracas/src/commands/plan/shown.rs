//! A plan as a person reads it, and as JSON. Also what is shown before the question.

use std::fmt::Write as _;

use fracas_core::event::Candidate;
use fracas_core::experiment::Experiment;
use fracas_core::record::UndoClass;
use fracas_report::{Report, plain};
use serde::Serialize;

/// What a run would do.
#[derive(Debug, Serialize)]
pub(in crate::commands) struct Shown {
    name: String,
    duration: String,
    cooldown: String,
    max_duration: String,
    warmup: String,
    seed: Option<u64>,
    targets: Vec<Targets>,
    changes: Vec<Change>,
    probes: Vec<Probe>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Targets {
    alias: String,
    candidates: Vec<Candidate>,
    sum: String,
    chosen: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Change {
    fault: String,
    #[serde(rename = "type")]
    kind: String,
    target: String,
    start: String,
    duration: Option<String>,
    change: String,
    undo: UndoClass,
    needs: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Probe {
    name: String,
    source: &'static str,
    expect: Option<String>,
    abort: Option<String>,
}

impl Shown {
    /// The plan of a run that was prepared.
    pub(in crate::commands) fn of(report: &Report, experiment: &Experiment) -> Self {
        let targets = report.targets.iter().map(|(alias, targets)| Targets {
            alias: alias.clone(),
            candidates: targets.candidates.clone(),
            sum: targets.sum.clone(),
            chosen: targets.chosen.iter().map(|target| target.identity.clone()).collect(),
        });
        let changes = report.injections.iter().map(|injection| Change {
            fault: injection.fault.clone(),
            kind: injection.kind.clone(),
            target: injection.target.clone(),
            start: injection.planned_start.to_string(),
            duration: injection.planned_duration.map(|span| span.to_string()),
            change: injection.change.clone(),
            undo: injection.undo,
            needs: needs(experiment, &injection.kind),
        });
        let probes = experiment.probes.iter().map(|probe| Probe {
            name: probe.name.clone(),
            source: probe.source.name(),
            expect: probe.expect.map(|expect| expect.to_string()),
            abort: probe.abort.map(|abort| abort.to_string()),
        });
        Self {
            name: experiment.name.clone(),
            duration: experiment.duration.to_string(),
            cooldown: experiment.cooldown.to_string(),
            max_duration: experiment.max_duration.to_string(),
            warmup: experiment.warmup.to_string(),
            seed: report.seed.map(|seed| seed.0),
            targets: targets.collect(),
            changes: changes.collect(),
            probes: probes.collect(),
            notes: report.notes.iter().map(|note| note.text.clone()).collect(),
        }
    }

    /// The plan in lines. Every text from outside is made harmless.
    pub(in crate::commands) fn text(&self) -> String {
        let mut text = format!(
            "{}: warmup {}, duration {}{}, at most {}\n",
            plain(&self.name),
            self.warmup,
            self.duration,
            if self.cooldown == "0s" {
                String::new()
            } else {
                format!(", cooldown {}", self.cooldown)
            },
            self.max_duration
        );
        text.push_str("targets\n");
        for targets in &self.targets {
            let _ = writeln!(text, "  {}: {}", plain(&targets.alias), plain(&targets.sum));
            for candidate in &targets.candidates {
                let _ = writeln!(text, "    {}", line(candidate));
            }
        }
        text.push_str("changes\n");
        for change in &self.changes {
            let until = change
                .duration
                .as_ref()
                .map_or_else(|| "until the rollback".to_owned(), |span| format!("for {span}"));
            let _ = writeln!(
                text,
                "  {} on {}: {}\n    {} at {}, {until}; undo: {}{}",
                change.kind,
                plain(&change.target),
                plain(&change.change),
                plain(&change.fault),
                change.start,
                undo(change.undo),
                if change.needs.is_empty() {
                    String::new()
                } else {
                    format!("; needs {}", change.needs.join(", "))
                }
            );
        }
        if !self.probes.is_empty() {
            text.push_str("probes\n");
        }
        for probe in &self.probes {
            let _ = write!(text, "  {} ({})", plain(&probe.name), probe.source);
            for (word, threshold) in [("expect", &probe.expect), ("abort", &probe.abort)] {
                if let Some(threshold) = threshold {
                    let _ = write!(text, ", {word} {threshold}");
                }
            }
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {}", plain(note));
        }
        text
    }
}

/// A candidate with what became of it.
pub(in crate::commands) fn line(candidate: &Candidate) -> String {
    let name = plain(&candidate.identity);
    match (candidate.chosen, &candidate.why) {
        (true, _) => format!("✓ {name}"),
        (false, Some(why)) => format!("- {name}: {}", plain(why)),
        (false, None) => format!("- {name}: not drawn"),
    }
}

/// How a fault is undone, in words.
pub(in crate::commands) fn undo(class: UndoClass) -> &'static str {
    match class {
        UndoClass::Exact => "exact",
        UndoClass::Restart => "a new process with the same configuration",
        UndoClass::None => "none",
    }
}

/// What a fault cannot do without, in words.
pub(in crate::commands) fn need_words(needs: fracas_faults::Needs) -> Vec<&'static str> {
    [
        (needs.root, "root"),
        (needs.container, "a container"),
        (needs.local, "this machine's kernel"),
    ]
    .into_iter()
    .filter(|(needed, _)| *needed)
    .map(|(_, word)| word)
    .collect()
}

fn needs(experiment: &Experiment, kind: &str) -> Vec<&'static str> {
    let spec = experiment.faults.iter().find(|fault| fault.inject.name() == kind);
    let needs = spec.and_then(|fault| {
        let entry = fracas_faults::find(kind)?;
        (entry.needs)(&fault.inject.params()).ok()
    });
    needs.map(need_words).unwrap_or_default()
}
