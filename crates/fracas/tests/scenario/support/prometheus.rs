//! A real Prometheus.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::{Child, Stdio};

use fracas_lab::eventually;

use super::{LIMIT, raw};

const PROGRAM: &str = "/usr/bin/prometheus";

/// A running Prometheus with a directory of its own, which scrapes four times a second. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Prometheus {
    port: u16,
    child: Child,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    /// Scrapes these jobs, each a name and its ports, and waits until everything was seen. `None`, with a line that says so, where
    /// the program is not installed.
    #[expect(clippy::disallowed_methods, reason = "the real peer of the test is a program")]
    pub(crate) fn start(jobs: &[(&str, &[u16])]) -> Option<Self> {
        if !std::path::Path::new(PROGRAM).exists() {
            fracas_lab::skip("prometheus is not installed");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let mut config = "global: { scrape_interval: 250ms, scrape_timeout: 250ms }\nscrape_configs:\n".to_owned();
        for (job, ports) in jobs {
            let targets: Vec<String> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
            writeln!(
                config,
                "  - {{ job_name: \"{job}\", static_configs: [{{ targets: [{}] }}] }}",
                targets.join(", ")
            )
            .unwrap();
        }
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        // Another process could take the port before Prometheus does: then it ends, and the wait below says so.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = std::process::Command::new(PROGRAM)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut prometheus = Self {
            port,
            child,
            _directory: directory,
        };
        let all: usize = jobs.iter().map(|(_, ports)| ports.len()).sum();
        eventually(LIMIT, "prometheus has scraped every service", || {
            assert_eq!(prometheus.child.try_wait().unwrap(), None, "prometheus ended at once");
            prometheus.query("up").iter().filter(|value| **value > 0.5).count() == all
        });
        Some(prometheus)
    }

    /// Its base address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The values of a query that needs no escapes; none while it does not answer.
    pub(crate) fn query(&self, query: &str) -> Vec<f64> {
        let Some(body) = raw::get_port(self.port, &format!("/api/v1/query?query={query}")) else {
            return Vec::new();
        };
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
        let result = answer["data"]["result"].as_array().unwrap();
        result
            .iter()
            .map(|series| series["value"][1].as_str().unwrap().parse().unwrap())
            .collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after the wait.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
