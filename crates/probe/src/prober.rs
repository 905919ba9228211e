//! Taking a reading, whatever the source. Never fails, never waits without a bound.

use std::time::SystemTime;

use fracas_core::probe::{Probe, Prometheus, Reading, Source};
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::target::Target;
use fracas_core::units::Span;

use crate::web::Web;
use crate::{http, prometheus, tcp};

/// No reading takes longer, whatever its source says: a run that waits for a probe does not look at the others' thresholds.
pub const LONGEST_READING: Span = Span::secs(60);

/// The bound of sources without one of their own (logs, processes).
const DEFAULT_BOUND: Span = Span::secs(10);

/// What probes need to know of the tool's settings.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The setting `prometheus.url`: base address for `prometheus` probes that name none.
    pub prometheus_url: Option<String>,
    /// The container engine's address for `log` probes; `None` is the engine's default (see `fracas_docker::Engine::connect`).
    pub docker_host: Option<String>,
}

/// What a reading depends on beyond its probe.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadContext<'a> {
    /// When the first injection began: where `log` probes begin to count. `None` before it: then nothing is counted yet.
    pub since_injection: Option<SystemTime>,
    /// The chosen targets of the run.
    pub targets: &'a [Target],
}

/// Takes readings for one run. Shared by all its probes; readings may be taken concurrently.
#[derive(Debug)]
pub struct Prober {
    settings: Settings,
    web: Web,
}

impl Prober {
    /// Prepares for readings. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// P001 if the TLS library cannot be set up.
    pub fn new(settings: Settings) -> Result<Self> {
        Ok(Self {
            settings,
            web: Web::new()?,
        })
    }

    /// Takes one reading. Whatever goes wrong is in [`Reading::error`]. Takes at most the source's timeout, and never longer than
    /// [`LONGEST_READING`].
    pub async fn read(&self, probe: &Probe, context: &ReadContext<'_>) -> Reading {
        let bound = bound(&probe.source);
        match tokio::time::timeout(bound.0, self.take(&probe.source, context)).await {
            Ok(reading) => reading,
            Err(_) => late(&probe.source, bound),
        }
    }

    async fn take(&self, source: &Source, _context: &ReadContext<'_>) -> Reading {
        match source {
            Source::Prometheus(source) => match self.server(source) {
                Ok(base) => prometheus::read(&self.web, base, source).await,
                Err(problem) => Reading::failed(problem.line()),
            },
            Source::Http(source) => http::read(&self.web, source).await,
            Source::Tcp(source) => tcp::read(source).await,
            _ => Reading::failed("soon"),
        }
    }

    fn server<'a>(&'a self, source: &'a Prometheus) -> Result<&'a str> {
        source
            .url
            .as_deref()
            .or(self.settings.prometheus_url.as_deref())
            .ok_or_else(|| {
                Problem::new(&codes::PROBE_UNREACHABLE, "nobody says where Prometheus is")
                    .next("set PROMETHEUS_URL, the setting `prometheus.url`, or `url` in the probe")
            })
    }
}

/// The time that a reading may take.
fn bound(source: &Source) -> Span {
    let asked = match source {
        Source::Prometheus(source) => source.timeout,
        Source::Http(source) => source.timeout,
        Source::Tcp(source) => source.timeout,
        Source::Command(source) => source.timeout,
        Source::Log(_) | Source::Process(_) => DEFAULT_BOUND,
    };
    asked.min(LONGEST_READING)
}

/// The reading of a source that did not answer in time.
fn late(source: &Source, bound: Span) -> Reading {
    let bound = if bound == LONGEST_READING {
        format!("{bound}, the longest that a reading may take")
    } else {
        bound.to_string()
    };
    match source {
        Source::Http(source) => http::late(source, &bound),
        Source::Tcp(source) => tcp::late(source, &bound),
        Source::Prometheus(_) => Reading::failed(format!("Prometheus did not answer within {bound}")),
        Source::Command(_) | Source::Log(_) | Source::Process(_) => {
            Reading::failed(format!("no reading within {bound}"))
        }
    }
}
