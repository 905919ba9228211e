//! All routes of the API. What is not here does not exist, and what is here is described.

use fracas_core::chaos::{
    Bulkhead, ChaosConfig, ChaosProfile, CircuitBreaker, CloseCodes, ErrorCodes, FaultInjection, Graphql, Grpc,
    Latency, Mutations, Orchestration, Probability, RateLimit, Route as ChaosRoute, StatusCodes, Switch,
    TrafficShaping, Websocket,
};
use fracas_telemetry::metrics::Form;
use hyper::StatusCode;

use super::route::{Gives, Route, Takes, of};
use super::{
    Message, Status, change, config, measured, mutations, openapi, orchestration, profiles, protocols, put, resilience,
    routes, scenarios, status,
};
use crate::answer;
use crate::faults::mutation::Stats as MutationStats;
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
        "PUT",
        "/config/grpc",
        "Configures how calls of gRPC fail",
        MESSAGE,
        protocols::grpc,
    )
    .takes(Takes::Json(of::<Grpc>, r#"{"status_codes": [14]}"#))
    .fails(CONFLICT),
    Route::new(
        "PUT",
        "/config/websocket",
        "Configures what happens to messages of WebSocket",
        MESSAGE,
        protocols::websocket,
    )
    .takes(Takes::Json(of::<Websocket>, r#"{"message_drop_probability": 0.1}"#))
    .fails(CONFLICT),
    Route::new(
        "PUT",
        "/config/graphql",
        "Configures how questions of GraphQL are answered",
        MESSAGE,
        protocols::graphql,
    )
    .takes(Takes::Json(of::<Graphql>, r#"{"error_codes": [500]}"#))
    .fails(CONFLICT),
    Route::new(
        "POST",
        "/protocols/grpc/status-codes",
        "Fails a share of the calls of gRPC, and switches its block on",
        MESSAGE,
        protocols::status_codes,
    )
    .takes(Takes::Json(of::<StatusCodes>, r#"{"status_codes": [14], "probability": 0.1}"#))
    .fails(CONFLICT),
    Route::new(
        "POST",
        "/protocols/grpc/stream-interruption",
        "Cuts a share of the streams of gRPC, and switches its block on",
        MESSAGE,
        protocols::stream_interruption,
    )
    .takes(Takes::Json(of::<Probability>, r#"{"probability": 0.1}"#))
    .fails(CONFLICT),
    Route::new(
        "POST",
        "/protocols/websocket/close-codes",
        "Closes connections of WebSocket, and switches its block on",
        MESSAGE,
        protocols::close_codes,
    )
    .takes(Takes::Json(of::<CloseCodes>, r#"{"close_codes": [1001], "probability": 0.1}"#))
    .fails(CONFLICT),
    Route::new(
        "POST",
        "/protocols/websocket/message-drop",
        "Drops a share of the messages of WebSocket, and switches its block on",
        MESSAGE,
        protocols::message_drop,
    )
    .takes(Takes::Json(of::<Probability>, r#"{"probability": 0.1}"#))
    .fails(CONFLICT),
    Route::new(
        "POST",
        "/protocols/websocket/message-corruption",
        "Corrupts a share of the messages of WebSocket, and switches its block on",
        MESSAGE,
        protocols::message_corruption,
    )
    .takes(Takes::Json(of::<Probability>, r#"{"probability": 0.1}"#))
    .fails(CONFLICT),
    Route::new(
        "POST",
        "/protocols/graphql/error-codes",
        "Answers a share of the questions of GraphQL with errors, and switches its block on",
        MESSAGE,
        protocols::error_codes,
    )
    .takes(Takes::Json(of::<ErrorCodes>, r#"{"error_codes": [500], "probability": 0.1}"#))
    .fails(CONFLICT),
    Route::new(
        "POST",
        "/protocols/graphql/partial-data",
        "Leaves out data of a share of the answers of GraphQL, and switches its block on",
        MESSAGE,
        protocols::partial_data,
    )
    .takes(Takes::Json(of::<Probability>, r#"{"probability": 0.1}"#))
    .fails(CONFLICT),
    Route::new(
        "POST",
        "/protocols/graphql/resolver-latency",
        "Holds answers of GraphQL for each of their fields, and switches its block on",
        MESSAGE,
        protocols::resolver_latency,
    )
    .takes(Takes::Json(of::<Switch>, r#"{"enabled": true}"#))
    .fails(CONFLICT),
    Route::new(
        "GET",
        "/routes",
        "The routes, in their order",
        Gives::Json(of::<Vec<routes::Shown<'_>>>),
        routes::list,
    ),
    Route::new(
        "POST",
        "/routes",
        "Puts a route behind the others",
        Gives::Json(of::<routes::Shown<'_>>),
        routes::create,
    )
    .takes(Takes::Json(of::<ChaosRoute>, r#"{"path": "/users/{id}", "latency": {"fixed_delay_ms": 100}}"#))
    .status(201)
    .fails(CONFLICT),
    Route::new(
        "GET",
        "/routes/{name}",
        "A route, by its id",
        Gives::Json(of::<routes::Shown<'_>>),
        routes::show,
    )
    .fails(&[404]),
    Route::new(
        "PUT",
        "/routes/{name}",
        "Puts another route in the place of one",
        Gives::Json(of::<routes::Shown<'_>>),
        routes::replace,
    )
    .takes(Takes::Json(of::<ChaosRoute>, r#"{"path": "/users/{id}", "latency": {"fixed_delay_ms": 100}}"#))
    .fails(&[404, 409]),
    Route::new("DELETE", "/routes/{name}", "Removes a route", Gives::Nothing, routes::remove)
        .status(204)
        .fails(&[404, 409]),
    Route::new(
        "GET",
        "/mutations",
        "The rules for JSON",
        Gives::Json(of::<Mutations>),
        mutations::show,
    ),
    Route::new("POST", "/mutations", "Puts other rules for JSON in their place", MESSAGE, mutations::replace)
        .takes(Takes::JsonOrYaml(
            of::<Mutations>,
            r#"{"rules": [{"name": "no-total", "operations": [{"type": "delete_field", "field": "total"}]}]}"#,
        ))
        .fails(CONFLICT),
    Route::new(
        "GET",
        "/mutations/stats",
        "What the rules for JSON have counted",
        Gives::Json(of::<MutationStats>),
        mutations::stats,
    ),
    Route::new("POST", "/mutations/reset", "Counts from the beginning again", MESSAGE, mutations::reset),
    Route::new(
        "GET",
        "/profiles",
        "The profiles: those that every proxy has, and those that are kept",
        Gives::Json(of::<Vec<profiles::Shown>>),
        profiles::list,
    ),
    Route::new(
        "POST",
        "/profiles",
        "Keeps a profile",
        Gives::Json(of::<profiles::Shown>),
        profiles::create,
    )
    .takes(Takes::Json(
        of::<ChaosProfile>,
        r#"{"name": "slow", "chaos_config": {"latency": {"fixed_delay_ms": 100}}}"#,
    ))
    .status(201)
    .fails(CONFLICT),
    Route::new(
        "POST",
        "/profiles/import",
        "Keeps the profile of a document",
        Gives::Json(of::<profiles::Shown>),
        profiles::import,
    )
    .takes(Takes::Json(
        of::<orchestration::Import>,
        r#"{"format": "yaml", "content": "name: slow\nchaos_config: { latency: { fixed_delay_ms: 100 } }\n"}"#,
    ))
    .status(201)
    .fails(CONFLICT),
    Route::new(
        "GET",
        "/profiles/{name}",
        "A profile",
        Gives::Json(of::<profiles::Shown>),
        profiles::show,
    )
    .fails(&[404]),
    Route::new(
        "DELETE",
        "/profiles/{name}",
        "Forgets a profile that is kept",
        Gives::Nothing,
        profiles::remove,
    )
    .status(204)
    .fails(&[404, 409]),
    Route::new(
        "POST",
        profiles::APPLY,
        "Does what a profile says, and nothing else",
        MESSAGE,
        profiles::apply,
    )
    .fails(&[404, 409, 415]),
    Route::new(
        "GET",
        "/profiles/{name}/export",
        "A profile as a document that can be imported",
        Gives::JsonOrYaml(of::<ChaosProfile>),
        profiles::export,
    )
    .query("format", &["json", "yaml"])
    .fails(&[404]),
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
