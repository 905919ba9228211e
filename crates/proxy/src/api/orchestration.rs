//! Orchestrations by REST.

use std::sync::Arc;

use fracas_core::chaos::{Orchestration, Plan};
use fracas_core::problem::Problem;
use fracas_spec::{Export as _, Source, orchestration};
use hyper::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use super::route::Asked;
use super::{done, refused, unread};
use crate::answer::{self, Body};
use crate::listeners;
use crate::orchestra::{self, Refused};
use crate::service::Shared;
use crate::tls::passthrough;

/// A document in another one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ImportDocument")]
pub(super) struct Import {
    /// The document.
    pub(super) content: String,
    /// JSON is a part of YAML, so both are read in the same way; it is checked all the same.
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    Yaml,
    Json,
}

impl Import {
    /// Reads one. An error is the answer that says what is wrong.
    pub(super) fn read(text: &str) -> Result<Self, Box<Response<Body>>> {
        let import: Self = serde_json::from_str(text).map_err(|error| Box::new(unread(&error)))?;
        if let Some(Format::Json) = import.format
            && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&import.content)
        {
            let why = format!("`content` is no JSON: {error}");
            return Err(Box::new(answer::problem(StatusCode::UNPROCESSABLE_ENTITY, &why)));
        }
        Ok(import)
    }
}

/// Begins the orchestration that was sent, or with an empty body the one that was imported.
pub(super) fn start(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    if shared.passthrough.is_some() {
        return refused(&[passthrough::no_orchestration()]);
    }
    let text = asked.text.clone();
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
    if let Some(why) = shared.orchestra.forbids(&orchestration) {
        return answer::problem(StatusCode::FORBIDDEN, why);
    }
    let wrong = listeners::steps_refused_by(shared, &orchestration);
    if !wrong.is_empty() {
        return refused(&wrong);
    }
    let Ok(plan) = Plan::new(&orchestration) else {
        return answer::problem(StatusCode::UNPROCESSABLE_ENTITY, "it is not known what a step does");
    };
    let message = format!("Orchestration '{}' started successfully", orchestration.name);
    match orchestra::start(shared, orchestration, plan, false) {
        Ok(()) => done(&message),
        Err(Refused::Another) => {
            let why = "another orchestration runs: POST /api/chaos/orchestration/stop ends it";
            answer::problem(StatusCode::CONFLICT, why)
        }
        Err(Refused::Scenarios) => {
            let why = "scenarios say what is done to traffic: DELETE /api/chaos/scenarios stops them";
            answer::problem(StatusCode::CONFLICT, why)
        }
        Err(Refused::Ends) => answer::problem(StatusCode::SERVICE_UNAVAILABLE, "the proxy ends"),
    }
}

/// Keeps the orchestration that was sent, for `start` and `export`.
pub(super) fn import(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    let import = match Import::read(&asked.text) {
        Ok(import) => import,
        Err(refused) => return *refused,
    };
    match read("content", import.content) {
        Ok(orchestration) => {
            if let Some(why) = shared.orchestra.forbids(&orchestration) {
                return answer::problem(StatusCode::FORBIDDEN, why);
            }
            let wrong = listeners::steps_refused_by(shared, &orchestration);
            if !wrong.is_empty() {
                return refused(&wrong);
            }
            let (name, steps) = (&orchestration.name, orchestration.steps.len());
            let message = format!("Orchestration '{name}' imported successfully ({steps} steps)");
            shared.orchestra.import(orchestration);
            done(&message)
        }
        Err(problems) => refused(&problems),
    }
}

/// The orchestration that was imported, as `start` and `import` take it: JSON, or YAML if it is asked for.
pub(super) fn export(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    let Some(imported) = shared.orchestra.imported() else {
        return answer::problem(StatusCode::NOT_FOUND, "no orchestration was imported");
    };
    let (kind, text) = match asked.choice {
        // RFC 9512
        "yaml" => ("application/yaml", imported.to_yaml()),
        _ => ("application/json", imported.to_json()),
    };
    match text {
        Ok(text) => answer::with(StatusCode::OK, kind, text),
        Err(_) => answer::problem(StatusCode::INTERNAL_SERVER_ERROR, "it has no form as text"),
    }
}

fn read(name: &str, text: String) -> Result<Orchestration, Vec<Box<Problem>>> {
    let source = Source {
        name: name.to_owned(),
        text,
    };
    // What comes from the network reads no variable of ours.
    orchestration(&source, &|_| None, None)
}
