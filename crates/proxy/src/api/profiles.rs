//! Profiles by REST: those that every proxy has, and those of somebody's own.

use std::sync::Arc;

use fracas_core::chaos::{ChaosProfile, KnownProfile, PROFILES};
use fracas_spec::{ProfileForm, Source, chaos, profile_text};
use hyper::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::made::{gone, made, read};
use super::orchestration::Import;
use super::route::Asked;
use super::{change, refused};
use crate::answer::{self, Body};
use crate::listeners;
use crate::profiles::{LARGEST, MOST, NotKept};
use crate::service::Shared;

/// By which one is applied.
pub(super) const APPLY: &str = "/profiles/{name}/apply";

/// A profile, and whether every proxy has it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ShownProfile")]
pub(super) struct Shown {
    #[serde(flatten)]
    profile: ChaosProfile,
    builtin: bool,
}

/// Lists them.
pub(super) fn list(shared: &Arc<Shared>, _asked: &Asked) -> Response<Body> {
    let known = PROFILES.iter().map(|one| shown(one.profile(), true));
    let own = shared.profiles.all().into_iter();
    let all: Vec<Shown> = known.chain(own.map(|one| shown(one, false))).collect();
    answer::json(&all)
}

/// Keeps another.
pub(super) fn create(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    match read(&asked.text) {
        Ok(profile) => keep(shared, profile),
        Err(refused) => *refused,
    }
}

/// Keeps another, that stands as a document in what was sent.
pub(super) fn import(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    let import = match Import::read(&asked.text) {
        Ok(import) => import,
        Err(refused) => return *refused,
    };
    let source = Source {
        name: "content".to_owned(),
        text: import.content,
    };
    // What comes from the network reads no variable of ours.
    match chaos(&source, &|_| None) {
        Ok(profile) => keep(shared, profile),
        Err(problems) => refused(&problems),
    }
}

/// Shows one.
pub(super) fn show(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    named(shared, &asked.name).map_or_else(unknown, |(profile, builtin)| answer::json(&shown(profile, builtin)))
}

/// Forgets one.
pub(super) fn remove(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    match named(shared, &asked.name) {
        Some((_, true)) => {
            let why = "every proxy has this profile: it cannot be removed";
            answer::problem(StatusCode::CONFLICT, why)
        }
        Some(_) if shared.profiles.forget(&asked.name) => gone(),
        _ => unknown(),
    }
}

/// Does what it says, and nothing else.
pub(super) fn apply(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    let Some((profile, _)) = named(shared, &asked.name) else {
        return unknown();
    };
    let wrong = listeners::refused_by(shared, &profile.chaos_config);
    if !wrong.is_empty() {
        return refused(&wrong);
    }
    let message = format!("Profile '{}' applied", profile.name);
    change(shared, &message, |config| *config = profile.chaos_config)
}

/// Shows one as a document, that can be imported.
pub(super) fn export(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    let (form, kind) = match asked.choice {
        "yaml" => (ProfileForm::Yaml, "application/yaml"),
        _ => (ProfileForm::Json, "application/json"),
    };
    let Some((profile, _)) = named(shared, &asked.name) else {
        return unknown();
    };
    match profile_text(&profile, form) {
        Ok(text) => answer::with(StatusCode::OK, kind, text),
        Err(problem) => answer::problem(StatusCode::INTERNAL_SERVER_ERROR, &problem.line()),
    }
}

fn keep(shared: &Shared, profile: ChaosProfile) -> Response<Body> {
    let at = format!("/profiles/{}", profile.name);
    let why = match shared.profiles.keep(profile.clone()) {
        Ok(()) => return made(StatusCode::CREATED, &at, &shown(profile, false)),
        Err(NotKept::Known) => "there is a profile of this name: DELETE removes it".to_owned(),
        Err(NotKept::Full) => format!("there are {MOST} profiles, and no room for another: DELETE removes one"),
        Err(NotKept::Large) => {
            let why = format!("a profile is no larger than {} KiB", LARGEST / 1024);
            return answer::problem(StatusCode::PAYLOAD_TOO_LARGE, &why);
        }
    };
    answer::problem(StatusCode::CONFLICT, &why)
}

/// The profile of this name, and whether every proxy has it.
fn named(shared: &Shared, name: &str) -> Option<(ChaosProfile, bool)> {
    let known = KnownProfile::named(name).map(|known| (known.profile(), true));
    known.or_else(|| Some((shared.profiles.get(name)?, false)))
}

fn shown(profile: ChaosProfile, builtin: bool) -> Shown {
    Shown { profile, builtin }
}

fn unknown() -> Response<Body> {
    let why = "there is no profile of this name: GET /api/chaos/profiles lists them";
    answer::problem(StatusCode::NOT_FOUND, why)
}
