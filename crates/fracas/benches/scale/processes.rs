//! Ten processes and a thousand: what one more target costs.

use std::fmt::Write as _;
use std::time::Duration;

use fracas_lab::{TestGroup, TestProcess};
use fracas_linux::cgroup::Controller;

use crate::run::timed;
use crate::{ROUNDS, Times, ms};

pub(crate) fn table() -> String {
    let mut rows = String::new();
    let mut per_target = Vec::new();
    for count in [10usize, 1000] {
        let Some(group) = TestGroup::new(&[Controller::Pids]).unwrap() else {
            return String::new();
        };
        let processes: Vec<_> = (0..count).map(|_| TestProcess::sleep().unwrap()).collect();
        for process in &processes {
            group.add(process).unwrap();
        }
        let pids: Vec<u32> = processes.iter().map(TestProcess::pid).collect();
        let document = format!(
            "apiVersion: fracas.dev/v1\nkind: Experiment\nmetadata: {{ name: bench }}\nhypothesis: {{ warmup: 0s, recovery: {{ within: 1s, stable_for: 0s }} }}\ntargets:\n  - alias: all\n    \
             process: {{ cgroup: \"/{}\" }}\nfaults:\n  - {{ name: stop, target: all, inject: {{ process_pause: {{}} }} }}\nduration: 10m\nmax_duration: 11m\n",
            group.name()
        );
        let (mut on, mut off) = (Times::default(), Times::default());
        let mut peak = (0, 0);
        for _ in 0..ROUNDS {
            let took = timed(&document, None, &|| pids.iter().all(|pid| is_stopped(*pid)), &|| {
                !pids.iter().any(|pid| is_stopped(*pid))
            });
            on.0.push(took.on);
            off.0.push(took.off);
            peak = (peak.0.max(took.peak.0), peak.1.max(took.peak.1));
        }
        let cost = (on.median() + off.median()) / count as u32;
        per_target.push(cost);
        let _ = writeln!(
            rows,
            "| {count} | {} | {} | {} | {} MiB | {} MiB |",
            on.shown(),
            off.shown(),
            ms(cost),
            peak.0 / 1024,
            peak.1 / 1024
        );
    }
    let ratio = per_target[1].as_secs_f64() / per_target[0].max(Duration::from_nanos(1)).as_secs_f64();
    format!(
        "## Processes, one `process_pause` each\n\n| targets | command to all injected | stop to all clean | per target | peak of the runner | peak of \
         the guardian |\n|---|---|---|---|---|---|\n{rows}\nPer target, 1,000 cost {ratio:.2} × what 10 cost (bound: 1.5 ×).\n"
    )
}

fn is_stopped(pid: u32) -> bool {
    fracas_linux::process::status(pid)
        .ok()
        .flatten()
        .is_some_and(|status| status.state == 'T')
}
