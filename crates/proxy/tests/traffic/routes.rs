//! What is done to the requests of some paths alone.

use serde_json::{Value, json};

use crate::api::{get, post, put, send};
use crate::client::{Curl, Raw, curl};
use crate::stand::{Stand, wish};
use crate::upstream::Upstream;

/// One of each, and what stands for all others.
const SEVERAL: &str = "latency: { fixed_delay_ms: 1 }
fault_injection: { http_errors: [599], http_error_probability: 1 }
routes:
  - { path: /health, latency: { enabled: false, fixed_delay_ms: 3 }, fault_injection: { enabled: false } }
  - { path: '/users/{id}', method: get, fault_injection: { fault_types: [{ type: http_error, status_code: 418, message: no tea }] } }
  - { path: '/users/*', latency: { fixed_delay_ms: 2 } }
  - { path: '/{any}/never', fault_injection: { fault_types: [{ type: http_error, status_code: 500 }] } }
";

async fn asked(proxy: &Stand, words: &[&str], path: &str) -> (u16, String, String) {
    let url = proxy.url(path);
    let said = curl(&[words, &["--path-as-is", &url]].concat()).await;
    (
        said.status(),
        said.header("x-fracas-fault"),
        said.header("x-fracas-latency-ms"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_route_of_a_request_takes_the_place_of_what_is_said_for_all() {
    let upstream = Upstream::start().await;
    let proxy = wish(SEVERAL).to(&upstream.url()).start();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        for (words, path, status, fault, held) in [
            (&[][..], "/", 599, "latency, http_error", "1.000"),
            (&[], "/health", 200, "", ""),
            (&[], "/health?deep=/users/7", 200, "", ""),
            (&[], "/health/", 599, "latency, http_error", "1.000"),
            (&[], "/users/7", 418, "latency, http_error", "1.000"),
            (&[], "/users/never", 418, "latency, http_error", "1.000"),
            (&["-X", "POST"], "/users/7", 599, "latency, http_error", "2.000"),
            (&["-X", "POST"], "/users/never", 599, "latency, http_error", "2.000"),
            (&[], "/users/7/orders", 599, "latency, http_error", "2.000"),
            (&[], "/%75sers/7", 418, "latency, http_error", "1.000"),
            (&[], "/users//", 599, "latency, http_error", "2.000"),
            (&[], "/users/../health", 599, "latency, http_error", "2.000"),
            (&[], "//health", 599, "latency, http_error", "1.000"),
        ] {
            let seen = asked(&proxy, &[&[version], words].concat(), path).await;
            assert_eq!(
                seen,
                (status, fault.to_owned(), held.to_owned()),
                "{version} {words:?} {path}"
            );
        }
    }
    let said = curl(&[&proxy.url("/users/7")]).await;
    let details: Value = serde_json::from_slice(&said.body).unwrap();
    assert_eq!(details["detail"], "no tea");
    assert_eq!(upstream.seen().len(), 4);
    // `OPTIONS *` is for the server, not for a path of it; a HEAD is not a GET.
    let mut client = Raw::to(proxy.address).await;
    let head = client.ask("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 599 "), "{head}");
    assert_eq!(asked(&proxy, &["-I"], "/users/7").await.0, 599);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_faults_are_counted_by_the_template_and_never_by_the_path() {
    let proxy = wish(SEVERAL).start();
    for path in ["/users/1", "/users/2", "/a", "/b", "/health"] {
        curl(&[&proxy.url(path)]).await;
    }
    let metrics = curl(&[&proxy.url("/api/chaos/metrics")]).await.text();
    for line in [
        "fracas_proxy_route_requests_total{route=\"GET /users/{id}\",class=\"4xx\"} 2\n",
        "fracas_proxy_route_faults_total{route=\"GET /users/{id}\",fault=\"http_error\"} 2\n",
        "fracas_proxy_route_faults_total{route=\"GET /users/{id}\",fault=\"latency\"} 2\n",
        "fracas_proxy_route_requests_total{route=\"other\",class=\"5xx\"} 2\n",
        "fracas_proxy_route_requests_total{route=\"/health\",class=\"2xx\"} 1\n",
        "fracas_proxy_faults_total{fault=\"http_error\"} 4\n",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(!metrics.contains("/users/1"), "{metrics}");
    // Without routes nothing is told apart.
    let proxy = wish("{}").start();
    curl(&[&proxy.url("/a")]).await;
    let metrics = curl(&[&proxy.url("/api/chaos/metrics")]).await.text();
    assert!(!metrics.contains("fracas_proxy_route_requests_total{"), "{metrics}");
}

fn route(fault: &str) -> String {
    format!("routes: [{{ path: '/*', fault_injection: {{ fault_types: [{fault}] }} }}]")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_type_of_fault_does_what_its_namesake_does() {
    let upstream = Upstream::start().await;
    let large = |said: &Curl| said.body.len();
    let fault = |text: &str| wish(&route(text)).to(&upstream.url()).start();
    let proxy = fault("{ type: connection_error, connection_error_kind: tcp_reset }");
    assert_eq!(curl(&[&proxy.url("/")]).await.code, 56);
    let proxy = fault("{ type: connection_error }");
    let said = curl(&[&proxy.url("/")]).await;
    assert_eq!(
        (said.status(), said.header("x-fracas-fault").as_str()),
        (503, "connection_error")
    );
    let proxy = fault("{ type: timeout, duration_ms: 3 }");
    let said = curl(&[&proxy.url("/")]).await;
    assert_eq!(
        (said.status(), said.header("x-fracas-fault").as_str()),
        (504, "timeout")
    );
    let proxy = fault("{ type: partial_response, truncate_percent: 75 }");
    let said = curl(&["--http1.1", &proxy.url("/large")]).await;
    assert_eq!(
        (said.code, large(&said), said.header("x-fracas-fault").as_str()),
        (18, 750_000, "partial_response")
    );
    let proxy = fault("{ type: payload_corruption, corruption_type: bit_flip }");
    let said = curl(&[&proxy.url("/large")]).await;
    assert_eq!(said.header("x-fracas-fault"), "payload_corruption");
    let hit = said.body.iter().filter(|byte| **byte != b'x').count();
    assert_eq!((large(&said), hit), (3_000_000, 300_000));
}

// Which of them a request meets is decided by who it is, not by when it comes.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_requests_meet_the_same_faults() {
    let two = "{ type: http_error, status_code: 500 }, { type: http_error, status_code: 503 }";
    let config = route(two).replace("fault_types", "probability: 0.5, fault_types");
    let mut seen = Vec::new();
    for seed in [7, 7, 8] {
        let proxy = wish(&config).seed(seed).start();
        let mut client = Raw::to(proxy.address).await;
        let mut all = Vec::new();
        for n in 0..200 {
            let n = if seen.len() == 1 { 199 - n } else { n };
            let head = client
                .ask(&format!("GET /a HTTP/1.1\r\nhost: a\r\nx-request-id: {n}\r\n\r\n"))
                .await;
            all.push((n, head[9..12].to_owned()));
        }
        all.sort();
        seen.push(all);
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
    let met = |status: &str| seen[0].iter().filter(|(_, one)| one == status).count();
    // Five standard deviations of 200 times a half and a quarter. The draws are fixed by the seed.
    assert!((65..=135).contains(&met("200")), "{}", met("200"));
    assert!((20..=80).contains(&met("500")), "{}", met("500"));
    assert_eq!(met("200") + met("500") + met("503"), 200);
}

async fn delete(proxy: &Stand, path: &str) -> Curl {
    curl(&["-X", "DELETE", &proxy.url(&format!("/api/chaos{path}"))]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_made_read_replaced_and_removed_while_requests_pass() {
    let proxy = wish("{}").start();
    let mut client = Raw::to(proxy.address).await;
    let ask = "GET /a/1 HTTP/1.1\r\nhost: a\r\n\r\n";
    assert!(client.ask(ask).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(get(&proxy, "/routes").await, json!([]));
    let text =
        r#"{ "path": "/a/{x}", "fault_injection": { "fault_types": [{ "type": "http_error", "status_code": 418 }] } }"#;
    let made = send(&proxy, "/routes", text).await;
    assert_eq!(made.status(), 201, "{made:?}");
    let shown: Value = serde_json::from_slice(&made.body).unwrap();
    let at = format!("/routes/{}", shown["id"].as_str().unwrap());
    assert_eq!(made.header("location"), format!("/api/chaos{at}"));
    assert_eq!(shown["path"], "/a/{x}");
    assert!(client.ask(ask).await.starts_with("HTTP/1.1 418 "));
    assert_eq!(get(&proxy, &at).await, shown);
    assert_eq!(get(&proxy, "/routes").await, json!([shown]));
    assert_eq!(get(&proxy, "/config").await["routes"][0]["path"], "/a/{x}");
    // The same again, and others that cannot be.
    let again = send(&proxy, "/routes", text).await;
    assert_eq!(
        (again.status(), again.header("content-type").as_str()),
        (409, "application/problem+json")
    );
    assert_eq!(send(&proxy, "/routes", r#"{ "path": "a" }"#).await.status(), 422);
    assert_eq!(send(&proxy, "/routes", r#"{ "paths": "/a" }"#).await.status(), 422);
    let other = send(&proxy, "/routes", r#"{ "path": "/b" }"#).await;
    assert_eq!(put(&proxy, &at, r#"{ "path": "/b" }"#).await.status(), 409);
    let replaced = put(&proxy, &at, &text.replace("418", "503")).await;
    assert_eq!(replaced.status(), 200, "{replaced:?}");
    assert!(client.ask(ask).await.starts_with("HTTP/1.1 503 "));
    // What would never be met, and what would let another be met no more.
    let never = send(&proxy, "/routes", r#"{ "path": "/a/1", "method": "GET" }"#).await;
    assert_eq!(never.status(), 409);
    assert!(never.text().contains("all its requests are of /a/{x}"), "{never:?}");
    assert_eq!(put(&proxy, &at, r#"{ "path": "/*" }"#).await.status(), 409);
    let later = other.header("location");
    let later = later.strip_prefix("/api/chaos").unwrap();
    assert_eq!(
        put(&proxy, later, r#"{ "path": "/a/{y}", "method": "PUT" }"#)
            .await
            .status(),
        409
    );
    assert_eq!(get(&proxy, "/routes").await.as_array().unwrap().len(), 2);
    // With another path it has another address, and its place stays.
    let moved = put(&proxy, &at, &text.replace("{x}", "*")).await;
    let moved = moved.header("location");
    assert_eq!(get(&proxy, "/routes").await[0]["path"], "/a/*");
    assert_eq!(curl(&[&proxy.url(&format!("/api/chaos{at}"))]).await.status(), 404);
    let moved = moved.strip_prefix("/api/chaos").unwrap();
    let removed = delete(&proxy, moved).await;
    assert_eq!((removed.status(), removed.body.len()), (204, 0));
    assert!(client.ask(ask).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(delete(&proxy, moved).await.status(), 404);
    assert_eq!(put(&proxy, moved, text).await.status(), 404);
    let said = delete(&proxy, "/routes").await;
    assert_eq!((said.status(), said.header("allow").as_str()), (405, "GET, POST"));
    assert_eq!(other.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_bounded_and_stay_as_they_are_while_an_orchestration_runs() {
    let many: Vec<Value> = (0..64).map(|n| json!({ "path": format!("/{n}") })).collect();
    let proxy = wish(&json!({ "routes": many }).to_string()).start();
    let full = send(&proxy, "/routes", r#"{ "path": "/one-more" }"#).await;
    assert_eq!(full.status(), 409, "{full:?}");
    let more: Vec<Value> = (0..65).map(|n| json!({ "path": format!("/{n}") })).collect();
    assert_eq!(
        put(&proxy, "/config", &json!({ "routes": more }).to_string())
            .await
            .status(),
        422
    );
    let step = |path: &str, status: u16| {
        let fault = json!({ "type": "http_error", "status_code": status });
        let route = json!({ "path": path, "fault_injection": { "fault_types": [fault] } });
        json!({ "name": path, "duration_seconds": 600, "scenario": { "config": { "routes": [route] } } })
    };
    // Those of steps beside each other are put together; of two with the same path the later counts.
    let steps = [step("/a", 500), step("/b", 501), step("/a", 502)];
    let both = json!({ "name": "o", "parallel": true, "steps": steps });
    assert_eq!(
        send(&proxy, "/orchestration/start", &both.to_string()).await.status(),
        200
    );
    assert_eq!(asked(&proxy, &[], "/a").await.0, 502);
    assert_eq!(asked(&proxy, &[], "/b").await.0, 501);
    let id = get(&proxy, "/routes").await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(delete(&proxy, &format!("/routes/{id}")).await.status(), 409);
    assert_eq!(send(&proxy, "/routes", r#"{ "path": "/c" }"#).await.status(), 409);
    assert_eq!(
        put(&proxy, &format!("/routes/{id}"), r#"{ "path": "/c" }"#)
            .await
            .status(),
        409
    );
    post(&proxy, "/orchestration/stop").await;
    assert_eq!(asked(&proxy, &[], "/a").await.0, 200);
    assert_eq!(delete(&proxy, &format!("/routes/{id}")).await.status(), 204);
}
