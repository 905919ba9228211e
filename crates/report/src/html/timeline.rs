//! The run on one line: its phases, and when each fault was on.

use super::page::Page;
use super::scale::{Times, clock, percent};
use crate::duration;
use crate::model::{InjectionReport, Report};
use crate::plain::shortened;

/// Pixels: the band of phases, a row of a fault, the axis.
const BAND: f64 = 26.0;
const ROW: f64 = 34.0;
const AXIS: f64 = 22.0;
/// Room above the band for the mark of a stop.
const TOP: f64 = 18.0;

/// So many faults get a row; the table below has all.
const MOST: usize = 24;

/// The width of a phone's page in pixels: a label is only drawn where it fits there.
const NARROW: f64 = 358.0;
/// A character's width at most.
const LETTER: f64 = 6.5;

/// The stretches in which any of these injections was on, joined where they touch, in milliseconds.
pub(super) fn stretches<'a>(injections: impl Iterator<Item = &'a InjectionReport>, end: u64) -> Vec<(u64, u64)> {
    let mut on: Vec<(u64, u64)> = injections
        .filter_map(|one| {
            let from = one.applied.as_ref()?.elapsed_ms;
            let until = one.gone.as_ref().map_or(end, |gone| gone.elapsed_ms);
            Some((from, until.max(from)))
        })
        .collect();
    on.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (from, until) in on {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            _ => joined.push((from, until)),
        }
    }
    joined
}

pub(super) fn draw(page: &mut Page, report: &Report, times: Times) {
    let faults: Vec<_> = report
        .faults
        .iter()
        .filter(|fault| report.injections.iter().any(|one| one.fault == fault.name))
        .collect();
    let rows = faults.len().min(MOST) as f64;
    let bottom = TOP + BAND + 10.0 + rows * ROW;
    let height = bottom + AXIS;
    let title = format!(
        "Timeline of {}: {} phases, {} faults. The same figures are in the tables of phases and faults.",
        duration::go(report.duration_ms),
        report.phases.len(),
        faults.len()
    );
    page.open("figure", &[]);
    page.open(
        "svg",
        &[("role", "img"), ("height", &pixels(height)), ("aria-label", &title)],
    );
    axis(page, times, TOP, bottom);
    for entry in &report.phases {
        let from = entry.start.elapsed_ms;
        let until = entry
            .duration_ms
            .map_or(report.duration_ms, |took| from.saturating_add(took));
        let share = times.share(until) - times.share(from);
        // The short ones are in the table; drawn, they would be a heap of lines.
        if share < 0.5 {
            continue;
        }
        page.shape(
            "rect",
            &[
                ("class", "phase"),
                ("x", &times.at(from)),
                ("y", &pixels(TOP)),
                ("width", &percent(share)),
                ("height", &pixels(BAND)),
            ],
        );
        let word = entry.phase.word();
        if share / 100.0 * NARROW >= word.len() as f64 * LETTER + 4.0 {
            let middle = percent(times.share(from) + share / 2.0);
            page.element(
                "text",
                &[
                    ("class", "strong"),
                    ("x", &middle),
                    ("y", &pixels(TOP + 17.5)),
                    ("text-anchor", "middle"),
                ],
                word,
            );
        }
    }
    for (row, fault) in faults.iter().take(MOST).enumerate() {
        let top = TOP + BAND + 10.0 + row as f64 * ROW;
        let of_fault = || report.injections.iter().filter(|one| one.fault == fault.name);
        let targets = of_fault().count();
        let noun = if targets == 1 { "target" } else { "targets" };
        let label = format!("{} on {targets} {noun}", shortened(&fault.name, 32));
        page.element(
            "text",
            &[("class", "strong halo"), ("x", "0"), ("y", &pixels(top + 13.0))],
            &label,
        );
        let on = stretches(of_fault(), report.duration_ms);
        for (from, until) in &on {
            page.shape(
                "rect",
                &[
                    ("class", "bar"),
                    ("x", &times.at(*from)),
                    ("y", &pixels(top + 19.0)),
                    ("width", &times.width(*from, *until)),
                    ("height", "9"),
                ],
            );
        }
        if on.is_empty() {
            page.element("text", &[("x", "0"), ("y", &pixels(top + 28.0))], "never on");
        }
    }
    stop(page, report, times, bottom);
    page.close("svg");
    let more = match faults.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" {more} further faults are in the table."),
    };
    let caption = format!("Bars: at least one of the fault's injections was on.{more}");
    page.element("figcaption", &[], &caption);
    page.close("figure");
}

/// Lines and labels of the time axis, from the top of a drawing to its bottom.
pub(super) fn axis(page: &mut Page, times: Times, top: f64, bottom: f64) {
    for mark in times.marks() {
        let (x, share) = (times.at(mark), times.share(mark));
        page.shape(
            "line",
            &[
                ("class", "grid"),
                ("x1", &x),
                ("x2", &x),
                ("y1", &pixels(top)),
                ("y2", &pixels(bottom)),
            ],
        );
        // Within the drawing at both ends.
        let anchor = match share {
            share if share < 5.0 => "start",
            share if share > 94.0 => "end",
            _ => "middle",
        };
        page.element(
            "text",
            &[("x", &x), ("y", &pixels(bottom + 16.0)), ("text-anchor", anchor)],
            &clock(mark),
        );
    }
    page.shape(
        "line",
        &[
            ("class", "axis"),
            ("x1", "0"),
            ("x2", "100%"),
            ("y1", &pixels(bottom)),
            ("y2", &pixels(bottom)),
        ],
    );
}

/// Where the run was stopped: at the breach, if there was one.
fn stop(page: &mut Page, report: &Report, times: Times, bottom: f64) {
    let Some(stop) = &report.stop else { return };
    let (word, at) = match &stop.breach {
        Some(breach) => ("breach", breach.elapsed_ms),
        None => ("stop", stop.asked.elapsed_ms),
    };
    let x = times.at(at);
    let anchor = if times.share(at) > 60.0 { "end" } else { "start" };
    page.shape(
        "line",
        &[
            ("class", "stop"),
            ("x1", &x),
            ("x2", &x),
            ("y1", &pixels(TOP - 4.0)),
            ("y2", &pixels(bottom)),
        ],
    );
    page.element(
        "text",
        &[("class", "stop"), ("x", &x), ("y", "11"), ("text-anchor", anchor)],
        &format!("{word} {}", clock(at)),
    );
}

/// Pixels as an attribute.
pub(super) fn pixels(pixels: f64) -> String {
    let text = format!("{pixels:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
