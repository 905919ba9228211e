//! The engine that tests may use.

use fracas_core::problem::Result;
use fracas_docker::Engine;
use fracas_linux::process;

/// The label of every container that the lab makes; its value is the pid and start of the process that made it.
pub(crate) const LABEL: &str = "fracas.lab";
/// Where the engine for tests is named. Not `DOCKER_HOST`: tests make and break containers, and nobody's daily engine is for that.
const VARIABLE: &str = "FRACAS_TEST_DOCKER_HOST";

/// The engine that tests may use.
#[derive(Debug)]
pub struct TestDocker;

impl TestDocker {
    /// The engine named by `FRACAS_TEST_DOCKER_HOST`. Without one: a printed skip, or a panic under `CI=true`.
    ///
    /// Panics when the variable is set and no engine answers. Containers that a killed test left behind are removed.
    #[expect(clippy::panic, reason = "this ends a test")]
    pub async fn get() -> Option<Engine> {
        let Ok(address) = std::env::var(VARIABLE) else {
            crate::skip(&format!("no docker ({VARIABLE})"));
            return None;
        };
        match Self::connect(&address).await {
            Ok(engine) => Some(engine),
            Err(problem) => panic!("{VARIABLE} is set, but: {}", problem.line()),
        }
    }

    async fn connect(address: &str) -> Result<Engine> {
        let engine = Engine::connect(Some(address)).await?;
        for left in engine.list(true).await? {
            if left.labels.get(LABEL).is_some_and(|maker| is_orphan(maker)) {
                // Another test may remove it at the same moment: both want it gone.
                let _someone_else_did = engine.remove(&left.id).await;
            }
        }
        for (id, maker) in engine.networks(LABEL).await? {
            if is_orphan(&maker) {
                let _someone_else_did = engine.remove_network(&id).await;
            }
        }
        Ok(engine)
    }
}

/// The value of [`LABEL`] for this process.
pub(crate) fn maker() -> String {
    let me = std::process::id();
    let start = process::identity(me)
        .ok()
        .flatten()
        .map_or(0, |identity| identity.start);
    format!("{me}:{start}")
}

/// Whether the process that made a container is gone. An answer that cannot be read spares the container.
pub(crate) fn is_orphan(maker: &str) -> bool {
    let Some((pid, start)) = maker.split_once(':') else {
        return false;
    };
    let Ok(pid) = pid.parse() else { return false };
    match process::identity(pid) {
        Ok(now) => now.is_none_or(|identity| identity.start.to_string() != start),
        Err(_) => false,
    }
}
