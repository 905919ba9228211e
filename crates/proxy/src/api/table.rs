//! All routes of the API. What is not here does not exist, and what is here is described.

use fracas_core::chaos::{
    Bulkhead, ChaosConfig, CircuitBreaker, FaultInjection, Latency, Orchestration, RateLimit, TrafficShaping,
};
use fracas_telemetry::metrics::Form;
use hyper::StatusCode;

use super::route::{Gives, Route, Takes, of};
use super::{Message, Status, change, config, measured, openapi, orchestration, put, resilience, scenarios, status};
use crate::answer;
use crate::measures::Stats;
use crate::orchestra::{self, Orchestra};

/// That something was done.
const MESSAGE: Gives = Gives::Json(of::<Message>);
/// An orchestration runs.
const CONFLICT: &[u16] = &[409];

pub(super) static ROUTES: &[Route] = &[
    Route::new(
        "GET",
        "/config",
        "What is configured",
        Gives::Json(of::<ChaosConfig>),
        |shared, _| answer::json(&shared.live.base()),
    ),
    Route::new(
        "GET",
        "/config/active",
        "What acts at the moment: what is configured with the scenarios laid over it, or what an orchestration does",
        Gives::Json(of::<ChaosConfig>),
        |shared, _| answer::json(&shared.live.now().config),
    ),
    Route::new("PUT", "/config", "Configures all anew", MESSAGE, |shared, asked| {
        put(shared, &asked.text, "Chaos configuration updated", |config, new: ChaosConfig| {
            *config = new;
        })
    })
    .takes(Takes::Json(of::<ChaosConfig>, r#"{"latency": {"fixed_delay_ms": 100}}"#))
    .fails(CONFLICT),
    Route::new(
        "PUT",
        "/config/latency",
        "Configures how much later answers come",
        MESSAGE,
        |shared, asked| {
            put(shared, &asked.text, "Latency configuration updated", |config, new| {
                config.latency = Some(new);
            })
        },
    )
    .takes(Takes::Json(of::<Latency>, r#"{"fixed_delay_ms": 100}"#))
    .fails(CONFLICT),
    Route::new(
        "PUT",
        "/config/faults",
        "Configures how requests fail",
        MESSAGE,
        |shared, asked| {
            put(shared, &asked.text, "Fault injection configuration updated", |config, new| {
                config.fault_injection = Some(new);
            })
        },
    )
    .takes(Takes::Json(of::<FaultInjection>, r#"{"http_errors": [503], "http_error_probability": 0.2}"#))
    .fails(CONFLICT),
    Route::new(
        "PUT",
        "/config/rate-limit",
        "Configures how many requests pass",
        MESSAGE,
        |shared, asked| {
            put(shared, &asked.text, "Rate limit configuration updated", |config, new| {
                config.rate_limit = Some(new);
            })
        },
    )
    .takes(Takes::Json(of::<RateLimit>, r#"{"requests_per_second": 50}"#))
    .fails(CONFLICT),
    Route::new(
        "PUT",
        "/config/traffic",
        "Configures how narrow the way is",
        MESSAGE,
        |shared, asked| {
            put(shared, &asked.text, "Traffic shaping configuration updated", |config, new| {
                config.traffic_shaping = Some(new);
            })
        },
    )
    .takes(Takes::Json(of::<TrafficShaping>, r#"{"bandwidth_limit_bps": 100000}"#))
    .fails(CONFLICT),
    Route::new(
        "PUT",
        "/config/circuit-breaker",
        "Configures the circuit breaker",
        MESSAGE,
        |shared, asked| {
            put(shared, &asked.text, "Circuit breaker configuration updated", |config, new| {
                config.circuit_breaker = Some(new);
            })
        },
    )
    .takes(Takes::Json(of::<CircuitBreaker>, r#"{"failure_threshold": 3}"#))
    .fails(CONFLICT),
    Route::new(
        "PUT",
        "/config/bulkhead",
        "Configures how many requests pass at a time",
        MESSAGE,
        |shared, asked| {
            put(shared, &asked.text, "Bulkhead configuration updated", |config, new| {
                config.bulkhead = Some(new);
            })
        },
    )
    .takes(Takes::Json(of::<Bulkhead>, r#"{"max_concurrent_requests": 10}"#))
    .fails(CONFLICT),
    Route::new(
        "POST",
        "/enable",
        "Does what is configured",
        MESSAGE,
        |shared, _| {
            change(shared, "Chaos engineering enabled", |config| config.enabled = true)
        },
    )
    .fails(CONFLICT),
    Route::new(
        "POST",
        "/disable",
        "Lets all pass unharmed: what is configured stays and is off, scenarios and an orchestration end",
        MESSAGE,
        |shared, _| {
            config::end_all(shared, |config| config.enabled = false);
            super::done("Chaos engineering disabled")
        },
    ),
    Route::new(
        "POST",
        "/reset",
        "Lets all pass unharmed: nothing is configured any more, scenarios and an orchestration end",
        MESSAGE,
        |shared, _| {
            config::end_all(shared, |config| *config = ChaosConfig::default());
            super::done("Chaos configuration reset")
        },
    ),
    Route::new("GET", "/status", "What is on", Gives::Json(of::<Status>), |shared, _| {
        status(shared)
    }),
    Route::new(
        "GET",
        "/scenarios",
        "The scenarios that are active, in the order in which they began",
        Gives::Json(of::<Vec<crate::scenarios::Shown>>),
        |shared, _| answer::json(&shared.scenarios.shown()),
    ),
    Route::new(
        "DELETE",
        "/scenarios",
        "Stops all scenarios",
        MESSAGE,
        scenarios::stop_all,
    ),
    Route::new(
        "GET",
        "/scenarios/predefined",
        "All scenarios that have a name",
        Gives::Json(of::<Vec<scenarios::Known>>),
        |_, _| answer::json(&scenarios::predefined()),
    ),
    Route::new(
        "POST",
        "/scenarios/{name}",
        "Starts a scenario, laid over what is configured and over those that are active",
        MESSAGE,
        scenarios::start,
    )
    .takes(Takes::Perhaps(of::<scenarios::Start>, r#"{"duration_seconds": 60}"#))
    .fails(&[404, 409, 503]),
    Route::new(
        "DELETE",
        "/scenarios/{name}",
        "Stops a scenario: the others and what is configured act as they say",
        MESSAGE,
        scenarios::stop,
    )
    .fails(&[404]),
    Route::new(
        "POST",
        "/orchestration/start",
        "Starts the orchestration that is sent, or without a body the one that was imported; say `content-type: application/json` in \
         either case",
        MESSAGE,
        orchestration::start,
    )
    .takes(Takes::Perhaps(
        of::<Orchestration>,
        r#"{"name": "slow", "steps": [{"name": "slow", "scenario": {"name": "slow_backend"}, "duration_seconds": 60}]}"#,
    ))
    .fails(&[409, 503]),
    Route::new(
        "POST",
        "/orchestration/import",
        "Keeps an orchestration for `start` and `export`",
        MESSAGE,
        orchestration::import,
    )
    .takes(Takes::Json(
        of::<orchestration::Import>,
        r#"{"format": "yaml", "content": "name: slow\nsteps:\n  - { name: slow, scenario: slow_backend, duration_seconds: 60 }\n"}"#,
    )),
    Route::new(
        "GET",
        "/orchestration/export",
        "The orchestration that was imported",
        Gives::JsonOrYaml(of::<Orchestration>),
        orchestration::export,
    )
    .query("format", &["json", "yaml"])
    .fails(&[404]),
    Route::new(
        "GET",
        "/orchestration/status",
        "How the orchestration is that runs, or ran last",
        Gives::Json(of::<orchestra::Status>),
        |shared, _| answer::json(&shared.orchestra.status()),
    ),
    Route::new(
        "POST",
        "/orchestration/stop",
        "Ends the orchestration that runs",
        MESSAGE,
        |shared, _| {
            if Orchestra::stop(shared) {
                super::done("Orchestration stopped")
            } else {
                answer::problem(StatusCode::CONFLICT, "no orchestration runs")
            }
        },
    )
    .fails(CONFLICT),
    Route::new(
        "GET",
        "/metrics",
        "What was counted, in the text format of Prometheus",
        Gives::Metrics,
        |shared, _| match shared.metrics.page().text(Form::Text) {
            Ok(text) => answer::with(StatusCode::OK, Form::Text.content_type(), text),
            Err(_) => answer::problem(StatusCode::INTERNAL_SERVER_ERROR, "a value has no form"),
        },
    ),
    Route::new(
        "GET",
        "/metrics/latency",
        "How long the last answers took, 4096 at most, the oldest first",
        Gives::Json(of::<measured::Samples>),
        |shared, _| {
            let samples = shared.measures.samples();
            answer::json(&measured::Samples { samples })
        },
    ),
    Route::new(
        "GET",
        "/metrics/latency/stats",
        "The same in a few numbers",
        Gives::Json(of::<Stats>),
        |shared, _| answer::json(&shared.measures.stats()),
    ),
    Route::new(
        "GET",
        "/stats",
        "What was counted, as JSON",
        Gives::Json(of::<measured::Counted>),
        |shared, _| answer::json(&measured::Counted::of(shared)),
    ),
    Route::new(
        "GET",
        "/resilience/circuit-breakers",
        "The circuit breakers: there is one, `proxy`",
        Gives::Json(of::<Vec<resilience::Breaker>>),
        |shared, _| answer::json(&[resilience::Breaker::of(shared)]),
    ),
    Route::new(
        "GET",
        "/resilience/circuit-breakers/{name}",
        "A circuit breaker",
        Gives::Json(of::<resilience::Breaker>),
        |shared, asked| resilience::named(&asked.name, || answer::json(&resilience::Breaker::of(shared))),
    )
    .fails(&[404]),
    Route::new(
        "POST",
        "/resilience/circuit-breakers/{name}/reset",
        "Closes a circuit breaker, as if nothing had failed",
        MESSAGE,
        |shared, asked| {
            resilience::named(&asked.name, || {
                shared.live.breaker().configure(None);
                super::done("Circuit breaker 'proxy' reset")
            })
        },
    )
    .fails(&[404]),
    Route::new(
        "GET",
        "/resilience/bulkheads",
        "The bulkheads: there is one, `proxy`",
        Gives::Json(of::<Vec<resilience::Bulkhead>>),
        |shared, _| answer::json(&[resilience::Bulkhead::of(shared)]),
    ),
    Route::new(
        "GET",
        "/resilience/bulkheads/{name}",
        "A bulkhead",
        Gives::Json(of::<resilience::Bulkhead>),
        |shared, asked| resilience::named(&asked.name, || answer::json(&resilience::Bulkhead::of(shared))),
    )
    .fails(&[404]),
    Route::new(
        "GET",
        "/openapi.json",
        "This description",
        Gives::AnyJson,
        |_, _| answer::json(&openapi()),
    ),
];
