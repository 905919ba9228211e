//! Certificates of clients: the proxy asks its clients for them, and shows its own to an upstream that asks.

use std::sync::Arc;

use fracas_proxy::{Identity, Trust};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig, HandshakeKind, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::parts::{Authority, Behind, Door, HTTP1, HTTP2, Signed, provider, trusting};
use crate::client::curl;
use crate::stand::{LIMIT, Wish, soon, wish};
use crate::upstream::Upstream;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
/// Whose certificates are good now.
const GOOD: (i32, i32) = (2000, 2100);

/// A client that shows this.
fn client(behind: &Behind, version: &'static SupportedProtocolVersion, shows: Option<&Signed>) -> Arc<ClientConfig> {
    let roots = trusting(&std::fs::read_to_string(behind.ca()).unwrap());
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match shows {
        Some(signed) => {
            let (chain, key) = signed.shown();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    })
}

/// What becomes of it: the answer, and how the handshake went; or the alert that ends it.
async fn exchange(
    behind: &Behind,
    client: &Arc<ClientConfig>,
) -> Result<(String, Option<HandshakeKind>), AlertDescription> {
    let alert = |error: std::io::Error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::AlertReceived(alert)) => *alert,
            _ => panic!("no alert: {error}"),
        }
    };
    let exchange = async {
        let stream = TcpStream::connect(behind.proxy.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::clone(client)).connect(name, stream).await?;
        // In TLS 1.3 that goes before anything is known of what becomes of the certificate.
        stream.write_all(GET).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        Ok((said, stream.get_ref().1.handshake_kind()))
    };
    timeout(LIMIT, exchange).await.unwrap().map_err(alert)
}

async fn asks(
    behind: &Behind,
    version: &'static SupportedProtocolVersion,
    shows: Option<&Signed>,
) -> Result<String, AlertDescription> {
    let (said, _) = exchange(behind, &client(behind, version, shows)).await?;
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_clients_with_a_good_certificate_of_the_authorities_come_in() {
    let (one, other) = (Authority::called("one"), Authority::called("other"));
    let (stranger, poser) = (Authority::called("stranger"), Authority::called("one"));
    let place = tempfile::tempdir().unwrap();
    let both = place.path().join("both.pem");
    let text = [one.file(), other.file()].map(|file| std::fs::read_to_string(file).unwrap());
    std::fs::write(&both, text.concat()).unwrap();
    let upstream = Upstream::start().await;
    let behind = Behind::asking(wish("{}").to(&upstream.url()), &both);
    let (mut done, mut failed) = (0, 0);
    for version in [&TLS13, &TLS12] {
        for authority in [&one, &other] {
            let said = asks(&behind, version, Some(&authority.signs("client", GOOD)))
                .await
                .unwrap();
            assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
            done += 1;
        }
        for (shows, alert) in [
            (None, AlertDescription::CertificateRequired),
            (Some(stranger.signs("client", GOOD)), AlertDescription::UnknownCA),
            // By somebody who is only called so.
            (Some(poser.signs("client", GOOD)), AlertDescription::DecryptError),
            (
                Some(one.signs("client", (2000, 2001))),
                AlertDescription::CertificateExpired,
            ),
        ] {
            let said = asks(&behind, version, shows.as_ref()).await;
            assert_eq!(said, Err(alert), "{version:?}");
            failed += 1;
        }
    }
    soon("all are counted", || behind.handshakes("failed") == failed).await;
    assert_eq!(behind.handshakes("done"), done);
    assert_eq!(upstream.seen().len() as u32, done);
    soon("none is left", || behind.proxy.connections() == 0).await;
}

// Whoever takes up a session again is not asked for its certificate, which may have expired meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_looked_at_in_every_connection() {
    let authority = Authority::new();
    let (asking, open) = (Behind::asking(wish("{}"), &authority.file()), Behind::of(wish("{}")));
    let signed = authority.signs("client", GOOD);
    for version in [&TLS13, &TLS12] {
        for (behind, second) in [(&asking, HandshakeKind::Full), (&open, HandshakeKind::Resumed)] {
            let client = client(behind, version, Some(&signed));
            for expected in [HandshakeKind::Full, second] {
                let (said, kind) = exchange(behind, &client).await.unwrap();
                assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
                assert_eq!(kind, Some(expected), "{version:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_client_shows_its_own_at_every_listener_and_to_the_api() {
    let authority = Authority::new();
    let place = tempfile::tempdir().unwrap();
    let files = authority.signs("client", GOOD).files(place.path(), "client");
    let [certificate, key] = files.map(|file| file.display().to_string());
    let behind = Behind::asking(wish("{}").beside("b", None), &authority.file());
    let ca = behind.ca();
    let b = format!("https://localhost:{}/", behind.proxy.at("b").port());
    for url in [behind.url("/"), behind.url("/api/chaos/status"), b] {
        for version in ["--http1.1", "--http2"] {
            let words = [version, "--cacert", &ca, &url];
            let shown = ["--cert", &certificate, "--key", &key];
            let said = curl(&[&words[..], &shown].concat()).await;
            assert_eq!(said.status(), 200, "{url}: {said:?}");
            let said = curl(&words).await;
            assert!(said.code != 0 && said.head.is_empty(), "{url}: {said:?}");
        }
    }
    // Who speaks HTTP without TLS is told so as before.
    let plain = curl(&[&format!("http://{}/", behind.proxy.address)]).await;
    assert_eq!(plain.status(), 400);
    let behind = Behind::asking(wish("{}").api_elsewhere(), &authority.file());
    let status = curl(&[&format!("http://{}/api/chaos/status", behind.proxy.api)]).await;
    assert_eq!(status.status(), 200, "the API at an address of its own has no TLS");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_asks_is_shown_a_certificate() {
    let (http1, http2) = (Upstream::start().await, Upstream::http2().await);
    let (servers, clients, place) = (Authority::new(), Authority::new(), tempfile::tempdir().unwrap());
    let door = Door::before(&http1, &http2, servers.signs("localhost", GOOD), &[HTTP2, HTTP1]).await;
    let identity = |authority: &Authority, name| {
        let [certificate, key] = authority.signs("proxy", GOOD).files(place.path(), name);
        Identity::read(&certificate, &key).unwrap()
    };
    let to = || wish("{}").to(&door.url()).trusts(Trust::File(servers.file()));
    let own = to().shows(identity(&clients, "own")).start();
    // Who is not asked shows nothing, and is none the worse for it.
    assert_eq!(curl(&[&own.url("/")]).await.status(), 200);
    let none = to().start();
    let others = to().shows(identity(&servers, "others")).start();
    for offers in [&[HTTP2][..], &[HTTP1]] {
        door.asks(offers, &clients);
        let own = to().shows(identity(&clients, "own")).start();
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let said = curl(&[version, &own.url("/")]).await;
            assert_eq!(said.status(), 200, "{version}: {}", said.text());
        }
        for refused in [&none, &others] {
            let said = curl(&[&refused.url("/")]).await;
            assert_eq!(said.status(), 502, "{}", said.text());
        }
    }
    let before = (http1.seen().len(), http2.seen().len());
    assert_eq!(before, (2, 3), "nobody was asked in the name of somebody else");
}

// In TLS 1.2 that is heard in the handshake, in 1.3 behind it: before a request, when it is written, or in place of the answer.
#[tokio::test(flavor = "multi_thread")]
async fn who_shows_none_to_an_upstream_that_asks_is_told_what_to_do() {
    let (http1, http2) = (Upstream::start().await, Upstream::http2().await);
    let (servers, clients) = (Authority::new(), Authority::new());
    let door = Door::before(&http1, &http2, servers.signs("localhost", GOOD), &[HTTP2]).await;
    let told = async |to: Wish| {
        let proxy = to.start();
        let large = "x".repeat(100_000);
        for words in [&["-sS"][..], &["-d", &large], &["--http2-prior-knowledge"]] {
            let said = curl(&[words, &[&proxy.url("/echo")]].concat()).await;
            assert_eq!(said.status(), 502, "{words:?}: {}", said.text());
            let why = "no TLS with it: it wants a certificate of its clients; --upstream-cert shows it one";
            assert!(said.text().contains(why), "{words:?}: {}", said.text());
        }
    };
    for version in [&TLS12, &TLS13] {
        for offers in [&[HTTP2][..], &[HTTP1]] {
            door.asks_by(&[version], offers, &clients);
            told(wish("{}").to(&door.url()).trusts(Trust::File(servers.file()))).await;
        }
    }
    assert!(http1.seen().is_empty() && http2.seen().is_empty());
    // So does a proxy of ours that asks its own.
    let behind = Behind::asking(wish("{}").to(&http1.url()), &clients.file());
    told(wish("{}").to(&behind.url("")).trusts(Trust::File(behind.ca().into()))).await;
    assert!(http1.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_certificate_with_its_key_is_refused() {
    let (one, place) = (Authority::new(), tempfile::tempdir().unwrap());
    let [certificate, key] = one.signs("a", GOOD).files(place.path(), "a");
    let [_, other] = one.signs("b", GOOD).files(place.path(), "b");
    for (certificate, key) in [(&certificate, &other), (&key, &key), (&certificate, &certificate)] {
        let problem = Identity::read(certificate, key).unwrap_err();
        assert_eq!(problem.code.id, "N010", "{problem:?}");
    }
    let none = place.path().join("none.pem");
    assert_eq!(Identity::read(&none, &key).unwrap_err().code.id, "D001");
    assert!(!format!("{:?}", Identity::read(&certificate, &key).unwrap()).contains("PRIVATE"));
}
