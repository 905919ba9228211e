//! When faults come and go.

use fracas_core::event::{Phase, What};
use fracas_core::record::State;

use crate::support::{Bench, Done, Services, scenario};

/// When the first injection came on, after the first could begin.
fn on(done: &Done) -> u64 {
    done.states(State::Applied)[0] - done.phase(Phase::Inject).0
}

/// How long the first injection was on.
fn lasted(done: &Done) -> u64 {
    done.states(State::Clean)[0] - done.states(State::Applied)[0]
}

/// Runs that differ in one line begin at the same time, each on a target of its own.
async fn runs(documents: impl Fn(&str) -> Vec<String>, per_run: usize, count: usize) -> Option<Vec<Done>> {
    let bench = Bench::new().await?;
    let services = Services::start(&bench.engine, per_run * count).await;
    let mut running = Vec::new();
    for (index, document) in documents(&services.prefix).into_iter().enumerate() {
        let document = (0..per_run).fold(document, |document, one| {
            document.replace(
                &format!("TARGET-{one}"),
                &format!("{}{}", services.prefix, index * per_run + one),
            )
        });
        running.push(bench.begin(&document, &[]));
    }
    Some(running.into_iter().map(|run| run.end().expect(0)).collect())
}

#[tokio::test]
async fn duration_of_a_fault_takes_it_off_before_the_end() {
    let documents = |_: &str| {
        ["", "duration: 700ms"]
            .map(|fault| scenario("TARGET-0", "duration: 2s", fault, ""))
            .to_vec()
    };
    let Some(done) = runs(documents, 1, 2).await else {
        return;
    };
    let (whole, short) = (&done[0], &done[1]);
    assert!(lasted(whole) >= 2000, "{} ms", lasted(whole));
    assert!((700..2000).contains(&lasted(short)), "{} ms", lasted(short));
    assert!(short.states(State::Clean)[0] < short.phase(Phase::Monitor).1);
    let (_, report) = short.test_report();
    assert_ne!(report["faults"][0]["end_time"], report["end_time"]);
}

#[tokio::test]
async fn delay_of_a_fault_puts_it_on_later() {
    let documents = |_: &str| {
        ["", "delay: 900ms"]
            .map(|fault| scenario("TARGET-0", "duration: 2s", fault, ""))
            .to_vec()
    };
    let Some(done) = runs(documents, 1, 2).await else {
        return;
    };
    assert!(on(&done[0]) < 900, "{} ms", on(&done[0]));
    assert!((900..2000).contains(&on(&done[1])), "{} ms", on(&done[1]));
}

#[tokio::test]
async fn warmup_and_cooldown_last_as_long_as_they_say() {
    let long = scenario("TARGET-0", "duration: 500ms", "", "")
        .replace("warmup: 400ms", "warmup: 1500ms")
        .replace("cooldown: 200ms", "cooldown: 1500ms");
    let documents = |_: &str| vec![scenario("TARGET-0", "duration: 500ms", "", ""), long.clone()];
    let Some(done) = runs(documents, 1, 2).await else {
        return;
    };
    for (phase, short) in [(Phase::Baseline, 400), (Phase::Cooldown, 200)] {
        let took = |done: &Done| done.phase(phase).1 - done.phase(phase).0;
        assert!(
            (short..1500).contains(&took(&done[0])),
            "{phase:?}: {} ms",
            took(&done[0])
        );
        assert!(took(&done[1]) >= 1500, "{phase:?}: {} ms", took(&done[1]));
    }
    // The faults stay on through it.
    assert!(done[1].states(State::Clean)[0] >= done[1].phase(Phase::Cooldown).1);
}

#[tokio::test]
async fn execution_mode_sequential_waits_until_the_fault_before_is_gone() {
    let document = |mode: &str| {
        let second = "duration: 500ms
    - phase: second
      target: other
      type: memory_pressure
      params: { memory_mb: 512 }
      duration: 500ms";
        scenario(
            "TARGET-0",
            &format!("duration: 3s\n  execution_mode: {mode}"),
            second,
            "",
        )
        .replace(
            "  interval:",
            "    - alias: other\n      selector: { pattern: \"TARGET-1\" }\n  interval:",
        )
    };
    let documents = |_: &str| vec![document("parallel"), document("sequential")];
    let Some(done) = runs(documents, 2, 2).await else {
        return;
    };
    let order = |done: &Done| -> Vec<State> {
        done.events
            .iter()
            .filter_map(|event| match event.what {
                What::Injection { state, .. } if state != State::Planned => Some(state),
                _ => None,
            })
            .collect()
    };
    assert_eq!(order(&done[0])[..2], [State::Applied, State::Applied]);
    assert_eq!(
        order(&done[1])[..4],
        [State::Applied, State::Clean, State::Applied, State::Clean]
    );
}

#[tokio::test]
async fn interval_is_the_time_between_two_readings() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 2).await;
    let run = |index: usize, interval: &str| {
        let check = format!(
            "    - {{ name: up, type: health_check, url: \"http://127.0.0.1:{}/healthz\" }}",
            services.ports[index]
        );
        let document = scenario(&format!("{}{index}", services.prefix), "duration: 2s", "", &check);
        bench.begin(&document.replace("interval: 200ms", interval), &[])
    };
    let (often, seldom) = (run(0, "interval: 200ms"), run(1, "interval: 1s"));
    let readings = |done: &Done| done.times(|what| matches!(what, What::ProbeRead { .. })).len();
    let (often, seldom) = (readings(&often.end().expect(0)), readings(&seldom.end().expect(0)));
    // 2.2 seconds with the fault on: at most 11 and 3 readings, and one at the end of the monitoring.
    assert!((5..=14).contains(&often), "{often}");
    assert!((2..=4).contains(&seldom), "{seldom}");
}
