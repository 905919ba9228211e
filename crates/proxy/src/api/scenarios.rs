//! Scenarios that have a name, by REST.

use std::sync::Arc;
use std::time::Duration;

use fracas_core::chaos::{PREDEFINED, Predefined};
use hyper::{Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::route::Asked;
use super::{done, refused, unread};
use crate::answer::{self, Body};
use crate::listeners;
use crate::orchestra::Refused;
use crate::scenarios;
use crate::service::Shared;

/// The longest that one may be asked to act, in seconds: 30 days, as a step of an orchestration.
const LONGEST: f64 = 2_592_000.0;

/// A scenario that has a name.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PredefinedScenario")]
pub(super) struct Known {
    name: &'static str,
    description: &'static str,
    tags: &'static [&'static str],
}

/// How a scenario is to act.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "StartScenario")]
pub(super) struct Start {
    /// For how many seconds, from 0.001 to 30 days, 2592000; 0: until somebody stops it.
    #[serde(default)]
    duration_seconds: f64,
}

/// All scenarios that have a name.
pub(super) fn predefined() -> Vec<Known> {
    let known = |one: &Predefined| Known {
        name: one.name,
        description: one.description,
        tags: one.tags,
    };
    PREDEFINED.iter().map(known).collect()
}

/// Starts one.
pub(super) fn start(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    let Some(known) = Predefined::named(&asked.name) else {
        let why = "no scenario has this name: GET /api/chaos/scenarios/predefined lists them";
        return answer::problem(StatusCode::NOT_FOUND, why);
    };
    let start = if asked.text.trim().is_empty() {
        Start::default()
    } else {
        match serde_json::from_str::<Start>(&asked.text) {
            Ok(start) => start,
            Err(error) => return unread(&error),
        }
    };
    let seconds = start.duration_seconds;
    if seconds != 0.0 && !(0.001..=LONGEST).contains(&seconds) {
        let why = format!("`duration_seconds` must be 0, or from 0.001 to {LONGEST}, 30 days, not {seconds}");
        return answer::problem(StatusCode::UNPROCESSABLE_ENTITY, &why);
    }
    let length = (seconds != 0.0).then(|| Duration::from_secs_f64(seconds));
    let Ok(config) = known.chaos_config() else {
        return answer::problem(StatusCode::INTERNAL_SERVER_ERROR, "it is not known what it does");
    };
    let wrong = listeners::refused_by(shared, &config);
    if !wrong.is_empty() {
        return refused(&wrong);
    }
    match scenarios::start(shared, known, config, length) {
        Ok(()) => done(&format!("Scenario '{}' started", known.name)),
        Err(Refused::Ends) => answer::problem(StatusCode::SERVICE_UNAVAILABLE, "the proxy ends"),
        Err(Refused::Another | Refused::Scenarios) => answer::problem(StatusCode::CONFLICT, super::BY_ORCHESTRATION),
    }
}

/// Stops one.
pub(super) fn stop(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    if scenarios::stop(shared, &asked.name) {
        done(&format!("Scenario '{}' stopped", asked.name))
    } else {
        let why = "no scenario of this name is active: GET /api/chaos/scenarios lists those that are";
        answer::problem(StatusCode::NOT_FOUND, why)
    }
}

/// Stops all.
pub(super) fn stop_all(shared: &Arc<Shared>, _: &Asked) -> Response<Body> {
    match scenarios::stop_all(shared) {
        1 => done("1 scenario stopped"),
        count => done(&format!("{count} scenarios stopped")),
    }
}
