//! Parameters of faults, by the change that a plan says they make. What each fault really does with them is tested where it lives.

use crate::seen::{Look, keys, look, swap};
use crate::stage::Stage;

/// A document with this fault on this target.
macro_rules! inject {
    ($target:literal, $inject:literal) => {
        concat!(
            "apiVersion: fracas.dev/v1\nkind: Experiment\nmetadata: { name: base }\ntargets:\n  - { alias: it, ",
            $target,
            " }\nfaults:\n  - { name: f, target: it, allow_irreversible: true, inject: { ",
            $inject,
            " } }\nduration: 20s\n"
        )
    };
}

/// Keys of faults on a process: the fault with the key, and where the change that is planned differs.
macro_rules! changes {
    ($stage:expr, $target:literal; $($name:ident: $old:literal => $new:literal, $before:literal => $after:literal;)*) => {
        $(keys! { $stage, Plan, inject!($target, $old);
            $name: $old => $new, "/out/changes/0/change", $before => $after;
        })*
    };
}

pub(super) use {changes, inject};

changes! { Stage::grouped(), "@TARGET";
    key_faults_inject_memory_limit_limit: "memory_limit: { limit: 64MiB }" => "memory_limit: { limit: 1GiB }", "→ 64MiB" => "→ 1GiB";
    key_faults_inject_cpu_limit_percent: "cpu_limit: { percent: 50% }" => "cpu_limit: { percent: 60 }", "→ 50%" => "→ 60%";
    key_faults_inject_cpu_stress_percent: "cpu_stress: { percent: 37% }" => "cpu_stress: { percent: 55% }", "uses 37%" => "uses 55%";
    key_faults_inject_cpu_stress_cores: "cpu_stress: { percent: 50%, cores: 1 }" => "cpu_stress: { percent: 50%, cores: 2 }", "in 1 thread" => "in 2 threads";
    key_faults_inject_process_kill_signal: "process_kill: {}" => "process_kill: { signal: sigterm }", "SIGKILL to" => "SIGTERM to";
    key_faults_inject_process_kill_count: "process_kill: { count: 2 }" => "process_kill: { count: 7 }", "2 times" => "7 times";
    key_faults_inject_process_kill_interval: "process_kill: { count: 2 }" => "process_kill: { count: 2, interval: 3s }", "every 1s" => "every 3s";
}

changes! { members(), "process: { pid_file: '@PID' }";
    key_faults_inject_process_pause_pattern: "process_pause: { pattern: 'fork 2' }" => "process_pause: { pattern: 'exe sleep' }", "@FIRST, then" => "@CHILD";
    key_faults_inject_process_pause_children: "process_pause: {}" => "process_pause: { children: true }", "@FIRST, then" => "@CHILD";
    key_faults_inject_process_kill_pattern: "process_kill: { pattern: 'fork 2' }" => "process_kill: { pattern: 'exe sleep' }", "to @FIRST" => "@CHILD";
    key_faults_inject_process_kill_children: "process_kill: {}" => "process_kill: { children: true }", "to @FIRST" => "@CHILD";
    key_faults_inject_clock_skew_offset: "clock_skew: { offset: +5m }" => "clock_skew: { offset: -1h }", "by +5m" => "by -1h";
    key_faults_inject_clock_skew_pattern: "clock_skew: { offset: +5m, children: false, pattern: 'fork 2' }" => "clock_skew: { offset: +5m, children: false, pattern: 'exe sleep' }", "@FIRST by" => "@CHILD";
    key_faults_inject_clock_skew_children: "clock_skew: { offset: +5m, children: false }" => "clock_skew: { offset: +5m }", "@FIRST by" => "@CHILD";
}

/// Where a time daemon keeps the machine's clock, the plan is refused.
#[test]
fn key_faults_inject_clock_skew_allow_host_clock() {
    let stage = members();
    let base = inject!("process: { pid_file: '@PID' }", "clock_skew: { offset: +5m }");
    let own = look(&stage, Look::Plan, base).to_string();
    let host = look(
        &stage,
        Look::Plan,
        &swap(base, "+5m }", "+5m, allow_host_clock: true }"),
    )
    .to_string();
    let expected = if fracas_linux::clock::is_kept().unwrap() {
        "a time daemon keeps the machine's clock"
    } else {
        "the clock of the whole machine by +5m"
    };
    assert!(host.contains(expected) && !own.contains(expected), "{own} {host}");
    assert!(own.contains("then as the machine's"), "{own}");
}

changes! { Stage::container(), "container: { name: '@C-1' }";
    key_faults_inject_container_pause: "container_stop: {}" => "container_pause: {}", "stopped within" => "paused, then unpaused";
    key_faults_inject_container_kill_signal: "container_kill: {}" => "container_kill: { signal: TERM }", "SIGKILL to" => "SIGTERM to";
    key_faults_inject_container_kill_via: "container_kill: { via: host }" => "container_kill: { via: engine }", "@C-1, then" => "@C-1 by the engine, then";
    key_faults_inject_container_kill_restart: "container_kill: {}" => "container_kill: { restart: false }", "then started" => "then left as it is";
    key_faults_inject_container_kill_restart_delay: "container_kill: { restart_delay: 1s }" => "container_kill: { restart_delay: 2s }", "1s later" => "2s later";
    key_faults_inject_container_stop_grace: "container_stop: {}" => "container_stop: { grace: 3s }", "within 10s" => "within 3s";
    key_faults_inject_container_restart_grace: "container_restart: {}" => "container_restart: { grace: 3s }", "within 10s" => "within 3s";
    key_faults_inject_container_restart_delay: "container_restart: {}" => "container_restart: { delay: 4s }", "started 0s later" => "started 4s later";
    key_faults_inject_container_restart_stagger: "container_restart: { stagger: 5s }" => "container_restart: { stagger: 6s }", "5s after the one before" => "6s after the one before";
}

/// `@PID`: the pid file of a process with two children, `@FIRST` and `@CHILD` are what the process and a child are called.
fn members() -> Stage {
    let mut stage = Stage::family();
    let pid = std::fs::read_to_string(stage.text("@PID")).unwrap();
    let children = fracas_linux::process::descendants(pid.parse().unwrap()).unwrap();
    stage.say("FIRST", format!("pid {pid}"));
    stage.say("CHILD", &children[0].identity);
    stage
}

/// By how much the planned limit grows when the reserve grows by 4: the limit is what is in use and the reserve.
fn grows(inject: &str) -> Option<u64> {
    let stage = Stage::grouped()?;
    let limits = ["0", "4"].map(|reserve| {
        let document = inject!("@TARGET", "INJECT: { reserve: 0 }");
        let document = swap(
            &swap(document, "INJECT", inject),
            "reserve: 0",
            &format!("reserve: {reserve}"),
        );
        let seen = look(&stage, Look::Plan, &document);
        let change = seen["out"]["changes"][0]["change"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let limit = change.rsplit_once("→ ").and_then(|(_, rest)| rest.split(',').next());
        limit
            .and_then(|limit| limit.parse::<u64>().ok())
            .unwrap_or_else(|| panic!("no limit: {seen:#}"))
    });
    Some(limits[1] - limits[0])
}

#[test]
fn key_faults_inject_pid_exhaustion_reserve() {
    assert!(grows("pid_exhaustion").is_none_or(|more| more == 4));
}

#[test]
fn key_faults_inject_fd_exhaustion_reserve() {
    assert!(grows("fd_exhaustion").is_none_or(|more| more == 4));
}

/// The alias of the fault's targets.
#[test]
fn key_faults_target() {
    let stage = Stage::pair();
    let base = swap(
        inject!("process: { pid_file: '@A' }", "process_pause: {}"),
        "faults:",
        "  - { alias: other, process: { pid_file: '@B' } }\nfaults:",
    );
    crate::seen::differ(
        &stage,
        Look::Plan,
        &base,
        ("target: it", "target: other"),
        "/out/changes/0/target",
        ("@NAME-a", "@NAME-b"),
    );
}

keys! { Stage::sleeper(), Validate, inject!("process: { pid_file: '@PID' }", "process_kill: {}");
    key_faults_allow_irreversible: "allow_irreversible: true" => "allow_irreversible: false", "/out/0/ok", "true" => "false";
}
