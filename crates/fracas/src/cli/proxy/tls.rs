//! What of `fracas proxy` is TLS.

use std::path::PathBuf;

use clap::Args;

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
    /// Clients come by TLS, and see a certificate that is made for this one proxy, good for `localhost`, the loopback, the address of `--listen`
    /// and each --tls-name, for a year. The certificate of its authority, which clients are to trust, is written to standard output; the
    /// authority's key is thrown away
    #[arg(long, conflicts_with = "tls_cert")]
    pub(crate) tls_self_signed: bool,
    /// Another name or address that the certificate is good for; may be given more than once
    #[arg(long, value_name = "NAME", requires = "tls_self_signed")]
    pub(crate) tls_name: Vec<String>,
    /// Writes the certificate of the authority to this file instead, before the proxy listens
    #[arg(long, value_name = "FILE", requires = "tls_self_signed")]
    pub(crate) tls_ca_out: Option<PathBuf>,
    /// Authorities that may vouch for an upstream of https, and nobody else: PEM [default: those of this machine]
    #[arg(long, value_name = "FILE", conflicts_with = "upstream_insecure")]
    pub(crate) upstream_ca: Option<PathBuf>,
    /// Believes any certificate of the upstream: whoever is on the way to it can read and change what passes
    #[arg(long)]
    pub(crate) upstream_insecure: bool,
}
