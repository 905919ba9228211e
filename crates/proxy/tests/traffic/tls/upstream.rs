//! Upstreams that are reached by TLS.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fracas_proxy::{Proxy, Trust};

use super::parts::{Authority, Door, HTTP1, HTTP2};
use crate::client::{Raw, curl};
use crate::http2::{Http2, read};
use crate::stand::{LIMIT, Stand, Wish, wish};
use crate::upstream::{LARGE, Upstream};

const GOOD: (i32, i32) = (2020, 2100);
const GET: &str = "GET / HTTP/1.1\r\nhost: called.example\r\n\r\n";
const UPGRADE: &str = "GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n";

/// Two servers, a door of TLS before both, and a proxy before that.
struct Row {
    http1: Upstream,
    http2: Upstream,
    door: Door,
    proxy: Stand,
}

async fn row(offers: &[&[u8]]) -> Row {
    row_of(wish("{}"), offers).await
}

async fn row_of(wish: Wish, offers: &[&[u8]]) -> Row {
    let authority = Authority::new();
    let (http1, http2) = (Upstream::start().await, Upstream::http2().await);
    let door = Door::before(&http1, &http2, authority.signs("localhost", GOOD), offers).await;
    let proxy = wish.to(&door.url()).trusts(Trust::File(authority.file())).start();
    Row {
        http1,
        http2,
        door,
        proxy,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_http1_is_reached_by_its_name_in_a_connection_that_is_kept() {
    // Without a word about protocols it is HTTP/1.1.
    for offers in [&[HTTP1][..], &[]] {
        let row = row(offers).await;
        let mut client = Raw::to(row.proxy.address).await;
        for _ in 0..5 {
            assert!(client.ask(GET).await.starts_with("HTTP/1.1 200 "));
        }
        let large = curl(&["--http2-prior-knowledge", &row.proxy.url("/large")]).await;
        assert_eq!((large.status(), large.body.len()), (200, LARGE));
        let seen = row.http1.seen();
        assert_eq!(seen.len(), 6);
        assert_eq!(seen[0].headers["host"], "called.example");
        let greeted = row.door.greeted();
        // The first asked for HTTP/2, and was in vain.
        assert_eq!(greeted.len(), 2, "{greeted:?}");
        for (name, protocol) in greeted {
            assert_eq!(
                (name.as_deref(), protocol.as_deref()),
                (Some("localhost"), offers.first().copied())
            );
        }
        assert!(row.http2.seen().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_chooses_http2_has_a_connection_for_each_client() {
    let row = row(&[HTTP2, HTTP1]).await;
    let client = Http2::to(row.proxy.address).await;
    for _ in 0..3 {
        let (body, answered) = client.ask("GET", "/large");
        drop(body);
        assert_eq!(read(answered.await).await.len(), LARGE);
    }
    let said = curl(&["--http1.1", "--data-binary", "x", &row.proxy.url("/echo")]).await;
    assert_eq!((said.status(), said.text().as_str()), (200, "x"));
    let seen = row.http2.seen();
    assert_eq!(seen.len(), 4);
    assert_eq!(
        seen[0].authority.as_deref(),
        Some(row.proxy.address.to_string().as_str())
    );
    assert_eq!(row.door.greeted().len(), 2);
    assert!(
        row.door
            .greeted()
            .iter()
            .all(|(_, protocol)| protocol.as_deref() == Some(HTTP2))
    );
    assert!(row.http1.seen().is_empty());
}

// Or each would ask for itself, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_has_found_out_is_known_to_all_who_waited() {
    let row = row(&[HTTP1]).await;
    let client = Http2::to(row.proxy.address).await;
    let ask = |_| {
        let (body, answered) = client.ask("GET", "/");
        drop(body);
        tokio::spawn(async move { answered.await.status() })
    };
    let all: Vec<_> = (0..64).map(ask).collect();
    for one in all {
        assert_eq!(one.await.unwrap(), 200);
    }
    // One that asked, and at most one for each request.
    assert!(row.door.greeted().len() <= 65, "{}", row.door.greeted().len());
}

// In HTTP/2 there is nothing to go over to.
#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_is_begun_in_http1_also_where_http2_would_be_chosen() {
    let row = row(&[HTTP2, HTTP1]).await;
    let mut tunnel = Raw::to(row.proxy.address).await;
    tunnel.send(UPGRADE).await;
    assert!(tunnel.until("\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
    tunnel.echoes(1 << 20).await;
    assert_eq!(row.door.greeted().len(), 1);
    assert_eq!(row.door.greeted()[0].1.as_deref(), Some(HTTP1));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_changes_its_mind_is_followed() {
    let row = row(&[HTTP2, HTTP1]).await;
    let status = async || curl(&[&row.proxy.url("/")]).await.status();
    assert_eq!(status().await, 200);
    row.door.offer(&[HTTP1]);
    assert_eq!(status().await, 200);
    row.door.offer(&[HTTP2]);
    row.http1.hang_up();
    // It can be asked for a connection of HTTP/1.1 once in vain; by that it is known.
    let statuses = [status().await, status().await];
    assert!(statuses[1] == 200 && [200, 502].contains(&statuses[0]), "{statuses:?}");
    assert_eq!(
        row.http2.seen().len() + row.http1.seen().len(),
        2 + statuses.iter().filter(|one| **one == 200).count()
    );
}

// Behind one address may be several servers, of which one speaks HTTP/1.1 alone.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_chose_http1_has_the_choice_again_after_a_while() {
    let row = row_of(wish("{}").choice(Duration::from_millis(50)), &[HTTP1]).await;
    let status = async || curl(&[&row.proxy.url("/")]).await.status();
    assert_eq!(status().await, 200);
    row.door.offer(&[HTTP2, HTTP1]);
    let begun = Instant::now();
    while row.http2.seen().is_empty() && begun.elapsed() < LIMIT {
        assert_eq!(status().await, 200);
    }
    assert!(!row.http2.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_good_is_not_believed_and_what_is_wrong_is_said() {
    let (ours, others) = (Authority::new(), Authority::new());
    let (http1, http2) = (Upstream::start().await, Upstream::http2().await);
    for (signed, says) in [
        (
            others.signs("localhost", GOOD),
            "signed by nobody who is trusted; --upstream-ca",
        ),
        (ours.signs("other.example", GOOD), "not for `localhost`, but for "),
        (ours.signs("localhost", (2001, 2002)), "expired on 2002-01-02T00:00:00Z"),
        (
            ours.signs("localhost", (2100, 2101)),
            "good only from 2100-01-02T00:00:00Z on",
        ),
    ] {
        let door = Door::before(&http1, &http2, signed, &[HTTP2, HTTP1]).await;
        let proxy = wish("{}").to(&door.url()).trusts(Trust::File(ours.file())).start();
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let said = curl(&[version, &proxy.url("/")]).await;
            assert_eq!(said.status(), 502, "{says}");
            assert!(said.text().contains(says), "{says}: {}", said.text());
        }
        let mut tunnel = Raw::to(proxy.address).await;
        tunnel.send(UPGRADE).await;
        let said = tunnel.until("\"}").await;
        assert!(
            said.starts_with("HTTP/1.1 502 ") && said.contains(says),
            "{says}: {said}"
        );
        assert!(http1.seen().is_empty() && http2.seen().is_empty());
        // Who believes anybody believes it.
        let believes = wish("{}").to(&door.url()).trusts(Trust::Anybody).start();
        assert_eq!(curl(&[&believes.url("/")]).await.status(), 200, "{says}");
        http2.forget();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_tls_is_named() {
    let upstream = Upstream::start().await;
    let to = format!("https://127.0.0.1:{}", upstream.port());
    let proxy = wish("{}").to(&to).trusts(Trust::Anybody).start();
    let said = curl(&[&proxy.url("/")]).await;
    assert_eq!(said.status(), 502);
    assert!(said.text().contains("what it says is no TLS"), "{}", said.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_vouch_for_anybody_is_refused_at_once() {
    let refused = |trust| {
        let order = wish("{}").to("https://localhost:1").trusts(trust).order();
        let problem = Proxy::bind(order).unwrap_err();
        (problem.code.id, problem.line())
    };
    let (code, _) = refused(Trust::File(PathBuf::from("/does/not/exist.pem")));
    assert_eq!(code, "D001");
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("ca.pem");
    std::fs::write(&file, "nothing of this kind").unwrap();
    let (code, line) = refused(Trust::File(file));
    assert!(
        code == "N010" && line.contains("no certificates in PEM"),
        "{code} {line}"
    );
}
