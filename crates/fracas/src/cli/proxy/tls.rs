//! What of `fracas proxy` is TLS.

use std::path::PathBuf;

use clap::Args;
use fracas_proxy::{Name, Place};

/// How clients come in, and whom the proxy trusts.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "TLS")]
pub(crate) struct Tls {
    /// Clients come by TLS, HTTP/2 or HTTP/1.1 as they choose, and see this certificate: PEM, with those behind it that lead to its authority
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of the certificate: PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Clients come by TLS, and see a certificate that is made for this one proxy, good for `localhost`, the loopback, the addresses of
    /// `--listen` and each --listener, and each --tls-name, for a year. The certificate of its authority, which clients are to trust, is written to standard output; the
    /// authority's key is thrown away
    #[arg(long, conflicts_with = "tls_cert")]
    pub(crate) tls_self_signed: bool,
    /// Another name or address that the certificate is good for; may be given more than once
    #[arg(long, value_name = "NAME", requires = "tls_self_signed")]
    pub(crate) tls_name: Vec<String>,
    /// Writes the certificate of the authority to this file instead, whole, before the proxy says where it listens
    #[arg(long, value_name = "FILE", requires = "tls_self_signed")]
    pub(crate) tls_ca_out: Option<PathBuf>,
    /// Lets in only clients of TLS that show a certificate, for which one of the authorities of this file vouches: PEM, one or more. Without one
    /// there is no connection, neither to the API beneath traffic
    #[arg(long, value_name = "FILE", conflicts_with = "tls_passthrough")]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// Does not open connections of TLS: only the name that a client calls is read, and bytes pass to where --sni says, else to an --upstream
    /// like tcp://host:port
    #[arg(long, requires = "api_listen", conflicts_with_all = ["tls_cert", "tls_self_signed"])]
    pub(crate) tls_passthrough: bool,
    /// Where those go who call this name, or `*.example.org` for each with one label more; may be given more than once
    #[arg(long, value_name = "NAME=HOST:PORT", value_parser = named, requires = "tls_passthrough")]
    pub(crate) sni: Vec<(Name, Place)>,
    /// Authorities that may vouch for an upstream of https, and nobody else: PEM [default: those of this machine]
    #[arg(long, value_name = "FILE", conflicts_with = "upstream_insecure")]
    pub(crate) upstream_ca: Option<PathBuf>,
    /// Believes any certificate of the upstream: whoever is on the way to it can read and change what passes
    #[arg(long)]
    pub(crate) upstream_insecure: bool,
    /// What an upstream of https is shown that asks for a certificate: PEM, with those behind it that lead to its authority
    #[arg(long, value_name = "FILE", requires = "upstream_key")]
    pub(crate) upstream_cert: Option<PathBuf>,
    /// The key of that certificate: PEM
    #[arg(long, value_name = "FILE", requires = "upstream_cert")]
    pub(crate) upstream_key: Option<PathBuf>,
}

fn named(text: &str) -> Result<(Name, Place), String> {
    match text.split_once('=') {
        Some((name, place)) => Ok((name.parse()?, place.parse()?)),
        None => Err("is no name with a place: write it like shop.test=127.0.0.1:8443".to_owned()),
    }
}
