//! `fracas proxy`

mod connect;
mod listeners;
mod protocols;
mod tls;

use std::path::PathBuf;

use clap::Args;
use fracas_core::traffic::Network;
use fracas_core::units::Span;
use fracas_proxy::Upstream;
use fracas_telemetry::Listen;

use super::presets::{Presets, Resilience};
use connect::Connect;
use listeners::Listeners;
pub(crate) use protocols::Protocols;
use tls::Tls;

/// `fracas proxy`
#[derive(Debug, Args)]
#[command(after_long_help = AFTER)]
pub(crate) struct Proxy {
    /// Address and port to which clients come; a port alone is on 127.0.0.1, 0 is a free one
    #[arg(
        long,
        visible_alias = "http-port",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:3000"
    )]
    pub(crate) listen: Listen,
    /// Where requests go, `http://host:port/base`, or `h2c://` for HTTP/2 as gRPC has it, `https://` for TLS, `tcp://host:port` with --tls-passthrough; without it the proxy answers them itself
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<Upstream>,
    /// What is done to traffic: a `ChaosConfig`, YAML or JSON; see `fracas schema chaos-config`. Changes of the file act from the next request on
    #[arg(long, value_name = "FILE")]
    pub(crate) chaos_config: Option<PathBuf>,
    /// Begins this orchestration with the proxy, YAML or JSON; its hooks may run programs, and its report is written
    #[arg(long, value_name = "FILE")]
    pub(crate) orchestration: Option<PathBuf>,
    /// Lets orchestrations that come by the API run programs and write their reports, as the user of the proxy: whoever reaches the API then
    /// may do what this user may
    #[arg(long, conflicts_with = "tls_passthrough")]
    pub(crate) allow_exec: bool,
    /// Lets hooks of orchestrations send requests to this network besides this machine, and tunnels (--connect) lead there instead of to the
    /// loopback; like 10.0.0.0/8, may be repeated. Link-local addresses, and those by which clouds tell about their machines, are never
    /// among them, and for tunnels neither the proxy's own ports; for hooks neither those of its APIs, unless the orchestration may run programs
    #[arg(long, value_name = "CIDR", conflicts_with = "tls_passthrough")]
    pub(crate) allow_upstream: Vec<Network>,
    /// Address and port of the API, and of nothing else; needed behind another proxy (nginx, HAProxy) or a forwarded port on this machine, for
    /// there everybody seems to be of this machine [default: those of clients, for this machine alone]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) api_listen: Option<Listen>,
    /// Address and port of an API like that of Toxiproxy 2, whose clients work unchanged: it makes proxies of TCP, with toxics. Whoever reaches
    /// it can open ports here, and connect to whatever this machine reaches
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) toxiproxy_api: Option<Listen>,
    /// The root of every decision: same seed, same `x-request-id`, same faults [default: drawn, and said]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// Shows on standard error what passes, once a second: requests, errors (answers of 500 or more, and connections that a fault ended without
    /// an answer) and faults a second and in all, how long half of the answers and 99 of a hundred took that ended in that second, open
    /// connections, and which scenarios and steps act. On a terminal these are a few lines that change; elsewhere, where TERM is `dumb`, and
    /// with --verbose it is a line each second, and with --log-format json an object. A second in which standard error takes nothing is left
    /// out: it holds up neither traffic nor the end
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) live: bool,
    /// How long the upstream may take for the head of its answer, from the last part of the request on that it took; then the answer is 504
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pub(crate) upstream_timeout: Span,
    /// How long a client may send nothing of a body that it has begun, or take nothing of its answer
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pub(crate) client_timeout: Span,
    /// How long open requests may take when the proxy is asked to stop; asked once more, it does not wait
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub(crate) drain: Span,
    #[command(flatten)]
    pub(crate) listeners: Listeners,
    #[command(flatten)]
    pub(crate) tls: Tls,
    #[command(flatten)]
    pub(crate) connect: Connect,
    #[command(flatten)]
    pub(crate) chaos: Chaos,
    #[command(flatten)]
    pub(crate) presets: Presets,
    #[command(flatten)]
    pub(crate) resilience: Resilience,
}

const AFTER: &str = "The configuration is read and changed beneath /api/chaos/ while requests pass. Each fault is named in the header \
x-fracas-fault of the answer, if there is one, and counted: `/api/chaos/metrics`, or an address of its own by --metrics-listen. With \
--otlp-endpoint each request is a span.";

/// Keys of the configuration, by the names that seed 3's original gives them. They win over the file, also where it says that their block,
/// or all of it, is off.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Faults")]
pub(crate) struct Chaos {
    /// Does what the file says also where that says `enabled: false`; with nothing to do, chaos is on and waits for what the API says
    #[arg(long)]
    pub(crate) chaos: bool,
    /// Does what this profile says, such as `slow_3g` or `satellite_geo`, and nothing else but what other flags say; a wrong name is told with the right ones
    #[arg(
        long,
        alias = "network-profile",
        value_name = "NAME",
        conflicts_with = "chaos_config"
    )]
    pub(crate) chaos_profile: Option<String>,
    /// Holds requests for so many milliseconds
    #[arg(long, value_name = "MS", conflicts_with = "chaos_latency_range")]
    pub(crate) chaos_latency_ms: Option<f64>,
    /// Holds requests for as long as is drawn between two, in milliseconds: `100-500`
    #[arg(long, value_name = "A-B", value_parser = range)]
    pub(crate) chaos_latency_range: Option<[f64; 2]>,
    /// How many requests are held, from 0 to 1 [default: 1, or what the file says]
    #[arg(long, value_name = "SHARE")]
    pub(crate) chaos_latency_probability: Option<f64>,
    /// Answers requests with one of these errors: `500,503`
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    pub(crate) chaos_http_errors: Option<Vec<u16>>,
    /// How many requests are, from 0 to 1 [default: 0.1, or what the file says]
    #[arg(long, value_name = "SHARE")]
    pub(crate) chaos_http_error_probability: Option<f64>,
    /// Lets so many requests pass in a second, and twice as many at once
    #[arg(long, value_name = "RATE")]
    pub(crate) chaos_rate_limit: Option<u32>,
    /// Lets so many bytes of bodies pass in a second, of all connections together
    #[arg(long, value_name = "BYTES")]
    pub(crate) chaos_bandwidth_limit: Option<u64>,
    /// Loses so many of a hundred requests: their answer is 408. In rows as long as the profile or the file says, if so many can be lost in
    /// such rows, and otherwise each by itself
    #[arg(long, value_name = "PERCENT")]
    pub(crate) chaos_packet_loss: Option<f64>,
    #[command(flatten)]
    pub(crate) protocols: Protocols,
}

fn range(text: &str) -> Result<[f64; 2], String> {
    let two = text.split_once('-').and_then(|(least, most)| {
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        Some([number(least)?, number(most)?])
    });
    two.ok_or_else(|| "is no range: write it like 100-500".to_owned())
}
