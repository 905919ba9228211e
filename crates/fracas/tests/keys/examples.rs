//! Every example that is shipped, planned on targets of the lab: its selectors find something, and its faults can be put on it.
//! Only the names of what is broken are others, and what the lab's containers do not have: their files and limits, and the machine's
//! programs. They are given by `--set`, as a reader of the example would.

use std::collections::BTreeSet;

use fracas_lab::TestBridge;
use serde_json::Value;

use crate::stage::Stage;

/// Each example with its faults, by name, and the targets that it gets here, in words of the stage.
const EXAMPLES: &[(&str, &[&str], &[&str])] = &[
    (
        "checkout-memory-limit",
        &["tight-memory"],
        &["targets.workers.container.name=@C-[0-9]+"],
    ),
    (
        "cpu-throttle",
        &["slow-cpu"],
        // There is one such service, and it may be broken.
        &[
            "targets.api.container.compose_service=@C-1",
            "targets.api.blast_radius.leave_healthy=0",
        ],
    ),
    (
        "noisy-neighbour",
        &["burn"],
        &["targets.database.container={ image: '@IMAGE', name: '@C-1' }"],
    ),
    (
        "out-of-pids",
        &["no-new-process"],
        &["targets.pool.container={ labels: { number: '2' }, name: '@C-.' }"],
    ),
    (
        "out-of-descriptors",
        &["no-descriptor"],
        &["targets.web.process.port=@PORT"],
    ),
    (
        "worker-pause",
        &["hang"],
        &["targets.worker.process={ pid_file: '@PID' }"],
    ),
    (
        "worker-kill",
        &["kill"],
        &["targets.worker.process.command=.*@NAME-worker 60000"],
    ),
    (
        "wrong-time",
        &["tomorrow"],
        &["targets.sessions.container.name=@C-[0-9]+"],
    ),
    (
        "container-outage",
        &["frozen", "killed", "stopped"],
        &["targets.cache.container.name=@C-[0-9]+"],
    ),
    (
        "rolling-restart",
        &["restart"],
        &["targets.gateways.container.compose_service=@C-2"],
    ),
    (
        "validator-memory-pressure",
        &["memory"],
        &[
            "spec.targets[0].selector={ type: kurtosis_service, enclave: '@C-1', pattern: '@C' }",
            "spec.preconditions={ min_validators: 2, validator_pattern: '@C-.' }",
        ],
    ),
    (
        "validator-cpu-and-pause",
        &["busy", "hang"],
        &[
            "spec.targets[0].selector.pattern=@C-1",
            "spec.targets[1].selector.pattern=@C-2",
        ],
    ),
    (
        "broken-data",
        &["rotten-index", "no-configuration"],
        &[
            "targets[0].container.name=@C-[0-9]+",
            "faults.rotten-index.inject.file_corrupt.path=/app",
            "faults.no-configuration.inject.file_delete.path=/.dockerenv",
        ],
    ),
    (
        "busy-disk",
        &["churn"],
        &[
            "targets[0].container.compose_service=@C-1",
            "faults.churn.inject.disk_io.path=/",
        ],
    ),
    (
        "disk-full",
        &["fill"],
        &[
            "targets[0].container={ image: '@IMAGE', name: '@C-1' }",
            "faults.fill.inject.disk_fill.path=/dev/shm",
        ],
    ),
    (
        "memory-squeeze",
        &["squeeze"],
        &[
            "targets[0].container.compose_service=@C-1",
            "faults.squeeze.inject={ memory_stress: { size: 16MiB } }",
        ],
    ),
    (
        "own-script",
        &["stopped"],
        &[
            "targets[0].process.pid_file=@PID",
            "faults.stopped.inject={ script: { apply: [/bin/true, stop], revert: [/bin/true, start] } }",
        ],
    ),
    (
        "pulled-cable",
        &["cable"],
        &["targets[0]={ alias: replica, process: { pid_file: '@NODE' } }"],
    ),
    (
        "slow-and-lossy-network",
        &["slow", "lossy", "narrow"],
        &["targets[0]={ alias: payments, process: { pid_file: '@NODE' } }"],
    ),
    (
        "slow-mobile-network",
        &["mobile-delay", "mobile-loss", "mobile-rate"],
        &["targets[0]={ alias: shop, process: { pid_file: '@NODE' } }"],
    ),
    (
        "garbled-network",
        &["twice", "disorder", "broken"],
        &["targets[0]={ alias: web, process: { pid_file: '@NODE' } }"],
    ),
    (
        "refused-connections",
        &["full", "lossy", "reset"],
        &["targets[0]={ alias: database, process: { pid_file: '@NODE' } }"],
    ),
    (
        "split-brain",
        &["parted"],
        &[
            "targets[0]={ alias: minority, process: { pid_file: '@NODE' } }",
            "targets[1]={ alias: majority, process: { pid_file: '@PID' } }",
        ],
    ),
    (
        "wrong-names",
        &["unknown", "elsewhere", "late"],
        &["targets[0]={ alias: checkout, process: { pid_file: '@NODE' } }"],
    ),
    (
        "failing-requests",
        &["failing"],
        &["targets[0]={ alias: checkout, process: { pid_file: '@NODE' } }"],
    ),
    (
        "slow-disk",
        &["slow"],
        &[
            "targets[0].container.compose_service=@C-1",
            "faults.slow.inject.disk_throttle.path=/",
        ],
    ),
];

#[test]
fn every_example_can_be_planned() {
    let Some(mut stage) = Stage::containers().and_then(Stage::with_prometheus) else {
        return;
    };
    stage.say("IMAGE", fracas_lab::image_name().unwrap());
    let worker = stage.text("@NAME-worker");
    stage.process("PID", &["sleep"]);
    let Some(bridge) = TestBridge::new().unwrap() else {
        return fracas_lab::skip("no privileges for links");
    };
    stage.node("NODE", &[&bridge]);
    stage.process("WORKER", &["log", &worker, "60000"]);
    let list = stage.cli.run(&["examples"]).out;
    let shipped: BTreeSet<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let planned: BTreeSet<&str> = EXAMPLES.iter().map(|(name, ..)| *name).collect();
    assert_eq!(shipped, planned, "each example that is shipped is planned here");

    for (name, faults, targets) in EXAMPLES {
        let file = stage
            .cli
            .file(&format!("{name}.yaml"), &stage.cli.run(&["examples", name]).out);
        let set: Vec<String> = targets.iter().map(|target| stage.text(target)).collect();
        let mut words = vec!["plan", &file, "--format", "json"];
        words.extend(set.iter().flat_map(|set| ["--set", set.as_str()]));
        let said = stage.cli.run(&words);
        assert_eq!(said.code, 0, "{name}: {}", said.err);
        let plan: Value = serde_json::from_str(&said.out).unwrap();
        let changes = plan["changes"].as_array().unwrap().iter();
        let planned: BTreeSet<&str> = changes.filter_map(|change| change["fault"].as_str()).collect();
        assert_eq!(planned, faults.iter().copied().collect(), "{name}: {plan:#}");
    }
}
