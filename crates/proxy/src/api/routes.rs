//! Routes by REST: one at a time, while the others stay as they are.

use std::sync::Arc;

use fracas_core::chaos::Route;
use hyper::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::made::{gone, made, read};
use super::route::Asked;
use super::{changed, refused};
use crate::answer::{self, Body};
use crate::listeners;
use crate::service::Shared;

/// A route, and by what it is called.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ShownRoute")]
pub(super) struct Shown<'r> {
    /// By which it is shown, replaced and removed.
    id: String,
    #[serde(flatten)]
    route: &'r Route,
}

impl<'r> Shown<'r> {
    fn of(route: &'r Route) -> Self {
        Self { id: route.id(), route }
    }
}

/// Lists them in their order.
pub(super) fn list(shared: &Arc<Shared>, _asked: &Asked) -> Response<Body> {
    let base = shared.live.base();
    let shown: Vec<Shown<'_>> = base.routes.iter().map(Shown::of).collect();
    answer::json(&shown)
}

/// Puts one behind them.
pub(super) fn create(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    let route = match read::<Route>(&asked.text) {
        Ok(route) => route,
        Err(refused) => return *refused,
    };
    let wrong = listeners::route_refused_by(shared, &route);
    if !wrong.is_empty() {
        return refused(&wrong);
    }
    let id = route.id();
    let mut failed = None;
    let busy = changed(shared, |config| {
        failed = if place(&config.routes, &id).is_some() {
            Some(taken(&route))
        } else if let Some(before) = config.routes.iter().find(|before| before.covers(&route)) {
            Some(covered(before, &route))
        } else if config.routes.len() >= Route::MOST {
            let why = format!("there are {} routes, and no room for another", Route::MOST);
            Some(answer::problem(StatusCode::CONFLICT, &why))
        } else {
            config.routes.push(route.clone());
            None
        };
    });
    let created = || made(StatusCode::CREATED, &format!("/routes/{id}"), &Shown::of(&route));
    busy.or(failed).unwrap_or_else(created)
}

/// Shows one.
pub(super) fn show(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    let base = shared.live.base();
    let found = place(&base.routes, &asked.name).and_then(|at| base.routes.get(at));
    found.map_or_else(unknown, |route| answer::json(&Shown::of(route)))
}

/// Removes one.
pub(super) fn remove(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    let mut is_known = false;
    let busy = changed(shared, |config| {
        let before = config.routes.len();
        config.routes.retain(|route| route.id() != asked.name);
        is_known = config.routes.len() < before;
    });
    busy.unwrap_or_else(|| if is_known { gone() } else { unknown() })
}

/// Replaces one where it stands.
pub(super) fn replace(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    let id = asked.name.as_str();
    let route = match read::<Route>(&asked.text) {
        Ok(route) => route,
        Err(refused) => return *refused,
    };
    let wrong = listeners::route_refused_by(shared, &route);
    if !wrong.is_empty() {
        return refused(&wrong);
    }
    let new = route.id();
    let mut failed = None;
    let busy = changed(shared, |config| {
        let other = place(&config.routes, &new).filter(|_| new != id);
        failed = match place(&config.routes, id) {
            None => Some(unknown()),
            Some(_) if other.is_some() => Some(taken(&route)),
            Some(at) => {
                let (before, behind) = (&config.routes[..at], &config.routes[at + 1..]);
                let over = before.iter().find(|before| before.covers(&route));
                let under = behind.iter().find(|behind| route.covers(behind));
                let never = over.map(|over| covered(over, &route));
                let never = never.or_else(|| under.map(|under| covered(&route, under)));
                if never.is_none() {
                    config.routes[at].clone_from(&route);
                }
                never
            }
        };
    });
    let replaced = || made(StatusCode::OK, &format!("/routes/{new}"), &Shown::of(&route));
    busy.or(failed).unwrap_or_else(replaced)
}

fn unknown() -> Response<Body> {
    let why = "there is no route of this id: GET /api/chaos/routes lists them";
    answer::problem(StatusCode::NOT_FOUND, why)
}

fn place(routes: &[Route], id: &str) -> Option<usize> {
    routes.iter().position(|route| route.id() == id)
}

fn covered(before: &Route, route: &Route) -> Response<Body> {
    let why = format!(
        "the route {} would never be met: all its requests are of {}, which stands before it",
        route.key(),
        before.key()
    );
    answer::problem(StatusCode::CONFLICT, &why)
}

fn taken(route: &Route) -> Response<Body> {
    let why = format!(
        "there is a route {} already: PUT /api/chaos/routes/{} replaces it",
        route.key(),
        route.id()
    );
    answer::problem(StatusCode::CONFLICT, &why)
}
