//! What is done to the containers, by the change that a plan says it makes.

use crate::seen::{Look, differ, keys};
use crate::stage::Stage;

/// A scenario with this fault.
macro_rules! fault {
    ($fault:literal) => {
        concat!(
            "spec:\n  duration: 20s\n  targets:\n    - { alias: it, selector: { pattern: '@C-1' } }\n",
            "  faults: [{ phase: p, target: it, ",
            $fault,
            " }]\n"
        )
    };
}

macro_rules! changes {
    ($($name:ident: $old:literal => $new:literal, $before:literal => $after:literal;)*) => {
        $(keys! { Stage::container(), Plan, fault!($old);
            $name: $old => $new, "/out/changes/0/change", $before => $after;
        })*
    };
}

changes! {
    key_spec_faults_type: "type: container_restart, params: { restart_delay: 0 }" => "type: container_kill, params: { restart_delay: 0 }", "stopped within" => "SIGKILL to";
    key_spec_faults_params_memory_pressure_memory_mb: "type: memory, params: { memory_mb: 64 }" => "type: memory, params: { memory_mb: '65.5' }", "→ 64MiB" => "→ 67072KiB";
    key_spec_faults_params_cpu_stress_method: "type: cpu, params: { method: stress }" => "type: cpu, params: { method: limit }", "worker uses 50%" => "CPU limit";
    key_spec_faults_params_cpu_stress_cpu_percent: "type: cpu, params: { cpu_percent: 50 }" => "type: cpu, params: { cpu_percent: 70 }", "uses 50%" => "uses 70%";
    key_spec_faults_params_cpu_stress_cores: "type: cpu_stress, params: { cores: 1 }" => "type: cpu_stress, params: { cores: 2 }", "50% of a CPU in 1" => "100% of a CPU in 2";
    key_spec_faults_params_container_restart_grace_period: "type: container_restart, params: { grace_period: 10 }" => "type: container_restart, params: { grace_period: 3.5 }", "within 10s" => "within 3s500ms";
    key_spec_faults_params_container_restart_restart_delay: "type: container_restart, params: { restart_delay: 0 }" => "type: container_restart, params: { restart_delay: 4 }", "started 0s later" => "started 4s later";
    key_spec_faults_params_container_restart_stagger: "type: container_restart, params: { stagger: 6 }" => "type: container_restart, params: { stagger: '5' }", "6s after the one before" => "5s after the one before";
    key_spec_faults_params_container_kill_signal: "type: container_kill, params: { signal: KILL }" => "type: container_kill, params: { signal: SIGTERM }", "SIGKILL to" => "SIGTERM to";
    key_spec_faults_params_container_kill_restart: "type: container_kill, params: { restart: true }" => "type: container_kill, params: { restart: false }", "then started" => "then left as it is";
    key_spec_faults_params_container_kill_restart_delay: "type: container_kill, params: { restart_delay: 1 }" => "type: container_kill, params: { restart_delay: 1m }", "started 1s later" => "started 1m later";
    key_spec_faults_params_process_kill_signal: "type: process_kill, params: { signal: KILL }" => "type: process_kill, params: { signal: TERM }", "SIGKILL to" => "SIGTERM to";
    key_spec_faults_params_process_kill_count: "type: process_kill, params: { count: 2 }" => "type: process_kill, params: { count: 3.0 }", "2 times" => "3 times";
    key_spec_faults_params_process_kill_interval: "type: process_kill, params: { count: 2, interval: 1 }" => "type: process_kill, params: { count: 2, interval: 2 }", "every 1s" => "every 2s";
}

keys! { Stage::container(), Plan, fault!("type: memory, params: { memory_mb: 64, method: limit }");
    // What the original did is done, and that is said.
    key_spec_faults_params_memory_pressure_method: "method: limit" => "method: stress", "/out/notes/0", "is empty" => "is not what the original tool did";
}

keys! { Stage::container(), Plan, fault!("type: memory, params: { memory_mb: 64 }, exclude_producer: false");
    // Only an Ethereum chain has a producer, and nobody said that the fault may be left out.
    key_spec_faults_exclude_producer: "exclude_producer: false" => "exclude_producer: true", "/code", "0" => "2";
}

keys! { Stage::container(), Plan, fault!("type: container_pause, params: { unpause: true }");
    // Fracas leaves nothing paused.
    key_spec_faults_params_container_pause_unpause: "unpause: true" => "unpause: false", "/code", "0" => "2";
}

/// A container whose first process has two children.
fn family() -> Option<Stage> {
    let mut stage = Stage::container_that(&["fork", "2"])?;
    let first = stage.pid_of_container();
    let children = || fracas_linux::process::descendants(first).unwrap();
    fracas_lab::eventually(crate::support::LIMIT, "the children are there", || {
        children().len() == 2
    });
    stage.say("FIRST", format!("pid {first}"));
    stage.say("CHILD", &children()[0].identity);
    Some(stage)
}

#[test]
fn key_spec_faults_params_process_kill_process_pattern() {
    let Some(stage) = family() else { return };
    differ(
        &stage,
        Look::Plan,
        fault!("type: process_kill, params: { process_pattern: 'fork 2' }"),
        ("fork 2", "exe sleep"),
        "/out/changes/0/change",
        ("to @FIRST", "@CHILD"),
    );
}

#[test]
fn key_spec_faults_params_process_kill_kill_children() {
    let Some(stage) = family() else { return };
    differ(
        &stage,
        Look::Plan,
        fault!("type: process_kill, params: { kill_children: false }"),
        ("kill_children: false", "kill_children: true"),
        "/out/changes/0/change",
        ("to @FIRST", "@CHILD"),
    );
}
