//! `fracas orchestrate`, against a proxy that runs.

use serde_json::Value;

use crate::cli::Cli;
use crate::proxied::Proxied;
use crate::support::{LIMIT, soon};

const FAILS: &str = "name: fails
steps:
  - name: all
    scenario: { config: { fault_injection: { http_errors: [503], http_error_probability: 1 } } }
    duration_seconds: 3600
";

#[test]
fn an_orchestration_is_begun_shown_and_ended() {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &[]);
    let base = format!("http://{}", proxy.address);
    let file = &cli.file("orchestration.yaml", FAILS);
    let run = |words: &[&str]| cli.run(&[&["orchestrate"], words].concat());

    let said = run(&["start", "--file", file, "--base-url", &base]);
    assert_eq!(said.out, "Orchestration 'fails' started successfully\n");
    assert_eq!(proxy.get("/", "a").status(), "503");
    // As the workflow in seed 3 looks for it.
    let said = run(&["status", "--base-url", &base]);
    assert!(said.out.contains("\"is_running\": true"), "{}", said.out);
    let said = run(&["stop", "--base-url", &base]);
    assert_eq!(said.out, "Orchestration stopped\n");
    assert_eq!(proxy.get("/", "a").status(), "200");
    let status: Value = serde_json::from_str(&run(&["status", "--base-url", &base]).out).unwrap();
    assert_eq!(
        (&status["is_running"], &status["state"]),
        (&false.into(), &"stopped".into())
    );

    let said = run(&["stop", "--base-url", &base]);
    assert_eq!((said.code, said.out.as_str()), (0, "no orchestration runs\n"));
}

#[test]
fn one_of_many_steps_can_be_begun() {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &[]);
    let base = format!("http://{}", proxy.address);
    let step = FAILS.split_once("steps:\n").unwrap().1;
    let file = cli.file("many.yaml", &format!("name: many\nsteps:\n{}", step.repeat(200)));
    let said = cli.run(&["orchestrate", "start", "--file", &file, "--base-url", &base]);
    assert_eq!(said.out, "Orchestration 'many' started successfully\n", "{}", said.err);
    assert_eq!(proxy.get("/", "a").status(), "503");
}

#[test]
fn one_that_failed_is_an_error_for_scripts() {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &[]);
    let base = format!("http://{}", proxy.address);
    // A text that looks like a variable stays one on its way.
    let text = FAILS.replace("3600", "0.05\n    assertions: [{ metric: requests, min: 1 }]");
    let text = format!("description: costs $${{X}}\n{text}");
    let file = cli.file("orchestration.yaml", &text);
    let run = |what: &str| cli.run(&["orchestrate", what, "--base-url", &base]);
    assert_eq!(
        cli.run(&["orchestrate", "start", "--file", &file, "--base-url", &base])
            .code,
        0
    );
    soon(LIMIT, "it has failed", || (run("status").code == 1).then_some(()));
    let status: Value = serde_json::from_str(&run("status").out).unwrap();
    assert_eq!(
        (&status["state"], &status["description"]),
        (&"failed".into(), &"costs ${X}".into())
    );
    let refused = cli.run(&[
        "orchestrate",
        "start",
        "--file",
        &cli.file("x.yaml", "x: 1"),
        "--base-url",
        &base,
    ]);
    assert_ne!(refused.code, 0);
}

#[test]
fn a_template_is_valid_in_both_languages_and_overwrites_nothing() {
    let cli = Cli::new();
    for language in ["yaml", "json"] {
        let file = cli.place().join(language);
        let file = file.to_str().unwrap();
        let words = ["orchestrate", "template", "--output", file, "--format", language];
        assert_eq!(cli.run(&words).code, 0);
        let said = cli.run(&["orchestrate", "validate", "--file", file]);
        assert_eq!(said.out, "orchestration 'example' is valid (3 steps)\n");
        assert_ne!(cli.run(&words).code, 0, "it was written over");
    }
    assert!(cli.run(&["orchestrate", "template"]).out.contains("\nsteps:\n"));
}

#[test]
fn what_is_wrong_is_told_before_any_proxy_is_asked() {
    let cli = Cli::new();
    let file = cli.file("wrong.yaml", "name: o\nsteps:\n  - name: endless\n");
    for words in [&["validate", "--file", &file][..], &["start", "--file", &file]] {
        let said = cli.refused(&[&["orchestrate"], words].concat());
        assert!(said.contains("`endless`") && said.contains(":3:"), "{said}");
    }
    let loops = FAILS.replace("steps:", "loop_orchestration: true\nmax_iterations: 0\nsteps:");
    let loops = cli.file("loops.yaml", &loops);
    assert!(
        cli.refused(&["orchestrate", "validate", "--file", &loops])
            .contains("--max-duration")
    );
    let words = ["orchestrate", "validate", "--file", &loops, "--max-duration", "1h"];
    assert_eq!(cli.run(&words).code, 0);
}

#[test]
fn a_flag_says_when_it_ends() {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &[]);
    let base = format!("http://{}", proxy.address);
    let loops = FAILS.replace("steps:", "loop_orchestration: true\nmax_iterations: 0\nsteps:");
    let file = cli.file("loops.yaml", &loops);
    let words = [
        "orchestrate",
        "start",
        "--file",
        &file,
        "--base-url",
        &base,
        "--max-duration",
        "50ms",
    ];
    assert_eq!(cli.run(&words).code, 0);
    // As the workflow in seed 3 waits for it: `while fracas orchestrate status | grep -q "is_running.*true"`.
    let status = || cli.run(&["orchestrate", "status", "--base-url", &base]).out;
    soon(LIMIT, "it is over", || {
        let said = status();
        let mut lines = said.lines().filter_map(|line| line.split_once("is_running"));
        let goes_on = lines.any(|(_, rest)| rest.contains("true"));
        (!goes_on).then_some(())
    });
    assert!(status().contains("\"state\": \"completed\""), "{}", status());
}

#[test]
fn without_a_proxy_the_address_is_named() {
    let cli = Cli::new();
    let said = cli.run(&["orchestrate", "status", "--base-url", "http://127.0.0.1:1"]);
    assert!(
        said.code != 0 && said.err.contains("N004") && said.err.contains("127.0.0.1:1"),
        "{}",
        said.err
    );
}

/// What a proxy with these words writes of the orchestration that it begins with.
fn reported(cli: &Cli, text: &str, words: &[&str]) -> Value {
    let report = cli.place().join("report.json");
    let file = cli.file("first.yaml", &format!("report_path: {}\n{text}", report.display()));
    let _proxy = Proxied::start(cli, &[&["--orchestration", &file], words].concat());
    soon(LIMIT, "its report is there", || report.exists().then_some(()));
    let text = std::fs::read_to_string(&report).unwrap();
    std::fs::remove_file(report).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_proxy_begins_with_the_file_that_it_is_given() {
    let mut cli = Cli::new();
    cli.set("WORD", "said");
    let made = cli.place().join("made");
    let text = format!(
        "name: first
variables: {{ v: \"${{WORD}}\" }}
pre_hooks: [{{ command: {{ argv: [/bin/touch, {}] }} }}]
steps: [{{ name: a, duration_seconds: 0.02 }}]
",
        made.display()
    );
    let report = reported(&cli, &text, &[]);
    assert_eq!(
        (
            &report["name"],
            &report["state"],
            &report["is_running"],
            &report["variables"]["v"]
        ),
        (&"first".into(), &"completed".into(), &false.into(), &"said".into())
    );
    assert!(made.exists());
}

#[test]
fn hooks_reach_others_that_a_flag_names() {
    let cli = Cli::new();
    // Nobody is there: these addresses are for texts alone (RFC 5737).
    let text = "name: o
pre_hooks: [{ http_request: { url: \"http://192.0.2.1:9/\", timeout_seconds: 0.2 } }]
steps: [{ name: a, duration_seconds: 0.02 }]
";
    let why = |words: &[&str]| reported(&cli, text, words)["failures"].to_string();
    let said = why(&[]);
    assert!(said.contains("`--allow-upstream 192.0.2.1`"), "{said}");
    let said = why(&["--allow-upstream", "192.0.2.0/24"]);
    // How that fails is the network's affair.
    assert!(
        said.contains("hook http_request: ") && !said.contains("--allow-upstream"),
        "{said}"
    );
}
