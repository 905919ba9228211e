//! The API beneath `/api/chaos/`: what is done to traffic, read and changed while it passes.
//!
//! Whoever reaches it can break what is behind the proxy. So, without an address of its own, it answers those of this machine alone, and not
//! what a proxy before this one passed on: that is of this machine, too, whoever asked. A page of another site that somebody's browser shows
//! cannot use it: the host must be a name of ours and the origin this one, and what is sent must be JSON, or of rules YAML, which browsers
//! send to other sites only after asking. A page that comes through the proxy itself is of this site: an address of its own keeps that out, too.

mod config;
mod made;
mod measured;
mod mutations;
mod openapi;
mod orchestration;
mod profiles;
mod protocols;
mod resilience;
mod route;
mod routes;
mod scenarios;
mod table;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fracas_core::chaos::{ChaosConfig, Route as RouteRule};
use fracas_core::problem::Problem;
use fracas_spec::{Chaos, Source, chaos};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body as _;
use hyper::header::{ALLOW, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::timeout;

use crate::answer::{self, Body};
use crate::connection::{Connection, Door};
use crate::listeners;
use crate::orchestra::Orchestra;
use crate::service::Shared;
use crate::upload::Upload;
use route::{Asked, Found, Route, Takes, find};
use table::ROUTES;

pub use openapi::openapi;

/// What stands before every path of ours.
const ROOT: &str = "/api/chaos";
/// For a body of the API.
const BODY: Duration = Duration::from_secs(10);
/// In bytes.
const LARGEST: usize = 1 << 20;
/// Besides those that begin with `x-forwarded-`: what says that a request was passed on.
const PASSED_ON: [&str; 3] = ["forwarded", "via", "x-real-ip"];

/// Why nothing else changes what is done to traffic.
const BY_ORCHESTRATION: &str =
    "an orchestration says what is done to traffic until it ends: POST /api/chaos/orchestration/stop ends it";

/// What lies over what is configured, and how it ends.
const STOPS: &str = "DELETE /api/chaos/scenarios stops them";

/// That something was done.
#[derive(Debug, Serialize, JsonSchema)]
struct Message {
    message: String,
}

/// What is on.
#[derive(Debug, Serialize, JsonSchema)]
struct Status {
    enabled: bool,
    /// Also those of the steps of an orchestration that are on.
    active_scenarios: Vec<String>,
    latency_enabled: bool,
    fault_injection_enabled: bool,
    rate_limit_enabled: bool,
    traffic_shaping_enabled: bool,
    circuit_breaker_enabled: bool,
    /// Also while it is off: it goes on from there.
    circuit_breaker_state: &'static str,
    bulkhead_enabled: bool,
    /// Also those that came while it was on, when it is off.
    bulkhead_concurrent_requests: usize,
    bulkhead_queued_requests: usize,
    /// The routes that act, in their order: `GET /path`, or a path alone for all methods.
    active_routes: Vec<String>,
    /// The names of the rules of `mutations` that act, in their order. One that has changed as many answers as it may is not among them.
    active_mutations: Vec<String>,
    seed: u64,
    /// Where clients come to, and where their requests go from there.
    listeners: Vec<listeners::Shown>,
}

/// Whether a path is one of the API.
pub(crate) fn is_path(path: &str) -> bool {
    path.strip_prefix(ROOT)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a request to the API.
pub(crate) async fn answer(shared: &Arc<Shared>, connection: &Connection, request: Request<Upload>) -> Response<Body> {
    let scheme = if connection.is_secure(shared) { "https" } else { "http" };
    let (route, asked) = match admit(connection, scheme, &request) {
        Ok(admitted) => admitted,
        Err(refused) => return *refused,
    };
    let text = match text(request.into_body()).await {
        Ok(text) => text,
        Err((status, why)) => return answer::problem(status, why),
    };
    // Some clients cannot send nothing.
    if matches!(route.takes, Takes::Nothing) && !matches!(text.trim(), "" | "{}" | "null") {
        return answer::problem(
            StatusCode::BAD_REQUEST,
            "what was sent would do nothing: the path takes no body",
        );
    }
    (route.does)(shared, &Asked { text, ..asked })
}

/// What a request asks for, if it may. Its body is not read yet.
fn admit(
    connection: &Connection,
    scheme: &str,
    request: &Request<Upload>,
) -> Result<(&'static Route, Asked), Box<Response<Body>>> {
    let refused = |status, why| Err(Box::new(answer::problem(status, why)));
    if connection.door == Door::Both && !connection.peer.ip().to_canonical().is_loopback() {
        let why = "the API answers this machine alone; `--api-listen` gives it an address for others";
        return refused(StatusCode::FORBIDDEN, why);
    }
    if connection.door == Door::Both && is_passed_on(request.headers()) {
        let why = "somebody passed the request on, perhaps for another machine; `--api-listen` gives the API an address of its own";
        return refused(StatusCode::FORBIDDEN, why);
    }
    let Some(host) = host(request.headers(), request.uri().authority()) else {
        return refused(StatusCode::FORBIDDEN, "the request does not say to which host it goes");
    };
    if let Some(why) = named(&host).or_else(|| foreign(request.headers(), scheme, &host)) {
        return refused(StatusCode::FORBIDDEN, why);
    }
    let path = request.uri().path().strip_prefix(ROOT).unwrap_or_default();
    let (route, name) = match find(ROUTES, request.method().as_str(), path) {
        Found::Route(route, name) => (route, name),
        Found::Nothing => return refused(StatusCode::NOT_FOUND, "the API has no such path"),
        Found::Methods(allowed) => {
            let mut refused = answer::problem(StatusCode::METHOD_NOT_ALLOWED, "the path has no such method");
            if let Ok(allowed) = HeaderValue::from_str(&allowed.join(", ")) {
                refused.headers_mut().insert(ALLOW, allowed);
            }
            return Err(Box::new(refused));
        }
    };
    let choice = match route.choice(request.uri().query().unwrap_or_default()) {
        Ok(choice) => choice,
        Err(why) => return Err(Box::new(answer::problem(StatusCode::BAD_REQUEST, &why))),
    };
    // 0 without a body, none where its length is not known.
    let sends = request.body().size_hint().exact() != Some(0);
    // A form without fields is empty, and browsers send it to any site: here it would begin the one that was imported, or apply a
    // profile.
    let sends = sends || route.path == "/orchestration/start" || route.path == profiles::APPLY;
    // One that says what it is is refused everywhere; a script that sends nothing says nothing, and of a page its origin is told.
    let says = *request.method() != Method::GET && request.headers().contains_key(CONTENT_TYPE);
    let may_be_yaml = matches!(route.takes, Takes::JsonOrYaml(..));
    if (sends || says || *request.method() == Method::PUT)
        && !is_json(request.headers())
        && !(may_be_yaml && is_yaml(request.headers()))
    {
        let why = "what is sent is JSON: say `content-type: application/json`";
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
    }
    let asked = Asked {
        name,
        choice,
        text: String::new(),
    };
    Ok((route, asked))
}

fn status(shared: &Shared) -> Response<Body> {
    let active = shared.live.now();
    let config = &active.config;
    let [inside, queued] = shared.live.places().counts();
    answer::json(&Status {
        enabled: config.enabled,
        active_scenarios: [shared.scenarios.names(), shared.orchestra.scenarios()].concat(),
        latency_enabled: config.latency().is_some(),
        fault_injection_enabled: config.fault_injection().is_some(),
        rate_limit_enabled: config.rate_limit().is_some(),
        traffic_shaping_enabled: config.traffic_shaping().is_some(),
        circuit_breaker_enabled: config.circuit_breaker().is_some(),
        circuit_breaker_state: resilience::phase(shared),
        bulkhead_enabled: config.bulkhead().is_some(),
        bulkhead_concurrent_requests: inside,
        bulkhead_queued_requests: queued,
        active_routes: config.routes().iter().map(RouteRule::key).collect(),
        active_mutations: active.mutations().map_or_else(Vec::new, |rules| rules.acting()),
        seed: shared.seed.0,
        listeners: shared.listeners.iter().map(|gate| gate.shown()).collect(),
    })
}

fn done(message: &str) -> Response<Body> {
    answer::json(&Message {
        message: message.to_owned(),
    })
}

/// Changes what is configured, and says so.
fn change(shared: &Shared, message: &str, change: impl FnOnce(&mut ChaosConfig)) -> Response<Body> {
    changed(shared, change).unwrap_or_else(|| match shared.scenarios.names().len() {
        0 => done(message),
        1 => done(&format!("{message}, beneath 1 active scenario: {STOPS}")),
        more => done(&format!("{message}, beneath {more} active scenarios: {STOPS}")),
    })
}

/// Changes what is configured. The answer says why not.
fn changed(shared: &Shared, change: impl FnOnce(&mut ChaosConfig)) -> Option<Response<Body>> {
    Orchestra::knowing(shared, |runs| {
        if runs {
            return Some(answer::problem(StatusCode::CONFLICT, BY_ORCHESTRATION));
        }
        shared.live.change(change);
        None
    })
}

/// Reads the configuration or block that was sent, and changes what acts.
fn put<T: Chaos + Clone>(
    shared: &Shared,
    text: &str,
    message: &'static str,
    set: fn(&mut ChaosConfig, T),
) -> Response<Body> {
    let source = Source {
        name: "the body of the request".to_owned(),
        text: text.to_owned(),
    };
    // What comes from the network reads no variable of ours.
    match chaos::<T>(&source, &|_| None) {
        Ok(new) => put_read(shared, new, message, set),
        Err(problems) => refused(&problems),
    }
}

/// The same with what was read.
fn put_read<T: Clone>(shared: &Shared, new: T, message: &str, set: fn(&mut ChaosConfig, T)) -> Response<Body> {
    let mut alone = ChaosConfig::default();
    set(&mut alone, new.clone());
    let wrong = listeners::refused_by(shared, &alone);
    if !wrong.is_empty() {
        return refused(&wrong);
    }
    change(shared, message, |config| set(config, new))
}

/// Why a small body was not read.
fn unread(error: &serde_json::Error) -> Response<Body> {
    let status = if error.is_data() {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::BAD_REQUEST
    };
    answer::problem(status, &format!("the body is not understood: {error}"))
}

fn refused(problems: &[Box<Problem>]) -> Response<Body> {
    let first = problems.first().map_or_else(String::new, |problem| problem.line());
    answer::refused(&first, problems)
}

/// Whether a proxy before this one says that it passed the request on.
fn is_passed_on(headers: &HeaderMap) -> bool {
    let says = |name: &str| name.starts_with("x-forwarded-") || PASSED_ON.contains(&name);
    headers.keys().any(|name| says(name.as_str()))
}

/// To which host a request goes, as it says.
pub(crate) fn host(headers: &HeaderMap, authority: Option<&Authority>) -> Option<Authority> {
    let header = || headers.get(HOST)?.to_str().ok()?.parse().ok();
    authority.cloned().or_else(header)
}

/// Why this host may be a name that somebody else's server gives, and that leads here (DNS rebinding). An address cannot be one.
pub(crate) fn named(host: &Authority) -> Option<&'static str> {
    let bare = host.host().trim_start_matches('[').trim_end_matches(']');
    let is_named = !bare.eq_ignore_ascii_case("localhost") && bare.parse::<IpAddr>().is_err();
    is_named.then_some("the API is called by an address or as localhost, not by another name")
}

/// Why a request may be that of a page of somebody else's, that a browser shows.
fn foreign(headers: &HeaderMap, scheme: &str, host: &Authority) -> Option<&'static str> {
    let ours = |origin: &HeaderValue| {
        origin
            .to_str()
            .is_ok_and(|origin| origin == format!("{scheme}://{host}"))
    };
    // Browsers say it also where they say no origin (Fetch Metadata, 2.1). `none`: somebody typed the address.
    let from_here = |site: &HeaderValue| site == "same-origin" || site == "none";
    let foreign = headers.get_all(ORIGIN).iter().any(|origin| !ours(origin))
        || headers.get_all("sec-fetch-site").iter().any(|site| !from_here(site));
    foreign.then_some("a page of another site may not use the API")
}

/// Browsers send this to other sites only after asking, too.
fn is_yaml(headers: &HeaderMap) -> bool {
    has_type(headers, "application/yaml")
}

fn is_json(headers: &HeaderMap) -> bool {
    has_type(headers, "application/json")
}

fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(wanted))
}

/// The text of a body, within a limit of time and length.
pub(crate) async fn text<B>(body: B) -> Result<String, (StatusCode, &'static str)>
where
    B: hyper::body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let read = timeout(BODY, Limited::new(body, LARGEST).collect()).await;
    let Ok(read) = read else {
        return Err((StatusCode::REQUEST_TIMEOUT, "the body did not come in time"));
    };
    let bytes = match read {
        Ok(whole) => whole.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 1 MiB"));
        }
        Err(_) => return Err((StatusCode::BAD_REQUEST, "the body broke off")),
    };
    String::from_utf8(bytes.into()).map_err(|_| (StatusCode::BAD_REQUEST, "the body is no text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::host as host_of;
    use super::*;

    #[test]
    fn only_what_is_beneath_the_root_is_ours() {
        for path in ["/api/chaos", "/api/chaos/", "/api/chaos/config"] {
            assert!(is_path(path), "{path}");
        }
        for path in ["/", "/api", "/api/chaoss", "/api/chaos-config", "/x/api/chaos/config"] {
            assert!(!is_path(path), "{path}");
        }
    }

    #[test]
    fn pages_of_others_are_kept_out() {
        let seen = |scheme: &str, host: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().unwrap());
            }
            let host = host_of(&headers, None).unwrap();
            named(&host).or_else(|| foreign(&headers, scheme, &host))
        };
        let headers = |host, origin| seen("http", host, origin);
        for host in ["127.0.0.1:3000", "localhost", "[::1]:3000", "10.0.0.7:80"] {
            assert_eq!(headers(host, None), None, "{host}");
        }
        assert_eq!(headers("localhost:3000", Some("http://localhost:3000")), None);
        assert!(headers("rebound.example", None).is_some());
        for origin in ["null", "http://localhost:3001", "https://evil.example"] {
            assert!(headers("localhost:3000", Some(origin)).is_some(), "{origin}");
        }
        // By TLS it is the origin of TLS, and no other.
        let by_tls = |origin| seen("https", "localhost:3000", Some(origin));
        assert_eq!(by_tls("https://localhost:3000"), None);
        for origin in ["http://localhost:3000", "https://localhost", "https://evil.example"] {
            assert!(by_tls(origin).is_some(), "{origin}");
        }
        assert!(headers("localhost:3000", Some("https://localhost:3000")).is_some());
        assert!(host_of(&HeaderMap::new(), None).is_none());
        for (site, is_foreign) in [
            ("same-origin", false),
            ("none", false),
            ("same-site", true),
            ("cross-site", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "localhost:3000".parse().unwrap());
            headers.insert("sec-fetch-site", site.parse().unwrap());
            let host = host_of(&headers, None).unwrap();
            assert_eq!(foreign(&headers, "http", &host).is_some(), is_foreign, "{site}");
        }
    }
}
