//! What is to be seen first: how it ended, in a few figures, what is to be done, and when what happened.

use fracas_core::event::{Hypothesis, Verdict};
use fracas_core::probe::Moment;

use super::page::Page;
use super::scale::Times;
use super::{section, timeline};
use crate::duration;
use crate::model::Report;
use crate::summary::{hypothesis, stopped};
use crate::undo::undos;

/// Name, verdict and the figures that decide.
pub(super) fn head(page: &mut Page, report: &Report, name: &str) {
    let run = report
        .run
        .as_ref()
        .map_or_else(|| "unknown run".to_owned(), |run| format!("run {run}"));
    page.element("p", &[("class", "over")], &format!("Fracas report, {run}"));
    page.element("h1", &[], name);
    if let Some(description) = &report.description {
        page.element("p", &[("class", "about")], description);
    }
    let (class, says) = tone(report);
    page.open("div", &[("class", &format!("verdict {class}"))]);
    page.element("p", &[("class", "word")], report.word());
    page.element("p", &[("class", "says")], says);
    page.element("p", &[("class", "why")], &report.why);
    page.close("div");
    facts(page, report);
}

fn tone(report: &Report) -> (&'static str, &'static str) {
    match report.verdict {
        Some(Verdict::Passed) if report.dry_run => ("passed", "A dry run: everything is ready, nothing was applied."),
        Some(Verdict::Passed) => ("passed", "What was expected of the system held."),
        Some(Verdict::Failed) => ("failed", "What was expected of the system did not hold."),
        Some(Verdict::Aborted) => ("aborted", "The run was stopped before its end."),
        Some(Verdict::Inconclusive) => ("inconclusive", "Nothing can be concluded from this run."),
        Some(Verdict::Error) => ("error", "The run itself went wrong."),
        Some(Verdict::Residue) => ("residue", "Something of this run is left in the system."),
        None => (
            "unfinished",
            "The run has no end, or its runner died before it could say how it ended.",
        ),
    }
}

/// A figure, and what it is about.
struct Fact {
    name: &'static str,
    value: String,
    note: String,
}

fn facts(page: &mut Page, report: &Report) {
    let mut facts = vec![Fact {
        name: "Hypothesis",
        value: hypothesis(report.hypothesis).to_owned(),
        note: judged(report),
    }];
    let landed = report.injections.iter().filter(|one| one.landed()).count();
    facts.push(Fact {
        name: "Faults that landed",
        value: format!("{landed} of {}", report.injections.len()),
        note: format!("on {}", count(report.chosen(), "target")),
    });
    facts.push(left(report));
    if let Some(stop) = &report.stop {
        facts.push(Fact {
            name: "Time to stop",
            value: stop
                .took_ms
                .map_or_else(|| "unknown".to_owned(), |took| format!("{took} ms")),
            note: match (&stop.breach, stop.took_ms) {
                (_, None) => "no fault was on, or one was not seen to be gone".to_owned(),
                (Some(_), _) => "from the breach to the last fault gone".to_owned(),
                (None, _) => "from the request to the last fault gone".to_owned(),
            },
        });
    } else if let Some(took) = report.rollback_ms {
        facts.push(Fact {
            name: "Rollback",
            value: format!("{took} ms"),
            note: "until the last fault was gone".to_owned(),
        });
    }
    facts.push(Fact {
        name: "Duration",
        value: duration::go(report.duration_ms),
        note: report
            .started
            .get(..16)
            .map_or_else(String::new, |time| format!("from {} UTC", time.replace('T', " "))),
    });
    page.raw("<dl class=\"facts\">");
    for fact in facts {
        page.raw("<div>");
        page.element("dt", &[], fact.name).element("dd", &[], &fact.value);
        if !fact.note.is_empty() {
            page.element("dd", &[], &fact.note);
        }
        page.raw("</div>");
    }
    page.raw("</dl>");
}

/// Why the hypothesis is what it is.
fn judged(report: &Report) -> String {
    let during = report
        .probes
        .iter()
        .filter(|probe| probe.critical)
        .flat_map(|probe| &probe.moments);
    let during = during.filter(|moment| moment.moment == Moment::During);
    let violations: u64 = during.map(|moment| moment.violations).sum();
    if report.hypothesis == Hypothesis::Violated && violations > 0 {
        let readings = count(violations as usize, "reading");
        return format!("by {readings} while a fault was on");
    }
    let judged: Vec<_> = report.probes.iter().filter(|probe| probe.decided().is_some()).collect();
    let held = judged.iter().filter(|probe| probe.passed()).count();
    format!("{held} of {} held", count(judged.len(), "judged probe"))
}

/// What is left in the system.
fn left(report: &Report) -> Fact {
    let undos = undos(report);
    let left = undos.iter().filter(|undo| !undo.over).count();
    let (value, note) = match (&report.certificate, left) {
        (_, 1..) => (count(left, "injection"), "see what to do by hand"),
        (Some(_), _) if undos.is_empty() => ("nothing".to_owned(), "nothing was touched"),
        (Some(_), _) => ("nothing".to_owned(), "as read from the system"),
        (None, _) if undos.is_empty() && report.verdict.is_some() => ("nothing".to_owned(), "nothing was touched"),
        (None, _) => ("unknown".to_owned(), "there is no certificate"),
    };
    Fact {
        name: "Left in the system",
        value,
        note: note.to_owned(),
    }
}

/// `1 target`, `2 targets`.
pub(super) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// What a person must do where something is left.
pub(super) fn by_hand(page: &mut Page, report: &Report) {
    let left: Vec<_> = undos(report).into_iter().filter(|undo| !undo.over).collect();
    if left.is_empty() {
        return;
    }
    section(
        page,
        "by-hand",
        "Something is left: what to do by hand",
        "hand",
        |page| {
            page.raw("<p>As root, on the machine of the run:</p><pre>");
            for undo in &left {
                page.text("# ").text(&undo.what).raw("\n");
                for command in &undo.manual {
                    page.copied(command).raw("\n");
                }
            }
            page.raw("# then\nfracas recover</pre>");
        },
    );
}

/// When what happened.
pub(super) fn timeline(page: &mut Page, report: &Report, times: Times) {
    section(page, "timeline", "Timeline", "", |page| {
        if let Some(line) = stopped(report) {
            page.element("p", &[("class", "lead")], &format!("Stopped: {line}."));
        }
        timeline::draw(page, report, times);
    });
}
