//! Lines under a name: what they do to traffic, and how they come and go.

use serde_json::{Value, json};

use crate::api::{get, post, send};
use crate::client::curl;
use crate::stand::{Stand, wish};

const MINE: &str = r#"{ "name": "mine", "description": "one of mine", "tags": ["a"],
    "chaos_config": { "fault_injection": { "http_errors": [418], "http_error_probability": 1 } } }"#;

async fn delete(proxy: &Stand, name: &str) -> u16 {
    let url = proxy.url(&format!("/api/chaos/profiles/{name}"));
    curl(&["-X", "DELETE", &url]).await.status()
}

async fn export(proxy: &Stand, name: &str, query: &str) -> (u16, String, String) {
    let said = curl(&[&proxy.url(&format!("/api/chaos/profiles/{name}/export{query}"))]).await;
    (said.status(), said.header("content-type"), said.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_applied_acts_from_the_next_request_on_and_nothing_else_does() {
    // Of each block something, and nothing of it may stay.
    let config = "fault_injection: { http_errors: [500], http_error_probability: 1 }
rate_limit: { requests_per_second: 1000 }
circuit_breaker: { failure_threshold: 1000 }
bulkhead: { max_concurrent_requests: 1000 }
grpc: { status_codes: [8] }
websocket: { message_drop_probability: 1 }
graphql: { error_probability: 1 }
routes: [{ path: /a }]
mutations: { rules: [{ name: a, operations: [{ type: delete_field, field: a }] }] }";
    let proxy = wish(config).start();
    let said = send(&proxy, "/profiles/cable/apply", "").await;
    assert_eq!(
        (said.status(), said.text().as_str()),
        (200, r#"{"message":"Profile 'cable' applied"}"#)
    );
    let said = curl(&[&proxy.url("/")]).await;
    assert_eq!(
        (said.status(), said.header("x-fracas-latency-ms").as_str()),
        (200, "20.000")
    );
    assert_eq!(said.header("x-fracas-fault"), "latency, bandwidth_throttle");
    let config = get(&proxy, "/config").await;
    assert_eq!(config["traffic_shaping"]["bandwidth_limit_bps"], 10_000_000);
    let blocks: Vec<&String> = config.as_object().unwrap().keys().collect();
    assert_eq!(blocks, ["enabled", "latency", "traffic_shaping"]);
    send(&proxy, "/profiles/perfect/apply", "").await;
    let said = curl(&[&proxy.url("/")]).await;
    assert_eq!((said.status(), said.header("x-fracas-fault").as_str()), (200, ""));
    assert_eq!(get(&proxy, "/config").await, json!({ "enabled": true }));
}

// In the original nobody looked whether what it has can be read; here each is put back as it was read.
#[tokio::test(flavor = "multi_thread")]
async fn every_known_profile_can_be_applied_and_comes_back_from_either_form() {
    let proxy = wish("{}").start();
    let all = get(&proxy, "/profiles").await;
    let names: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    let expected = "slow_3g fast_3g flaky_wifi cable dialup perfect 5g 4g 3g 2g edge satellite_leo satellite_geo \
                    congested lossy high_latency intermittent extremely_poor";
    assert_eq!(names.join(" "), expected);
    for one in all.as_array().unwrap() {
        let name = one["name"].as_str().unwrap();
        assert_eq!(get(&proxy, &format!("/profiles/{name}")).await, *one);
        assert_eq!(one["builtin"], true);
        send(&proxy, &format!("/profiles/{name}/apply"), "").await;
        assert_eq!(get(&proxy, "/config").await, one["chaos_config"], "{name}");
        for format in ["json", "yaml"] {
            let (status, kind, text) = export(&proxy, name, &format!("?format={format}")).await;
            assert_eq!((status, kind), (200, format!("application/{format}")), "{name}");
            // Under another name, for this one is taken.
            let content = text.replacen(name, "again", 1);
            let import = json!({ "content": content, "format": format }).to_string();
            let made = send(&proxy, "/profiles/import", &import).await;
            assert_eq!(made.status(), 201, "{made:?} {content}");
            assert_eq!(
                get(&proxy, "/profiles/again").await["chaos_config"],
                one["chaos_config"]
            );
            assert_eq!(delete(&proxy, "again").await, 204);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_ones_own_is_made_applied_exported_and_removed() {
    let proxy = wish("{}").start();
    let made = send(&proxy, "/profiles", MINE).await;
    assert_eq!(
        (made.status(), made.header("location").as_str()),
        (201, "/api/chaos/profiles/mine")
    );
    let shown: Value = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(
        (&shown["builtin"], &shown["description"]),
        (&json!(false), &json!("one of mine"))
    );
    assert_eq!(get(&proxy, "/profiles/mine").await, shown);
    assert_eq!(get(&proxy, "/profiles").await[18], shown);
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 200);
    assert_eq!(send(&proxy, "/profiles/mine/apply", "").await.status(), 200);
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 418);
    // What was exported is what was sent, and JSON unless it is said.
    let (_, kind, text) = export(&proxy, "mine", "").await;
    assert_eq!(kind, "application/json");
    let again = send(&proxy, "/profiles/import", &json!({ "content": text }).to_string()).await;
    assert_eq!(again.status(), 409, "{again:?}");
    assert_eq!(delete(&proxy, "mine").await, 204);
    // What acts goes on.
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 418);
    assert_eq!(delete(&proxy, "mine").await, 404);
    assert_eq!(
        send(&proxy, "/profiles/import", &json!({ "content": text }).to_string())
            .await
            .status(),
        201
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_with_its_reason() {
    let proxy = wish("{}").start();
    for (path, body, status) in [
        ("/profiles", MINE.replace("mine\",", "slow_3g\","), 422),
        ("/profiles", MINE.replace("mine\",", "a/b\","), 422),
        ("/profiles", MINE.replace("mine\",", "import\","), 422),
        ("/profiles", MINE.replace("mine\",", "..\","), 422),
        ("/profiles", MINE.replace("418", "200"), 422),
        ("/profiles", MINE.replace("\"tags\"", "\"tag\""), 422),
        ("/profiles/import", "{}".to_owned(), 422),
        (
            "/profiles/import",
            json!({ "content": "a: b", "format": "json" }).to_string(),
            422,
        ),
        (
            "/profiles/import",
            json!({ "content": MINE, "format": "toml" }).to_string(),
            422,
        ),
        ("/profiles/nothing/apply", String::new(), 404),
    ] {
        let said = send(&proxy, path, &body).await;
        let kind = said.header("content-type");
        assert_eq!(
            (said.status(), kind.as_str()),
            (status, "application/problem+json"),
            "{path} {body}"
        );
    }
    assert_eq!(curl(&[&proxy.url("/api/chaos/profiles/nothing")]).await.status(), 404);
    assert_eq!(export(&proxy, "nothing", "").await.0, 404);
    assert_eq!(export(&proxy, "cable", "?format=xml").await.0, 400);
    assert_eq!(delete(&proxy, "cable").await, 409);
    // As a page of another site would send it, in a browser that says nothing of that.
    assert_eq!(post(&proxy, "/profiles/cable/apply").await.status(), 415);
    assert_eq!(get(&proxy, "/config").await, json!({ "enabled": true }));
    let said = curl(&[
        "-X",
        "PUT",
        "-H",
        "content-type: application/json",
        "-d",
        MINE,
        &proxy.url("/api/chaos/profiles/mine"),
    ])
    .await;
    assert_eq!((said.status(), said.header("allow").as_str()), (405, "GET, DELETE"));
    let large = MINE.replace("[418]", &format!("[{}418]", "418,\n".repeat(18_000)));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, large).unwrap();
    let said = send(&proxy, "/profiles", &format!("@{}", file.path().display())).await;
    assert_eq!(said.status(), 413, "{said:?}");
    // An orchestration says what is done to traffic until it ends.
    let orchestration = json!({ "name": "o", "steps": [{ "name": "s", "duration_seconds": 600 }] });
    assert_eq!(
        send(&proxy, "/orchestration/start", &orchestration.to_string())
            .await
            .status(),
        200
    );
    assert_eq!(send(&proxy, "/profiles/cable/apply", "").await.status(), 409);
    assert_eq!(send(&proxy, "/profiles", MINE).await.status(), 201);
    post(&proxy, "/orchestration/stop").await;
    assert_eq!(send(&proxy, "/profiles/cable/apply", "").await.status(), 200);
}
