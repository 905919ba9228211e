//! The description of the API, made from the table of its routes and from the types that they read and write.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::ROOT;
use super::route::{Choice, Gives, Route, Takes, of};
use super::table::ROUTES;
use crate::answer::Details;

/// Where types are described.
const SCHEMAS: &str = "/components/schemas";

/// What every route may answer: a query that it has not, a page of another site, another machine, a body that it does not want or that
/// does not come, a coding that nobody knows, and a value that has no form.
const EVERY: &[u16] = &[400, 403, 408, 413, 415, 500, 501];
/// What whoever takes a body may answer besides.
const WITH_BODY: &[u16] = &[422];

/// The OpenAPI 3.1 description of the API beneath `/api/chaos/`.
pub fn openapi() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = of::<Details<'_>>(&mut generator).to_value();
    let mut paths = Map::new();
    for route in ROUTES {
        let mut schema = |described: super::route::Described| described(&mut generator).to_value();
        let mut operation = json!({ "summary": route.summary, "responses": responses(route, &problem, &mut schema) });
        if let Takes::Json(described, example)
        | Takes::Perhaps(described, example)
        | Takes::JsonOrYaml(described, example) = route.takes
        {
            // A test reads them all.
            let example: Value = serde_json::from_str(example).unwrap_or_default();
            let content = json!({ "schema": schema(described), "example": example });
            operation["requestBody"] = json!({
                "required": !matches!(route.takes, Takes::Perhaps(..)),
                "content": { "application/json": content },
            });
            if matches!(route.takes, Takes::JsonOrYaml(..)) {
                operation["requestBody"]["content"]["application/yaml"] = content;
            }
        }
        if let Some(Choice { name, values }) = route.query {
            let schema = json!({ "type": "string", "enum": values, "default": values.first() });
            operation["parameters"] = json!([{ "name": name, "in": "query", "schema": schema }]);
        }
        let path = paths
            .entry(format!("{ROOT}{}", route.path))
            .or_insert_with(|| json!({}));
        path[route.method.to_lowercase()] = operation;
        if route.path.contains("{name}") {
            path["parameters"] =
                json!([{ "name": "name", "in": "path", "required": true, "schema": { "type": "string" } }]);
        }
    }
    let mut schemas: Value = Value::Object(generator.take_definitions(true));
    // A name alone, as every document of an orchestration may have it.
    schemas["Scenario"]["type"] = json!(["object", "string"]);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Fracas proxy",
            "description": "What `fracas proxy` does to traffic, read and changed while it passes. Each error is a problem of RFC 9457.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:3000" }],
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

fn responses(route: &Route, problem: &Value, schema: &mut dyn FnMut(super::route::Described) -> Value) -> Value {
    let content = match route.gives {
        Gives::Json(described) => json!({ "application/json": { "schema": schema(described) } }),
        Gives::JsonOrYaml(described) => {
            let schema = schema(described);
            json!({ "application/json": { "schema": schema }, "application/yaml": { "schema": schema } })
        }
        Gives::AnyJson => json!({ "application/json": { "schema": { "type": "object" } } }),
        Gives::Metrics => json!({ "text/plain": { "schema": { "type": "string" } } }),
        Gives::Nothing => json!({}),
    };
    let mut all = json!({ route.status.to_string(): { "description": "It is so", "content": content } });
    let with_body: &[u16] = match route.takes {
        Takes::Nothing => &[],
        Takes::Json(..) | Takes::Perhaps(..) | Takes::JsonOrYaml(..) => WITH_BODY,
    };
    for status in [EVERY, with_body, route.fails].concat() {
        let words = hyper::StatusCode::from_u16(status).ok();
        let words = words.and_then(|status| status.canonical_reason()).unwrap_or("Error");
        all[status.to_string()] = json!({
            "description": words,
            "content": { "application/problem+json": { "schema": problem } },
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_there_once_with_an_example_of_what_it_takes() {
        let all = openapi();
        let paths = all["paths"].as_object().unwrap();
        let methods = |path: &Value| {
            path.as_object()
                .unwrap()
                .keys()
                .filter(|key| *key != "parameters")
                .count()
        };
        assert_eq!(paths.values().map(methods).sum::<usize>(), ROUTES.len());
        for route in ROUTES {
            if let Takes::Json(_, example) | Takes::Perhaps(_, example) | Takes::JsonOrYaml(_, example) = route.takes {
                let example: Value = serde_json::from_str(example).unwrap();
                assert!(example.is_object(), "{}", route.path);
            }
            assert!(
                !route.summary.is_empty() && !route.summary.ends_with('.'),
                "{}",
                route.path
            );
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn look(value: &Value, all: &Value) {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(to)) = map.get("$ref") {
                        assert!(all.pointer(to.trim_start_matches('#')).is_some(), "{to}");
                    }
                    map.values().for_each(|one| look(one, all));
                }
                Value::Array(list) => list.iter().for_each(|one| look(one, all)),
                _ => {}
            }
        }
        let all = openapi();
        look(&all, &all);
        let names = all["components"]["schemas"].as_object().unwrap();
        // Two types of one name: the second would get a number that means nothing to anybody.
        assert!(
            names
                .keys()
                .all(|name| !name.ends_with(|last: char| last.is_ascii_digit())),
            "{names:?}"
        );
    }
}
