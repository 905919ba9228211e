//! What the targets logged around a failure. The run is over by then: nothing here can hold a fault on.

use std::collections::BTreeMap;
use std::time::Duration;

use fracas_core::target::Target;
use fracas_docker::Engine;
use fracas_report::logs::{LINES, TargetLog, since};
use fracas_report::{Report, service};
use futures_util::StreamExt as _;

/// So many targets at most; beyond that nobody reads them.
const TARGETS: usize = 50;
/// So many logs are read at a time.
const AT_ONCE: usize = 4;
/// All of it together: an engine that hangs keeps nobody waiting.
const LIMIT: Duration = Duration::from_secs(10);

/// The logs of the targets that are containers, if the run failed.
pub(crate) async fn collect(report: &Report) -> Vec<TargetLog> {
    let Some(since) = since(report) else {
        return Vec::new();
    };
    // Two aliases may have chosen the same container.
    let chosen: BTreeMap<&str, &Target> = report
        .targets
        .values()
        .flat_map(|targets| &targets.chosen)
        .filter(|target| target.container().is_some())
        .map(|target| (target.identity.as_str(), target))
        .collect();
    let deadline = tokio::time::Instant::now() + LIMIT;
    futures_util::stream::iter(chosen.into_values().take(TARGETS))
        .map(|target| async move {
            let lines = tokio::time::timeout_at(deadline, read(target, since)).await;
            TargetLog {
                target: target.identity.clone(),
                service: service(target).to_owned(),
                lines: lines.unwrap_or_else(|_| Err(format!("the engine did not show it within {LIMIT:?}"))),
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}

async fn read(target: &Target, since: i64) -> Result<Vec<String>, String> {
    let Some(container) = target.container() else {
        return Ok(Vec::new());
    };
    let engine = Engine::connect(Some(&container.engine)).await;
    let engine = engine.map_err(|problem| problem.line())?;
    let lines = engine.logs(&container.id, Some(since), LINES).await;
    lines.map_err(|problem| problem.line())
}
