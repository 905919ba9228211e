//! Abort thresholds: what counts as danger, and how soon the faults are gone.

use fracas_core::event::{Event, Phase, StopCause, What};
use fracas_core::record::State;
use fracas_lab::TestProcess;

use crate::support::{Bench, Done, Prometheus, Services, Settings, at, experiment, memory_limit, set_value};

/// The time between two evaluations in these experiments, in milliseconds.
const INTERVAL: u64 = 500;

/// A probe by Prometheus, scraped four times a second.
fn probe(query: &str, more: &str) -> String {
    format!(
        "    - name: watch
      prometheus: {{ query: '{query}', scrape_interval: 250ms }}
      {more}"
    )
}

/// That a run was stopped by the probe `watch` while its fault was on, began to undo it at once, and left nothing. Gives the reason.
#[track_caller]
pub(crate) fn assert_aborted(done: &Done) -> String {
    let breach = at(&done.events, |what| {
        matches!(what, What::ProbeRead { danger: Some(_), .. })
    });
    let asked = at(&done.events, |what| matches!(what, What::StopAsked { .. }));
    let rollback = at(&done.events, |what| {
        matches!(
            what,
            What::PhaseEntered {
                phase: Phase::Rollback,
                ..
            }
        )
    });
    let clean = at(&done.events, is_clean);
    assert!(
        breach < asked && asked < rollback && rollback < clean,
        "{}",
        done.stderr
    );
    let ms = |index: usize| done.events[index].elapsed_ms;
    // The world was safe, as far as anybody could know, until the reading before the breach was taken.
    let safe = done.events[..breach].iter().rposition(is_safe).unwrap();
    assert!(
        ms(rollback) - ms(safe) <= 2 * INTERVAL,
        "{} ms from the last safe reading to the rollback",
        ms(rollback) - ms(safe)
    );
    assert!(ms(rollback) - ms(breach) <= 100, "{} ms", ms(rollback) - ms(breach));
    assert!(ms(clean) - ms(rollback) <= 1000, "{} ms", ms(clean) - ms(rollback));

    let stop = &done.report["stop"];
    assert_eq!(stop["breach"]["elapsed_ms"], ms(breach), "{stop}");
    assert_eq!(stop["asked"]["elapsed_ms"], ms(asked), "{stop}");
    assert_eq!(
        stop["took_ms"],
        done.states(State::Clean).last().unwrap() - ms(breach),
        "{stop}"
    );
    assert_eq!(done.report["verdict"], "aborted");
    done.assert_clean();
    match &done.events[asked].what {
        What::StopAsked {
            cause: StopCause::Abort { probe, why },
        } if probe == "watch" => why.clone(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn is_clean(what: &What) -> bool {
    matches!(
        what,
        What::Injection {
            state: State::Clean,
            ..
        }
    )
}

fn is_safe(event: &Event) -> bool {
    matches!(&event.what, What::ProbeRead { danger: None, .. })
}

/// The fault itself is what the probe sees: the service tells Prometheus its own limit.
#[tokio::test]
async fn a_crossed_abort_threshold_takes_the_fault_off_within_two_intervals() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 1).await;
    let Some(prometheus) = Prometheus::start(&[("service", &services.ports)]) else {
        return;
    };
    let bench = bench.with(&prometheus);
    let before = Settings::of(&services.containers[0]).await;
    let name = services.containers[0].name();
    let document = experiment(
        name,
        "duration: 60s",
        "",
        &probe("app_memory_limit_bytes", "abort: \"< 1e9\""),
    );
    let done = bench.run(&document, &[]).expect(3);
    assert_eq!(
        assert_aborted(&done),
        "value 536870912 crosses abort threshold < 1000000000"
    );
    assert!(
        done.stdout.contains("ABORTED: abort: watch: value 536870912"),
        "{}",
        done.stdout
    );
    assert_eq!(done.report["hypothesis"], "violated");
    assert_eq!(Settings::of(&services.containers[0]).await, before);
}

/// Three ways of seeing nothing: the series ends, old samples outlive it, and Prometheus itself is gone.
#[tokio::test]
async fn no_data_stale_data_and_no_prometheus_are_danger() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 3).await;
    let (observed, port) = TestProcess::serve().unwrap();
    let Some(prometheus) = Prometheus::start(&[("observed", &[port])]) else {
        return;
    };
    let bench = bench.with(&prometheus);
    let run = |index: usize, query: &str| {
        let document = experiment(
            services.containers[index].name(),
            "duration: 60s",
            "",
            &probe(query, "abort: \"< 0\""),
        );
        bench.begin(&document, &[])
    };
    let mut no_data = run(0, "app_value");
    let mut stale = run(1, "last_over_time(app_value[5m])");
    no_data.until_applied(1);
    stale.until_applied(1);
    drop(observed);
    let (no_data, stale) = (no_data.end().expect(3), stale.end().expect(3));
    let why = assert_aborted(&no_data);
    assert!(why.starts_with("no data") || why.contains("stale"), "{why}");
    let why = assert_aborted(&stale);
    assert!(why.contains("stale"), "{why}");

    let mut unreachable = run(2, "vector(1)");
    unreachable.until_applied(1);
    drop(prometheus);
    let why = assert_aborted(&unreachable.end().expect(3));
    assert!(why.contains("cannot be reached"), "{why}");
}

/// Two runs that differ in the service's health: the one whose baseline does not hold injects nothing.
#[tokio::test]
async fn an_unhealthy_baseline_injects_nothing() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 2).await;
    let before = Settings::of(&services.containers[1]).await;
    set_value(services.ports[1], 0.0);
    let Some(prometheus) = Prometheus::start(&[("a", &services.ports[..1]), ("b", &services.ports[1..])]) else {
        return;
    };
    let bench = bench.with(&prometheus);
    let run = |index: usize, job: &str| {
        let document = experiment(
            services.containers[index].name(),
            "duration: 1s",
            "",
            &probe(&format!("app_value{{job=\"{job}\"}}"), "expect: \"== 1\""),
        );
        bench.begin(&document, &[])
    };
    let (healthy, unhealthy) = (run(0, "a"), run(1, "b"));
    assert_eq!(healthy.end().expect(0).states(State::Applied).len(), 1);
    let unhealthy = unhealthy.end().expect(3);
    assert_eq!(unhealthy.states(State::Applied), Vec::<u64>::new());
    assert!(!unhealthy.phases().contains(&Phase::Inject));
    let why = "baseline: watch: value 0 fails threshold == 1";
    assert_eq!(unhealthy.report["stop"]["words"], why);
    assert!(
        unhealthy.stdout.contains(&format!("ABORTED: {why}")),
        "{}",
        unhealthy.stdout
    );
    assert_eq!(unhealthy.report["hypothesis"], "not_evaluated");
    assert_eq!(Settings::of(&services.containers[1]).await, before);
    assert!(memory_limit(&services.containers[1]).await > 1 << 40);
    unhealthy.assert_clean();
}

/// A probe that asks the service itself: it breaks away while the fault is on.
#[tokio::test]
async fn a_service_that_no_longer_answers_is_danger() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 1).await;
    let (observed, port) = TestProcess::serve().unwrap();
    let document = experiment(
        services.containers[0].name(),
        "duration: 60s",
        "",
        &format!(
            "    - name: watch
      http: {{ url: \"http://127.0.0.1:{port}/healthz\", timeout: 400ms, measure: latency }}
      abort: \"> 0.3\""
        ),
    );
    let mut run = bench.begin(&document, &[]);
    run.until_applied(1);
    drop(observed);
    assert_aborted(&run.end().expect(3));
}
