//! `report.html`: the report for people, in one file that needs no network and no script.
//!
//! The page is made of the same [`Report`] as every other form. A policy in its head forbids whatever it does not need, so that a
//! browser would refuse what a name or a log line might smuggle in; nothing gets in, see [`page`].

mod page;
mod parts;
mod plot;
mod probes;
mod scale;
mod summary;
mod table;
mod timeline;

use self::page::Page;
use self::scale::Times;
use crate::model::Report;

/// The whole file.
pub(crate) fn html(report: &Report) -> String {
    let mut page = Page::default();
    let name = if report.name.is_empty() { "A run" } else { &report.name };
    page.raw(concat!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>",
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; ",
        "base-uri 'none'; form-action 'none'\"/>",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>",
        "<meta name=\"referrer\" content=\"no-referrer\"/>",
    ));
    page.element("title", &[], &format!("{}: {name}", report.word()));
    page.raw("<style>")
        .raw(include_str!("html/style.css"))
        .raw("</style></head><body>");
    page.raw("<header>");
    summary::head(&mut page, report, name);
    page.raw("</header><main>");
    summary::by_hand(&mut page, report);
    let times = Times::new(report.duration_ms);
    summary::timeline(&mut page, report, times);
    probes::judgements(&mut page, report);
    probes::probes(&mut page, report, times);
    probes::comparison(&mut page, report);
    parts::doses(&mut page, report);
    parts::certificate(&mut page, report);
    parts::targets(&mut page, report);
    parts::phases(&mut page, report);
    parts::metrics(&mut page, report);
    parts::logs(&mut page, report);
    parts::remarks(&mut page, report);
    parts::environment(&mut page, report);
    page.raw("</main><footer>");
    page.element(
        "p",
        &[],
        &format!(
            "Made by Fracas {}. The same facts for programs are in report.json.",
            report.fracas
        ),
    );
    page.raw("</footer></body></html>\n");
    page.into_string()
}

/// A section with its heading, which names it for a screen reader.
fn section(
    page: &mut Page,
    id: &'static str,
    title: &'static str,
    class: &'static str,
    inside: impl FnOnce(&mut Page),
) {
    page.open("section", &[("aria-labelledby", id), ("class", class)]);
    page.element("h2", &[("id", id)], title);
    inside(page);
    page.close("section");
}

/// A list of names and values; those without a value are left out.
fn pairs(page: &mut Page, class: &'static str, pairs: &[(&'static str, Option<String>)]) {
    page.open("dl", &[("class", class)]);
    for (name, value) in pairs {
        if let Some(value) = value {
            page.element("dt", &[], name).element("dd", &[], value);
        }
    }
    page.close("dl");
}

#[cfg(test)]
mod tests;
