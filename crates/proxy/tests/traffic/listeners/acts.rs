//! What is done at some listeners alone.

use serde_json::{Value, json};

use super::{GET, ask, get, put, status};
use crate::api::send;
use crate::client::{Curl, Raw, curl};
use crate::orchestrations::{LONG, api, start};
use crate::stand::{LIMIT, Stand, soon_async, wish};
use crate::upstream::Upstream;

const FAULTS: &str =
    "fault_injection: { http_errors: [500], http_error_probability: 1, request_matcher: { listeners: [b] } }";

/// A proxy that does this, with the listeners `main`, `a` and `b`.
fn three(config: &str) -> Stand {
    wish(config).beside("a", None).beside("b", None).start()
}

/// What is done at each of the three.
async fn met(proxy: &Stand) -> [String; 3] {
    let mut met = Vec::new();
    for name in ["main", "a", "b"] {
        met.push(ask(proxy, name, "/").await.header("x-fracas-fault"));
    }
    met.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_acts_at_those_that_it_names() {
    let error = "{ http_errors: [500], http_error_probability: 1, request_matcher: { listeners: [b] } }";
    for (config, expected) in [
        (format!("fault_injection: {error}"), ["", "", "http_error"]),
        (
            "fault_injection: { http_errors: [500], http_error_probability: 1, request_matcher: { listeners: [main, b] } }"
                .to_owned(),
            ["http_error", "", "http_error"],
        ),
        (
            "fault_injection: { http_errors: [500], http_error_probability: 1, request_matcher: { listeners: [] } }"
                .to_owned(),
            ["http_error", "http_error", "http_error"],
        ),
        // All that a matcher says must be met.
        (
            "fault_injection: { http_errors: [500], http_error_probability: 1, \
             request_matcher: { listeners: [b], headers: [{ name: x-canary }] } }"
                .to_owned(),
            ["", "", ""],
        ),
        ("latency: { fixed_delay_ms: 1, listeners: [a] }".to_owned(), ["", "latency", ""]),
        (
            format!("latency: {{ fixed_delay_ms: 1, listeners: [a, b] }}\nfault_injection: {error}"),
            ["", "latency", "latency, http_error"],
        ),
    ] {
        assert_eq!(met(&three(&config)).await, expected, "{config}");
    }
    let harmed = "fault_injection: { http_errors: [], payload_corruption: true, payload_corruption_probability: 1, \
                  corruption_type: bit_flip, request_matcher: { listeners: [b] } }";
    assert_eq!(met(&three(harmed)).await, ["", "", "payload_corruption"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_for_those_that_it_names_and_two_of_one_path_are_two() {
    let fails = |status: u16, more: &str| {
        format!(
            "{{ path: /x, {more} fault_injection: {{ fault_types: [{{ type: http_error, status_code: {status} }}] }} }}"
        )
    };
    let config = format!(
        "routes: [{}, {}, {}]",
        fails(501, "listeners: [a],"),
        fails(502, "listeners: [b],"),
        "{ path: /slow, latency: { fixed_delay_ms: 1, listeners: [b] } }"
    );
    let proxy = three(&config);
    let mut statuses = Vec::new();
    for name in ["main", "a", "b"] {
        statuses.push(ask(&proxy, name, "/x").await.status());
    }
    assert_eq!(statuses, [200, 501, 502]);
    for (name, latency) in [("main", ""), ("a", ""), ("b", "1.000")] {
        assert_eq!(
            ask(&proxy, name, "/slow").await.header("x-fracas-latency-ms"),
            latency,
            "{name}"
        );
    }
    assert_eq!(
        proxy.counted("route_requests_total{route=\"/x at a\",class=\"5xx\"}"),
        1
    );
    // One that the others cannot hide is for all that is left.
    let with_rest = format!("routes: [{}, {}]", fails(501, "listeners: [a],"), fails(503, ""));
    let proxy = three(&with_rest);
    for (name, status) in [("main", 503), ("a", 501), ("b", 503)] {
        assert_eq!(ask(&proxy, name, "/x").await.status(), status, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_elsewhere_takes_no_tokens_and_is_not_limited() {
    let proxy = three("rate_limit: { requests_per_second: 1, burst_size: 1, listeners: [b] }");
    for name in ["main", "a", "main", "a"] {
        assert_eq!(status(&proxy, name).await, 200, "{name}");
    }
    // A token comes in a second: of so many at once some find none.
    let mut client = Raw::to(proxy.at("b")).await;
    let mut limited = 0;
    for number in 0..20 {
        let head = client.ask(GET).await;
        assert!(number > 0 || head.starts_with("HTTP/1.1 200 "), "{head}");
        limited += usize::from(head.starts_with("HTTP/1.1 429 "));
    }
    assert!(limited > 0);
    assert_eq!(status(&proxy, "a").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_hears_and_refuses_those_alone_that_it_names() {
    let breaker = "circuit_breaker: { failure_threshold: 1, timeout_ms: 3600000, listeners: [b] }";
    let at = |names: &str| FAULTS.replace("[b]", names);
    let proxy = three(&format!("{}\n{breaker}", at("[a]")));
    for _ in 0..3 {
        assert_eq!(status(&proxy, "a").await, 500);
        assert_eq!(status(&proxy, "b").await, 200);
    }
    let proxy = three(&format!("{FAULTS}\n{breaker}"));
    assert_eq!(status(&proxy, "b").await, 500);
    for (name, expected) in [("b", 503), ("a", 200), ("main", 200), ("b", 503)] {
        assert_eq!(status(&proxy, name).await, expected, "{name}");
    }
    // One for two is one: what fails at the one closes the other, too.
    let proxy = three(&format!("{FAULTS}\n{}", breaker.replace("[b]", "[a, b]")));
    for (name, expected) in [("a", 200), ("b", 500), ("a", 503), ("b", 503), ("main", 200)] {
        assert_eq!(status(&proxy, name).await, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulkhead_gives_places_to_those_alone_that_it_names() {
    let upstream = Upstream::start().await;
    let proxy = wish("bulkhead: { max_concurrent_requests: 1, max_queue_size: 0, listeners: [b] }")
        .to(&upstream.url())
        .beside("b", Some(&upstream.url()))
        .start();
    let mut held = Vec::new();
    for name in ["main", "main", "b"] {
        let mut client = Raw::to(proxy.at(name)).await;
        client.send("GET /two HTTP/1.1\r\nhost: a\r\n\r\n").await;
        client.until("first").await;
        held.push(client);
    }
    assert_eq!((status(&proxy, "b").await, status(&proxy, "main").await), (503, 200));
    assert_eq!(get(&proxy, "/status").await["bulkhead_concurrent_requests"], 1);
    drop(held);
    soon_async("its place is free", async || status(&proxy, "b").await == 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_acts_in_open_connections_of_those_that_it_names() {
    let proxy = three("{}");
    let mut clients = [Raw::to(proxy.at("a")).await, Raw::to(proxy.at("b")).await];
    let mut heads = async || {
        let [a, b] = &mut clients;
        [a.ask(GET).await, b.ask(GET).await].map(|head| head[9..12].to_owned())
    };
    assert_eq!(heads().await, ["200", "200"]);
    let block = |names: Value| json!({ "http_errors": [503], "http_error_probability": 1, "request_matcher": { "listeners": names } });
    for (names, expected) in [
        (json!(["b"]), ["200", "503"]),
        (json!(["a"]), ["503", "200"]),
        (json!(["a", "b"]), ["503", "503"]),
        (json!([]), ["503", "503"]),
        (json!(["main"]), ["200", "200"]),
    ] {
        let said = put(&proxy, "/config/faults", &block(names.clone()).to_string()).await;
        assert_eq!(said.status(), 200, "{}", said.text());
        assert_eq!(heads().await, expected, "{names}");
    }
    let route = json!({ "path": "/", "listeners": ["b"], "fault_injection": { "fault_types": [{ "type": "http_error", "status_code": 418 }] } });
    assert_eq!(send(&proxy, "/routes", &route.to_string()).await.status(), 201);
    assert_eq!(heads().await, ["200", "418"]);
    assert_eq!(get(&proxy, "/routes").await[0]["listeners"], json!(["b"]));
}

/// An orchestration of one step, which does this.
fn of(config: &Value) -> Value {
    json!({ "name": "o", "steps": [{ "name": "s", "scenario": { "config": config }, "duration_seconds": LONG }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_act_at_those_that_they_name_and_what_was_comes_back() {
    let proxy = three("latency: { fixed_delay_ms: 1, listeners: [a] }");
    assert_eq!(met(&proxy).await, ["", "latency", ""]);
    let config = json!({ "fault_injection": { "http_errors": [503], "http_error_probability": 1, "request_matcher": { "listeners": ["b"] } } });
    let said = start(&proxy, of(&config)).await;
    assert_eq!(said.status(), 200, "{}", said.text());
    assert_eq!(met(&proxy).await, ["", "", "http_error"]);
    // A scenario that has a name, with keys put over it.
    let stopped = api(&proxy, "POST", "/orchestration/stop", &json!({})).await;
    assert_eq!(stopped.status(), 200, "{}", stopped.text());
    assert_eq!(met(&proxy).await, ["", "latency", ""]);
    let named = json!({ "name": "o", "steps": [{
        "name": "s", "duration_seconds": LONG,
        "scenario": { "name": "slow_backend", "config": { "latency": { "fixed_delay_ms": 1, "listeners": ["b"] } } },
    }] });
    assert_eq!(start(&proxy, named).await.status(), 200);
    assert_eq!(met(&proxy).await, ["", "", "latency"]);
}

// Put together, the route for all would hide that for one.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_of_one_step_acts_before_that_of_another_which_covers_it() {
    let step = |name: &str, listeners: Value, status: u16| {
        let fails = json!({ "fault_types": [{ "type": "http_error", "status_code": status }] });
        let route = json!({ "path": "/x", "listeners": listeners, "fault_injection": fails });
        json!({ "name": name, "scenario": { "config": { "routes": [route] } }, "duration_seconds": LONG })
    };
    let proxy = three("{}");
    let steps = [step("all", json!([]), 501), step("one", json!(["a"]), 503)];
    let said = start(&proxy, json!({ "name": "o", "parallel": true, "steps": steps })).await;
    assert_eq!(said.status(), 200, "{}", said.text());
    for (name, status) in [("main", 501), ("a", 503), ("b", 501)] {
        assert_eq!(ask(&proxy, name, "/x").await.status(), status, "{name}");
    }
}

/// That it was refused for a listener that there is not, and where that stands.
#[track_caller]
fn is_unknown(said: &Curl, path: &str) {
    let text = said.text();
    assert_eq!(said.status(), 422, "{text}");
    for part in ["N012", path, "it has main, a, b"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_there_is_not_is_refused_with_its_place_and_nothing_changes() {
    let proxy = three(FAULTS);
    let of_faults = json!({ "request_matcher": { "listeners": ["b", "c"] } });
    let whole = json!({ "fault_injection": of_faults });
    let at = "`fault_injection.request_matcher.listeners[1]` is \\\"c\\\"";
    is_unknown(&put(&proxy, "/config", &whole.to_string()).await, at);
    is_unknown(&put(&proxy, "/config/faults", &of_faults.to_string()).await, at);
    for (path, block) in [
        ("latency", json!({ "fixed_delay_ms": 1, "listeners": ["c"] })),
        // Also while it is off.
        ("rate_limit", json!({ "enabled": false, "listeners": ["c"] })),
        ("circuit_breaker", json!({ "listeners": ["c"] })),
        ("bulkhead", json!({ "listeners": ["c"] })),
        ("grpc", json!({ "listeners": ["c"] })),
        ("websocket", json!({ "listeners": ["c"] })),
        ("graphql", json!({ "listeners": ["c"] })),
        ("mutations", json!({ "listeners": ["c"] })),
    ] {
        let said = put(&proxy, "/config", &json!({ path: block }).to_string()).await;
        is_unknown(&said, &format!("`{path}.listeners[0]` is \\\"c\\\""));
    }
    let rules = json!({ "listeners": ["c"] });
    is_unknown(
        &send(&proxy, "/mutations", &rules.to_string()).await,
        "`mutations.listeners[0]`",
    );
    let route = json!({ "path": "/", "listeners": ["c"], "latency": { "fixed_delay_ms": 1 } });
    let said = send(&proxy, "/routes", &route.to_string()).await;
    is_unknown(&said, "`routes[0].listeners[0]`");
    let known = json!({ "path": "/other", "listeners": ["a"], "latency": { "fixed_delay_ms": 1 } });
    let made = send(&proxy, "/routes", &known.to_string()).await;
    assert_eq!(made.status(), 201, "{}", made.text());
    let before = get(&proxy, "/config").await;
    let own = get(&proxy, "/routes").await[0]["id"].as_str().unwrap().to_owned();
    let said = put(&proxy, &format!("/routes/{own}"), &route.to_string()).await;
    is_unknown(&said, "`routes[0].listeners[0]`");
    let orchestration = of(&whole);
    let path = "`steps[0].scenario.config.fault_injection.request_matcher.listeners[1]`";
    is_unknown(&start(&proxy, orchestration.clone()).await, path);
    let content = json!({ "content": orchestration.to_string() });
    is_unknown(&api(&proxy, "POST", "/orchestration/import", &content).await, path);
    let profile = json!({ "name": "mine", "description": "", "chaos_config": whole });
    let made = send(&proxy, "/profiles", &profile.to_string()).await;
    assert_eq!(made.status(), 201, "{}", made.text());
    is_unknown(&send(&proxy, "/profiles/mine/apply", "{}").await, at);
    // However many there are, the answer is short.
    let names: Vec<String> = (0..65).map(|number| format!("c{number}")).collect();
    let routes: Vec<Value> = (0..64)
        .map(|number| json!({ "path": format!("/{number}"), "listeners": names }))
        .collect();
    let many = serde_json::to_string_pretty(&json!({ "routes": routes })).unwrap();
    let said = put(&proxy, "/config", &many).await;
    is_unknown(&said, "`routes[0].listeners[19]`");
    assert!(said.body.len() < 10_000, "{}", said.text());
    // What can be no name at all is refused where it stands, too.
    let said = put(
        &proxy,
        "/config",
        r#"{"latency": {"fixed_delay_ms": 1, "listeners": ["A b"]}}"#,
    )
    .await;
    assert!(said.status() == 422 && said.text().contains("D004"), "{}", said.text());
    assert_eq!(get(&proxy, "/config").await, before);
    assert_eq!(met(&proxy).await, ["", "", "http_error"]);
    assert_eq!(get(&proxy, "/orchestration/status").await["is_running"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_listener_is_called_main() {
    let proxy = wish(&FAULTS.replace("[b]", "[main]")).start();
    assert_eq!(status(&proxy, "main").await, 500);
}

// What is held at one is no hindrance at another, however many there are.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_held_at_one_holds_up_nobody_at_another() {
    let proxy = three("latency: { fixed_delay_ms: 3600000, listeners: [b] }");
    let held: Vec<_> = (0..50)
        .map(|_| {
            let at = proxy.at("b");
            tokio::spawn(async move {
                let mut client = Raw::to(at).await;
                client.send(GET).await;
                client.said().await
            })
        })
        .collect();
    soon_async("they are held", async || {
        proxy.counted("faults_total{fault=\"latency\"}") == 50
    })
    .await;
    let said = tokio::time::timeout(LIMIT, curl(&[&format!("http://{}/", proxy.at("a"))])).await;
    assert_eq!(said.unwrap().status(), 200);
    for client in held {
        client.abort();
    }
}
