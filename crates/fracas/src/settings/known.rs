//! Every setting there is, and those that were elsewhere and are not here.

use fracas_core::units::{Size, Span};
use fracas_telemetry::{Listen, outlets};

/// A setting.
#[derive(Debug)]
pub(crate) struct Known {
    /// Its path in the settings file.
    pub(crate) key: &'static str,
    /// The variables of the environment that give it; the first that is set wins.
    pub(crate) variables: &'static [&'static str],
    /// The flag that gives it, or nothing.
    pub(crate) flag: &'static str,
    /// What its values are.
    pub(crate) kind: Kind,
    /// What it is when nobody says anything.
    pub(crate) default: Option<&'static str>,
    /// What it does.
    pub(crate) meaning: &'static str,
}

/// What a value is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Any text that is not empty.
    Text,
    /// A path.
    Path,
    /// `http://…` or `https://…`; user, password and query are not shown.
    Web,
    /// `http://…` or `https://…`, of which only the server is shown: the rest is mostly a password.
    Hook,
    /// `name=value,name=value`, of which the values are not shown.
    Headers,
    /// An address of this machine and a port.
    Listen,
    /// A length of time above zero.
    Wait,
    /// A length of time.
    Span,
    /// A whole number.
    Count,
    /// An amount of bytes.
    Size,
    /// One of some words.
    Words(&'static [&'static str]),
}

impl Kind {
    /// Why a text is no value of this kind.
    pub(crate) fn check(self, text: &str) -> Result<(), String> {
        let span = || text.parse::<Span>().map_err(|error| format!("is no duration: {error}"));
        match self {
            Self::Text | Self::Path if text.trim().is_empty() => Err("is empty".to_owned()),
            Self::Text | Self::Path => Ok(()),
            Self::Web | Self::Hook => {
                let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
                match rest {
                    Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace) => {
                        Ok(())
                    }
                    _ => Err("is no address: write it like http://localhost:9090".to_owned()),
                }
            }
            Self::Headers => outlets::headers(text).map(drop),
            Self::Listen => text.parse::<Listen>().map(drop),
            Self::Wait if span()? == Span::default() => Err("must be longer than zero".to_owned()),
            Self::Wait | Self::Span => span().map(drop),
            Self::Count => text
                .parse::<u32>()
                .map(drop)
                .map_err(|_| format!("is no whole number from 0 to {}", u32::MAX)),
            Self::Size => text
                .parse::<Size>()
                .map(drop)
                .map_err(|error| format!("is no size: {error}")),
            Self::Words(words) if words.contains(&text) => Ok(()),
            Self::Words(words) => Err(format!("is not one of {}", words.join(", "))),
        }
    }

    /// A value as it may be shown: without passwords.
    pub(crate) fn shown(self, text: &str) -> String {
        match self {
            Self::Web if text.contains(['@', '?']) => outlets::shown_address(text),
            Self::Hook => outlets::shown_hook(text),
            Self::Headers => outlets::shown_headers(text),
            _ => text.to_owned(),
        }
    }

    /// The kind in a word or two, for the reference.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Web | Self::Hook => "address".to_owned(),
            Self::Headers => "headers".to_owned(),
            Self::Listen => "address and port".to_owned(),
            Self::Wait | Self::Span => "duration".to_owned(),
            Self::Count => "number".to_owned(),
            Self::Size => "size".to_owned(),
            Self::Words(words) => words.join(" or "),
        }
    }
}

/// All settings, in the order of the documentation.
pub(crate) const KNOWN: &[Known] = &[
    Known {
        key: "state.dir",
        variables: &["FRACAS_STATE"],
        flag: "--state",
        kind: Kind::Path,
        default: None,
        meaning: "Directory for ledgers and runs. Default: /var/lib/fracas as root, else fracas in the user's state directory.",
    },
    Known {
        key: "docker.host",
        variables: &["FRACAS_DOCKER_HOST", "DOCKER_HOST"],
        flag: "--docker-host",
        kind: Kind::Text,
        default: None,
        meaning: "Address of the container engine: `unix:///path`, `tcp://host:port`, or `ssh://user@host:port/path`, which logs in by `ssh` (it never asks) and needs `docker` there; the path is that of the socket there and may be left out. With DOCKER_TLS_VERIFY not empty, `tcp` is encrypted, by `ca.pem`, `cert.pem` and `key.pem` in the directory DOCKER_CERT_PATH, else `~/.docker`. Default: unix:///var/run/docker.sock.",
    },
    Known {
        key: "docker.sidecar",
        variables: &["FRACAS_DOCKER_SIDECAR", "FRACAS_SIDECAR"],
        flag: "--sidecar",
        kind: Kind::Words(&["auto", "always", "never"]),
        default: Some("auto"),
        meaning: "When the guardian is in a container of its own beside the container engine: `auto` when the engine is on another machine, `always`, or `never`, which refuses such an engine. The container and its image are made of this very program and go at the end of the run; the ledger is in a volume, which stays only if there is something to recover. Only containers can be targets then. `fracas stop`, `status` and `freeze` do not know such a run: Ctrl-C and the stop files end it. An experiment without containers needs no engine and has no sidecar.",
    },
    Known {
        key: "docker.sidecar_socket",
        variables: &["FRACAS_DOCKER_SIDECAR_SOCKET"],
        flag: "",
        kind: Kind::Path,
        default: None,
        meaning: "Where the engine's socket is on its own machine, for a sidecar. Default: the socket by which it is reached here, else /var/run/docker.sock.",
    },
    Known {
        key: "prometheus.url",
        variables: &["FRACAS_PROMETHEUS_URL", "PROMETHEUS_URL"],
        flag: "--prometheus-url",
        kind: Kind::Web,
        default: None,
        meaning: "Base address of Prometheus, for probes that name none.",
    },
    Known {
        key: "prometheus.timeout",
        variables: &["FRACAS_PROMETHEUS_TIMEOUT"],
        flag: "",
        kind: Kind::Wait,
        default: Some("10s"),
        meaning: "How long the criteria of a ChaosScenario wait for Prometheus. A native probe has its own timeout.",
    },
    Known {
        key: "prometheus.scrape_interval",
        variables: &["FRACAS_PROMETHEUS_SCRAPE_INTERVAL"],
        flag: "",
        kind: Kind::Wait,
        default: Some("15s"),
        meaning: "How often Prometheus scrapes what the criteria of a ChaosScenario and all `metrics` ask for: data older than twice this is stale. A native probe has its own.",
    },
    Known {
        key: "prometheus.refresh_interval",
        variables: &["FRACAS_PROMETHEUS_REFRESH_INTERVAL"],
        flag: "",
        kind: Kind::Wait,
        default: Some("15s"),
        meaning: "Time between two readings of each criterion of a ChaosScenario without `interval`; at most a quarter of its duration.",
    },
    Known {
        key: "reporting.output_dir",
        variables: &["FRACAS_REPORTING_OUTPUT_DIR"],
        flag: "",
        kind: Kind::Path,
        default: Some("./reports"),
        meaning: "Where the test report of a ChaosScenario is written.",
    },
    Known {
        key: "reporting.keep_last_n",
        variables: &["FRACAS_REPORTING_KEEP_LAST_N"],
        flag: "",
        kind: Kind::Count,
        default: Some("50"),
        meaning: "How many of these reports are kept; older ones are deleted. 0 keeps all.",
    },
    Known {
        key: "reporting.keep_runs",
        variables: &["FRACAS_REPORTING_KEEP_RUNS"],
        flag: "",
        kind: Kind::Count,
        default: Some("500"),
        meaning: "How many runs are kept in the state directory; the oldest are deleted at the end of a run, never one that goes on or was left. 0 keeps all.",
    },
    Known {
        key: "reporting.keep_size",
        variables: &["FRACAS_REPORTING_KEEP_SIZE"],
        flag: "",
        kind: Kind::Size,
        default: Some("2GiB"),
        meaning: "How much room on disk these runs may take together; the oldest go first. 0 is no bound.",
    },
    Known {
        key: "telemetry.otlp_endpoint",
        variables: &["FRACAS_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"],
        flag: "--otlp-endpoint",
        kind: Kind::Web,
        default: None,
        meaning: "Base address of an OTLP receiver, `http://host:4318`: every run sends one trace there, over HTTP to `/v1/traces`. Who cleans up after a runner that died sends into the same trace.",
    },
    Known {
        key: "telemetry.otlp_headers",
        variables: &["FRACAS_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"],
        flag: "",
        kind: Kind::Headers,
        default: None,
        meaning: "Headers for the OTLP receiver: `name=value,name=value`, values percent-encoded. Values are never shown.",
    },
    Known {
        key: "telemetry.metrics_listen",
        variables: &["FRACAS_METRICS_LISTEN"],
        flag: "--metrics-listen",
        kind: Kind::Listen,
        default: None,
        meaning: "Address and port, `127.0.0.1:9464`, on which a run serves Prometheus metrics at `/metrics` until its report is written. A port alone is on 127.0.0.1; port 0 takes a free one and says which. Without it nothing listens. Nobody is asked for a password: whoever reaches the address reads fault types, the names of probes and of the experiment, and how the run goes.",
    },
    Known {
        key: "notify.webhook",
        variables: &["FRACAS_NOTIFY_WEBHOOK", "FRACAS_WEBHOOK"],
        flag: "--webhook",
        kind: Kind::Hook,
        default: None,
        meaning: "Address that gets a POST with JSON when a run was aborted or something of it is left, also if its runner died: `event` (`aborted` or `residue`), `run`, `experiment`, `verdict`, `reason`, `time`, `told_by` (`runner`, `guardian` or `recover`) and `residue`, a list with `injection`, `fault`, `target`, `undo`, `seen` and the commands of `manual`. It has five seconds; without an answer, or after 429, 502, 503 or 504, it is sent once more. Only its server is ever shown.",
    },
    Known {
        key: "emergency.stop_file",
        variables: &["FRACAS_EMERGENCY_STOP_FILE"],
        flag: "",
        kind: Kind::Path,
        default: Some("/tmp/chaos-stop"),
        meaning: "A file whose appearance stops every run.",
    },
    Known {
        key: "execution.default_warmup",
        variables: &["FRACAS_EXECUTION_DEFAULT_WARMUP"],
        flag: "",
        kind: Kind::Span,
        default: Some("2m"),
        meaning: "`warmup` of a ChaosScenario that has none.",
    },
    Known {
        key: "execution.default_cooldown",
        variables: &["FRACAS_EXECUTION_DEFAULT_COOLDOWN"],
        flag: "",
        kind: Kind::Span,
        default: Some("2m"),
        meaning: "`cooldown` of a ChaosScenario that has none.",
    },
    Known {
        key: "framework.log_format",
        variables: &["FRACAS_FRAMEWORK_LOG_FORMAT", "FRACAS_LOG_FORMAT"],
        flag: "--log-format",
        kind: Kind::Words(&["text", "json"]),
        default: Some("text"),
        meaning: "What stands on standard error: lines for people, or one JSON object per line.",
    },
    Known {
        key: "kurtosis.enclave_name",
        variables: &["FRACAS_KURTOSIS_ENCLAVE_NAME"],
        flag: "--enclave",
        kind: Kind::Text,
        default: None,
        meaning: "The Kurtosis enclave of all container targets that name none.",
    },
];

/// Settings of the systems that Fracas replaces, with what to do instead.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    ("framework.version", "remove it: this file has one form"),
    ("framework.log_level", "use `-v`, `-vv` or `-q`"),
    (
        "docker.sidecar_image",
        "remove it: Fracas pulls no image; where it needs a sidecar (`docker.sidecar`), it makes one of itself",
    ),
    ("docker.pull_policy", "remove it: Fracas needs no image"),
    (
        "reporting.formats",
        "remove it: every run writes all formats; `fracas report RUN --format` prints one",
    ),
    (
        "emergency.auto_cleanup_timeout",
        "remove it: the guardian undoes at once; `max_duration` of an experiment bounds a run",
    ),
    (
        "execution.default_mode",
        "write `execution` (or `execution_mode`) in the document",
    ),
    (
        "execution.max_concurrent_faults",
        "use `start` (or `delay`) of the faults, or `execution: sequential`",
    ),
    ("safety.max_duration", "write `max_duration` in the document"),
    (
        "safety.require_confirmation",
        "remove it: `fracas run` asks unless `--yes` is given",
    ),
    (
        "safety",
        "remove it: the document says `max_duration`, and `fracas run` asks unless `--yes` is given",
    ),
];
