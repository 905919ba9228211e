//! Taking a reading, whatever the source. Never fails, never waits without a bound.

use std::time::SystemTime;

use fracas_core::probe::{Probe, Prometheus, Reading, Source};
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::target::Target;
use fracas_core::units::Span;

use crate::log::Logs;
use crate::web::{self, Web};
use crate::{command, http, process, prometheus, tcp};

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
    prometheus_url: Option<String>,
    web: Web,
    logs: Logs,
}

impl Prober {
    /// Prepares for readings. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// P001 if the TLS library cannot be set up.
    pub fn new(settings: Settings) -> Result<Self> {
        Ok(Self {
            prometheus_url: settings.prometheus_url,
            web: Web::new()?,
            logs: Logs::new(settings.docker_host),
        })
    }

    /// Takes one reading. Whatever goes wrong is in [`Reading::error`]. Takes at most the source's timeout, and never longer than
    /// [`LONGEST_READING`]; a program that was killed for it gets a few seconds more to be gone.
    pub async fn read(&self, probe: &Probe, context: &ReadContext<'_>) -> Reading {
        let bound = bound(&probe.source);
        let reading = async {
            match &probe.source {
                Source::Prometheus(source) => match self.server(source) {
                    Ok(base) => prometheus::read(&self.web, base, source).await,
                    Err(problem) => Reading::failed(problem.line()),
                },
                Source::Http(source) => http::read(&self.web, source).await,
                Source::Tcp(source) => tcp::read(source).await,
                Source::Log(source) => self.logs.read(source, context).await,
                Source::Process(source) => process::read(source).await,
                Source::Command(source) => command::read(source, bound.0).await,
            }
        };
        if matches!(probe.source, Source::Command(_)) {
            // It bounds itself: it must see the killed program gone.
            return reading.await;
        }
        match tokio::time::timeout(bound.0, reading).await {
            Ok(reading) => reading,
            Err(_) => late(&probe.source, bound),
        }
    }

    /// Checks a source before anything is touched: what is written in it makes sense, and the server behind it answers. A service
    /// that is measured (`http`, `tcp`, `command`) is not asked: whether it works is the baseline's business.
    ///
    /// # Errors
    ///
    /// P001 if Prometheus cannot be reached, P002 if what answers is not Prometheus, P003 if it refuses the query; the engine's own
    /// codes for logs; D004 and D005 for values that make no sense.
    pub async fn check(&self, source: &Source) -> Result<()> {
        let bound = bound(source);
        let wrong = |why: String| Problem::new(&codes::WRONG_VALUE, why);
        let check = async {
            match source {
                Source::Prometheus(source) => prometheus::check(&self.web, self.server(source)?, source).await,
                Source::Http(source) => web::address(&source.url).map(drop).map_err(wrong),
                Source::Tcp(source) => tcp::address(&source.address).map_err(wrong),
                Source::Log(source) => self.logs.check(source).await,
                Source::Process(source) => process::anchored(source).map(drop),
                Source::Command(source) if source.argv.is_empty() => Err(Problem::new(
                    &codes::MISSING_KEY,
                    "the command probe names no program: `argv` is empty",
                )),
                Source::Command(_) => Ok(()),
            }
        };
        tokio::time::timeout(bound.0, check).await.unwrap_or_else(|_| {
            Err(Problem::new(
                &codes::PROBE_UNREACHABLE,
                format!("the server of a {} probe cannot be reached", source.name()),
            )
            .since(format!("no answer within {bound}")))
        })
    }

    /// The server that a source asks, as `host:port`. `None`: it asks none, or nobody can say which, as with a program.
    pub fn asks(&self, source: &Source) -> Option<String> {
        let of = |text: &str| {
            let url = web::address(text).ok()?;
            Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
        };
        match source {
            Source::Http(source) => of(&source.url),
            Source::Prometheus(source) => of(self.server(source).ok()?),
            Source::Tcp(source) => tcp::address(&source.address).ok().map(|()| source.address.clone()),
            Source::Log(_) | Source::Process(_) | Source::Command(_) => None,
        }
    }

    fn server<'a>(&'a self, source: &'a Prometheus) -> Result<&'a str> {
        source.url.as_deref().or(self.prometheus_url.as_deref()).ok_or_else(|| {
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
            Reading::failed(format!("no {} reading within {bound}", source.name()))
        }
    }
}

#[cfg(test)]
mod tests {
    use fracas_core::probe::{ProcessCount, Tcp, TcpMeasure};

    use super::*;

    #[test]
    fn a_reading_takes_what_its_source_asks_for_and_never_more_than_the_longest() {
        let tcp = |timeout, measure| {
            Source::Tcp(Tcp {
                address: "db:1".to_owned(),
                timeout,
                measure,
            })
        };
        assert_eq!(bound(&tcp(Span::millis(5), TcpMeasure::Up)), Span::millis(5));
        let patient = tcp(Span::secs(3600), TcpMeasure::Latency);
        assert_eq!(bound(&patient), LONGEST_READING);
        let said = late(&patient, bound(&patient)).error.unwrap();
        assert_eq!(
            said,
            "no connection to db:1 within 1m, the longest that a reading may take"
        );
        assert_eq!(late(&tcp(Span::secs(1), TcpMeasure::Up), Span::secs(1)).values, [0.0]);
    }

    #[test]
    fn a_source_without_a_bound_gets_one() {
        let count = Source::Process(ProcessCount {
            command: "x".to_owned(),
        });
        assert_eq!(bound(&count), DEFAULT_BOUND);
        assert_eq!(
            late(&count, DEFAULT_BOUND).error.unwrap(),
            "no process reading within 10s"
        );
    }
}
