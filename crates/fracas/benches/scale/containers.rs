//! Containers, one `memory_limit` each, against `docker update` in a loop.

use std::process::Command;
use std::time::{Duration, Instant};

use fracas_lab::{TestContainer, TestDocker};
use fracas_linux::cgroup::Controller;

use crate::figures::{Figures, cost, ratio, table};
use crate::limited::{LIMIT, Limited};
use crate::run::{document, timed};

pub(crate) async fn section(rounds: usize) -> String {
    let Some(engine) = TestDocker::get().await else {
        return String::new();
    };
    let host = engine.address();
    let document = document(
        "container: { name: \"bench-.*\" }",
        &format!("memory_limit: {{ limit: {LIMIT} }}"),
    );
    let (mut rows, mut costs) = (Vec::new(), Vec::new());
    let mut containers = Vec::new();
    for count in [1, 10, 100] {
        while containers.len() < count {
            let one = TestContainer::build(&engine).named_like("bench").start().await.unwrap();
            containers.push(one);
        }
        let mut groups = Vec::new();
        for container in &containers {
            let group = container.cgroup(Controller::Memory).await.unwrap();
            groups.push(group.expect("a memory group"));
        }
        let limited = Limited::now(groups);
        let [mut on, mut off, mut update, mut back] = [(); 4].map(|()| Figures::times());
        for _ in 0..rounds {
            let took = timed(&document, Some(&host), &|| limited.are_on(), &|| limited.are_off());
            on.took(took.on);
            off.took(took.off);
            update.took(docker_update(&containers, &host, LIMIT));
            back.took(docker_update(&containers, &host, 1 << 40));
            limited.put_back();
        }
        costs.push((count, on.median() + off.median()));
        for (what, ours, theirs) in [
            ("command to all injected", on, update),
            ("stop to all clean", off, back),
        ] {
            let cells = [
                count.to_string(),
                what.to_owned(),
                ours.to_string(),
                theirs.to_string(),
                ratio(&theirs, &ours),
            ];
            rows.push(cells.to_vec());
        }
    }
    format!(
        "## Containers, one `memory_limit` each\n\n`docker update` cannot take a limit away: its way back is to 1 TiB.\n\n{}\n{}\n",
        table(
            &["containers", "", "Fracas", "`docker update` in a loop", "ratio"],
            &rows
        ),
        cost(&costs)
    )
}

/// What a person would do without Fracas.
fn docker_update(containers: &[TestContainer], host: &str, bytes: u64) -> Duration {
    let bytes = bytes.to_string();
    let began = Instant::now();
    for container in containers {
        #[expect(clippy::disallowed_methods, reason = "a benchmark starts what it compares with")]
        let done = Command::new("docker")
            .args(["-H", host, "update", "--memory", &bytes, "--memory-swap", &bytes])
            .arg(container.id())
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    began.elapsed()
}
