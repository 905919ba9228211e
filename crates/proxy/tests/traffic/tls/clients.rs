//! Clients that come by TLS.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::parts::{Behind, End, HTTP1, HTTP2};
use crate::client::{Raw, curl};
use crate::stand::{LIMIT, soon, wish};
use crate::upstream::{LARGE, Upstream};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const SHORT: Duration = Duration::from_millis(100);
/// For a whole handshake, and then as long for nobody.
const ENOUGH: Duration = Duration::from_secs(1);
/// A record of a handshake of a hundred bytes, of which none is there.
const HALF: &[u8] = &[22, 3, 1, 0, 100];

#[tokio::test(flavor = "multi_thread")]
async fn they_choose_the_version_of_http_and_of_tls() {
    let upstream = Upstream::start().await;
    let behind = Behind::of(wish("{}").to(&upstream.url()));
    for (words, line, tls) in [
        (&["--http1.1", "--tls-max", "1.2"][..], "HTTP/1.1 200", "TLSv1.2"),
        (&["--http1.1", "--tlsv1.3"], "HTTP/1.1 200", "TLSv1.3"),
        (&["--http2", "--tls-max", "1.2"], "HTTP/2 200", "TLSv1.2"),
        (&["--http2", "--tlsv1.3"], "HTTP/2 200", "TLSv1.3"),
        (&["--no-alpn", "--http1.1"], "HTTP/1.1 200", "TLSv1.3"),
    ] {
        let url = behind.url("/large");
        let said = curl(&[words, &["--cacert", &behind.ca(), &url]].concat()).await;
        assert!(said.head.starts_with(line), "{words:?}: {said:?}");
        assert_eq!(said.body.len(), LARGE, "{words:?}");
        assert!(
            said.told.contains(&format!("SSL connection using {tls}")),
            "{words:?}: {}",
            said.told
        );
    }
    assert_eq!(behind.handshakes("done"), 5);
    // Who does not trust the authority is told by its own certificate, not by ours.
    let said = curl(&[&behind.url("/")]).await;
    assert_eq!((said.code, said.head.as_str()), (60, ""));
    soon("that is counted", || behind.handshakes("failed") == 1).await;
    assert_eq!(upstream.seen().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_are_refused() {
    let behind = Behind::of(wish("{}"));
    // OpenSSL itself refuses to offer them at its usual level.
    let words = [
        "--tls-max",
        "1.1",
        "--ciphers",
        "DEFAULT@SECLEVEL=0",
        "--cacert",
        &behind.ca(),
    ];
    let said = curl(&[&words[..], &[&behind.url("/")]].concat()).await;
    assert_eq!(said.code, 35, "{said:?}");
    soon("it is counted", || behind.handshakes("failed") == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_without_tls_is_told_so() {
    let behind = Behind::of(wish("{}"));
    let url = format!("http://{}/", behind.proxy.address);
    for words in [&["--http1.1"][..], &["--data-binary", "x"]] {
        let said = curl(&[words, &[&url]].concat()).await;
        assert_eq!((said.code, said.status()), (0, 400), "{said:?}");
        assert!(
            said.text().contains("this port speaks TLS: ask it by https"),
            "{}",
            said.text()
        );
    }
    let mut nonsense = Raw::to(behind.proxy.address).await;
    nonsense.send(b"\0\0\0\0").await;
    assert_eq!(nonsense.said().await, "");
    soon("they are counted", || behind.handshakes("no_tls") == 3).await;
    assert_eq!(behind.handshakes("done") + behind.handshakes("failed"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_do_not_go_on_have_an_end() {
    let behind = Behind::of(wish("{}").head(SHORT));
    let mut half = Raw::to(behind.proxy.address).await;
    half.send(HALF).await;
    let silent = Raw::to(behind.proxy.address).await;
    let mut slow = TcpStream::connect(behind.proxy.address).await.unwrap();
    slow.write_all(&HALF[..1]).await.unwrap();
    assert_eq!((half.said().await, silent.said().await), (String::new(), String::new()));
    // Who said nothing at all had begun none.
    soon("both are counted", || behind.handshakes("given_up") == 2).await;
    soon("none is left", || behind.proxy.connections() == 0).await;
    // With a handshake and nothing behind it the connection ends, too.
    let behind = Behind::of(wish("{}").head(ENOUGH));
    let (said, end) = behind.client(&[HTTP1]).await.rest().await;
    assert_eq!((said.as_str(), end), ("", End::BrokenOff));
    soon("none is left", || behind.proxy.connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_cannot_be_made_are_counted() {
    let behind = Behind::of(wish("{}"));
    // One that ends by itself has failed.
    let mut gone = TcpStream::connect(behind.proxy.address).await.unwrap();
    gone.write_all(HALF).await.unwrap();
    drop(gone);
    soon("it is counted", || behind.handshakes("failed") == 1).await;
    // One that is no handshake of anything known, too.
    let mut wrong = Raw::to(behind.proxy.address).await;
    wrong.send([22, 3, 1, 0, 4, 99, 0, 0, 0]).await;
    wrong.said().await;
    soon("it is counted", || behind.handshakes("failed") == 2).await;
    soon("none is left", || behind.proxy.connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_speak_what_was_agreed_on_is_let_go() {
    let behind = Behind::of(wish("{}"));
    let mut says_one = behind.client(&[HTTP2]).await;
    says_one.send(GET).await;
    assert_eq!(says_one.rest().await.0, "");
    let mut says_two = behind.client(&[HTTP1]).await;
    says_two.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(says_two.rest().await.0, "");
    let mut agrees = behind.client(&[HTTP1]).await;
    agrees.send(GET).await;
    let (said, end) = agrees.rest().await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    assert_eq!(end, End::InOrder);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_passes_in_tls() {
    let upstream = Upstream::start().await;
    let behind = Behind::of(wish("{}").to(&upstream.url()));
    let mut tunnel = behind.client(&[HTTP1]).await;
    tunnel
        .send("GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n")
        .await;
    tunnel.until("\r\n\r\n").await;
    tunnel.send("loud").await;
    assert_eq!(tunnel.until("loud").await, "loud");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_used_by_tls_and_by_pages_of_its_own_origin_alone() {
    let behind = Behind::of(wish("{}"));
    let (ca, url) = (behind.ca(), behind.url("/api/chaos/config/latency"));
    let origin = behind.url("");
    let put = async |origin: &str| {
        let origin = format!("origin: {origin}");
        let words = [
            "-X",
            "PUT",
            "-H",
            "content-type: application/json",
            "-d",
            "{\"fixed_delay_ms\": 2}",
        ];
        curl(&[&["--cacert", &ca, "-H", &origin, &url], &words[..]].concat())
            .await
            .status()
    };
    for foreign in [
        origin.replace("https", "http"),
        "https://localhost".to_owned(),
        "null".to_owned(),
    ] {
        assert_eq!(put(&foreign).await, 403, "{foreign}");
    }
    let latency = async || {
        curl(&["--cacert", &ca, &behind.url("/")])
            .await
            .header("x-fracas-latency-ms")
    };
    assert_eq!(latency().await, "");
    assert_eq!(put(&origin).await, 200);
    assert_eq!(latency().await, "2.000");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_of_its_own_address_has_no_tls() {
    let behind = Behind::of(wish("{}").api_elsewhere());
    let status = curl(&[&format!("http://{}/api/chaos/status", behind.proxy.api)]).await;
    assert_eq!(status.status(), 200);
    let said = curl(&["--cacert", &behind.ca(), &behind.url("/api/chaos/status")]).await;
    assert!(
        said.text().contains("\"path\":\"/api/chaos/status\""),
        "{}",
        said.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn open_requests_end_in_peace_when_the_proxy_does() {
    let upstream = Upstream::start().await;
    let mut behind = Behind::of(wish("{}").to(&upstream.url()));
    let stream = behind.client(&[HTTP2]).await.into_inner();
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driven = tokio::spawn(connection);
    let request = Request::get("https://localhost/two")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    behind.proxy.ask_to_stop();
    upstream.go_on();
    assert_eq!(crate::http2::read(answer).await, "firstsecond");
    assert_eq!(behind.proxy.ended().await.cut, 0);
    driven.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_has_begun_is_waited_for_and_one_without_a_request_is_not() {
    // Longer than a first byte is waited for.
    let behind = Behind::of(wish("{}").patience(SHORT * 5));
    let mut half = Raw::to(behind.proxy.address).await;
    half.send(HALF).await;
    soon("it is there", || behind.proxy.connections() == 1).await;
    let Behind { proxy, .. } = behind;
    let counts = proxy.counts();
    assert_eq!(proxy.ended().await.cut, 1);
    assert_eq!(counts.of("tls_handshakes_total{end=\"given_up\"}"), 1);
    assert_eq!(half.said().await, "");
    let behind = Behind::of(wish("{}"));
    let idle = behind.client(&[HTTP1]).await;
    let begun = Instant::now();
    assert_eq!(behind.proxy.ended().await.cut, 0);
    assert!(begun.elapsed() < LIMIT / 2, "{:?}", begun.elapsed());
    assert_eq!(idle.rest().await.0, "");
}
