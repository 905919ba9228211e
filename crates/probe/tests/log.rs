//! Logs of real containers.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

mod support;

use std::time::{Duration, SystemTime};

use fracas_core::probe::{Log, Reading, Source};
use fracas_core::problem::codes;
use fracas_core::target::{Container, Kind, Target};
use fracas_docker::Engine;
use fracas_lab::{TestContainer, TestDocker, eventually_async};
use fracas_probe::{Prober, ReadContext, Settings};
use support::{LIMIT, error, probe};

fn of_container(pattern: &str, container: &str) -> Log {
    Log {
        pattern: pattern.to_owned(),
        target: None,
        container: Some(container.to_owned()),
    }
}

fn prober(engine: &Engine) -> Prober {
    Prober::new(Settings {
        prometheus_url: None,
        docker_host: Some(engine.address()),
    })
    .unwrap()
}

/// One reading of what was logged since then.
async fn since(prober: &Prober, log: &Log, since: SystemTime, targets: &[Target]) -> Reading {
    let context = ReadContext {
        since_injection: Some(since),
        targets,
    };
    prober.read(&probe(Source::Log(log.clone())), &context).await
}

async fn chatty(engine: &Engine, name: &str, line: &str, every_ms: &str) -> TestContainer {
    let container = TestContainer::build(engine)
        .named_like(name)
        .mode(["log", line, every_ms]);
    container.start().await.unwrap()
}

async fn target(container: &TestContainer, alias: &str) -> Target {
    Target {
        alias: alias.to_owned(),
        identity: container.name().to_owned(),
        kind: Kind::Container(Container {
            id: container.id().to_owned(),
            name: container.name().to_owned(),
            image: container.inspect().await.unwrap().image,
            engine: container.engine().address(),
            init: container.identity().await.unwrap(),
            labels: std::collections::BTreeMap::new(),
            ip: None,
        }),
    }
}

#[tokio::test]
async fn matching_lines_are_counted_since_the_injection_in_running_and_ended_containers() {
    let Some(engine) = TestDocker::get().await else { return };
    let prober = prober(&engine);
    let hour = Duration::from_hours(1);
    let before = SystemTime::now() - hour;
    let (first, second) = (
        chatty(&engine, "fracas-probe-log-a", "error in block", "20").await,
        chatty(&engine, "fracas-probe-log-b", "all is well", "20").await,
    );
    let (name, both) = (first.name(), format!("^({}|{})$", first.name(), second.name()));
    eventually_async(LIMIT, "three lines", || async {
        since(&prober, &of_container("error in block [0-9]+$", name), before, &[])
            .await
            .values
            .first()
            .is_some_and(|count| *count >= 3.0)
    })
    .await;
    // Both containers, one pattern; then a pattern that no line has.
    assert_eq!(
        since(&prober, &of_container("block 0$", &both), before, &[])
            .await
            .values,
        [1.0]
    );
    assert_eq!(
        since(&prober, &of_container(" 0$", &both), before, &[]).await.values,
        [2.0]
    );
    assert_eq!(
        since(&prober, &of_container("panic", &both), before, &[]).await.values,
        [0.0]
    );
    // What was logged before the injection does not count, and before any injection nothing does.
    let later = SystemTime::now() + hour;
    assert_eq!(
        since(&prober, &of_container("block", name), later, &[]).await.values,
        [0.0]
    );
    let uninjected = probe(Source::Log(of_container("block", name)));
    let reading = prober.read(&uninjected, &ReadContext::default()).await;
    assert_eq!(reading.values, [0.0]);

    let ended = of_container("block 0$", name);
    engine.stop(first.id(), Duration::from_secs(5)).await.unwrap();
    assert_eq!(since(&prober, &ended, before, &[]).await.values, [1.0]);
}

#[tokio::test]
async fn an_alias_means_its_chosen_targets() {
    let Some(engine) = TestDocker::get().await else { return };
    let prober = prober(&engine);
    let before = SystemTime::now() - Duration::from_hours(1);
    let (mine, other) = (
        chatty(&engine, "fracas-probe-alias", "hello", "20").await,
        chatty(&engine, "fracas-probe-alias", "hello", "20").await,
    );
    let targets = [target(&mine, "mine").await, target(&other, "other").await];
    let log = |alias: &str| Log {
        pattern: "^hello 0$".to_owned(),
        target: Some(alias.to_owned()),
        container: None,
    };
    eventually_async(LIMIT, "the first line", || async {
        since(&prober, &log("mine"), before, &targets).await.values == [1.0]
    })
    .await;
    let nobody = since(&prober, &log("nobody"), before, &targets).await;
    assert!(
        error(&nobody).contains("no chosen target of alias `nobody`"),
        "{nobody:?}"
    );
}

#[tokio::test]
async fn of_a_container_that_talks_much_the_last_5000_lines_count() {
    let Some(engine) = TestDocker::get().await else { return };
    let prober = prober(&engine);
    let container = chatty(&engine, "fracas-probe-much", "x", "0").await;
    let log = of_container("^x", container.name());
    let before = SystemTime::now() - Duration::from_hours(1);
    eventually_async(LIMIT, "more lines than are read", || async {
        let many = of_container("^x [0-9]{4,}$", container.name());
        since(&prober, &many, before, &[]).await.values == [5000.0]
    })
    .await;
    engine.stop(container.id(), Duration::from_secs(5)).await.unwrap();
    assert_eq!(since(&prober, &log, before, &[]).await.values, [5000.0]);
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error() {
    let Some(engine) = TestDocker::get().await else { return };
    let prober = prober(&engine);
    let now = SystemTime::now();
    let missing = since(&prober, &of_container("x", "^no-such-container$"), now, &[]).await;
    assert!(
        error(&missing).contains("no container, running or ended"),
        "{missing:?}"
    );
    let bad = since(&prober, &of_container("(", "x"), now, &[]).await;
    assert!(error(&bad).contains("`pattern` is not a regular expression"), "{bad:?}");
    prober.check(&Source::Log(of_container("x", "x"))).await.unwrap();
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_found_before_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let prober = Prober::new(Settings {
        prometheus_url: None,
        docker_host: Some(format!("unix://{}/none.sock", directory.path().display())),
    })
    .unwrap();
    let log = of_container("x", "x");
    let problem = prober.check(&Source::Log(log.clone())).await.unwrap_err();
    assert_eq!(problem.code, &codes::ENGINE_UNREACHABLE);
    let reading = since(&prober, &log, SystemTime::now(), &[]).await;
    assert!(error(&reading).starts_with("X001"), "{reading:?}");
    let whose = Log { container: None, ..log };
    assert_eq!(
        prober.check(&Source::Log(whose)).await.unwrap_err().code,
        &codes::MISSING_KEY
    );
}
