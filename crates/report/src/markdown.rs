//! `report.md`: for a pull request or a wiki.

use fracas_core::number::Number;

use crate::compared::METHOD;
use crate::duration;
use crate::figure::figure;
use crate::lines::undo_words;
use crate::model::{MomentReport, Report};
use crate::plain::{command, markdown as md, plain};
use crate::scenario::query;
use crate::summary;
use crate::undo::undos;

/// The whole file.
pub(crate) fn markdown(report: &Report) -> String {
    let mut out = vec![
        format!("# {}: {}", md(&report.name), report.word()),
        String::new(),
        format!("**{}**: {}", report.word(), md(&report.why)),
        String::new(),
    ];
    if let Some(description) = &report.description {
        out.extend([md(description), String::new()]);
    }
    out.extend(["| | |".to_owned(), "|---|---|".to_owned()]);
    let mut fact = |name: &str, value: String| out.push(format!("| {name} | {value} |"));
    if let Some(run) = &report.run {
        fact("Run", run.to_string());
    }
    fact("Began", md(&report.started));
    fact("Took", duration::go(report.duration_ms));
    fact("Hypothesis", summary::hypothesis(report.hypothesis).to_owned());
    if let Some(owner) = &report.owner {
        fact("Owner", md(owner));
    }
    if let Some(version) = &report.document_version {
        fact("Version", md(version));
    }
    if !report.tags.is_empty() {
        fact("Tags", md(&report.tags.join(", ")));
    }
    if let Some(seed) = report.seed {
        let (count, digest) = (report.decisions.count, md(&report.decisions.digest));
        fact(
            "Seed",
            format!("{} (decisions by chance: {count}, digest {digest})", seed.0),
        );
    }
    if report.dry_run {
        fact("Dry run", "nothing was applied".to_owned());
    }
    if let Some(line) = summary::stopped(report) {
        fact("Stopped", md(&line));
    }
    if let Some(took) = report.rollback_ms {
        fact("Rollback", format!("{took} ms until the last fault was gone"));
    }
    fact("Fracas", md(&report.fracas));
    if let Some(machine) = &report.environment {
        fact("Environment", md(&machine.words()));
    }
    out.push(String::new());

    let phases = report.phases.iter().map(|entry| {
        let outcome = entry.outcome.map_or_else(
            || "not ended".to_owned(),
            |outcome| format!("{outcome:?}").to_lowercase(),
        );
        let took = entry.duration_ms.map_or_else(String::new, duration::go);
        vec![entry.phase.word().to_owned(), took, outcome]
    });
    table(&mut out, "Phases", &["phase", "took", "outcome"], phases);

    let targets = report.targets.iter().flat_map(|(alias, targets)| {
        targets.candidates.iter().map(move |candidate| {
            let why = candidate.why.as_deref().unwrap_or_default();
            let chosen = if candidate.chosen { "yes" } else { "no" };
            vec![md(alias), md(&candidate.identity), chosen.to_owned(), md(why)]
        })
    });
    table(&mut out, "Targets", &["alias", "candidate", "chosen", "why"], targets);
    for (alias, targets) in &report.targets {
        out.extend([format!("{}: {}", md(alias), md(&targets.sum)), String::new()]);
    }

    let injections = report.injections.iter().map(|one| {
        let time = |at: Option<u64>| at.map_or_else(|| "never".to_owned(), duration::go);
        vec![
            md(&summary::injection(one)),
            md(&one.change),
            undo_words(one.undo).to_owned(),
            time(one.applied.as_ref().map(|at| at.elapsed_ms)),
            time(one.gone.as_ref().map(|at| at.elapsed_ms)),
        ]
    });
    table(
        &mut out,
        "Faults",
        &["injection", "change", "undo", "on at", "gone at"],
        injections,
    );

    let judgements = report.probes.iter().flat_map(|probe| {
        probe.judgements.iter().map(|one| {
            let judgement = &one.judgement;
            let result = match (judgement.passed, judgement.critical) {
                (true, _) => "✓",
                (false, true) => "✗",
                (false, false) => "✗ (does not count)",
            };
            vec![
                md(&judgement.probe),
                judgement.moment.to_string(),
                result.to_owned(),
                md(&judgement.message),
            ]
        })
    });
    table(&mut out, "Judgements", &["probe", "moment", "", "message"], judgements);

    let figures = [
        "",
        "moment",
        "n",
        "mean",
        "median",
        "p95",
        "min",
        "max",
        "worst",
        "missing",
        "stale",
        "violations",
    ];
    let probes = report.probes.iter().flat_map(|probe| {
        let threshold = probe
            .expect
            .map_or_else(String::new, |expect| format!(" ({})", md(&expect.to_string())));
        let name = format!("{}{threshold}", md(&probe.name));
        probe.moments.iter().map(move |moment| row(&name, moment))
    });
    table(&mut out, "Probes", &figures, probes);
    for probe in &report.probes {
        // In a code span nothing is markup but the backtick that would end it.
        let asked = plain(&query(&probe.source)).replace('`', "'");
        out.push(format!("- {}: {} `{asked}`", md(&probe.name), probe.source.name()));
    }
    if !report.probes.is_empty() {
        out.push(String::new());
    }
    let metrics = report
        .metrics
        .iter()
        .flat_map(|(metric, moments)| moments.iter().map(move |moment| row(&md(metric), moment)));
    table(&mut out, "Metrics", &figures, metrics);

    let comparisons = report.probes.iter().flat_map(|probe| {
        probe.comparisons.iter().map(|one| {
            let [samples, shift, p, says] = one.words();
            let moments = format!("{} to {}", one.first, one.second);
            vec![md(&probe.name), moments, samples, shift, md(&p), md(&says)]
        })
    });
    let head = ["probe", "moments", "samples", "shift (95 % interval)", "p", "result"];
    table(&mut out, "Comparison", &head, comparisons);
    let mut compared = report.probes.iter().flat_map(|probe| &probe.comparisons);
    if compared.any(|one| one.test.is_some()) {
        out.extend([METHOD.to_owned(), String::new()]);
    }

    let undos = undos(report);
    let certificate = undos.iter().map(|undo| {
        vec![
            undo.mark().to_string(),
            md(&undo.what),
            md(&undo.result),
            undo.millis.to_string(),
        ]
    });
    table(&mut out, "Certificate", &["", "what", "result", "ms"], certificate);
    let left: Vec<_> = undos.iter().filter(|undo| !undo.over).collect();
    if !left.is_empty() {
        // An indented block has no closing mark that a text could forge.
        out.extend(["## By hand".to_owned(), String::new()]);
        for undo in left {
            out.push(format!("    # {}", plain(&undo.what)));
            out.extend(undo.manual.iter().map(|text| format!("    {}", command(text))));
        }
        out.extend(["    fracas recover".to_owned(), String::new()]);
    }
    let logs = report.logs.iter().map(|log| {
        let file = match (&log.file, &log.error) {
            (Some(file), _) => file.as_str(),
            (None, Some(error)) => error.as_str(),
            (None, None) => "nothing was logged",
        };
        vec![md(&log.target), md(file), log.lines.to_string()]
    });
    table(&mut out, "Logs around the failure", &["target", "file", "lines"], logs);
    let problems: Vec<String> = report
        .problems
        .iter()
        .map(|one| format!("{one} (next: {})", one.next))
        .collect();
    let notes: Vec<String> = report.notes.iter().map(|note| note.text.clone()).collect();
    for (title, items) in [("Problems", problems), ("Notes", notes)] {
        if !items.is_empty() {
            out.extend([format!("## {title}"), String::new()]);
            out.extend(items.iter().map(|item| format!("- {}", md(item))));
            out.push(String::new());
        }
    }
    out.join("\n")
}

fn table(out: &mut Vec<String>, title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return;
    }
    out.extend([
        format!("## {title}"),
        String::new(),
        format!("| {} |", head.join(" | ")),
        format!("|{}", "---|".repeat(head.len())),
    ]);
    out.extend(rows.iter().map(|row| format!("| {} |", row.join(" | "))));
    out.push(String::new());
}

fn row(name: &str, one: &MomentReport) -> Vec<String> {
    let number = |value: Option<Number>| value.map_or_else(String::new, |Number(value)| figure(value, 6));
    vec![
        name.to_owned(),
        one.moment.to_string(),
        one.stats.n.to_string(),
        number(one.stats.mean),
        number(one.stats.median),
        number(one.stats.p95),
        number(one.stats.min),
        number(one.stats.max),
        number(one.worst),
        one.missing.to_string(),
        one.stale.to_string(),
        one.violations.to_string(),
    ]
}
