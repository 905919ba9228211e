use fracas_core::chaos::ChaosConfig;

use super::*;

fn load(text: &str) -> Result<Orchestration, Vec<Box<Problem>>> {
    let source = Source {
        name: "orchestration.yaml".to_owned(),
        text: text.to_owned(),
    };
    orchestration(&source, &|_| None, None)
}

/// The codes of all problems, with line and column.
fn said(text: &str) -> Vec<(&'static str, usize, usize)> {
    let problems = load(text).unwrap_err();
    let place = |problem: &Problem| {
        let place = problem.place.as_ref();
        place.map_or((0, 0), |place| (place.line, place.column))
    };
    let all = problems.iter().map(|problem| (problem.code.id, place(problem)));
    all.map(|(code, (line, column))| (code, line, column)).collect()
}

#[test]
fn what_is_written_can_be_read() {
    let text = "name: o
steps:
  - { name: a, scenario: { name: slow_backend, config: { latency: { fixed_delay_ms: 7.5 } } }, duration_seconds: 0.5 }
  - { name: b, duration_seconds: 1, assertions: [{ metric: error_rate, max: 0.1 }] }
";
    let read = load(text).unwrap();
    assert_eq!(
        read.steps[0].config().unwrap().latency.unwrap().fixed_delay_ms,
        Some(7.5)
    );
    assert_eq!(load(&serde_json::to_string(&read).unwrap()).unwrap(), read);
}

#[test]
fn a_config_with_comments_alone_says_nothing() {
    let text =
        "name: o\nparallel: true\nsteps:\n  - name: a\n    scenario:\n      config:\n        # of another protocol\n";
    assert_eq!(load(text).unwrap().steps[0].config().unwrap(), ChaosConfig::default());
}

#[test]
fn a_scenario_is_its_name_alone_too_and_its_config_has_two_names() {
    let text = |scenario: &str| format!("name: o\nsteps: [{{ name: a, duration_seconds: 1, scenario: {scenario} }}]\n");
    let whole = load(&text("{ name: peak_traffic }")).unwrap();
    assert_eq!(load(&text("peak_traffic")).unwrap(), whole);
    let config = "rate_limit: { burst_size: 5 }";
    let whole = load(&text(&format!("{{ config: {{ {config} }} }}"))).unwrap();
    assert_eq!(
        load(&text(&format!("{{ chaos_config: {{ {config} }} }}"))).unwrap(),
        whole
    );
    assert_eq!(said(&text("{ chaos_config: {}, config: {} }")), [("D003", 2, 53)]);
    assert_eq!(said(&text("[peak_traffic]")), [("D004", 2, 51)]);
}

#[test]
fn a_step_that_would_never_be_on_is_refused() {
    let text = "name: o
parallel: true
steps:
  - { name: short, duration_seconds: 10 }
  - { name: late, delay_before_seconds: 10 }
";
    assert_eq!(said(text), [("D009", 5, 5)]);
    load(&text.replace("before_seconds: 10", "before_seconds: 9")).unwrap();
    load(&text.replace("late,", "late, duration_seconds: 1,")).unwrap();
}

#[test]
fn a_step_without_length_is_named() {
    let text = "name: o\nsteps:\n  - name: a\n    duration_seconds: 1\n  - name: endless\n";
    assert_eq!(said(text), [("D005", 5, 5)]);
    let problem = &load(text).unwrap_err()[0];
    assert!(problem.what.contains("`endless`"), "{}", problem.what);
    // Beside others it ends with them.
    load(&format!("parallel: true\n{text}")).unwrap();
}

#[test]
fn a_loop_without_an_end_is_refused() {
    let text = "name: o\nloop_orchestration: true\nmax_iterations: 0\nsteps: [{ name: a, duration_seconds: 1 }]\n";
    assert_eq!(said(text), [("D005", 3, 17)]);
    load(&format!("{text}max_duration_seconds: 60\n")).unwrap();
    assert_eq!(said(&format!("{text}max_duration_seconds: 0\n")), [("D004", 5, 23)]);
}

#[test]
fn more_than_thirty_days_need_an_end() {
    let text = "name: o\nloop_orchestration: true\nmax_iterations: 31\nsteps: [{ name: a, duration_seconds: 86400 }]\n";
    assert_eq!(said(text), [("D004", 3, 17)]);
    load(&format!("{text}max_duration_seconds: 2592000\n")).unwrap();
    load(&text.replace("31", "30")).unwrap();
}

#[test]
fn a_name_of_nothing_is_refused_and_one_of_its_own_is_not() {
    let text = |scenario: &str| format!("name: o\nsteps:\n- name: a\n  duration_seconds: 1\n  scenario: {scenario}\n");
    assert_eq!(said(&text("{ name: slow_backed }")), [("D004", 5, 21)]);
    load(&text("{ name: mine, config: { rate_limit: {} } }")).unwrap();
}

#[test]
fn what_a_step_does_is_checked_as_a_configuration_is() {
    let text = |config: &str| {
        format!("name: o\nsteps:\n- name: a\n  duration_seconds: 1\n  scenario:\n    config: {config}\n")
    };
    assert_eq!(said(&text("{ latencyy: {} }")), [("D003", 6, 15)]);
    assert_eq!(said(&text("{ latency: { fixed_delay_ms: -1 } }")), [("D004", 6, 42)]);
    assert_eq!(
        said(&text("{ fault_injection: { http_error_probability: 10 } }")),
        [("D004", 6, 58)]
    );
}

#[test]
fn an_assertion_can_hold_and_can_fail() {
    let text = |assertion: &str| {
        format!("name: o\nsteps:\n- name: a\n  duration_seconds: 1\n  assertions:\n  - {assertion}\n")
    };
    load(&text("{ metric: requests, min: 1 }")).unwrap();
    assert_eq!(said(&text("{ metric: requests }")), [("D005", 6, 5)]);
    assert_eq!(said(&text("{ metric: requests, min: 2, max: 1 }")), [("D004", 6, 5)]);
    assert_eq!(said(&text("{ metric: colour, min: 2 }")), [("D004", 6, 15)]);
}

#[test]
fn what_a_later_version_does_is_named_as_that() {
    let text = "name: o\nsteps: [{ name: a, duration_seconds: 1, retry: { max_attempts: 2 } }]\n";
    assert_eq!(said(text), [("D010", 2, 41)]);
}

#[test]
fn times_have_bounds() {
    let text = |key: &str| format!("name: o\nparallel: true\nsteps:\n- name: a\n  {key}\n");
    assert_eq!(said(&text("duration_seconds: -1")), [("D004", 5, 21)]);
    assert_eq!(said(&text("duration_seconds: 0.0009")), [("D004", 5, 21)]);
    assert_eq!(said(&text("scenario: { duration_seconds: 1e9 }")), [("D004", 5, 33)]);
    assert_eq!(
        said(&text("duration_seconds: 1\n  delay_before_seconds: 1e9")),
        [("D004", 6, 25)]
    );
    assert_eq!(said("name: o\nsteps: []\n"), [("D004", 2, 8)]);
}

#[test]
fn the_template_loads_and_has_every_key() {
    let read = load(ORCHESTRATION).unwrap();
    assert_eq!(read.steps.len(), 3);
    for definition in ["Orchestration", "Step", "Scenario", "Assertion"] {
        let schema = crate::orchestration_schema();
        let keys = match definition {
            "Orchestration" => &schema["properties"],
            part => &schema["$defs"][part]["properties"],
        };
        for key in keys.as_object().unwrap().keys() {
            assert!(ORCHESTRATION.contains(&format!("{key}:")), "{definition}: {key}");
        }
    }
}

#[test]
fn the_orchestrations_of_seed_3_can_be_read_as_they_stand_there() {
    let texts = include_str!("seed.yaml").split("---\n");
    let names: Vec<String> = texts.map(|text| load(text).unwrap().name).collect();
    assert_eq!(
        names,
        [
            "api_stress_test",
            "example_orchestration",
            "progressive_load",
            "cascading_failures",
            "spike_test",
            "endurance_test",
            "multi_protocol_chaos",
            "api_load_test",
            "network_partition",
            "multi_region_failure",
        ]
    );
}

#[test]
fn steps_beside_each_other_have_no_more_routes_than_one_configuration() {
    let text = |is_parallel: bool, first: &str| {
        let step = |name: &str| {
            let routes: Vec<_> = (0..33)
                .map(|n| serde_json::json!({ "path": format!("/{name}/{n}") }))
                .collect();
            serde_json::json!({ "name": name, "duration_seconds": 1, "scenario": { "config": { "routes": routes } } })
        };
        let steps = [step(first), step("b")];
        serde_json::json!({ "name": "o", "parallel": is_parallel, "steps": steps }).to_string()
    };
    assert_eq!(said(&text(true, "a"))[0].0, "D004");
    assert!(load(&text(false, "a")).is_ok());
    assert!(load(&text(true, "b")).is_ok());
}
