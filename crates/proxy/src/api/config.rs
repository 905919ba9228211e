//! What is configured, changed as a whole.

use std::sync::Arc;

use fracas_core::chaos::ChaosConfig;

use crate::orchestra::Orchestra;
use crate::scenarios;
use crate::service::Shared;

/// Ends the orchestration that runs and all scenarios, and changes what is configured, before anything else can begin: whatever is done to
/// traffic, this ends it.
pub(super) fn end_all(shared: &Arc<Shared>, change: impl FnOnce(&mut ChaosConfig)) {
    Orchestra::stop_and(shared, || {
        scenarios::stop_all(shared);
        shared.live.change(change);
    });
}
