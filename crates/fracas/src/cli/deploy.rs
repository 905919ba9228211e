//! What `deploy/` says to CI systems, held against the program: every command line of theirs parses, every exit code is a verdict.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Parser as _;
use fracas_core::event::Verdict;
use serde_json::Value;

use super::Cli;

const VERDICTS: [Verdict; 6] = [
    Verdict::Passed,
    Verdict::Failed,
    Verdict::Error,
    Verdict::Aborted,
    Verdict::Residue,
    Verdict::Inconclusive,
];

/// A file of `deploy/`, as a tree.
fn read(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The arguments of `fracas` in a line of a script, with variables as words; what only the shell can open is left out.
fn arguments(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    let line = line.strip_prefix("sudo ").unwrap_or(line);
    let rest = line.strip_prefix("fracas ")?;
    let words = rest
        .split_whitespace()
        .take_while(|word| !["||", "&&", "|", ";"].contains(word));
    let plain = words.filter(|word| !word.contains("[@]"));
    Some(
        plain
            .map(|word| word.trim_matches('"').replace('$', "variable-"))
            .collect(),
    )
}

/// Parses every line of the script that calls `fracas`; gives the commands, in order.
fn parsed(script: &str) -> Vec<String> {
    let calls = script
        .lines()
        .filter_map(arguments)
        .filter(|words| words != &["--version"]);
    calls
        .map(|words| {
            let line = std::iter::once("fracas".to_owned()).chain(words.iter().cloned());
            if let Err(error) = Cli::try_parse_from(line) {
                panic!("fracas {}: {error}", words.join(" "));
            }
            words[0].clone()
        })
        .collect()
}

fn scripts(lines: &Value) -> String {
    let lines = lines.as_array().unwrap().iter();
    lines.map(|line| line.as_str().unwrap().to_owned() + "\n").collect()
}

#[test]
fn the_action_calls_the_program_as_it_is_and_knows_every_verdict() {
    let action = read("github/action.yml");
    assert_eq!(action["runs"]["using"], "composite");
    let steps = action["runs"]["steps"].as_array().unwrap();
    let script: String = steps.iter().filter_map(|step| step["run"].as_str()).collect();
    assert_eq!(parsed(&script), ["validate", "run", "stop", "recover"]);
    let named: BTreeMap<u8, String> = script
        .lines()
        .filter_map(|line| {
            let (code, rest) = line.trim().split_once(") verdict=")?;
            Some((code.parse().ok()?, rest.trim_end_matches(" ;;").to_owned()))
        })
        .collect();
    let real = VERDICTS.map(|verdict| (verdict.exit_code(), verdict.word().to_lowercase()));
    assert_eq!(named, BTreeMap::from(real));
    assert_eq!(action["inputs"]["version"]["default"], env!("CARGO_PKG_VERSION"));
}

/// Inputs are words of strangers: in a script they would be code.
#[test]
fn the_action_gives_inputs_to_scripts_by_the_environment_alone() {
    let action = read("github/action.yml");
    let steps = action["runs"]["steps"].as_array().unwrap();
    for step in steps {
        let script = step["run"].as_str().unwrap_or_default();
        assert!(!script.contains("${{"), "{script}");
        assert_eq!(step["run"].is_string(), step["shell"] == "bash", "{step}");
    }
    let text = action.to_string();
    for (name, input) in action["inputs"].as_object().unwrap() {
        assert!(input["description"].is_string(), "{name}");
        assert!(text.contains(&format!("inputs.{name}")), "{name} is used nowhere");
    }
}

#[test]
fn the_template_for_gitlab_calls_the_program_as_it_is_and_finds_its_report() {
    let job = &read("gitlab/fracas.yml")[".fracas"];
    assert_eq!(parsed(&scripts(&job["script"])), ["validate", "run"]);
    assert_eq!(parsed(&scripts(&job["after_script"])), ["stop", "recover"]);
    let tolerated = job["allow_failure"]["exit_codes"].as_array().unwrap();
    assert_eq!(*tolerated, [Verdict::Inconclusive.exit_code()]);
    let said = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/gitlab/fracas.yml"));
    let codes = VERDICTS.map(|verdict| format!("{} {}", verdict.exit_code(), verdict.word().to_lowercase()));
    assert!(said.unwrap().contains(&codes.join(", ")));
    assert_eq!(job["artifacts"]["reports"]["junit"], "$FRACAS_REPORTS/junit.xml");
    assert_eq!(job["artifacts"]["when"], "always");
}

#[test]
fn the_unit_calls_the_program_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd/fracas-recover.service");
    let unit = std::fs::read_to_string(path).unwrap();
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/"))
        .unwrap();
    assert_eq!(parsed(start), ["recover"]);
    // A condition would keep it from state that is elsewhere; tries without a bound would hide that none succeeds.
    assert!(unit.lines().all(|line| !line.starts_with("Condition")));
    assert!(unit.contains("\nRestart=on-failure\n") && unit.contains("\nStartLimitBurst="));
}

#[test]
fn a_command_line_that_is_wrong_is_seen() {
    let wrong = std::panic::catch_unwind(|| parsed("sudo fracas run \"$FILE\" --no-such-flag"));
    assert!(wrong.is_err());
    assert_eq!(parsed("echo fracas\nfracas --version"), Vec::<String>::new());
}
