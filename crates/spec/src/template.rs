//! Complete documents to begin with, every key explained. They load as they are.

use fracas_core::experiment::Format;
use fracas_core::params::Inject;
use fracas_core::problem::{Problem, Result, codes};

use crate::place::quoted;
use crate::problems::{listed, nearest};
use crate::scenario::types::{self, Fate};

const NATIVE: &str = include_str!("templates/experiment.yaml");
const OTHERS: &str =
    "  - alias: others                    # the other side\n    container: { name: \"checkout-store-[0-9]+\" }\n";
const SCENARIO: &str = include_str!("templates/scenario.yaml");

/// A complete, commented document whose fault is of the type `fault`, one of the format's own names.
///
/// # Errors
/// D004 if the format has no such fault in this version.
pub fn template(format: Format, fault: &str) -> Result<String> {
    let (text, found) = match format {
        Format::Native => (NATIVE, native(fault).map(str::to_owned)),
        Format::ChaosScenario => (
            SCENARIO,
            scenario(fault).map(|params| format!("type: {fault}\n      params: {params}")),
        ),
    };
    let Some(found) = found else {
        let known: Vec<&str> = match format {
            Format::Native => Inject::NAMES.to_vec(),
            Format::ChaosScenario => types::ALL
                .iter()
                .map(|known| known.name)
                .filter(|name| scenario(name).is_some())
                .collect(),
        };
        let next = match nearest(fault, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", listed(known)),
        };
        return Err(Problem::new(
            &codes::WRONG_VALUE,
            format!("there is no template for the fault {}", quoted(fault)),
        )
        .next(next));
    };
    let (irreversible, text) = match format {
        Format::Native => (matches!(fault, "process_kill" | "connection_reset"), text),
        Format::ChaosScenario => (false, text),
    };
    let text = text.replace("FAULT", &found);
    // Between two sets: the second one, too.
    let text = if format == Format::Native && fault == "partition" {
        text.replace("\nfaults:\n", &format!("\n{OTHERS}faults:\n"))
    } else {
        text
    };
    Ok(if irreversible {
        text.replace("allow_irreversible: false", "allow_irreversible: true")
    } else {
        text
    })
}

fn native(fault: &str) -> Option<&'static str> {
    Some(match fault {
        "memory_limit" => "{ memory_limit: { limit: 512MiB } }",
        "memory_stress" => "{ memory_stress: { percent: 66%, victim: stress } }",
        "disk_fill" => "{ disk_fill: { path: /data, percent: 95%, allow_root_device: false } }",
        "disk_io" => "{ disk_io: { path: /data, workers: 2, operation: all, block_size: 64KiB } }",
        "disk_throttle" => {
            "{ disk_throttle: { path: /data, read_bps: 1MiB, write_bps: 1MiB, read_iops: 50, write_iops: 50 } }"
        }
        "cpu_limit" => "{ cpu_limit: { percent: 50% } }",
        "cpu_stress" => "{ cpu_stress: { percent: 150%, cores: 2 } }",
        "pid_exhaustion" => "{ pid_exhaustion: { reserve: 0 } }",
        "fd_exhaustion" => "{ fd_exhaustion: { reserve: 0 } }",
        "process_pause" => "{ process_pause: { pattern: \"worker\", children: true } }",
        "process_kill" => {
            "{ process_kill: { signal: TERM, pattern: \"worker\", children: false, count: 3, interval: 10s } }"
        }
        "clock_skew" => "{ clock_skew: { offset: +5m, pattern: \"worker\", children: true } }",
        "container_pause" => "{ container_pause: {} }",
        "container_kill" => "{ container_kill: { signal: KILL, via: host, restart: true, restart_delay: 5s } }",
        "container_stop" => "{ container_stop: { grace: 10s } }",
        "container_restart" => "{ container_restart: { grace: 10s, delay: 5s, stagger: 0s } }",
        "network_disconnect" => "{ network_disconnect: { network: backend } }",
        "delay" => {
            "{ delay: { mean: 100ms, jitter: 10ms, correlation: 25%, distribution: normal, to: [\"10.0.0.0/8:5432/tcp\"], except: [\"10.0.0.53\"], device: eth0 } }"
        }
        "loss" => "{ loss: { percent: 5%, burst: 3, ports: [80, \"8000-8010\"] } }",
        "duplicate" => "{ duplicate: { percent: 5% } }",
        "corrupt" => "{ corrupt: { percent: 1%, direction: ingress } }",
        "reorder" => "{ reorder: { percent: 25%, delay: 20ms } }",
        "rate" => "{ rate: { rate: 1mbit } }",
        "network_profile" => "{ network_profile: { name: slow_3g, ports: [443] } }",
        "connection_drop" => {
            "{ connection_drop: { action: reject, probability: 10%, connections: new, direction: both, to: [\"10.0.0.0/8:5432/tcp\"], device: eth0 } }"
        }
        "partition" => "{ partition: { from: others, direction: both } }",
        "connection_reset" => "{ connection_reset: { ports: [5432], count: 3, interval: 10s } }",
        "dns" => "{ dns: { names: [\"*.example.com\"], answer: nxdomain, delay: 0s, probability: 100% } }",
        "http" => {
            "{ http: { port: 8080, chaos: { fault_injection: { http_errors: [503], http_error_probability: 0.1 } } } }"
        }
        "file_corrupt" => "{ file_corrupt: { path: \"/var/lib/app/data.db\", bytes: 512B, method: random } }",
        "file_delete" => "{ file_delete: { path: \"/etc/app/config.yaml\", recursive: false } }",
        "script" => {
            "{ script: { apply: [systemctl, stop, cron], revert: [systemctl, start, cron], measure: [\"/usr/local/bin/cron-is-down\"] } }"
        }
        _ => return None,
    })
}

fn scenario(fault: &str) -> Option<&'static str> {
    Some(match types::fate(fault)? {
        Fate::Memory => "{ memory_mb: 512, method: limit }",
        Fate::Cpu => "{ method: stress, cpu_percent: 50, cores: 1 }",
        Fate::Restart => "{ grace_period: 10, restart_delay: 5, stagger: 0 }",
        Fate::Kill => "{ signal: SIGKILL, restart: true, restart_delay: 5 }",
        Fate::Pause => "{ duration: 30s, unpause: true }",
        Fate::ProcessKill => "{ process_pattern: worker, signal: TERM, kill_children: false, count: 3, interval: 10 }",
        Fate::Corrupt => "{ target_path: /var/lib/app/data.db, corrupt_bytes: 512, corrupt_offset: 0, method: random }",
        Fate::Delete => "{ target_path: /etc/app/config.yaml, recursive: false }",
        Fate::Network => {
            "{ device: eth0, latency: 100, packet_loss: 5, duplicate: 1, corrupt: 1, target_ports: \"5432,8000-8010\", target_proto: \"tcp,udp\" }"
        }
        Fate::Clock => "{ offset: +5m }",
        Fate::ConnectionDrop => {
            "{ rule_type: drop, target_ports: \"5432,8000-8010\", target_proto: tcp, probability: 0.1 }"
        }
        Fate::Dns => "{ delay_ms: 2000, failure_rate: 0.1 }",
        Fate::Http => "{ target_port: 8080, delay_ms: 200, delay_percent: 50, abort_code: 503, abort_percent: 10 }",
        Fate::DiskFill => "{ target_path: /data, fill_percent: 95, allow_root_device: false }",
        Fate::DiskIo => "{ target_path: /data, method: dd, workers: 2, operation: all, block_size: 64k }",
        Fate::Later | Fate::Ethereum | Fate::Never => return None,
    })
}
