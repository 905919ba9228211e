//! The description of the API, and whether it is true.

use fracas_proxy::openapi;
use serde_json::{Value, json};

use crate::api::{get, post, put};
use crate::client::{Curl, curl};
use crate::stand::{Stand, wish};

/// A request to a path of the description, with the example of what it takes.
async fn call(proxy: &Stand, method: &str, path: &str, operation: &Value) -> Curl {
    let url = proxy.url(path);
    let example = operation.pointer("/requestBody/content/application~1json/example");
    let body = example.map(ToString::to_string);
    let method = method.to_uppercase();
    let mut words = vec!["-X", &method, &url];
    if let Some(body) = &body {
        words.extend(["-H", "content-type: application/json", "-d", body]);
    } else if path.ends_with("/apply") {
        // As a page of another site could not.
        words.extend(["-H", "content-type: application/json"]);
    }
    curl(&words).await
}

/// What is done before, so that a route has something to do, and what stands in the place of `{name}`.
async fn prepare(proxy: &Stand, method: &str, path: &str) -> String {
    let content = json!({ "content": "name: o\nsteps: [{ name: a, duration_seconds: 60 }]" }).to_string();
    let import = ["-X", "POST", "-H", "content-type: application/json", "-d", &content];
    let json = ["-X", "POST", "-H", "content-type: application/json", "-d"];
    let name = match (method, path) {
        ("delete", "/api/chaos/scenarios/{name}") => {
            post(proxy, "/scenarios/peak_traffic").await;
            "peak_traffic"
        }
        (_, "/api/chaos/scenarios/{name}") => "peak_traffic",
        (_, "/api/chaos/orchestration/export" | "/api/chaos/orchestration/stop") => {
            curl(&[&import[..], &[&proxy.url("/api/chaos/orchestration/import")]].concat()).await;
            let start = proxy.url("/api/chaos/orchestration/start");
            curl(&["-X", "POST", "-H", "content-type: application/json", &start]).await;
            ""
        }
        (_, "/api/chaos/routes/{name}") => {
            let (url, route) = (
                proxy.url("/api/chaos/routes"),
                r#"{"path": "/a", "latency": {"fixed_delay_ms": 1}}"#,
            );
            let made = curl(&[&json[..], &[route, &url]].concat()).await;
            let made: Value = serde_json::from_slice(&made.body).unwrap();
            return made["id"].as_str().unwrap().to_owned();
        }
        ("delete", "/api/chaos/profiles/{name}") => {
            let (url, profile) = (
                proxy.url("/api/chaos/profiles"),
                r#"{"name": "own", "chaos_config": {}}"#,
            );
            curl(&[&json[..], &[profile, &url]].concat()).await;
            "own"
        }
        (_, path) if path.starts_with("/api/chaos/profiles/") => "cable",
        _ => "proxy",
    };
    name.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_as_it_is_described() {
    let all = openapi();
    let place = tempfile::tempdir().unwrap();
    let large = place.path().join("large").display().to_string();
    std::fs::write(&large, " ".repeat((1 << 20) + 1)).unwrap();
    for (path, operations) in all["paths"].as_object().unwrap() {
        let operations = operations.as_object().unwrap().iter();
        for (method, operation) in operations.filter(|(method, _)| *method != "parameters") {
            let proxy = wish("{}").start();
            let name = prepare(&proxy, method, path).await;
            let real = path.replace("{name}", &name);
            let said = call(&proxy, method, &real, operation).await;
            let responses = operation["responses"].as_object().unwrap().iter();
            let (status, described) = responses.clone().find(|(status, _)| status.starts_with('2')).unwrap();
            assert_eq!(said.status().to_string(), *status, "{method} {path}: {}", said.text());
            match described["content"].as_object().unwrap().iter().next() {
                None => assert!(said.body.is_empty(), "{method} {path}: {}", said.text()),
                Some((kind, described)) => {
                    assert!(
                        said.header("content-type").starts_with(kind.as_str()),
                        "{method} {path}: {}",
                        said.head
                    );
                    if kind == "application/json" {
                        let body: Value = serde_json::from_slice(&said.body).unwrap();
                        fits(&body, &described["schema"], &all, &format!("{method} {path}"));
                    }
                }
            }
            // What every route refuses, with a body that says what is wrong.
            let query = curl(&["-X", &method.to_uppercase(), &proxy.url(&format!("{real}?a=b"))]).await;
            let page = [
                "-X",
                &method.to_uppercase(),
                "-H",
                "origin: http://evil.example",
                &proxy.url(&real),
            ];
            // As a browser sends it to any site, with and without fields.
            let upper = method.to_uppercase();
            let form = ["-X", &upper, "-d", "a=b", &proxy.url(&real)];
            let large = [
                "-X",
                &upper,
                "-H",
                "content-type: application/json",
                "-d",
                &format!("@{large}"),
                &proxy.url(&real),
            ];
            let mut refused = vec![query, curl(&page).await, curl(&form).await, curl(&large).await];
            assert_eq!(
                (refused[2].status(), refused[3].status()),
                (415, 413),
                "{method} {path}"
            );
            if method != "get" {
                let empty = ["-X", &upper, "-d", "", &proxy.url(&real)];
                refused.push(curl(&empty).await);
                assert_eq!(refused[4].status(), 415, "{method} {path}");
            }
            if operation.get("requestBody").is_some() {
                let body = |kind, body| {
                    [
                        "-X".to_owned(),
                        method.to_uppercase(),
                        "-H".to_owned(),
                        kind,
                        "-d".to_owned(),
                        body,
                    ]
                };
                for (kind, text) in [("text/plain", "{}"), ("application/json", "{\"nonsense\": 1}")] {
                    let words = body(format!("content-type: {kind}"), text.to_owned());
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    refused.push(curl(&[&words[..], &[&proxy.url(&real)]].concat()).await);
                }
            }
            for said in refused {
                let pointer = format!("/responses/{}/content/application~1problem+json/schema", said.status());
                let described = operation.pointer(&pointer);
                assert!(
                    described.is_some(),
                    "{method} {path}: {} is not described",
                    said.status()
                );
                assert_eq!(
                    said.header("content-type"),
                    "application/problem+json",
                    "{method} {path}"
                );
                let body: Value = serde_json::from_slice(&said.body).unwrap();
                assert_eq!(body["status"], said.status());
                fits(&body, described.unwrap(), &all, &format!("{method} {path}"));
            }
        }
    }
}

/// Whether a value has all that a schema wants, and nothing that it does not name.
fn fits(value: &Value, schema: &Value, all: &Value, at: &str) {
    if let Some(to) = schema["$ref"].as_str() {
        return fits(value, all.pointer(to.trim_start_matches('#')).unwrap(), all, at);
    }
    if let Some(ways) = schema.get("anyOf").and_then(Value::as_array) {
        if !value.is_null() {
            let way = ways.iter().find(|way| way["type"] != "null");
            fits(value, way.unwrap(), all, at);
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let is_number = kind == "integer" && kinds.contains(&"number");
    assert!(kinds.contains(&kind) || is_number, "{at}: {value} is no {kinds:?}");
    for one in value.as_array().into_iter().flatten() {
        fits(one, &schema["items"], all, at);
    }
    let (Some(object), Some(known)) = (value.as_object(), schema["properties"].as_object()) else {
        return;
    };
    for (key, value) in object {
        assert!(known.contains_key(key), "{at}: `{key}` is not described");
        fits(value, &known[key], all, &format!("{at}.{key}"));
    }
    for key in schema["required"].as_array().into_iter().flatten() {
        assert!(object.contains_key(key.as_str().unwrap()), "{at}: {key} is missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_served_as_it_is_committed() {
    let proxy = wish("{}").start();
    let served = get(&proxy, "/openapi.json").await;
    assert_eq!(served, openapi());
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/proxy-openapi.json");
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(served, committed, "run `cargo xtask schema`");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_do_nothing_is_refused() {
    let proxy = wish("{}").start();
    let said = curl(&["-X", "POST", &proxy.url("/api/chaos/disable?for=1m")]).await;
    assert!(said.status() == 400 && said.text().contains("query"), "{said:?}");
    for (body, status) in [(r#"{"enabled": true}"#, 400), ("{}", 200)] {
        let url = proxy.url("/api/chaos/disable");
        let said = curl(&["-X", "POST", "-H", "content-type: application/json", "-d", body, &url]).await;
        assert_eq!(said.status(), status, "{body}: {}", said.text());
    }
    assert_eq!(
        put(&proxy, "/config", "{").await.header("content-type"),
        "application/problem+json"
    );
}
