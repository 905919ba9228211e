//! A probe over time, with its thresholds and the faults behind it.

use std::fmt::Write as _;

use fracas_core::probe::Expect;

use super::page::Page;
use super::scale::{Times, Values, clock};
use super::table::{Cell, table};
use super::timeline::{axis, pixels, stretches};
use crate::figure::figure;
use crate::model::{ProbeReport, Report};
use crate::series::Point;

/// Pixels: from the top of the drawing to the top of the values, and how high these are.
const TOP: f64 = 14.0;
const HEIGHT: f64 = 150.0;
/// The width of the coordinates of a path; it is stretched to the page.
const WIDE: f64 = 1000.0;
/// Up to so many readings are drawn one by one.
const DOTS: usize = 90;
/// A threshold is drawn unless the values would then have less than one in so many parts of the height.
const FAR_EXPECT: f64 = 12.0;
const FAR_ABORT: f64 = 5.0;
/// So many rows has the table that says the same.
const ROWS: usize = 24;

pub(super) fn draw(page: &mut Page, report: &Report, probe: &ProbeReport, times: Times) {
    let data = probe
        .series
        .iter()
        .flat_map(|point| [point.min, point.max])
        .flatten()
        .map(|one| one.0);
    let within = Values::holding(data.clone(), TOP, HEIGHT).span();
    // A threshold far away would press the values into a line.
    let near = |threshold: &Expect, far: f64| {
        let with = Values::holding(data.clone().chain([threshold.number]), TOP, HEIGHT);
        within * far >= with.span()
    };
    let expect = probe.expect.filter(|expect| near(expect, FAR_EXPECT));
    let abort = probe.abort.filter(|abort| near(abort, FAR_ABORT));
    let thresholds = expect.into_iter().chain(abort).map(|threshold| threshold.number);
    let values = Values::holding(data.clone().chain(thresholds), TOP, HEIGHT);
    let bottom = TOP + HEIGHT;

    page.open("figure", &[]);
    let title = format!(
        "{} over time; the same values are in the table below the picture.",
        probe.name
    );
    page.open(
        "svg",
        &[
            ("role", "img"),
            ("height", &pixels(bottom + 22.0)),
            ("aria-label", &title),
        ],
    );
    for (from, until) in stretches(report.injections.iter(), report.duration_ms) {
        page.shape(
            "rect",
            &[
                ("class", "fault"),
                ("x", &times.at(from)),
                ("y", &pixels(TOP)),
                ("width", &times.width(from, until)),
                ("height", &pixels(HEIGHT)),
            ],
        );
    }
    axis(page, times, TOP, bottom);
    let marks = values.marks();
    for (value, _) in &marks {
        line(page, "grid", values.at(*value));
    }
    if let Some(expect) = expect {
        line(page, "expect", values.at(expect.number));
    }
    if let Some(abort) = abort {
        line(page, "abort", values.at(abort.number));
    }
    paths(page, probe, times, &values);
    for (value, text) in &marks {
        let y = pixels((values.at(*value) - 4.0).max(10.0));
        page.element("text", &[("class", "halo"), ("x", "4"), ("y", &y)], text);
    }
    labels(page, probe, [expect, abort], &values);
    page.close("svg");
    legend(page, report, probe);
    page.close("figure");
    readings(page, probe, report);
}

fn line(page: &mut Page, class: &str, y: f64) {
    let y = pixels(y);
    page.shape(
        "line",
        &[("class", class), ("x1", "0"), ("x2", "100%"), ("y1", &y), ("y2", &y)],
    );
}

/// The values: a line, or where several readings were joined the area between their extremes; and what there is no value of.
fn paths(page: &mut Page, probe: &ProbeReport, times: Times, values: &Values) {
    page.open(
        "svg",
        &[
            ("x", "0"),
            ("y", "0"),
            ("width", "100%"),
            ("height", &pixels(TOP + HEIGHT)),
            ("viewBox", &format!("0 0 {WIDE} {}", TOP + HEIGHT)),
            ("preserveAspectRatio", "none"),
        ],
    );
    let x = |point: &Point| times.share(point.elapsed_ms) / 100.0 * WIDE;
    // A stretch without any value interrupts the line.
    for part in probe
        .series
        .split(|point| point.max.is_none())
        .filter(|part| part.len() > 1)
    {
        let (mut there, mut back, mut joined) = (String::new(), Vec::new(), false);
        for point in part {
            let (Some(min), Some(max)) = (point.min, point.max) else {
                continue;
            };
            let (low, high) = (values.at(min.0), values.at(max.0));
            let letter = if there.is_empty() { 'M' } else { 'L' };
            // Writing to a String cannot fail.
            let _ = write!(there, "{letter}{} {}", pixels(x(point)), pixels(high));
            back.push(format!("L{} {}", pixels(x(point)), pixels(low)));
            joined |= (low - high).abs() >= 0.05;
        }
        if joined {
            back.reverse();
            let path = format!("{there}{}Z", back.concat());
            page.shape("path", &[("class", "area"), ("d", &path)]);
        } else {
            page.shape("path", &[("class", "line"), ("d", &there)]);
        }
    }
    page.close("svg");
    gaps(page, probe, times);
    dots(page, probe, times, values);
}

/// Where there was no value: a mark for each streak.
fn gaps(page: &mut Page, probe: &ProbeReport, times: Times) {
    let y = pixels(TOP + HEIGHT - 8.0);
    for streak in probe.series.chunk_by(|a, b| a.missing > 0 && b.missing > 0) {
        let (first, last) = (streak[0], streak[streak.len() - 1]);
        if first.missing > 0 {
            let (x, width) = (
                times.at(first.elapsed_ms),
                times.width(first.elapsed_ms, last.elapsed_ms),
            );
            page.shape(
                "rect",
                &[
                    ("class", "gap"),
                    ("x", &x),
                    ("y", &y),
                    ("width", &width),
                    ("height", "8"),
                ],
            );
        }
    }
}

/// Each reading of a short run. Of a long one a strip along the top, where the expectation was violated.
fn dots(page: &mut Page, probe: &ProbeReport, times: Times, values: &Values) {
    let few = probe.series.len() <= DOTS;
    for point in probe.series.iter().filter(|_| few) {
        let (Some(_), Some(max)) = (point.min, point.max) else {
            continue;
        };
        let bad = violation(probe, point);
        let (class, radius) = if bad.is_some() {
            ("dot bad", "3.5")
        } else {
            ("dot", "2.25")
        };
        let (x, y) = (times.at(point.elapsed_ms), pixels(values.at(bad.unwrap_or(max.0))));
        page.shape("circle", &[("class", class), ("cx", &x), ("cy", &y), ("r", radius)]);
    }
    let bad = |point: &Point| violation(probe, point).is_some();
    for streak in probe.series.chunk_by(|a, b| bad(a) && bad(b)).filter(|_| !few) {
        let (first, last) = (streak[0], streak[streak.len() - 1]);
        if bad(&first) {
            let (x, width) = (
                times.at(first.elapsed_ms),
                times.width(first.elapsed_ms, last.elapsed_ms),
            );
            let y = pixels(TOP - 5.0);
            page.shape(
                "rect",
                &[
                    ("class", "bad"),
                    ("x", &x),
                    ("y", &y),
                    ("width", &width),
                    ("height", "4"),
                ],
            );
        }
    }
}

/// The value that does not meet the expectation.
fn violation(probe: &ProbeReport, point: &Point) -> Option<f64> {
    let expect = probe.expect?;
    let values = [point.max, point.min].into_iter().flatten();
    values.map(|value| value.0).find(|value| !expect.holds(*value))
}

/// What the lines of the thresholds are, and where those would be that are too far away to be drawn.
fn labels(page: &mut Page, probe: &ProbeReport, [expect, abort]: [Option<Expect>; 2], values: &Values) {
    let mut label = |class: &str, text: &str, y: f64| {
        let y = pixels(y.clamp(10.0, TOP + HEIGHT - 3.0));
        let place = [
            ("class", class),
            ("x", "100%"),
            ("dx", "-4"),
            ("y", &y),
            ("text-anchor", "end"),
        ];
        page.element("text", &place, text);
    };
    // Where the first label stands, so that the other keeps away.
    let mut taken = None;
    let mut told = |word: &str, class: &str, threshold: Expect, drawn: bool| {
        let (text, mut y) = if drawn {
            (format!("{word} {threshold}"), values.at(threshold.number) - 5.0)
        } else if values.is_above(threshold.number) {
            (format!("{word} {threshold}, far above"), 10.0)
        } else {
            (format!("{word} {threshold}, far below"), TOP + HEIGHT - 4.0)
        };
        if let Some(taken) = taken.filter(|taken: &f64| (taken - y).abs() < 14.0) {
            y = if taken < TOP + HEIGHT / 2.0 {
                taken + 15.0
            } else {
                taken - 15.0
            };
        }
        label(class, &text, y);
        taken = Some(y);
    };
    let expected = probe.expect.map(|one| ("expect", "expect halo", one, expect.is_some()));
    let aborted = probe.abort.map(|one| ("abort", "abort halo", one, abort.is_some()));
    // What is not drawn belongs to the edge, so the other makes room.
    let order = if abort.is_none() {
        [aborted, expected]
    } else {
        [expected, aborted]
    };
    for (word, class, threshold, drawn) in order.into_iter().flatten() {
        told(word, class, threshold, drawn);
    }
}

fn legend(page: &mut Page, report: &Report, probe: &ProbeReport) {
    page.open("figcaption", &[("class", "legend")]);
    page.raw("<span><span class=\"key value\"></span>value</span>");
    if report.applied() > 0 {
        page.raw("<span><span class=\"key fault\"></span>a fault was on</span>");
    }
    if probe.series.iter().any(|point| violation(probe, point).is_some()) {
        page.raw("<span><span class=\"key bad\"></span>not as expected</span>");
    }
    if probe.series.iter().any(|point| point.missing > 0) {
        page.raw("<span><span class=\"key gap\"></span>no value</span>");
    }
    page.close("figcaption");
}

/// The same as a table, in a few stretches.
fn readings(page: &mut Page, probe: &ProbeReport, report: &Report) {
    if probe.series.is_empty() {
        return;
    }
    let on = stretches(report.injections.iter(), report.duration_ms);
    let each = probe.series.len().div_ceil(ROWS);
    let rows = probe.series.chunks(each).map(|part| {
        let mut whole = part[0];
        for point in &part[1..] {
            whole.join(point);
        }
        let (from, until) = (part[0].elapsed_ms, part[part.len() - 1].elapsed_ms);
        let fault = on.iter().any(|(begin, end)| *begin <= until && from <= *end);
        let value = |value: Option<fracas_core::number::Number>| {
            value.map_or_else(|| "none".to_owned(), |one| figure(one.0, 4))
        };
        let time = if from == until {
            clock(from)
        } else {
            format!("{} to {}", clock(from), clock(until))
        };
        vec![
            Cell::text(time),
            Cell::number(value(whole.min)),
            Cell::number(value(whole.max)),
            Cell::number(whole.missing.to_string()),
            Cell::text(if fault { "yes" } else { "no" }),
        ]
    });
    page.raw("<details><summary>Values as a table</summary>");
    let head = ["time", "lowest", "highest", "missing", "fault on"];
    table(
        page,
        &format!("{} over time", probe.name),
        &head,
        &rows.collect::<Vec<_>>(),
    );
    page.raw("</details>");
}
