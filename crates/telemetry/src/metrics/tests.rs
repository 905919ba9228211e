use fracas_core::event::{Phase, StopCause, Verdict};
use fracas_core::problem::{Problem, Said, codes};
use fracas_core::record::Certificate;

use super::*;
use crate::story::{Story, certified, planned, probe_read};

fn folded(story: &Story) -> String {
    let mut metrics = Metrics::default();
    for event in story.events() {
        metrics.apply(event);
    }
    metrics.page().text(Form::Text).unwrap()
}

/// The value of a series that is written so.
#[track_caller]
fn value(text: &str, series: &str) -> f64 {
    let mut found = text
        .lines()
        .filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = found.next().unwrap_or_else(|| panic!("no {series} in {text}"));
    assert_eq!(found.next(), None, "{series} twice");
    value.parse().unwrap()
}

/// Each series has its value.
#[track_caller]
fn says(story: &Story, expected: &[(&str, f64)]) {
    let text = folded(story);
    for (series, number) in expected {
        let found = value(&text, series);
        assert!(
            (found - number).abs() < 1e-9,
            "{series} is {found}, not {number}: {text}"
        );
    }
}

fn gone(story: &mut Story, at: u64, injection: u32, state: State, took_ms: u64) -> &mut Story {
    story.at(
        at,
        What::Injection {
            injection: InjectionId(injection),
            state,
            how: "restored".to_owned(),
            took_ms: Some(took_ms),
        },
    )
}

fn certificate(story: &mut Story, at: u64, lines: &[(u32, State)]) {
    let lines = lines.iter().map(|(injection, state)| certified(*injection, *state, 12));
    let certificate = Certificate { lines: lines.collect() };
    story.at(at, What::Certified { certificate });
}

fn dose(injection: u32, landed: Landed) -> What {
    What::DoseMeasured {
        injection: InjectionId(injection),
        dose: Dose {
            asked: "memory limit 64MiB".to_owned(),
            delivered: "67108864 bytes".to_owned(),
            landed,
            effect: None,
        },
    }
}

fn danger(probe: &str, danger: Option<&str>) -> What {
    let mut read = probe_read(probe, 2.0, None);
    if let What::ProbeRead { danger: found, .. } = &mut read {
        *found = danger.map(str::to_owned);
    }
    read
}

fn abort(probe: &str) -> What {
    What::StopAsked {
        cause: StopCause::Abort {
            probe: probe.to_owned(),
            why: "2 > 1".to_owned(),
        },
    }
}

/// One fault that is on.
fn on() -> Story {
    let mut story = Story::begin();
    story
        .at(20, planned(0))
        .enter(30, Phase::Inject)
        .state(40, 0, State::Planned)
        .state(47, 0, State::Applied)
        .enter(50, Phase::Monitor);
    story
}

#[test]
fn before_anything_happens_every_family_of_the_fault_is_there_at_zero() {
    let mut story = Story::begin();
    story.at(20, planned(0));
    says(
        &story,
        &[
            ("fracas_injection_applied_total{fault=\"memory_limit\"}", 0.0),
            ("fracas_injection_active{fault=\"memory_limit\"}", 0.0),
            (
                "fracas_injection_outcomes_total{fault=\"memory_limit\",outcome=\"residue\"}",
                0.0,
            ),
            (
                "fracas_injection_rollback_latency_seconds_count{fault=\"memory_limit\"}",
                0.0,
            ),
            (
                "fracas_dose_readings_total{fault=\"memory_limit\",landed=\"unmeasured\"}",
                0.0,
            ),
            ("fracas_guardian_takeovers_total", 0.0),
            ("fracas_run_verdict{verdict=\"passed\"}", 0.0),
            (
                "fracas_run_info{run=\"20261121-100000-beef\",experiment=\"little-memory\",dry_run=\"false\"}",
                1.0,
            ),
            (
                concat!("fracas_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"),
                1.0,
            ),
        ],
    );
}

#[test]
fn a_fault_that_is_on_is_counted_with_the_time_it_took() {
    let mut story = on();
    story
        .at(60, dose(0, Landed::Yes))
        .at(61, dose(0, Landed::No("other".to_owned())));
    says(
        &story,
        &[
            ("fracas_injection_applied_total{fault=\"memory_limit\"}", 1.0),
            ("fracas_injection_active{fault=\"memory_limit\"}", 1.0),
            (
                "fracas_injection_apply_latency_seconds_sum{fault=\"memory_limit\"}",
                0.007,
            ),
            (
                "fracas_injection_apply_latency_seconds_bucket{fault=\"memory_limit\",le=\"0.005\"}",
                0.0,
            ),
            (
                "fracas_injection_apply_latency_seconds_bucket{fault=\"memory_limit\",le=\"0.01\"}",
                1.0,
            ),
            ("fracas_dose_readings_total{fault=\"memory_limit\",landed=\"yes\"}", 1.0),
            ("fracas_dose_readings_total{fault=\"memory_limit\",landed=\"no\"}", 1.0),
            ("fracas_run_phase{phase=\"monitor\"}", 1.0),
            ("fracas_run_phase{phase=\"inject\"}", 0.0),
        ],
    );
}

#[test]
fn what_is_clean_is_counted_once_although_the_certificate_repeats_it() {
    let mut story = on();
    gone(&mut story, 90, 0, State::Clean, 12);
    certificate(&mut story, 110, &[(0, State::Clean)]);
    story.ended(120, Verdict::Passed);
    says(
        &story,
        &[
            ("fracas_injection_active{fault=\"memory_limit\"}", 0.0),
            (
                "fracas_injection_outcomes_total{fault=\"memory_limit\",outcome=\"clean\"}",
                1.0,
            ),
            (
                "fracas_injection_rollback_latency_seconds_count{fault=\"memory_limit\"}",
                1.0,
            ),
            (
                "fracas_injection_rollback_latency_seconds_sum{fault=\"memory_limit\"}",
                0.012,
            ),
            ("fracas_abort_clean_latency_seconds_count", 0.0),
            ("fracas_run_verdict{verdict=\"passed\"}", 1.0),
            ("fracas_run_verdict{verdict=\"residue\"}", 0.0),
        ],
    );
}

#[test]
fn residue_and_drift_are_seen_as_they_are_at_the_end() {
    let mut story = on();
    story
        .at(51, planned(1))
        .state(52, 1, State::Planned)
        .state(53, 1, State::Applied);
    gone(&mut story, 90, 0, State::Clean, 3);
    // It came back, and only the certificate knows.
    certificate(&mut story, 110, &[(0, State::Residue), (1, State::Foreign)]);
    says(
        &story,
        &[
            ("fracas_injection_active{fault=\"memory_limit\"}", 0.0),
            ("fracas_injection_residue{fault=\"memory_limit\"}", 1.0),
            ("fracas_injection_drift{fault=\"memory_limit\"}", 1.0),
            (
                "fracas_injection_outcomes_total{fault=\"memory_limit\",outcome=\"residue\"}",
                1.0,
            ),
            (
                "fracas_injection_outcomes_total{fault=\"memory_limit\",outcome=\"foreign\"}",
                1.0,
            ),
            // Nothing of a foreign change was seen to be absent.
            (
                "fracas_injection_rollback_latency_seconds_count{fault=\"memory_limit\"}",
                1.0,
            ),
        ],
    );
}

#[test]
fn an_injection_that_nobody_planned_is_residue_under_its_own_name() {
    let mut story = Story::begin();
    let mut line = certified(7, State::Residue, 0);
    "all".clone_into(&mut line.fault);
    let certificate = Certificate { lines: vec![line] };
    story.at(10, What::Certified { certificate });
    says(&story, &[("fracas_injection_residue{fault=\"all\"}", 1.0)]);
}

#[test]
fn one_that_failed_is_not_called_clean_as_well() {
    let mut story = Story::begin();
    let problem = Problem::new(&codes::FAULT_APPLY, "EBUSY");
    let failed = What::InjectionFailed {
        injection: InjectionId(0),
        problem: Said::from(&*problem),
    };
    story
        .at(20, planned(0))
        .state(40, 0, State::Planned)
        .at(45, failed.clone())
        .at(46, failed);
    gone(&mut story, 50, 0, State::Clean, 1);
    says(
        &story,
        &[
            (
                "fracas_injection_outcomes_total{fault=\"memory_limit\",outcome=\"failed\"}",
                1.0,
            ),
            (
                "fracas_injection_outcomes_total{fault=\"memory_limit\",outcome=\"clean\"}",
                0.0,
            ),
            ("fracas_injection_applied_total{fault=\"memory_limit\"}", 0.0),
        ],
    );
}

#[test]
fn a_target_that_restarts_counts_each_time_that_its_fault_came_on() {
    let mut story = on();
    gone(&mut story, 60, 0, State::Clean, 2);
    story.state(70, 0, State::Planned).state(75, 0, State::Applied);
    says(
        &story,
        &[
            ("fracas_injection_applied_total{fault=\"memory_limit\"}", 2.0),
            ("fracas_injection_active{fault=\"memory_limit\"}", 1.0),
            (
                "fracas_injection_apply_latency_seconds_sum{fault=\"memory_limit\"}",
                0.012,
            ),
        ],
    );
}

/// The clock of an abort begins with the first reading of the streak, and ends with the last fault.
#[test]
fn an_abort_is_timed_from_the_breach_to_the_last_fault_gone() {
    let mut story = on();
    story
        .at(51, planned(1))
        .state(52, 1, State::Planned)
        .state(53, 1, State::Applied)
        .at(55, danger("p99", Some("2 > 1")))
        .at(56, danger("p99", None))
        .at(60, danger("p99", Some("2 > 1")))
        .at(70, danger("p99", Some("2 > 1")))
        .at(72, abort("p99"))
        .enter(75, Phase::Rollback);
    let breached = [
        ("fracas_probe_readings_total{probe=\"p99\"}", 4.0),
        ("fracas_probe_breaches_total{probe=\"p99\"}", 3.0),
        ("fracas_abort_rollback_latency_seconds_count", 1.0),
        ("fracas_abort_rollback_latency_seconds_sum", 0.015),
    ];
    says(&story, &breached);
    gone(&mut story, 90, 0, State::Clean, 3);
    says(&story, &[("fracas_abort_clean_latency_seconds_count", 0.0)]);
    gone(&mut story, 160, 1, State::Clean, 3);
    certificate(&mut story, 500, &[(0, State::Clean), (1, State::Clean)]);
    says(&story, &breached);
    says(
        &story,
        &[
            ("fracas_abort_clean_latency_seconds_count", 1.0),
            ("fracas_abort_clean_latency_seconds_sum", 0.1),
        ],
    );
}

#[test]
fn what_no_breach_began_is_no_abort() {
    let mut story = on();
    story
        .at(60, danger("p99", Some("2 > 1")))
        .at(
            61,
            What::StopAsked {
                cause: StopCause::Signal("SIGINT".to_owned()),
            },
        )
        // What comes later did not begin it.
        .at(62, abort("p99"))
        .enter(75, Phase::Rollback);
    gone(&mut story, 90, 0, State::Clean, 3);
    says(
        &story,
        &[
            ("fracas_abort_rollback_latency_seconds_count", 0.0),
            ("fracas_abort_clean_latency_seconds_count", 0.0),
        ],
    );
}

#[test]
fn an_abort_after_all_faults_were_gone_has_no_last_fault() {
    let mut story = on();
    gone(&mut story, 60, 0, State::Clean, 3);
    story
        .at(70, danger("p99", Some("2 > 1")))
        .at(71, abort("p99"))
        .enter(72, Phase::Rollback);
    certificate(&mut story, 500, &[(0, State::Clean)]);
    says(
        &story,
        &[
            ("fracas_abort_rollback_latency_seconds_count", 1.0),
            ("fracas_abort_clean_latency_seconds_count", 0.0),
        ],
    );
}

#[test]
fn a_guardian_that_was_lost_is_counted() {
    let mut story = on();
    let why = "the guardian ended".to_owned();
    story.at(60, What::GuardianLost { why });
    says(&story, &[("fracas_guardian_takeovers_total", 1.0)]);
}

#[test]
fn a_probe_counts_what_it_violates() {
    let mut story = on();
    story
        .at(60, probe_read("p99", 0.5, Some("0.5 is not < 0.2")))
        .at(61, probe_read("p99", 0.1, None));
    says(
        &story,
        &[
            ("fracas_probe_readings_total{probe=\"p99\"}", 2.0),
            ("fracas_probe_violations_total{probe=\"p99\"}", 1.0),
            ("fracas_probe_breaches_total{probe=\"p99\"}", 0.0),
        ],
    );
}

#[test]
fn a_thousand_names_of_probes_are_fifty_and_other() {
    let mut story = on();
    for number in 0..1000 {
        story.at(60, probe_read(&format!("p{number}"), 1.0, None));
    }
    let text = folded(&story);
    let series = text.matches("fracas_probe_readings_total{").count();
    assert_eq!(series, 51);
    let other = value(&text, "fracas_probe_readings_total{probe=\"other\"}");
    assert!((other - 950.0).abs() < 1e-9, "{other}");
}

/// Names come from documents: none of them is a line or a label of its own.
#[test]
fn a_hostile_name_stays_within_its_quotes_in_both_formats() {
    let mut story = on();
    let name = "a\"} 1\nfracas_run_verdict{verdict=\"passed\"} 1\n\\";
    story.at(60, probe_read(name, 1.0, None));
    let mut metrics = Metrics::default();
    for event in story.events() {
        metrics.apply(event);
    }
    let shown = "{probe=\"a\\\"} 1\u{fffd}fracas_run_verdict{verdict=\\\"passed\\\"} 1\u{fffd}\\\\\"} 1";
    for form in [Form::Text, Form::OpenMetrics] {
        let text = metrics.page().text(form).unwrap();
        assert!(
            text.contains(&format!("fracas_probe_readings_total{shown}\n")),
            "{text}"
        );
        assert!(
            !text
                .lines()
                .any(|line| line == "fracas_run_verdict{verdict=\"passed\"} 1"),
            "{text}"
        );
    }
}

/// What the reference page says is what is served, in name, type and labels.
#[test]
fn every_family_is_described_as_it_is_served() {
    let mut story = on();
    story.at(60, probe_read("p99", 1.0, None));
    let text = folded(&story);
    for Described {
        name,
        kind,
        labels,
        help,
    } in ALL
    {
        assert!(text.contains(&format!("# HELP {name} {help}.\n")), "{name}: {text}");
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}: {text}");
        let sample = text.lines().find(|line| {
            let rest = line.strip_prefix(name);
            let rest = rest.map(|rest| rest.strip_prefix("_count").unwrap_or(rest));
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let sample = sample.unwrap_or_else(|| panic!("no sample of {name}: {text}"));
        let shown: Vec<_> = sample
            .split(['{', ','])
            .filter_map(|part| part.split_once("=\""))
            .collect();
        let shown: Vec<_> = shown.into_iter().map(|(label, _)| label).collect();
        assert_eq!(shown.join(", "), *labels, "{sample}");
    }
    assert_eq!(text.matches("# TYPE ").count(), ALL.len());
}

#[test]
fn openmetrics_ends_as_it_must_and_counts_the_same() {
    let mut metrics = Metrics::default();
    for event in on().events() {
        metrics.apply(event);
    }
    let text = metrics.page().text(Form::OpenMetrics).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(
        text.contains("# UNIT fracas_injection_apply_latency_seconds seconds\n"),
        "{text}"
    );
    assert!(text.contains("# TYPE fracas_injection_applied counter\n"), "{text}");
    let applied = value(&text, "fracas_injection_applied_total{fault=\"memory_limit\"}");
    assert!((applied - 1.0).abs() < 1e-9);
}
