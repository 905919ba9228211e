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
    // Not once, as nobody would expect.
    assert_eq!(said(&text.replace("max_iterations: 0\n", "")), [("D005", 1, 1)]);
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
    let text = |value: bool| {
        let faults = format!("{{ fault_injection: {{ mockai_enabled: {value} }} }}");
        format!("name: o\nsteps: [{{ name: a, duration_seconds: 1, scenario: {{ config: {faults} }} }}]\n")
    };
    assert_eq!(said(&text(true)), [("D010", 2, 82)]);
    // So the original writes that it does not do it.
    load(&text(false)).unwrap();
}

#[test]
fn what_the_original_writes_of_nothing_is_nothing() {
    let whole = r#"{ "name": "o", "description": null, "steps": [{ "name": "a", "scenario": { "name": "s", "description": null,
        "chaos_config": { "enabled": true, "latency": { "enabled": true, "fixed_delay_ms": 5, "random_delay_range_ms": null,
        "jitter_percent": 0, "probability": 1 }, "fault_injection": null, "bulkhead": null }, "duration_seconds": 60, "start_time": null,
        "end_time": null, "tags": ["x"] }, "duration_seconds": null, "delay_before_seconds": 0, "continue_on_failure": false }],
        "parallel": false, "loop_orchestration": false, "max_iterations": 1, "tags": [] }"#;
    let read = load(whole).unwrap();
    let config = read.steps[0].config().unwrap();
    assert_eq!(
        (config.latency.unwrap().fixed_delay_ms, config.bulkhead),
        (Some(5.0), None)
    );
    assert_eq!((read.steps[0].length(), read.description), (60.0, None));
    // What must be there is not there, and nothing at all is no way to say so.
    assert_eq!(
        said("name: null\nsteps: [{ name: a, duration_seconds: 1 }]\n"),
        [("D005", 1, 1)]
    );
    assert_eq!(
        said("name: o\ndescription:\nsteps: [{ name: a, duration_seconds: 1 }]\n"),
        [("D004", 2, 12)]
    );
}

/// One with this in its step.
fn stepped(key: &str) -> String {
    format!("name: o\nvariables: {{ v: a }}\nsteps:\n- name: a\n  duration_seconds: 1\n  {key}\n")
}

#[test]
fn a_condition_has_what_it_asks_and_nothing_else() {
    let text = |condition: &str| stepped(&format!("condition: {condition}"));
    for condition in [
        "{ type: equals, variable: v, value: 1 }",
        "{ type: greater_than, variable: v, value: -1e3 }",
        "{ type: or, conditions: [{ type: exists, variable: v }, { type: previous_step_failed }] }",
        "{ type: not, condition: { type: previous_step_succeeded } }",
        "{ type: metric_threshold, metric: error_rate, operator: greater_than, threshold: 0.5 }",
    ] {
        load(&text(condition)).unwrap();
    }
    for (condition, code, column) in [
        ("{ type: equals, variable: v }", "D005", 14),
        ("{ type: exists, variable: v, value: 1 }", "D009", 50),
        ("{ type: exists, variable: w }", "D004", 40),
        ("{ type: less_than, variable: v, value: x }", "D004", 53),
        ("{ type: less_than, variable: v, value: nan }", "D004", 53),
        ("{ type: less_than, variable: v, value: inf }", "D004", 53),
        ("{ type: and, conditions: [] }", "D005", 14),
        ("{ type: and, conditions: [{ type: not }] }", "D005", 40),
        (
            "{ type: metric_threshold, metric: colour, operator: equals, threshold: 1 }",
            "D004",
            48,
        ),
        ("{ type: metric_threshold, metric: faults, threshold: 1 }", "D005", 14),
        (
            "{ type: metric_threshold, metric: faults, operator: equals, threshold: .inf }",
            "D004",
            85,
        ),
        ("{ type: sometimes }", "D004", 22),
    ] {
        assert_eq!(said(&text(condition)), [(code, 6, column)], "{condition}");
    }
}

#[test]
fn a_hook_is_one_thing_within_bounds() {
    let text = |hook: &str| stepped(&format!("pre_hooks: [{hook}]"));
    for (hook, code) in [
        ("{ log: { message: a }, command: { argv: [a] } }", "D004"),
        ("{}", "D004"),
        ("{ command: { argv: [] } }", "D004"),
        ("{ command: { argv: [''] } }", "D004"),
        ("{ command: { argv: [a], timeout_seconds: 61 } }", "D004"),
        ("{ command: { argv: a } }", "D004"),
        ("{ command: { argv: [a], shell: true } }", "D003"),
        ("{ http_request: { url: https://127.0.0.1/ } }", "D004"),
        ("{ http_request: { url: 'http://a b/' } }", "D004"),
        ("{ http_request: { url: http:///x } }", "D004"),
        ("{ http_request: { url: 'http://127.0.0.1:65536/' } }", "D004"),
        ("{ http_request: { url: 'http://[::1]:+80/' } }", "D004"),
        ("{ http_request: { url: http://user@host/ } }", "D004"),
        (
            "{ http_request: { url: http://127.0.0.1/, method: 'GET / HTTP/1.1' } }",
            "D004",
        ),
        ("{ http_request: { url: http://127.0.0.1/, method: CONNECT } }", "D004"),
        (
            "{ http_request: { url: http://127.0.0.1/, timeout_seconds: 0 } }",
            "D004",
        ),
        ("{ record_metric: { name: faults, value: 1 } }", "D004"),
        ("{ script: { argv: [a] } }", "D003"),
    ] {
        let said = said(&text(hook));
        assert_eq!((said.len(), said[0].0, said[0].1), (1, code, 6), "{hook}: {said:?}");
    }
    for url in ["http://127.0.0.1:65535/a:b", "http://[::1]", "http://[::1]:80?c:d"] {
        load(&text(&format!("{{ http_request: {{ url: '{url}' }} }}"))).unwrap();
    }
    let many = |count: usize| text(&vec!["{ log: { message: a } }"; count].join(", "));
    load(&many(20)).unwrap();
    assert_eq!(said(&many(21)), [("D004", 6, 14)]);
}

#[test]
fn attempts_times_and_reports_make_sense() {
    let top = |key: &str| format!("name: o\n{key}\nsteps: [{{ name: a, duration_seconds: 1 }}]\n");
    for (text, code) in [
        (stepped("retry: { max_attempts: 0 }"), "D004"),
        (stepped("retry: { max_attempts: 101 }"), "D004"),
        (stepped("retry: { max_attempts: 2, delay_seconds: 3601 }"), "D004"),
        (stepped("retry: {}"), "D005"),
        (stepped("timeout_seconds: 1"), "D009"),
        (stepped("timeout_seconds: 1e9"), "D004"),
        (top("timeout_seconds: 1"), "D009"),
        (top("enable_reporting: true"), "D005"),
        (top("report_path: ''"), "D004"),
        (top("assertions: [{ type: step_succeeded, step: b }]"), "D004"),
        (top("assertions: [{ type: step_succeeded, min: 1 }]"), "D005"),
        (
            top("assertions: [{ type: variable_equals, variable: v, expected: a }]"),
            "D004",
        ),
    ] {
        let said = said(&text);
        assert_eq!(said[0].0, code, "{text}: {said:?}");
    }
    load(&stepped("timeout_seconds: 1.1")).unwrap();
    // `--max-duration` may end it sooner than whoever wrote the file thought: the limit then says nothing.
    for more in [
        top("max_duration_seconds: 0.5\ntimeout_seconds: 60"),
        stepped("timeout_seconds: 60\nmax_duration_seconds: 0.5"),
    ] {
        load(&more).unwrap();
    }
    // It lasts as long as the one beside it.
    let beside = |limit: u32| {
        format!(
            "name: o\nparallel: true\nsteps:\n- {{ name: a, duration_seconds: 60 }}\n- {{ name: b, timeout_seconds: {limit} }}\n"
        )
    };
    assert_eq!(said(&beside(60))[0].0, "D009");
    load(&beside(61)).unwrap();
    let many: Vec<String> = (0..101).map(|n| format!("v{n}: a")).collect();
    assert_eq!(
        said(&top(&format!("variables: {{ {} }}", many.join(", ")))),
        [("D004", 2, 12)]
    );
}

#[test]
fn what_results_repeat_is_bounded() {
    let top =
        |key: &str| format!("name: o\nvariables: {{ v: a }}\n{key}\nsteps: [{{ name: a, duration_seconds: 1 }}]\n");
    let failing = "{ type: variable_equals, variable: v, expected: b }";
    let many = |count: usize| format!("assertions: [{}]", vec![failing; count].join(", "));
    for wrap in [&top as &dyn Fn(&str) -> String, &stepped] {
        load(&wrap(&many(100))).unwrap();
        assert_eq!(said(&wrap(&many(101)))[0].0, "D004");
        for text in [
            "pre_hooks: [{ set_variable: { name: LONG, value: a } }]",
            "pre_hooks: [{ set_variable: { name: w, value: LONG } }]",
            "post_hooks: [{ log: { message: LONG } }]",
            "post_hooks: [{ record_metric: { name: LONG, value: 1 } }]",
            "pre_hooks: [{ http_request: { url: http://127.0.0.1/LONG } }]",
            "assertions: [{ type: variable_equals, variable: v, expected: LONG }]",
        ] {
            let whole = |count: usize| wrap(&text.replace("LONG", &"x".repeat(count)));
            load(&whole(900)).unwrap();
            assert_eq!(said(&whole(1001))[0].0, "D004", "{text}");
        }
    }
    for text in [
        "name: LONG\nsteps: [{ name: a, duration_seconds: 1 }]\n",
        "name: o\nsteps: [{ name: LONG, duration_seconds: 1 }]\n",
        "name: o\nvariables: { v: LONG }\nsteps: [{ name: a, duration_seconds: 1 }]\n",
        "name: o\nsteps: [{ name: a, duration_seconds: 1, variables: { LONG: a } }]\n",
    ] {
        let whole = |count: usize| text.replace("LONG", &"ä".repeat(count));
        load(&whole(1000)).unwrap();
        assert_eq!(said(&whole(1001))[0].0, "D004", "{text}");
    }
}

#[test]
fn of_many_known_names_some_are_told() {
    let steps: Vec<String> = (100..200)
        .map(|n| format!("{{ name: {n}{}, duration_seconds: 1 }}", "x".repeat(900)))
        .collect();
    let text = format!(
        "name: o\nsteps:\n- {}\nassertions: [{{ type: step_failed, step: b }}]\n",
        steps.join("\n- ")
    );
    let problem = &load(&text).unwrap_err()[0];
    let next = problem.next.as_deref().unwrap_or_default();
    assert!(next.ends_with("…` and 80 more") && next.len() < 2000, "{next}");
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
fn what_is_exported_is_read_again_in_both_languages() {
    let texts = [
        "plain",
        "",
        " of spaces ",
        "true",
        "1.0",
        "null",
        "~",
        "${HOME}",
        "$${X}",
        "a: b # c",
        "- a",
        "it's \"so\"",
        "one\ntwo\n\n  three\n",
        "\ttab\r\n",
        "\u{7f}\u{85}\u{2028}\u{feff}\u{1f600}\0",
        "[a, b]",
        "{a: b}",
        "&a *b !c",
        "---",
    ];
    let mut whole = load(ORCHESTRATION).unwrap();
    whole.tags = texts.map(str::to_owned).to_vec();
    for text in texts {
        whole.name = text.to_owned();
        whole.description = Some(text.to_owned());
        for written in [whole.to_yaml().unwrap(), whole.to_json().unwrap()] {
            assert_eq!(load(&written).unwrap(), whole, "{written}");
        }
    }
    let written = whole.to_yaml().unwrap();
    assert!(written.contains("\nsteps:\n"), "it is no YAML for people: {written}");
}

/// The blocks of seed 3: all that it prints and does not say.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let parts = include_str!("seed.txt").split("```").skip(1).step_by(2);
    parts.map(|block| block.split_once('\n').unwrap()).collect()
}

#[test]
fn the_builder_of_seed_3_is_that_of_the_documentation() {
    let rust: Vec<_> = blocks()
        .into_iter()
        .filter(|(language, _)| *language == "rust")
        .collect();
    let [(_, text)] = rust[..] else { panic!("{rust:?}") };
    // What it is called by differs, and nothing else.
    let (uses, text) = text.split_once(";\n\n").unwrap();
    assert_eq!(uses.matches("mockforge_chaos").count(), 1);
    let lines: Vec<&str> = include_str!("export.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("///"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .map(|line| line.strip_prefix("# ").unwrap_or(line))
        .collect();
    assert!(lines.join("\n").contains(text.trim_end()), "{text}");
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
