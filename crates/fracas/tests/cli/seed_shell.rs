//! The commands that seed 3 prints, run by a shell as they stand there: `mockforge` reads `fracas`, and nothing else is another.
//!
//! They name port 3000 of this machine, so each test has a network of its own, in which that port is free. What is not to be run there is a
//! function of the shell: an editor, what goes on for ever (`watch`), and how long is slept.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::{Cli, Said};
use crate::seed::blocks;

/// As the program is called in the text, and as it is called here.
const CALLED: (&str, &str) = ("mockforge", "fracas");

/// Waits until the proxy answers, or for a moment if there is none yet.
const UNTIL_IT_ANSWERS: &str =
    "sleep() { until curl -sf localhost:3000/api/chaos/status >answer; do command sleep 0.02; done; }\n";

/// A short orchestration, as a person would write it into a template.
const SHORT: &str = "name: short
steps:
  - { name: a, scenario: { config: { fault_injection: { http_errors: [503], http_error_probability: 1 } } }, duration_seconds: 2 }
";
/// One that goes on.
const LONG: &str = "name: long
steps:
  - { name: a, scenario: { config: { fault_injection: { http_errors: [503], http_error_probability: 1 } } }, duration_seconds: 3600 }
";

/// A block of commands.
fn block(number: usize) -> String {
    let (language, text) = blocks()[number - 1];
    assert_eq!(language, "bash", "block {number}");
    text.replace(CALLED.0, CALLED.1)
}

/// Runs a script in a network of its own, with the program in its path.
fn shell(cli: &mut Cli, script: &str) -> Option<Said> {
    if !fracas_linux::privileges::is_root() {
        fracas_lab::skip("needs root, for a network of its own");
        return None;
    }
    let place = cli.place().to_owned();
    std::fs::create_dir_all(place.join("bin")).unwrap();
    let link = place.join("bin/fracas");
    if !link.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fracas"), link).unwrap();
    }
    // Whatever it begins ends with it.
    let head = "set -eu\nPATH=$PWD/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nip link set lo up\n\
                trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n";
    let file = cli.file("script.sh", &format!("{head}{script}"));
    cli.under(&["/usr/bin/unshare", "--net", "/bin/bash", &file]);
    Some(cli.run(&[]))
}

/// What comes behind a line of the script.
fn behind<'s>(said: &'s Said, line: &str) -> &'s str {
    let behind = said.out.split_once(&format!("== {line}\n"));
    let behind = behind
        .unwrap_or_else(|| panic!("no {line} in {}{}", said.out, said.err))
        .1;
    behind.split("== ").next().unwrap()
}

#[test]
fn the_quick_start_works_as_printed() {
    let mut cli = Cli::new();
    let edited = blocks()[3].1;
    let mut script = String::new();
    writeln!(script, "{UNTIL_IT_ANSWERS}cat >edited.yaml <<'END'\n{edited}END").unwrap();
    writeln!(script, "echo '== template'\n{}head -1 orchestration.yaml", block(3)).unwrap();
    writeln!(
        script,
        "cp edited.yaml orchestration.yaml\necho '== validate'\n{}",
        block(5)
    )
    .unwrap();
    // The text lets the server a moment between the two.
    let start = block(6).replacen("&\n", "&\nsleep 1\n", 1);
    writeln!(
        script,
        "echo '== start'\n{start}for n in 0 1 2 3 4 5 6 7 8 9; do curl -si localhost:3000/; done"
    )
    .unwrap();
    writeln!(script, "echo '== status'\n{}", block(7)).unwrap();
    // Of `Troubleshooting`.
    writeln!(
        script,
        "cp edited.yaml my-orch.yaml\necho '== trouble'\n{}{}{}{}",
        block(36),
        block(37),
        block(39),
        block(40)
    )
    .unwrap();
    let Some(said) = shell(&mut cli, &script) else { return };
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(
        behind(&said, "template").starts_with("# What is done to traffic"),
        "{}",
        said.out
    );
    assert_eq!(
        behind(&said, "validate").trim(),
        "orchestration 'api_stress_test' is valid (3 steps)"
    );
    // Its scenario holds four of five, and loses some: none of ten is held once in a million times.
    let start = behind(&said, "start");
    assert!(
        start.starts_with("Orchestration 'api_stress_test' started successfully\n"),
        "{start}"
    );
    assert!(start.contains("x-fracas-latency-ms: 50.000"), "{start}");
    let status: Value = serde_json::from_str(behind(&said, "status")).unwrap();
    assert_eq!(
        (&status["is_running"], &status["name"]),
        (&true.into(), &"api_stress_test".into())
    );
    let trouble = behind(&said, "trouble");
    assert!(
        trouble.starts_with("orchestration 'api_stress_test' is valid (3 steps)\n"),
        "{trouble}"
    );
    assert!(trouble.contains("\"latency_enabled\":true"), "{trouble}");
    assert!(trouble.contains("\"is_running\": true"), "{trouble}");
    assert!(trouble.ends_with("Orchestration stopped\n"), "{trouble}");
}

#[test]
fn every_command_works_as_printed() {
    let mut cli = Cli::new();
    cli.file("my-orchestration.yaml", LONG);
    // The editor saves an orchestration, and `watch` looks twice at what it is to look at.
    let functions =
        format!("{UNTIL_IT_ANSWERS}vim() {{ cp my-orchestration.yaml \"$1\"; }}\nwatch() {{ shift 2; $1; $1; }}\n");
    let commands = format!("echo '== commands'\n{}", block(10));
    let example = block(11).replacen("&\n", "&\nsleep 1\n", 1);
    let script = format!(
        "{functions}{serve} & sleep 1\n{commands}kill %1\nwait %1\necho '== example'\n{example}kill %1\nwait %1\n",
        serve = block(38).trim_end()
    );
    let Some(said) = shell(&mut cli, &script) else { return };
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    for part in ["commands", "example"] {
        let said = behind(&said, part);
        let looks = if part == "example" { 2 } else { 1 };
        assert!(
            said.starts_with("orchestration 'long' is valid (1 steps)\nOrchestration 'long' started successfully\n{"),
            "{said}"
        );
        assert_eq!(said.matches("\"is_running\": true").count(), looks, "{said}");
        assert!(said.ends_with("Orchestration stopped\n"), "{said}");
    }
    assert!(cli.place().join("template.yaml").exists() && cli.place().join("load-test.yaml").exists());
    // By `--http-port 3000`.
    assert_eq!(
        said.err.matches("proxy: http://127.0.0.1:3000\n").count(),
        2,
        "{}",
        said.err
    );
}

#[test]
fn the_workflow_waits_until_it_is_over() {
    let mut cli = Cli::new();
    let (_, text) = blocks()[41];
    let mut runs = Vec::new();
    for part in text.split("run: |\n").skip(1) {
        let lines = part
            .lines()
            .take_while(|line| line.is_empty() || line.starts_with("          "));
        runs.push(
            lines
                .map(|line| line.trim_start_matches("          "))
                .collect::<Vec<_>>()
                .join("\n"),
        );
    }
    let runs: Vec<String> = runs.iter().map(|run| run.replace(CALLED.0, CALLED.1)).collect();
    let [serve, start, wait] = &runs[..] else {
        panic!("{runs:?}")
    };
    std::fs::create_dir(cli.place().join(".fracas")).unwrap();
    cli.file(".fracas/load-test.yaml", SHORT);
    let script = format!(
        "{UNTIL_IT_ANSWERS}{serve}\n{start}\ncurl -so body -w '%{{http_code}}\\n' localhost:3000/\n\
         sleep() {{ echo waits; command sleep 0.02; }}\n{wait}\necho '== over'\nfracas orchestrate status\n"
    );
    let Some(said) = shell(&mut cli, &script) else { return };
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(
        said.out
            .starts_with("Orchestration 'short' started successfully\n503\nwaits\n"),
        "{}",
        said.out
    );
    let over: Value = serde_json::from_str(behind(&said, "over")).unwrap();
    assert_eq!((&over["state"], &over["progress"]), (&"completed".into(), &1.0.into()));
}

#[test]
fn the_monitoring_loop_sends_its_progress() {
    let mut cli = Cli::new();
    cli.file("long.yaml", LONG);
    // Who would hear it is not there, so what is sent is kept.
    let script = format!(
        "{UNTIL_IT_ANSWERS}fracas serve --chaos & sleep 1\nfracas orchestrate start --file long.yaml\n\
         nc() {{ echo \"$*\" >>to; cat >>sent; }}\n\
         rounds=0\nsleep() {{ rounds=$((rounds + 1)); [ $rounds -lt 3 ] || exit 0; }}\n{}",
        block(43)
    );
    let Some(said) = shell(&mut cli, &script) else { return };
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let read = |name: &str| std::fs::read_to_string(cli.place().join(name)).unwrap();
    assert_eq!(read("to"), "-w1 -u statsd 8125\n".repeat(3));
    let mut before = 0.0;
    for line in read("sent").lines() {
        let progress = line.strip_prefix("chaos.orchestration.progress ").unwrap();
        let progress: f64 = progress.parse().unwrap();
        assert!(progress > before && progress < 0.1, "{line}");
        before = progress;
    }
}
