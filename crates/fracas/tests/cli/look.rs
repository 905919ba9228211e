//! Commands that only tell.

use serde_json::Value;

use crate::cli::Cli;

#[test]
fn help() {
    let cli = Cli::new();
    insta::assert_snapshot!("help", cli.run(&["--help"]).out);
    insta::assert_snapshot!("help_run", cli.run(&["run", "--help"]).out);
}

#[test]
fn every_command_has_help_and_a_wrong_argument_is_refused() {
    let cli = Cli::new();
    let help = cli.run(&["--help"]).out;
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        let said = cli.run(&[command, "--help"]);
        assert!(
            said.code == 0 && said.out.contains("Usage: fracas"),
            "{command}: {}",
            said.err
        );
        assert_eq!(cli.run(&[command, "--no-such-flag"]).code, 2, "{command}");
    }
}

#[test]
fn codes_are_explained() {
    let cli = Cli::new();
    insta::assert_snapshot!(cli.run(&["explain", "G003"]).out);
    assert_eq!(
        cli.run(&["explain", "error[G003]:"]).out,
        cli.run(&["explain", "g003"]).out
    );
    assert!(cli.run(&["explain"]).out.lines().count() > 40);
    assert!(cli.refused(&["explain", "Z999"]).contains("error[R004]"));
}

#[test]
fn schemas_are_json_schemas() {
    let cli = Cli::new();
    for of in [
        "experiment",
        "scenario",
        "chaos-scenario",
        "chaos-config",
        "report",
        "events",
        "settings",
    ] {
        let schema: Value = serde_json::from_str(&cli.run(&["schema", of]).out).unwrap();
        assert!(schema["$schema"].is_string() && schema["title"].is_string(), "{of}");
    }
}

#[test]
fn templates_and_examples_are_documents() {
    let cli = Cli::new();
    let mut texts = vec![cli.run(&["template"]).out, cli.run(&["template", "scenario"]).out];
    let faults: Value = serde_json::from_str(&cli.run(&["faults", "--json"]).out).unwrap();
    for fault in faults.as_array().unwrap() {
        texts.push(
            cli.run(&["template", "experiment", fault["name"].as_str().unwrap()])
                .out,
        );
    }
    let list = cli.run(&["examples"]).out;
    assert!(list.lines().count() >= 6);
    for line in list.lines() {
        texts.push(cli.run(&["examples", line.split_whitespace().next().unwrap()]).out);
    }
    for (number, text) in texts.iter().enumerate() {
        let file = cli.file(&format!("{number}.yaml"), text);
        let said = cli.run(&["validate", &file]);
        assert_eq!(said.code, 0, "{}\n{text}", said.err);
    }
    assert!(
        cli.refused(&["template", "experiment", "memory_limitt"])
            .contains("memory_limit")
    );
    assert!(cli.refused(&["examples", "nothing"]).contains("no example"));
}

#[test]
fn the_template_of_the_settings_is_read_and_changes_nothing() {
    let cli = Cli::new();
    let usual = cli.run(&["config", "--json"]).out;
    let file = cli.file("settings.yaml", &cli.run(&["template", "settings"]).out);
    let said = cli.run(&["config", "--json", "--config", &file]);
    assert_eq!((said.code, &*said.err), (0, ""));
    assert_eq!(said.out.replace(&format!("{file:?}"), "null"), usual);
    assert!(
        cli.refused(&["template", "settings", "cpu_stress"])
            .contains("no fault")
    );
}

#[test]
fn a_fault_is_described() {
    let cli = Cli::new();
    insta::assert_snapshot!(cli.run(&["faults", "cpu_stress"]).out);
    assert!(cli.refused(&["faults", "nothing"]).contains("no fault"));
}

#[test]
fn completions_and_manual_pages_are_made() {
    let cli = Cli::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(cli.run(&["completions", shell]).out.contains("fracas"), "{shell}");
    }
    assert!(cli.run(&["man"]).out.contains(".TH fracas 1"));
    assert_eq!(cli.run(&["man", "pages"]).code, 0);
    assert!(cli.place().join("pages/fracas-run.1").is_file());
}

/// The first process of a container or of a small virtual machine has its session outside, and getsid(2) answers 0.
#[test]
fn the_doctor_looks_at_a_process_without_a_session_that_can_be_named() {
    if !fracas_linux::privileges::is_root() {
        return fracas_lab::skip("needs root, for a pid namespace");
    }
    let mut cli = Cli::new();
    cli.under(&["/usr/bin/unshare", "--pid", "--fork", "--mount-proc"]);
    let said = cli.run(&["doctor"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("✓ guardian's groups"), "{}", said.out);
}

#[test]
fn the_doctor_says_what_is_possible() {
    let cli = Cli::new();
    let said = cli.run(&["doctor", "--json"]);
    let found: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(found["ok"], said.code == 0);
    let checks = found["checks"].as_array().unwrap();
    let names: Vec<&str> = checks.iter().filter_map(|check| check["name"].as_str()).collect();
    for name in [
        "kernel",
        "user",
        "CAP_SYS_RESOURCE",
        "pidfd",
        "cgroup memory",
        "state directory",
        "freeze",
        "earlier runs",
        "stop file",
        "guardian's memory",
        "guardian's oom score",
        "container engine",
        "Prometheus",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    for check in checks {
        let ok = check["status"] == "ok";
        assert!(
            check["found"].as_str().is_some_and(|found| !found.is_empty()),
            "{check}"
        );
        assert!(ok || check["next"].is_string(), "it does not say what to do: {check}");
    }
    // There is no engine in this test: containers are impossible, and the reason is given.
    let faults = found["faults"].as_array().unwrap();
    let fault = |name: &str| faults.iter().find(|fault| fault["fault"] == name).unwrap();
    assert_eq!(fault("container_pause")["possible"], false);
    assert!(
        fault("container_pause")["why"]
            .as_str()
            .unwrap()
            .contains("no-engine.sock")
    );
    assert_eq!(fault("process_pause")["possible"], true);
    assert!(cli.run(&["doctor"]).out.contains("faults\n"));
}

#[test]
fn no_runs_yet() {
    let cli = Cli::new();
    assert_eq!(cli.run(&["runs"]).out, "there are no runs yet\n");
    assert_eq!(cli.run(&["status"]).out, "nothing is running, nothing was left\n");
    assert_eq!(cli.run(&["recover"]).out, "nothing to recover\n");
}
