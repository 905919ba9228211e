//! Containers that are protected because they measure, or hold up what does: their packets are left alone, too.

use std::net::IpAddr;

use fracas_core::problem::codes::TARGET_READ;
use fracas_core::problem::{Problem, Result};
use fracas_docker::{Details, Engine, Published};
use futures_util::{StreamExt, TryStreamExt};

use crate::container::{self, AT_ONCE, own_groups};
use crate::protect::Protection;

/// A running container that is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarded {
    /// Its name.
    pub name: String,
    /// Its addresses on the engine's networks; none where it shares those of the machine.
    pub addresses: Vec<IpAddr>,
    /// What it publishes.
    pub published: Vec<Published>,
}

/// All running containers that are protected.
///
/// Errors: T003 something cannot be read; T005 the engine's processes are not ours; X001 to X003 from the engine.
pub async fn protected(engine: &Engine) -> Result<Vec<Guarded>> {
    let protection = Protection::read()
        .map_err(|error| Problem::new(&TARGET_READ, "the ancestors of Fracas cannot be read").because(&error))?;
    let running = engine.list(false).await?;
    let described: Vec<Option<Details>> = futures_util::stream::iter(&running)
        .map(|summary| engine.inspect(&summary.id))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mine = own_groups();
    let mut guarded = Vec::new();
    // What was removed since the list was made measures nothing.
    for details in described.into_iter().flatten() {
        let (_, status) = container::target(&details, engine)?;
        let why = protection.of_container(&details.name, &details.id, status.as_ref(), &mine);
        if why.is_some() {
            guarded.push(Guarded {
                name: details.name,
                addresses: details.addresses,
                published: details.published,
            });
        }
    }
    Ok(guarded)
}
