//! What of `fracas proxy` leads to other hosts.

use clap::Args;

/// Tunnels.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Tunnels")]
pub(crate) struct Connect {
    /// Opens tunnels for clients that ask for one (CONNECT), to the loopback unless --allow-upstream says something else. Each request for one
    /// meets the faults as any other does, and what passes in it the limit of bytes
    #[arg(long, conflicts_with = "tls_passthrough")]
    pub(crate) connect: bool,
}
