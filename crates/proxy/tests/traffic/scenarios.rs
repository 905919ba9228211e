//! Scenarios that have a name, by REST. In the original the last one won, none ended by itself, and stopping one brought nothing back
//! (originals, 3.7, 8).

use std::time::Instant;

use fracas_core::chaos::Predefined;
use serde_json::{Value, json};

use crate::client::{Curl, Raw, curl};
use crate::stand::{LIMIT, Stand, wish};

async fn call(proxy: &Stand, method: &str, path: &str, body: Option<&Value>) -> Curl {
    let url = proxy.url(&format!("/api/chaos{path}"));
    let body = body.map(ToString::to_string);
    let mut words = vec!["-X", method, &url];
    if let Some(body) = &body {
        words.extend(["-H", "content-type: application/json", "-d", body]);
    }
    curl(&words).await
}

async fn start(proxy: &Stand, name: &str) -> Curl {
    call(proxy, "POST", &format!("/scenarios/{name}"), None).await
}

async fn active(proxy: &Stand) -> Value {
    serde_json::from_str(&call(proxy, "GET", "/scenarios", None).await.text()).unwrap()
}

async fn names(proxy: &Stand) -> Vec<String> {
    let names = active(proxy).await;
    let names = names.as_array().unwrap().iter();
    names.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

/// How a request fares: its status, the faults it met, and for how long it was held. The request is the same each time, so its fate is, too.
async fn fate(proxy: &Stand, id: &str) -> (u16, String, String) {
    let got = curl(&["-H", &format!("x-request-id: {id}"), &proxy.url("/")]).await;
    let header = |name| got.header(name);
    (got.status(), header("x-fracas-fault"), header("x-fracas-latency-ms"))
}

/// What acts on requests at the moment: the fates of several.
async fn fates(proxy: &Stand) -> Vec<(u16, String, String)> {
    let mut all = Vec::new();
    for id in 0..12 {
        all.push(fate(proxy, &id.to_string()).await);
    }
    all
}

/// Of 50 in a second, these would need ten.
const BURST: usize = 500;

/// What so many requests get that come at once, in one connection.
async fn burst(proxy: &Stand) -> String {
    let mut client = Raw::to(proxy.address).await;
    let one = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let last = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    client.send(one.repeat(BURST - 1) + last).await;
    client.said().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_acts_on_traffic_from_its_start_to_its_stop() {
    let proxy = wish("latency: { fixed_delay_ms: 1 }").start();
    let said = start(&proxy, "peak_traffic").await;
    assert_eq!(
        (said.status(), said.text()),
        (200, r#"{"message":"Scenario 'peak_traffic' started"}"#.to_owned())
    );
    // What was configured acts beneath it.
    let all = burst(&proxy).await;
    let (passed, refused) = (all.matches("HTTP/1.1 200").count(), all.matches("HTTP/1.1 429").count());
    assert_eq!(passed + refused, BURST, "{all}");
    assert_eq!(all.matches("x-fracas-latency-ms: 1.000").count(), passed, "{all}");
    assert!(refused > 0, "50 in a second pass, and 10 at once");
    let status: Value = serde_json::from_str(&call(&proxy, "GET", "/status", None).await.text()).unwrap();
    assert_eq!(
        (&status["active_scenarios"], &status["rate_limit_enabled"]),
        (&json!(["peak_traffic"]), &json!(true))
    );
    // What is configured is what was configured.
    let config: Value = serde_json::from_str(&call(&proxy, "GET", "/config", None).await.text()).unwrap();
    assert_eq!(config.get("rate_limit"), None, "{config}");

    let said = call(&proxy, "DELETE", "/scenarios/peak_traffic", None).await;
    assert_eq!(said.text(), r#"{"message":"Scenario 'peak_traffic' stopped"}"#);
    assert_eq!(burst(&proxy).await.matches("HTTP/1.1 200").count(), BURST);
    assert_eq!(active(&proxy).await, json!([]));
}

/// What acts on requests, as the API says it.
async fn acting(proxy: &Stand) -> Value {
    serde_json::from_str(&call(proxy, "GET", "/config/active", None).await.text()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_act_together_and_each_stop_restores_what_the_others_say() {
    // The same share as that of the scenario: the same requests fail.
    let base = "fault_injection: { http_errors: [501], http_error_probability: 0.2 }\nlatency: { fixed_delay_ms: 1 }";
    let proxy = wish(base).start();
    let before = fates(&proxy).await;
    let fails = before
        .iter()
        .position(|(status, ..)| *status == 501)
        .unwrap()
        .to_string();
    let mut acted = vec![acting(&proxy).await];
    for name in ["service_instability", "peak_traffic", "cascading_failure"] {
        start(&proxy, name).await;
        acted.push(acting(&proxy).await);
    }
    assert_eq!(
        names(&proxy).await,
        ["service_instability", "peak_traffic", "cascading_failure"]
    );
    // Each has its blocks, and of two that have the same block the later counts.
    let rate = |acting: &Value| acting["rate_limit"]["requests_per_second"].clone();
    assert_eq!(
        acted.iter().map(rate).collect::<Vec<_>>(),
        [Value::Null, Value::Null, json!(50), json!(10)]
    );
    let errors = |acting: &Value| acting["fault_injection"]["http_errors"].clone();
    let four = json!([500, 502, 503, 504]);
    assert_eq!(
        acted.iter().map(errors).collect::<Vec<_>>(),
        [json!([501]), four.clone(), four, json!([500, 503])]
    );
    // Whichever is stopped, the others and what was configured act as they say.
    call(&proxy, "DELETE", "/scenarios/cascading_failure", None).await;
    assert_eq!(acting(&proxy).await, acted[2]);
    let (status, met, held) = fate(&proxy, &fails).await;
    assert!(status >= 500 && status != 501, "{status}");
    assert_eq!((met.as_str(), held.as_str()), ("latency, http_error", "1.000"));
    call(&proxy, "DELETE", "/scenarios/service_instability", None).await;
    let rest = acting(&proxy).await;
    assert_eq!((rate(&rest), errors(&rest)), (json!(50), json!([501])));
    assert_eq!(fate(&proxy, &fails).await.0, 501);
    call(&proxy, "DELETE", "/scenarios/peak_traffic", None).await;
    assert_eq!(acting(&proxy).await, acted[0]);
    assert_eq!(fates(&proxy).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_configured_as_off_acts_while_its_scenario_does() {
    let proxy = wish("enabled: false\nfault_injection: { http_errors: [501], http_error_probability: 1 }").start();
    start(&proxy, "slow_backend").await;
    let begun = Instant::now();
    let (status, met, _) = fate(&proxy, "a").await;
    assert_eq!((status, met.as_str()), (200, "latency"));
    // Two seconds, a tenth more or less.
    assert!(begun.elapsed().as_secs_f64() >= 1.8);
    call(&proxy, "DELETE", "/scenarios", None).await;
    assert_eq!(fate(&proxy, "a").await, (200, String::new(), String::new()));
}

// Who switches all off and hears no more than that it is done believes that nothing is.
#[tokio::test(flavor = "multi_thread")]
async fn who_configures_off_beneath_a_scenario_is_told_that_it_goes_on() {
    let proxy = wish("{}").start();
    let off = json!({ "enabled": false });
    let said = call(&proxy, "PUT", "/config", Some(&off)).await;
    assert_eq!(said.text(), r#"{"message":"Chaos configuration updated"}"#);
    start(&proxy, "slow_backend").await;
    start(&proxy, "peak_traffic").await;
    let beneath = ", beneath 2 active scenarios: DELETE /api/chaos/scenarios stops them";
    let said = call(&proxy, "PUT", "/config", Some(&off)).await;
    assert_eq!(
        said.text(),
        format!(r#"{{"message":"Chaos configuration updated{beneath}"}}"#)
    );
    assert_eq!(fate(&proxy, "a").await.1, "latency");
    let said = call(&proxy, "POST", "/enable", None).await;
    assert_eq!(
        said.text(),
        format!(r#"{{"message":"Chaos engineering enabled{beneath}"}}"#)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn its_time_ends_it() {
    let proxy = wish("{}").start();
    let lasts = |seconds: f64| json!({ "duration_seconds": seconds });
    call(&proxy, "POST", "/scenarios/slow_backend", Some(&lasts(60.0))).await;
    let shown = active(&proxy).await;
    let left = shown[0]["remaining_seconds"].as_f64().unwrap();
    assert!(left > 60.0 - LIMIT.as_secs_f64() && left < 60.0, "{shown}");
    assert_eq!(shown[0]["duration_seconds"], 60.0);
    let before = Instant::now();
    let said = call(&proxy, "POST", "/scenarios/peak_traffic", Some(&lasts(0.3))).await;
    assert_eq!(said.status(), 200);
    let ends = async { while names(&proxy).await.len() > 1 {} };
    tokio::time::timeout(LIMIT, ends).await.expect("it ends");
    assert!(before.elapsed().as_secs_f64() >= 0.3);
    assert_eq!(names(&proxy).await, ["slow_backend"]);
    // Without a time it goes on: `null`, until somebody stops it.
    start(&proxy, "slow_backend").await;
    let shown = active(&proxy).await;
    assert_eq!(
        (&shown[0]["remaining_seconds"], &shown[0]["duration_seconds"]),
        (&Value::Null, &json!(0.0))
    );
}

// Who starts one again wants the time that he says now, and not the end of the first.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_started_again_is_there_once_and_its_time_begins_anew() {
    let proxy = wish("{}").start();
    call(
        &proxy,
        "POST",
        "/scenarios/peak_traffic",
        Some(&json!({ "duration_seconds": 0.2 })),
    )
    .await;
    start(&proxy, "slow_backend").await;
    call(
        &proxy,
        "POST",
        "/scenarios/peak_traffic",
        Some(&json!({ "duration_seconds": 60 })),
    )
    .await;
    call(
        &proxy,
        "POST",
        "/scenarios/service_instability",
        Some(&json!({ "duration_seconds": 0.3 })),
    )
    .await;
    // When this one is over, the first time of the other would be, too.
    let ends = async { while names(&proxy).await.len() > 2 {} };
    tokio::time::timeout(LIMIT, ends).await.expect("it ends");
    assert_eq!(names(&proxy).await, ["slow_backend", "peak_traffic"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn scenarios_and_an_orchestration_keep_each_other_out() {
    let proxy = wish("{}").start();
    let steps = json!({ "name": "o", "steps": [{ "name": "rest", "duration_seconds": 3600 }] });
    start(&proxy, "peak_traffic").await;
    let said = call(&proxy, "POST", "/orchestration/start", Some(&steps)).await;
    assert!(
        said.status() == 409 && said.text().contains("DELETE /api/chaos/scenarios"),
        "{said:?}"
    );
    let said = call(&proxy, "DELETE", "/scenarios", None).await;
    assert_eq!(said.text(), r#"{"message":"1 scenario stopped"}"#);
    assert_eq!(
        call(&proxy, "POST", "/orchestration/start", Some(&steps))
            .await
            .status(),
        200
    );
    let said = start(&proxy, "peak_traffic").await;
    assert!(
        said.status() == 409 && said.text().contains("/orchestration/stop"),
        "{said:?}"
    );
    assert_eq!(active(&proxy).await, json!([]));
    call(&proxy, "POST", "/orchestration/stop", None).await;
    assert_eq!(start(&proxy, "peak_traffic").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_ends_all_ends_them_too() {
    for path in ["/disable", "/reset"] {
        let proxy = wish("{}").start();
        start(&proxy, "slow_backend").await;
        start(&proxy, "service_instability").await;
        call(&proxy, "POST", path, None).await;
        assert_eq!(fate(&proxy, "a").await, (200, String::new(), String::new()), "{path}");
        assert_eq!(active(&proxy).await, json!([]), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_configured_meanwhile_acts_beneath_them_and_stays() {
    let proxy = wish("{}").start();
    start(&proxy, "peak_traffic").await;
    let block = json!({ "http_errors": [599], "http_error_probability": 1 });
    let said = call(&proxy, "PUT", "/config/faults", Some(&block)).await;
    assert_eq!(said.status(), 200, "{}", said.text());
    assert!(
        said.text().contains("beneath 1 active scenario: DELETE"),
        "{}",
        said.text()
    );
    assert_eq!(fate(&proxy, "a").await.0, 599);
    call(&proxy, "DELETE", "/scenarios", None).await;
    assert_eq!(fate(&proxy, "a").await.0, 599);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_of_the_command_line_act_from_the_first_request_on() {
    let proxy = wish("{}").scenario(Predefined::named("slow_backend").unwrap()).start();
    assert_eq!(fate(&proxy, "a").await.1, "latency");
    call(&proxy, "DELETE", "/scenarios/slow_backend", None).await;
    assert_eq!(fate(&proxy, "a").await.1, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused() {
    let proxy = wish("{}").start();
    for (name, body, status, says) in [
        ("nonsense", json!({}), 404, "/scenarios/predefined"),
        ("a%2fb", json!({}), 404, "/scenarios/predefined"),
        (
            "slow_backend",
            json!({ "duration_seconds": -1 }),
            422,
            "duration_seconds",
        ),
        (
            "slow_backend",
            json!({ "duration_seconds": 0.0001 }),
            422,
            "duration_seconds",
        ),
        ("slow_backend", json!({ "duration_seconds": 2_592_001 }), 422, "30 days"),
        ("slow_backend", json!({ "duration": 5 }), 422, "unknown field"),
        ("slow_backend", json!({ "duration_seconds": "5" }), 422, "invalid type"),
    ] {
        let said = call(&proxy, "POST", &format!("/scenarios/{name}"), Some(&body)).await;
        assert_eq!(
            (said.status(), said.header("content-type").as_str()),
            (status, "application/problem+json"),
            "{name} {body}"
        );
        assert!(said.text().contains(says), "{name} {body}: {}", said.text());
    }
    for name in ["slow_backend", "nonsense"] {
        let said = call(&proxy, "DELETE", &format!("/scenarios/{name}"), None).await;
        assert_eq!(said.status(), 404, "{name}");
    }
    assert_eq!(active(&proxy).await, json!([]));
}
