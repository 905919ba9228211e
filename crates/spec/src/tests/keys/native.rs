use super::{differ, keys};
use crate::tests::{experiment, plain, said, swap};

/// Every key, with a value that is not its default.
const BASE: &str = r#"
apiVersion: fracas.dev/v1
kind: Experiment
metadata: { name: base, description: what for, owner: us, version: v1, tags: [one] }
seed: 42
hypothesis:
  interval: 4s
  warmup: 20s
  recovery: { within: 50s, stable_for: 10s }
  probes:
    - { name: prom, description: why, prometheus: { query: up, url: "http://a:9090", scrape_interval: 11s, timeout: 3s }, expect: "< 1", abort: "> 2", when: [before] }
    - { name: page, http: { url: "http://b/", status: 201, timeout: 4s, measure: status }, expect: "== 201" }
    - { name: port, tcp: { address: "c:1", timeout: 6s, measure: latency }, expect: "< 3" }
    - { name: prog, command: { argv: [/bin/true], timeout: 7s, measure: number }, expect: "== 0" }
    - { name: logs, log: { pattern: panic, target: web, container: api }, expect: "== 0" }
    - { name: procs, process: { command: nginx }, expect: ">= 1" }
targets:
  - alias: web
    container: { name: web-1, labels: { tier: front }, id: abcd, image: nginx, compose_service: shop }
    blast_radius: { percent: 50%, at_least: 2, at_most: 5, leave_healthy: 3 }
  - alias: host
    process: { name: sshx, command: sshx -D, pid_file: /run/x.pid, cgroup: /x.slice, systemd_unit: x.service, port: 81 }
faults:
  - { name: squeeze, description: how, target: web, inject: { memory_limit: { limit: 64MiB } }, start: 2s, duration: 30s }
  - { name: kill, target: host, inject: { process_kill: {} }, allow_irreversible: true, duration: 60s }
execution: sequential
on_target_failure: continue
duration: 3m
max_duration: 10m
metrics: [up]
"#;

keys! {
    key_metadata_name: BASE, "name: base" => "name: other", "/name", "base" => "other";
    key_metadata_description: BASE, "what for" => "nothing", "/description", "what for" => "nothing";
    key_metadata_owner: BASE, "owner: us" => "owner: them", "/owner", "us" => "them";
    key_metadata_version: BASE, "version: v1" => "version: 1.0", "/version", "v1" => "\"1.0\"";
    key_metadata_tags: BASE, "[one]" => "[one, two]", "/tags", "[\"one\"]" => "[\"one\", \"two\"]";
    key_seed: BASE, "42" => "43", "/seed", "42" => "43";
    key_hypothesis_interval: BASE, "interval: 4s" => "interval: 9s", "/interval", "4s" => "9s";
    key_hypothesis_warmup: BASE, "20s" => "25s", "/warmup", "20s" => "25s";
    key_hypothesis_recovery_within: BASE, "50s" => "55s", "/recovery/within", "50s" => "55s";
    key_hypothesis_recovery_stable_for: BASE, "stable_for: 10s" => "stable_for: 12s", "/recovery/stable_for", "10s" => "12s";
    key_hypothesis_probes_name: BASE, "name: prom" => "name: metric", "/probes/0/name", "prom" => "metric";
    key_hypothesis_probes_description: BASE, "why" => "because", "/probes/0/description", "why" => "because";
    key_hypothesis_probes_expect: BASE, "\"< 1\"" => "\"< 5%\"", "/probes/0/expect", "< 1" => "< 0.05";
    key_hypothesis_probes_abort: BASE, "\"> 2\"" => "\"> 3\"", "/probes/0/abort", "> 2" => "> 3";
    key_hypothesis_probes_when: BASE, "[before]" => "[after]", "/probes/0/when/0", "{\"moment\":\"before\",\"over\":\"whole\"}" => "{\"moment\":\"after\",\"over\":\"last\"}";
    key_hypothesis_probes_prometheus_query: BASE, "query: up" => "query: down", "/probes/0/source/prometheus/query", "up" => "down";
    key_hypothesis_probes_prometheus_url: BASE, "http://a:9090" => "https://b", "/probes/0/source/prometheus/url", "http://a:9090" => "https://b";
    key_hypothesis_probes_prometheus_scrape_interval: BASE, "11s" => "13s", "/probes/0/source/prometheus/scrape_interval", "11s" => "13s";
    key_hypothesis_probes_prometheus_timeout: BASE, "timeout: 3s" => "timeout: 1s", "/probes/0/source/prometheus/timeout", "3s" => "1s";
    key_hypothesis_probes_http_url: BASE, "http://b/" => "http://d/", "/probes/1/source/http/url", "http://b/" => "http://d/";
    key_hypothesis_probes_http_status: BASE, "status: 201" => "status: 204", "/probes/1/source/http/status", "201" => "204";
    key_hypothesis_probes_http_timeout: BASE, "timeout: 4s" => "timeout: 1s", "/probes/1/source/http/timeout", "4s" => "1s";
    key_hypothesis_probes_http_measure: BASE, "measure: status" => "measure: up", "/probes/1/source/http/measure", "status" => "up";
    key_hypothesis_probes_tcp_address: BASE, "c:1" => "c:2", "/probes/2/source/tcp/address", "c:1" => "c:2";
    key_hypothesis_probes_tcp_timeout: BASE, "timeout: 6s" => "timeout: 1s", "/probes/2/source/tcp/timeout", "6s" => "1s";
    key_hypothesis_probes_tcp_measure: BASE, "measure: latency" => "measure: up", "/probes/2/source/tcp/measure", "latency" => "up";
    key_hypothesis_probes_command_argv: BASE, "/bin/true" => "/bin/false, -x", "/probes/3/source/command/argv", "[\"/bin/true\"]" => "[\"/bin/false\",\"-x\"]";
    key_hypothesis_probes_command_timeout: BASE, "timeout: 7s" => "timeout: 1s", "/probes/3/source/command/timeout", "7s" => "1s";
    key_hypothesis_probes_command_measure: BASE, "measure: number" => "measure: exit_code", "/probes/3/source/command/measure", "number" => "exit_code";
    key_hypothesis_probes_log_pattern: BASE, "pattern: panic" => "pattern: fatal", "/probes/4/source/log/pattern", "panic" => "fatal";
    key_hypothesis_probes_log_container: BASE, "container: api" => "container: a.*", "/probes/4/source/log/container", "api" => "a.*";
    key_hypothesis_probes_process_command: BASE, "command: nginx" => "command: caddy", "/probes/5/source/process/command", "nginx" => "caddy";
    key_targets_container_name: BASE, "web-1" => "web-2", "/targets/0/selector/container/name/whole", "web-1" => "web-2";
    key_targets_container_labels: BASE, "tier: front" => "tier: back", "/targets/0/selector/container/labels", "{\"tier\":\"front\"}" => "{\"tier\":\"back\"}";
    key_targets_container_id: BASE, "id: abcd" => "id: abcdef", "/targets/0/selector/container/id", "abcd" => "abcdef";
    key_targets_container_image: BASE, "image: nginx" => "image: caddy", "/targets/0/selector/container/image", "nginx" => "caddy";
    key_targets_container_compose_service: BASE, "shop" => "store", "/targets/0/selector/container/compose_service", "shop" => "store";
    key_targets_process_name: BASE, "name: sshx" => "name: sshy", "/targets/1/selector/process/name", "sshx" => "sshy";
    key_targets_process_command: BASE, "sshx -D" => "sshx -E", "/targets/1/selector/process/command", "sshx -D" => "sshx -E";
    key_targets_process_pid_file: BASE, "x.pid" => "y.pid", "/targets/1/selector/process/pid_file", "/run/x.pid" => "/run/y.pid";
    key_targets_process_cgroup: BASE, "/x.slice" => "/y.slice", "/targets/1/selector/process/cgroup", "/x.slice" => "/y.slice";
    key_targets_process_systemd_unit: BASE, "x.service" => "y.service", "/targets/1/selector/process/systemd_unit", "x.service" => "y.service";
    key_targets_process_port: BASE, "81" => "82", "/targets/1/selector/process/port", "81" => "82";
    key_targets_blast_radius_percent: BASE, "50%" => "40%", "/targets/0/blast_radius/percent", "\"50%\"" => "\"40%\"";
    key_targets_blast_radius_at_least: BASE, "at_least: 2" => "at_least: 1", "/targets/0/blast_radius/at_least", "2" => "1";
    key_targets_blast_radius_at_most: BASE, "at_most: 5" => "at_most: 6", "/targets/0/blast_radius/at_most", "5" => "6";
    key_targets_blast_radius_leave_healthy: BASE, "leave_healthy: 3" => "leave_healthy: 0", "/targets/0/blast_radius/leave_healthy", "3" => "0";
    key_faults_name: BASE, "squeeze" => "press", "/faults/0/name", "squeeze" => "press";
    key_faults_description: BASE, "description: how" => "description: so", "/faults/0/description", "how" => "so";
    key_faults_target: BASE, "target: web, inject" => "target: host, inject", "/faults/0/target", "web" => "host";
    key_faults_start: BASE, "start: 2s" => "start: 3s", "/faults/0/start", "2s" => "3s";
    key_faults_duration: BASE, "duration: 30s" => "duration: 31s", "/faults/0/duration", "30s" => "31s";
    key_execution: BASE, "sequential" => "parallel", "/execution", "sequential" => "parallel";
    key_on_target_failure: BASE, "continue" => "rollback", "/on_target_failure", "continue" => "rollback";
    key_duration: BASE, "duration: 3m" => "duration: 4m", "/duration", "3m" => "4m";
    key_max_duration: BASE, "10m" => "11m", "/max_duration", "10m" => "11m";
    key_metrics: BASE, "[up]" => "[up, down]", "/metrics", "[\"up\"]" => "[\"up\",\"down\"]";
}

// The keys that cannot take another value in the same document, or whose other value another key must follow.

#[test]
fn key_api_version() {
    let answer = plain(&swap(BASE, "fracas.dev/v1", "fracas.dev/v2"));
    assert!(said(&answer).contains("the apiVersion `fracas.dev/v2` is not known"));
}

#[test]
fn key_kind() {
    let answer = plain(&swap(BASE, "kind: Experiment", "kind: Experimnt"));
    assert!(said(&answer).contains("did you mean `Experiment`?"));
}

#[test]
fn key_targets_alias() {
    let renamed = swap(BASE, "alias: host", "alias: machine");
    assert!(said(&plain(&renamed)).contains("names `host`, which is no alias"));
    let both = swap(&renamed, "target: host", "target: machine");
    assert_eq!(experiment(&both).targets[1].alias, "machine");
}

#[test]
fn key_hypothesis_probes_log_target() {
    let answer = plain(&swap(BASE, "target: web, container", "target: host, container"));
    assert!(said(&answer).contains("they have no log"), "{}", said(&answer));
    let one = experiment(BASE);
    let other = experiment(&swap(BASE, "target: web, container", "container"));
    assert_ne!(one.probes[4].source, other.probes[4].source);
}

#[test]
fn key_faults_allow_irreversible() {
    let answer = plain(&swap(BASE, "allow_irreversible: true, ", ""));
    assert!(
        said(&answer).contains("error[F005]: `kill` cannot be undone"),
        "{}",
        said(&answer)
    );
    assert!(experiment(BASE).faults[1].allow_irreversible);
}

#[test]
fn what_is_left_out_has_its_default() {
    let text = "
apiVersion: fracas.dev/v1
kind: Experiment
metadata: { name: small }
hypothesis: { probes: [{ name: p, tcp: { address: 'a:1' }, expect: '== 1' }] }
targets: [{ alias: a, container: { name: a } }]
faults: [{ name: f, target: a, inject: { memory_limit: { limit: 1GiB } } }]
duration: 2m
";
    insta::assert_snapshot!(serde_json::to_string_pretty(&experiment(text)).unwrap());
}
