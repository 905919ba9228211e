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

changes! {
    key_spec_faults_params_disk_fill_target_path: "type: disk_fill, params: { target_path: /dev/shm, size_mb: 8 }" => "type: disk_fill, params: { target_path: /dev/shm/., size_mb: 8 }", "in /dev/shm," => "in /dev/shm/.,";
    key_spec_faults_params_disk_fill_path: "type: disk_fill, params: { path: /dev/shm, size_mb: 8 }" => "type: disk_fill, params: { path: /dev/shm/., size_mb: 8 }", "in /dev/shm," => "in /dev/shm/.,";
    key_spec_faults_params_disk_fill_size_mb: "type: disk_fill, params: { target_path: /dev/shm, size_mb: 8 }" => "type: disk_fill, params: { target_path: /dev/shm, size_mb: 4 }", "takes 8.0MiB" => "takes 4.0MiB";
    key_spec_faults_params_disk_fill_fill_percent: "type: disk_fill, params: { target_path: /dev/shm, fill_percent: 25 }" => "type: disk_fill, params: { target_path: /dev/shm, fill_percent: 50 }", "takes 16.0MiB" => "takes 32.0MiB";
    key_spec_faults_params_disk_io_io_latency_ms: "type: disk_io, params: { target_path: /, io_latency_ms: 50 }" => "type: disk_io, params: { target_path: /, io_latency_ms: 150 }", "in 1 files" => "in 2 files";
    key_spec_faults_params_disk_io_target_path: "type: disk_io, params: { target_path: / }" => "type: disk_io, params: { target_path: /etc }", "in /," => "in /etc,";
    key_spec_faults_params_disk_io_path: "type: disk_io, params: { path: / }" => "type: disk_io, params: { path: /etc }", "in /," => "in /etc,";
    key_spec_faults_params_disk_io_operation: "type: disk_io, params: { target_path: /, operation: read }" => "type: disk_io, params: { target_path: /, operation: write }", "worker reads" => "worker writes";
    key_spec_faults_params_disk_io_workers: "type: disk_io_stress, params: { target_path: /, workers: 1 }" => "type: disk_io_stress, params: { target_path: /, workers: 4 }", "in 1 files" => "in 4 files";
    key_spec_faults_params_disk_io_block_size: "type: disk_io_stress, params: { target_path: /, block_size: 64k }" => "type: disk_io_stress, params: { target_path: /, block_size: 4k }", "of 64KiB" => "of 4KiB";
    key_spec_faults_params_file_corrupt_corrupt_bytes: "type: file_corrupt, params: { target_path: /app, corrupt_offset: 8, corrupt_bytes: 16 }" => "type: file_corrupt, params: { target_path: /app, corrupt_offset: 8, corrupt_bytes: 32 }", "16 bytes" => "32 bytes";
    key_spec_faults_params_file_corrupt_corrupt_offset: "type: file_corrupt, params: { target_path: /app, corrupt_offset: 1000 }" => "type: file_corrupt, params: { target_path: /app, corrupt_offset: 2000 }", "1000" => "2000";
    key_spec_faults_params_file_corrupt_method: "type: file_corrupt, params: { target_path: /app, corrupt_offset: 8, method: random }" => "type: file_corrupt, params: { target_path: /app, corrupt_offset: 8, method: zero }", "become others" => "become zeros";
}

keys! { Stage::container(), Plan, fault!("type: file_delete, params: { target_path: /etc, recursive: false }");
    // A directory is taken only if that is said.
    key_spec_faults_params_file_delete_recursive: "recursive: false" => "recursive: true", "/code", "2" => "0";
}

keys! { Stage::container(), Plan, fault!("type: file_delete, params: { target_path: /app }");
    key_spec_faults_params_file_delete_target_path: "/app" => "/nothing", "/code", "0" => "2";
}

keys! { Stage::container(), Plan, fault!("type: file_corrupt, params: { target_path: /app }");
    key_spec_faults_params_file_corrupt_target_path: "/app" => "/nothing", "/code", "0" => "2";
}

keys! { Stage::container(), Plan, fault!("type: file_delete, params: { target_path: /app, backup_first: true }");
    key_spec_faults_params_file_delete_backup_first: "backup_first: true" => "backup_first: false", "/out/notes/0", "is empty" => "backup_first";
}

keys! { Stage::container(), Plan, fault!("type: file_corrupt, params: { target_path: /app, corrupt_offset: 8, backup_first: true }");
    key_spec_faults_params_file_corrupt_backup_first: "backup_first: true" => "backup_first: false", "/out/notes/0", "is empty" => "backup_first";
}

keys! { Stage::container(), Plan, fault!("type: clock_skew, params: { offset: +5m, disable_ntp: false }");
    key_spec_faults_params_clock_skew_offset: "offset: +5m" => "offset: -1h", "/out/changes/0/change", "by +5m" => "by -1h";
    key_spec_faults_params_clock_skew_disable_ntp: "disable_ntp: false" => "disable_ntp: true", "/out/notes/0", "is empty" => "`disable_ntp` changes nothing";
}

keys! { Stage::container(), Plan, fault!("type: disk_fill, params: { target_path: /dev/shm, size_mb: 8 }");
    // There is no name that anybody could see.
    key_spec_faults_params_disk_fill_file_name: "size_mb: 8" => "size_mb: 8, file_name: full", "/out/notes/0", "is empty" => "not called `full`";
}

keys! { Stage::container(), Plan, fault!("type: disk_io, params: { target_path: /, method: dd }");
    key_spec_faults_params_disk_io_method: "method: dd" => "method: dm-delay", "/code", "0" => "2";
}

keys! { state_in_memory(), Plan, fault!("type: disk_fill, params: { target_path: /, size_mb: 1, allow_root_device: false }");
    key_spec_faults_params_disk_fill_allow_root_device: "allow_root_device: false" => "allow_root_device: true", "/code", "2" => "0";
}

/// A container, and a state directory that is not on its disk: that one is never filled.
fn state_in_memory() -> Option<Stage> {
    let mut stage = Stage::container()?;
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    stage
        .cli
        .set("FRACAS_STATE", &memory.path().join("state").display().to_string());
    stage.keep(memory);
    Some(stage)
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

changes! {
    key_spec_faults_params_http_fault_target_port: "type: http_fault, params: { target_port: 80, delay_ms: 5 }" => "type: http_fault, params: { target_port: 81, delay_ms: 5 }", "to port 80 in" => "to port 81 in";
    key_spec_faults_params_http_fault_delay_ms: "type: http_fault, params: { target_port: 80, delay_ms: 5 }" => "type: http_fault, params: { target_port: 80, delay_ms: 6 }", "delay of 5ms for" => "delay of 6ms for";
    key_spec_faults_params_http_fault_delay_percent: "type: http_fault, params: { target_port: 80, delay_ms: 5, delay_percent: 20 }" => "type: http_fault, params: { target_port: 80, delay_ms: 5, delay_percent: 25 }", "5ms to 20% for" => "5ms to 25% for";
    key_spec_faults_params_http_fault_abort_code: "type: http_fault, params: { target_port: 80, abort_code: 500 }" => "type: http_fault, params: { target_port: 80, abort_code: 503 }", "500 for requests" => "503 for requests";
    key_spec_faults_params_http_fault_abort_percent: "type: http_fault, params: { target_port: 80, abort_code: 500, abort_percent: 10 }" => "type: http_fault, params: { target_port: 80, abort_code: 500, abort_percent: 15 }", "500 to 10% for" => "500 to 15% for";
    key_spec_faults_params_http_fault_path_pattern: "type: http_fault, params: { target_port: 80, abort_code: 500, path_pattern: /a }" => "type: http_fault, params: { target_port: 80, abort_code: 500, path_pattern: '~/b' }", "for ~/a.*: 500 for" => "for ~/b: 500 for";
    key_spec_faults_params_dns_delay_ms: "type: dns, params: { delay_ms: 500 }" => "type: dns, params: { delay_ms: 750 }", "delay of 500ms" => "delay of 750ms";
    key_spec_faults_params_dns_failure_rate: "type: dns, params: { delay_ms: 0, failure_rate: 0.2 }" => "type: dns, params: { delay_ms: 0, failure_rate: 30 }", "to 20% of questions" => "to 30% of questions";
    key_spec_faults_params_network_latency: "type: network, params: { device: lo, latency: 50 }" => "type: network, params: { device: lo, latency: 75 }", "delay 50ms" => "delay 75ms";
    key_spec_faults_params_network_packet_loss: "type: network, params: { device: lo, packet_loss: 5 }" => "type: network, params: { device: lo, packet_loss: 6% }", "loss of 5%" => "loss of 6%";
    key_spec_faults_params_network_bandwidth: "type: network, params: { device: lo, bandwidth: 1000 }" => "type: network, params: { device: lo, bandwidth: 512 }", "at most 1mbit" => "at most 512kbit";
    key_spec_faults_params_network_reorder: "type: network, params: { device: lo, latency: 50, reorder: 5 }" => "type: network, params: { device: lo, latency: 50, reorder: 6 }", "5% at once" => "6% at once";
    key_spec_faults_params_network_reorder_correlation: "type: network, params: { device: lo, latency: 50, reorder: 5, reorder_correlation: 20 }" => "type: network, params: { device: lo, latency: 50, reorder: 5, reorder_correlation: 25 }", "each 20% like" => "each 25% like";
    key_spec_faults_params_network_corrupt: "type: network, params: { device: lo, corrupt: 5 }" => "type: network, params: { device: lo, corrupt: 6 }", "in 5%" => "in 6%";
    key_spec_faults_params_network_duplicate: "type: network, params: { device: lo, duplicate: 5 }" => "type: network, params: { device: lo, duplicate: 6 }", "5% twice" => "6% twice";
    key_spec_faults_params_network_target_ports: "type: network, params: { device: lo, latency: 50, target_ports: '80' }" => "type: network, params: { device: lo, latency: 50, target_ports: '443' }", "ports 80/tcp" => "ports 443/tcp";
    key_spec_faults_params_network_target_proto: "type: network, params: { device: lo, latency: 50, target_ports: '80' }" => "type: network, params: { device: lo, latency: 50, target_ports: '80', target_proto: udp }", "ports 80/tcp" => "ports 80/udp";
    key_spec_faults_params_network_target_ips: "type: network, params: { device: lo, latency: 50, target_ips: 10.0.0.7 }" => "type: network, params: { device: lo, latency: 50, target_ips: 10.0.0.8 }", "to 10.0.0.7," => "to 10.0.0.8,";
    key_spec_faults_params_network_target_cidr: "type: network, params: { device: lo, latency: 50, target_cidr: 10.0.0.0/8 }" => "type: network, params: { device: lo, latency: 50, target_cidr: 11.0.0.0/8 }", "to 10.0.0.0/8," => "to 11.0.0.0/8,";
    key_spec_faults_params_connection_drop_rule_type: "type: connection_drop, params: { probability: 0.5 }" => "type: connection_drop, params: { probability: 0.5, rule_type: reject }", "dropping 50% of" => "rejecting 50% of";
    key_spec_faults_params_connection_drop_probability: "type: connection_drop, params: { rule_type: drop }" => "type: connection_drop, params: { rule_type: drop, probability: 0.5 }", "dropping 10% of" => "dropping 50% of";
    key_spec_faults_params_connection_drop_target_ports: "type: connection_drop, params: { target_ports: '80' }" => "type: connection_drop, params: { target_ports: '443' }", "ports 80/tcp" => "ports 443/tcp";
    key_spec_faults_params_connection_drop_target_proto: "type: connection_drop, params: { target_ports: '80' }" => "type: connection_drop, params: { target_ports: '80', target_proto: udp }", "ports 80/tcp" => "ports 80/udp";
}

keys! { Stage::container(), Plan, fault!("type: network, params: { latency: 50, device: lo }");
    // The container of the test has no network, and no interface but that one.
    key_spec_faults_params_network_device: "device: lo" => "device: eth7", "/code", "0" => "2";
}
