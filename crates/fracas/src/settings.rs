//! The tool's own settings: flags, then the environment, then the settings file, then defaults.

mod file;
mod known;
mod template;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use fracas_core::problem::{Place, Problem, Result, codes};
use fracas_core::units::Span;
use fracas_engine::Sidecar;
use fracas_guardian::state::{Keep, State};
use fracas_spec::Defaults;
use fracas_telemetry::{Hook, Listen, Otlp, Outlets};

use crate::cli::Common;
pub(crate) use file::schema;
pub(crate) use known::{KNOWN, Known, REFUSED};
pub(crate) use template::template;

/// Reads a variable of the environment.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody said anything.
    Default,
    /// A line of the settings file.
    File(Box<Place>),
    /// This variable of the environment.
    Environment(String),
    /// This flag.
    Flag(&'static str),
}

impl Origin {
    /// In words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Default => "default".to_owned(),
            Self::File(place) => format!("{}:{}", place.file, place.line),
            Self::Environment(name) => format!("environment {name}"),
            Self::Flag(flag) => format!("flag {flag}"),
        }
    }
}

/// One setting with its value.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    /// Which.
    pub(crate) known: &'static Known,
    /// The value as a text, with its passwords; `None` where there is none and none is needed.
    pub(crate) text: Option<String>,
    /// Where it came from.
    pub(crate) from: Origin,
}

impl Value {
    /// The value as it may be shown.
    pub(crate) fn shown(&self) -> Option<String> {
        self.text.as_deref().map(|text| self.known.kind.shown(text))
    }
}

/// All settings.
#[derive(Debug)]
pub(crate) struct Settings {
    values: BTreeMap<&'static str, Value>,
    /// The settings file that was read.
    pub(crate) file: Option<PathBuf>,
}

impl Settings {
    /// All settings for this command line.
    ///
    /// # Errors
    /// S004 for a value that makes no sense, with its origin, or a settings file that is not believed; D002 to D005 for what is
    /// wrong in it.
    pub(crate) fn load(common: &Common) -> Result<Self> {
        let flags = [
            (
                "state.dir",
                common.state.as_ref().map(|path| path.display().to_string()),
            ),
            ("docker.host", common.docker_host.clone()),
            ("docker.sidecar", common.sidecar.map(|when| when.word().to_owned())),
            ("prometheus.url", common.prometheus_url.clone()),
            ("telemetry.otlp_endpoint", common.otlp_endpoint.clone()),
            ("telemetry.metrics_listen", common.metrics_listen.clone()),
            ("notify.webhook", common.webhook.clone()),
            (
                "framework.log_format",
                common.log_format.map(|format| format.word().to_owned()),
            ),
        ];
        Self::resolve(
            &flags,
            common.config.as_deref(),
            &env,
            fracas_linux::privileges::is_root(),
        )
    }

    fn resolve(
        flags: &[(&'static str, Option<String>)],
        config: Option<&std::path::Path>,
        env: &dyn Fn(&str) -> Option<String>,
        root: bool,
    ) -> Result<Self> {
        let (file, mut given) = match file::find(config, env, root)? {
            Some((path, text)) => {
                let given = file::read(&path, text, env)?;
                (Some(path), given)
            }
            None => (None, BTreeMap::new()),
        };
        let mut values = BTreeMap::new();
        for known in KNOWN {
            let flag = flags.iter().find(|(key, _)| *key == known.key);
            let flag = flag.and_then(|(_, text)| text.clone().map(|text| (text, Origin::Flag(known.flag))));
            let variable = || {
                let mut names = known.variables.iter();
                names.find_map(|name| {
                    let text = env(name).filter(|text| !text.is_empty())?;
                    Some((text, Origin::Environment((*name).to_owned())))
                })
            };
            let filed = given.remove(known.key);
            let found = flag
                .or_else(variable)
                .or_else(|| filed.map(|(text, place)| (text, Origin::File(Box::new(place)))));
            let (text, from) = match found {
                Some((text, from)) => {
                    known
                        .kind
                        .check(&text)
                        .map_err(|why| wrong(known, &text, &from, &why))?;
                    (Some(text), from)
                }
                None => (known.default.map(str::to_owned), Origin::Default),
            };
            values.insert(known.key, Value { known, text, from });
        }
        // The state directory's default depends on the user; without any place for it, whoever needs it hears of that.
        if let Some(value) = values.get_mut("state.dir")
            && value.text.is_none()
        {
            value.text = State::default_path(env, root)
                .ok()
                .map(|path| path.display().to_string());
        }
        Ok(Self { values, file })
    }

    /// All, in the order of the documentation.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Value> {
        KNOWN.iter().filter_map(|known| self.values.get(known.key))
    }

    fn text(&self, key: &str) -> Option<String> {
        self.values.get(key).and_then(|value| value.text.clone())
    }

    fn given<T: FromStr>(&self, key: &str) -> Option<T> {
        let value = self.values.get(key).filter(|value| value.from != Origin::Default)?;
        // Checked when it was read.
        value.text.as_deref()?.parse().ok()
    }

    /// The value of a setting that was checked when it was read; that of a default is right.
    fn parsed<T: FromStr + Default>(&self, key: &str) -> T {
        self.text(key).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// The state directory.
    pub(crate) fn state(&self) -> Result<PathBuf> {
        match self.text("state.dir") {
            // Else the ledger would be found only from the directory in which the run was started.
            Some(path) if !path.starts_with('/') => Err(Problem::new(
                &codes::STATE_DIRECTORY,
                format!("the state directory is given as {path:?}, which is no absolute path"),
            )
            .next("give the whole path, from `/` on, in FRACAS_STATE or `state.dir`")),
            Some(path) => Ok(PathBuf::from(path)),
            None => State::default_path(&env, fracas_linux::privileges::is_root()),
        }
    }

    /// The address of the container engine, if any was given.
    pub(crate) fn docker_host(&self) -> Option<String> {
        self.text("docker.host")
    }

    /// When the guardian is in a sidecar.
    pub(crate) fn sidecar(&self) -> Sidecar {
        match self.text("docker.sidecar").as_deref() {
            Some("always") => Sidecar::Always,
            Some("never") => Sidecar::Never,
            _ => Sidecar::Auto,
        }
    }

    /// Where the engine's socket is on its own machine, if anybody says so.
    pub(crate) fn sidecar_socket(&self) -> Option<PathBuf> {
        self.text("docker.sidecar_socket").map(PathBuf::from)
    }

    /// The base address of Prometheus.
    pub(crate) fn prometheus_url(&self) -> Option<String> {
        self.text("prometheus.url")
    }

    /// The stop file that anybody may make.
    pub(crate) fn stop_file(&self) -> PathBuf {
        self.text("emergency.stop_file").unwrap_or_default().into()
    }

    /// The enclave of targets that name none.
    pub(crate) fn enclave(&self) -> Option<String> {
        self.text("kurtosis.enclave_name")
    }

    /// Whether standard error is NDJSON.
    pub(crate) fn log_is_json(&self) -> bool {
        self.text("framework.log_format").as_deref() == Some("json")
    }

    /// What a `ChaosScenario` leaves to the settings.
    pub(crate) fn defaults(&self) -> Defaults {
        let span = |key| self.given::<Span>(key);
        Defaults {
            warmup: span("execution.default_warmup"),
            cooldown: span("execution.default_cooldown"),
            refresh_interval: span("prometheus.refresh_interval"),
            prometheus_timeout: span("prometheus.timeout"),
            scrape_interval: span("prometheus.scrape_interval"),
        }
    }

    /// What a run needs.
    pub(crate) fn engine(&self, out: Option<PathBuf>, strict_certificate: bool) -> Result<fracas_engine::Settings> {
        Ok(fracas_engine::Settings {
            state: self.state()?,
            out,
            strict_certificate,
            reports: self.text("reporting.output_dir").unwrap_or_default().into(),
            keep_last: self.parsed("reporting.keep_last_n"),
            keep: Keep {
                runs: self.parsed("reporting.keep_runs"),
                size: self.parsed("reporting.keep_size"),
            },
            prometheus_url: self.prometheus_url(),
            scrape_interval: self
                .given("prometheus.scrape_interval")
                .unwrap_or(fracas_spec::SCRAPE_INTERVAL),
            docker_host: self.docker_host(),
            sidecar: self.sidecar(),
            sidecar_socket: self.sidecar_socket(),
            stop_file: self.stop_file(),
            outlets: self.outlets()?,
        })
    }

    /// Where a run is asked for its metrics, if anywhere.
    pub(crate) fn metrics_listen(&self) -> Option<Listen> {
        self.given("telemetry.metrics_listen")
    }

    /// The collector that is told, if any.
    pub(crate) fn otlp(&self) -> Result<Option<Otlp>> {
        let headers = self.text("telemetry.otlp_headers").unwrap_or_default();
        let otlp = self.text("telemetry.otlp_endpoint");
        otlp.map(|endpoint| Otlp::new(&endpoint, &headers)).transpose()
    }

    /// Where a run is told to besides its files.
    fn outlets(&self) -> Result<Outlets> {
        let webhook = self.text("notify.webhook");
        Ok(Outlets {
            otlp: self.otlp()?,
            webhook: webhook.map(|url| Hook::new(&url)).transpose()?,
            told: false,
        })
    }
}

fn wrong(known: &Known, text: &str, from: &Origin, why: &str) -> Box<Problem> {
    let shown: String = fracas_report::plain(&known.kind.shown(text)).chars().take(80).collect();
    let problem = Problem::new(
        &codes::BAD_SETTING,
        format!(
            "the setting {} is wrong: `{shown}` {why} (from {})",
            known.key,
            from.words()
        ),
    );
    match from {
        Origin::File(place) => problem.at((**place).clone()),
        _ => problem,
    }
}

/// The state directory.
pub(crate) fn state_path(common: &Common) -> Result<PathBuf> {
    Settings::load(common)?.state()
}

#[cfg(test)]
mod tests;
