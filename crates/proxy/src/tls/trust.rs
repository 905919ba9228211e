//! Who must vouch for an upstream.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fracas_core::problem::Result;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::{cannot, certificates, private_key, provider, roots};

/// Who must vouch for an upstream of `https`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// The authorities of this machine, as its distribution has them, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    #[default]
    System,
    /// Those of a file in PEM, and nobody else.
    File(PathBuf),
    /// Nobody: any certificate will do, so that anybody on the way may be the upstream.
    Anybody,
}

/// A certificate with its key, by which an upstream knows the proxy.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads both from files in PEM: the certificate, with those that lead from it to an authority behind it, and its key.
    ///
    /// # Errors
    /// N010 if they are something else, or do not belong together; D001 if a file cannot be read.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self> {
        let read = Self {
            chain: certificates(certificate)?,
            key: private_key(key)?,
        };
        // Whether they do belong together is told now, and not by the first upstream.
        let of_both = |error| {
            let what = format!(
                "{} and {} cannot be shown to an upstream",
                certificate.display(),
                key.display()
            );
            cannot(what, error)
        };
        let one = CertifiedKey::from_der(read.chain.clone(), read.key.clone_key(), &provider());
        one.map_err(of_both)?;
        Ok(read)
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// Believes every certificate, but not that somebody has its key who has not.
#[derive(Debug)]
struct Believer(Arc<CryptoProvider>);

impl Trust {
    pub(super) fn config(&self, identity: Option<&Identity>) -> Result<ClientConfig> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| cannot("there is no TLS", error))?;
        let builder = match self {
            Self::System => builder.with_root_certificates(of_system()?),
            Self::File(file) => builder.with_root_certificates(roots(file)?),
            Self::Anybody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Believer(provider))),
        };
        match identity.cloned() {
            Some(own) => builder
                .with_client_auth_cert(own.chain, own.key)
                .map_err(|error| cannot("there is no certificate that could be shown to an upstream", error)),
            None => Ok(builder.with_no_client_auth()),
        }
    }
}

/// A few that cannot be used are no reason to have none: others may have put them there.
fn of_system() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let why = match found.errors.first() {
        Some(error) => error.to_string(),
        None => "there are none".to_owned(),
    };
    let problem = cannot("this machine has no authorities that could vouch for an upstream", why);
    Err(problem.next("install them (Debian: ca-certificates), or name some with --upstream-ca"))
}

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
