//! Seed 0's fault of requests.

use fracas_core::chaos::{
    ChaosConfig, FaultInjection, Latency, Route, RouteFault, RouteFaultKind, RouteFaults, Template,
};
use fracas_core::params::{Http, Inject};
use fracas_core::problem::codes;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::faults::Reader;
use crate::lenient::Number;

/// Parameters of `http_fault`: requests to a port are late, or fail. At least one of `delay_ms` and `abort_code`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpFaultParams {
    /// The port at which requests arrive at the target, from 1 to 65535.
    pub(crate) target_port: u16,
    /// How long requests are held, in milliseconds, up to 3600000. Default 0: not at all.
    #[serde(default = "none")]
    pub(crate) delay_ms: Number,
    /// How many of a hundred requests are held. Default 100.
    #[serde(default = "all")]
    pub(crate) delay_percent: Number,
    /// The status with which requests fail, from 400 to 599. Default: none fail.
    #[serde(default)]
    pub(crate) abort_code: Option<u16>,
    /// How many of a hundred requests fail. Default 100.
    #[serde(default = "all")]
    pub(crate) abort_percent: Number,
    /// Which paths, without the query: those that begin so, or behind a `~` those that a regular expression matches as a whole. It begins with `/`
    /// or `~`. Default: all.
    #[serde(default)]
    pub(crate) path_pattern: Option<String>,
}

/// The longest delay, in milliseconds.
const HOUR: f64 = 3_600_000.0;

fn none() -> Number {
    Number(0.0)
}

fn all() -> Number {
    Number(100.0)
}

impl Reader<'_, '_> {
    pub(super) fn http_fault(&mut self, params: &Map<String, Value>) -> Option<Inject> {
        let params: HttpFaultParams = self.params(params)?;
        let delays = params.delay_ms.0 > 0.0;
        let mut wrong = None;
        for (key, percent, acts) in [
            ("delay_percent", params.delay_percent.0, delays),
            ("abort_percent", params.abort_percent.0, params.abort_code.is_some()),
        ] {
            if !(0.0..=100.0).contains(&percent) || acts && percent <= 0.0 {
                wrong = wrong.or(Some((key, "must be more than 0 and at most 100")));
            }
        }
        if !(0.0..=HOUR).contains(&params.delay_ms.0) {
            wrong = wrong.or(Some(("delay_ms", "must be from 0 to 3600000")));
        }
        if params.abort_code.is_some_and(|code| !(400..=599).contains(&code)) {
            wrong = wrong.or(Some(("abort_code", "must be from 400 to 599")));
        }
        if let Some((key, why)) = wrong {
            let spot = self.spot(&format!("params.{key}"));
            let what = format!("`{}.params.{key}` {why}", self.path);
            self.problems.error(&codes::WRONG_VALUE, spot, what);
            return None;
        }
        if !delays && params.abort_code.is_none() {
            let spot = self.spot("params");
            let what = "a fault of the type `http_fault` without an effect";
            let next = "give it a `delay_ms` that is more than 0 or an `abort_code`";
            self.problems.error_next(&codes::WRONG_VALUE, spot, what, next);
            return None;
        }
        let latency = delays.then(|| Latency {
            fixed_delay_ms: Some(params.delay_ms.0),
            probability: params.delay_percent.0 / 100.0,
            ..Latency::default()
        });
        if let Some(pattern) = &params.path_pattern {
            return self.http_fault_of_route(pattern, &params, latency);
        }
        let fault_injection = params.abort_code.map(|code| FaultInjection {
            http_errors: vec![code],
            http_error_probability: params.abort_percent.0 / 100.0,
            ..FaultInjection::default()
        });
        Some(Inject::Http(Http {
            port: params.target_port,
            chaos: Box::new(ChaosConfig {
                latency,
                fault_injection,
                ..ChaosConfig::default()
            }),
        }))
    }

    /// What is done to some paths alone.
    fn http_fault_of_route(
        &mut self,
        pattern: &str,
        params: &HttpFaultParams,
        latency: Option<Latency>,
    ) -> Option<Inject> {
        let path = match pattern.strip_prefix('/') {
            Some(_) => format!("~{}.*", regex::escape(pattern)),
            None => pattern.to_owned(),
        };
        // Of what comes first in it a template would say the same, but for braces and stars, which are themselves here.
        let is_path = |text: &str| !text.contains(['?', '#']) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let read = match pattern.strip_prefix('/') {
            Some(rest) if !is_path(rest) => {
                Err("is no path: it has no `?`, no `#`, no space, and what is not ASCII is in percent encoding")
            }
            _ => Template::read(&path).map(drop),
        };
        if let Err(why) = read {
            let spot = self.spot("params.path_pattern");
            let what = format!("`{}.params.path_pattern` {why}", self.path);
            self.problems.error(&codes::WRONG_VALUE, spot, what);
            return None;
        }
        let error = |code| RouteFaults {
            probability: params.abort_percent.0 / 100.0,
            fault_types: vec![RouteFault {
                kind: RouteFaultKind::HttpError,
                status_code: Some(code),
                message: None,
                connection_error_kind: None,
                duration_ms: None,
                truncate_percent: None,
                corruption_type: None,
            }],
            ..RouteFaults::default()
        };
        let route = Route {
            listeners: Vec::new(),
            path,
            method: None,
            latency,
            fault_injection: params.abort_code.map(error),
        };
        Some(Inject::Http(Http {
            port: params.target_port,
            chaos: Box::new(ChaosConfig {
                routes: vec![route],
                ..ChaosConfig::default()
            }),
        }))
    }
}
