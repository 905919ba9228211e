//! The last words of a run on a terminal, without colours.

use fracas_core::event::Hypothesis;
use fracas_core::experiment::Format;
use fracas_core::record::{Dose, Landed};

use crate::duration;
use crate::model::{InjectionReport, Report};
use crate::plain::{command, plain};
use crate::undo::{Undo, undos};

/// In whose words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Those of Fracas.
    Native,
    /// Those of seed 0: `[TEST SUMMARY] PASSED`.
    ChaosScenario,
}

impl From<Format> for Style {
    fn from(format: Format) -> Self {
        match format {
            Format::Native => Self::Native,
            Format::ChaosScenario => Self::ChaosScenario,
        }
    }
}

/// The summary: several lines, each ended. Every text from outside is made harmless.
pub fn summary(report: &Report, style: Style) -> String {
    let mut lines = match style {
        Style::Native => native(report),
        Style::ChaosScenario => chaos_scenario(report),
    };
    lines.push(String::new());
    lines.join("\n")
}

fn native(report: &Report) -> Vec<String> {
    let run = report.run.as_ref().map_or("unknown", |run| run.as_str());
    let mut lines = vec![format!("{}, run {run}", plain(&report.name))];
    let dry = if report.dry_run {
        ", dry run: nothing was applied"
    } else {
        ""
    };
    lines.push(format!("  Time        {}{dry}", duration::go(report.duration_ms)));
    if let Some(seed) = report.seed {
        let drawn = match report.decisions.count {
            0 => "nothing was left to chance".to_owned(),
            1 => format!("1 decision, digest {}", plain(&report.decisions.digest)),
            n => format!("{n} decisions, digest {}", plain(&report.decisions.digest)),
        };
        lines.push(format!("  Seed        {}, {drawn}", seed.0));
    }
    lines.push(format!("  Hypothesis  {}", hypothesis(report.hypothesis)));
    lines.push(format!(
        "  Targets     {} of {} candidates",
        report.chosen(),
        report.candidates()
    ));
    if let Some(line) = stopped(report) {
        lines.push(format!("  Stopped     {line}"));
    } else if let Some(took) = report.rollback_ms {
        lines.push(format!("  Rollback    {took} ms until the last fault was gone"));
    }
    section(
        &mut lines,
        "Probes",
        report.probes.iter().flat_map(|probe| {
            probe.judgements.iter().map(|one| {
                let judgement = &one.judgement;
                let mark = if judgement.passed { '✓' } else { '✗' };
                let informs = if judgement.critical { "" } else { " (does not count)" };
                let (name, message) = (plain(&judgement.probe), plain(&judgement.message));
                format!("{mark} {name} {}: {message}{informs}", judgement.moment)
            })
        }),
    );
    section(&mut lines, "Faults", report.injections.iter().map(injection));
    section(
        &mut lines,
        "Undo",
        undos(report)
            .iter()
            .map(|undo| format!("{} {}", undo.mark(), plain(&undo.line()))),
    );
    section(&mut lines, "Notes", report.notes.iter().map(|note| plain(&note.text)));
    if report.notes_left_out > 0 {
        lines.push(format!("    and {} more", report.notes_left_out));
    }
    section(&mut lines, "Problems", problems(report));
    by_hand(&mut lines, report);
    lines.push(format!("{}: {}", report.word(), plain(&report.why)));
    lines
}

fn chaos_scenario(report: &Report) -> Vec<String> {
    let undos = undos(report);
    let passed = report.probes.iter().filter(|probe| probe.passed()).count();
    let undone = undos.iter().filter(|undo| undo.over).count();
    let mut lines = vec![
        format!("[TEST SUMMARY] {}", report.word()),
        format!("  Duration: {}", duration::go(report.duration_ms)),
        format!("  Targets: {}", report.chosen()),
        format!("  Faults: {}", report.faults.len()),
        format!("  Success Criteria: {passed}/{} passed", report.probes.len()),
    ];
    for probe in report.probes.iter().filter(|probe| !probe.passed()) {
        let (mark, why) = match (probe.decided(), probe.critical) {
            (None, _) => ("-", "not evaluated"),
            (Some(one), true) => ("✗", one.judgement.message.as_str()),
            (Some(one), false) => ("⚠ (non-critical)", one.judgement.message.as_str()),
        };
        lines.push(format!("    {mark} {}: {}", plain(&probe.name), plain(why)));
    }
    for injection in &report.injections {
        if !matches!(
            &injection.dose,
            Some(Dose {
                landed: Landed::Yes,
                ..
            })
        ) && !report.dry_run
        {
            lines.push(format!("    {}", self::injection(injection)));
        }
    }
    lines.push(format!("  Cleanup: {undone}/{} succeeded", undos.len()));
    for undo in &undos {
        lines.push(format!("    {} {}", undo.mark(), plain(&undo.line())));
    }
    if let Some(line) = stopped(report) {
        lines.push(format!("  Stopped: {line}"));
    }
    for problem in problems(report) {
        lines.push(format!("  Error: {problem}"));
    }
    lines.push(format!("  Message: {}", plain(&report.why)));
    by_hand(&mut lines, report);
    lines
}

fn section(lines: &mut Vec<String>, title: &str, items: impl IntoIterator<Item = String>) {
    let mut items = items.into_iter().peekable();
    if items.peek().is_some() {
        lines.push(format!("  {title}"));
        lines.extend(items.map(|item| format!("    {item}")));
    }
}

/// What a person can do where something is left: the exact commands, each on a line of its own so that it can be copied.
fn by_hand(lines: &mut Vec<String>, report: &Report) {
    let left: Vec<Undo> = undos(report).into_iter().filter(|undo| !undo.over).collect();
    if left.is_empty() {
        return;
    }
    lines.push("  SOMETHING IS LEFT IN THE SYSTEM. By hand, as root:".to_owned());
    for undo in left {
        lines.push(format!("    # {}", plain(&undo.what)));
        lines.extend(undo.manual.iter().map(|text| format!("    {}", command(text))));
    }
    lines.push("    # then".to_owned());
    lines.push("    fracas recover".to_owned());
}

/// The words of a hypothesis.
pub(crate) fn hypothesis(hypothesis: Hypothesis) -> &'static str {
    match hypothesis {
        Hypothesis::Maintained => "maintained",
        Hypothesis::Violated => "violated",
        Hypothesis::NotEvaluated => "not evaluated",
    }
}

/// What stopped the run and how long that took.
pub(crate) fn stopped(report: &Report) -> Option<String> {
    let stop = report.stop.as_ref()?;
    let from = if stop.breach.is_some() { "breach" } else { "request" };
    let took = match stop.took_ms {
        Some(took) if stop.engine_ms > 0 => format!(
            "; {took} ms from {from} to the last fault gone, of it up to {} ms container engine",
            stop.engine_ms
        ),
        Some(took) => format!("; {took} ms from {from} to the last fault gone"),
        None if report.injections.iter().any(InjectionReport::is_on) => {
            "; not every fault was seen to be gone".to_owned()
        }
        None => "; no fault was on".to_owned(),
    };
    Some(format!("{}{took}", plain(&stop.words)))
}

/// So many problems of one injection are shown; `report.json` has more.
const SHOWN: usize = 3;

/// One line per injection: whether it landed.
pub(crate) fn injection(one: &InjectionReport) -> String {
    let name = format!(
        "{} {} ({}) on {}",
        one.number,
        plain(&one.fault),
        plain(&one.kind),
        plain(&one.target)
    );
    let restarts = match one.restarts {
        0 => String::new(),
        1 => "; its target restarted once".to_owned(),
        n => format!("; its target restarted {n} times"),
    };
    let mut tail = restarts;
    for problem in one.problems.iter().take(SHOWN) {
        tail.push_str("; ");
        tail.push_str(&plain(&problem.to_string()));
    }
    let Some(dose) = &one.dose else {
        return match (&one.applied, one.problems.is_empty()) {
            (Some(_), _) => format!("? {name}: applied, dose not measured{tail}"),
            (None, _) if one.took_effect() => {
                format!("✗ {name}: cut off while it was being applied, took effect and was taken back{tail}")
            }
            (None, true) => format!("- {name}: never applied{tail}"),
            (None, false) => format!("✗ {name}: never applied{tail}"),
        };
    };
    let (asked, delivered) = (plain(&dose.asked), plain(&dose.delivered));
    let effect = dose
        .effect
        .as_ref()
        .map_or_else(String::new, |effect| format!("; {}", plain(effect)));
    match &dose.landed {
        Landed::Yes => {
            let missed = match one.dose_missed {
                0 => String::new(),
                n => format!("; not so in {n} of {} measurements", one.dose_measurements),
            };
            format!("✓ {name}: asked {asked}, delivered {delivered}{effect}{missed}{tail}")
        }
        Landed::No(why) => format!(
            "✗ {name}: did not land: {}; asked {asked}, delivered {delivered}{effect}{tail}",
            plain(why)
        ),
        Landed::Unmeasured(why) => format!("? {name}: unmeasured: {}; asked {asked}{tail}", plain(why)),
    }
}

/// Every problem of the run on a line, with what to do next.
fn problems(report: &Report) -> impl Iterator<Item = String> {
    report
        .problems
        .iter()
        .map(|problem| format!("{} (next: {})", plain(&problem.to_string()), plain(&problem.next)))
}
