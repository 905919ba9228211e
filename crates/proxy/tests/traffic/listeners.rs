//! Several listeners of one proxy: each with an upstream of its own, and what is done at some of them alone.

mod acts;
mod common;
mod refused;

use crate::api::{get, put};
use crate::client::{Curl, Raw, curl};
use crate::connect;
use crate::stand::{Stand, soon, wish};
use crate::tls::parts::Behind;
use crate::upstream::Upstream;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const TWO: &str = "GET /two HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// What a client of this listener gets.
async fn ask(proxy: &Stand, name: &str, path: &str) -> Curl {
    curl(&[&format!("http://{}{path}", proxy.at(name))]).await
}

async fn status(proxy: &Stand, name: &str) -> u16 {
    ask(proxy, name, "/").await.status()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_leads_to_its_own_upstream_at_the_same_time() {
    let (main, payments) = (Upstream::start().await, Upstream::http2().await);
    let proxy = wish("{}")
        .to(&main.url())
        .beside("payments", Some(&format!("{}/base", payments.url())))
        .beside("itself", None)
        .start();
    assert_eq!(proxy.at("main"), proxy.address);
    let mut clients = Vec::new();
    for (name, version) in [
        ("main", "--http1.1"),
        ("payments", "--http1.1"),
        ("main", "--http2-prior-knowledge"),
        ("payments", "--http2-prior-knowledge"),
    ] {
        for number in 0..5 {
            let url = format!("http://{}/{name}/{number}", proxy.at(name));
            clients.push(tokio::spawn(async move { curl(&[version, &url]).await.status() }));
        }
    }
    for client in clients {
        assert_eq!(client.await.unwrap(), 200);
    }
    let lines = |upstream: &Upstream, path: &str| {
        let seen = upstream.seen();
        let own = seen
            .iter()
            .filter(|seen| seen.line.starts_with(&format!("GET {path}/")));
        (own.count(), seen.len())
    };
    assert_eq!(lines(&main, "/main"), (10, 10), "{:?}", main.seen());
    assert_eq!(lines(&payments, "/base/payments"), (10, 10), "{:?}", payments.seen());
    // One without an upstream is answered by the proxy, and the API is at the first alone.
    let said = ask(&proxy, "itself", "/x").await.text();
    assert_eq!(said, r#"{"method":"GET","path":"/x","body":0}"#);
    let said = ask(&proxy, "itself", "/api/chaos/status").await.text();
    assert!(said.contains("\"path\":\"/api/chaos/status\""), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_told_where_they_are_and_where_they_lead() {
    let upstream = Upstream::start().await;
    for proxy in [
        wish("{}").beside("payments", Some(&upstream.url())).start(),
        wish("{}")
            .beside("payments", Some(&upstream.url()))
            .api_elsewhere()
            .start(),
    ] {
        let listeners = &get(&proxy, "/status").await["listeners"];
        let expected = serde_json::json!([
            { "name": "main", "address": proxy.address.to_string(), "upstream": null },
            { "name": "payments", "address": proxy.at("payments").to_string(), "upstream": upstream.url() },
        ]);
        assert_eq!(*listeners, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_faults_are_counted_by_listener_where_there_are_several() {
    let config =
        "fault_injection: { http_errors: [500], http_error_probability: 1, request_matcher: { listeners: [b] } }";
    let proxy = wish(config).beside("b", None).start();
    for name in ["main", "b", "b"] {
        status(&proxy, name).await;
    }
    for (metric, count) in [
        ("listener_requests_total{listener=\"main\",class=\"2xx\"}", 1),
        ("listener_requests_total{listener=\"main\",class=\"5xx\"}", 0),
        ("listener_requests_total{listener=\"b\",class=\"5xx\"}", 2),
        ("listener_faults_total{listener=\"b\",fault=\"http_error\"}", 2),
        ("requests_total{class=\"2xx\"}", 1),
        ("requests_total{class=\"5xx\"}", 2),
        ("faults_total{fault=\"http_error\"}", 2),
    ] {
        assert_eq!(proxy.counted(metric), count, "{metric}");
    }
    let alone = wish("{}").start();
    status(&alone, "main").await;
    let metrics = curl(&[&alone.url("/api/chaos/metrics")]).await.text();
    assert!(
        metrics.contains("fracas_proxy_requests_total{class=\"2xx\"} 1\n") && !metrics.contains("listener=\""),
        "{metrics}"
    );
}

/// The statuses of requests that say nothing of who they are, each in a connection of its own.
async fn drawn(proxy: &Stand, name: &str, between: Option<&str>) -> Vec<bool> {
    let mut failed = Vec::new();
    for _ in 0..60 {
        if let Some(other) = between {
            Raw::to(proxy.at(other)).await.ask(GET).await;
        }
        let head = Raw::to(proxy.at(name)).await.ask(GET).await;
        failed.push(head.starts_with("HTTP/1.1 500 "));
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_decided_by_connections_does_not_depend_on_those_of_other_listeners() {
    let config = "fault_injection: { http_errors: [500], http_error_probability: 0.5 }";
    let proxy = || wish(config).beside("a", None).beside("b", None).start();
    let quiet = drawn(&proxy(), "a", None).await;
    assert!(quiet.contains(&true) && quiet.contains(&false));
    assert_eq!(drawn(&proxy(), "a", Some("b")).await, quiet);
    assert_eq!(drawn(&proxy(), "a", Some("main")).await, quiet);
    // Those of two listeners are not the same, and that of the first is as if there were no others.
    assert_ne!(drawn(&proxy(), "b", None).await, quiet);
    let first = drawn(&proxy(), "main", Some("b")).await;
    assert_eq!(drawn(&wish(config).start(), "main", None).await, first);
    assert_ne!(first, quiet);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_end_together_and_what_is_open_is_waited_for() {
    let (one, other) = (Upstream::start().await, Upstream::start().await);
    let mut proxy = wish("{}").to(&one.url()).beside("b", Some(&other.url())).start();
    let ports = [proxy.address, proxy.at("b")];
    let mut open = Vec::new();
    for at in ports {
        let mut client = Raw::to(at).await;
        client.send(TWO).await;
        client.until("first").await;
        open.push(client);
    }
    proxy.ask_to_stop();
    for at in ports {
        soon("nobody new is taken", || std::net::TcpStream::connect(at).is_err()).await;
    }
    one.go_on();
    other.go_on();
    for client in open {
        assert!(client.rest().await.unwrap().contains("second"));
    }
    assert_eq!(proxy.ended().await.cut, 0);
    // What does not end is cut off, at whichever of them.
    let proxy = wish("{}")
        .to(&one.url())
        .beside("b", Some(&other.url()))
        .patience(std::time::Duration::from_millis(100))
        .start();
    for at in [proxy.address, proxy.at("b")] {
        let mut client = Raw::to(at).await;
        client.send(TWO).await;
        client.until("first").await;
        open_until_the_end(client);
    }
    assert_eq!(proxy.ended().await.cut, 2);
}

/// Reads on until it is cut off.
fn open_until_the_end(client: Raw) {
    tokio::spawn(async move { client.said().await });
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tunnel_leads_to_any_of_them() {
    let server = Upstream::start().await;
    let proxy = wish("{}").connects(&[]).beside("b", None).api_elsewhere().start();
    for by in ["main", "b"] {
        let answered = |port| connect::answered_at(proxy.at(by), format!("127.0.0.1:{port}"));
        for own in [proxy.address, proxy.at("b"), proxy.api] {
            let head = answered(own.port()).await;
            assert!(head.starts_with("HTTP/1.1 403 "), "{by} {own}: {head}");
        }
        let head = answered(server.port()).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{by}: {head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_come_to_all_by_tls_if_to_one() {
    let upstream = Upstream::start().await;
    let behind = Behind::of(wish("{}").beside("b", Some(&upstream.url())));
    let port = behind.proxy.at("b").port();
    let words = ["--cacert", &behind.ca()];
    for version in ["--http1.1", "--http2"] {
        let url = format!("https://localhost:{port}/");
        assert_eq!(curl(&[&words[..], &[version, &url]].concat()).await.text(), "hello\n");
    }
    let said = curl(&[&format!("http://localhost:{port}/")]).await;
    assert_eq!(said.status(), 400, "{}", said.text());
    assert_eq!(behind.handshakes("done"), 2);
}
