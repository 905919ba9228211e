//! The API, as clients of Toxiproxy know it.

use serde_json::{Value, json};

use super::stand::{Stand, connect, echo, ping, source};

#[tokio::test]
async fn a_proxy_is_shown_as_it_was_asked_for_with_a_free_port() {
    let stand = Stand::start();
    let asked = json!({ "name": "redis", "upstream": "localhost:6379" });
    let (status, shown) = stand.call("POST", "/proxies", &asked).await;
    let listen = shown["listen"].clone();
    assert!(listen.as_str().unwrap().starts_with("127.0.0.1:"), "{listen}");
    let expected = json!({
        "name": "redis", "listen": listen, "upstream": "localhost:6379", "enabled": true, "toxics": [],
    });
    assert_eq!((status, shown), (201, expected.clone()));
    assert_eq!(
        stand.call("GET", "/proxies/redis", &Value::Null).await,
        (200, expected.clone())
    );
    assert_eq!(
        stand.call("GET", "/proxies", &Value::Null).await,
        (200, json!({ "redis": expected }))
    );
}

#[tokio::test]
async fn listen_may_be_a_port_or_a_name() {
    let stand = Stand::start();
    for (listen, begins) in [("localhost:0", "127.0.0.1:"), (":0", "[::]:"), ("[::1]:0", "[::1]:")] {
        let asked = json!({ "name": listen, "listen": listen, "upstream": "localhost:1" });
        let (status, shown) = stand.call("POST", "/proxies", &asked).await;
        assert_eq!(status, 201, "{shown}");
        let at = shown["listen"].as_str().unwrap();
        assert!(at.starts_with(begins) && !at.ends_with(":0"), "{listen}: {at}");
    }
}

#[tokio::test]
async fn toxics_are_made_shown_changed_and_taken_away() {
    let stand = Stand::start();
    let _at = stand.proxy("web", echo().await, &[]).await;
    let asked = json!({ "name": "a b", "type": "latency", "stream": "upstream", "toxicity": 0.5, "attributes": { "latency": 7 } });
    let mut expected = asked.clone();
    expected["attributes"]["jitter"] = json!(0);
    assert_eq!(
        stand.call("POST", "/proxies/web/toxics", &asked).await,
        (200, expected.clone())
    );
    let path = "/proxies/web/toxics/a%20b";
    assert_eq!(stand.call("GET", path, &Value::Null).await, (200, expected.clone()));
    let change = json!({ "attributes": { "jitter": 3 } });
    expected["attributes"]["jitter"] = json!(3);
    for method in ["POST", "PATCH"] {
        assert_eq!(stand.call(method, path, &change).await, (200, expected.clone()));
    }
    let all = stand.call("GET", "/proxies/web/toxics", &Value::Null).await;
    assert_eq!(all, (200, json!([expected])));
    stand.cure(path).await;
    let gone = json!({ "error": "toxic not found", "status": 404 });
    assert_eq!(stand.call("GET", path, &Value::Null).await, (404, gone));
}

#[tokio::test]
async fn populate_makes_what_is_missing_and_leaves_what_is_the_same() {
    let stand = Stand::start();
    let upstream = echo().await;
    let at = stand.proxy("kept", upstream, &[]).await;
    let mut open = connect(at).await;
    ping(&mut open).await;
    let other = source(1).await.to_string();
    let asked = json!([
        { "name": "kept", "listen": at.to_string(), "upstream": upstream.to_string(), "toxics": null },
        { "name": "new", "upstream": other, "enabled": false, "toxics": [{ "type": "timeout" }] },
    ]);
    let (status, said) = stand.call("POST", "/populate", &asked).await;
    assert_eq!(status, 201);
    let proxies = said["proxies"].as_array().unwrap();
    let names: Vec<_> = proxies.iter().map(|proxy| &proxy["name"]).collect();
    assert_eq!((names, said.get("error")), (vec![&json!("kept"), &json!("new")], None));
    assert_eq!(
        (&proxies[1]["enabled"], proxies[1]["toxics"].as_array().unwrap().len()),
        (&json!(false), 1)
    );
    ping(&mut open).await;
    let moved = json!([{ "name": "kept", "listen": at.to_string(), "upstream": other }]);
    assert_eq!(stand.call("POST", "/populate", &moved).await.0, 201);
    assert_eq!(super::stand::rest(&mut connect(at).await).await.unwrap(), 1);
}

#[tokio::test]
async fn a_proxy_that_cannot_have_its_port_is_there_and_off() {
    let stand = Stand::start();
    let taken = stand.proxy("one", echo().await, &[]).await;
    let upstream = source(100).await;
    let limit = json!({ "type": "limit_data", "attributes": { "bytes": 7 } });
    let at = stand.proxy("two", upstream, &[limit]).await;
    let (_, mut before) = stand.call("GET", "/proxies/two", &Value::Null).await;
    let asked = json!([{ "name": "two", "listen": taken.to_string(), "upstream": at.to_string() }]);
    let (status, said) = stand.call("POST", "/populate", &asked).await;
    assert_eq!((status, &said["proxies"]), (500, &json!([])));
    before["enabled"] = json!(false);
    assert_eq!(
        stand.call("GET", "/proxies/two", &Value::Null).await,
        (200, before.clone())
    );
    assert!(tokio::net::TcpStream::connect(at).await.is_err());
    // Asking for the one before finds it as it is now, and it can be turned on.
    let former = json!([{ "name": "two", "listen": at.to_string(), "upstream": upstream.to_string() }]);
    assert_eq!(
        stand.call("POST", "/populate", &former).await,
        (201, json!({ "proxies": [before] }))
    );
    let on = stand.call("POST", "/proxies/two", &json!({ "enabled": true })).await;
    assert_eq!(on.0, 200, "{}", on.1);
    assert_eq!(super::stand::rest(&mut connect(at).await).await.unwrap(), 7);
    // The same is asked for again when the port is free.
    stand.cure("/proxies/one").await;
    let (status, said) = stand.call("POST", "/populate", &asked).await;
    assert_eq!((status, &said["proxies"][0]["enabled"]), (201, &json!(true)));
    drop(connect(taken).await);
}

// Tests that run at the same time ask for all proxies each: of none that another has harmed is the harm taken.
#[tokio::test]
async fn populate_leaves_what_is_the_same_on_or_off_and_with_its_toxics() {
    let stand = Stand::start();
    let limit = |bytes: u64| json!({ "type": "limit_data", "attributes": { "bytes": bytes } });
    let upstream = source(100).await;
    let at = stand.proxy("web", upstream, &[limit(7)]).await;
    let mut asked = json!([{ "name": "web", "listen": at.to_string(), "upstream": upstream.to_string() }]);
    // Those that are named may be what somebody once read.
    for toxics in [json!(null), json!([]), json!([limit(9)])] {
        asked[0]["toxics"] = toxics;
        assert_eq!(stand.call("POST", "/populate", &asked).await.0, 201);
        assert_eq!(super::stand::rest(&mut connect(at).await).await.unwrap(), 7);
    }
    for on in [false, true] {
        let turned = stand.call("POST", "/proxies/web", &json!({ "enabled": on })).await;
        assert_eq!(turned.0, 200);
        asked[0]["enabled"] = json!(!on);
        let (status, said) = stand.call("POST", "/populate", &asked).await;
        assert_eq!((status, &said["proxies"][0]["enabled"]), (201, &json!(on)));
        assert_eq!(tokio::net::TcpStream::connect(at).await.is_ok(), on);
    }
}

// The original compares with the port that a proxy has got.
#[tokio::test]
async fn populate_without_a_port_puts_a_new_proxy_in_the_place_of_one_that_has_one() {
    let stand = Stand::start();
    let upstream = echo().await;
    let mut at = stand.proxy("web", upstream, &[]).await;
    let mut asked = json!([{ "name": "web", "upstream": upstream.to_string() }]);
    for (listen, on) in [(json!(null), true), (json!(""), false), (json!("127.0.0.1:0"), true)] {
        let mut open = connect(at).await;
        ping(&mut open).await;
        let toxic = json!({ "type": "timeout" });
        assert_eq!(stand.call("POST", "/proxies/web/toxics", &toxic).await.0, 200);
        let turned = stand.call("POST", "/proxies/web", &json!({ "enabled": on })).await;
        assert_eq!(turned.0, 200);
        asked[0]["listen"] = listen;
        let (status, said) = stand.call("POST", "/populate", &asked).await;
        let made = &said["proxies"][0];
        assert_eq!(
            (status, &made["enabled"], &made["toxics"]),
            (201, &json!(true), &json!([]))
        );
        // It may be a reset.
        assert_eq!(super::stand::rest(&mut open).await.unwrap_or(0), 0);
        at = made["listen"].as_str().unwrap().parse().unwrap();
        ping(&mut connect(at).await).await;
    }
    // None has a port yet that is off from its beginning.
    asked = json!([{ "name": "off", "upstream": upstream.to_string(), "enabled": false, "toxics": [{ "type": "timeout" }] }]);
    let (_, made) = stand.call("POST", "/populate", &asked).await;
    asked[0]["enabled"] = json!(true);
    assert_eq!(stand.call("POST", "/populate", &asked).await, (201, made));
}

// The original's own client sends all that it has of a proxy, also toxics as they once were.
#[tokio::test]
async fn a_change_of_a_proxy_leaves_its_toxics_alone() {
    let stand = Stand::start();
    let _at = stand.proxy("web", echo().await, &[json!({ "type": "latency" })]).await;
    for toxics in [json!(null), json!([]), json!([{ "type": "timeout" }])] {
        let (status, shown) = stand
            .call("POST", "/proxies/web", &json!({ "enabled": true, "toxics": toxics }))
            .await;
        assert_eq!(status, 200, "{shown}");
        assert_eq!(shown["toxics"][0]["type"], json!("latency"));
    }
}

#[tokio::test]
async fn a_populate_that_is_wrong_changes_nothing() {
    let stand = Stand::start();
    for (second, says) in [
        (
            json!({ "upstream": "localhost:1" }),
            "missing required field: name at proxy 2",
        ),
        (json!({ "name": "b" }), "missing required field: upstream at proxy 2"),
        (
            json!({ "name": "a", "upstream": "localhost:1" }),
            "duplicate proxy name \"a\"",
        ),
    ] {
        let asked = json!([{ "name": "a", "upstream": "localhost:1" }, second]);
        let said = stand.call("POST", "/populate", &asked).await;
        assert_eq!(said, (400, json!({ "error": says, "status": 400 })));
        assert_eq!(stand.call("GET", "/proxies", &Value::Null).await.1, json!({}));
    }
}

#[tokio::test]
async fn reset_turns_all_on_and_takes_all_toxics_away() {
    let stand = Stand::start();
    let at = stand.proxy("web", echo().await, &[json!({ "type": "timeout" })]).await;
    assert_eq!(
        stand.call("POST", "/proxies/web", &json!({ "enabled": false })).await.0,
        200
    );
    assert_eq!(stand.call("POST", "/reset", &Value::Null).await, (204, Value::Null));
    let (_, shown) = stand.call("GET", "/proxies/web", &Value::Null).await;
    assert_eq!((&shown["enabled"], &shown["toxics"]), (&json!(true), &json!([])));
    ping(&mut connect(at).await).await;
}

#[tokio::test]
async fn what_is_wrong_is_said_as_the_original_does() {
    let stand = Stand::start();
    let at = stand.proxy("web", echo().await, &[json!({ "type": "latency" })]).await;
    let taken = json!({ "name": "other", "listen": at.to_string(), "upstream": "localhost:1" });
    for (method, path, body, status, says) in [
        ("GET", "/proxies/none", Value::Null, 404, "proxy not found"),
        ("DELETE", "/proxies/none", Value::Null, 404, "proxy not found"),
        ("GET", "/proxies/web/toxics/none", Value::Null, 404, "toxic not found"),
        (
            "POST",
            "/proxies",
            json!({ "upstream": "localhost:1" }),
            400,
            "missing required field: name",
        ),
        (
            "POST",
            "/proxies",
            json!({ "name": "x" }),
            400,
            "missing required field: upstream",
        ),
        (
            "POST",
            "/proxies",
            json!({ "name": "x", "upstream": "localhost" }),
            400,
            "no host and port",
        ),
        (
            "POST",
            "/proxies",
            json!({ "name": "x", "upstream": "a:1", "listen": "1.2.3" }),
            400,
            "no address and port",
        ),
        (
            "POST",
            "/proxies",
            json!({ "name": "x", "upstream": "a:1", "lsten": "" }),
            400,
            "lsten",
        ),
        (
            "POST",
            "/proxies",
            json!({ "name": "web", "upstream": "a:1" }),
            409,
            "proxy already exists",
        ),
        ("POST", "/proxies", taken, 500, "cannot listen on"),
        ("POST", "/proxies", json!("x"), 400, "bad request body"),
        ("POST", "/proxies/web", json!({ "name": "x" }), 400, "keeps its name"),
        (
            "POST",
            "/proxies/web/toxics",
            json!({ "type": "latency" }),
            409,
            "toxic already exists",
        ),
        (
            "POST",
            "/proxies/web/toxics",
            json!({ "type": "slow" }),
            400,
            "invalid toxic type",
        ),
        (
            "POST",
            "/proxies/web/toxics",
            json!({ "type": "timeout", "stream": "x" }),
            400,
            "stream was invalid",
        ),
        ("DELETE", "/reset", Value::Null, 405, "no such method"),
        ("GET", "/toxics", Value::Null, 404, "no such path"),
        ("GET", "/proxies/%zz", Value::Null, 400, "percent"),
    ] {
        let (said, error) = stand.call(method, path, &body).await;
        assert_eq!(
            (said, &error["status"]),
            (status, &json!(status)),
            "{method} {path} {body}: {error}"
        );
        assert!(
            error["error"].as_str().unwrap().contains(says),
            "{method} {path} {body}: {error}"
        );
    }
}

#[tokio::test]
async fn pages_of_others_are_kept_out() {
    let stand = Stand::start();
    for headers in [
        "user-agent: Mozilla/5.0\r\n",
        "origin: https://evil.example\r\n",
        "origin: http://127.0.0.1\r\n",
        "sec-fetch-site: cross-site\r\n",
    ] {
        assert_eq!(stand.say("GET", "/proxies", headers, "").await.0, 403, "{headers}");
    }
    for host in ["rebound.example", "re{bound.example"] {
        let mut raw = crate::client::Raw::to(stand.address).await;
        raw.send(format!(
            "GET /proxies HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
        ))
        .await;
        assert!(raw.rest().await.unwrap().starts_with("HTTP/1.1 403 "), "{host}");
    }
}

#[tokio::test]
async fn the_version_is_one_that_clients_know() {
    let stand = Stand::start();
    let (status, said) = stand.call("GET", "/version", &Value::Null).await;
    let version = said["version"].as_str().unwrap();
    assert!(status == 200 && version.starts_with("2."), "{said}");
}
