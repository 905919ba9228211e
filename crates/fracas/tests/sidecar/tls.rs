//! An engine behind TLS: the engine of tests behind a door of this test, with certificates made for it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, UnixStream};
use tokio_rustls::TlsAcceptor;

use crate::support::{Bench, LIMIT, Run, Target, signal};
use crate::{Far, over, socket};

/// An authority with its name.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for 127.0.0.1, with its key.
fn issue(by: &CertifiedIssuer<'_, KeyPair>) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    (params.signed_by(&key, by).unwrap(), key)
}

/// Puts what a client needs into a directory.
fn client(place: &Path, trusted: &CertifiedIssuer<'_, KeyPair>, by: &CertifiedIssuer<'_, KeyPair>) {
    let (certificate, key) = issue(by);
    std::fs::create_dir(place).unwrap();
    std::fs::write(place.join("ca.pem"), trusted.pem()).unwrap();
    std::fs::write(place.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(place.join("key.pem"), key.serialize_pem()).unwrap();
}

/// Opens a door of TLS to the engine, for whom this authority knows.
async fn door(authority: &CertifiedIssuer<'static, KeyPair>) -> SocketAddr {
    let (certificate, key) = issue(authority);
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let known = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(known)
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((peer, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Who is refused sees it.
                let Ok(mut peer) = acceptor.accept(peer).await else {
                    return;
                };
                let mut engine = UnixStream::connect(socket()).await.unwrap();
                let _ended = tokio::io::copy_bidirectional(&mut peer, &mut engine).await;
            });
        }
    });
    address
}

#[test]
fn an_engine_is_reached_by_tls_by_whom_it_knows_and_a_killed_guardian_is_replaced() {
    let Some(target) = Target::container("no") else { return };
    let bench = Bench::new();
    let before = target.look();
    let (ours, others) = (authority(), authority());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = runtime.block_on(door(&ours)).to_string();
    let place = |name: &str| bench.place().join(name).display().to_string();
    client(Path::new(&place("good")), &ours, &ours);
    client(Path::new(&place("stranger")), &ours, &others);
    client(Path::new(&place("distrusts")), &others, &ours);
    client(Path::new(&place("keyless")), &ours, &ours);
    std::fs::remove_file(Path::new(&place("keyless")).join("key.pem")).unwrap();

    let (host, socket) = (format!("tcp://{address}"), socket());
    let with = |certificates: &'static str| {
        [
            ("DOCKER_HOST", host.clone()),
            ("DOCKER_TLS_VERIFY", "1".to_owned()),
            ("DOCKER_CERT_PATH", place(certificates)),
            ("FRACAS_SIDECAR", "always".to_owned()),
            ("FRACAS_DOCKER_SIDECAR_SOCKET", socket.clone()),
        ]
    };
    for (certificates, why) in [
        ("stranger", "received fatal alert"),
        ("distrusts", "invalid peer certificate"),
        ("keyless", "key.pem cannot be used"),
    ] {
        let variables = with(certificates);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let refused = Run::with(&bench, &["recover"], &variables).end();
        assert_eq!(refused.code, 2, "{certificates}: {refused:?}");
        assert!(
            refused.err.contains("X001") && refused.err.contains(why),
            "{certificates}: {refused:?}"
        );
    }

    let variables = with("good");
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut far = Far::start(&bench, &target, &variables);
    signal(&far.guardian, 9);
    let said = far.run.wait(LIMIT);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(
        said.err.contains("another one recovers from the ledger")
            && said.err.contains("nothing is left of 1 injection"),
        "{said:?}"
    );
    over(&target, &before);
    bench.finish();
}
