//! A hundred containers, one `memory_limit` each, against `docker update` in a loop.

use std::process::Command;
use std::time::{Duration, Instant};

use fracas_lab::{TestContainer, TestDocker};
use fracas_linux::cgroup::{Cgroup, Controller};

use crate::run::timed;
use crate::{ROUNDS, Times};

const CONTAINERS: usize = 100;
const LIMIT: u64 = 64 << 20;

pub(crate) async fn table() -> String {
    let Some(engine) = TestDocker::get().await else {
        return String::new();
    };
    let mut containers = Vec::new();
    for number in 0..CONTAINERS {
        let one = TestContainer::build(&engine)
            .named_like(&format!("bench-{number}"))
            .start()
            .await
            .unwrap();
        containers.push(one);
    }
    let mut groups = Vec::new();
    for container in &containers {
        groups.push(
            container
                .cgroup(Controller::Memory)
                .await
                .unwrap()
                .expect("a memory group"),
        );
    }
    let file = "memory.limit_in_bytes";
    let before: Vec<String> = groups.iter().map(|group| group.read(file).unwrap()).collect();
    let all_are = |value: &dyn Fn(usize) -> String| {
        groups
            .iter()
            .enumerate()
            .all(|(i, group)| read(group, file) == value(i))
    };
    let document = format!(
        "apiVersion: fracas.dev/v1\nkind: Experiment\nmetadata: {{ name: bench }}\nhypothesis: {{ warmup: 0s, recovery: {{ within: 1s, stable_for: 0s }} }}\ntargets:\n  - alias: all\n    \
         container: {{ name: \"bench-.*\" }}\nfaults:\n  - {{ name: limit, target: all, inject: {{ memory_limit: {{ limit: {LIMIT} }} }} }}\nduration: 10m\nmax_duration: 11m\n"
    );
    let (mut on, mut off, mut update, mut back) =
        (Times::default(), Times::default(), Times::default(), Times::default());
    for _ in 0..ROUNDS {
        // Fracas first: `docker update` can set a limit but never take it away, so what it leaves is undone by the kernel's file.
        let took = timed(
            &document,
            Some(&engine.address()),
            &|| all_are(&|_| LIMIT.to_string()),
            &|| all_are(&|i| before[i].clone()),
        );
        on.0.push(took.on);
        off.0.push(took.off);
        update.0.push(docker_update(&containers, &engine.address(), LIMIT));
        back.0.push(docker_update(&containers, &engine.address(), 1 << 40));
        for (group, before) in groups.iter().zip(&before) {
            group.write("memory.memsw.limit_in_bytes", before).ok();
            group.write(file, before).unwrap();
        }
    }
    let ratio = |theirs: &Times, ours: &Times| theirs.median().as_secs_f64() / ours.median().as_secs_f64();
    format!(
        "## {CONTAINERS} containers, one `memory_limit` each\n\n| | Fracas | `docker update` in a loop | ratio |\n|---|---|---|---|\n| command to all \
         injected | {} | {} | {:.1} × |\n| stop to all clean | {} | {} (to 1 TiB: it cannot take a limit away) | {:.1} × |\n\n",
        on.shown(),
        update.shown(),
        ratio(&update, &on),
        off.shown(),
        back.shown(),
        ratio(&back, &off),
    )
}

fn read(group: &Cgroup, file: &str) -> String {
    group.read(file).unwrap_or_default()
}

/// What a person would do without Fracas.
fn docker_update(containers: &[TestContainer], host: &str, bytes: u64) -> Duration {
    let began = Instant::now();
    for container in containers {
        #[expect(clippy::disallowed_methods, reason = "a benchmark starts what it compares with")]
        let done = Command::new("docker")
            .args([
                "-H",
                host,
                "update",
                "--memory",
                &bytes.to_string(),
                "--memory-swap",
                &bytes.to_string(),
                container.id(),
            ])
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    began.elapsed()
}
