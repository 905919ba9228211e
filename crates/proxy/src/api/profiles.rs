//! Profiles by REST: those that every proxy has, and those of somebody's own.

use fracas_core::chaos::{ChaosProfile, KnownProfile, PROFILES};
use fracas_spec::{ProfileForm, Source, chaos, profile_text};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;

use super::named::{Call, gone, made, read};
use super::orchestration::Import;
use super::{change, done, refused};
use crate::answer::{self, Body};
use crate::profiles::{LARGEST, MOST, NotKept};
use crate::service::Shared;

/// A profile, and whether every proxy has it.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    profile: ChaosProfile,
    builtin: bool,
}

/// Lists them, or keeps another.
pub(super) fn all(call: &Call<'_>) -> Response<Body> {
    if call.method == Method::GET {
        let known = PROFILES.iter().map(|one| shown(one.profile(), true));
        let own = call.shared.profiles.all().into_iter();
        let all: Vec<Shown> = known.chain(own.map(|one| shown(one, false))).collect();
        return answer::json(&all);
    }
    match read(call.text.clone()) {
        Ok(profile) => keep(call.shared, profile),
        Err(refused) => *refused,
    }
}

/// Keeps another, that stands as a document in what was sent.
pub(super) fn import(call: &Call<'_>) -> Response<Body> {
    let import = match Import::read(&call.text) {
        Ok(import) => import,
        Err(refused) => return *refused,
    };
    let source = Source {
        name: "content".to_owned(),
        text: import.content,
    };
    // What comes from the network reads no variable of ours.
    match chaos(&source, &|_| None) {
        Ok(profile) => keep(call.shared, profile),
        Err(problems) => refused(&problems),
    }
}

/// Shows one, or forgets it.
pub(super) fn one(call: &Call<'_>) -> Response<Body> {
    let Some((profile, builtin)) = named(call.shared, &call.name) else {
        return unknown();
    };
    if call.method == Method::GET {
        return answer::json(&shown(profile, builtin));
    }
    if builtin {
        let why = "every proxy has this profile: it cannot be removed";
        return answer::problem(StatusCode::CONFLICT, why);
    }
    if call.shared.profiles.forget(&call.name) {
        gone()
    } else {
        unknown()
    }
}

/// Whether this is the path by which one is applied.
pub(super) fn applies(path: &str) -> bool {
    path.starts_with("/profiles/") && path.ends_with("/apply")
}

/// Does what it says, and nothing else.
pub(super) fn apply(call: &Call<'_>) -> Response<Body> {
    let Some((profile, _)) = named(call.shared, &call.name) else {
        return unknown();
    };
    let message = format!("Profile '{}' applied", profile.name);
    change(call.shared, |config| *config = profile.chaos_config).unwrap_or_else(|| done(&message))
}

/// Shows one as a document, that can be imported.
pub(super) fn export(call: &Call<'_>) -> Response<Body> {
    let (form, kind) = match call.query.as_deref() {
        None | Some("" | "format=json") => (ProfileForm::Json, "application/json"),
        Some("format=yaml") => (ProfileForm::Yaml, "application/yaml"),
        Some(_) => {
            let why = "what stands behind the `?` is `format=json`, `format=yaml` or nothing";
            return answer::problem(StatusCode::BAD_REQUEST, why);
        }
    };
    let Some((profile, _)) = named(call.shared, &call.name) else {
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
