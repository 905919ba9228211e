//! What all listeners have in common, however many there are.

use std::time::{Duration, Instant};

use fracas_proxy::{Identity, Trust};

use super::{GET, ask};
use crate::client::{Raw, curl};
use crate::stand::{soon, wish};
use crate::tls::parts::{Authority, Door, HTTP1, HTTP2};
use crate::upstream::{LARGE, Upstream};

const GOOD: (i32, i32) = (2000, 2100);

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_an_id_meets_the_same_wherever_it_comes_to() {
    let proxy = wish("fault_injection: { http_errors: [500, 502], http_error_probability: 0.5 }")
        .beside("a", None)
        .beside("b", None)
        .start();
    let mut met = [const { Vec::new() }; 3];
    for (name, met) in ["main", "a", "b"].into_iter().zip(&mut met) {
        let mut client = Raw::to(proxy.at(name)).await;
        for id in 0..60 {
            let request = format!("GET / HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\n\r\n");
            met.push(client.ask(&request).await[9..12].to_owned());
        }
    }
    let [main, a, b] = met;
    for status in ["200", "500", "502"] {
        assert!(main.iter().any(|one| one == status), "{main:?}");
    }
    assert!(main == a && main == b, "{main:?}\n{a:?}\n{b:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_all_of_them_are_counted_together() {
    let proxy = wish("traffic_shaping: { max_connections: 1 }")
        .beside("b", None)
        .start();
    for (first, second) in [("main", "b"), ("b", "main")] {
        let mut client = Raw::to(proxy.at(first)).await;
        assert!(client.ask(GET).await.starts_with("HTTP/1.1 200 "));
        let said = ask(&proxy, second, "/").await;
        assert_eq!(
            (said.status(), said.header("x-fracas-fault").as_str()),
            (503, "connection_limit"),
            "{second}"
        );
        drop(client);
        soon("its place is free", || proxy.connections() == 0).await;
    }
}

// Half a second for each of two, if each had a limit of its own.
#[tokio::test(flavor = "multi_thread")]
async fn what_passes_all_of_them_is_limited_together() {
    let upstream = Upstream::start().await;
    let proxy = wish(&format!("traffic_shaping: {{ bandwidth_limit_bps: {} }}", LARGE * 2))
        .to(&upstream.url())
        .beside("b", Some(&upstream.url()))
        .start();
    let begun = Instant::now();
    let both = ["main", "b"].map(|name| ask(&proxy, name, "/large"));
    let [main, b] = both;
    let (main, b) = tokio::join!(main, b);
    assert_eq!((main.body.len(), b.body.len()), (LARGE, LARGE));
    assert!(begun.elapsed() >= Duration::from_millis(800), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_of_any_is_trusted_and_shown_a_certificate_as_the_first() {
    let (http1, http2) = (Upstream::start().await, Upstream::http2().await);
    let (servers, clients, place) = (Authority::new(), Authority::new(), tempfile::tempdir().unwrap());
    let door = Door::before(&http1, &http2, servers.signs("localhost", GOOD), &[HTTP2, HTTP1]).await;
    door.asks(&[HTTP2, HTTP1], &clients);
    let [certificate, key] = clients.signs("proxy", GOOD).files(place.path(), "proxy");
    let to = |trust: Trust| wish("{}").beside("b", Some(&door.url())).trusts(trust);
    let shows = || Identity::read(&certificate, &key).unwrap();
    for (wish, status) in [
        (to(Trust::File(servers.file())).shows(shows()), 200),
        (to(Trust::Anybody).shows(shows()), 200),
        (to(Trust::File(servers.file())), 502),
        (to(Trust::File(clients.file())).shows(shows()), 502),
    ] {
        let proxy = wish.start();
        let said = curl(&[&format!("http://{}/", proxy.at("b"))]).await;
        assert_eq!(said.status(), status, "{}", said.text());
    }
}
