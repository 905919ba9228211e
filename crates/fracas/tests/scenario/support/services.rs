//! Containers that serve HTTP with metrics.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

use fracas_docker::Engine;
use fracas_lab::{TestContainer, eventually_async};

use super::{LIMIT, raw};

/// Containers whose names begin alike, and on which port of loopback each serves.
#[derive(Debug)]
pub(crate) struct Services {
    /// What all the names contain, and no other name: they end with `-0`, `-1` …
    pub(crate) prefix: String,
    pub(crate) containers: Vec<TestContainer>,
    pub(crate) ports: Vec<u16>,
}

impl Services {
    /// So many containers under names that no other test has.
    pub(crate) async fn start(engine: &Engine, count: usize) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!(
            "fracas-scenario-{}-{}-",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let names = (0..count).map(|index| format!("{prefix}{index}")).collect();
        Self::named(engine, prefix, names).await
    }

    /// Containers of these names.
    pub(crate) async fn named(engine: &Engine, prefix: String, names: Vec<String>) -> Self {
        let mut containers = Vec::new();
        for name in names {
            let container = TestContainer::build(engine)
                .name(&name)
                .mode(["serve", "0"])
                .network("host")
                .label("com.kurtosistech.id", &name)
                .start()
                .await
                .unwrap();
            containers.push(container);
        }
        let mut ports = Vec::new();
        for container in &containers {
            ports.push(port(container).await);
        }
        Self {
            prefix,
            containers,
            ports,
        }
    }

    /// Sets the value that every service tells Prometheus.
    pub(crate) fn set(&self, value: f64) {
        self.ports.iter().for_each(|port| set_value(*port, value));
    }
}

/// The port that a service says in its first line.
async fn port(container: &TestContainer) -> u16 {
    let port = Cell::new(None);
    eventually_async(LIMIT, "the service says its port", || async {
        let lines = container.engine().logs(container.id(), None, 10).await.unwrap();
        port.set(lines.first().and_then(|line| line.trim().parse().ok()));
        port.get().is_some()
    })
    .await;
    port.get().unwrap()
}

/// Sets the value that a service tells Prometheus.
pub(crate) fn set_value(port: u16, value: f64) {
    raw::get_port(port, &format!("/set?value={value}")).unwrap();
}
