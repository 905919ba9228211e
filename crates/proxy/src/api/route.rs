//! What a route is, and how one is found. The same table answers requests and makes the description of the API.

use std::sync::Arc;

use hyper::Response;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::answer::Body;
use crate::service::Shared;

/// A path with a method, and what both do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    /// As HTTP writes it.
    pub(super) method: &'static str,
    /// Beneath the root. `{name}` is one part of it, whatever stands there.
    pub(super) path: &'static str,
    /// What it does, in a sentence without a full stop.
    pub(super) summary: &'static str,
    /// What may stand in its query.
    pub(super) query: Option<Choice>,
    pub(super) takes: Takes,
    pub(super) gives: Gives,
    /// The status of what it gives.
    pub(super) status: u16,
    /// The statuses of errors that are its own.
    pub(super) fails: &'static [u16],
    pub(super) does: Does,
}

/// A query that has one of these values, `name=value`, or is not there: then it is the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    pub(super) name: &'static str,
    pub(super) values: &'static [&'static str],
}

/// The body of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Takes {
    /// None, or an empty object.
    Nothing,
    /// JSON of this schema, such as this.
    Json(Described, &'static str),
    /// The same, or nothing.
    Perhaps(Described, &'static str),
    /// JSON of this schema, such as this, or YAML of it.
    JsonOrYaml(Described, &'static str),
}

/// The body of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gives {
    /// JSON of this schema.
    Json(Described),
    /// The same, or YAML of it, as the query chooses.
    JsonOrYaml(Described),
    /// JSON of any form.
    AnyJson,
    /// The text format of Prometheus.
    Metrics,
    /// Nothing.
    Nothing,
}

/// The schema of a type.
pub(super) type Described = fn(&mut SchemaGenerator) -> Schema;

/// What is done.
pub(super) type Does = fn(&Arc<Shared>, &Asked) -> Response<Body>;

/// What somebody asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// What stands in the place of `{name}`, as it was sent.
    pub(super) name: String,
    /// What its query chooses. Empty for a route that has none.
    pub(super) choice: &'static str,
    /// The body. Empty without one.
    pub(super) text: String,
}

/// The schema of a type.
pub(super) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Route {
    /// A route that takes nothing.
    pub(super) const fn new(
        method: &'static str,
        path: &'static str,
        summary: &'static str,
        gives: Gives,
        does: Does,
    ) -> Self {
        Self {
            method,
            path,
            summary,
            query: None,
            takes: Takes::Nothing,
            gives,
            status: 200,
            fails: &[],
            does,
        }
    }

    pub(super) const fn query(self, name: &'static str, values: &'static [&'static str]) -> Self {
        Self {
            query: Some(Choice { name, values }),
            ..self
        }
    }

    pub(super) const fn takes(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }

    pub(super) const fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(super) const fn fails(self, fails: &'static [u16]) -> Self {
        Self { fails, ..self }
    }

    /// What a query chooses.
    ///
    /// # Errors
    /// Why what it says would do nothing.
    pub(super) fn choice(&self, query: &str) -> Result<&'static str, String> {
        let Some(Choice { name, values }) = self.query else {
            return if query.is_empty() {
                Ok("")
            } else {
                Err("the path has no query: what it says would do nothing".to_owned())
            };
        };
        if query.is_empty() {
            return Ok(values.first().copied().unwrap_or_default());
        }
        let value = query.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
        let known = value.and_then(|value| values.iter().copied().find(|known| *known == value));
        known.ok_or_else(|| {
            let all: Vec<String> = values.iter().map(|value| format!("`{name}={value}`")).collect();
            format!("the path knows {} as its query, and nothing else", all.join(" and "))
        })
    }

    /// What stands in the place of `{name}`, or an empty text without such a place. `None`: this is another path.
    fn name<'p>(&self, path: &'p str) -> Option<&'p str> {
        let Some((before, after)) = self.path.split_once("{name}") else {
            return (self.path == path).then_some("");
        };
        let name = path.strip_prefix(before)?.strip_suffix(after)?;
        (!name.is_empty() && !name.contains('/')).then_some(name)
    }
}

/// What a path beneath the root is.
#[derive(Debug)]
pub(super) enum Found<'r> {
    /// This, with what stands in the place of `{name}`.
    Route(&'r Route, String),
    /// It has other methods: these.
    Methods(Vec<&'r str>),
    /// Nothing.
    Nothing,
}

/// Finds a route. A path without a variable comes before one with it.
pub(super) fn find<'r>(routes: &'r [Route], method: &str, path: &str) -> Found<'r> {
    let mut all: Vec<(&Route, &str)> = routes
        .iter()
        .filter_map(|route| Some((route, route.name(path)?)))
        .collect();
    if all.iter().any(|(_, name)| name.is_empty()) {
        all.retain(|(_, name)| name.is_empty());
    }
    match all.iter().find(|(route, _)| route.method == method) {
        Some((route, name)) => Found::Route(route, (*name).to_owned()),
        None if all.is_empty() => Found::Nothing,
        None => Found::Methods(all.iter().map(|(route, _)| route.method).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer;

    #[test]
    fn a_query_is_one_of_its_choices_or_none() {
        let plain = Route::new("GET", "/a", "", Gives::AnyJson, |_, _| answer::json(&()));
        assert_eq!(plain.choice(""), Ok(""));
        assert!(plain.choice("form=a").is_err());
        let choosing = plain.query("form", &["a", "b"]);
        assert_eq!((choosing.choice(""), choosing.choice("form=b")), (Ok("a"), Ok("b")));
        for other in ["form=c", "form=", "form", "form=a&form=b", "other=a", "forma"] {
            let why = choosing.choice(other).unwrap_err();
            assert!(why.contains("`form=a` and `form=b`"), "{other}: {why}");
        }
    }

    #[test]
    fn a_path_has_one_name_in_it_and_literal_paths_come_first() {
        const fn route(method: &'static str, path: &'static str) -> Route {
            Route::new(method, path, "", Gives::AnyJson, |_, _| answer::json(&()))
        }
        let routes = [
            route("GET", "/a/{name}"),
            route("GET", "/a/known"),
            route("POST", "/a/{name}/again"),
        ];
        let found = |method, path| match find(&routes, method, path) {
            Found::Route(route, name) => format!("{} {name}", route.path),
            Found::Methods(methods) => methods.join(","),
            Found::Nothing => "nothing".to_owned(),
        };
        for (method, path, expected) in [
            ("GET", "/a/x", "/a/{name} x"),
            ("GET", "/a/known", "/a/known "),
            ("POST", "/a/known", "GET"),
            ("POST", "/a/x/again", "/a/{name}/again x"),
            ("GET", "/a/x/again", "POST"),
            ("GET", "/a/", "nothing"),
            ("GET", "/a/x/y", "nothing"),
            ("POST", "/a//again", "nothing"),
            ("GET", "/a", "nothing"),
        ] {
            assert_eq!(found(method, path), expected, "{method} {path}");
        }
    }
}
