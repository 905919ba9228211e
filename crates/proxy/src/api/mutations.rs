//! Rules for JSON by REST, and what they have counted.

use fracas_spec::Source;
use hyper::{Method, Response};

use super::named::Call;
use super::{change, done, refused};
use crate::answer::{self, Body};

/// Where they are. It takes YAML, too.
pub(super) const PATH: &str = "/mutations";

/// Shows the block, or puts another in its place: the block, or a list of rules.
pub(super) fn all(call: &Call<'_>) -> Response<Body> {
    if call.method == Method::GET {
        return answer::json(&call.shared.live.base().mutations.unwrap_or_default());
    }
    let source = Source {
        name: "the body of the request".to_owned(),
        text: call.text.clone(),
    };
    // What comes from the network reads no variable of ours.
    match fracas_spec::mutations(&source, &|_| None) {
        Ok(block) => {
            let message = format!("Mutation rules updated ({} rules)", block.rules.len());
            change(call.shared, |config| config.mutations = Some(block)).unwrap_or_else(|| done(&message))
        }
        Err(problems) => refused(&problems),
    }
}

/// Shows what those that act have counted.
pub(super) fn stats(call: &Call<'_>) -> Response<Body> {
    let active = call.shared.live.now();
    match active.all_mutations() {
        Some(mutations) => answer::json(&mutations.stats()),
        None => answer::json(&call.shared.live.mutated().alone()),
    }
}

/// Counts from the beginning again.
pub(super) fn reset(call: &Call<'_>) -> Response<Body> {
    match call.shared.live.now().all_mutations() {
        Some(mutations) => mutations.reset(),
        None => call.shared.live.mutated().reset(),
    }
    done("Mutation counters reset")
}
