//! A sidecar, from the command to its guardian and from the stop to nothing left of it, beside `docker run` of the same image.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fracas_guardian::sidecar::NAME;
use fracas_lab::{TestContainer, TestDocker};
use fracas_linux::cgroup::Controller;

use crate::figures::{Figures, ratio, table};
use crate::limited::{LIMIT, Limited};
use crate::run::{Running, document};

/// What is run by hand: the program that is in the image.
const PROGRAM: [&str; 2] = ["/fracas", "--version"];
/// How it is run, and how where the engine is itself in a container that lacks a capability.
const WAYS: [&[&str]; 2] = [&["--rm", "--privileged", "--pid", "host"], &["--rm", "--pid", "host"]];

pub(crate) async fn section(rounds: usize) -> String {
    let Some(engine) = TestDocker::get().await else {
        return String::new();
    };
    let host = engine.address();
    let volumes = PathBuf::from(engine.data().await.unwrap()).join("volumes");
    let target = TestContainer::build(&engine).named_like("bench").start().await.unwrap();
    let group = target.cgroup(Controller::Memory).await.unwrap();
    let limited = Limited::now(vec![group.expect("a memory group")]);
    let document = document(
        &format!("container: {{ name: {} }}", target.name()),
        &format!("memory_limit: {{ limit: {LIMIT} }}"),
    );
    let [mut ready, mut on, mut off, mut by_hand] = [(); 4].map(|()| Figures::times());
    let mut ways = WAYS.iter();
    let mut way = ways.next().expect("there are two");
    for _ in 0..rounds {
        let running = Running::start_with(&document, Some(&host), &[("FRACAS_SIDECAR", "always")]);
        running.until("the ledger of a sidecar", &|| has_ledger(&volumes));
        ready.took(running.began.elapsed());
        running.until("on", &|| limited.are_on());
        on.took(running.began.elapsed());
        let run = run(&volumes);
        by_hand.took(loop {
            match docker_run(&host, way, &run) {
                Ok(took) => break took,
                Err(said) => way = ways.next().unwrap_or_else(|| panic!("docker run: {said}")),
            }
        });
        let stopped = Instant::now();
        running.stop();
        off.took(stopped.elapsed());
        assert!(
            limited.are_off() && sidecars(&volumes).is_empty(),
            "a run leaves nothing"
        );
    }
    let rows = [
        ("command to the guardian at work", ready),
        ("command to the fault injected", on),
        ("stop to the end of the command", off),
    ]
    .map(|(what, ours)| {
        vec![
            what.to_owned(),
            ours.to_string(),
            by_hand.to_string(),
            ratio(&by_hand, &ours),
        ]
    });
    format!(
        "## A sidecar\n\nOne container with a `memory_limit`; the guardian is put beside the engine although that is here. What Fracas does at \
         its start: it looks at the engine, makes the image of its own program through the engine's API, a volume, the container, and has \
         its guardian begin a ledger there. At its end guardian, container, image and volume are gone. Beside it, of the same image, \
         `docker run {} IMAGE {}`, which finds the image made.\n\n{}\n",
        way.join(" "),
        PROGRAM.join(" "),
        table(&["", "Fracas", "`docker run`", "ratio"], &rows)
    )
}

/// The volumes of sidecars.
fn sidecars(volumes: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(volumes).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| run_of(path).is_some()).collect()
}

fn run_of(volume: &Path) -> Option<&str> {
    volume.file_name()?.to_str()?.strip_prefix(NAME)?.strip_prefix('-')
}

/// The run that has a sidecar.
fn run(volumes: &Path) -> String {
    let found = sidecars(volumes);
    let found = found.first().expect("a run has a sidecar");
    run_of(found).expect("it has its name from the run").to_owned()
}

/// Whether a guardian has begun to write its ledger: nothing comes between that and the word that it is ready.
fn has_ledger(volumes: &Path) -> bool {
    sidecars(volumes).iter().any(|volume| {
        let runs = std::fs::read_dir(volume.join("_data/state/runs"));
        runs.is_ok_and(|mut runs| runs.any(|run| run.is_ok_and(|run| run.path().join("ledger").exists())))
    })
}

/// What a person would do to have a program beside the engine. How long it took, or why it was refused.
fn docker_run(host: &str, way: &[&str], run: &str) -> Result<Duration, String> {
    let began = Instant::now();
    #[expect(clippy::disallowed_methods, reason = "a benchmark starts what it compares with")]
    let done = Command::new("docker")
        .args(["-H", host, "run"])
        .args(way)
        .arg(format!("{NAME}:{run}"))
        .args(PROGRAM)
        .output()
        .unwrap();
    if done.status.success() {
        Ok(began.elapsed())
    } else {
        Err(String::from_utf8_lossy(&done.stderr).into_owned())
    }
}
