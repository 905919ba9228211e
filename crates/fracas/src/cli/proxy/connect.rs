//! What of `fracas proxy` leads to other hosts.

use clap::Args;
use fracas_core::traffic::Network;

/// Tunnels.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Tunnels")]
pub(crate) struct Connect {
    /// Opens tunnels for clients that ask for one (CONNECT), to the loopback unless --allow-upstream says something else. Each request for one
    /// meets the faults as any other does, and what passes in it the limit of bytes
    #[arg(long, conflicts_with = "tls_passthrough")]
    pub(crate) connect: bool,
    /// A network that tunnels may lead to instead, like 10.0.0.0/8; may be given more than once. Link-local addresses, those of metadata, and the
    /// proxy's own ports are never among them
    #[arg(long, value_name = "CIDR", requires = "connect")]
    pub(crate) allow_upstream: Vec<Network>,
}
