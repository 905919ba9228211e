//! `fracas proxy`: the chaos proxy, until somebody asks it to stop.

mod flags;
mod live;
mod protocols;
mod tls;
mod watch_file;

use std::cell::Cell;
use std::convert::Infallible;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fracas_core::chaos::{ChaosConfig, Orchestration};
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::seed::Seed;
use fracas_linux::signals::Stops;
use fracas_proxy::{Egress, Limits, Listener, Orchestrations, Order, Toxiproxy, ToxiproxyOrder, Tracing};
use fracas_report::Shown;
use fracas_spec::Source;
use fracas_telemetry::{Endpoint, Exporter, Listen};
use tokio::sync::watch;

use crate::cli::{Common, Proxy};
use crate::document::last;
use crate::output::{tell, tell_warning};
use crate::picture;
use crate::screen::Show;
use crate::settings::{Settings, env};
use flags::Origin;
use live::Live;
use watch_file::Follow;

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
    let origin = Origin::of(proxy);
    let config = origin.read().map_err(last)?;
    for line in protocols::idle(&proxy.chaos.protocols, &config) {
        tell(&line);
    }
    flags::uncovered(proxy)?;
    // Whether it is on is what the flag says.
    let all = ChaosConfig {
        enabled: true,
        ..config.clone()
    };
    let is_idle =
        all == ChaosConfig::default() && proxy.presets.chaos_scenario.is_empty() && proxy.orchestration.is_none();
    if proxy.chaos.chaos && !common.quiet && is_idle {
        tell("chaos: on, and nothing is configured yet: PUT /api/chaos/config says what is done");
    }
    let (tls, authority) = tls::of(proxy)?;
    let order = Order {
        listen: proxy.listen.address(),
        upstream: proxy.upstream.clone().filter(|upstream| upstream.tcp().is_none()),
        listeners: proxy
            .listeners
            .others
            .iter()
            .map(|other| Listener {
                name: other.name.clone(),
                listen: other.listen.address(),
                upstream: other.upstream.clone(),
            })
            .collect(),
        tls,
        egress: None,
        api_listen: proxy.api_listen.map(Listen::address),
        seed: match proxy.seed {
            Some(seed) => Seed(seed),
            None => Seed(fracas_engine::random()?),
        },
        config: config.clone(),
        scenarios: proxy.presets.chaos_scenario.clone(),
        tracing: None,
        orchestrations: Orchestrations {
            first: proxy.orchestration.as_deref().map(first).transpose()?,
            allow_exec: proxy.allow_exec,
            allow_upstream: proxy.allow_upstream.clone(),
            own: Vec::new(),
        },
        limits: Limits {
            silence: proxy.client_timeout.0,
            answer: proxy.upstream_timeout.0,
            ..Limits::default()
        },
    };
    let follow = Follow::new(origin, config, common.quiet);
    super::wide_runtime()?.block_on(serve(common, proxy, &settings, order, (follow, authority.as_deref())))
}

async fn serve(
    common: &Common,
    asked: &Proxy,
    settings: &Settings,
    mut order: Order,
    (follow, authority): (Option<Follow>, Option<&str>),
) -> Result<ExitCode> {
    let system = |what: &str, error: &std::io::Error| Problem::new(&codes::SYSTEM, what).because(error);
    let mut stops = Stops::listen().map_err(|error| system("cannot listen for signals", &error))?;
    // Two for each connection, and as many for each pipe that is lent to a stream of many bytes. The usual soft limit is 1024.
    fracas_linux::limits::raise_own_descriptor_limit()
        .map_err(|error| system("cannot have as many descriptors as this user may", &error))?;
    let exporter = match settings.otlp()? {
        Some(otlp) => {
            if !common.quiet {
                tell(&format!("spans: {}", otlp.shown()));
            }
            if order.tls.passthrough.is_some() {
                tell(
                    "warning: no connection that is passed through is a span (--otlp-endpoint with --tls-passthrough): nobody knows its requests",
                );
            }
            let exporter = Exporter::start(otlp);
            order.tracing = Some(Tracing::new(exporter.spans(), fracas_engine::random()?));
            Some(exporter)
        }
        None => None,
    };
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
    // Whoever used that API by a tunnel or a hook could lead others anywhere. Metrics are for those whom their address lets in.
    let of_toxiproxy = toxiproxy.as_ref().map(|one| one.address().map(|at| at.port()));
    let of_toxiproxy = of_toxiproxy.transpose().map_err(whose)?;
    let of_metrics = metrics.as_ref().map(|endpoint| endpoint.address().port());
    order.orchestrations.own = of_toxiproxy.into_iter().chain(of_metrics).collect();
    if asked.connect.connect {
        let own = order.orchestrations.own.clone();
        order.egress = Some(Egress::new(&asked.allow_upstream, own));
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
    let listeners = proxy.listeners().map_err(whose)?;
    for ((name, at), other) in listeners.iter().skip(1).zip(&asked.listeners.others) {
        if !common.quiet || other.listen.is_any_port() {
            tell(&format!("listener {name}: {scheme}://{at}"));
        }
        if !common.quiet {
            match &other.upstream {
                Some(upstream) => tell(&format!("upstream of {name}: {upstream}")),
                None => tell(&format!("upstream of {name}: itself")),
            }
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
    if let Some(follow) = follow {
        follow.start(proxy.control())?;
    }
    if let Some(exporter) = &exporter {
        let (control, is_told) = (proxy.control(), AtomicBool::new(false));
        exporter.spans().when_lost(move |count, why| {
            control.spans_lost(count);
            if !is_told.swap(true, Ordering::Relaxed) {
                let problem = Problem::new(&codes::NOT_TOLD, "spans cannot be sent to the collector");
                tell_warning(&problem.since(why.to_owned()));
            }
        });
    }
    let open = listeners
        .iter()
        .filter(|(_, at)| asked.connect.connect && !at.ip().to_canonical().is_loopback());
    for (_, at) in open {
        tell(&format!(
            "warning: whoever reaches {at} can have tunnels opened from this machine (--connect)"
        ));
    }
    if asked.tls.upstream_insecure {
        tell(
            "warning: nobody vouches for the upstream (--upstream-insecure): whoever is on the way to it can read and change what passes",
        );
    }
    // From here on who tells something also carries traffic.
    picture::hold_nobody_up();
    let (stop, stopping) = watch::channel(false);
    // Last: what was told until now stands above it.
    let live = asked.live.then(|| {
        let shown = Shown {
            address: format!("{scheme}://{at}"),
            seed: seed.0,
        };
        let show = Show::fitting(common.quiet, common.verbose);
        Live::start(show, shown, proxy.watch(), stopping.clone())
    });
    let live = live.transpose()?;
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
    let again = Cell::new(false);
    let signals = signals(&mut stops, common.quiet, asked.drain.0, (stop, hurry), &again);
    let cut = tokio::select! {
        cut = drained => cut,
        never = signals => match never {},
    };
    drop((live, metrics));
    if let Some(exporter) = exporter.filter(|_| !again.get()) {
        tokio::select! {
            lost = exporter.finish() => {
                if let Some(lost) = lost {
                    tell_warning(&lost);
                }
            }
            _ = stops.next() => tell("asked once more: spans that are left are not sent"),
        }
    }
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
    stops: &mut Stops,
    quiet: bool,
    drain: Duration,
    (stop, hurry): (watch::Sender<bool>, watch::Sender<bool>),
    again: &Cell<bool>,
) -> Infallible {
    stops.next().await;
    // First: whoever is told may hold up the telling.
    let _heard = stop.send(true);
    if !quiet {
        tell("asked to stop: no new connections; open requests go on");
    }
    let asked_again = tokio::select! {
        () = tokio::time::sleep(drain) => false,
        _ = stops.next() => true,
    };
    again.set(asked_again);
    let _heard = hurry.send(true);
    if asked_again {
        tell("asked once more: nothing is waited for");
    }
    std::future::pending().await
}

fn first(file: &Path) -> Result<Orchestration> {
    let source = Source {
        name: file.display().to_string(),
        text: fracas_spec::read_file(file)?,
    };
    fracas_spec::orchestration(&source, &env, None).map_err(last)
}
