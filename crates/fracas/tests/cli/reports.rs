//! What runs say: standard output, standard error, and what is told of them later.

use serde_json::Value;

use crate::cli::{Cli, HOLDS, experiment};
use crate::support::{LIMIT, Target, soon};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))
}

/// A short run that passes.
fn one(words: &[&str]) -> Option<(Cli, crate::cli::Said)> {
    let target = Target::process()?;
    let cli = Cli::new();
    let file = cli.file("e.yaml", &experiment(&target, HOLDS, "200ms"));
    let mut all = vec!["run", &file, "--yes"];
    all.extend(words);
    let said = cli.run(&all);
    assert_eq!(said.code, 0, "{}", said.err);
    Some((cli, said))
}

#[test]
fn standard_output_is_json_only() {
    let Some((_, said)) = one(&["--format", "json"]) else {
        return;
    };
    let report = json(&said.out);
    assert_eq!(report["verdict"], "passed");
    assert!(said.err.contains("PASSED"), "{}", said.err);
}

#[test]
fn the_log_is_one_json_object_per_line() {
    let Some((_, said)) = one(&["--log-format", "json", "-v"]) else {
        return;
    };
    let lines: Vec<Value> = said.err.lines().map(json).collect();
    assert_eq!(lines[0]["seq"], 0);
    assert!(lines.last().unwrap()["what"]["run_ended"].is_object(), "{}", said.err);
    let told: Vec<u64> = lines.iter().filter_map(|line| line["seq"].as_u64()).collect();
    assert_eq!(
        told,
        (0..told.len() as u64).collect::<Vec<_>>(),
        "events are numbered without gaps"
    );
    // Errors have the same form.
    let cli = Cli::new();
    let said = cli.run(&["run", "missing.yaml", "--yes", "--log-format", "json"]);
    assert_eq!(json(said.err.trim())["error"]["code"], "D001");
}

#[test]
fn quiet_says_only_the_verdict() {
    let Some((_, said)) = one(&["-q"]) else { return };
    assert_eq!(said.out, "PASSED: every expectation held (exit code 0)\n");
    assert!(said.err.lines().last().unwrap().starts_with("PASSED"), "{}", said.err);
    assert!(said.err.lines().count() <= 2, "{}", said.err);
}

#[test]
fn verbose_says_more() {
    let Some((_, normal)) = one(&[]) else { return };
    let Some((_, verbose)) = one(&["-v"]) else { return };
    assert!(
        verbose.err.lines().count() > normal.err.lines().count(),
        "{}",
        verbose.err
    );
}

#[test]
fn colours_are_asked_for() {
    let Some((_, plain)) = one(&[]) else { return };
    assert!(!plain.err.contains('\u{1b}'), "no terminal, no colours: {}", plain.err);
    let Some((_, coloured)) = one(&["--color", "always"]) else {
        return;
    };
    assert!(coloured.err.contains("\u{1b}[1;32mPASSED"), "{}", coloured.err);
    let mut cli = Cli::new();
    cli.set("NO_COLOR", "1");
    let said = cli.run(&["run", "missing.yaml", "--yes"]);
    assert!(!said.err.contains('\u{1b}'), "{}", said.err);
}

#[test]
fn a_run_is_listed_and_its_report_printed_in_every_form() {
    let Some((cli, _)) = one(&[]) else { return };
    let runs = json(&cli.run(&["runs", "--format", "json"]).out);
    assert_eq!(runs[0]["verdict"], "PASSED");
    let id = runs[0]["run"].as_str().unwrap();
    assert!(cli.run(&["runs"]).out.contains("PASSED"));
    for (format, begins) in [
        ("text", "cli, run "),
        ("json", "{"),
        ("html", "<!DOCTYPE html>"),
        ("markdown", "# "),
        ("junit", "<?xml"),
        ("ndjson", "{\"seq\":0,"),
        ("chaos-scenario", "{"),
    ] {
        let said = cli.run(&["report", id, "--format", format]);
        assert_eq!(said.code, 0, "{format}: {}", said.err);
        assert!(said.out.starts_with(begins), "{format}: {:.200}", said.out);
    }
    let text = cli.run(&["report", "last"]);
    assert!(text.out.contains("PASSED"), "{}", text.out);
    let told = cli.run(&["report", "20260101-000000-0000"]);
    assert!(told.code == 2 && told.err.contains("error[R003]"), "{}", told.err);
}

#[test]
fn two_runs_are_compared() {
    let Some((cli, _)) = one(&[]) else { return };
    let first = json(&cli.run(&["runs", "--format", "json"]).out)[0]["run"]
        .as_str()
        .unwrap()
        .to_owned();
    let said = cli.run(&["report", "compare", &first, "last"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let verdicts = "Verdict       PASSED                              PASSED";
    assert!(said.out.lines().any(|line| line == verdicts), "{}", said.out);
    let both = json(&cli.run(&["report", "compare", &first, &first, "--json"]).out);
    assert_eq!(both["first"], both["second"]);
    assert_eq!(both["faults"][0]["first"]["landed"], "yes");
    assert!(both["probes"][0]["first_n"].as_u64().unwrap() > 0, "{both}");
    for bad in [
        vec!["report"],
        vec!["report", "compare", "last"],
        vec!["report", "last", "compare"],
    ] {
        assert_eq!(cli.run(&bad).code, 2, "{bad:?}");
    }
    assert!(
        cli.run(&["report", "compare", "last", "20260101-000000-0000"])
            .err
            .contains("error[R003]")
    );
}

#[test]
fn old_runs_go_and_what_is_kept_is_small() {
    let Some(target) = Target::process() else { return };
    let mut cli = Cli::new();
    cli.set("FRACAS_REPORTING_KEEP_RUNS", "2");
    let file = cli.file("e.yaml", &experiment(&target, HOLDS, "200ms"));
    let mut made = Vec::new();
    for _ in 0..3 {
        let said = cli.run(&["run", &file, "--yes", "--format", "json"]);
        assert_eq!(said.code, 0, "{}", said.err);
        let id = json(&said.out)["run"].as_str().unwrap().to_owned();
        // Ids sort by the second in which runs began.
        let second = || jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
        soon(LIMIT, "the next second", || (!id.starts_with(&second())).then_some(()));
        made.push(id);
    }
    let runs = json(&cli.run(&["runs", "--format", "json"]).out);
    let left: Vec<&str> = runs
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["run"].as_str())
        .collect();
    assert_eq!(left, made[1..], "the two newest");
    // Room was kept for records that never came.
    for ledger in cli.ledgers() {
        let length = std::fs::metadata(&ledger).unwrap().len();
        assert!(length < 16 << 10, "{}: {length} bytes", ledger.display());
    }
    assert!(!cli.ledgers().is_empty());
}

#[test]
fn a_report_may_go_elsewhere() {
    let Some((cli, _)) = one(&["--out", "elsewhere"]) else {
        return;
    };
    let out = cli.place().join("elsewhere");
    for file in ["report.json", "report.html", "report.md", "junit.xml", "events.ndjson"] {
        assert!(out.join(file).is_file(), "{file}");
    }
    let said = cli.run(&["report", "./elsewhere", "--format", "json"]);
    assert_eq!(json(&said.out)["verdict"], "passed");
    // It is found by the run too.
    assert_eq!(
        json(&cli.run(&["runs", "--format", "json"]).out)[0]["verdict"],
        "PASSED"
    );
    assert!(cli.run(&["report", "last"]).out.contains("PASSED"));
    // Unless another run's report has taken its place.
    let other = out.join("report.json");
    let text = std::fs::read_to_string(&other).unwrap();
    let id = json(&text)["run"].as_str().unwrap().to_owned();
    std::fs::write(&other, text.replace(&id, "20260101-000000-0000")).unwrap();
    assert_eq!(
        json(&cli.run(&["runs", "--format", "json"]).out)[0]["verdict"],
        "UNKNOWN"
    );
    let said = cli.run(&["report", "last"]);
    assert!(
        said.code == 2 && said.err.contains("is not there any more"),
        "{}",
        said.err
    );
}

#[test]
fn a_plan_shows_targets_changes_and_undos_and_touches_nothing() {
    let Some(target) = Target::process() else { return };
    let before = target.look();
    let cli = Cli::new();
    let file = cli.file("e.yaml", &experiment(&target, HOLDS, "60s"));
    let said = cli.run(&["plan", &file]);
    assert_eq!(said.code, 0, "{}", said.err);
    for part in [
        "✓ ",
        "memory_limit on ",
        "64MiB",
        "undo: exact",
        "until the rollback",
        "expect == 0",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let plan = json(&cli.run(&["plan", &file, "--format", "json"]).out);
    assert_eq!(plan["changes"][0]["undo"], "exact");
    assert_eq!(plan["targets"][0]["chosen"].as_array().unwrap().len(), 1);
    for dry in ["--dry-run", "--dry-run=full"] {
        let said = cli.run(&["run", &file, dry, "--set", "duration=200ms"]);
        assert_eq!(said.code, 0, "{dry}: {}", said.err);
    }
    assert_eq!(target.look(), before);
    assert!(cli.ledgers().is_empty());
}

#[test]
fn a_dry_run_says_when_the_system_is_not_well_enough_for_a_run() {
    let Some(target) = Target::process() else { return };
    let cli = Cli::new();
    let file = cli.file("e.yaml", &experiment(&target, HOLDS, "60s").replace("== 0", "== 7"));
    let said = cli.run(&["run", &file, "--dry-run"]);
    assert_eq!(said.code, 3, "{}", said.err);
    assert!(
        said.out
            .contains("ABORTED: dry run: nothing was applied, and a run would end at once: baseline"),
        "{}",
        said.out
    );
    // A plan is a plan all the same.
    assert_eq!(cli.run(&["plan", &file]).code, 0);
    assert!(cli.ledgers().is_empty());
}

#[test]
fn targets_are_listed_with_their_reasons() {
    let Some(target) = Target::process() else { return };
    let cli = Cli::new();
    let text = experiment(&target, HOLDS, "60s");
    let ours = text.lines().find(|line| line.contains("pid_file")).unwrap();
    // All processes of the lab's program and init: init is protected.
    let wide = "  - { alias: it, process: { command: \".*(fracas-lab-app|init).*\" }, blast_radius: { percent: 0%, at_least: 1 } }";
    let file = cli.file("e.yaml", &text.replace(ours, wide));
    let found = cli.run(&["targets", &file, "--format", "json"]);
    assert_eq!(found.code, 0, "{}", found.err);
    let alias = &json(&found.out)["aliases"][0];
    assert_eq!(alias["chosen"].as_array().unwrap().len(), 1);
    let candidates = alias["candidates"].as_array().unwrap();
    assert!(!candidates.is_empty());
    for candidate in candidates {
        assert!(
            candidate["chosen"] == true || candidate["why"].is_string(),
            "{candidate}"
        );
    }
    assert!(cli.run(&["targets", &file]).out.contains("it: min("));
}
