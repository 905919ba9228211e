//! Settings act: where they come from, and what each changes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::cli::{Cli, HOLDS, experiment};
use crate::support::Target;

/// A user without any privilege.
const NOBODY: u32 = 65534;

fn shown(cli: &Cli, words: &[&str]) -> Value {
    let mut all = vec!["config", "--json"];
    all.extend(words);
    let said = cli.run(&all);
    assert_eq!(said.code, 0, "{}", said.err);
    serde_json::from_str(&said.out).unwrap()
}

fn setting(shown: &Value, key: &str) -> (String, String) {
    let all = shown["settings"].as_array().unwrap();
    let found = all.iter().find(|one| one["key"] == key).unwrap();
    let text = |field: &str| found[field].as_str().unwrap_or("-").to_owned();
    (text("value"), text("from"))
}

#[test]
fn each_is_shown_with_its_origin() {
    let mut cli = Cli::new();
    let file = cli.file(
        "config.yaml",
        "reporting:\n  keep_last_n: 3\nexecution: { default_warmup: 7s }\n",
    );
    cli.set("FRACAS_CONFIG", &file);
    cli.set("FRACAS_EXECUTION_DEFAULT_WARMUP", "9s");
    let shown = shown(&cli, &["--prometheus-url", "http://there:9090"]);
    assert_eq!(shown["file"], file);
    assert_eq!(
        setting(&shown, "reporting.keep_last_n"),
        ("3".into(), format!("{file}:2"))
    );
    assert_eq!(
        setting(&shown, "execution.default_warmup"),
        ("9s".into(), "environment FRACAS_EXECUTION_DEFAULT_WARMUP".into())
    );
    assert_eq!(
        setting(&shown, "prometheus.url"),
        ("http://there:9090".into(), "flag --prometheus-url".into())
    );
    assert_eq!(
        setting(&shown, "execution.default_cooldown"),
        ("2m".into(), "default".into())
    );
    assert!(cli.run(&["config"]).out.contains("keep_last_n"));
}

#[test]
fn a_file_that_others_can_write_is_refused_by_every_command_that_reads_it() {
    let cli = Cli::new();
    let file = cli.file("config.yaml", "{}\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    for command in [["config"].as_slice(), &["runs"], &["validate", "x.yaml"], &["doctor"]] {
        let mut words = command.to_vec();
        words.extend(["--config", &file]);
        let told = cli.refused(&words);
        assert!(told.contains("error[S004]") && told.contains("0666"), "{told}");
    }
}

#[test]
fn root_does_not_read_the_working_directory() {
    if !fracas_linux::privileges::is_root() {
        return fracas_lab::skip("needs root");
    }
    let cli = Cli::new();
    cli.file("fracas.yaml", "reporting: { keep_last_n: 3 }\n");
    assert_eq!(setting(&shown(&cli, &[]), "reporting.keep_last_n").0, "50");
}

#[test]
fn somebody_else_reads_the_working_directory_and_his_own_configuration() {
    if !fracas_linux::privileges::is_root() {
        return fracas_lab::skip("needs root to become somebody else");
    }
    let mut cli = Cli::new();
    cli.as_user(NOBODY);
    let home = cli.place().join("home");
    fs::create_dir_all(home.join(".config/fracas")).unwrap();
    for path in [home.join(".config/fracas"), home.join(".config"), home.clone()] {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let own = home.join(".config/fracas/config.yaml");
    fs::write(&own, "reporting: { keep_last_n: 4 }\n").unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(&own, Some(NOBODY), Some(NOBODY)).unwrap();
    cli.set("HOME", &home.display().to_string());
    assert_eq!(setting(&shown(&cli, &[]), "reporting.keep_last_n").0, "4");
    let here = cli.file("fracas.yaml", "reporting: { keep_last_n: 5 }\n");
    // Root's file is not his: it is not believed, and that is said.
    let told = cli.refused(&["config"]);
    assert!(told.contains("belongs to uid 0"), "{told}");
    std::os::unix::fs::chown(&here, Some(NOBODY), Some(NOBODY)).unwrap();
    assert_eq!(setting(&shown(&cli, &[]), "reporting.keep_last_n").0, "5");
}

#[test]
fn unknown_keys_are_shown_where_they_stand() {
    let cli = Cli::new();
    let file = cli.file(
        "config.yaml",
        "prometheus:\n  ulr: http://x\nframework:\n  log_level: debug\n",
    );
    insta::assert_snapshot!(cli.stable(&cli.refused(&["config", "--config", &file])));
}

const SCENARIO: &str = "apiVersion: chaos.polygon.io/v1
kind: ChaosScenario
metadata: { name: s }
spec:
  targets:
    - alias: v
      selector: { type: docker_container, pattern: v }
  duration: 10m
  faults:
    - { phase: p, target: v, type: memory_pressure, params: { memory_mb: 512 } }
  success_criteria:
    - { name: c, type: prometheus, query: up, threshold: '> 0' }
";

#[test]
fn an_emergency_stop_file_and_a_state_directory_are_where_the_settings_say() {
    let Some(target) = Target::process() else { return };
    let mut cli = Cli::new();
    let stop = cli.place().join("quiet");
    cli.set("FRACAS_EMERGENCY_STOP_FILE", &stop.display().to_string());
    fs::write(&stop, "").unwrap();
    let file = cli.file("e.yaml", &experiment(&target, HOLDS, "100ms"));
    assert!(cli.refused(&["run", &file, "--yes"]).contains("quiet"));
    fs::remove_file(&stop).unwrap();
    let state = cli.place().join("other-state");
    let said = cli.run(&["run", &file, "--yes", "--state", &state.display().to_string()]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(state.join("runs").is_dir() && cli.ledgers().is_empty());
}

#[test]
fn a_scenario_is_validated_with_the_settings_in_place() {
    let mut cli = Cli::new();
    let file = cli.file("s.yaml", SCENARIO);
    assert_eq!(cli.run(&["validate", &file]).code, 0);
    // 30 days is the longest: a cooldown of 31 cannot come from the settings either.
    cli.set("FRACAS_EXECUTION_DEFAULT_COOLDOWN", "31d");
    assert!(cli.refused(&["validate", &file]).contains("execution.default_cooldown"));
}
