//! What was measured: the hypothesis and how it was judged, every probe, and the comparison of its moments.

use fracas_core::number::Number;

use super::page::Page;
use super::scale::Times;
use super::section;
use super::table::{Cell, figures, table};
use crate::compared::METHOD;
use crate::figure::figure;
use crate::model::{MomentReport, ProbeReport, Report};
use crate::scenario::query;
use crate::summary;

/// What was expected, and whether it held.
pub(super) fn judgements(page: &mut Page, report: &Report) {
    section(page, "hypothesis", "Hypothesis", "", |page| {
        let word = summary::hypothesis(report.hypothesis);
        page.element("p", &[("class", "lead")], &format!("While the faults were on: {word}."));
        let rows = report.probes.iter().flat_map(|probe| {
            let expected = probe.expect.map_or_else(String::new, |expect| expect.to_string());
            probe.judgements.iter().map(move |one| {
                let judgement = &one.judgement;
                let words = match (judgement.passed, judgement.critical) {
                    (true, _) => "held",
                    (false, true) => "did not hold",
                    (false, false) => "did not hold, does not count",
                };
                let good = if judgement.critical || judgement.passed {
                    Some(judgement.passed)
                } else {
                    None
                };
                vec![
                    Cell::text(&judgement.probe),
                    Cell::text(judgement.moment.to_string()),
                    Cell::text(expected.clone()),
                    Cell::mark(good, words),
                    Cell::text(&judgement.message),
                ]
            })
        });
        let rows: Vec<_> = rows.collect();
        if rows.is_empty() {
            page.element("p", &[], "No probe was judged.");
        }
        table(page, "", &["probe", "moment", "expected", "result", "reading"], &rows);
    });
}

/// Every probe with its picture and its figures.
pub(super) fn probes(page: &mut Page, report: &Report, times: Times) {
    if report.probes.is_empty() {
        return;
    }
    section(page, "probes", "Probes", "", |page| {
        for probe in &report.probes {
            one(page, report, probe, times);
        }
    });
}

fn one(page: &mut Page, report: &Report, probe: &ProbeReport, times: Times) {
    page.raw("<div class=\"probe\">");
    page.element("h3", &[], &probe.name);
    if let Some(description) = &probe.description {
        page.element("p", &[], description);
    }
    page.raw("<p class=\"asked\">").text(probe.source.name()).raw(" ");
    page.element("code", &[], &query(&probe.source)).raw("</p>");
    if probe.series.is_empty() {
        page.element("p", &[("class", "asked")], "It was never read.");
    } else {
        super::plot::draw(page, report, probe, times);
    }
    let errors: Vec<&MomentReport> = probe.moments.iter().filter(|moment| moment.error.is_some()).collect();
    let rows = probe
        .moments
        .iter()
        .map(|moment| row(moment.moment.to_string(), moment));
    figures(page, "", &HEAD, &rows.collect::<Vec<_>>());
    for moment in errors {
        if let Some(error) = &moment.error {
            let text = format!("{}: the last reading without a value: {error}", moment.moment);
            page.element("p", &[("class", "more")], &text);
        }
    }
    page.raw("</div>");
}

/// The columns of [`row`].
pub(super) const HEAD: [&str; 10] = [
    "moment",
    "n",
    "mean",
    "median",
    "p95",
    "min",
    "max",
    "worst",
    "missing",
    "violations",
];

/// The figures of a moment.
pub(super) fn row(name: String, one: &MomentReport) -> Vec<Cell> {
    let number = |value: Option<Number>| Cell::number(value.map_or_else(String::new, |Number(value)| figure(value, 4)));
    vec![
        Cell::text(name),
        Cell::number(one.stats.n.to_string()),
        number(one.stats.mean),
        number(one.stats.median),
        number(one.stats.p95),
        number(one.stats.min),
        number(one.stats.max),
        number(one.worst),
        Cell::number((one.missing + one.stale).to_string()),
        Cell::number(one.violations.to_string()),
    ]
}

/// Baseline against the time of the faults, and against the recovery.
pub(super) fn comparison(page: &mut Page, report: &Report) {
    if report.probes.iter().all(|probe| probe.comparisons.is_empty()) {
        return;
    }
    section(page, "comparison", "Comparison", "", |page| {
        let mut all = report.probes.iter().flat_map(|probe| &probe.comparisons);
        if all.any(|one| one.test.is_some()) {
            page.element("p", &[("class", "lead")], METHOD);
        }
        let rows = report.probes.iter().flat_map(|probe| {
            probe.comparisons.iter().map(move |one| {
                let [samples, shift, p, says] = one.words();
                let says = match one.test.as_ref().map(|test| test.differs) {
                    Some(true) => Cell::strong(says),
                    _ => Cell::text(says),
                };
                vec![
                    Cell::text(&probe.name),
                    Cell::text(format!("{} to {}", one.first, one.second)),
                    Cell::number(samples),
                    Cell::text(shift),
                    Cell::number(p),
                    says,
                ]
            })
        });
        let head = ["probe", "moments", "samples", "shift (95 % interval)", "p", "result"];
        table(page, "", &head, &rows.collect::<Vec<_>>());
    });
}
