//! One process and a thousand: what one more target costs.

use fracas_lab::{TestGroup, TestProcess};
use fracas_linux::cgroup::Controller;

use crate::figures::{Figures, cost, table};
use crate::run::{document, timed};

pub(crate) fn section(rounds: usize) -> String {
    let Some(group) = TestGroup::new(&[Controller::Pids]).unwrap() else {
        return String::new();
    };
    let document = document(
        &format!("process: {{ cgroup: \"/{}\" }}", group.name()),
        "process_pause: {}",
    );
    let (mut rows, mut costs) = (Vec::new(), Vec::new());
    let mut processes = Vec::new();
    for count in [1, 10, 100, 1000] {
        while processes.len() < count {
            let one = TestProcess::sleep().unwrap();
            group.add(&one).unwrap();
            processes.push(one);
        }
        let (mut on, mut off) = (Figures::times(), Figures::times());
        let (mut runner, mut guardian) = (Figures::of("MiB"), Figures::of("MiB"));
        for _ in 0..rounds {
            let took = timed(&document, None, &|| processes.iter().all(is_stopped), &|| {
                !processes.iter().any(is_stopped)
            });
            on.took(took.on);
            off.took(took.off);
            runner.add(took.peak.0);
            guardian.add(took.peak.1);
        }
        costs.push((count, on.median() + off.median()));
        rows.push(
            [count.to_string()]
                .into_iter()
                .chain([on, off, runner, guardian].map(|all| all.to_string()))
                .collect(),
        );
    }
    format!(
        "## Processes, one `process_pause` each\n\n{}\n{}\n",
        table(
            &[
                "targets",
                "command to all injected",
                "stop to all clean",
                "peak of the runner",
                "peak of the guardian"
            ],
            &rows
        ),
        cost(&costs)
    )
}

fn is_stopped(process: &TestProcess) -> bool {
    fracas_linux::process::status(process.pid())
        .ok()
        .flatten()
        .is_some_and(|status| status.state == 'T')
}
