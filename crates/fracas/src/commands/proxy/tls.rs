//! What of the proxy is TLS, from flags.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use fracas_core::problem::{Problem, Result, codes};
use fracas_proxy::{Certificate, Identity, Passthrough, SelfSigned, Tls, Trust, Upstream};

use crate::cli::Proxy;
use crate::output::print;

/// What the flags ask for, and the certificate of an authority that was made, if one was.
pub(super) fn of(proxy: &Proxy) -> Result<(Tls, Option<String>)> {
    let flags = &proxy.tls;
    let others = proxy
        .listeners
        .others
        .iter()
        .filter_map(|other| other.upstream.as_ref());
    let is_tls = proxy.upstream.iter().chain(others).any(Upstream::is_tls);
    let trust = match (&flags.upstream_ca, flags.upstream_insecure) {
        (None, false) => Trust::System,
        _ if !is_tls => {
            let flag = if flags.upstream_insecure {
                "--upstream-insecure"
            } else {
                "--upstream-ca"
            };
            let what = format!("`{flag}` is about an upstream of TLS, and there is none");
            return Err(Problem::new(&codes::USAGE, what).next("write it like --upstream https://example.org"));
        }
        (Some(file), _) => Trust::File(file.clone()),
        (None, true) => Trust::Anybody,
    };
    let (certificate, authority) = match (&flags.tls_cert, &flags.tls_key) {
        (Some(certificate), Some(key)) => (Some(Certificate::read(certificate, key)?), None),
        _ if flags.tls_self_signed => {
            let made = SelfSigned::new(&names(proxy))?;
            (Some(made.certificate), Some(made.authority))
        }
        _ => (None, None),
    };
    let certificate = match (certificate, &flags.tls_client_ca) {
        (Some(certificate), Some(authorities)) => Some(certificate.asks(authorities)?),
        (None, Some(_)) => {
            let what = "`--tls-client-ca` is about clients of TLS, and they come without";
            return Err(Problem::new(&codes::USAGE, what).next("say --tls-self-signed, or --tls-cert and --tls-key"));
        }
        (certificate, None) => certificate,
    };
    let identity = match (&flags.upstream_cert, &flags.upstream_key) {
        (Some(_), _) if !is_tls => {
            let what = "`--upstream-cert` is about an upstream of TLS, and there is none";
            return Err(Problem::new(&codes::USAGE, what).next("write it like --upstream https://example.org"));
        }
        (Some(certificate), Some(key)) => Some(Identity::read(certificate, key)?),
        _ => None,
    };
    let passthrough = passthrough(proxy)?;
    let tls = Tls {
        certificate,
        trust,
        identity,
        passthrough,
    };
    Ok((tls, authority))
}

fn passthrough(proxy: &Proxy) -> Result<Option<Passthrough>> {
    let (flags, upstream) = (&proxy.tls, proxy.upstream.as_ref());
    let place = upstream.and_then(Upstream::tcp);
    let usage = |what: &str, next: &str| Err(Problem::new(&codes::USAGE, what).next(next));
    if !flags.tls_passthrough {
        return match place {
            Some(_) => usage(
                "an upstream of tcp:// is for connections that are not opened",
                "say --tls-passthrough, or give an upstream of http, h2c or https",
            ),
            None => Ok(None),
        };
    }
    let example = "write it like --upstream tcp://127.0.0.1:8443, or --sni shop.test=127.0.0.1:8443";
    if upstream.is_some() && place.is_none() {
        return usage(
            "of connections that are passed through the upstream is one of tcp://",
            example,
        );
    }
    if place.is_none() && flags.sni.is_empty() {
        return usage("`--tls-passthrough` does not know where connections go", example);
    }
    let mut names: Vec<_> = flags.sni.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    let mut twice = names.iter().zip(names.iter().skip(1)).filter(|(one, next)| one == next);
    if let Some((name, _)) = twice.next() {
        let what = format!("`--sni` says twice where `{name}` is");
        return usage(&what, "leave one of them out");
    }
    Ok(Some(Passthrough::new(flags.sni.iter().cloned(), place)))
}

/// Gives the certificate of the authority to whoever is to trust it.
pub(super) fn hand_out(authority: &str, file: Option<&Path>) -> Result<()> {
    match file {
        Some(file) => replace(file, authority).map_err(|error| {
            let what = format!("cannot write the authority's certificate to {}", file.display());
            Problem::new(&codes::SYSTEM, what).because(&error)
        }),
        None => print(authority),
    }
}

/// Puts a file in the place of another, or where there is none: nobody sees a part of it. A link is not followed, for others may have laid it in a
/// directory where all may write; what is no file stays.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    match fs::symlink_metadata(file) {
        Ok(found) if !found.is_file() => return Err(io::Error::other("there is something that is no plain file")),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let number = fracas_engine::random().map_err(|problem| io::Error::other(problem.line()))?;
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{number:016x}"));
    let new = file.with_file_name(name);
    let mut written = fs::File::options().write(true).create_new(true).open(&new)?;
    let placed = written.write_all(text.as_bytes()).and_then(|()| fs::rename(&new, file));
    if placed.is_err() {
        // Nothing is left of it. That it cannot be written is what is told.
        let _gone = fs::remove_file(&new);
    }
    placed
}

fn names(proxy: &Proxy) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let others = proxy.listeners.others.iter().map(|other| other.listen);
    let ips = std::iter::once(proxy.listen)
        .chain(others)
        .map(|listen| listen.address().ip());
    let more = ips.filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
    for name in more.chain(proxy.tls.tls_name.iter().cloned()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
