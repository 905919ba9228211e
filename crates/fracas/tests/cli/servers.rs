//! Servers that are not there, or are something else.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::cli::{Cli, experiment, limited};
use crate::support::Target;

/// A server that answers everything with a page. Ends with the test process.
fn pages() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let _asked = stream.read(&mut request);
            let body = "<html><body>Welcome to nginx!</body></html>";
            let _answered = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    port
}

/// A port on which nobody listens.
fn nobody() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

const CONTAINER: &str = "apiVersion: fracas.dev/v1
kind: Experiment
metadata: { name: on-a-container }
targets:
  - { alias: it, container: { name: web } }
faults:
  - { name: f, target: it, inject: { memory_limit: { limit: 64MiB } } }
duration: 10s
";

#[test]
fn docker_that_does_not_run() {
    let cli = Cli::new();
    let file = cli.file("e.yaml", CONTAINER);
    for command in [
        ["run", &file, "--yes"].as_slice(),
        &["plan", &file],
        &["targets", &file],
    ] {
        let told = cli.refused(command);
        assert!(
            told.contains("error[X001]") && told.contains("no-engine.sock"),
            "{told}"
        );
    }
}

#[test]
fn docker_that_answers_nonsense() {
    let mut cli = Cli::new();
    cli.set("DOCKER_HOST", &format!("tcp://127.0.0.1:{}", pages()));
    let file = cli.file("e.yaml", CONTAINER);
    let told = cli.refused(&["run", &file, "--yes"]);
    assert!(told.contains("error[X002]"), "{told}");
}

#[test]
fn an_engine_that_is_a_flag_wins_over_the_environment() {
    let cli = Cli::new();
    let file = cli.file("e.yaml", CONTAINER);
    let told = cli.refused(&["targets", &file, "--docker-host", "unix:///nowhere/flag.sock"]);
    assert!(told.contains("flag.sock"), "{told}");
}

/// An experiment with a Prometheus probe on a real target.
fn measured(cli: &Cli, target: &Target) -> String {
    cli.file(
        "e.yaml",
        &experiment(target, "prometheus: { query: up }, expect: \"> 0\"", "10s"),
    )
}

#[test]
fn prometheus_that_cannot_be_reached() {
    let Some(target) = Target::process() else { return };
    let mut cli = Cli::new();
    cli.set("PROMETHEUS_URL", &format!("http://127.0.0.1:{}", nobody()));
    let file = measured(&cli, &target);
    let told = cli.refused(&["run", &file, "--yes"]);
    assert!(told.contains("error[P001]") && told.contains("probe `p`"), "{told}");
    assert!(!limited(&target));
}

#[test]
fn prometheus_that_answers_with_a_page() {
    let Some(target) = Target::process() else { return };
    let cli = Cli::new();
    let file = measured(&cli, &target);
    let url = format!("http://127.0.0.1:{}", pages());
    let told = cli.refused(&["run", &file, "--yes", "--prometheus-url", &url]);
    assert!(told.contains("error[P002]"), "{told}");
    assert!(!limited(&target));
}

#[test]
fn prometheus_that_nobody_named() {
    let Some(target) = Target::process() else { return };
    let cli = Cli::new();
    let file = measured(&cli, &target);
    let told = cli.refused(&["run", &file, "--yes"]);
    assert!(told.contains("PROMETHEUS_URL"), "{told}");
}
