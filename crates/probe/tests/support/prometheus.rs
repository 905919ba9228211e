//! A real Prometheus that scrapes one service.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::{LIMIT, Service, dead_port, skip};

const PROGRAM: &str = "/usr/bin/prometheus";

/// A running Prometheus with a directory of its own. Killed when dropped.
pub(crate) struct Scraper {
    pub(crate) base: String,
    child: Child,
    _directory: tempfile::TempDir,
}

impl Scraper {
    /// Starts it, scraping `service` twice a second, and waits until it answers. `None`, with a line that says so, where the
    /// program is not installed.
    #[expect(clippy::disallowed_methods, reason = "the real peer of the test is a program")]
    pub(crate) async fn start(service: &Service) -> Option<Self> {
        if !std::path::Path::new(PROGRAM).exists() {
            skip("prometheus is not installed");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms }}\n\
             scrape_configs: [{{ job_name: service, static_configs: [{{ targets: [\"{}\"] }}] }}]\n",
            service.address
        );
        std::fs::write(&config, text).unwrap();
        // Another process could take the port before Prometheus does: then it exits, and the wait below says so.
        let address = dead_port().await;
        let child = std::process::Command::new(PROGRAM)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut scraper = Self {
            base: format!("http://{address}"),
            child,
            _directory: directory,
        };
        scraper.ready().await;
        Some(scraper)
    }

    async fn ready(&mut self) {
        let started = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            assert_eq!(self.child.try_wait().unwrap(), None, "prometheus ended at once");
            let up = super::read(fracas_core::probe::Source::Http(fracas_core::probe::Http {
                url: format!("{}/-/ready", self.base),
                status: Some(200),
                timeout: fracas_core::units::Span::secs(1),
                measure: fracas_core::probe::HttpMeasure::Up,
            }))
            .await;
            if up.values == [1.0] {
                return;
            }
            assert!(started.elapsed() < LIMIT, "prometheus is not ready: {up:?}");
        }
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after the wait.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
