//! Podman by its Docker-compatible socket: the kernel is looked at by its own files, the engine by its API.

use std::path::PathBuf;

use fracas_core::record::Certificate;
use fracas_docker::Details;
use fracas_lab::{TestContainer, TestPodman};

use crate::cli::Cli;
use crate::support::{LIMIT, cgroup_file, read, soon};

/// A service with one container, and the command line that finds it.
struct Stage {
    cli: Cli,
    runtime: tokio::runtime::Runtime,
    // The container before its engine: a drop goes in this order.
    container: TestContainer,
    _podman: TestPodman,
}

impl Stage {
    /// `None`, with a printed skip, without Podman.
    fn new() -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (podman, container) = runtime.block_on(async {
            let podman = TestPodman::start().await?;
            let container = TestContainer::build(podman.engine())
                .named_like("fracas-lab-podman")
                .start()
                .await
                .unwrap();
            Some((podman, container))
        })?;
        let mut cli = Cli::new();
        cli.set("DOCKER_HOST", &podman.engine().address());
        Some(Self {
            cli,
            runtime,
            container,
            _podman: podman,
        })
    }

    fn inspect(&self) -> Details {
        self.runtime.block_on(self.container.inspect()).unwrap()
    }

    fn pid(&self) -> u32 {
        self.inspect().state.pid.expect("the container runs")
    }

    /// A file of the container's control group.
    fn file(&self, names: &[&str]) -> PathBuf {
        let pid = self.pid();
        let found = names.iter().find_map(|name| cgroup_file(pid, name));
        found.unwrap_or_else(|| panic!("the container has none of {names:?}"))
    }

    fn limit(&self) -> PathBuf {
        self.file(&["memory.limit_in_bytes", "memory.max"])
    }

    fn frozen(&self) -> bool {
        match read(self.file(&["freezer.state", "cgroup.events"])) {
            Some(text) => text == "FROZEN" || text.contains("frozen 1"),
            None => false,
        }
    }

    fn document(&self, inject: &str, duration: &str) -> String {
        let text = format!(
            "apiVersion: fracas.dev/v1\n\
             kind: Experiment\n\
             metadata: {{ name: podman }}\n\
             hypothesis: {{ interval: 100ms, warmup: 0s, recovery: {{ within: 10s, stable_for: 0s }} }}\n\
             targets:\n  - {{ alias: it, container: {{ name: \"{}\" }} }}\n\
             faults:\n  - {{ name: f, target: it, inject: {{ {inject} }} }}\n\
             duration: {duration}\n",
            self.container.name()
        );
        self.cli.file("experiment.yaml", &text)
    }

    /// The certificates of all runs.
    fn certificates(&self) -> Vec<Certificate> {
        let runs = std::fs::read_dir(self.cli.state().join("runs")).unwrap();
        runs.flatten()
            .map(|run| {
                // A guardian whose runner was killed writes it last.
                let file = run.path().join("certificate.json");
                let text = soon(LIMIT, "there is a certificate", || read(&file));
                serde_json::from_str(&text).unwrap()
            })
            .collect()
    }

    /// Whether its runs were `runs`, and nothing of them is left.
    #[track_caller]
    fn is_clean_after(&self, runs: usize) {
        let certificates = self.certificates();
        assert_eq!(certificates.len(), runs);
        for certificate in certificates {
            assert!(certificate.is_clean(), "{certificate:?}");
        }
    }
}

#[test]
fn a_memory_limit_is_in_the_kernel_and_gone_afterwards() {
    let Some(stage) = Stage::new() else { return };
    let (limit, before) = (stage.limit(), stage.inspect());
    let was = read(&limit);
    assert_ne!(was.as_deref(), Some("67108864"));
    let file = stage.document("memory_limit: { limit: 64MiB }", "2s");

    let run = stage.cli.start(&["run", &file, "--yes"]);
    run.until("the kernel has the limit", || {
        read(&limit).as_deref() == Some("67108864")
    });
    let said = run.end();

    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(read(&limit), was);
    assert_eq!(stage.inspect(), before, "the engine was told nothing");
    stage.is_clean_after(1);
}

#[test]
fn a_runner_that_is_killed_leaves_no_limit() {
    let Some(stage) = Stage::new() else { return };
    let limit = stage.limit();
    let was = read(&limit);
    let file = stage.document("memory_limit: { limit: 64MiB }", "60s");
    let run = stage.cli.start(&["run", &file, "--yes"]);
    run.until("the kernel has the limit", || {
        read(&limit).as_deref() == Some("67108864")
    });

    run.process().signal(9).unwrap();

    soon(LIMIT, "the limit is gone", || (read(&limit) == was).then_some(()));
    let said = run.end();
    assert_eq!(said.code, 128 + 9);
    stage.is_clean_after(1);
}

#[test]
fn a_pause_freezes_and_ends() {
    let Some(stage) = Stage::new() else { return };
    let before = stage.inspect();
    let file = stage.document("container_pause: {}", "2s");

    let run = stage.cli.start(&["run", &file, "--yes"]);
    run.until("the kernel has frozen the container", || stage.frozen());
    let said = run.end();

    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(!stage.frozen());
    assert_eq!(stage.inspect(), before);
    stage.is_clean_after(1);
}

#[test]
fn a_container_that_was_ended_runs_again_as_it_was_configured() {
    let Some(stage) = Stage::new() else { return };
    let before = stage.inspect();
    let mut pids = vec![stage.pid()];
    for (run, inject) in [
        "container_stop: { grace: 1s }",
        "container_kill: { signal: KILL }",
        "container_restart: { grace: 1s }",
    ]
    .into_iter()
    .enumerate()
    {
        let file = stage.document(inject, "1s");
        let said = stage.cli.run(&["run", &file, "--yes"]);
        assert_eq!(said.code, 0, "{inject}: {}{}", said.out, said.err);
        let after = stage.inspect();
        assert!(after.state.running, "{inject}");
        for part in ["/Config", "/HostConfig", "/Image", "/Name"] {
            assert_eq!(after.raw.pointer(part), before.raw.pointer(part), "{inject}: {part}");
        }
        pids.push(stage.pid());
        assert_ne!(pids[run], pids[run + 1], "{inject}: no other process");
        stage.is_clean_after(run + 1);
    }
}

#[test]
fn the_faults_of_processes_and_control_groups_land_and_leave() {
    let Some(stage) = Stage::new() else { return };
    let before = stage.inspect();
    for (run, inject) in [
        "process_pause: {}",
        "cpu_limit: { percent: 20% }",
        "pid_exhaustion: {}",
        "fd_exhaustion: {}",
    ]
    .into_iter()
    .enumerate()
    {
        let file = stage.document(inject, "1s");
        let said = stage.cli.run(&["run", &file, "--yes"]);
        // A fault that did not land is exit code 5.
        assert_eq!(said.code, 0, "{inject}: {}{}", said.out, said.err);
        assert_eq!(stage.inspect(), before, "{inject}");
        stage.is_clean_after(run + 1);
    }
}

#[test]
fn doctor_and_targets_know_podman() {
    let Some(stage) = Stage::new() else { return };
    let said = stage.cli.run(&["doctor"]);
    let line = said.out.lines().find(|line| line.contains("container engine"));
    assert!(line.is_some_and(|line| line.contains("Podman ")), "{}", said.out);

    let file = stage.document("memory_limit: { limit: 64MiB }", "1s");
    let said = stage.cli.run(&["targets", &file]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains(stage.container.name()), "{}", said.out);

    // What holds a container is no target, whoever asks for it.
    let keeper = "apiVersion: fracas.dev/v1\n\
         kind: Experiment\n\
         metadata: { name: keeper }\n\
         targets:\n  - { alias: it, process: { name: conmon } }\n\
         faults:\n  - { name: f, target: it, inject: { process_pause: {} } }\n\
         duration: 1s\n";
    let file = stage.cli.file("keeper.yaml", keeper);
    let told = stage.cli.refused(&["run", &file, "--yes"]);
    assert!(told.contains("container engine"), "{told}");
}
