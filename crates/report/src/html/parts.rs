//! The tables of the report: doses, certificate, targets, phases, metrics, remarks, environment.

use fracas_core::event::Outcome;
use fracas_core::experiment::Format;
use fracas_core::record::Landed;

use super::page::Page;
use super::probes::{HEAD, row};
use super::table::{Cell, figures, table};
use super::{pairs, section, summary::count};
use crate::duration;
use crate::lines::undo_words;
use crate::model::{At, InjectionReport, Report};
use crate::undo::undos;

/// What was put on, and how much of it arrived.
pub(super) fn doses(page: &mut Page, report: &Report) {
    if report.injections.is_empty() {
        return;
    }
    section(page, "faults", "Faults and doses", "", |page| {
        let lead = "Delivered is what another meter read than the one that put the fault on.";
        page.element("p", &[("class", "lead")], lead);
        let rows = report.injections.iter().map(|one| {
            let dose = one.dose.as_ref();
            let time = |at: &Option<At>| {
                at.as_ref()
                    .map_or_else(|| "never".to_owned(), |at| duration::go(at.elapsed_ms))
            };
            vec![
                Cell::text(format!("{} {} ({})", one.number, one.fault, one.kind)),
                Cell::text(&one.target),
                Cell::text(dose.map_or_else(|| one.change.clone(), |dose| dose.asked.clone())),
                Cell::text(delivered(one)),
                landed(one, report.dry_run),
                Cell::number(time(&one.applied)),
                Cell::number(time(&one.gone)),
                Cell::text(undo_words(one.undo)),
            ]
        });
        let head = [
            "injection",
            "target",
            "asked",
            "delivered",
            "landed",
            "on at",
            "gone at",
            "undo",
        ];
        table(page, "", &head, &rows.collect::<Vec<_>>());
    });
}

fn delivered(one: &InjectionReport) -> String {
    let mut parts = Vec::new();
    if let Some(dose) = &one.dose {
        parts.push(dose.delivered.clone());
        parts.extend(dose.effect.clone());
        if let Landed::No(why) | Landed::Unmeasured(why) = &dose.landed {
            parts.push(why.clone());
        }
        if one.dose_missed > 0 {
            let (missed, all) = (one.dose_missed, one.dose_measurements);
            parts.push(format!("not so in {missed} of {all} measurements"));
        }
    } else if one.applied.is_some() {
        parts.push("not measured".to_owned());
    }
    if one.restarts > 0 {
        parts.push(format!("its target restarted {}", count(one.restarts as usize, "time")));
    }
    parts.extend(one.problems.iter().take(3).map(ToString::to_string));
    parts.join("; ")
}

fn landed(one: &InjectionReport, dry: bool) -> Cell {
    match (&one.dose, &one.applied) {
        _ if dry => Cell::text("dry run"),
        (_, None) => Cell::mark(Some(false), "never on"),
        (None, _) => Cell::mark(None, "unmeasured"),
        (Some(dose), _) => match dose.landed {
            Landed::Yes => Cell::mark(Some(true), "yes"),
            Landed::No(_) => Cell::mark(Some(false), "no"),
            Landed::Unmeasured(_) => Cell::mark(None, "unmeasured"),
        },
    }
}

/// What is left, line by line.
pub(super) fn certificate(page: &mut Page, report: &Report) {
    let undos = undos(report);
    if undos.is_empty() && report.certificate.is_none() {
        return;
    }
    section(page, "certificate", "Certificate", "", |page| {
        let over = undos.iter().filter(|undo| undo.over).count();
        let lead = if undos.is_empty() {
            "Nothing was touched, so nothing is left.".to_owned()
        } else {
            format!(
                "{over} of {} gone, as read from the system after the undo.",
                count(undos.len(), "injection")
            )
        };
        page.element("p", &[("class", "lead")], &lead);
        let rows = undos.iter().map(|undo| {
            let engine = match undo.engine_millis {
                0 => String::new(),
                ms => format!(", engine {ms}"),
            };
            vec![
                Cell::text(&undo.what),
                Cell::mark(Some(undo.over), if undo.over { "gone" } else { "left" }),
                Cell::text(&undo.result),
                Cell::number(format!("{} ms{engine}", undo.millis)),
            ]
        });
        table(
            page,
            "",
            &["injection", "state", "undo and what was then seen", "took"],
            &rows.collect::<Vec<_>>(),
        );
    });
}

/// Who was chosen, and why the others were not.
pub(super) fn targets(page: &mut Page, report: &Report) {
    if report.targets.is_empty() {
        return;
    }
    section(page, "targets", "Targets", "", |page| {
        for (alias, targets) in &report.targets {
            let rows = targets.candidates.iter().map(|candidate| {
                let chosen = if candidate.chosen {
                    Cell::mark(Some(true), "chosen")
                } else {
                    Cell::text("left alone")
                };
                vec![
                    Cell::text(&candidate.identity),
                    chosen,
                    Cell::text(candidate.why.as_deref().unwrap_or_default()),
                ]
            });
            let caption = format!("{alias}: {}", targets.sum);
            if targets.candidates.is_empty() {
                page.element("p", &[], &caption);
            }
            table(
                page,
                &caption,
                &["candidate", "choice", "why"],
                &rows.collect::<Vec<_>>(),
            );
        }
    });
}

/// The phases.
pub(super) fn phases(page: &mut Page, report: &Report) {
    if report.phases.is_empty() {
        return;
    }
    section(page, "phases", "Phases", "", |page| {
        let rows = report.phases.iter().map(|entry| {
            let outcome = match entry.outcome {
                Some(Outcome::Done) => Cell::text("done"),
                Some(Outcome::Stopped) => Cell::mark(None, "cut short"),
                Some(Outcome::Failed) => Cell::mark(Some(false), "failed"),
                None => Cell::mark(None, "not ended"),
            };
            vec![
                Cell::text(entry.phase.word()),
                Cell::number(duration::go(entry.start.elapsed_ms)),
                Cell::number(entry.duration_ms.map_or_else(String::new, duration::go)),
                outcome,
            ]
        });
        table(
            page,
            "",
            &["phase", "began at", "took", "outcome"],
            &rows.collect::<Vec<_>>(),
        );
    });
}

/// What was recorded without a judgement.
pub(super) fn metrics(page: &mut Page, report: &Report) {
    if report.metrics.is_empty() {
        return;
    }
    section(page, "metrics", "Metrics", "", |page| {
        for (metric, moments) in &report.metrics {
            let rows = moments.iter().map(|moment| row(moment.moment.to_string(), moment));
            figures(page, metric, &HEAD, &rows.collect::<Vec<_>>());
        }
    });
}

/// What went wrong, and what else a person should know.
pub(super) fn remarks(page: &mut Page, report: &Report) {
    let problems: Vec<String> = report
        .problems
        .iter()
        .map(|one| format!("{one} (next: {})", one.next))
        .collect();
    let mut notes: Vec<String> = report.notes.iter().map(|note| note.text.clone()).collect();
    if report.notes_left_out > 0 {
        notes.push(format!("and {} more", report.notes_left_out));
    }
    for (id, title, items) in [("problems", "Problems", problems), ("notes", "Notes", notes)] {
        if items.is_empty() {
            continue;
        }
        section(page, id, title, "", |page| {
            page.raw("<ul>");
            for item in &items {
                page.element("li", &[], item);
            }
            page.raw("</ul>");
        });
    }
}

/// What the targets logged around the failure, as files beside the report.
pub(super) fn logs(page: &mut Page, report: &Report) {
    if report.logs.is_empty() {
        return;
    }
    section(page, "logs", "Logs around the failure", "", |page| {
        let rows = report.logs.iter().map(|log| {
            let file = match (&log.file, &log.error) {
                (Some(file), _) => file.clone(),
                (None, Some(error)) => error.clone(),
                (None, None) => "nothing was logged".to_owned(),
            };
            vec![
                Cell::text(&log.target),
                Cell::text(file),
                Cell::number(log.lines.to_string()),
            ]
        });
        table(page, "", &["target", "file", "lines"], &rows.collect::<Vec<_>>());
    });
}

/// What ran, by whom, and with what seed.
pub(super) fn environment(page: &mut Page, report: &Report) {
    section(page, "environment", "Environment", "", |page| {
        let document = match report.format {
            Format::Native => "Experiment",
            Format::ChaosScenario => "ChaosScenario",
        };
        let version = report
            .document_version
            .as_ref()
            .map(|version| format!(", version {version}"));
        let chance = match report.decisions.count {
            0 => "nothing was left to chance".to_owned(),
            n => format!("{}, digest {}", count(n as usize, "decision"), report.decisions.digest),
        };
        let tags = (!report.tags.is_empty()).then(|| report.tags.join(", "));
        let machine = report.environment.as_ref();
        let system = machine.map(|one| match &one.kernel {
            Some(kernel) => format!("Linux {kernel} on {}", one.architecture),
            None => one.architecture.clone(),
        });
        let all = [
            ("Run", report.run.as_ref().map(ToString::to_string)),
            ("Fracas", Some(report.fracas.clone())),
            ("Machine", machine.and_then(|one| one.host.clone())),
            ("System", system),
            ("Container engine", machine.and_then(|one| one.engine.clone())),
            ("Document", Some(format!("{document}{}", version.unwrap_or_default()))),
            ("Owner", report.owner.clone()),
            ("Tags", tags),
            ("Began", Some(report.started.clone())),
            ("Ended", Some(report.ended.clone())),
            ("Seed", report.seed.map(|seed| format!("{} ({chance})", seed.0))),
            ("Exit code", report.exit_code.map(|code| code.to_string())),
        ];
        pairs(page, "pair", &all);
    });
}
