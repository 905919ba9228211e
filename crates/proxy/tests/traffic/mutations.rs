//! JSON in answers that becomes another (originals, 1.4: the corruption proxy, and what it did not do).

use std::io::Write as _;

use serde_json::{Value, json};

use crate::api::{get, post, put, send};
use crate::canned::Canned;
use crate::client::{Curl, Raw, curl};
use crate::stand::{Stand, soon, wish};
use crate::upstream::Upstream;

const BOTH: [&str; 2] = ["--http1.1", "--http2-prior-knowledge"];
const SET: &str = "mutations: { rules: [{ name: set, operations: [{ type: set_field, field: 'r[1].n', value: 9 }] }] }";

/// What `/echo` answers to this.
async fn echo(proxy: &Stand, words: &[&str], body: &str) -> Curl {
    let url = proxy.url("/echo");
    curl(&[&["-H", "content-type:", "--data-binary", body], words, &[&url]].concat()).await
}

fn by(said: &Curl) -> (String, String) {
    (said.header("x-fracas-mutation"), said.header("x-fracas-fault"))
}

fn named(rule: &str) -> (String, String) {
    (rule.to_owned(), "json_mutation".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_has_its_length_and_all_else_stays_to_the_letter() {
    for upstream in [Upstream::start().await, Upstream::http2().await] {
        let proxy = wish(SET).to(&upstream.url()).start();
        for version in BOTH {
            let said = echo(
                &proxy,
                &[version],
                r#"{"z": 1.50, "r": [ {"n":1} , {"n":1234567} ], "a":10000000000000000000000}"#,
            )
            .await;
            let expected = r#"{"z": 1.50, "r": [ {"n":1} , {"n":9} ], "a":10000000000000000000000}"#;
            assert_eq!((said.code, said.text().as_str()), (0, expected));
            assert_eq!(said.header("content-length"), expected.len().to_string());
            assert_eq!(by(&said), named("set"));
            // Nothing to be set, no JSON, and nothing at all.
            for body in [r#"{"r": 7}"#, "no JSON", r#"{"r":[{},{"n":1}]} x"#, ""] {
                let said = echo(&proxy, &[version], body).await;
                assert_eq!(
                    (said.text().as_str(), by(&said)),
                    (body, Default::default()),
                    "{version}"
                );
            }
            let said = curl(&[version, "-I", &proxy.url("/echo")]).await;
            assert_eq!((said.status(), by(&said)), (200, Default::default()));
        }
        let stats = get(&proxy, "/mutations/stats").await;
        let expected = json!({
            "requests_total": 10, "requests_corrupted": 2, "requests_pass_thru": 8,
            "rules": [{ "name": "set", "seen": 4, "corrupted": 2 }],
        });
        // A HEAD has no body, and is not counted.
        assert_eq!(stats, expected);
        let metrics = curl(&[&proxy.url("/api/chaos/metrics")]).await.text();
        assert!(
            metrics.contains("fracas_proxy_faults_total{fault=\"json_mutation\"} 2\n"),
            "{metrics}"
        );
        post(&proxy, "/mutations/reset").await;
        let stats = get(&proxy, "/mutations/stats").await;
        assert_eq!(
            (&stats["requests_total"], &stats["rules"][0]["seen"]),
            (&json!(0), &json!(0))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_in_chunks_are_changed_and_trailers_stay() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
                  7\r\n{\"r\":[0\r\n9\r\n,{\"n\":5}]\r\n1\r\n}\r\n0\r\nx-sum: 7\r\n\r\n";
    let upstream = Canned::says(answer).await;
    let proxy = wish(SET).to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close\r\n\r\n")
        .await;
    let said = client.rest().await.unwrap();
    assert!(said.contains("\r\nx-fracas-mutation: set\r\n"), "{said}");
    assert!(
        said.ends_with("\r\n11\r\n{\"r\":[0,{\"n\":9}]}\r\n0\r\nx-sum: 7\r\n\r\n"),
        "{said}"
    );
    let said = curl(&["--http2-prior-knowledge", &proxy.url("/")]).await;
    assert_eq!(
        (said.text().as_str(), by(&said)),
        ("{\"r\":[0,{\"n\":9}]}", named("set"))
    );
}

// In the original what is large, compressed or another kind passes, too, but a list was no JSON.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_compressed_or_of_another_kind_passes_as_it_comes() {
    let upstream = Upstream::start().await;
    let config = "mutations: { rules: [{ name: set, operations: [{ type: set_field, field: '[0]', value: 9 }] }] }";
    let proxy = wish(config).to(&upstream.url()).start();
    assert_eq!(echo(&proxy, &[], "[1,2]").await.text(), "[9,2]");
    let mut large = tempfile::NamedTempFile::new().unwrap();
    let list = |count: usize| format!("[1{}]", ",22".repeat(count));
    for (length, is_changed) in [(10 << 20, true), ((10 << 20) + 1, false)] {
        let mut text = list(3_400_000);
        text.push_str(&" ".repeat(length - text.len()));
        large.as_file_mut().set_len(0).unwrap();
        let path = large.path().to_owned();
        std::fs::write(&path, &text).unwrap();
        let said = echo(&proxy, &["-H", "expect:"], &format!("@{}", path.display())).await;
        assert_eq!((said.code, said.body.len()), (0, length));
        assert_eq!(said.body.starts_with(b"[9,22"), is_changed);
        assert!(said.body[2..] == text.as_bytes()[2..]);
    }
    large.flush().unwrap();
    for headers in [
        "content-range: bytes 0-4/9",
        "content-type: text/event-stream",
        "content-encoding: gzip",
        "content-type: application/x-ndjson",
    ] {
        let status = if headers.starts_with("content-range") { 206 } else { 200 };
        let answer = format!("HTTP/1.1 {status} OK\r\n{headers}\r\ncontent-length: 5\r\n\r\n[1,2]");
        let upstream = Canned::says(answer.leak()).await;
        let proxy = wish(config).to(&upstream.url()).start();
        let said = curl(&[&proxy.url("/")]).await;
        assert_eq!(
            (said.text().as_str(), by(&said)),
            ("[1,2]", Default::default()),
            "{headers}"
        );
        assert_eq!(get(&proxy, "/mutations/stats").await["requests_pass_thru"], 1);
    }
    // One that says how long what it has not sent is.
    let head =
        "HTTP/1.1 304 Not Modified\r\ncontent-type: application/json\r\ncontent-length: 5\r\netag: \"a\"\r\n\r\n";
    let upstream = Canned::says(head).await;
    let proxy = wish(config).to(&upstream.url()).start();
    for version in BOTH {
        let said = curl(&[version, "-H", "if-none-match: \"a\"", &proxy.url("/")]).await;
        assert_eq!(
            (said.code, said.status(), by(&said)),
            (0, 304, Default::default()),
            "{version}"
        );
        assert_eq!(said.header("etag"), "\"a\"", "{version}");
    }
    // One that breaks off is no whole one.
    let upstream = Canned::says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n[1,2]\r\n!\r\n").await;
    let proxy = wish(config).to(&upstream.url()).start();
    let said = curl(&[&proxy.url("/")]).await;
    assert!(said.code != 0 && by(&said) == Default::default(), "{said:?}");
    // One that goes on for too long goes on as it came, from its first byte on. The limit is that of its head, too, which comes in time.
    let upstream = Upstream::start().await;
    let proxy = wish(config)
        .to(&upstream.url())
        .answer(std::time::Duration::from_secs(1))
        .start();
    let mut client = Raw::to(proxy.address).await;
    client.send("GET /two HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.until("first").await;
    upstream.go_on();
    client.until("second").await;
}

const CALLS: &str = "mutations:
  rules:
    - { name: status, method_match: '^status$', operations: [{ type: inject_error }] }
    - { name: all, path_pattern: '^/echo', method_match: '', operations: [{ type: delete_field, field: params }] }
    - { name: rest, path_pattern: '^/echo', operations: [{ type: set_field, field: rest, value: true }] }
";

#[tokio::test(flavor = "multi_thread")]
async fn the_first_rule_for_path_and_method_of_a_call_acts_and_the_request_goes_on_as_it_was() {
    let upstream = Upstream::start().await;
    let proxy = wish(CALLS).to(&upstream.url()).start();
    for version in BOTH {
        for (body, rule) in [
            (r#"{"method":"status","id":1}"#, "status"),
            (r#"{"id":1,"params":[],"method":"statuses"}"#, "all"),
            (r#"{"id":1}"#, "rest"),
            (r#"{"method":7}"#, "rest"),
        ] {
            let said = echo(&proxy, &[version], body).await;
            assert_eq!(by(&said), named(rule), "{version} {body}");
            assert_eq!(upstream.seen().pop().unwrap().body, body);
            let chunks = [
                "-H",
                "transfer-encoding: chunked",
                "-H",
                "content-type: application/json",
            ];
            let said = echo(&proxy, &[&[version], &chunks[..]].concat(), body).await;
            assert_eq!(by(&said), named(rule), "{version} {body}");
            assert_eq!(upstream.seen().pop().unwrap().body, body);
        }
    }
    // More than the 64 KiB after which the original forgot the rest, with the method behind them; and the client waits to be asked.
    let body = format!(r#"{{"params":["{}"],"method":"status"}}"#, "x".repeat(3_000_000));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, &body).unwrap();
    let said = echo(
        &proxy,
        &["--http1.1", "-H", "expect: 100-continue"],
        &format!("@{}", file.path().display()),
    )
    .await;
    assert_eq!(by(&said), named("status"));
    assert!(upstream.seen().pop().unwrap().body == body);
    // Behind 10 MiB nobody reads: it is no call that is known, and whole for the upstream.
    let body = format!(r#"{{"params":["{}"],"method":"status"}}"#, "x".repeat(11 << 20));
    std::fs::write(&file, &body).unwrap();
    let kind = [
        "-H",
        "expect:",
        "-H",
        "transfer-encoding: chunked",
        "-H",
        "content-type: application/json",
    ];
    let said = echo(&proxy, &kind, &format!("@{}", file.path().display())).await;
    assert_eq!((by(&said), said.body.len()), (Default::default(), body.len()));
    assert!(upstream.seen().pop().unwrap().body == body);
    let error: Value =
        serde_json::from_slice(&echo(&proxy, &[], r#"{"method":"status","id":"x"}"#).await.body).unwrap();
    let expected =
        json!({ "jsonrpc": "2.0", "id": "x", "error": { "code": -32000, "message": "this error was made by Fracas" } });
    assert_eq!(error, expected);
}

// A client that sends a part and waits would wait for ever if its stream were read for a method.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_does_not_say_that_it_is_json_is_not_waited_for() {
    let upstream = Upstream::start().await;
    let proxy = wish(CALLS).to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    client
        .send("POST /stream HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        .await;
    client.until("one").await;
    client.send("0\r\n\r\n").await;
    client.until("0\r\n\r\n").await;
    drop(client);
    soon("it has gone", || proxy.connections() == 0).await;
    upstream.forget();
    // One that is waited for, and breaks off, is nobody's call, however whole it looks, and the upstream never has it whole.
    let mut client = Raw::to(proxy.address).await;
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\n";
    client.send(format!("{head}13\r\n{{\"method\":\"status\"}}\r\n")).await;
    soon("it has come", || proxy.connections() == 1).await;
    drop(client);
    soon("it has gone", || proxy.connections() == 0).await;
    let next = echo(&proxy, &[], "{}").await;
    assert_eq!(by(&next), named("rest"));
    let seen: Vec<_> = upstream.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(seen, ["{}"]);
    let stats = get(&proxy, "/mutations/stats").await;
    assert_eq!(
        stats["rules"][0],
        json!({ "name": "status", "seen": 0, "corrupted": 0 })
    );
}

// The answer is always the same map: only by the request it can be seen which rule is its.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_a_list_and_a_long_method_are_no_call_and_of_two_methods_the_last_counts() {
    let upstream = Canned::says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let config = "mutations: { rules: [{ name: m, method_match: '^m+$', operations: [{ type: set_field, field: a, value: 1 }] }] }";
    let proxy = wish(config).to(&upstream.url()).start();
    for (body, rule) in [
        (r#"{"method":"m"}"#.to_owned(), "m"),
        (r#"{"method":"x","method":"m"}"#.to_owned(), "m"),
        (r#"{"method":"m","method":"x"}"#.to_owned(), ""),
        (r#"[{"method":"m"}]"#.to_owned(), ""),
        (r#"["m"]"#.to_owned(), ""),
        (format!(r#"{{"method":"{}"}}"#, "m".repeat(256)), "m"),
        (format!(r#"{{"method":"{}"}}"#, "m".repeat(257)), ""),
    ] {
        assert_eq!(by(&echo(&proxy, &[], &body).await).0, rule, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_a_request_that_was_read_go_on_with_it() {
    let upstream = Upstream::start().await;
    let proxy = wish(CALLS).to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    let head = "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\
                content-type: application/json\r\n\r\n";
    let body = "13\r\n{\"method\":\"status\"}\r\n0\r\nx-sum: 7\r\n\r\n";
    let said = client.ask(&format!("{head}{body}")).await;
    assert!(said.contains("x-fracas-mutation: status\r\n"), "{said}");
    let seen = upstream.seen().pop().unwrap();
    assert_eq!(seen.body, r#"{"method":"status"}"#);
    assert_eq!(seen.trailers.unwrap()["x-sum"], "7");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_are_changed_than_may_be_however_many_come_at_once() {
    let upstream = Upstream::start().await;
    let config = "mutations: { rules: [{ name: a, stateful: { max_corrupted: 3 }, operations: [{ type: set_field, field: a, value: 1 }] }] }";
    let proxy = wish(config).to(&upstream.url()).start();
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let address = proxy.address;
        asked.spawn(async move {
            let mut client = Raw::to(address).await;
            let mut changed = 0;
            for _ in 0..8 {
                let said = client
                    .ask("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}")
                    .await;
                changed += usize::from(said.contains("x-fracas-mutation: a\r\n"));
            }
            changed
        });
    }
    assert_eq!(asked.join_all().await.iter().sum::<usize>(), 3);
    let stats = get(&proxy, "/mutations/stats").await;
    assert_eq!(
        (&stats["requests_corrupted"], &stats["requests_total"]),
        (&json!(3), &json!(128))
    );
    assert_eq!(stats["rules"][0]["corrupted"], 3);
}

// In this order: what is corrupted or cut off is what the rule has made.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_body_is_harmed_as_one_of_the_upstream_would_be() {
    let upstream = Upstream::start().await;
    let body = r#"{"r":[0,{"n":1}],"x":"0123456789"}"#;
    let expected = r#"{"r":[0,{"n":9}],"x":"0123456789"}"#;
    let harmed =
        |fault: &str| format!("{SET}\nroutes: [{{ path: /echo, fault_injection: {{ fault_types: [{fault}] }} }}]");
    let proxy = wish(&harmed("{ type: partial_response, truncate_percent: 50 }"))
        .to(&upstream.url())
        .start();
    // By HTTP/1.1: curl 7 forgets what it has of a stream of HTTP/2 when it sees its reset.
    let said = echo(&proxy, &["--http1.1"], body).await;
    assert!(said.code != 0 && said.text() == expected[..17], "{said:?}");
    let both = "json_mutation, partial_response".to_owned();
    assert_eq!(by(&said), ("set".to_owned(), both));
    let proxy = wish(&harmed("{ type: payload_corruption, corruption_type: bit_flip }"))
        .to(&upstream.url())
        .start();
    for version in BOTH {
        let said = echo(&proxy, &[version], body).await;
        assert_eq!((said.code, said.body.len()), (0, expected.len()));
        assert_eq!(
            by(&said),
            ("set".to_owned(), "json_mutation, payload_corruption".to_owned())
        );
        // One of ten bytes is another than the rule made; the one that it changed may be among them.
        let other = said
            .body
            .iter()
            .zip(expected.bytes())
            .filter(|(one, other)| *one != other)
            .count();
        assert!((1..=4).contains(&other), "{version}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn which_answers_are_changed_is_counted_or_drawn_by_who_they_are() {
    let upstream = Upstream::start().await;
    let rule = |keys: &str| {
        format!(
            "mutations: {{ rules: [{{ name: a, {keys}, operations: [{{ type: set_field, field: a, value: 1 }}] }}] }}"
        )
    };
    let proxy = wish(&rule(
        "stateful: { skip_first: 1, corrupt_every_n: 2, max_corrupted: 2 }",
    ))
    .to(&upstream.url())
    .start();
    let mut all = Vec::new();
    for _ in 0..8 {
        all.push(by(&echo(&proxy, &[], "{}").await).0);
    }
    assert_eq!(all, ["", "", "a", "", "a", "", "", ""]);
    // What is not changed goes on counting when something else is, and counts no more when it has changed as many as it may.
    put(&proxy, "/config/latency", r#"{ "fixed_delay_ms": 1 }"#).await;
    assert_eq!(by(&echo(&proxy, &[], "{}").await).0, "");
    assert_eq!(
        get(&proxy, "/mutations/stats").await["rules"][0],
        json!({ "name": "a", "seen": 5, "corrupted": 2 })
    );
    post(&proxy, "/mutations/reset").await;
    echo(&proxy, &[], "{}").await;
    echo(&proxy, &[], "{}").await;
    assert_eq!(by(&echo(&proxy, &[], "{}").await).0, "a");
    let mut seen = Vec::new();
    for seed in [7, 7, 8] {
        let proxy = wish(&rule("probability: 0.5")).seed(seed).to(&upstream.url()).start();
        let mut client = Raw::to(proxy.address).await;
        let mut changed = Vec::new();
        for n in 0..100 {
            let n = if seen.len() == 1 { 99 - n } else { n };
            let head = format!("POST /echo HTTP/1.1\r\nhost: a\r\nx-request-id: {n}\r\ncontent-length: 2\r\n\r\n{{}}");
            if client.ask(&head).await.contains("x-fracas-mutation: a\r\n") {
                changed.push(n);
            }
        }
        changed.sort_unstable();
        seen.push(changed);
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
    // Five standard deviations of 100 times a half. The draws are fixed by the seed.
    assert!((25..=75).contains(&seen[0].len()), "{}", seen[0].len());
    let proxy = wish(&rule("probability: 0.0")).to(&upstream.url()).start();
    assert_eq!(by(&echo(&proxy, &[], "{}").await).0, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_changed_while_requests_pass_in_either_form() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let url = proxy.url("/api/chaos/mutations");
    assert_eq!(get(&proxy, "/mutations").await, json!({ "enabled": true, "rules": [] }));
    assert_eq!(get(&proxy, "/mutations/stats").await["rules"], json!([]));
    // A list, as the original has it, with a value that is no text.
    let list =
        "- name: one\n  operations:\n  - { type: set_field, field: a, value: { b: [1.5, null, x, 0x10, '7'] } }\n";
    let kind = "content-type: application/yaml";
    let said = curl(&["-H", kind, "--data-binary", list, &url]).await;
    assert_eq!(
        (said.status(), said.text().as_str()),
        (200, r#"{"message":"Mutation rules updated (1 rules)"}"#)
    );
    assert_eq!(
        echo(&proxy, &[], "{}").await.text(),
        r#"{"a":{"b":[1.5,null,"x","0x10","7"]}}"#
    );
    let shown = get(&proxy, "/mutations").await;
    assert_eq!(send(&proxy, "/mutations", &shown.to_string()).await.status(), 200);
    assert_eq!(get(&proxy, "/mutations").await, shown);
    assert_eq!(get(&proxy, "/mutations/stats").await["rules"][0]["seen"], 1);
    let two = r#"[{ "name": "two", "operations": [{ "type": "truncate_array", "field": "[0]", "value": 1 }] }]"#;
    assert_eq!(send(&proxy, "/mutations", two).await.status(), 200);
    assert_eq!(echo(&proxy, &[], "[[1,2],3]").await.text(), "[[1],3]");
    assert_eq!(
        send(&proxy, "/mutations", r#"{ "enabled": false }"#).await.status(),
        200
    );
    assert_eq!(echo(&proxy, &[], "[[1,2],3]").await.text(), "[[1,2],3]");
    for (kind, body, status) in [
        ("content-type: text/plain", list, 415),
        (kind, "- { name: a/b, operations: [{ type: inject_error }] }", 422),
        (
            kind,
            "- { name: a, path_pattern: '(', operations: [{ type: inject_error }] }",
            422,
        ),
        (kind, "- { name: a, operations: [] }", 422),
        (
            kind,
            "- { name: a, operations: [{ type: inject_error }] }\n- { name: a, operations: [{ type: inject_error }] }",
            422,
        ),
    ] {
        let said = curl(&["-H", kind, "--data-binary", body, &url]).await;
        assert_eq!(said.status(), status, "{kind} {body}: {said:?}");
    }
    // Without a word of what is sent nothing is taken away.
    assert_eq!(post(&proxy, "/mutations").await.status(), 422);
    assert_eq!(get(&proxy, "/mutations").await["enabled"], false);
    // YAML is for rules alone.
    let said = curl(&[
        "-X",
        "PUT",
        "-H",
        kind,
        "--data-binary",
        "{}",
        &proxy.url("/api/chaos/config"),
    ])
    .await;
    assert_eq!(said.status(), 415);
    let step = |name: &str, rule: &str, value: u32| {
        let operation = json!({ "type": "set_field", "field": rule, "value": value });
        let rules = json!([{ "name": rule, "path_pattern": rule, "operations": [operation] }]);
        json!({ "name": name, "duration_seconds": 600, "scenario": { "config": { "mutations": { "rules": rules } } } })
    };
    // Those of steps beside each other are put together; of two with the same name the later counts.
    let steps = [step("s", "echo", 1), step("t", "trailers", 2), step("u", "echo", 3)];
    let both = json!({ "name": "o", "parallel": true, "steps": steps });
    assert_eq!(
        send(&proxy, "/orchestration/start", &both.to_string()).await.status(),
        200
    );
    assert_eq!(echo(&proxy, &[], "{}").await.text(), r#"{"echo":3}"#);
    assert_eq!(
        get(&proxy, "/mutations/stats").await["rules"].as_array().unwrap().len(),
        2
    );
    assert_eq!(send(&proxy, "/mutations", two).await.status(), 409);
    post(&proxy, "/orchestration/stop").await;
    assert_eq!(send(&proxy, "/mutations", two).await.status(), 200);
}
