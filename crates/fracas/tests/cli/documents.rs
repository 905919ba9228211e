//! Documents that are wrong: each is told with file, line, what, why and what next, and nothing is touched.

use crate::cli::Cli;

const GOOD: &str = "apiVersion: fracas.dev/v1
kind: Experiment
metadata: { name: good }
targets:
  - alias: it
    process: { name: nobody-has-this }
    blast_radius: { percent: 50% }
faults:
  - name: f
    target: it
    inject: { memory_limit: { limit: 64MiB } }
duration: 10s
";

/// What `run` and `validate` say of a document made from a good one.
#[track_caller]
fn bad(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from:?} is not in the good document");
    told(&GOOD.replacen(from, to, 1))
}

#[track_caller]
fn told(text: &str) -> String {
    let cli = Cli::new();
    let file = cli.file("bad.yaml", text);
    let by_run = cli.refused(&["run", &file, "--yes"]);
    let by_validate = cli.refused(&["validate", &file]);
    assert!(by_validate.contains(by_run.trim_end()), "{by_run}\n{by_validate}");
    assert!(
        !cli.state().exists(),
        "a document that is not understood makes no state"
    );
    cli.stable(&by_run)
}

#[test]
fn no_such_file() {
    let cli = Cli::new();
    insta::assert_snapshot!(cli.stable(&cli.refused(&["run", "missing.yaml", "--yes"])));
}

#[test]
fn a_tab() {
    insta::assert_snapshot!(bad("    process:", "\tprocess:"));
}

#[test]
fn a_duplicate_key() {
    insta::assert_snapshot!(bad("duration: 10s\n", "duration: 10s\nduration: 20s\n"));
}

#[test]
fn an_unknown_key() {
    insta::assert_snapshot!(bad("duration: 10s", "durration: 10s"));
}

#[test]
fn a_wrong_unit() {
    insta::assert_snapshot!(bad("limit: 64MiB", "limit: 64 bananas"));
}

#[test]
fn a_negative_duration() {
    insta::assert_snapshot!(bad("duration: 10s", "duration: -10s"));
}

#[test]
fn an_unknown_alias() {
    insta::assert_snapshot!(bad("target: it", "target: them"));
}

#[test]
fn a_percentage_over_100() {
    insta::assert_snapshot!(bad("percent: 50%", "percent: 150%"));
}

#[test]
fn a_query_that_is_not_promql() {
    let probe = "hypothesis:\n  probes:\n    - name: p\n      prometheus: { query: 'sum(rate(x[5m)' }\n      expect: '> 0'\ntargets:";
    insta::assert_snapshot!(bad("targets:", probe));
}

#[test]
fn a_hundred_megabytes() {
    let cli = Cli::new();
    let path = cli.place().join("huge.yaml");
    // Sparse: what counts is the length.
    std::fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    let began = std::time::Instant::now();
    let told = cli.refused(&["run", &path.display().to_string(), "--yes"]);
    assert!(told.contains("D001") && told.contains("larger than 1024 KiB"), "{told}");
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
}

#[test]
fn a_nesting_bomb() {
    let told = told(&format!("a: {}\n", "[".repeat(100_000)));
    assert!(told.contains("D002"), "{told:.300}");
    let aliases = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                   d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
    let told = self::told(aliases);
    assert!(told.contains("error[D002]"), "{told:.300}");
}

#[test]
fn no_targets() {
    let cli = Cli::new();
    let file = cli.file("good.yaml", GOOD);
    let told = cli.stable(&cli.refused(&["run", &file, "--yes", "-q"]));
    assert!(told.contains("error[T001]"), "{told}");
    assert!(told.contains("ERROR: T001"), "the verdict is the last word: {told}");
}

#[test]
fn all_problems_of_all_files_are_shown() {
    let cli = Cli::new();
    let good = cli.file("good.yaml", GOOD);
    let bad = cli.file(
        "bad.yaml",
        &GOOD
            .replace("duration: 10s", "durration: 10s")
            .replace("64MiB", "64 bananas"),
    );
    let said = cli.run(&["validate", &good, &bad]);
    assert_eq!(said.code, 2);
    assert_eq!(
        cli.stable(&said.out),
        "PLACE/good.yaml: ok, 1 warning\nPLACE/bad.yaml: 3 problems\n"
    );
    for code in ["D003", "D004", "D005"] {
        assert!(said.err.contains(code), "{code}: {}", said.err);
    }
    let said = cli.run(&["validate", &good, &bad, "--format", "json"]);
    let found: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(found[0]["ok"], true);
    assert_eq!(found[1]["errors"].as_array().unwrap().len(), 3);
    assert_eq!(found[1]["errors"][1]["place"]["line"], 11);
    assert_eq!((said.code, said.err.as_str()), (2, ""));
    assert_eq!(cli.run(&["validate", &good]).code, 0);
}

#[test]
fn an_override_acts_and_a_wrong_one_is_refused() {
    let cli = Cli::new();
    let file = cli.file("good.yaml", GOOD);
    assert_eq!(cli.run(&["validate", &file, "--set", "duration=5s"]).code, 0);
    let told = cli.refused(&["validate", &file, "--set", "durration=5s"]);
    assert!(told.contains("D011") || told.contains("D003"), "{told}");
    let told = cli.refused(&["run", &file, "--yes", "--set", "duration"]);
    assert!(told.contains("D011") && told.contains("has no `=`"), "{told}");
}

#[test]
fn without_a_terminal_a_run_needs_yes() {
    let cli = Cli::new();
    let file = cli.file("good.yaml", GOOD);
    let told = cli.refused(&["run", &file]);
    assert!(told.contains("R001") && told.contains("--yes"), "{told}");
    assert!(!cli.state().exists());
}

/// Whoever reads the errors with a program gets nothing that is not JSON, also where the command line itself is wrong.
#[test]
fn errors_as_json_are_all_json() {
    let cli = Cli::new();
    let file = cli.file("bad.yaml", &GOOD.replacen("target: it", "target: nobody", 1));
    for words in [
        ["validate", &file, "--log-format", "json"],
        ["validate", "--no-such-flag", "--log-format", "json"],
    ] {
        let said = cli.run(&words);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(!said.err.is_empty());
        for line in said.err.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            assert!(line["error"]["code"].is_string(), "{line}");
        }
    }
}

/// A terminal would show the rest of the line backwards.
#[test]
fn a_text_that_turns_the_direction_of_writing_is_escaped() {
    let told = told(&GOOD.replacen("name: good", "name: \"go\u{202e}od\"", 1));
    assert!(told.contains("\\u{202e}") && !told.contains('\u{202e}'), "{told}");
}
