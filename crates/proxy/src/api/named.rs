//! Paths of the API with a part that somebody else names.

use std::sync::Arc;

use fracas_spec::{Chaos, Source, chaos};
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;

use super::{ROOT, mutations, profiles, refused, routes};
use crate::answer::{self, Body};
use crate::service::Shared;

/// What was asked for.
#[derive(Debug)]
pub(super) struct Call<'c> {
    pub(super) shared: &'c Arc<Shared>,
    pub(super) method: Method,
    /// The part that is named, with its percent encoding.
    pub(super) name: String,
    /// What stands behind the `?`.
    pub(super) query: Option<String>,
    /// What was sent.
    pub(super) text: String,
}

/// What such a path does.
pub(super) type Answers = fn(&Call<'_>) -> Response<Body>;

/// What stands before a name, what behind it, what is allowed there, and what it does.
static NAMED: &[(&str, &str, &[Method], Answers)] = &[
    ("/routes", "", &[Method::GET, Method::POST], routes::all),
    ("/mutations", "", &[Method::GET, Method::POST], mutations::all),
    ("/mutations/stats", "", &[Method::GET], mutations::stats),
    ("/mutations/reset", "", &[Method::POST], mutations::reset),
    ("/profiles", "", &[Method::GET, Method::POST], profiles::all),
    ("/profiles/import", "", &[Method::POST], profiles::import),
    ("/profiles/", "*", &[Method::GET, Method::DELETE], profiles::one),
    ("/profiles/", "*/apply", &[Method::POST], profiles::apply),
    ("/profiles/", "*/export", &[Method::GET], profiles::export),
    (
        "/routes/",
        "*",
        &[Method::GET, Method::PUT, Method::DELETE],
        routes::one,
    ),
];

/// The methods of a path, what it does, and the name in it. A `*` is the name, which has no slash.
pub(super) fn find(path: &str) -> Option<(&'static [Method], Answers, String)> {
    NAMED.iter().find_map(|(before, behind, methods, answers)| {
        let rest = path.strip_prefix(before)?;
        let name = match behind.strip_prefix('*') {
            Some(behind) => rest.strip_suffix(behind).filter(|name| !name.is_empty())?,
            None => rest.strip_suffix(behind)?,
        };
        let is_whole = behind.is_empty() == name.is_empty() && !name.contains('/');
        is_whole.then(|| (*methods, *answers, name.to_owned()))
    })
}

/// Something was made: where it is, and what.
pub(super) fn made(status: StatusCode, at: &str, value: &impl Serialize) -> Response<Body> {
    let mut made = answer::json(value);
    if made.status() == StatusCode::OK {
        *made.status_mut() = status;
        if let Ok(at) = HeaderValue::from_str(&format!("{ROOT}{at}")) {
            made.headers_mut().insert(LOCATION, at);
        }
    }
    made
}

/// Something was removed.
pub(super) fn gone() -> Response<Body> {
    let mut gone = answer::with(StatusCode::NO_CONTENT, "application/json", "");
    gone.headers_mut().clear();
    gone
}

/// Reads what was sent. An error is the answer that says what is wrong.
pub(super) fn read<T: Chaos>(text: String) -> Result<T, Box<Response<Body>>> {
    let source = Source {
        name: "the body of the request".to_owned(),
        text,
    };
    // What comes from the network reads no variable of ours.
    chaos::<T>(&source, &|_| None).map_err(|problems| Box::new(refused(&problems)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(find("/profiles/a/export").map(|(.., name)| name).as_deref(), Some("a"));
        assert_eq!(
            find("/profiles/import").map(|(methods, ..)| methods),
            Some(&[Method::POST][..])
        );
        let name = |path: &str| find(path).map(|(.., name)| name);
        assert_eq!(name("/routes").as_deref(), Some(""));
        assert_eq!(name("/routes/ab").as_deref(), Some("ab"));
        for path in [
            "",
            "/",
            "/routess",
            "/routes/",
            "/routes//",
            "/routes/a/b",
            "/profiles//apply",
            "/routes/a/",
        ] {
            assert_eq!(name(path), None, "{path}");
        }
    }
}
