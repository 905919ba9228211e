//! An authority, a server of TLS before those of the other tests, and a client that sees how its connection ends.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use fracas_proxy::{Certificate, SelfSigned};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ALL_VERSIONS, ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::stand::{LIMIT, Stand, Wish};
use crate::upstream::Upstream;

pub(crate) const HTTP2: &[u8] = b"h2";
pub(crate) const HTTP1: &[u8] = b"http/1.1";

pub(crate) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Somebody who signs.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    place: tempfile::TempDir,
}

/// A certificate with its key.
pub(crate) struct Signed {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::called("an authority")
    }

    pub(crate) fn called(name: &str) -> Self {
        let mut params = CertificateParams::default();
        // OpenSSL takes a certificate of its issuer's name for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, place }
    }

    /// Its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.place.path().join("ca.pem")
    }

    /// One that is good between these years.
    pub(crate) fn signs(&self, name: &str, (from, until): (i32, i32)) -> Signed {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 2), date_time_ymd(until, 1, 2));
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        Signed {
            chain: vec![signed.der().clone()],
            pem: signed.pem(),
            key,
        }
    }
}

impl Signed {
    /// Both in files of this place: the certificate and its key.
    pub(crate) fn files(&self, place: &Path, name: &str) -> [PathBuf; 2] {
        let of = |what: &str, text: String| {
            let file = place.join(format!("{name}-{what}.pem"));
            std::fs::write(&file, text).unwrap();
            file
        };
        [of("cert", self.pem.clone()), of("key", self.key.serialize_pem())]
    }

    /// For a client of TLS, to be shown.
    pub(crate) fn shown(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (
            self.chain.clone(),
            PrivateKeyDer::try_from(self.key.serialize_der()).unwrap(),
        )
    }

    /// As [`Signed::config`], for clients that this authority vouches for.
    fn asks(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        offers: &[&[u8]],
        authority: &Authority,
    ) -> Arc<ServerConfig> {
        let roots = Arc::new(trusting(&authority.issuer.pem()));
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
        let (chain, key) = self.shown();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = offers.iter().map(|one| one.to_vec()).collect();
        Arc::new(config)
    }

    fn config(&self, offers: &[&[u8]]) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), key)
            .unwrap();
        config.alpn_protocols = offers.iter().map(|one| one.to_vec()).collect();
        Arc::new(config)
    }
}

/// Whom a client called, and what it agreed on.
type Greeting = (Option<String>, Option<Vec<u8>>);

/// A server of TLS, before one of HTTP/1.1 and one of HTTP/2.
pub(crate) struct Door {
    port: u16,
    signed: Signed,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    greeted: Arc<Mutex<Vec<Greeting>>>,
}

impl Door {
    pub(crate) async fn before(http1: &Upstream, http2: &Upstream, signed: Signed, offers: &[&[u8]]) -> Self {
        Self::to((http1.port(), http2.port()), signed, offers).await
    }

    /// Before these ports: of HTTP/1.1 and of HTTP/2.
    pub(crate) async fn to(ports: (u16, u16), signed: Signed, offers: &[&[u8]]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = Self {
            port: listener.local_addr().unwrap().port(),
            config: Arc::new(Mutex::new(signed.config(offers))),
            signed,
            greeted: Arc::default(),
        };
        let (config, greeted) = (Arc::clone(&door.config), Arc::clone(&door.greeted));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = TlsAcceptor::from(Arc::clone(&config.lock().unwrap()));
                let greeted = Arc::clone(&greeted);
                tokio::spawn(async move {
                    // Who does not believe it sees that.
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let (name, protocol) = {
                        let session = stream.get_ref().1;
                        let protocol = session.alpn_protocol().map(<[u8]>::to_vec);
                        (session.server_name().map(str::to_owned), protocol)
                    };
                    let port = if protocol.as_deref() == Some(HTTP2) {
                        ports.1
                    } else {
                        ports.0
                    };
                    greeted.lock().unwrap().push((name, protocol));
                    let mut behind = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    let _end = tokio::io::copy_bidirectional(&mut stream, &mut behind).await;
                });
            }
        });
        door
    }

    /// Speaks something else from now on.
    pub(crate) fn offer(&self, offers: &[&[u8]]) {
        *self.config.lock().unwrap() = self.signed.config(offers);
    }

    /// Wants a certificate of this authority from now on.
    pub(crate) fn asks(&self, offers: &[&[u8]], authority: &Authority) {
        self.asks_by(ALL_VERSIONS, offers, authority);
    }

    /// The same, in these versions of TLS alone.
    pub(crate) fn asks_by(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        offers: &[&[u8]],
        authority: &Authority,
    ) {
        *self.config.lock().unwrap() = self.signed.asks(versions, offers, authority);
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Its host and port.
    pub(crate) fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Whom its clients called, and what they agreed on.
    pub(crate) fn greeted(&self) -> Vec<Greeting> {
        self.greeted.lock().unwrap().clone()
    }
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By the word of TLS for it.
    InOrder,
    /// Without that word.
    BrokenOff,
    Reset,
}

/// A proxy that is reached by TLS, and what its clients must trust.
pub(crate) struct Behind {
    pub(crate) proxy: Stand,
    authority: String,
    place: tempfile::TempDir,
}

impl Behind {
    pub(crate) fn of(wish: Wish) -> Self {
        let made = SelfSigned::new(&["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        Self::with(wish, &made.certificate, made.authority)
    }

    /// One that asks its clients for certificates of these authorities.
    pub(crate) fn asking(wish: Wish, authorities: &Path) -> Self {
        let made = SelfSigned::new(&["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        Self::with(wish, &made.certificate.asks(authorities).unwrap(), made.authority)
    }

    fn with(wish: Wish, certificate: &Certificate, authority: String) -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("ca.pem"), &authority).unwrap();
        Self {
            proxy: wish.by_tls(certificate).start(),
            authority,
            place,
        }
    }

    /// For curl.
    pub(crate) fn ca(&self) -> String {
        self.place.path().join("ca.pem").display().to_string()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.proxy.address.port())
    }

    pub(crate) fn handshakes(&self, end: &str) -> u32 {
        self.proxy.counted(&format!("tls_handshakes_total{{end=\"{end}\"}}"))
    }

    /// A client that offers these protocols.
    pub(crate) async fn client(&self, offers: &[&[u8]]) -> Client {
        Client(greet(self.proxy.address, &self.authority, offers).await)
    }
}

async fn greet(address: SocketAddr, authority: &str, offers: &[&[u8]]) -> TlsStream<TcpStream> {
    call(address, "localhost", authority, offers).await.unwrap()
}

/// A client that calls this name.
pub(crate) async fn call(
    address: SocketAddr,
    name: &str,
    authority: &str,
    offers: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(believes(authority, offers));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    timeout(LIMIT, connector.connect(name, stream)).await.unwrap()
}

/// What a client begins with that calls this name.
pub(crate) fn hello(name: &str) -> Vec<u8> {
    let authority = Authority::new().issuer.pem();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(believes(&authority, &[HTTP1]), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// Whoever is called by this certificate, PEM, and nobody else.
pub(crate) fn trusting(authority: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap())
        .unwrap();
    roots
}

fn believes(authority: &str, offers: &[&[u8]]) -> Arc<ClientConfig> {
    let roots = trusting(authority);
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = offers.iter().map(|one| one.to_vec()).collect();
    Arc::new(config)
}

/// A connection of TLS in which a test writes every byte itself.
pub(crate) struct Client(TlsStream<TcpStream>);

impl Client {
    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until the text is there.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let mut read = Vec::new();
        let reading = async {
            while !read.ends_with(text.as_bytes()) {
                let byte = self.0.read_u8().await.expect("it goes on");
                read.push(byte);
            }
        };
        timeout(LIMIT, reading).await.expect("it comes in time");
        String::from_utf8(read).unwrap()
    }

    /// All that comes until the end, and that.
    pub(crate) async fn rest(mut self) -> (String, End) {
        let mut rest = Vec::new();
        let end = match timeout(LIMIT, self.0.read_to_end(&mut rest)).await.expect("it ends") {
            Ok(_) => End::InOrder,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => End::BrokenOff,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => End::Reset,
            Err(error) => panic!("{error}"),
        };
        (String::from_utf8_lossy(&rest).into_owned(), end)
    }

    /// The connection, for a client of HTTP/2.
    pub(crate) fn into_inner(self) -> TlsStream<TcpStream> {
        self.0
    }
}
