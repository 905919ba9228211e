//! Engines behind TLS, as the `docker` command reaches them: `DOCKER_TLS_VERIFY` turns it on, and `DOCKER_CERT_PATH` names the directory
//! with `ca.pem`, `cert.pem` and `key.pem`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fracas_core::problem::codes::ENGINE_UNREACHABLE;
use fracas_core::problem::{Problem, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Whether engines at a port of TCP are spoken to by TLS.
pub(crate) fn is_on() -> bool {
    std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty())
}

/// Where the certificates are: `DOCKER_CERT_PATH`, else `~/.docker`.
fn place() -> PathBuf {
    let given = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    given("DOCKER_CERT_PATH")
        .or_else(|| given("HOME").map(|home| home.join(".docker")))
        .unwrap_or_default()
}

/// Whom to believe, and who we are.
///
/// # Errors
/// X001 when a file cannot be read or holds something else.
pub(crate) fn configuration() -> Result<Arc<ClientConfig>> {
    from(&place())
}

fn from(place: &Path) -> Result<Arc<ClientConfig>> {
    let bad = |file: &str, error: &dyn std::fmt::Display| {
        Problem::new(
            &ENGINE_UNREACHABLE,
            format!(
                "{} cannot be used to reach the container engine by TLS",
                place.join(file).display()
            ),
        )
        .since(error.to_string())
        .next("put ca.pem, cert.pem and key.pem into the directory that DOCKER_CERT_PATH names")
    };
    let certificates = |file: &str| {
        let found = CertificateDer::pem_file_iter(place.join(file)).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        match found {
            Ok(found) if found.is_empty() => Err(bad(file, &"there is no certificate in it")),
            found => found.map_err(|error| bad(file, &error)),
        }
    };
    let mut roots = RootCertStore::empty();
    for root in certificates("ca.pem")? {
        roots.add(root).map_err(|error| bad("ca.pem", &error))?;
    }
    let own = certificates("cert.pem")?;
    let key = PrivateKeyDer::from_pem_file(place.join("key.pem")).map_err(|error| bad("key.pem", &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let configuration = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad("ca.pem", &error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(own, key)
        .map_err(|error| bad("key.pem", &error))?;
    Ok(Arc::new(configuration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_that_is_missing_or_something_else_is_named() {
        let place = std::env::temp_dir().join(format!("fracas-tls-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        let missing = from(&place).unwrap_err();
        std::fs::write(place.join("ca.pem"), "nonsense").unwrap();
        let nonsense = from(&place).unwrap_err();
        std::fs::remove_dir_all(&place).unwrap();
        for (problem, why) in [(missing, "No such file"), (nonsense, "no certificate")] {
            assert_eq!(problem.code.id, "X001");
            assert!(problem.what.contains("ca.pem"), "{}", problem.what);
            assert!(problem.line().contains(why), "{}", problem.line());
        }
    }
}
