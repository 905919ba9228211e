//! Orchestrations, seen by clients and by those who ask how they are.

use std::time::Instant;

use serde_json::{Value, json};

use crate::client::{Curl, Raw, curl};
use crate::stand::{LIMIT, Stand, wish};
use crate::upstream::{LARGE, Upstream};

/// Longer than any test.
pub(crate) const LONG: f64 = 3600.0;

pub(crate) async fn api(proxy: &Stand, method: &str, path: &str, body: &Value) -> Curl {
    let (url, body) = (of_api(proxy, path), body.to_string());
    curl(&["-X", method, "-H", "content-type: application/json", "-d", &body, &url]).await
}

/// Sends nothing.
pub(crate) async fn call(proxy: &Stand, method: &str, path: &str) -> Curl {
    let url = of_api(proxy, path);
    curl(&["-X", method, "-H", "content-type: application/json", &url]).await
}

fn of_api(proxy: &Stand, path: &str) -> String {
    format!("http://{}/api/chaos{path}", proxy.api)
}

pub(crate) async fn start(proxy: &Stand, orchestration: Value) -> Curl {
    api(proxy, "POST", "/orchestration/start", &orchestration).await
}

pub(crate) async fn status(proxy: &Stand) -> Value {
    let said = call(proxy, "GET", "/orchestration/status").await;
    serde_json::from_str(&said.text()).unwrap()
}

/// How it was when it had ended.
pub(crate) async fn ended(proxy: &Stand) -> Value {
    let looks = async {
        loop {
            let status = status(proxy).await;
            if status["is_running"] == false {
                return status;
            }
        }
    };
    tokio::time::timeout(LIMIT, looks).await.expect("it ends")
}

/// What a client gets.
pub(crate) async fn get(proxy: &Stand) -> u16 {
    curl(&[&proxy.url("/")]).await.status()
}

/// A step in which every request fails with this status.
pub(crate) fn fails(name: &str, status: u16, seconds: f64) -> Value {
    let config = json!({ "fault_injection": { "http_errors": [status], "http_error_probability": 1 } });
    json!({ "name": name, "scenario": { "config": config }, "duration_seconds": seconds })
}

pub(crate) fn fails_always(status: u16) -> String {
    format!("fault_injection: {{ http_errors: [{status}], http_error_probability: 1 }}")
}

// Defects 1 and 4 of the original: its steps touched no traffic, and its stop stopped nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_acts_on_traffic_and_a_stop_brings_back_what_was() {
    let proxy = wish(&fails_always(501)).start();
    let said = start(&proxy, json!({ "name": "one", "steps": [fails("a", 503, LONG)] })).await;
    assert_eq!(said.status(), 200, "{}", said.text());
    assert!(said.text().contains("Orchestration 'one' started successfully"));
    assert_eq!(get(&proxy).await, 503);
    let now = status(&proxy).await;
    assert_eq!((&now["is_running"], &now["name"]), (&json!(true), &json!("one")));
    assert_eq!(now["steps"][0]["state"], "running");
    let whole: Value = serde_json::from_str(&call(&proxy, "GET", "/status").await.text()).unwrap();
    // It has no name of its own.
    assert_eq!(whole["active_scenarios"], json!(["a"]));

    let said = call(&proxy, "POST", "/orchestration/stop").await;
    assert!(said.text().contains("Orchestration stopped"), "{}", said.text());
    assert_eq!(get(&proxy).await, 501);
    let over = status(&proxy).await;
    assert_eq!(
        (&over["is_running"], &over["state"]),
        (&json!(false), &json!("stopped"))
    );
    assert_eq!(over["steps"][0]["state"], "cut");
    let none = call(&proxy, "POST", "/orchestration/stop").await;
    assert_eq!(none.status(), 409, "{}", none.text());
}

/// The statuses that a client gets in one connection, each once until another comes, up to the last of these.
pub(crate) async fn seen(proxy: &Stand, until: &[&str]) -> Vec<String> {
    let mut client = Raw::to(proxy.address).await;
    let mut seen: Vec<String> = Vec::new();
    let looks = async {
        while !seen.ends_with(&until.iter().map(ToString::to_string).collect::<Vec<_>>()) {
            let head = client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            let status = head.split(' ').nth(1).unwrap().to_owned();
            if seen.last() != Some(&status) {
                seen.push(status);
            }
        }
    };
    tokio::time::timeout(LIMIT, looks).await.expect("they come");
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_act_in_their_order_with_nothing_in_their_pauses() {
    let proxy = wish(&fails_always(501)).start();
    let mut second = fails("b", 502, LONG);
    second["delay_before_seconds"] = json!(0.3);
    start(
        &proxy,
        json!({ "name": "two", "steps": [fails("a", 503, 0.3), second] }),
    )
    .await;
    // A client that is held up may miss one.
    let seen = seen(&proxy, &["502"]).await;
    let mut order = ["503", "200", "502"].into_iter();
    assert!(seen.iter().all(|status| order.any(|next| next == status)), "{seen:?}");
    let now = status(&proxy).await;
    assert_eq!(
        (&now["steps"][0]["state"], &now["steps"][1]["state"]),
        (&json!("passed"), &json!("running"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_does_it_again() {
    let proxy = wish("{}").start();
    let mut step = fails("a", 503, 0.05);
    step["delay_before_seconds"] = json!(0.05);
    let looped = json!({
        "name": "looped", "loop_orchestration": true, "max_iterations": 0, "max_duration_seconds": LONG, "steps": [step],
    });
    start(&proxy, looped).await;
    seen(&proxy, &["503", "200", "503"]).await;
    let now = status(&proxy).await;
    assert!(now["iteration"].as_u64() > Some(1), "{now}");
}

// Defect 5: it never moved beside each other, and was 0 at the end.
#[tokio::test(flavor = "multi_thread")]
async fn progress_is_the_share_of_the_time_that_is_over_in_every_mode() {
    const TOTAL: f64 = 600.0;
    let modes = [
        json!({ "steps": [fails("a", 503, 200.0), fails("b", 503, 400.0)] }),
        json!({ "steps": [fails("a", 503, 200.0), fails("b", 503, 600.0)], "parallel": true }),
        json!({ "steps": [fails("a", 503, 0.0), fails("b", 503, 0.0)], "parallel": true }),
        json!({ "steps": [fails("a", 503, 0.06)], "loop_orchestration": true, "max_iterations": 10_000 }),
        json!({
            "steps": [fails("a", 503, 0.06)], "loop_orchestration": true, "max_iterations": 0, "max_duration_seconds": 600,
        }),
    ];
    for mut mode in modes {
        let proxy = wish("{}").start();
        mode["name"] = json!("o");
        let before = Instant::now();
        start(&proxy, mode.clone()).await;
        let begun = Instant::now();
        for _ in 0..2 {
            let least = begun.elapsed().as_secs_f64() / TOTAL;
            let progress = status(&proxy).await["progress"].as_f64().unwrap();
            let most = before.elapsed().as_secs_f64() / TOTAL;
            assert!((least..=most).contains(&progress), "{mode}: {least} {progress} {most}");
        }
    }
}

// What the reference says of the end.
#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_the_breaker_is_closed_and_buckets_are_full() {
    let proxy = wish("rate_limit: { requests_per_second: 1, burst_size: 60 }").start();
    seen(&proxy, &["200", "429"]).await;
    let rest = json!({ "name": "rest", "steps": [{ "name": "a", "duration_seconds": 0.02 }] });
    start(&proxy, rest.clone()).await;
    ended(&proxy).await;
    let mut client = Raw::to(proxy.address).await;
    for _ in 0..60 {
        let head = client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }

    let breaker = "circuit_breaker: { failure_threshold: 1, timeout_ms: 3600000 }";
    let proxy = wish(&format!("{}\n{breaker}", fails_always(501))).start();
    seen(&proxy, &["501", "503"]).await;
    start(&proxy, rest).await;
    ended(&proxy).await;
    assert_eq!(get(&proxy).await, 501);
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_follow_one_another_and_their_results_stay_readable() {
    let proxy = wish("{}").start();
    let steps = json!([fails("a", 503, 0.05), { "name": "b", "duration_seconds": 0.05 }]);
    start(&proxy, json!({ "name": "two", "steps": steps })).await;
    let over = ended(&proxy).await;
    assert_eq!((&over["state"], &over["progress"]), (&json!("completed"), &json!(1.0)));
    for (step, name) in over["steps"].as_array().unwrap().iter().zip(["a", "b"]) {
        assert_eq!(
            (&step["name"], &step["state"], &step["passed"]),
            (&json!(name), &json!("passed"), &json!(1))
        );
    }
    assert_eq!(get(&proxy).await, 200);
    // Another one may follow.
    let said = start(&proxy, json!({ "name": "three", "steps": [fails("a", 503, 0.05)] })).await;
    assert_eq!(said.status(), 200, "{}", said.text());
    assert_eq!(ended(&proxy).await["name"], "three");
}

// Defect 5: of parallel steps the last writer won.
#[tokio::test(flavor = "multi_thread")]
async fn steps_beside_each_other_act_together() {
    let proxy = wish("{}").start();
    let slow = json!({ "name": "slow", "scenario": { "config": { "latency": { "fixed_delay_ms": 1 } } } });
    let steps = json!([slow, fails("a", 503, LONG)]);
    start(&proxy, json!({ "name": "both", "parallel": true, "steps": steps })).await;
    let got = curl(&[&proxy.url("/")]).await;
    assert_eq!(
        (got.status(), got.header("x-fracas-latency-ms")),
        (503, "1.000".to_owned())
    );
    let now = status(&proxy).await;
    let progress = now["progress"].as_f64().unwrap();
    assert!(progress > 0.0 && progress < 1.0, "{progress}");
}

// Defect 5: a step could not fail.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_ends_all_unless_it_may_fail() {
    for (goes_on, state, second) in [(false, "failed", "pending"), (true, "completed", "passed")] {
        let proxy = wish("{}").start();
        let mut first = fails("a", 503, 0.05);
        first["assertions"] = json!([{ "metric": "requests", "min": 1 }]);
        first["continue_on_failure"] = json!(goes_on);
        let steps = json!([first, { "name": "b", "duration_seconds": 0.05 }]);
        start(&proxy, json!({ "name": "o", "steps": steps })).await;
        let over = ended(&proxy).await;
        assert_eq!(over["state"], state);
        assert_eq!(
            (&over["steps"][0]["state"], &over["steps"][0]["failed"]),
            (&json!("failed"), &json!(1))
        );
        let why = over["steps"][0]["failures"][0].as_str().unwrap();
        assert!(why.contains("requests was 0"), "{why}");
        assert_eq!(over["steps"][1]["state"], second);
        assert_eq!(get(&proxy).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_sees_the_requests_of_its_step() {
    let proxy = wish("{}").start();
    let mut step = fails("a", 503, LONG);
    start(&proxy, json!({ "name": "o", "steps": [step.clone()] })).await;
    for _ in 0..2 {
        assert_eq!(get(&proxy).await, 503);
    }
    call(&proxy, "POST", "/orchestration/stop").await;
    let cut = status(&proxy).await["steps"][0].clone();
    let counts = ["requests", "server_errors", "faults"].map(|name| cut[name].as_u64().unwrap());
    assert_eq!((&cut["state"], counts), (&json!("cut"), [2, 2, 2]));
    // Those before it are none of the next one's.
    step["duration_seconds"] = json!(0.02);
    step["assertions"] = json!([{ "metric": "requests", "max": 0 }]);
    start(&proxy, json!({ "name": "o", "steps": [step] })).await;
    assert_eq!(ended(&proxy).await["steps"][0]["state"], "passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_runs_nobody_else_says_what_is_done_but_anybody_may_end_it() {
    let proxy = wish(&fails_always(501)).start();
    let one = json!({ "name": "one", "steps": [fails("a", 503, LONG)] });
    start(&proxy, one.clone()).await;
    for (method, path, body) in [
        ("POST", "/orchestration/start", &one),
        ("PUT", "/config", &json!({})),
        ("PUT", "/config/latency", &json!({ "fixed_delay_ms": 1 })),
        ("POST", "/enable", &Value::Null),
    ] {
        let said = api(&proxy, method, path, body).await;
        assert_eq!(said.status(), 409, "{path}: {}", said.text());
    }
    let before = call(&proxy, "GET", "/config").await.text();
    assert!(before.contains("501"), "{before}");
    assert_eq!(call(&proxy, "POST", "/disable").await.status(), 200);
    assert_eq!(get(&proxy).await, 200);
    assert_eq!(status(&proxy).await["state"], "stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_ends_ends_what_it_does() {
    let mut proxy = wish("{}").start();
    start(&proxy, json!({ "name": "one", "steps": [fails("a", 503, LONG)] })).await;
    proxy.ask_to_stop();
    assert_eq!(proxy.ended().await.cut, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_with_its_place() {
    let proxy = wish("{}").start();
    for (body, why) in [
        (json!({ "name": "o", "steps": [] }), "must not be empty"),
        (json!({ "name": "o", "steps": [{ "name": "endless" }] }), "`endless`"),
        (json!({ "name": "o" }), "`steps`"),
        (
            json!({ "name": "o", "steps": [{ "name": "a", "duration_seconds": 1, "scenario": { "name": "x" } }] }),
            "`x`",
        ),
    ] {
        let said = start(&proxy, body).await;
        assert_eq!(said.status(), 422);
        assert!(said.text().contains(why), "{why}: {}", said.text());
    }
    assert_eq!(status(&proxy).await["state"], "none");
}

// Defect 2: what was imported could not be begun.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_imported_is_begun_by_a_start_of_nothing_and_can_be_shared() {
    let proxy = wish("{}").start();
    let import = |content: &str, format: &str| json!({ "content": content, "format": format });
    for (path, status) in [("export", 404), ("start", 409)] {
        let method = if path == "export" { "GET" } else { "POST" };
        let said = call(&proxy, method, &format!("/orchestration/{path}")).await;
        assert_eq!(said.status(), status, "{path}: {}", said.text());
    }
    let content = fails("a", 503, LONG);
    let content = format!("name: three\ntags: [x]\nsteps: [{content}, {{ name: b, duration_seconds: 1 }}]");
    let said = api(&proxy, "POST", "/orchestration/import", &import(&content, "yaml")).await;
    let message = "Orchestration 'three' imported successfully (2 steps)";
    assert!(said.text().contains(message), "{}", said.text());
    for (content, format) in [(content.as_str(), "json"), ("name: x", "yaml")] {
        let said = api(&proxy, "POST", "/orchestration/import", &import(content, format)).await;
        assert_eq!(said.status(), 422, "{}", said.text());
    }
    assert_eq!(status(&proxy).await["state"], "none");
    assert_eq!(get(&proxy).await, 200);

    let said = call(&proxy, "POST", "/orchestration/start").await;
    assert!(said.text().contains("Orchestration 'three' started"), "{}", said.text());
    assert_eq!(get(&proxy).await, 503);
    let other = wish("{}").start();
    let exported = call(&proxy, "GET", "/orchestration/export").await.text();
    let said = api(&other, "POST", "/orchestration/import", &import(&exported, "json")).await;
    assert!(said.text().contains(message), "{}", said.text());
    call(&other, "POST", "/orchestration/start").await;
    assert_eq!((get(&other).await, &status(&other).await["tags"]), (503, &json!(["x"])));
}

// Defect 3: names of scenarios meant nothing, and what was documented could not be read.
#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_is_a_name_or_a_configuration_or_both() {
    let known = call(&wish("{}").start(), "GET", "/scenarios/predefined").await.text();
    let known: Vec<Value> = serde_json::from_str(&known).unwrap();
    let names: Vec<&str> = known.iter().map(|one| one["name"].as_str().unwrap()).collect();
    let all = [
        "network_degradation",
        "service_instability",
        "cascading_failure",
        "peak_traffic",
        "slow_backend",
    ];
    assert_eq!(names, all);
    let limit = json!({ "rate_limit": { "requests_per_second": 1, "burst_size": 1 } });
    for (scenario, passes) in [
        (json!("peak_traffic"), 10),
        (json!({ "name": "peak_traffic" }), 10),
        (json!({ "name": "peak_traffic", "config": limit }), 1),
        (json!({ "config": limit }), 1),
        (json!({ "name": "mine", "chaos_config": limit }), 1),
    ] {
        let proxy = wish("{}").start();
        let step = json!({ "name": "a", "scenario": scenario, "duration_seconds": LONG });
        let said = start(&proxy, json!({ "name": "o", "steps": [step] })).await;
        assert_eq!(said.status(), 200, "{}", said.text());
        let mut client = Raw::to(proxy.address).await;
        let mut passed = 0;
        while client
            .ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 200 ")
        {
            passed += 1;
        }
        // What drops into the bucket meanwhile passes, too.
        assert!((passes..passes + 9).contains(&passed), "{scenario}: {passed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_scenario_that_has_a_name_acts() {
    // With all chances made certain, for one request. Of `peak_traffic` one says nothing.
    let sure = |config: Value| json!({ "name": "a", "scenario": config, "duration_seconds": LONG });
    let latency = json!({ "probability": 1, "jitter_percent": 0 });
    for (name, config, status, held) in [
        (
            "network_degradation",
            json!({ "latency": latency, "traffic_shaping": { "packet_loss_percent": 100 } }),
            408,
            "",
        ),
        (
            "service_instability",
            json!({ "fault_injection": { "http_errors": [502], "http_error_probability": 1 } }),
            502,
            "",
        ),
        (
            "cascading_failure",
            json!({ "latency": { "probability": 0 }, "fault_injection": { "http_errors": [503], "http_error_probability": 1 } }),
            503,
            "",
        ),
        ("slow_backend", json!({ "latency": latency }), 200, "2000.000"),
    ] {
        let proxy = wish("{}").start();
        let step = sure(json!({ "name": name, "config": config }));
        let said = start(&proxy, json!({ "name": "o", "steps": [step] })).await;
        assert_eq!(said.status(), 200, "{}", said.text());
        let got = curl(&[&proxy.url("/")]).await;
        assert_eq!(
            (got.status(), got.header("x-fracas-latency-ms").as_str()),
            (status, held),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_acts_on_bodies_that_are_passing() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let narrow = json!({ "traffic_shaping": { "bandwidth_limit_bps": 1 } });
    let step = json!({ "name": "a", "scenario": { "config": narrow }, "duration_seconds": LONG });
    start(&proxy, json!({ "name": "o", "steps": [step] })).await;
    let mut client = Raw::to(proxy.address).await;
    client.send("GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.contains("bandwidth_throttle"), "{head}");
    call(&proxy, "POST", "/orchestration/stop").await;
    // By a byte in a second it would take a month.
    client.skip(LARGE as u64).await;
}

// Defect 4: a start by REST forgot all but the steps.
#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_sent_counts() {
    let proxy = wish("{}").start();
    let whole = json!({
        "name": "o", "description": "of a kind", "tags": ["a"], "loop_orchestration": true, "max_iterations": 3,
        "steps": [fails("a", 503, 0.02)],
    });
    start(&proxy, whole).await;
    let over = ended(&proxy).await;
    assert_eq!(
        (&over["description"], &over["tags"]),
        (&json!("of a kind"), &json!(["a"]))
    );
    assert_eq!(
        (&over["steps"][0]["passed"], &over["iteration"]),
        (&json!(3), &json!(3))
    );
}

// Defect 4: a stop was seen between two steps alone, and never by those beside each other.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_acts_at_once_in_a_pause_and_on_steps_beside_each_other() {
    let delayed = |step: Value| {
        let mut step = step;
        step["delay_before_seconds"] = json!(LONG);
        step
    };
    for (parallel, steps, during) in [
        (false, json!([delayed(fails("a", 503, 1.0))]), 200),
        (true, json!([fails("a", 503, LONG), delayed(fails("b", 502, 1.0))]), 503),
    ] {
        let proxy = wish(&fails_always(501)).start();
        start(&proxy, json!({ "name": "o", "parallel": parallel, "steps": steps })).await;
        assert_eq!(get(&proxy).await, during);
        call(&proxy, "POST", "/orchestration/stop").await;
        assert_eq!(get(&proxy).await, 501);
        let over = status(&proxy).await;
        assert_eq!(
            (&over["is_running"], &over["state"]),
            (&json!(false), &json!("stopped"))
        );
        // And it does not come back: another one may begin.
        let next = json!({ "name": "next", "steps": [fails("c", 504, 0.02)] });
        assert_eq!(start(&proxy, next).await.status(), 200);
        assert_eq!(ended(&proxy).await["name"], "next");
        assert_eq!(get(&proxy).await, 501);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_cannot_begin_one_without_asking() {
    let proxy = wish("{}").start();
    let body = json!({ "name": "o", "steps": [fails("a", 503, LONG)] }).to_string();
    let url = proxy.url("/api/chaos/orchestration/start");
    let said = curl(&["-H", "content-type: text/plain", "-d", &body, &url]).await;
    assert_eq!(said.status(), 415, "{}", said.text());
    // Nor the one that was imported, by a form without fields.
    let import = json!({ "content": body, "format": "json" });
    assert_eq!(
        api(&proxy, "POST", "/orchestration/import", &import).await.status(),
        200
    );
    let said = curl(&["-X", "POST", &url]).await;
    assert_eq!(said.status(), 415, "{}", said.text());
    assert_eq!(get(&proxy).await, 200);
}

// In the original a breaker that chaos opened would go on being open.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_are_the_same_before_and_in_a_step_count_each_for_itself() {
    let limit = "rate_limit: { requests_per_second: 1, burst_size: 3 }";
    let breaker = "circuit_breaker: { failure_threshold: 2 }";
    let proxy = wish(&format!("{limit}\n{breaker}")).start();
    let config = json!({
        "rate_limit": { "requests_per_second": 1, "burst_size": 3 },
        "circuit_breaker": { "failure_threshold": 2 },
        "fault_injection": { "http_errors": [501], "http_error_probability": 1 },
    });
    let step = json!({ "name": "a", "scenario": { "config": config }, "duration_seconds": LONG });
    let said = start(&proxy, json!({ "name": "o", "steps": [step] })).await;
    assert_eq!(said.status(), 200, "{}", said.text());
    let seen = [get(&proxy).await, get(&proxy).await, get(&proxy).await];
    assert!(seen.contains(&501), "{seen:?}");
    call(&proxy, "POST", "/orchestration/stop").await;
    assert_eq!([get(&proxy).await, get(&proxy).await, get(&proxy).await], [200; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_can_be_imported() {
    // Long enough that it would be no document in one line.
    let steps: Vec<Value> = (0..200).map(|n| fails(&format!("step {n}"), 503, 1.0)).collect();
    let content = serde_json::to_string_pretty(&json!({ "name": "costs $${X}", "steps": steps })).unwrap();
    for (format, begins) in [("json", "{\n  \"name\":"), ("yaml", "name: ")] {
        let proxy = wish("{}").start();
        let import = |content: &str, format: &str| json!({ "content": content, "format": format });
        let taken = api(&proxy, "POST", "/orchestration/import", &import(&content, "json")).await;
        assert_eq!(taken.status(), 200, "{}", taken.text());
        let url = proxy.url(&format!("/api/chaos/orchestration/export?format={format}"));
        let first = curl(&[&url]).await.text();
        assert!(first.starts_with(begins) && first.contains("costs $${X}"), "{first}");
        let taken = api(&proxy, "POST", "/orchestration/import", &import(&first, format)).await;
        assert_eq!(taken.status(), 200, "{}", taken.text());
        assert_eq!(curl(&[&url]).await.text(), first);
        let other = proxy.url("/api/chaos/orchestration/export?format=toml");
        assert_eq!(curl(&[&other]).await.status(), 400);
    }
}
