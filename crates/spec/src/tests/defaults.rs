//! What a scenario leaves to the tool's settings.

use fracas_core::probe::Source as Measured;

use super::*;

const SCENARIO: &str = "apiVersion: chaos/v1
kind: ChaosScenario
metadata: { name: s }
spec:
  targets: [{ alias: a, selector: { pattern: x } }]
  duration: 8m
  faults: [{ phase: p, target: a, type: memory_pressure, params: { memory_mb: 512 } }]
  success_criteria: [{ name: c, type: prometheus, query: up, threshold: '> 0' }]
";

fn with(text: &str, defaults: &Defaults) -> Experiment {
    let source = Source {
        name: "s.yaml".to_owned(),
        text: text.to_owned(),
    };
    load_with(&source, &[], &|_| None, defaults).unwrap().experiment
}

#[test]
fn settings_fill_in_what_a_scenario_does_not_say() {
    let plain = with(SCENARIO, &Defaults::default());
    let defaults = Defaults {
        warmup: Some(Span::secs(5)),
        cooldown: Some(Span::default()),
        refresh_interval: Some(Span::secs(4)),
        prometheus_timeout: Some(Span::secs(3)),
        scrape_interval: Some(Span::secs(60)),
    };
    let set = with(SCENARIO, &defaults);
    assert_eq!((plain.warmup, set.warmup), (Span::secs(120), Span::secs(5)));
    assert_eq!((plain.cooldown, set.cooldown), (Span::secs(120), Span::default()));
    assert_eq!((plain.interval, set.interval), (Span::secs(15), Span::secs(4)));
    assert_eq!(plain.max_duration.0, set.max_duration.0 + Span::secs(120).0);
    let asked = |experiment: &Experiment| match &experiment.probes[0].source {
        Measured::Prometheus(source) => (source.timeout, source.scrape_interval),
        other => panic!("{other:?}"),
    };
    assert_eq!(asked(&plain), (Span::secs(10), Span::secs(15)));
    assert_eq!(asked(&set), (Span::secs(3), Span::secs(60)));
}

#[test]
fn what_the_scenario_says_wins() {
    let text = SCENARIO.replace(
        "  duration: 8m\n",
        "  duration: 8m\n  warmup: 1s\n  cooldown: 2s\n  interval: 6s\n",
    );
    let defaults = Defaults {
        warmup: Some(Span::secs(50)),
        cooldown: Some(Span::secs(50)),
        refresh_interval: Some(Span::secs(50)),
        ..Defaults::default()
    };
    let set = with(&text, &defaults);
    assert_eq!(
        (set.warmup, set.cooldown, set.interval),
        (Span::secs(1), Span::secs(2), Span::secs(6))
    );
}
