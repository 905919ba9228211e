//! `fracas proxy`: the chaos proxy, until somebody asks it to stop.

mod tls;

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use fracas_core::chaos::{ChaosConfig, FaultInjection, Latency, RateLimit, TrafficShaping};
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::seed::Seed;
use fracas_linux::signals::Stops;
use fracas_proxy::{Egress, Limits, Order, Toxiproxy, ToxiproxyOrder};
use fracas_spec::Source;
use fracas_telemetry::{Endpoint, Listen};
use tokio::sync::watch;

use crate::cli::{Chaos, Common, Proxy};
use crate::document::last;
use crate::output::tell;
use crate::settings::{Settings, env};

pub(crate) fn command(common: &Common, proxy: &Proxy) -> Result<ExitCode> {
    for (flag, limit) in [
        ("--client-timeout", proxy.client_timeout),
        ("--upstream-timeout", proxy.upstream_timeout),
    ] {
        if limit.0.is_zero() {
            let what = format!("`{flag}` is 0, so that nobody would ever be in time");
            return Err(Problem::new(&codes::USAGE, what).next("leave it out for five minutes"));
        }
    }
    let settings = Settings::load(common)?;
    let (tls, authority) = tls::of(proxy)?;
    let order = Order {
        listen: proxy.listen.address(),
        upstream: proxy.upstream.clone().filter(|upstream| upstream.tcp().is_none()),
        tls,
        egress: None,
        api_listen: proxy.api_listen.map(Listen::address),
        seed: match proxy.seed {
            Some(seed) => Seed(seed),
            None => Seed(fracas_engine::random()?),
        },
        config: config(proxy)?,
        limits: Limits {
            silence: proxy.client_timeout.0,
            answer: proxy.upstream_timeout.0,
            ..Limits::default()
        },
    };
    super::runtime()?.block_on(serve(common, proxy, &settings, order, authority.as_deref()))
}

async fn serve(
    common: &Common,
    asked: &Proxy,
    settings: &Settings,
    mut order: Order,
    authority: Option<&str>,
) -> Result<ExitCode> {
    let system = |what: &str, error: &std::io::Error| Problem::new(&codes::SYSTEM, what).because(error);
    let stops = Stops::listen().map_err(|error| system("cannot listen for signals", &error))?;
    // Two for each connection. The usual soft limit is 1024.
    fracas_linux::limits::raise_own_descriptor_limit()
        .map_err(|error| system("cannot have as many descriptors as this user may", &error))?;
    let (seed, upstream) = (order.seed, asked.upstream.clone());
    let scheme = match &order.tls {
        tls if tls.passthrough.is_some() => "tls",
        tls if tls.certificate.is_some() => "https",
        _ => "http",
    };
    let of_api = if order.api_listen.is_some() { "http" } else { scheme };
    let toxiproxy = asked.toxiproxy_api.map(|at| {
        Toxiproxy::bind(&ToxiproxyOrder {
            listen: at.address(),
            seed,
            limits: order.limits,
        })
    });
    let toxiproxy = toxiproxy.transpose()?;
    let whose = |error| system("cannot tell where the proxy listens", &error);
    let metrics = settings.metrics_listen().map(Endpoint::bind).transpose()?;
    if asked.connect.connect {
        // Whoever used that API by a tunnel could lead others anywhere. Metrics are for those whom their address lets in.
        let api = toxiproxy.as_ref().map(|one| one.address().map(|at| at.port()));
        let api = api.transpose().map_err(whose)?;
        let metrics = metrics.as_ref().map(|endpoint| endpoint.address().port());
        let own = api.into_iter().chain(metrics).collect();
        order.egress = Some(Egress::new(&asked.connect.allow_upstream, own));
    }
    let proxy = fracas_proxy::Proxy::bind(order)?;
    let (at, api) = (proxy.address().map_err(whose)?, proxy.api_address().map_err(whose)?);
    let metrics = match metrics {
        Some(endpoint) => {
            tell(&format!("metrics: http://{}/metrics", endpoint.address()));
            Some(endpoint.serve(proxy.page())?)
        }
        None => None,
    };
    if let Some(authority) = authority {
        tls::hand_out(authority, asked.tls.tls_ca_out.as_deref())?;
    }
    // Nobody can know a port that the kernel chose, or a seed that was drawn.
    if !common.quiet || asked.listen.is_any_port() {
        tell(&format!("proxy: {scheme}://{at}"));
    }
    if !common.quiet {
        for (name, place) in &asked.tls.sni {
            tell(&format!("upstream of {name}: tcp://{place}"));
        }
        match upstream {
            Some(upstream) => tell(&format!("upstream: {upstream}")),
            None if asked.tls.tls_passthrough => tell("upstream of other names: none"),
            None => tell("upstream: itself"),
        }
    }
    if !common.quiet || asked.api_listen.is_some_and(Listen::is_any_port) {
        tell(&format!("api: {of_api}://{api}/api/chaos/"));
    }
    if let Some(toxiproxy) = &toxiproxy {
        let at = toxiproxy.address().map_err(whose)?;
        if !common.quiet || asked.toxiproxy_api.is_some_and(Listen::is_any_port) {
            tell(&format!("toxiproxy: http://{at}"));
        }
        if !at.ip().to_canonical().is_loopback() {
            tell(&format!(
                "warning: whoever reaches {at} can open ports of this machine: the API asks for no password"
            ));
        }
    }
    if !common.quiet || asked.seed.is_none() {
        tell(&format!("seed: {}", seed.0));
    }
    if asked.api_listen.is_some() && !api.ip().to_canonical().is_loopback() {
        tell(&format!(
            "warning: whoever reaches {api} can change what is done to traffic: the API asks for no password"
        ));
    }
    if asked.connect.connect && !at.ip().to_canonical().is_loopback() {
        tell(&format!(
            "warning: whoever reaches {at} can have tunnels opened from this machine (--connect)"
        ));
    }
    if asked.tls.upstream_insecure {
        tell(
            "warning: nobody vouches for the upstream (--upstream-insecure): whoever is on the way to it can read and change what passes",
        );
    }
    let (stop, stopping) = watch::channel(false);
    let (hurry, hurrying) = watch::channel(false);
    let drained = async {
        let toxics = async {
            match toxiproxy {
                Some(toxiproxy) => toxiproxy.serve(is(&stopping), is(&hurrying)).await.cut,
                None => 0,
            }
        };
        let (proxy, toxics) = tokio::join!(proxy.serve(is(&stopping), is(&hurrying)), toxics);
        proxy.cut + toxics
    };
    let signals = signals(stops, common.quiet, asked.drain.0, (stop, hurry));
    let cut = tokio::select! {
        cut = drained => cut,
        never = signals => match never {},
    };
    drop(metrics);
    if cut > 0 {
        tell(&format!("{cut} connections had not ended and were cut off"));
    }
    Ok(ExitCode::SUCCESS)
}

/// When it has become true.
fn is(told: &watch::Receiver<bool>) -> impl Future<Output = ()> + use<> {
    let mut told = told.clone();
    async move {
        // Gone with whoever could tell: the same.
        let _told = told.wait_for(|told| *told).await;
    }
}

/// Says when to stop, and when to wait no longer.
async fn signals(
    mut stops: Stops,
    quiet: bool,
    drain: Duration,
    (stop, hurry): (watch::Sender<bool>, watch::Sender<bool>),
) -> Infallible {
    stops.next().await;
    if !quiet {
        tell("asked to stop: no new connections; open requests go on");
    }
    let _heard = stop.send(true);
    tokio::select! {
        () = tokio::time::sleep(drain) => {}
        _ = stops.next() => tell("asked once more: nothing is waited for"),
    }
    let _heard = hurry.send(true);
    std::future::pending().await
}

/// What is done to traffic at first: what the file says, and then what the flags say.
fn config(proxy: &Proxy) -> Result<ChaosConfig> {
    let mut config = match &proxy.chaos_config {
        Some(file) => {
            let source = Source {
                name: file.display().to_string(),
                text: fracas_spec::read_file(file)?,
            };
            fracas_spec::chaos::<ChaosConfig>(&source, &env).map_err(last)?
        }
        None => ChaosConfig::default(),
    };
    if !apply(&proxy.chaos, &mut config) {
        return Ok(config);
    }
    // Flags obey the same rules as a file, so they are read as one.
    let text = serde_json::to_string(&config)
        .map_err(|error| Problem::new(&codes::INSIDE, "a configuration has no JSON form").because(&error))?;
    let source = Source {
        name: "the command line".to_owned(),
        text,
    };
    fracas_spec::chaos(&source, &|_| None).map_err(last)
}

/// Puts what the flags say in its place, and tells whether they say anything.
fn apply(flags: &Chaos, config: &mut ChaosConfig) -> bool {
    let Chaos {
        chaos_latency_ms,
        chaos_latency_range,
        chaos_latency_probability,
        chaos_http_errors,
        chaos_http_error_probability,
        chaos_rate_limit,
        chaos_bandwidth_limit,
        chaos_packet_loss,
    } = flags;
    let mut said = false;
    if chaos_latency_ms.is_some() || chaos_latency_range.is_some() || chaos_latency_probability.is_some() {
        said = true;
        let latency = config.latency.get_or_insert_with(Latency::default);
        latency.enabled = true;
        if chaos_latency_ms.is_some() || chaos_latency_range.is_some() {
            latency.fixed_delay_ms = *chaos_latency_ms;
            latency.random_delay_range_ms = *chaos_latency_range;
            latency.distribution = None;
        }
        latency.probability = chaos_latency_probability.unwrap_or(latency.probability);
    }
    if chaos_http_errors.is_some() || chaos_http_error_probability.is_some() {
        said = true;
        let faults = config.fault_injection.get_or_insert_with(FaultInjection::default);
        faults.enabled = true;
        if let Some(statuses) = chaos_http_errors {
            faults.http_errors.clone_from(statuses);
        }
        faults.http_error_probability = chaos_http_error_probability.unwrap_or(faults.http_error_probability);
    }
    if let Some(rate) = chaos_rate_limit {
        said = true;
        let limit = config.rate_limit.get_or_insert_with(RateLimit::default);
        limit.enabled = true;
        limit.requests_per_second = *rate;
        limit.burst_size = rate.saturating_mul(2);
    }
    if chaos_bandwidth_limit.is_some() || chaos_packet_loss.is_some() {
        said = true;
        let shaping = config.traffic_shaping.get_or_insert_with(TrafficShaping::default);
        shaping.enabled = true;
        shaping.bandwidth_limit_bps = chaos_bandwidth_limit.unwrap_or(shaping.bandwidth_limit_bps);
        shaping.packet_loss_percent = chaos_packet_loss.unwrap_or(shaping.packet_loss_percent);
    }
    // Who says on the command line what is to be done wants it done.
    config.enabled |= said;
    said
}
