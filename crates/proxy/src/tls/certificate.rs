//! What clients of TLS see: a certificate that was given, or one of an authority that is made for this proxy alone.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use fracas_core::problem::Result;
use jiff::{Timestamp, ToSpan as _, Zoned, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use super::{HTTP1, HTTP2, cannot, certificates, private_key, provider, roots};

/// A certificate with its key.
#[derive(Clone)]
pub struct Certificate(pub(super) Arc<ServerConfig>);

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}

/// A certificate that was made here, with the authority that signed it.
#[derive(Debug)]
pub struct SelfSigned {
    /// What clients see.
    pub certificate: Certificate,
    /// The certificate of the authority, PEM: whoever trusts it trusts this proxy. Its key is gone, so that it signs nothing else.
    pub authority: String,
}

impl Certificate {
    /// Reads both from files in PEM: the certificate, with those that lead from it to an authority behind it, and its key. Whether it is
    /// expired, or of another name, is not asked: that, too, is something to be tried.
    ///
    /// # Errors
    /// N010 if they are something else, or do not belong together; D001 if a file cannot be read.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self> {
        let (chain, private) = (certificates(certificate)?, private_key(key)?);
        let both = || format!("{} and {} cannot be used for TLS", certificate.display(), key.display());
        Self::of(chain, private).map_err(|error| cannot(both(), error))
    }

    /// The same, for clients that show a certificate for which one of these authorities vouches, PEM, and for nobody else. No session of
    /// theirs is taken up again: every connection shows its certificate, and is looked at.
    ///
    /// # Errors
    /// N010 if the file holds something else, or nothing; D001 if it cannot be read.
    pub fn asks(&self, authorities: &Path) -> Result<Self> {
        let roots = Arc::new(roots(authorities)?);
        let of_file = |error: &dyn std::error::Error| {
            let what = format!("clients cannot be asked for certificates of {}", authorities.display());
            cannot(what, error)
        };
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
        let verifier = verifier.map_err(|error| of_file(&error))?;
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let mut config = builder
            .map_err(|error| of_file(&error))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(&self.0.cert_resolver));
        config.alpn_protocols.clone_from(&self.0.alpn_protocols);
        // A session that is taken up again has its certificate with it, and rustls asks nobody whether that is still good.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }

    fn of(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

impl SelfSigned {
    /// Makes an authority, and by it a certificate for these names and addresses. Both are good from yesterday on, for a year.
    ///
    /// # Errors
    /// N010 if one of them is no name.
    pub fn new(names: &[String]) -> Result<Self> {
        Self::made(names).map_err(|error| cannot(format!("no certificate can be made for {}", names.join(", ")), error))
    }

    fn made(names: &[String]) -> Result<Self, Box<dyn std::error::Error>> {
        let today = Timestamp::now().to_zoned(TimeZone::UTC);
        // The clock of who looks at it may be behind ours.
        let (from, until) = (date(&today.checked_sub(1.day())?), date(&today.checked_add(1.year())?));
        let of = |name: &str, mut params: CertificateParams| {
            params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
            params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let mut ca = of("Fracas proxy authority", CertificateParams::default());
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
        let mut own = of("Fracas proxy", CertificateParams::new(names)?);
        own.use_authority_key_identifier_extension = true;
        own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let signed = own.signed_by(&key, &ca)?;
        let key = PrivateKeyDer::try_from(key.serialize_der())?;
        Ok(Self {
            certificate: Certificate::of(vec![signed.der().clone()], key)?,
            authority: ca.pem(),
        })
    }
}

/// Year, month and day.
fn date(of: &Zoned) -> (i32, u8, u8) {
    (i32::from(of.year()), of.month().unsigned_abs(), of.day().unsigned_abs())
}
