//! One request, from its head to the head of its answer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fracas_core::chaos::{ConnectionErrorKind, FaultInjection};
use fracas_core::seed::Seed;
use fracas_telemetry::proxy::{ListenerCounts, RouteCounts, Traffic};
use hyper::body::Body as _;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode, Version};

use crate::answer::{self, Body};
use crate::connection::{Connection, Door};
use crate::egress::Egress;
use crate::faults::bandwidth::Bandwidth;
use crate::faults::bodies;
use crate::faults::breaker::Passing;
use crate::faults::bulkhead::{NoPlace, Place};
use crate::faults::circuit::Outcome;
use crate::faults::failure::Failure;
use crate::faults::latency::{self, Delay};
use crate::faults::matcher;
use crate::faults::mutation;
use crate::faults::verdict::Verdict;
use crate::front::{self, Asks, Fate, Front, Whose};
use crate::guarded::Guarded;
use crate::identity::Chance;
use crate::listeners::Gate;
use crate::live::Live;
use crate::measures::Measures;
use crate::orchestra::Orchestra;
use crate::profiles::Profiles;
use crate::scenarios::Scenarios;
use crate::shaped::Shaped;
use crate::timer::Timer;
use crate::tls::certificate::Certificate;
use crate::tls::place::Passthrough;
use crate::traced::{Traced, Tracing};
use crate::tunnel::Tunnels;
use crate::upload::{Broken, Upload, finish};
use crate::websocket::Session;
use crate::{Limits, api, extended, graphql, grpc, head, headers, responder};

/// The names of the faults that a request met.
pub(crate) const FAULT: HeaderName = HeaderName::from_static("x-fracas-fault");
/// For how long it was held, in milliseconds, without the jitter.
const LATENCY: HeaderName = HeaderName::from_static("x-fracas-latency-ms");
/// By which rules its body was changed.
const MUTATION: HeaderName = HeaderName::from_static("x-fracas-mutation");
/// By how much longer, or shorter.
const JITTER: HeaderName = HeaderName::from_static("x-fracas-jitter-ms");

/// For a connection that a fault ends.
const CLOSES: Duration = Duration::from_secs(1);

/// What all connections of a proxy share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) live: Live,
    pub(crate) orchestra: Orchestra,
    pub(crate) scenarios: Scenarios,
    pub(crate) measures: Measures,
    pub(crate) profiles: Profiles,
    /// At least one; that of the order first.
    pub(crate) listeners: Vec<Arc<Gate>>,
    /// Where it stands in front of somebody else's port.
    pub(crate) front: Option<Arc<Front>>,
    /// What clients of TLS see. `None`: they come without.
    pub(crate) certificate: Option<Certificate>,
    /// Where connections go that are not opened. `None`: they are.
    pub(crate) passthrough: Option<Passthrough>,
    /// Whom tunnels may lead to. `None`: there are none.
    pub(crate) egress: Option<Egress>,
    pub(crate) tunnels: Tunnels,
    pub(crate) metrics: Traffic,
    pub(crate) tracing: Option<Tracing>,
    pub(crate) timer: Timer,
    pub(crate) seed: Seed,
    pub(crate) limits: Limits,
}

impl Shared {
    /// Holds a request for so long; in front of somebody else's port no longer than the fault is on. Whether it was so long.
    pub(crate) async fn holds(&self, long: Duration) -> bool {
        let held = self.timer.until(Instant::now() + long);
        let Some(front) = &self.front else {
            held.await;
            return true;
        };
        tokio::select! {
            biased;
            () = front.pardon() => false,
            () = held => true,
        }
    }

    /// When the fault in front of somebody else's port is over; elsewhere never.
    pub(crate) async fn pardon(&self) {
        match &self.front {
            Some(front) => front.pardon().await,
            None => std::future::pending().await,
        }
    }

    /// Whether the fault in front of somebody else's port is over: what it took goes on, and meets nothing more.
    pub(crate) fn is_pardoned(&self) -> bool {
        self.front.as_ref().is_some_and(|front| front.is_pardoned())
    }
}

/// What was done to a request so far.
#[derive(Debug, Default)]
struct Met {
    /// Of its listener, where there are several.
    listener: Option<Arc<ListenerCounts>>,
    /// Of its route, where there are some.
    route: Option<Arc<RouteCounts>>,
    faults: Vec<&'static str>,
    delay: Option<Delay>,
    /// For how long faults held it.
    held: Duration,
    /// Told to whoever watches it.
    traced: Option<Traced>,
    /// The name of the rule by which its body was changed.
    mutation: Option<HeaderValue>,
    /// Let pass by the circuit breaker.
    passing: Option<Passing>,
    /// In the bulkhead.
    place: Option<Arc<Place>>,
    /// In front of somebody else's port: by which parts it is held, and fails.
    whose: Whose,
    /// And whether it was hit.
    fate: Fate,
    /// By which its answer passes, if it is not one of ours.
    bandwidth: Option<Arc<Bandwidth>>,
}

/// An answer that has begun. It is measured when it has ended: when this is dropped.
#[derive(Debug)]
pub(crate) struct Answered {
    shared: Arc<Shared>,
    begun: Instant,
    /// For how long faults held its request.
    held: Duration,
    /// It ends when this is dropped.
    _traced: Option<Traced>,
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.shared.measures.add(self.begun.elapsed(), self.held);
    }
}

/// Answers a request.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    mut request: Box<Request<Upload>>,
) -> Response<Guarded<Shaped<Body>>> {
    let is_of_api = match connection.door {
        Door::Api => true,
        Door::Both => api::is_path(request.uri().path()),
        Door::Traffic | Door::Front => false,
    };
    let busy = Arc::new(connection.traffic.begins(is_of_api));
    if request.method() == Method::CONNECT {
        // It goes on as a tunnel, which in HTTP/2 is a part of its connection.
        request.extensions_mut().insert(Arc::clone(&busy));
    }
    if !is_of_api {
        extended::begin(&mut request);
    }
    let is_head = request.method() == Method::HEAD;
    let upload = request.body().progress();
    let begun = upload.begun();
    // In HTTP/2 only the stream ends, and what of it was not read harms nobody.
    let is_shared = request.version() >= Version::HTTP_2;
    let mut met = Met::default();
    if !is_of_api {
        met.listener = connection.gate.counts();
        met.traced = Traced::begin(&shared, &request);
    }
    let response = if is_of_api {
        // Apart, as all that few requests need: every request takes room for what it may come to.
        Box::pin(called(&shared, &connection, *request)).await
    } else {
        whole(&shared, &connection, request, &mut met).await
    };
    let response = if is_head { answer::to_head(response) } else { response };
    let measured = (!is_of_api).then(|| Answered {
        shared: Arc::clone(&shared),
        begun,
        held: met.held,
        _traced: met.traced.take(),
    });
    let held = (met.place.take(), busy, measured);
    response.map(|body| {
        let body = Shaped::new(body, met.bandwidth.take());
        let guarded = Guarded::new(body, upload, met.passing.take(), held);
        if is_shared {
            guarded
        } else {
            guarded.ends_after_upload()
        }
    })
}

/// The answer of the API.
async fn called(shared: &Arc<Shared>, connection: &Connection, request: Request<Upload>) -> Response<Body> {
    match head::wrong(&request, false) {
        Some((status, why)) => answer::problem(status, why),
        None => api::answer(shared, connection, request).await,
    }
}

/// The answer to a request, as if it were no HEAD.
async fn whole(
    shared: &Arc<Shared>,
    connection: &Connection,
    request: Box<Request<Upload>>,
    met: &mut Met,
) -> Response<Body> {
    let is_extended = extended::is_one(&request);
    let call = grpc::kind(&request).filter(|_| !is_extended);
    let mut response = match head::wrong(&request, shared.egress.is_some()) {
        Some((status, why)) => answer::problem(status, why),
        None => match shared.front.as_deref() {
            None => traffic(shared, connection, request, met).await,
            Some(front) => match front.asks(request.headers()) {
                Some(Asks::Report) => front.report(&shared.live.now()),
                Some(Asks::Canary) => Box::pin(front::answer_canary(shared, connection, *request)).await,
                None => {
                    met.fate = front.came();
                    traffic(shared, connection, request, met).await
                }
            },
        },
    };
    if is_extended {
        // It is counted as its client sees it.
        response = extended::end(extended::unless_success(response));
    }
    met.show(response.headers_mut());
    let status = response.status();
    shared.metrics.answered(status.as_u16());
    if let Some(traced) = &mut met.traced {
        traced.answered(status.as_u16(), met.held);
    }
    if let Some(route) = &met.route {
        route.answered(status.as_u16());
    }
    if let Some(listener) = &met.listener {
        listener.answered(status.as_u16());
    }
    met.passing = met.passing.take().and_then(|passing| passing.answered(status));
    match call {
        Some(kind) => grpc::tell(response, kind),
        None => response,
    }
}

async fn traffic(
    shared: &Arc<Shared>,
    connection: &Connection,
    mut request: Box<Request<Upload>>,
    met: &mut Met,
) -> Response<Body> {
    let mut active = shared.live.at(connection.gate.index);
    let ordinal = connection.next_request();
    let chance = Chance::of(shared.seed, request.headers(), connection, ordinal);
    met.route = active.route(request.method(), request.uri().path()).1.cloned();
    if active.config.circuit_breaker().is_some() {
        match shared.live.breaker().admit() {
            Ok(passing) => met.passing = Some(passing),
            Err(wait) => {
                met.fault(shared, "circuit_breaker");
                let why = "the circuit breaker lets nothing pass: too many requests failed";
                return refuse(StatusCode::SERVICE_UNAVAILABLE, why, wait);
            }
        }
    }
    if let Some(block) = active.config.bulkhead() {
        let limit = Duration::from_millis(block.queue_timeout_ms);
        match shared.live.places().enter(limit).await {
            Ok(place) => {
                let place = Arc::new(place);
                // Should it become a tunnel, that has no body to hold it.
                request.extensions_mut().insert(Arc::clone(&place));
                met.place = Some(place);
            }
            Err(none) => {
                met.fault(shared, "bulkhead");
                let why = match none {
                    NoPlace::Full => "the bulkhead is full, and so is its queue",
                    NoPlace::Late => "the bulkhead is full, and no place was free in time",
                };
                return answer::problem(StatusCode::SERVICE_UNAVAILABLE, why);
            }
        }
        if shared.is_pardoned() {
            active = shared.live.at(connection.gate.index);
        }
    }
    let numbered = active.route(request.method(), request.uri().path()).0;
    let route = numbered.map(|(_, route)| route);
    if let Some(limiter) = active.limiter() {
        let path = request.uri().path();
        if let Err(wait) = limiter.take(connection.peer.ip(), path, Instant::now()) {
            met.fault(shared, "rate_limit");
            return refuse(StatusCode::TOO_MANY_REQUESTS, "Rate limit exceeded", wait);
        }
    }
    let shaping = active.config.traffic_shaping();
    let most = shaping.map_or(0, |block| block.max_connections);
    if !connection.traffic.counts(shared.live.connections(), most) {
        met.fault(shared, "connection_limit");
        return no_room(request.version());
    }
    if shaping.is_some_and(|block| shared.live.losses().take(block, shared.seed, &chance)) {
        met.fault(shared, "packet_loss");
        return answer::problem(StatusCode::REQUEST_TIMEOUT, "this request was lost by Fracas");
    }
    let faults = active.config.fault_injection();
    let faults = faults.filter(|block| is_about(block, connection, &request));
    if let Some(front) = &shared.front {
        met.whose = front.parts.came(numbered, faults.is_some());
    }
    // Before it is held: a pattern goes by the order in which requests come.
    let mut verdict = match route.and_then(|route| route.fault_injection.as_ref()) {
        Some(block) => Verdict::of_route(block, &chance),
        None => faults.map_or_else(Verdict::default, |block| {
            Verdict::of(block, active.pattern(), &chance, Instant::now())
        }),
    };
    let latency = match route.and_then(|route| route.latency.as_ref()) {
        Some(block) => Some(block).filter(|block| block.enabled),
        None => active.config.latency(),
    };
    if let Some(delay) = latency.and_then(|block| latency::decide(block, &chance)) {
        met.fault(shared, "latency");
        met.delay = Some(delay);
        met.held += delay.total();
        shared.metrics.held(delay.total().as_secs_f64());
        if !shared.holds(delay.total()).await {
            verdict = Verdict::default();
        }
    }
    if let Some(failure) = verdict.failure {
        met.fault(shared, failure.name());
        if let Failure::Timeout(after) = failure {
            met.held += after;
        }
        if failure.is_an_end()
            && let Some(passing) = met.passing.take()
        {
            passing.ended(Outcome::Failure);
        }
        if lasts(shared, failure).await {
            return Box::pin(fail(connection, *request, failure, verdict.says)).await;
        }
    }
    // What was held until the fault was over meets nothing of what else was asked about it.
    let acts = |shared: &Shared| !shared.is_pardoned();
    let call = active.config.grpc();
    let call = call.filter(|_| acts(shared) && grpc::kind(&request).is_some());
    let query = active.config.graphql();
    let query = query.filter(|block| acts(shared) && graphql::is_about(block, &request));
    if let Some(front) = &shared.front {
        front.parts.asked(call.is_some(), query.is_some());
    }
    if let Some(failed) = call.and_then(|block| grpc::failure(block, &chance)) {
        met.fault(shared, "grpc_status");
        return failed;
    }
    if let Some(failed) = query.and_then(|block| graphql::failure(block, &chance)) {
        met.fault(shared, "graphql_error");
        return failed;
    }
    if headers::upgrade(request.headers()).is_some() {
        let session = Session::of(
            Arc::clone(shared),
            chance.clone(),
            met.fate.clone(),
            (connection.number, ordinal),
            connection.gate.index,
        );
        request.extensions_mut().insert(session);
    }
    let (version, is_head) = (request.version(), request.method() == Method::HEAD);
    let is_tunnel = request.method() == Method::CONNECT;
    let bandwidth = Arc::clone(shared.live.bandwidth());
    let mut is_narrow = !request.body().is_end_stream() && bandwidth.is_limited();
    request.body_mut().shape(Arc::clone(&bandwidth));
    let mutations = active.mutations().filter(|_| !is_head && acts(shared));
    let rule = match mutations {
        Some(mutations) => Box::pin(mutations.find(&mut request, shared)).await,
        None => None,
    };
    let answered = match pass(shared, connection, request).await {
        Ok(answered) => answered,
        Err(own) => {
            if is_narrow {
                met.fault(shared, "bandwidth_throttle");
            }
            return *own;
        }
    };
    met.bandwidth = Some(Arc::clone(&bandwidth));
    let answered = match call {
        Some(block) if acts(shared) => grpc::interrupt(block, &chance, shared, answered, Some(met.fate.clone())),
        _ => answered,
    };
    let answered = match query {
        Some(block) if acts(shared) => {
            let met = |name| met.fault(shared, name);
            Box::pin(graphql::meet(block, &chance, shared, answered, met)).await
        }
        _ => answered,
    };
    let answered = match &rule {
        Some(rule) => {
            let changed = Box::pin(mutation::change(rule, &chance, shared, answered)).await;
            met.mutation = changed.by;
            changed.response
        }
        None => answered,
    };
    if let Some(mutations) = mutations {
        mutations.count(met.mutation.is_some());
    }
    if met.mutation.is_some() {
        met.fault(shared, "json_mutation");
    }
    // Of an answer without a body there is nothing to be cut off or corrupted.
    let answered = if verdict.harm.is_none() || is_head || is_tunnel || shared.is_pardoned() {
        answered
    } else {
        let met = |name| met.fault(shared, name);
        let limit = shared.limits.answer;
        Box::pin(bodies::meet(verdict.harm, &chance, version, limit, answered, met)).await
    };
    // What goes over to another protocol has no body, and is as narrow.
    let goes_over = answered.status() == StatusCode::SWITCHING_PROTOCOLS || is_tunnel;
    is_narrow |= bandwidth.is_limited() && (goes_over || !is_head && !answered.body().is_end_stream());
    if is_narrow {
        met.fault(shared, "bandwidth_throttle");
    }
    answered
}

/// The answer to who comes by a connection that may have no requests.
fn no_room(version: Version) -> Response<Body> {
    let why = "too many connections: there is no room for this one";
    let mut refused = answer::problem(StatusCode::SERVICE_UNAVAILABLE, why);
    // HTTP/2 has no such header (RFC 9113, 8.2.2).
    if version < Version::HTTP_2 {
        refused
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    refused
}

/// An answer that says when to come again.
fn refuse(status: StatusCode, why: &str, wait: Duration) -> Response<Body> {
    let mut refused = answer::problem(status, why);
    let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
    refused.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    refused
}

/// Whether the block of faults is about this request.
fn is_about(block: &FaultInjection, connection: &Connection, request: &Request<Upload>) -> bool {
    block.request_matcher.as_ref().is_none_or(|matcher| {
        // 0 without a body, none in chunks, and in HTTP/2 none without a length.
        let size = request.body().size_hint().exact();
        matcher::meets(matcher, connection.peer.ip(), request.headers(), size)
    })
}

/// Waits as long as a failure takes that is a wait. `false`: it ended before, and the request goes on.
pub(crate) async fn lasts(shared: &Shared, failure: Failure) -> bool {
    match failure {
        Failure::Timeout(after) => shared.holds(after).await,
        Failure::Http(_) | Failure::Connection(_) => true,
    }
}

/// Makes a request fail.
pub(crate) async fn fail(
    connection: &Connection,
    request: Request<Upload>,
    failure: Failure,
    says: Option<&str>,
) -> Response<Body> {
    match failure {
        Failure::Http(status) => {
            // The configuration was checked when it was read: only statuses that exist are in it.
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            answer::problem(status, says.unwrap_or("this error was made by Fracas"))
        }
        Failure::Connection(ConnectionErrorKind::Http503) => answer::problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "this error of a connection was made by Fracas",
        ),
        Failure::Connection(kind) => {
            if kind == ConnectionErrorKind::TcpClose {
                // Data that nobody has read makes close(2) a reset.
                finish(request.into_body()).await;
            }
            connection.end(kind == ConnectionErrorKind::TcpReset);
            // With the connection this goes, too. If it stays, that is better than a request without an end.
            tokio::time::sleep(CLOSES).await;
            answer::problem(StatusCode::SERVICE_UNAVAILABLE, "the connection could not be ended")
        }
        Failure::Timeout(_) => answer::problem(StatusCode::GATEWAY_TIMEOUT, "this time-out was made by Fracas"),
    }
}

/// Lets a request go where it wants to. An error is an answer, too: that there is none.
async fn pass(
    shared: &Shared,
    connection: &Connection,
    request: Box<Request<Upload>>,
) -> Result<Response<Body>, Box<Response<Body>>> {
    if let (&Method::CONNECT, Some(egress)) = (request.method(), &shared.egress) {
        let opened = egress.tunnel(&shared.tunnels, shared.limits.connect, *request);
        let opened = Box::pin(opened).await;
        return opened.map_err(|failed| Box::new(answer::problem(failed.status, &failed.why)));
    }
    let is_shared = request.version() >= Version::HTTP_2;
    let way = connection.way.as_ref().map(|way| way.forward(request.version()));
    let Some(forward) = way.or(connection.gate.forward.as_ref()) else {
        return Box::pin(responder::answer(*request)).await;
    };
    match forward.pass(&connection.link, request).await {
        Ok(answered) => Ok(answered),
        Err(failed) => {
            let why = format!("no answer of the upstream: {}", failed.why);
            let mut own = answer::problem(failed.status, &why);
            if let Some(error) = failed.broke_off.filter(|_| connection.way.is_some()) {
                // As it would be without us: whoever is not there refuses the connection, and who breaks off ends it.
                if is_shared {
                    own.extensions_mut().insert(Ended(Arc::new(error)));
                } else {
                    connection.end(true);
                    tokio::time::sleep(CLOSES).await;
                }
            }
            Err(Box::new(own))
        }
    }
}

/// In place of an answer of HTTP/2: the stream ends without one, for the reason that the upstream gave.
#[derive(Debug, Clone)]
pub(crate) struct Ended(Arc<Broken>);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the upstream gave no answer")
    }
}

impl Error for Ended {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&**self.0)
    }
}

impl Met {
    fn fault(&mut self, shared: &Shared, name: &'static str) {
        // Now: of a request whose connection ends nothing comes after this.
        if let Some(front) = &shared.front {
            front.hit(&self.fate);
            front.parts.hit(name, self.whose);
        }
        self.faults.push(name);
        if let Some(traced) = &mut self.traced {
            traced.met(name);
        }
        shared.metrics.met(name);
        if let Some(route) = &self.route {
            route.met(name);
        }
        if let Some(listener) = &self.listener {
            listener.met(name);
        }
    }

    /// Says it in the headers of the answer. What an upstream says in the same headers is another proxy's, and stays.
    fn show(&self, headers: &mut HeaderMap) {
        for fault in &self.faults {
            headers.append(FAULT, HeaderValue::from_static(fault));
        }
        if let Some(rule) = &self.mutation {
            headers.append(MUTATION, rule.clone());
        }
        if let Some(delay) = self.delay {
            for (name, millis) in [(LATENCY, delay.base), (JITTER, delay.jitter)] {
                if let Ok(value) = HeaderValue::from_str(&format!("{millis:.3}")) {
                    headers.append(name, value);
                }
            }
        }
    }
}
