//! Rules for JSON by REST, and what they have counted.

use std::sync::Arc;

use fracas_spec::Source;
use hyper::Response;

use super::route::Asked;
use super::{done, put_read, refused};
use crate::answer::{self, Body};
use crate::service::Shared;

/// Shows the block.
pub(super) fn show(shared: &Arc<Shared>, _asked: &Asked) -> Response<Body> {
    answer::json(&shared.live.base().mutations.unwrap_or_default())
}

/// Puts another in its place: the block, or a list of rules.
pub(super) fn replace(shared: &Arc<Shared>, asked: &Asked) -> Response<Body> {
    let source = Source {
        name: "the body of the request".to_owned(),
        text: asked.text.clone(),
    };
    // What comes from the network reads no variable of ours.
    match fracas_spec::mutations(&source, &|_| None) {
        Ok(block) => {
            let message = format!("Mutation rules updated ({} rules)", block.rules.len());
            put_read(shared, block, &message, |config, block| config.mutations = Some(block))
        }
        Err(problems) => refused(&problems),
    }
}

/// Shows what those that act have counted.
pub(super) fn stats(shared: &Arc<Shared>, _asked: &Asked) -> Response<Body> {
    let active = shared.live.now();
    match active.all_mutations() {
        Some(mutations) => answer::json(&mutations.stats()),
        None => answer::json(&shared.live.mutated().alone()),
    }
}

/// Counts from the beginning again.
pub(super) fn reset(shared: &Arc<Shared>, _asked: &Asked) -> Response<Body> {
    match shared.live.now().all_mutations() {
        Some(mutations) => mutations.reset(),
        None => shared.live.mutated().reset(),
    }
    done("Mutation counters reset")
}
