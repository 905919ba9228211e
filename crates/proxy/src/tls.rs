//! TLS, 1.2 and 1.3, by rustls with ring: [`certificate`] is what clients see, [`trust`] what is asked of an upstream, [`handshake`] how a
//! client comes in, [`secure`] how an upstream is reached, [`session`] a connection, and [`passthrough`] what passes without being opened, to
//! a [`place`] by the name in its [`hello`].

pub(crate) mod certificate;
pub(crate) mod handshake;
pub(crate) mod hello;
pub(crate) mod passthrough;
pub(crate) mod place;
pub(crate) mod secure;
pub(crate) mod session;
pub(crate) mod trust;

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use certificate::Certificate;
use fracas_core::problem::{Problem, codes};
use place::Passthrough;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use trust::{Identity, Trust};

/// HTTP/2 and HTTP/1.1 by their names in a handshake (RFC 9113, 3.2 and RFC 7301, 6).
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// What of a proxy is TLS.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// What clients see. `None`: they come without TLS.
    pub certificate: Option<Certificate>,
    /// Who must vouch for an upstream of `https`.
    pub trust: Trust,
    /// What an upstream of `https` is shown that asks who the proxy is. `None`: nothing.
    pub identity: Option<Identity>,
    /// Where connections go that are not opened. `None`: they are. Then there is no upstream of HTTP, and the API has an address of its own or none.
    pub passthrough: Option<Passthrough>,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn cannot(what: impl Display, why: impl Display) -> Box<Problem> {
    Problem::new(&codes::PROXY_TLS, what.to_string()).since(why.to_string())
}

/// All certificates of a file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Box<Problem>> {
    let text = fracas_spec::read_file(file)?;
    let of_file = || format!("{} has no certificates in PEM", file.display());
    let found = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if found.is_empty() => Err(cannot(of_file(), "no part of it is called `CERTIFICATE`")),
        Ok(found) => Ok(found),
        Err(error) => Err(cannot(of_file(), error)),
    }
}

/// The certificates of a file, as authorities.
fn roots(file: &Path) -> Result<RootCertStore, Box<Problem>> {
    let mut roots = RootCertStore::empty();
    for root in certificates(file)? {
        let of_file = || format!("{} is no authority", file.display());
        roots.add(root).map_err(|error| cannot(of_file(), error))?;
    }
    Ok(roots)
}

/// The first private key of a file.
fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Box<Problem>> {
    let text = fracas_spec::read_file(file)?;
    let of_file = || format!("{} has no private key in PEM", file.display());
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| cannot(of_file(), error))
}
