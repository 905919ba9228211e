//! Orchestrations by REST.

use std::sync::Arc;

use fracas_core::chaos::{Orchestration, PREDEFINED, Plan, Predefined};
use fracas_core::problem::{Problem, codes};
use fracas_spec::{Source, orchestration};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{done, refused};
use crate::answer::{self, Body};
use crate::orchestra::{self, Orchestra, Refused};
use crate::service::Shared;

/// A document in another one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Import {
    content: String,
    /// JSON is a part of YAML, so both are read in the same way; it is checked all the same.
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Yaml,
    Json,
}

/// A scenario that has a name.
#[derive(Debug, Serialize)]
pub(super) struct Known {
    name: &'static str,
    description: &'static str,
    tags: &'static [&'static str],
}

/// Begins the orchestration that was sent, or with an empty body the one that was imported.
pub(super) fn start(shared: &Arc<Shared>, text: Option<String>) -> Response<Body> {
    if shared.passthrough.is_some() {
        let what = "an orchestration cannot act: its steps are about requests";
        return refused(&[Problem::new(&codes::PASSED_THROUGH, what)]);
    }
    let text = text.unwrap_or_default();
    let orchestration = if text.trim().is_empty() {
        match shared.orchestra.imported() {
            Some(imported) => imported,
            None => return answer::problem(StatusCode::CONFLICT, "nothing was sent, and nothing was imported"),
        }
    } else {
        match read("the body of the request", text) {
            Ok(read) => read,
            Err(problems) => return refused(&problems),
        }
    };
    let Ok(plan) = Plan::new(&orchestration) else {
        return answer::problem(StatusCode::UNPROCESSABLE_ENTITY, "it is not known what a step does");
    };
    let message = format!("Orchestration '{}' started successfully", orchestration.name);
    match orchestra::start(shared, orchestration, plan) {
        Ok(()) => done(&message),
        Err(Refused::Another) => {
            let why = "another orchestration runs: POST /api/chaos/orchestration/stop ends it";
            answer::problem(StatusCode::CONFLICT, why)
        }
        Err(Refused::Ends) => answer::problem(StatusCode::SERVICE_UNAVAILABLE, "the proxy ends"),
    }
}

/// Keeps the orchestration that was sent, for `start` and `export`.
pub(super) fn import(shared: &Arc<Shared>, text: Option<String>) -> Response<Body> {
    let import: Import = match serde_json::from_str(&text.unwrap_or_default()) {
        Ok(import) => import,
        Err(error) => return answer::problem(StatusCode::BAD_REQUEST, &format!("the body is no import: {error}")),
    };
    if let Some(Format::Json) = import.format
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&import.content)
    {
        return answer::problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            &format!("`content` is no JSON: {error}"),
        );
    }
    match read("content", import.content) {
        Ok(orchestration) => {
            let (name, steps) = (&orchestration.name, orchestration.steps.len());
            let message = format!("Orchestration '{name}' imported successfully ({steps} steps)");
            shared.orchestra.import(orchestration);
            done(&message)
        }
        Err(problems) => refused(&problems),
    }
}

/// The orchestration that was imported, as `start` and `import` take it.
pub(super) fn export(shared: &Arc<Shared>) -> Response<Body> {
    match shared.orchestra.imported() {
        Some(imported) => match fracas_spec::orchestration_text(&imported) {
            Ok(text) => answer::with(StatusCode::OK, "application/json", text),
            Err(_) => answer::problem(StatusCode::INTERNAL_SERVER_ERROR, "it has no JSON form"),
        },
        None => answer::problem(StatusCode::NOT_FOUND, "no orchestration was imported"),
    }
}

/// Ends the one that runs.
pub(super) fn stop(shared: &Arc<Shared>, _: Option<String>) -> Response<Body> {
    if Orchestra::stop(shared) {
        done("Orchestration stopped")
    } else {
        answer::problem(StatusCode::CONFLICT, "no orchestration runs")
    }
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

fn read(name: &str, text: String) -> Result<Orchestration, Vec<Box<Problem>>> {
    let source = Source {
        name: name.to_owned(),
        text,
    };
    // What comes from the network reads no variable of ours.
    orchestration(&source, &|_| None, None)
}
