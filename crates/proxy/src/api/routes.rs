//! Routes by REST: one at a time, while the others stay as they are.

use fracas_core::chaos::Route;
use hyper::{Method, Response, StatusCode};
use serde::Serialize;

use super::change;
use super::named::{Call, gone, made, read};
use crate::answer::{self, Body};

/// A route, and by what it is called.
#[derive(Debug, Serialize)]
struct Shown<'r> {
    id: String,
    #[serde(flatten)]
    route: &'r Route,
}

impl<'r> Shown<'r> {
    fn of(route: &'r Route) -> Self {
        Self { id: route.id(), route }
    }
}

/// Lists them in their order, or puts one behind them.
pub(super) fn all(call: &Call<'_>) -> Response<Body> {
    if call.method == Method::GET {
        let base = call.shared.live.base();
        let shown: Vec<Shown<'_>> = base.routes.iter().map(Shown::of).collect();
        return answer::json(&shown);
    }
    let route = match read::<Route>(call.text.clone()) {
        Ok(route) => route,
        Err(refused) => return *refused,
    };
    let id = route.id();
    let mut failed = None;
    let busy = change(call.shared, |config| {
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

/// Shows one, replaces it where it stands, or removes it.
pub(super) fn one(call: &Call<'_>) -> Response<Body> {
    let id = call.name.as_str();
    let unknown = || {
        answer::problem(
            StatusCode::NOT_FOUND,
            "there is no route of this id: GET /api/chaos/routes lists them",
        )
    };
    if call.method == Method::GET {
        let base = call.shared.live.base();
        let found = place(&base.routes, id).and_then(|at| base.routes.get(at));
        return found.map_or_else(unknown, |route| answer::json(&Shown::of(route)));
    }
    if call.method == Method::DELETE {
        let mut is_known = false;
        let busy = change(call.shared, |config| {
            let before = config.routes.len();
            config.routes.retain(|route| route.id() != id);
            is_known = config.routes.len() < before;
        });
        return busy.unwrap_or_else(|| if is_known { gone() } else { unknown() });
    }
    let route = match read::<Route>(call.text.clone()) {
        Ok(route) => route,
        Err(refused) => return *refused,
    };
    let new = route.id();
    let mut failed = None;
    let busy = change(call.shared, |config| {
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
