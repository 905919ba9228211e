//! Guardians in a sidecar: on this machine, by TLS and by ssh. What is there is read from the kernel's files and the engine's socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends at its first surprise"
)]

#[path = "../support/mod.rs"]
mod support;

mod here;
mod ssh;
mod tls;

use fracas_linux::process::Process;

use crate::support::{Bench, LIMIT, Run, Target, engine_says, memory_limit, read, remember, soon};

/// What there is of a sidecar.
fn left() -> Vec<&'static str> {
    // `{"reference":["fracas-sidecar"]}` and `{"label":["fracas.sidecar"]}`.
    let image = "/images/json?filters=%7B%22reference%22%3A%5B%22fracas-sidecar%22%5D%7D";
    let volume = "/volumes?filters=%7B%22label%22%3A%5B%22fracas.sidecar%22%5D%7D";
    let some = |list: &serde_json::Value| list.as_array().is_some_and(|list| !list.is_empty());
    let things = [
        ("container", engine_says("/containers/fracas-sidecar/json").is_some()),
        ("image", some(&engine_says(image).unwrap())),
        ("volume", some(&engine_says(volume).unwrap()["Volumes"])),
    ];
    let there = things.into_iter().filter(|(_, is)| *is);
    there.map(|(thing, _)| thing).collect()
}

/// The socket of the engine of tests.
fn socket() -> String {
    let host = std::env::var("FRACAS_TEST_DOCKER_HOST").unwrap();
    host.strip_prefix("unix://").unwrap().to_owned()
}

/// A run with a sidecar, a memory limit of 64 MiB on its target.
struct Far {
    run: Run,
    guardian: Process,
}

impl Far {
    /// Starts it, and waits until the limit is on.
    fn start(bench: &Bench, target: &Target, variables: &[(&str, &str)]) -> Self {
        let file = bench.place().join("far.yaml");
        std::fs::write(&file, memory_limit(target)).unwrap();
        let words = ["run", &file.display().to_string(), "--yes"];
        let run = Run::with(bench, &words, variables);
        let limit = target.memory_limit();
        soon(LIMIT, "the limit is on", || {
            assert!(!run.process().has_ended().unwrap(), "it ended: {}", run.err());
            (read(&limit)? == (64 << 20).to_string()).then_some(())
        });
        let sidecar = engine_says("/containers/fracas-sidecar/json").expect("there is a sidecar");
        let pid = u32::try_from(sidecar["State"]["Pid"].as_u64().unwrap()).unwrap();
        remember(pid);
        let guardian = Process::find(pid).unwrap().expect("the guardian lives");
        Self { run, guardian }
    }
}

/// Waits until the target is as before, and nothing is there of the sidecar.
fn over(target: &Target, before: &str) {
    soon(LIMIT, "the target is as before", || {
        (target.look() == before).then_some(())
    });
    soon(LIMIT, "nothing of the sidecar is left", || {
        left().is_empty().then_some(())
    });
}
