//! The settings of those who watch a run from outside: two runs that differ in one variable, and what two servers got.

use crate::receiver::Receiver;
use crate::seen::{Look, look};
use crate::settings::EXPERIMENT;
use crate::stage::Stage;

#[test]
fn key_telemetry_otlp_endpoint() {
    let mut stage = Stage::sleeper();
    let collectors = [Receiver::start(), Receiver::start()];
    for collector in &collectors {
        stage.cli.set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url());
        let seen = look(&stage, Look::Run, EXPERIMENT);
        assert_eq!(seen["code"], 0, "{seen:#}");
    }
    for collector in &collectors {
        let runs = collector.spans().into_iter().filter(|span| span.name == "run").count();
        assert_eq!(runs, 1);
    }
}

#[test]
fn key_telemetry_otlp_headers() {
    let mut stage = Stage::sleeper();
    let collector = Receiver::start();
    stage.cli.set("FRACAS_OTLP_ENDPOINT", &collector.url());
    for value in ["secret-1", "secret-2"] {
        stage.cli.set("OTEL_EXPORTER_OTLP_HEADERS", &format!("x-key={value}"));
        let before = collector.requests().len();
        let seen = look(&stage, Look::Run, EXPERIMENT);
        assert_eq!(seen["code"], 0, "{seen:#}");
        let requests = collector.requests().split_off(before);
        assert!(!requests.is_empty());
        assert!(requests.iter().all(|request| request.header("x-key") == Some(value)));
        let config = stage.cli.run(&["config"]);
        assert!(
            config.out.contains("x-key=***") && !config.out.contains(value),
            "{}",
            config.out
        );
    }
}

#[test]
fn key_telemetry_metrics_listen() {
    let mut stage = Stage::sleeper();
    for address in ["127.0.0.1", "127.0.0.2"] {
        stage.cli.set("FRACAS_METRICS_LISTEN", &format!("{address}:0"));
        let seen = look(&stage, Look::Run, EXPERIMENT);
        assert_eq!(seen["code"], 0, "{seen:#}");
        let said = format!("metrics: http://{address}:");
        assert!(seen["err"].as_str().unwrap().contains(&said), "{seen:#}");
    }
}

#[test]
fn key_notify_webhook() {
    let mut stage = Stage::sleeper();
    let receivers = [Receiver::start(), Receiver::start()];
    // The baseline does not hold: the run is aborted.
    let probe = "probes: [{ name: p, command: { argv: [/bin/false] }, expect: '== 0' }]";
    let document = EXPERIMENT.replace("warmup: 0s }", &format!("warmup: 1s, {probe} }}"));
    for receiver in &receivers {
        stage
            .cli
            .set("FRACAS_NOTIFY_WEBHOOK", &format!("{}/secret", receiver.url()));
        let seen = look(&stage, Look::Run, &document);
        assert_eq!(seen["code"], 3, "{seen:#}");
        let config = stage.cli.run(&["config"]);
        assert!(
            config.out.contains(&receiver.url()) && !config.out.contains("secret"),
            "{}",
            config.out
        );
    }
    for receiver in &receivers {
        assert_eq!(receiver.requests().len(), 1);
    }
}
