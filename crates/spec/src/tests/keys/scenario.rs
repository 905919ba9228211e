use super::{differ, keys};
use crate::tests::{experiment, plain, said, swap};

/// Every key that stands beside every other.
const BASE: &str = r#"
apiVersion: chaos.polygon.io/v1
kind: ChaosScenario
metadata: { name: base, description: what for, tags: [one], author: us, version: v1 }
spec:
  targets:
    - alias: web
      selector: { type: docker_container, enclave: pos, pattern: web-1, labels: { tier: front }, container_id: abcd, service_name: el-1 }
      count: 2
    - { alias: other, selector: { pattern: "*" } }
  duration: 8m
  warmup: 1m
  cooldown: 90s
  interval: 4s
  faults:
    - { phase: squeeze, description: how, target: web, type: memory_pressure, params: { memory_mb: 64 }, delay: 2s, duration: 30s }
    - { phase: pause, target: other, type: container_pause, params: { unpause: true } }
  success_criteria:
    - { name: prom, description: why, type: prometheus, query: up, threshold: "< 1", window: 20s }
    - { name: logs, type: log, pattern: panic, target_log: web, container_pattern: api, threshold: "< 3" }
    - { name: page, type: health_check, url: "http://a/", expected_status: 201 }
  metrics: [up]
  execution_mode: parallel
  preconditions: { min_validators: 4, validator_pattern: "val.*" }
"#;

keys! {
    key_metadata_name: BASE, "name: base" => "name: other", "/name", "base" => "other";
    key_metadata_description: BASE, "what for" => "nothing", "/description", "what for" => "nothing";
    key_metadata_author: BASE, "author: us" => "author: them", "/owner", "us" => "them";
    key_metadata_version: BASE, "version: v1" => "version: v2", "/version", "v1" => "v2";
    key_metadata_tags: BASE, "[one]" => "[one, two]", "/tags", "[\"one\"]" => "[\"one\", \"two\"]";
    key_spec_targets_selector_enclave: BASE, "enclave: pos" => "enclave: pow", "/targets/0/selector/container/labels/com.kurtosistech.enclave-name", "pos" => "pow";
    key_spec_targets_selector_service_name: BASE, "service_name: el-1" => "service_name: el-2", "/targets/0/selector/container/labels/com.kurtosistech.id", "el-1" => "el-2";
    key_spec_targets_selector_pattern: BASE, "pattern: web-1" => "pattern: \"web-.\"", "/targets/0/selector/container/name", "{\"contains\":\"web-1\"}" => "{\"anywhere\":\"web-.\"}";
    key_spec_targets_selector_labels: BASE, "tier: front" => "tier: back", "/targets/0/selector/container/labels/tier", "front" => "back";
    key_spec_targets_selector_container_id: BASE, "abcd" => "abcdef", "/targets/0/selector/container/id", "abcd" => "abcdef";
    key_spec_targets_count: BASE, "count: 2" => "count: 3", "/targets/0/blast_radius/at_most", "2" => "3";
    key_spec_warmup: BASE, "warmup: 1m" => "warmup: 2m", "/warmup", "1m" => "2m";
    key_spec_interval: BASE, "interval: 4s" => "interval: 5s", "/interval", "4s" => "5s";
    key_spec_faults_phase: BASE, "squeeze" => "press", "/faults/0/name", "squeeze" => "press";
    key_spec_faults_description: BASE, "description: how" => "description: so", "/faults/0/description", "how" => "so";
    key_spec_faults_target: BASE, "target: web," => "target: other,", "/faults/0/target", "web" => "other";
    key_spec_faults_delay: BASE, "delay: 2s" => "delay: 3s", "/faults/0/start", "2s" => "3s";
    key_spec_faults_duration: BASE, "duration: 30s" => "duration: 31s", "/faults/0/duration", "30s" => "31s";
    key_spec_success_criteria_name: BASE, "name: prom" => "name: metric", "/probes/0/name", "prom" => "metric";
    key_spec_success_criteria_description: BASE, "why" => "because", "/probes/0/description", "why" => "because";
    key_spec_success_criteria_query: BASE, "query: up" => "query: down", "/probes/0/source/prometheus/query", "up" => "down";
    key_spec_success_criteria_threshold: BASE, "\"< 1\"" => "\"<= 2\"", "/probes/0/expect", "< 1" => "<= 2";
    key_spec_success_criteria_window: BASE, "window: 20s" => "window: 30s", "/probes/0/when/0/over", "{\"window\":\"20s\"}" => "{\"window\":\"30s\"}";
    key_spec_success_criteria_during_fault: BASE, "query: up, threshold: \"< 1\", window: 20s" => "query: up, threshold: \"< 1\", during_fault: true", "/probes/0/when/0/over", "{\"window\":\"20s\"}" => "whole";
    key_spec_success_criteria_post_fault_only: BASE, "window: 20s" => "window: 20s, post_fault_only: true", "/probes/0/when/0/moment", "during" => "after";
    key_spec_success_criteria_pattern: BASE, "pattern: panic" => "pattern: fatal", "/probes/1/source/log/pattern", "panic" => "fatal";
    key_spec_success_criteria_target_log: BASE, "target_log: web" => "target_log: other", "/probes/1/source/log/target", "web" => "other";
    key_spec_success_criteria_container_pattern: BASE, "container_pattern: api" => "container_pattern: \"a.i\"", "/probes/1/source/log/container", "(?s:.*)api(?s:.*)" => "(?s:.*)(?:a.i)(?s:.*)";
    key_spec_success_criteria_absence: BASE, "threshold: \"< 3\"" => "absence: true", "/probes/1/expect", "< 3" => "== 0";
    key_spec_success_criteria_url: BASE, "http://a/" => "http://b/", "/probes/2/source/http/url", "http://a/" => "http://b/";
    key_spec_success_criteria_expected_status: BASE, "201" => "204", "/probes/2/source/http/status", "201" => "204";
    key_spec_metrics: BASE, "[up]" => "[up, down]", "/metrics", "[\"up\"]" => "[\"up\",\"down\"]";
    key_spec_preconditions_min_validators: BASE, "min_validators: 4" => "min_validators: 5", "/preconditions/0/at_least", "4" => "5";
    key_spec_preconditions_validator_pattern: BASE, "\"val.*\"" => "val", "/preconditions/0/pattern", "{\"anywhere\":\"val.*\"}" => "{\"contains\":\"val\"}";
}

/// Compares two types or sets of parameters in one document.
fn params(old: &str, new: &str, at: &str, before: &str, after: &str) {
    let base = format!(
        "
spec:
  targets: [{{ alias: a, selector: {{ pattern: a }} }}]
  duration: 2m
  faults: [{{ phase: f, target: a, {old} }}]
"
    );
    differ(&base, old, new, &format!("/faults/0{at}"), before, after);
}

macro_rules! faults {
    ($($name:ident: $old:literal => $new:literal, $at:literal, $before:literal => $after:literal;)*) => {
        $(#[test] fn $name() { params($old, $new, $at, $before, $after); })*
    };
}

faults! {
    key_spec_faults_type: "type: container_restart, params: { restart_delay: 0 }" => "type: container_kill, params: { restart_delay: 0 }", "/inject", "{\"container_restart\":{\"grace\":\"10s\",\"delay\":\"0s\",\"stagger\":\"0s\"}}" => "{\"container_kill\":{\"signal\":\"KILL\",\"via\":\"host\",\"restart\":true,\"restart_delay\":\"0s\"}}";
    key_spec_faults_params_memory_pressure_memory_mb: "type: memory, params: { method: limit }" => "type: memory, params: { memory_mb: '256.5' }", "/inject/memory_limit/limit", "512MiB" => "262656KiB";
    key_spec_faults_params_cpu_stress_method: "type: cpu, params: { method: stress }" => "type: cpu, params: { method: limit }", "/inject", "{\"cpu_stress\":{\"percent\":\"50%\",\"cores\":1}}" => "{\"cpu_limit\":{\"percent\":\"50%\"}}";
    key_spec_faults_params_cpu_stress_cpu_percent: "type: cpu, params: { cpu_percent: 50 }" => "type: cpu, params: { cpu_percent: 70 }", "/inject/cpu_stress/percent", "\"50%\"" => "\"70%\"";
    key_spec_faults_params_cpu_stress_cores: "type: cpu_stress, params: { cores: 1 }" => "type: cpu_stress, params: { cores: 3 }", "/inject/cpu_stress", "{\"percent\":\"50%\",\"cores\":1}" => "{\"percent\":\"150%\",\"cores\":3}";
    key_spec_faults_params_container_restart_grace_period: "type: container_restart, params: { grace_period: 10 }" => "type: container_restart, params: { grace_period: 3.5 }", "/inject/container_restart/grace", "10s" => "3s500ms";
    key_spec_faults_params_container_restart_restart_delay: "type: container_restart, params: { restart_delay: 0 }" => "type: container_restart, params: { restart_delay: 4 }", "/inject/container_restart/delay", "0s" => "4s";
    key_spec_faults_params_container_restart_stagger: "type: container_restart, params: { stagger: 0 }" => "type: container_restart, params: { stagger: '5' }", "/inject/container_restart/stagger", "0s" => "5s";
    key_spec_faults_params_container_kill_signal: "type: container_kill, params: { signal: KILL }" => "type: container_kill, params: { signal: SIGTERM }", "/inject/container_kill/signal", "KILL" => "TERM";
    key_spec_faults_params_container_kill_restart_delay: "type: container_kill, params: { restart_delay: 0 }" => "type: container_kill, params: { restart_delay: 1m }", "/inject/container_kill/restart_delay", "0s" => "1m";
    key_spec_faults_params_container_pause_duration: "type: container_pause, params: { duration: 30s }" => "type: container_pause, params: { duration: 40 }", "/duration", "30s" => "40s";
    key_spec_faults_params_process_kill_process_pattern: "type: process_kill, params: { process_pattern: a }" => "type: process_kill, params: { process_pattern: b }", "/inject/process_kill/pattern", "(?s:.*)a(?s:.*)" => "(?s:.*)b(?s:.*)";
    key_spec_faults_params_process_kill_signal: "type: process_kill, params: { signal: KILL }" => "type: process_kill, params: { signal: TERM }", "/inject/process_kill/signal", "KILL" => "TERM";
    key_spec_faults_params_process_kill_kill_children: "type: process_kill, params: { kill_children: false }" => "type: process_kill, params: { kill_children: true }", "/inject/process_kill/children", "false" => "true";
    key_spec_faults_params_process_kill_count: "type: process_kill, params: { count: 1 }" => "type: process_kill, params: { count: 2.0 }", "/inject/process_kill/count", "1" => "2";
    key_spec_faults_params_clock_skew_offset: "type: clock_skew, params: { offset: +5m }" => "type: clock_skew, params: { offset: -1h }", "/inject/clock_skew/offset", "+5m" => "-1h";
    key_spec_faults_params_disk_fill_target_path: "type: disk_fill, params: { size_mb: 64, target_path: /a }" => "type: disk_fill, params: { size_mb: 64, target_path: /b }", "/inject/disk_fill/path", "/a" => "/b";
    key_spec_faults_params_disk_fill_path: "type: disk_fill, params: { size_mb: 64, path: /a }" => "type: disk_fill, params: { size_mb: 64, path: /b }", "/inject/disk_fill/path", "/a" => "/b";
    key_spec_faults_params_disk_fill_size_mb: "type: disk_fill, params: { path: /a, size_mb: 64 }" => "type: disk_fill, params: { path: /a, size_mb: '1.5' }", "/inject/disk_fill/size", "64MiB" => "1536KiB";
    key_spec_faults_params_disk_fill_fill_percent: "type: disk_fill, params: { path: /a, fill_percent: 90 }" => "type: disk_fill, params: { path: /a, fill_percent: '95' }", "/inject/disk_fill/percent", "\"90%\"" => "\"95%\"";
    key_spec_faults_params_disk_fill_allow_root_device: "type: disk_fill, params: { path: /a, size_mb: 64 }" => "type: disk_fill, params: { path: /a, size_mb: 64, allow_root_device: true }", "/inject/disk_fill/allow_root_device", "false" => "true";
    key_spec_faults_params_network_device: "type: network, params: { latency: 50, device: eth0 }" => "type: network, params: { latency: 50, device: eth1 }", "/inject/delay/device", "eth0" => "eth1";
    key_spec_faults_params_network_latency: "type: network, params: { latency: 50 }" => "type: network, params: { latency: '75' }", "/inject/delay/mean", "50ms" => "75ms";
    key_spec_faults_params_network_packet_loss: "type: network, params: { packet_loss: 5 }" => "type: network, params: { packet_loss: 50% }", "/inject/loss/percent", "\"5%\"" => "\"50%\"";
    key_spec_faults_params_network_bandwidth: "type: network, params: { bandwidth: 1000 }" => "type: network, params: { bandwidth: 512 }", "/inject/rate/rate", "1mbit" => "512kbit";
    key_spec_faults_params_network_reorder: "type: network, params: { latency: 50, reorder: 5 }" => "type: network, params: { latency: 50, reorder: 6 }", "/inject/reorder/percent", "\"5%\"" => "\"6%\"";
    key_spec_faults_params_network_reorder_correlation: "type: network, params: { latency: 50, reorder: 5 }" => "type: network, params: { latency: 50, reorder: 5, reorder_correlation: 25 }", "/inject/reorder/correlation", "\"0%\"" => "\"25%\"";
    key_spec_faults_params_network_corrupt: "type: network, params: { corrupt: 5 }" => "type: network, params: { corrupt: 6 }", "/inject/corrupt/percent", "\"5%\"" => "\"6%\"";
    key_spec_faults_params_network_duplicate: "type: network, params: { duplicate: 5 }" => "type: network, params: { duplicate: 6 }", "/inject/duplicate/percent", "\"5%\"" => "\"6%\"";
    key_spec_faults_params_network_target_ports: "type: network, params: { latency: 50, target_ports: '80' }" => "type: network, params: { latency: 50, target_ports: '80,8000-8010' }", "/inject/delay/ports", "[\"80/tcp\"]" => "[\"80/tcp\",\"8000-8010/tcp\"]";
    key_spec_faults_params_network_target_proto: "type: network, params: { latency: 50, target_ports: '80' }" => "type: network, params: { latency: 50, target_ports: '80', target_proto: 'tcp,udp' }", "/inject/delay/ports", "[\"80/tcp\"]" => "[\"80/tcp\",\"80/udp\"]";
    key_spec_faults_params_network_target_ips: "type: network, params: { latency: 50, target_ips: 10.0.0.7 }" => "type: network, params: { latency: 50, target_ips: '10.0.0.7,10.0.0.8' }", "/inject/delay/to", "[\"10.0.0.7\"]" => "[\"10.0.0.7\",\"10.0.0.8\"]";
    key_spec_faults_params_network_target_cidr: "type: network, params: { latency: 50, target_cidr: 10.0.0.0/8 }" => "type: network, params: { latency: 50, target_cidr: '11.0.0.0/8' }", "/inject/delay/to", "[\"10.0.0.0/8\"]" => "[\"11.0.0.0/8\"]";
    key_spec_faults_params_connection_drop_rule_type: "type: connection_drop, params: { probability: 0.5 }" => "type: connection_drop, params: { probability: 0.5, rule_type: reject }", "/inject/connection_drop/action", "drop" => "reject";
    key_spec_faults_params_connection_drop_probability: "type: connection_drop, params: { rule_type: drop }" => "type: connection_drop, params: { rule_type: drop, probability: 0.5 }", "/inject/connection_drop/probability", "\"10%\"" => "\"50%\"";
    key_spec_faults_params_connection_drop_target_ports: "type: connection_drop, params: { target_ports: '80' }" => "type: connection_drop, params: { target_ports: '80,8000-8010' }", "/inject/connection_drop/ports", "[\"80/tcp\"]" => "[\"80/tcp\",\"8000-8010/tcp\"]";
    key_spec_faults_params_connection_drop_target_proto: "type: connection_drop, params: { probability: 0.5 }" => "type: connection_drop, params: { probability: 0.5, target_proto: udp }", "/inject/connection_drop/to", "[\"*/tcp\"]" => "[\"*/udp\"]";
    key_spec_faults_params_http_fault_target_port: "type: http_fault, params: { target_port: 80, delay_ms: 5 }" => "type: http_fault, params: { target_port: 81, delay_ms: 5 }", "/inject/http/port", "80" => "81";
    key_spec_faults_params_http_fault_delay_ms: "type: http_fault, params: { target_port: 80, delay_ms: 5 }" => "type: http_fault, params: { target_port: 80, delay_ms: 6 }", "/inject/http/chaos/latency/fixed_delay_ms", "5.0" => "6.0";
    key_spec_faults_params_http_fault_delay_percent: "type: http_fault, params: { target_port: 80, delay_ms: 5 }" => "type: http_fault, params: { target_port: 80, delay_ms: 5, delay_percent: 25 }", "/inject/http/chaos/latency/probability", "1.0" => "0.25";
    key_spec_faults_params_http_fault_abort_code: "type: http_fault, params: { target_port: 80, abort_code: 500 }" => "type: http_fault, params: { target_port: 80, abort_code: 503 }", "/inject/http/chaos/fault_injection/http_errors", "[500]" => "[503]";
    key_spec_faults_params_http_fault_abort_percent: "type: http_fault, params: { target_port: 80, abort_code: 500 }" => "type: http_fault, params: { target_port: 80, abort_code: 500, abort_percent: 10 }", "/inject/http/chaos/fault_injection/http_error_probability", "1.0" => "0.1";
    key_spec_faults_params_http_fault_path_pattern: "type: http_fault, params: { target_port: 80, abort_code: 500, path_pattern: /a.b }" => "type: http_fault, params: { target_port: 80, abort_code: 500, path_pattern: '~/c|/d' }", "/inject/http/chaos/routes/0/path", "~/a\\.b.*" => "~/c|/d";
    key_spec_faults_params_dns_delay_ms: "type: dns, params: {}" => "type: dns, params: { delay_ms: 500 }", "/inject/dns/delay", "2s" => "500ms";
    key_spec_faults_params_dns_failure_rate: "type: dns, params: { delay_ms: 0, failure_rate: 0.25 }" => "type: dns, params: { delay_ms: 0, failure_rate: 30 }", "/inject/dns/probability", "\"25%\"" => "\"30%\"";
    key_spec_faults_params_disk_io_io_latency_ms: "type: disk_io, params: { io_latency_ms: 199 }" => "type: disk_io, params: { io_latency_ms: 200 }", "/inject/disk_io/workers", "2" => "3";
    key_spec_faults_params_disk_io_target_path: "type: disk_io, params: { io_latency_ms: 99 }" => "type: disk_io, params: { io_latency_ms: 99, target_path: /data }", "/inject/disk_io/path", "/tmp" => "/data";
    key_spec_faults_params_disk_io_path: "type: disk_io_stress, params: { io_latency_ms: 99 }" => "type: disk_io_stress, params: { io_latency_ms: 99, path: /data }", "/inject/disk_io/path", "/tmp" => "/data";
    key_spec_faults_params_disk_io_operation: "type: disk_io, params: { method: dd }" => "type: disk_io, params: { method: dd, operation: write }", "/inject/disk_io/operation", "all" => "write";
    key_spec_faults_params_disk_io_workers: "type: disk_io, params: { io_latency_ms: 99 }" => "type: disk_io, params: { io_latency_ms: 99, workers: 5 }", "/inject/disk_io/workers", "1" => "5";
    key_spec_faults_params_disk_io_block_size: "type: disk_io, params: { block_size: 4k }" => "type: disk_io, params: { block_size: 1M }", "/inject/disk_io/block_size", "4KiB" => "1MiB";
    key_spec_faults_params_process_kill_interval: "type: process_kill, params: { interval: 1 }" => "type: process_kill, params: { interval: 2 }", "/inject/process_kill/interval", "1s" => "2s";
    key_spec_faults_params_file_corrupt_target_path: "type: file_corrupt, params: { target_path: /a }" => "type: file_corrupt, params: { target_path: /b }", "/inject/file_corrupt/path", "/a" => "/b";
    key_spec_faults_params_file_corrupt_corrupt_bytes: "type: file_corrupt, params: { target_path: /a }" => "type: file_corrupt, params: { target_path: /a, corrupt_bytes: 64.0 }", "/inject/file_corrupt/bytes", "512B" => "64B";
    key_spec_faults_params_file_corrupt_corrupt_offset: "type: file_corrupt, params: { target_path: /a, corrupt_offset: 3 }" => "type: file_corrupt, params: { target_path: /a, corrupt_offset: '7' }", "/inject/file_corrupt/offset", "3B" => "7B";
    key_spec_faults_params_file_corrupt_method: "type: file_corrupt, params: { target_path: /a }" => "type: file_corrupt, params: { target_path: /a, method: zero }", "/inject/file_corrupt/method", "random" => "zero";
    key_spec_faults_params_file_delete_target_path: "type: file_delete, params: { target_path: /a }" => "type: file_delete, params: { target_path: /b }", "/inject/file_delete/path", "/a" => "/b";
    key_spec_faults_params_file_delete_recursive: "type: file_delete, params: { target_path: /a }" => "type: file_delete, params: { target_path: /a, recursive: true }", "/inject/file_delete/recursive", "false" => "true";
}

// The keys that warn, refuse, or change more than one thing.

#[test]
fn key_api_version() {
    assert_eq!(said(&plain(BASE)), "");
    assert_eq!(said(&plain(&swap(BASE, "chaos.polygon.io/v1", "chaos/v1"))), "");
    let answer = plain(&swap(BASE, "chaos.polygon.io/v1", "chaos/v2"));
    assert!(said(&answer).contains("the apiVersion `chaos/v2` is not known"));
    assert!(answer.is_ok());
}

#[test]
fn key_kind() {
    let answer = plain(&swap(BASE, "kind: ChaosScenario", "kind: Scenario"));
    assert!(said(&answer).contains("the kind `Scenario` is not known"));
    assert!(answer.is_ok());
}

#[test]
fn key_metadata_references() {
    let answer = plain(&swap(BASE, "version: v1", "version: v1, references: [a]"));
    assert!(said(&answer).contains("`metadata.references` does nothing"));
    assert_eq!(answer.unwrap().experiment, experiment(BASE));
}

#[test]
fn key_spec_targets_selector_type() {
    use fracas_core::experiment::Selector;
    let text = swap(BASE, "pattern: \"*\"", "type: kurtosis_service, pattern: \"*\"");
    let labels = |text: &str| match &experiment(text).targets[1].selector {
        Selector::Container(container) => container.labels.clone().into_iter().collect::<Vec<_>>(),
        Selector::Process(_) => panic!("a scenario has no processes"),
    };
    assert_eq!(labels(&text), [("com.kurtosistech.id".to_owned(), String::new())]);
    assert_eq!(labels(BASE), []);
}

#[test]
fn key_spec_targets_alias() {
    let renamed = swap(BASE, "alias: other", "alias: another");
    assert!(said(&plain(&renamed)).contains("names `other`, which is no alias"));
    assert_eq!(
        experiment(&swap(&renamed, "target: other", "target: another")).targets[1].alias,
        "another"
    );
}

#[test]
fn key_spec_duration() {
    let other = experiment(&swap(BASE, "duration: 8m", "duration: 9m"));
    assert_eq!(
        (other.duration.to_string(), other.max_duration.to_string()),
        ("9m".into(), "15m30s".into())
    );
    assert_eq!(experiment(BASE).duration.to_string(), "8m");
}

#[test]
fn key_spec_cooldown() {
    let other = experiment(&swap(BASE, "cooldown: 90s", "cooldown: 2m"));
    assert_eq!(
        (other.cooldown.to_string(), other.max_duration.to_string()),
        ("2m".into(), "15m".into())
    );
    assert_eq!(experiment(BASE).max_duration.to_string(), "14m30s");
}

#[test]
fn key_spec_execution_mode() {
    let other = experiment(&swap(BASE, "execution_mode: parallel", "execution_mode: sequential"));
    assert_ne!(other.execution, experiment(BASE).execution);
}

#[test]
fn key_spec_faults_exclude_producer() {
    let answer = plain(&swap(BASE, "delay: 2s", "delay: 2s, exclude_producer: true"));
    assert!(said(&answer).contains("which only an Ethereum chain has"));
    let loaded = answer.unwrap();
    assert_eq!((loaded.experiment.faults.len(), loaded.unsupported.len()), (1, 1));
    assert_eq!(
        experiment(&swap(BASE, "delay: 2s", "delay: 2s, exclude_producer: false")),
        experiment(BASE)
    );
}

#[test]
fn key_spec_faults_params_memory_pressure_method() {
    let answer = plain(&swap(BASE, "memory_mb: 64", "memory_mb: 64, method: stress"));
    assert!(said(&answer).contains("the container's memory is limited, as the original tool always did"));
    assert_eq!(
        said(&plain(&swap(BASE, "memory_mb: 64", "memory_mb: 64, method: limit"))),
        ""
    );
}

/// A base whose pressure is on a disk.
fn disk(kind: &str, params: &str) -> String {
    let old = "type: container_pause, params: { unpause: true }";
    swap(BASE, old, &format!("type: {kind}, params: {{ {params} }}"))
}

#[test]
fn key_spec_faults_params_clock_skew_disable_ntp() {
    assert_eq!(said(&plain(&disk("clock_skew", "offset: 1h, disable_ntp: false"))), "");
    let warned = plain(&disk("clock_skew", "offset: 1h, disable_ntp: true"));
    assert!(warned.is_ok() && said(&warned).contains("`disable_ntp` changes nothing"));
}

#[test]
fn key_spec_faults_params_disk_fill_file_name() {
    let with = disk("disk_fill", "path: /a, size_mb: 64, file_name: chaos_fill_data");
    let answer = plain(&with);
    assert!(said(&answer).contains("the file is not called `chaos_fill_data`"));
    let without = disk("disk_fill", "path: /a, size_mb: 64");
    assert_eq!(
        experiment(&with).faults[1].inject,
        experiment(&without).faults[1].inject
    );
}

#[test]
fn key_spec_faults_params_disk_io_method() {
    assert_eq!(said(&plain(&disk("disk_io", "method: dd"))), "");
    let refused = plain(&disk("disk_io", "method: dm-delay"));
    assert!(said(&refused).contains("error[D010]: a container's disk cannot be put behind `dm-delay`"));
    let other = plain(&disk("disk_io", "method: fio"));
    assert!(said(&other).contains("disk load by `fio` is not known") && other.is_ok());
}

#[test]
fn key_spec_faults_params_container_kill_restart() {
    let text = swap(
        BASE,
        "type: container_pause, params: { unpause: true }",
        "type: container_kill, params: { restart: false }",
    );
    assert!(said(&plain(&text)).contains("`pause` has no way back"));
    assert!(experiment(&text).faults[1].allow_irreversible);
    let kept = experiment(&swap(&text, "restart: false", "restart: true"));
    assert!(!kept.faults[1].allow_irreversible);
    assert_ne!(kept.faults[1].inject, experiment(&text).faults[1].inject);
}

#[test]
fn key_spec_faults_params_container_pause_unpause() {
    let answer = plain(&swap(BASE, "unpause: true", "unpause: false"));
    assert!(said(&answer).contains("error[D009]: `unpause: false` would leave the container paused"));
}

#[test]
fn key_spec_success_criteria_type() {
    let answer = plain(&swap(BASE, "type: health_check", "type: state_root_consensus"));
    let loaded = answer.unwrap();
    assert_eq!((loaded.experiment.probes.len(), loaded.unsupported.len()), (2, 1));
    let answer = plain(&swap(BASE, "type: health_check", "type: prometheus"));
    assert!(said(&answer).contains("`url` has no meaning in a criterion of the type `prometheus`"));
}

#[test]
fn key_spec_success_criteria_critical() {
    use fracas_core::probe::Moment;
    let other = experiment(&swap(BASE, "query: up", "query: up, critical: true"));
    assert!(other.probes[0].critical && !experiment(BASE).probes[0].critical);
    let moments: Vec<_> = other.probes[0].when.iter().map(|when| when.moment).collect();
    assert_eq!(moments, [Moment::Before, Moment::During]);
    assert_eq!(experiment(BASE).probes[0].when.len(), 1);
}

#[test]
fn key_spec_faults_params_file_corrupt_backup_first() {
    backup_first("file_corrupt");
    // 0 is seed 0's word for anywhere.
    let text = swap(
        BASE,
        "type: memory_pressure, params: { memory_mb: 64 }",
        "type: file_corrupt, params: { target_path: /a, corrupt_offset: 0 }",
    );
    let json = serde_json::to_value(&experiment(&text).faults[0].inject).unwrap();
    assert_eq!(json["file_corrupt"].get("offset"), None);
}

#[test]
fn key_spec_faults_params_file_delete_backup_first() {
    backup_first("file_delete");
}

fn backup_first(kind: &str) {
    let params = |backup: &str| format!("type: {kind}, params: {{ target_path: /a{backup} }}");
    let with = |backup: &str| {
        swap(
            BASE,
            "type: memory_pressure, params: { memory_mb: 64 }",
            &params(backup),
        )
    };
    let answer = plain(&with(", backup_first: false"));
    assert!(
        said(&answer).contains("what was there is kept, and put back"),
        "{}",
        said(&answer)
    );
    assert_eq!(said(&plain(&with(", backup_first: true"))), "");
    assert_eq!(said(&plain(&with(""))), "");
    assert!(answer.is_ok());
}

#[test]
fn a_network_fault_with_several_effects_becomes_several_faults() {
    let text = disk(
        "network",
        "latency: 50, packet_loss: 5, bandwidth: 1000, duplicate: 1, corrupt: 2",
    );
    let loaded = experiment(&text);
    let names: Vec<_> = loaded
        .faults
        .iter()
        .map(|fault| (fault.name.as_str(), fault.inject.name()))
        .collect();
    assert_eq!(
        names[1..],
        [
            ("pause-latency", "delay"),
            ("pause-packet_loss", "loss"),
            ("pause-duplicate", "duplicate"),
            ("pause-corrupt", "corrupt"),
            ("pause-bandwidth", "rate"),
        ]
    );
    for (params, why) in [
        ("device: eth0", "without an effect"),
        ("reorder: 5", "`reorder` needs a `latency`"),
        ("latency: 5, reorder_correlation: 5", "means nothing without `reorder`"),
        ("latency: 5, target_ports: 'a,b'", "`target_ports` is wrong"),
        ("latency: 5, target_ports: '80', target_proto: sctp", "are no protocols"),
        (
            "latency: 20000",
            "`spec.faults[1].params.latency` must be more than 0s and at most 3s",
        ),
        (
            "packet_loss: 150",
            "`spec.faults[1].params.packet_loss` must be more than 0%",
        ),
    ] {
        let answer = plain(&disk("network", params));
        assert!(
            answer.is_err() && said(&answer).contains(why),
            "{params}: {}",
            said(&answer)
        );
    }
    let warned = plain(&disk("network", "latency: 5, target_proto: udp"));
    assert!(warned.is_ok() && said(&warned).contains("means nothing without `target_ports`"));
}

#[test]
fn a_connection_drop_is_about_what_comes_in_and_never_more_than_all() {
    let drop = |params: &str| disk("connection_drop", params);
    let json = serde_json::to_value(&experiment(&drop("target_ports: '80', target_proto: 'tcp,udp'")).faults[1].inject);
    assert_eq!(
        json.unwrap()["connection_drop"],
        serde_json::json!({
            "action": "drop", "probability": "10%", "connections": "all", "direction": "ingress",
            "ports": ["80/tcp", "80/udp"], "include_observers": false
        })
    );
    for (params, why) in [
        ("probability: 1.5", "`probability` is 1.5, and can be 1 at most"),
        (
            "probability: 0",
            "`spec.faults[1].params.probability` must be more than 0%",
        ),
        ("target_ports: '80', target_proto: icmp", "are no protocols"),
        ("target_ports: '0'", "`target_ports` is wrong"),
        ("rule_type: tarpit", "rule_type"),
    ] {
        let answer = plain(&drop(params));
        assert!(
            answer.is_err() && said(&answer).contains(why),
            "{params}: {}",
            said(&answer)
        );
    }
}
