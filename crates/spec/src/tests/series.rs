//! Ramps and pulses become series of faults.

use fracas_core::experiment::FaultSpec;

use super::messages::GOOD;
use super::{experiment, plain, said, swap};

const SLOW: &str = "    start: 10s\n    duration: 30s\n";

fn with(extra: &str) -> String {
    swap(GOOD, SLOW, &format!("{SLOW}    {extra}\n"))
}

/// name, start, duration, amount, whether it waits for the one before
fn shown(fault: &FaultSpec) -> String {
    let params = fault.inject.params();
    let amount = params.as_object().unwrap().values().next().unwrap();
    let duration = fault.duration.map_or("end".to_owned(), |duration| duration.to_string());
    let waits = if fault.follows { " follows" } else { "" };
    format!("{} {} {duration} {amount}{waits}", fault.name, fault.start)
}

fn series(text: &str) -> Vec<String> {
    experiment(text).faults.iter().map(shown).collect()
}

#[test]
fn a_pulse_is_cut_off_by_the_end_of_its_fault() {
    assert_eq!(
        series(&with("pulse: { on: 8s, off: 4s }")),
        [
            "slow#1 10s 8s \"64MiB\"",
            "slow#2 22s 8s \"64MiB\" follows",
            "slow#3 34s 6s \"64MiB\" follows"
        ]
    );
}

#[test]
fn without_an_end_of_its_own_the_last_pulse_ends_with_the_run() {
    let text = swap(&with("pulse: { on: 40s, off: 15s }"), "    duration: 30s\n", "");
    assert_eq!(
        series(&text),
        ["slow#1 10s 40s \"64MiB\"", "slow#2 1m5s 40s \"64MiB\" follows"]
    );
    let text = swap(&with("pulse: { on: 40s, off: 30s }"), "    duration: 30s\n", "");
    assert_eq!(
        series(&text),
        ["slow#1 10s 40s \"64MiB\"", "slow#2 1m20s end \"64MiB\" follows"]
    );
}

#[test]
fn in_a_sequence_each_is_counted_from_the_end_of_the_one_before() {
    let text = swap(
        &with("pulse: { on: 8s, off: 4s }"),
        "duration: 2m\n",
        "duration: 2m\nexecution: sequential\n",
    );
    assert_eq!(
        series(&text),
        [
            "slow#1 10s 8s \"64MiB\"",
            "slow#2 4s 8s \"64MiB\" follows",
            "slow#3 4s 6s \"64MiB\" follows"
        ]
    );
}

#[test]
fn a_ramp_ends_with_the_number_of_its_fault_which_stays() {
    assert_eq!(
        series(&with("ramp: { from: 256MiB, over: 21s, steps: 4 }")),
        [
            "slow#1 10s 7s \"256MiB\"",
            "slow#2 17s 7s \"192MiB\" follows",
            "slow#3 24s 7s \"128MiB\" follows",
            "slow#4 31s 9s \"64MiB\" follows"
        ]
    );
    let cpu = swap(
        &with("ramp: { from: 10%, over: 20s, steps: 3 }"),
        "memory_limit: { limit: 64MiB }",
        "cpu_stress: { percent: 75% }",
    );
    let amounts: Vec<String> = experiment(&cpu)
        .faults
        .iter()
        .map(|fault| fault.inject.params()["percent"].to_string())
        .collect();
    assert_eq!(amounts, ["\"10%\"", "\"42.5%\"", "\"75%\""]);
    let pids = swap(
        &with("ramp: { from: 100, over: 20s, steps: 3 }"),
        "memory_limit: { limit: 64MiB }",
        "pid_exhaustion: {}",
    );
    let amounts: Vec<String> = experiment(&pids)
        .faults
        .iter()
        .map(|fault| fault.inject.params()["reserve"].to_string())
        .collect();
    assert_eq!(amounts, ["100", "50", "0"]);
}

/// Two documents that differ in one key of a series give two series.
#[track_caller]
fn differ(one: &str, other: &str, what: impl Fn(&FaultSpec) -> String) {
    let seen = |text: &str| experiment(&with(text)).faults.iter().map(&what).collect::<Vec<_>>();
    assert_ne!(seen(one), seen(other));
}

#[test]
fn key_faults_pulse_on() {
    differ("pulse: { on: 8s, off: 4s }", "pulse: { on: 9s, off: 4s }", |fault| {
        format!("{:?}", fault.duration)
    });
}

#[test]
fn key_faults_pulse_off() {
    differ("pulse: { on: 8s, off: 4s }", "pulse: { on: 8s, off: 5s }", |fault| {
        fault.start.to_string()
    });
}

#[test]
fn key_faults_ramp_from() {
    differ(
        "ramp: { from: 1GiB, over: 20s }",
        "ramp: { from: 2GiB, over: 20s }",
        |fault| fault.inject.params().to_string(),
    );
}

#[test]
fn key_faults_ramp_over() {
    differ(
        "ramp: { from: 1GiB, over: 20s }",
        "ramp: { from: 1GiB, over: 10s }",
        |fault| fault.start.to_string(),
    );
}

#[test]
fn key_faults_ramp_steps() {
    let steps = |text: &str| experiment(&with(text)).faults.len();
    assert_eq!(steps("ramp: { from: 1GiB, over: 20s, steps: 5 }"), 5);
    assert_eq!(steps("ramp: { from: 1GiB, over: 20s, steps: 6 }"), 6);
    assert_eq!(steps("ramp: { from: 1GiB, over: 20s }"), 10);
}

#[test]
fn what_makes_no_series_is_refused() {
    for (extra, why) in [
        (
            "pulse: { on: 500ms, off: 4s }",
            "`faults[0].pulse.on` must be at least 1s",
        ),
        (
            "pulse: { on: 8s, off: 0s }",
            "`faults[0].pulse.off` must be at least 1s",
        ),
        (
            "ramp: { from: 32MiB, over: 20s }",
            "must be above the fault's own number",
        ),
        (
            "ramp: { from: 64MiB, over: 20s }",
            "must be above the fault's own number",
        ),
        ("ramp: { from: 10%, over: 20s }", "is not a size"),
        (
            "ramp: { from: 1GiB, over: 30s }",
            "must be shorter than the fault, which lasts 30s",
        ),
        ("ramp: { from: 1GiB, over: 2s }", "makes steps of 222ms"),
        ("ramp: { from: 1GiB, over: 20s, steps: 1 }", "must be from 2 to 100"),
        ("ramp: { from: 1GiB, over: 20s, steps: 101 }", "must be from 2 to 100"),
        (
            "ramp: { from: 1GiB, over: 20s }\n    pulse: { on: 1s, off: 1s }",
            "`slow` has a ramp and pulses",
        ),
    ] {
        let said = said(&plain(&with(extra)));
        assert!(said.contains(why), "{extra}: {said}");
    }
    let long = swap(&with("pulse: { on: 1s, off: 1s }"), "duration: 2m", "duration: 30m");
    let long = swap(&long, "    duration: 30s\n", "    duration: 20m\n");
    assert!(said(&plain(&long)).contains("makes 600 pulses, and 100 are the most"));
    for (inject, why) in [
        ("container_pause: {}", "container_pause has no number, or more than one"),
        ("cpu_stress: { percent: 5% }", "must be below the fault's own number"),
    ] {
        let text = swap(
            &with("ramp: { from: 10%, over: 20s }"),
            "memory_limit: { limit: 64MiB }",
            inject,
        );
        let said = said(&plain(&text));
        assert!(said.contains(why), "{inject}: {said}");
    }
    let idle = swap(
        &with("ramp: { from: 0%, over: 20s }"),
        "memory_limit: { limit: 64MiB }",
        "cpu_stress: { percent: 50% }",
    );
    assert!(said(&plain(&idle)).contains("must be more than 0"));
}

#[test]
fn a_fault_is_not_named_as_one_that_another_becomes() {
    let beside = |extra: &str, name: &str| {
        let another =
            format!("\n  - {{ name: '{name}', target: web, inject: {{ container_pause: {{}} }} }}\nduration: 2m\n");
        swap(&with(extra), "\nduration: 2m\n", &another)
    };
    let pulse = "pulse: { on: 8s, off: 4s }";
    let profile = |name: &str| {
        swap(
            &beside("", name),
            LIMIT,
            "inject: { network_profile: { name: slow_3g } }",
        )
    };
    for (text, name) in [
        (beside(pulse, "slow#2"), "slow#2"),
        (profile("slow-delay"), "slow-delay"),
    ] {
        let answer = plain(&text);
        let said = said(&answer);
        let why = format!("error[D008]: `{name}` is the `name` of two faults once `faults[0]` and `faults[1]`");
        assert!(answer.is_err() && said.contains(&why), "{said}");
    }
    assert!(plain(&beside(pulse, "slow#4")).is_ok());
    assert!(plain(&profile("slow-duplicate")).is_ok());
    let twice = said(&plain(&beside(pulse, "slow")));
    assert_eq!(twice.matches("error[D008]").count(), 1, "each problem once: {twice}");
}

const LIMIT: &str = "inject: { memory_limit: { limit: 64MiB } }";

#[test]
fn a_profile_becomes_its_parts_with_names_of_their_own() {
    let profile = |extra: &str| {
        swap(
            &with(extra),
            LIMIT,
            "inject: { network_profile: { name: slow_3g, ports: [80] } }",
        )
    };
    let names = |text: &str| -> Vec<_> { experiment(text).faults.into_iter().map(|fault| fault.name).collect() };
    assert_eq!(names(&profile("")), ["slow-delay", "slow-loss", "slow-rate"]);
    let written = experiment(&profile("")).faults.swap_remove(2).written.unwrap();
    assert_eq!(written.kind, "network_profile");
    assert_eq!(
        names(&profile("pulse: { on: 10s, off: 10s }")),
        [
            "slow-delay#1",
            "slow-delay#2",
            "slow-loss#1",
            "slow-loss#2",
            "slow-rate#1",
            "slow-rate#2"
        ]
    );
    let sequence = swap(&profile(""), "duration: 2m\n", "duration: 2m\nexecution: sequential\n");
    for (text, why) in [
        (profile("ramp: { from: 1ms, over: 20s }"), "more than one number"),
        (sequence, "whose parts are on together"),
        (swap(&profile(""), "slow_3g", "slow_6g"), "did you mean `slow_3g`?"),
        (
            swap(&profile(""), "ports: [80]", "device: \"a b\""),
            "`faults[0].inject.network_profile.device` is no name of an interface",
        ),
        (swap(&profile(""), "[80]", "[0]"), "from 1 to 65535"),
        (swap(&profile(""), "ports: [80]", "mean: 1s"), "has no key `mean`"),
    ] {
        let answer = plain(&text);
        let said = said(&answer);
        assert!(answer.is_err() && said.contains(why), "{why}: {said}");
        assert_eq!(said.matches(why).count(), 1, "each problem once: {said}");
    }
}
