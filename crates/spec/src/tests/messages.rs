//! Every message, as a person gets it. One snapshot for each group; each case is a document that is wrong in one way.

use std::fmt::Write;

use super::{plain, said, swap};

/// A native document with nothing wrong.
pub(super) const GOOD: &str = r#"apiVersion: fracas.dev/v1
kind: Experiment
metadata: { name: base }
hypothesis:
  probes:
    - name: p99
      prometheus: { query: "rate(x[1m])" }
      expect: "< 0.2"
targets:
  - alias: web
    container: { name: web }
faults:
  - name: slow
    target: web
    inject: { memory_limit: { limit: 64MiB } }
    start: 10s
    duration: 30s
duration: 2m
"#;

/// A scenario with nothing wrong.
pub(super) const SCENARIO: &str = r#"apiVersion: chaos.polygon.io/v1
kind: ChaosScenario
metadata: { name: base }
spec:
  targets:
    - alias: web
      selector: { pattern: web }
  duration: 2m
  faults:
    - phase: squeeze
      target: web
      type: memory_pressure
      params: { memory_mb: 512 }
  success_criteria:
    - name: alive
      type: prometheus
      query: up
      threshold: "== 1"
"#;

/// What is said about each change of a document.
fn table(base: &str, cases: &[(&str, &str)]) -> String {
    assert_eq!(said(&plain(base)), "");
    let mut out = String::new();
    for (old, new) in cases {
        let answer = plain(&swap(base, old, new));
        let said = said(&answer);
        assert!(!said.is_empty(), "nothing is said about {new:?}");
        let _ = write!(out, "== {old} -> {}\n{said}\n\n", new.replace('\n', "⏎"));
    }
    out
}

#[test]
fn who_sets_the_machine_s_clock_reads_no_logs() {
    let logs = swap(
        GOOD,
        "prometheus: { query: \"rate(x[1m])\" }",
        "log: { pattern: a, target: web }",
    );
    let skew = |more: &str| {
        let inject = format!("clock_skew: {{ offset: +1h{more} }}");
        said(&plain(&swap(&logs, "memory_limit: { limit: 64MiB }", &inject)))
    };
    assert_eq!(skew(""), "");
    let refused = skew(", allow_host_clock: true");
    assert!(refused.contains("they would read nothing"), "{refused}");
}

#[test]
fn syntax() {
    let all = table(
        GOOD,
        &[
            ("    target: web", "\ttarget: web"),
            ("duration: 2m", "duration: 2m\nduration: 3m"),
            ("{ name: base }", "{ name: base"),
            ("{ name: base }", "{ name: *base }"),
            ("{ name: base }", "&a { name: *a }"),
            ("{ name: base }", "!secret { name: base }"),
            ("duration: 2m", "duration: 2m\n---\nduration: 3m"),
            ("duration: 2m", "? [a, b]\n: 2m"),
            ("duration: 2m", "duration: 2m\n<<: { a: b }"),
        ],
    );
    insta::assert_snapshot!(all);
}

#[test]
fn shape() {
    let all = table(
        GOOD,
        &[
            ("duration: 30s", "durration: 30s"),
            ("duration: 2m", "duration: 2m\nwhatever: 1"),
            ("duration: 2m", ""),
            ("duration: 2m", "duration: 120"),
            ("duration: 2m", "duration: -2m"),
            ("duration: 2m", "duration: 2 minutes"),
            ("duration: 2m", "duration:"),
            ("duration: 2m", "duration: [2m]"),
            ("duration: 2m", "duration: 2m\nseed: -1"),
            ("duration: 2m", "duration: 2m\nexecution: sequentially"),
            ("duration: 2m", "duration: 2m\nmetrics: up"),
            ("duration: 30s", "allow_irreversible: yes"),
            ("container: { name: web }", "container: web"),
            ("faults:", "faults: []\nmore:"),
            ("\"< 0.2\"", "fast"),
            ("limit: 64MiB", "limit: lots"),
            ("limit: 64MiB", "limit: 64MiB, swap: 1"),
            ("{ memory_limit: { limit: 64MiB } }", "{}"),
            ("{ memory_limit: { limit: 64MiB } }", "memory_limit"),
            ("{ limit: 64MiB } }", "{ limit: 64MiB }, cpu_limit: { percent: 1 } }"),
            ("memory_limit", "memory_limits"),
            ("{ memory_limit: { limit: 64MiB } }", "{ container_pause: }"),
            (
                "{ memory_limit: { limit: 64MiB } }",
                "{ container_kill: { signal: SIGKIL } }",
            ),
        ],
    );
    insta::assert_snapshot!(all);
}

#[test]
fn not_available() {
    let all = table(
        GOOD,
        &[
            (
                "{ memory_limit: { limit: 64MiB } }",
                "{ http: { port: 80, chaos: { mockai_enabled: true } } }",
            ),
            ("container: { name: web }", "interface: eth0"),
            ("container: { name: web }", "host: a"),
            ("container: { name: web }", "cgroup: /a"),
            ("kind: Experiment", "kind: GameDay"),
        ],
    );
    insta::assert_snapshot!(all);
}

#[test]
fn sense() {
    let all = table(
        GOOD,
        &[
            ("target: web", "target: wbe"),
            ("target: web", "target: somebody"),
            ("faults:", "  - alias: web\n    container: { name: b }\nfaults:"),
            ("start: 10s", "start: 3m"),
            ("duration: 30s", "duration: 115s"),
            ("duration: 30s", "duration: 0s"),
            ("duration: 2m", "duration: 0s"),
            ("duration: 2m", "duration: 2m\nmax_duration: 1m"),
            ("duration: 2m", "duration: 2m\nmetrics: [\"rate(\"]"),
            ("{ name: base }", "{ name: Base_1 }"),
            ("{ name: web }", "{ name: web }\n    blast_radius: { percent: 150% }"),
            (
                "{ name: web }",
                "{ name: web }\n    blast_radius: { at_least: 3, at_most: 2 }",
            ),
            (
                "{ name: web }",
                "{ name: web }\n    blast_radius: { percent: 0, at_least: 0 }",
            ),
            ("{ name: web }", "{ name: \"web-(\" }"),
            ("{ name: web }", "{ id: xyz }"),
            ("{ name: web }", "{ name: \"\", image: \"\" }"),
            ("{ name: web }", "{ labels: {} }"),
            ("container: { name: web }", "process: { cgroup: / }"),
            (
                "inject: { memory_limit: { limit: 64MiB } }",
                "allow_irreversible: true\n    inject: { process_kill: { pattern: \"\" } }",
            ),
            ("{ name: web }", "{}"),
            ("container: { name: web }", "blast_radius: {}"),
            (
                "container: { name: web }",
                "container: { name: web }\n    process: { name: web }",
            ),
            ("container: { name: web }", "process: { port: 0, pid_file: a }"),
            ("expect: \"< 0.2\"", "expect: \"< 0.2\"\n      abort: \"> 0.1\""),
            ("expect: \"< 0.2\"", "description: nothing"),
            ("expect: \"< 0.2\"", "expect: \"< 0.2\"\n      when: []"),
            ("expect: \"< 0.2\"", "http: { url: \"http://a\" }"),
            (
                "prometheus: { query: \"rate(x[1m])\" }",
                "http: { url: \"ftp://a\", status: 99, timeout: 0s }",
            ),
            ("prometheus: { query: \"rate(x[1m])\" }", "tcp: { address: a }"),
            ("prometheus: { query: \"rate(x[1m])\" }", "command: { argv: [] }"),
            ("prometheus: { query: \"rate(x[1m])\" }", "log: { pattern: a }"),
            (
                "prometheus: { query: \"rate(x[1m])\" }",
                "log: { pattern: a, target: wbe }",
            ),
            ("prometheus: { query: \"rate(x[1m])\" }", "description: a"),
            ("probes:", "interval: 1ms\n  probes:"),
            ("limit: 64MiB", "limit: 1MiB"),
            ("memory_limit: { limit: 64MiB }", "cpu_limit: { percent: 0.5 }"),
            ("memory_limit: { limit: 64MiB }", "memory_stress: {}"),
            (
                "memory_limit: { limit: 64MiB }",
                "memory_stress: { size: 1GiB, percent: 50% }",
            ),
            ("memory_limit: { limit: 64MiB }", "memory_stress: { size: 1023k }"),
            ("memory_limit: { limit: 64MiB }", "memory_stress: { percent: 101% }"),
            ("memory_limit: { limit: 64MiB }", "disk_fill: { size: 1GiB }"),
            ("memory_limit: { limit: 64MiB }", "disk_fill: { path: tmp, size: 1GiB }"),
            ("memory_limit: { limit: 64MiB }", "disk_fill: { path: /tmp }"),
            (
                "memory_limit: { limit: 64MiB }",
                "disk_fill: { path: /tmp, percent: 0 }",
            ),
            ("memory_limit: { limit: 64MiB }", "disk_io: { path: /tmp, workers: 65 }"),
            (
                "memory_limit: { limit: 64MiB }",
                "disk_io: { path: /tmp, block_size: 5000 }",
            ),
            ("memory_limit: { limit: 64MiB }", "disk_throttle: { path: /tmp }"),
            (
                "memory_limit: { limit: 64MiB }",
                "disk_throttle: { path: /tmp, read_bps: 1000, write_iops: 0 }",
            ),
            ("memory_limit: { limit: 64MiB }", "cpu_stress: { percent: 0% }"),
            (
                "memory_limit: { limit: 64MiB }",
                "cpu_stress: { percent: 150%, cores: 1 }",
            ),
            (
                "memory_limit: { limit: 64MiB }",
                "cpu_stress: { percent: 150%, cores: 0 }",
            ),
            (
                "memory_limit: { limit: 64MiB }",
                "clock_skew: { offset: +1h, allow_host_clock: true, children: false }",
            ),
            (
                "memory_limit: { limit: 64MiB }",
                "network_disconnect: { network: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb }",
            ),
            (
                "memory_limit: { limit: 64MiB }",
                "delay: { mean: 11s, jitter: 11s, correlation: 101% }",
            ),
            ("memory_limit: { limit: 64MiB }", "delay: { mean: 10ms, jitter: 20ms }"),
            (
                "memory_limit: { limit: 64MiB }",
                "duplicate: { percent: 10%, direction: ingress }",
            ),
            (
                "memory_limit: { limit: 64MiB }",
                "loss: { percent: 150%, device: \"a\\nb\" }",
            ),
            ("memory_limit: { limit: 64MiB }", "loss: { percent: 80%, burst: 2 }"),
            (
                "memory_limit: { limit: 64MiB }",
                "loss: { percent: 5%, to: [10.0.0.1/8] }",
            ),
            (
                "memory_limit: { limit: 64MiB }",
                "loss: { percent: 5%, ports: [70000] }",
            ),
            (
                "memory_limit: { limit: 64MiB }",
                "reorder: { percent: 100%, delay: 0s }",
            ),
            ("memory_limit: { limit: 64MiB }", "rate: { rate: 1kbit }"),
            ("memory_limit: { limit: 64MiB }", "rate: { rate: 1000 }"),
            (
                "memory_limit: { limit: 64MiB }",
                "connection_drop: { probability: 150%, device: \"a\\nb\" }",
            ),
            ("memory_limit: { limit: 64MiB }", "partition: { from: nobody }"),
            ("memory_limit: { limit: 64MiB }", "partition: { from: web }"),
            ("memory_limit: { limit: 64MiB }", "connection_reset: {}"),
            (
                "inject: { memory_limit: { limit: 64MiB } }",
                "allow_irreversible: true\n    inject: { connection_reset: { count: 0, to: [\"*:53/udp\"] } }",
            ),
            (
                "inject: { memory_limit: { limit: 64MiB } }",
                "allow_irreversible: true\n    inject: { connection_reset: { count: 3, interval: 1h } }",
            ),
            ("memory_limit: { limit: 64MiB }", "process_kill: {}"),
            (
                "inject: { memory_limit: { limit: 64MiB } }",
                "allow_irreversible: true\n    inject: { process_kill: { count: 5, interval: 10s } }",
            ),
            ("memory_limit: { limit: 64MiB }", "container_kill: { restart: false }"),
            ("memory_limit: { limit: 64MiB }", "container_stop: { grace: 2m }"),
            ("start: 10s", "allow_irreversible: true"),
        ],
    );
    insta::assert_snapshot!(all);
}

#[test]
fn order() {
    let second = "  - name: second\n    target: web\n    inject: { cpu_limit: { percent: 50% } }\n    start: 50s\n";
    let last = format!("{second}    duration: 20s\nexecution: sequential\nduration: 2m");
    let base = swap(GOOD, "duration: 2m", &last);
    let all = table(
        &base,
        &[
            ("duration: 20s", "duration: 31s"),
            ("    duration: 30s\n", ""),
            ("start: 50s", "start: 80s"),
            ("name: second", "name: slow"),
        ],
    );
    insta::assert_snapshot!(all);
}

#[test]
fn promql() {
    let mut out = String::new();
    for query in [
        "",
        "rate(x[1m]",
        "rate(x[1m]))",
        "rate(up)",
        "sum by (le rate(x[1m]))",
        "histogram_quantile(0.99, sum(rate(x_bucket[5m])) by (le)",
        "up{job=\"a}",
        "up{job=a}",
        "up{job=~\"(\"}",
        "up == ",
        "up up",
        "1 +* 2",
        "nonsense(up)",
        "<html>",
        "x[5x]",
        "sum by (le) x y",
        "sum by (le, rate(x[1m])) (x)",
        "sum(rate(http_requests_total{code=~\"5..\"}[5m])) / summ(rate(http_requests_total[5m]))",
    ] {
        let wrong = crate::promql::check(query, true).unwrap_err();
        let _ = write!(out, "{query}\n{}^ {}\n\n", " ".repeat(wrong.column - 1), wrong.why);
    }
    insta::assert_snapshot!(out);
    for query in [
        "up",
        "increase(chain_head_block{job=~\"l2-el-.*-bor-heimdall-v2-validator\"}[1m])",
        "up{job=\"${a}\"} > 0 # said",
    ] {
        assert_eq!(crate::promql::check(query, true), Ok(()), "{query}");
    }
}

#[test]
fn scenario() {
    let all = table(
        SCENARIO,
        &[
            ("metadata: { name: base }", ""),
            ("name: base", "references: []"),
            ("apiVersion: chaos.polygon.io/v1", ""),
            ("type: memory_pressure", "type: memory_presure"),
            ("type: memory_pressure", "type: corruption_proxy"),
            (
                "type: memory_pressure\n      params: { memory_mb: 512 }",
                "type: disk_io\n      params: { method: dm-delay }",
            ),
            (
                "type: memory_pressure\n      params: { memory_mb: 512 }",
                "type: disk_fill\n      params: { size_mb: 64 }",
            ),
            (
                "type: memory_pressure\n      params: { memory_mb: 512 }",
                "type: disk_fill\n      params: { path: /a, target_path: /b, size_mb: 64 }",
            ),
            (
                "type: memory_pressure\n      params: { memory_mb: 512 }",
                "type: disk_fill\n      params: { target_path: /a, size_mb: 64, fill_percent: 90 }",
            ),
            (
                "type: memory_pressure\n      params: { memory_mb: 512 }",
                "type: disk_io_stress\n      params: { workers: 99 }",
            ),
            ("type: memory_pressure", "type: p2p_attack"),
            ("type: memory_pressure", "type: custom"),
            ("type: memory_pressure", "type: process_kill"),
            ("memory_mb: 512", "memory: 512"),
            ("memory_mb: 512", "memory_mb: 512MB"),
            ("memory_mb: 512", "memory_mb: 1"),
            ("{ memory_mb: 512 }", "{}"),
            ("params: { memory_mb: 512 }", "delay: 1s"),
            (
                "type: memory_pressure\n      params: { memory_mb: 512 }",
                "type: process_kill\n      params: { process_pattern: a, count: 0 }",
            ),
            (
                "type: memory_pressure\n      params: { memory_mb: 512 }",
                "type: process_kill\n      params: { process_pattern: \"a)(b\" }",
            ),
            (
                "type: memory_pressure\n      params: { memory_mb: 512 }",
                "type: cpu\n      params: { method: burn }",
            ),
            (
                "type: memory_pressure\n      params: { memory_mb: 512 }",
                "type: cpu\n      params: { cores: 1.5 }",
            ),
            (
                "type: memory_pressure\n      params: { memory_mb: 512 }",
                "type: container_restart\n      params: { grace_period: 90 }",
            ),
            (
                "type: memory_pressure\n      params: { memory_mb: 512 }",
                "type: container_pause\n      duration: 1m\n      params: { duration: 30 }",
            ),
            (
                "  success_criteria:",
                "    - { phase: squeeze, target: web, type: p2p_attack, params: { a: b } }\n    - { phase: squeeze, target: wbe, type: cpu, params: { cores: 1 } }\n  success_criteria:",
            ),
            (
                "  success_criteria:",
                "    - { phase: squeeze, target: web, type: cpu, params: { cores: 1 } }\n  success_criteria:",
            ),
            (
                "query: up",
                "query: up\n    - { name: alive, type: log, pattern: a, target_log: web, absence: true }\n    - name: more\n      type: prometheus\n      query: up",
            ),
            ("duration: 2m", "duration: 2m\n  interval: 3m"),
            ("{ pattern: web }", "{ type: docker_container }"),
            ("{ pattern: web }", "{ pattern: \"web-[\" }"),
            ("{ pattern: web }", "{ pattern: \"\", service_name: \"\" }"),
            ("{ pattern: web }", "{ labels: {} }"),
            (
                "type: memory_pressure\n      params: { memory_mb: 512 }",
                "type: process_kill\n      params: { process_pattern: \"\" }",
            ),
            ("{ pattern: web }", "{ pattern: \"web*\" }"),
            (
                "{ pattern: web }",
                "{ enclave: a, labels: { com.kurtosistech.enclave-name: b } }",
            ),
            ("query: up", "query: sum(up"),
            ("      query: up\n", ""),
            (
                "query: up",
                "query: up\n      during_fault: true\n      post_fault_only: true",
            ),
            ("query: up", "query: up\n      window: 0s"),
            ("query: up", "query: up\n      absence: true"),
            ("type: prometheus\n      query: up", "type: log\n      pattern: a"),
            (
                "type: prometheus\n      query: up",
                "type: log\n      pattern: a\n      target_log: web\n      absence: true",
            ),
            ("type: prometheus", "type: promethius"),
            ("  duration: 2m\n", ""),
        ],
    );
    insta::assert_snapshot!(all);
}

#[test]
fn kinds() {
    let mut out = String::new();
    for text in [
        "",
        "hello",
        "- a",
        "a: b",
        "apiVersion: fracas.dev/v1",
        "apiVersion: fracas.dev/v1\nkind: Gameday",
        "apiVersion: v1\nkind: Pod",
        "kind: Experiment",
        "kind: Pod",
        "steps: []",
        "agent: {}",
        "failures: {}",
        "spec: 1",
    ] {
        let _ = write!(out, "== {}\n{}\n\n", text.replace('\n', "⏎"), said(&plain(text)));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn an_alias_that_nothing_uses_is_told() {
    let web = "    container: { name: web }\n";
    let two = format!("{web}  - alias: idle\n    container: {{ name: idle }}\n");
    let said = said(&plain(&swap(GOOD, web, &two)));
    assert!(said.contains("no fault is put on `idle`"), "{said}");
    assert!(!said.contains("`web`"), "{said}");
}
