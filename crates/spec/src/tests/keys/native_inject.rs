use super::differ;

/// Compares two faults in one document.
fn inject(old: &str, new: &str, at: &str, before: &str, after: &str) {
    let base = format!(
        "
apiVersion: fracas.dev/v1
kind: Experiment
metadata: {{ name: base }}
targets: [{{ alias: a, container: {{ name: a }} }}, {{ alias: b, container: {{ name: b }} }}, {{ alias: c, container: {{ name: c }} }}]
faults: [{{ name: f, target: a, allow_irreversible: true, inject: {{ {old} }} }}]
duration: 2m
"
    );
    differ(
        &base,
        old,
        new,
        format!("/faults/0/inject/{at}").trim_end_matches('/'),
        before,
        after,
    );
}

macro_rules! faults {
    ($($name:ident: $old:literal => $new:literal, $at:literal, $before:literal => $after:literal;)*) => {
        $(#[test] fn $name() { inject($old, $new, $at, $before, $after); })*
    };
}

faults! {
    key_faults_inject_memory_limit_limit: "memory_limit: { limit: 64MiB }" => "memory_limit: { limit: 1GiB }", "memory_limit/limit", "64MiB" => "1GiB";
    key_faults_inject_memory_stress_size: "memory_stress: { size: 64MiB }" => "memory_stress: { size: 1GiB }", "memory_stress/size", "64MiB" => "1GiB";
    key_faults_inject_memory_stress_percent: "memory_stress: { percent: 50% }" => "memory_stress: { percent: 75 }", "memory_stress/percent", "\"50%\"" => "\"75%\"";
    key_faults_inject_memory_stress_victim: "memory_stress: { size: 64MiB }" => "memory_stress: { size: 64MiB, victim: target }", "memory_stress/victim", "stress" => "target";
    key_faults_inject_disk_fill_path: "disk_fill: { path: /a, size: 1GiB }" => "disk_fill: { path: /b, size: 1GiB }", "disk_fill/path", "/a" => "/b";
    key_faults_inject_disk_fill_size: "disk_fill: { path: /a, size: 1GiB }" => "disk_fill: { path: /a, size: 2GiB }", "disk_fill/size", "1GiB" => "2GiB";
    key_faults_inject_disk_fill_percent: "disk_fill: { path: /a, percent: 90% }" => "disk_fill: { path: /a, percent: 95 }", "disk_fill/percent", "\"90%\"" => "\"95%\"";
    key_faults_inject_disk_fill_allow_root_device: "disk_fill: { path: /a, size: 1GiB }" => "disk_fill: { path: /a, size: 1GiB, allow_root_device: true }", "disk_fill/allow_root_device", "false" => "true";
    key_faults_inject_disk_io_path: "disk_io: { path: /a }" => "disk_io: { path: /b }", "disk_io/path", "/a" => "/b";
    key_faults_inject_disk_io_workers: "disk_io: { path: /a }" => "disk_io: { path: /a, workers: 3 }", "disk_io/workers", "1" => "3";
    key_faults_inject_disk_io_operation: "disk_io: { path: /a }" => "disk_io: { path: /a, operation: read }", "disk_io/operation", "all" => "read";
    key_faults_inject_disk_io_block_size: "disk_io: { path: /a }" => "disk_io: { path: /a, block_size: 4k }", "disk_io/block_size", "1MiB" => "4KiB";
    key_faults_inject_disk_throttle_path: "disk_throttle: { path: /a, read_iops: 5 }" => "disk_throttle: { path: /b, read_iops: 5 }", "disk_throttle/path", "/a" => "/b";
    key_faults_inject_disk_throttle_read_bps: "disk_throttle: { path: /a, read_bps: 1MiB }" => "disk_throttle: { path: /a, read_bps: 2MiB }", "disk_throttle/read_bps", "1MiB" => "2MiB";
    key_faults_inject_disk_throttle_write_bps: "disk_throttle: { path: /a, write_bps: 1MiB }" => "disk_throttle: { path: /a, write_bps: 2MiB }", "disk_throttle/write_bps", "1MiB" => "2MiB";
    key_faults_inject_disk_throttle_read_iops: "disk_throttle: { path: /a, read_iops: 5 }" => "disk_throttle: { path: /a, read_iops: 6 }", "disk_throttle/read_iops", "5" => "6";
    key_faults_inject_disk_throttle_write_iops: "disk_throttle: { path: /a, write_iops: 5 }" => "disk_throttle: { path: /a, write_iops: 6 }", "disk_throttle/write_iops", "5" => "6";
    key_faults_inject_cpu_limit_percent: "cpu_limit: { percent: 50% }" => "cpu_limit: { percent: 60 }", "cpu_limit/percent", "\"50%\"" => "\"60%\"";
    key_faults_inject_cpu_stress_percent: "cpu_stress: { percent: 37% }" => "cpu_stress: { percent: 150% }", "cpu_stress/percent", "\"37%\"" => "\"150%\"";
    key_faults_inject_cpu_stress_cores: "cpu_stress: { percent: 50%, cores: 1 }" => "cpu_stress: { percent: 50%, cores: 2 }", "cpu_stress/cores", "1" => "2";
    key_faults_inject_pid_exhaustion_reserve: "pid_exhaustion: {}" => "pid_exhaustion: { reserve: 3 }", "pid_exhaustion/reserve", "0" => "3";
    key_faults_inject_fd_exhaustion_reserve: "fd_exhaustion: {}" => "fd_exhaustion: { reserve: 4 }", "fd_exhaustion/reserve", "0" => "4";
    key_faults_inject_process_pause_pattern: "process_pause: { pattern: a }" => "process_pause: { pattern: b }", "process_pause/pattern", "a" => "b";
    key_faults_inject_process_pause_children: "process_pause: {}" => "process_pause: { children: true }", "process_pause/children", "false" => "true";
    key_faults_inject_process_kill_signal: "process_kill: {}" => "process_kill: { signal: sigterm }", "process_kill/signal", "KILL" => "TERM";
    key_faults_inject_process_kill_pattern: "process_kill: { pattern: a }" => "process_kill: { pattern: b }", "process_kill/pattern", "a" => "b";
    key_faults_inject_process_kill_children: "process_kill: {}" => "process_kill: { children: true }", "process_kill/children", "false" => "true";
    key_faults_inject_process_kill_count: "process_kill: {}" => "process_kill: { count: 7 }", "process_kill/count", "1" => "7";
    key_faults_inject_process_kill_interval: "process_kill: {}" => "process_kill: { interval: 3s }", "process_kill/interval", "1s" => "3s";
    key_faults_inject_clock_skew_offset: "clock_skew: { offset: +5m }" => "clock_skew: { offset: -1h }", "clock_skew/offset", "+5m" => "-1h";
    key_faults_inject_clock_skew_pattern: "clock_skew: { offset: +5m, pattern: a }" => "clock_skew: { offset: +5m, pattern: b }", "clock_skew/pattern", "a" => "b";
    key_faults_inject_clock_skew_children: "clock_skew: { offset: +5m }" => "clock_skew: { offset: +5m, children: false }", "clock_skew/children", "true" => "false";
    key_faults_inject_clock_skew_allow_host_clock: "clock_skew: { offset: +5m }" => "clock_skew: { offset: +5m, allow_host_clock: true }", "clock_skew/allow_host_clock", "false" => "true";
    key_faults_inject_container_pause: "container_stop: {}" => "container_pause: {}", "", "{\"container_stop\":{\"grace\":\"10s\"}}" => "{\"container_pause\":{}}";
    key_faults_inject_container_kill_signal: "container_kill: {}" => "container_kill: { signal: HUP }", "container_kill/signal", "KILL" => "HUP";
    key_faults_inject_container_kill_via: "container_kill: {}" => "container_kill: { via: engine }", "container_kill/via", "host" => "engine";
    key_faults_inject_container_kill_restart: "container_kill: {}" => "container_kill: { restart: false }", "container_kill/restart", "true" => "false";
    key_faults_inject_container_kill_restart_delay: "container_kill: {}" => "container_kill: { restart_delay: 2s }", "container_kill/restart_delay", "0s" => "2s";
    key_faults_inject_container_stop_grace: "container_stop: {}" => "container_stop: { grace: 3s }", "container_stop/grace", "10s" => "3s";
    key_faults_inject_container_restart_grace: "container_restart: {}" => "container_restart: { grace: 3s }", "container_restart/grace", "10s" => "3s";
    key_faults_inject_container_restart_delay: "container_restart: {}" => "container_restart: { delay: 4s }", "container_restart/delay", "0s" => "4s";
    key_faults_inject_container_restart_stagger: "container_restart: {}" => "container_restart: { stagger: 5s }", "container_restart/stagger", "0s" => "5s";
    key_faults_inject_script_apply: "script: { apply: [a, x], revert: [b] }" => "script: { apply: [a, y], revert: [b] }", "script/apply", "[\"a\",\"x\"]" => "[\"a\",\"y\"]";
    key_faults_inject_script_revert: "script: { apply: [a], revert: [b, x] }" => "script: { apply: [a], revert: [b, y] }", "script/revert", "[\"b\",\"x\"]" => "[\"b\",\"y\"]";
    key_faults_inject_script_measure: "script: { apply: [a], revert: [b], measure: [m] }" => "script: { apply: [a], revert: [b], measure: [n] }", "script/measure", "[\"m\"]" => "[\"n\"]";
    key_faults_inject_script_check: "script: { apply: [a], revert: [b], check: [c] }" => "script: { apply: [a], revert: [b], check: [d] }", "script/check", "[\"c\"]" => "[\"d\"]";
    key_faults_inject_script_apply_timeout: "script: { apply: [a], revert: [b] }" => "script: { apply: [a], revert: [b], apply_timeout: 3s }", "script/apply_timeout", "10s" => "3s";
    key_faults_inject_script_revert_timeout: "script: { apply: [a], revert: [b] }" => "script: { apply: [a], revert: [b], revert_timeout: 3s }", "script/revert_timeout", "10s" => "3s";
    key_faults_inject_script_measure_timeout: "script: { apply: [a], revert: [b] }" => "script: { apply: [a], revert: [b], measure_timeout: 3s }", "script/measure_timeout", "10s" => "3s";
    key_faults_inject_script_check_timeout: "script: { apply: [a], revert: [b] }" => "script: { apply: [a], revert: [b], check_timeout: 3s }", "script/check_timeout", "10s" => "3s";
    key_faults_inject_script_directory: "script: { apply: [a], revert: [b] }" => "script: { apply: [a], revert: [b], directory: /tmp }", "script/directory", "/" => "/tmp";
    key_faults_inject_script_environment: "script: { apply: [a], revert: [b], environment: { A: x } }" => "script: { apply: [a], revert: [b], environment: { A: y } }", "script/environment", "{\"A\":\"x\"}" => "{\"A\":\"y\"}";
    key_faults_inject_network_disconnect_network: "network_disconnect: { network: a }" => "network_disconnect: { network: b }", "network_disconnect/network", "a" => "b";
    key_faults_inject_delay_mean: "delay: { mean: 100ms }" => "delay: { mean: 200ms }", "delay/mean", "100ms" => "200ms";
    key_faults_inject_delay_jitter: "delay: { mean: 100ms }" => "delay: { mean: 100ms, jitter: 5ms }", "delay/jitter", "0s" => "5ms";
    key_faults_inject_delay_correlation: "delay: { mean: 100ms }" => "delay: { mean: 100ms, correlation: 25% }", "delay/correlation", "\"0%\"" => "\"25%\"";
    key_faults_inject_delay_distribution: "delay: { mean: 100ms }" => "delay: { mean: 100ms, distribution: normal }", "delay/distribution", "uniform" => "normal";
    key_faults_inject_delay_to: "delay: { mean: 100ms, to: [10.0.0.0/8] }" => "delay: { mean: 100ms, to: [\"*:53/udp\"] }", "delay/to", "[\"10.0.0.0/8\"]" => "[\"*:53/udp\"]";
    key_faults_inject_delay_except: "delay: { mean: 100ms, except: [10.0.0.1] }" => "delay: { mean: 100ms, except: [10.0.0.2] }", "delay/except", "[\"10.0.0.1\"]" => "[\"10.0.0.2\"]";
    key_faults_inject_delay_ports: "delay: { mean: 100ms, ports: [80] }" => "delay: { mean: 100ms, ports: [8000-8010] }", "delay/ports", "[\"80\"]" => "[\"8000-8010\"]";
    key_faults_inject_delay_device: "delay: { mean: 100ms, device: eth0 }" => "delay: { mean: 100ms, device: eth1 }", "delay/device", "eth0" => "eth1";
    key_faults_inject_loss_percent: "loss: { percent: 5% }" => "loss: { percent: 6% }", "loss/percent", "\"5%\"" => "\"6%\"";
    key_faults_inject_loss_burst: "loss: { percent: 5%, burst: 2 }" => "loss: { percent: 5%, burst: 3 }", "loss/burst", "2.0" => "3.0";
    key_faults_inject_loss_correlation: "loss: { percent: 5% }" => "loss: { percent: 5%, correlation: 25% }", "loss/correlation", "\"0%\"" => "\"25%\"";
    key_faults_inject_reorder_correlation: "reorder: { percent: 5%, delay: 20ms }" => "reorder: { percent: 5%, delay: 20ms, correlation: 25% }", "reorder/correlation", "\"0%\"" => "\"25%\"";
    key_faults_inject_loss_to: "loss: { percent: 5%, to: [10.0.0.0/8] }" => "loss: { percent: 5%, to: [\"DB.example:53/udp\"] }", "loss/to", "[\"10.0.0.0/8\"]" => "[\"db.example:53/udp\"]";
    key_faults_inject_loss_except: "loss: { percent: 5%, except: [10.0.0.1] }" => "loss: { percent: 5%, except: [db] }", "loss/except", "[\"10.0.0.1\"]" => "[\"db\"]";
    key_faults_inject_loss_ports: "loss: { percent: 5%, ports: [80] }" => "loss: { percent: 5%, ports: [8000-8010] }", "loss/ports", "[\"80\"]" => "[\"8000-8010\"]";
    key_faults_inject_loss_device: "loss: { percent: 5%, device: eth0 }" => "loss: { percent: 5%, device: eth1 }", "loss/device", "eth0" => "eth1";
    key_faults_inject_duplicate_percent: "duplicate: { percent: 5% }" => "duplicate: { percent: 6% }", "duplicate/percent", "\"5%\"" => "\"6%\"";
    key_faults_inject_duplicate_to: "duplicate: { percent: 5%, to: [10.0.0.0/8] }" => "duplicate: { percent: 5%, to: [\"*:53/udp\"] }", "duplicate/to", "[\"10.0.0.0/8\"]" => "[\"*:53/udp\"]";
    key_faults_inject_duplicate_except: "duplicate: { percent: 5%, except: [10.0.0.1] }" => "duplicate: { percent: 5%, except: [10.0.0.2] }", "duplicate/except", "[\"10.0.0.1\"]" => "[\"10.0.0.2\"]";
    key_faults_inject_duplicate_ports: "duplicate: { percent: 5%, ports: [80] }" => "duplicate: { percent: 5%, ports: [8000-8010] }", "duplicate/ports", "[\"80\"]" => "[\"8000-8010\"]";
    key_faults_inject_duplicate_device: "duplicate: { percent: 5%, device: eth0 }" => "duplicate: { percent: 5%, device: eth1 }", "duplicate/device", "eth0" => "eth1";
    key_faults_inject_corrupt_percent: "corrupt: { percent: 5% }" => "corrupt: { percent: 6% }", "corrupt/percent", "\"5%\"" => "\"6%\"";
    key_faults_inject_corrupt_to: "corrupt: { percent: 5%, to: [10.0.0.0/8] }" => "corrupt: { percent: 5%, to: [\"*:53/udp\"] }", "corrupt/to", "[\"10.0.0.0/8\"]" => "[\"*:53/udp\"]";
    key_faults_inject_corrupt_except: "corrupt: { percent: 5%, except: [10.0.0.1] }" => "corrupt: { percent: 5%, except: [10.0.0.2] }", "corrupt/except", "[\"10.0.0.1\"]" => "[\"10.0.0.2\"]";
    key_faults_inject_corrupt_ports: "corrupt: { percent: 5%, ports: [80] }" => "corrupt: { percent: 5%, ports: [8000-8010] }", "corrupt/ports", "[\"80\"]" => "[\"8000-8010\"]";
    key_faults_inject_corrupt_device: "corrupt: { percent: 5%, device: eth0 }" => "corrupt: { percent: 5%, device: eth1 }", "corrupt/device", "eth0" => "eth1";
    key_faults_inject_reorder_percent: "reorder: { percent: 5%, delay: 20ms }" => "reorder: { percent: 6%, delay: 20ms }", "reorder/percent", "\"5%\"" => "\"6%\"";
    key_faults_inject_reorder_delay: "reorder: { percent: 5%, delay: 20ms }" => "reorder: { percent: 5%, delay: 30ms }", "reorder/delay", "20ms" => "30ms";
    key_faults_inject_reorder_to: "reorder: { percent: 5%, delay: 20ms, to: [10.0.0.0/8] }" => "reorder: { percent: 5%, delay: 20ms, to: [\"*:53/udp\"] }", "reorder/to", "[\"10.0.0.0/8\"]" => "[\"*:53/udp\"]";
    key_faults_inject_reorder_except: "reorder: { percent: 5%, delay: 20ms, except: [10.0.0.1] }" => "reorder: { percent: 5%, delay: 20ms, except: [10.0.0.2] }", "reorder/except", "[\"10.0.0.1\"]" => "[\"10.0.0.2\"]";
    key_faults_inject_reorder_ports: "reorder: { percent: 5%, delay: 20ms, ports: [80] }" => "reorder: { percent: 5%, delay: 20ms, ports: [8000-8010] }", "reorder/ports", "[\"80\"]" => "[\"8000-8010\"]";
    key_faults_inject_reorder_device: "reorder: { percent: 5%, delay: 20ms, device: eth0 }" => "reorder: { percent: 5%, delay: 20ms, device: eth1 }", "reorder/device", "eth0" => "eth1";
    key_faults_inject_delay_direction: "delay: { mean: 100ms }" => "delay: { mean: 100ms, direction: ingress }", "delay/direction", "egress" => "ingress";
    key_faults_inject_loss_direction: "loss: { percent: 5% }" => "loss: { percent: 5%, direction: ingress }", "loss/direction", "egress" => "ingress";
    key_faults_inject_corrupt_direction: "corrupt: { percent: 5% }" => "corrupt: { percent: 5%, direction: ingress }", "corrupt/direction", "egress" => "ingress";
    key_faults_inject_reorder_direction: "reorder: { percent: 5%, delay: 20ms }" => "reorder: { percent: 5%, delay: 20ms, direction: ingress }", "reorder/direction", "egress" => "ingress";
    key_faults_inject_rate_direction: "rate: { rate: 1mbit }" => "rate: { rate: 1mbit, direction: ingress }", "rate/direction", "egress" => "ingress";
    key_faults_inject_delay_mechanism: "delay: { mean: 100ms, mechanism: packet_queue }" => "delay: { mean: 100ms, mechanism: kernel_queue }", "delay/mechanism", "packet_queue" => "kernel_queue";
    key_faults_inject_loss_mechanism: "loss: { percent: 5%, mechanism: packet_queue }" => "loss: { percent: 5%, mechanism: kernel_queue }", "loss/mechanism", "packet_queue" => "kernel_queue";
    key_faults_inject_duplicate_mechanism: "duplicate: { percent: 5%, mechanism: packet_queue }" => "duplicate: { percent: 5%, mechanism: kernel_queue }", "duplicate/mechanism", "packet_queue" => "kernel_queue";
    key_faults_inject_corrupt_mechanism: "corrupt: { percent: 5%, mechanism: packet_queue }" => "corrupt: { percent: 5%, mechanism: kernel_queue }", "corrupt/mechanism", "packet_queue" => "kernel_queue";
    key_faults_inject_reorder_mechanism: "reorder: { percent: 5%, delay: 20ms, mechanism: packet_queue }" => "reorder: { percent: 5%, delay: 20ms, mechanism: kernel_queue }", "reorder/mechanism", "packet_queue" => "kernel_queue";
    key_faults_inject_rate_mechanism: "rate: { rate: 1mbit, mechanism: packet_queue }" => "rate: { rate: 1mbit, mechanism: kernel_queue }", "rate/mechanism", "packet_queue" => "kernel_queue";
    key_faults_inject_rate_rate: "rate: { rate: 1mbit }" => "rate: { rate: 2mbit }", "rate/rate", "1mbit" => "2mbit";
    key_faults_inject_rate_to: "rate: { rate: 1mbit, to: [10.0.0.0/8] }" => "rate: { rate: 1mbit, to: [\"*:53/udp\"] }", "rate/to", "[\"10.0.0.0/8\"]" => "[\"*:53/udp\"]";
    key_faults_inject_rate_except: "rate: { rate: 1mbit, except: [10.0.0.1] }" => "rate: { rate: 1mbit, except: [10.0.0.2] }", "rate/except", "[\"10.0.0.1\"]" => "[\"10.0.0.2\"]";
    key_faults_inject_rate_ports: "rate: { rate: 1mbit, ports: [80] }" => "rate: { rate: 1mbit, ports: [8000-8010] }", "rate/ports", "[\"80\"]" => "[\"8000-8010\"]";
    key_faults_inject_rate_device: "rate: { rate: 1mbit, device: eth0 }" => "rate: { rate: 1mbit, device: eth1 }", "rate/device", "eth0" => "eth1";
    key_faults_inject_connection_drop_action: "connection_drop: {}" => "connection_drop: { action: reject }", "connection_drop/action", "drop" => "reject";
    key_faults_inject_connection_drop_probability: "connection_drop: {}" => "connection_drop: { probability: 10% }", "connection_drop/probability", "\"100%\"" => "\"10%\"";
    key_faults_inject_connection_drop_connections: "connection_drop: {}" => "connection_drop: { connections: new }", "connection_drop/connections", "all" => "new";
    key_faults_inject_connection_drop_direction: "connection_drop: {}" => "connection_drop: { direction: ingress }", "connection_drop/direction", "both" => "ingress";
    key_faults_inject_connection_drop_to: "connection_drop: { to: [10.0.0.0/8] }" => "connection_drop: { to: [\"*:53/tcp\"] }", "connection_drop/to", "[\"10.0.0.0/8\"]" => "[\"*:53/tcp\"]";
    key_faults_inject_connection_drop_except: "connection_drop: { except: [10.0.0.1] }" => "connection_drop: { except: [10.0.0.2] }", "connection_drop/except", "[\"10.0.0.1\"]" => "[\"10.0.0.2\"]";
    key_faults_inject_connection_drop_ports: "connection_drop: { ports: [80] }" => "connection_drop: { ports: [8000-8010] }", "connection_drop/ports", "[\"80\"]" => "[\"8000-8010\"]";
    key_faults_inject_connection_reset_to: "connection_reset: { to: [10.0.0.0/8] }" => "connection_reset: { to: [\"*:53/tcp\"] }", "connection_reset/to", "[\"10.0.0.0/8\"]" => "[\"*:53/tcp\"]";
    key_faults_inject_connection_reset_except: "connection_reset: { except: [10.0.0.1] }" => "connection_reset: { except: [10.0.0.2] }", "connection_reset/except", "[\"10.0.0.1\"]" => "[\"10.0.0.2\"]";
    key_faults_inject_connection_reset_ports: "connection_reset: { ports: [80] }" => "connection_reset: { ports: [8000-8010] }", "connection_reset/ports", "[\"80\"]" => "[\"8000-8010\"]";
    key_faults_inject_connection_drop_device: "connection_drop: { device: eth0 }" => "connection_drop: { device: eth1 }", "connection_drop/device", "eth0" => "eth1";
    key_faults_inject_partition_from: "partition: { from: b }" => "partition: { from: c }", "partition/from", "b" => "c";
    key_faults_inject_partition_direction: "partition: { from: b }" => "partition: { from: b, direction: egress }", "partition/direction", "both" => "egress";
    key_faults_inject_connection_reset_count: "connection_reset: {}" => "connection_reset: { count: 7 }", "connection_reset/count", "1" => "7";
    key_faults_inject_connection_reset_interval: "connection_reset: {}" => "connection_reset: { interval: 3s }", "connection_reset/interval", "1s" => "3s";
    key_faults_inject_delay_include_observers: "delay: { mean: 100ms }" => "delay: { mean: 100ms, include_observers: true }", "delay/include_observers", "false" => "true";
    key_faults_inject_loss_include_observers: "loss: { percent: 5% }" => "loss: { percent: 5%, include_observers: true }", "loss/include_observers", "false" => "true";
    key_faults_inject_duplicate_include_observers: "duplicate: { percent: 5% }" => "duplicate: { percent: 5%, include_observers: true }", "duplicate/include_observers", "false" => "true";
    key_faults_inject_corrupt_include_observers: "corrupt: { percent: 5% }" => "corrupt: { percent: 5%, include_observers: true }", "corrupt/include_observers", "false" => "true";
    key_faults_inject_reorder_include_observers: "reorder: { percent: 5%, delay: 20ms }" => "reorder: { percent: 5%, delay: 20ms, include_observers: true }", "reorder/include_observers", "false" => "true";
    key_faults_inject_rate_include_observers: "rate: { rate: 1mbit }" => "rate: { rate: 1mbit, include_observers: true }", "rate/include_observers", "false" => "true";
    key_faults_inject_connection_drop_include_observers: "connection_drop: {}" => "connection_drop: { include_observers: true }", "connection_drop/include_observers", "false" => "true";
    key_faults_inject_connection_reset_include_observers: "connection_reset: {}" => "connection_reset: { include_observers: true }", "connection_reset/include_observers", "false" => "true";
    key_faults_inject_http_port: "http: { port: 80, chaos: { bulkhead: {} } }" => "http: { port: 81, chaos: { bulkhead: {} } }", "http/port", "80" => "81";
    key_faults_inject_http_chaos: "http: { port: 80, chaos: { latency: { fixed_delay_ms: 1.5 } } }" => "http: { port: 80, chaos: { latency: { fixed_delay_ms: 2.5 } } }", "http/chaos/latency/fixed_delay_ms", "1.5" => "2.5";
    key_faults_inject_dns_names: "dns: { names: [a.example], delay: 1s }" => "dns: { names: ['*.example'], delay: 1s }", "dns/names", "[\"a.example\"]" => "[\"*.example\"]";
    key_faults_inject_dns_answer: "dns: { names: [a], answer: nxdomain }" => "dns: { names: [a], answer: refused }", "dns/answer", "nxdomain" => "refused";
    key_faults_inject_dns_addresses: "dns: { names: [a], addresses: [192.0.2.1] }" => "dns: { names: [a], addresses: ['2001:db8::1'] }", "dns/addresses", "[\"192.0.2.1\"]" => "[\"2001:db8::1\"]";
    key_faults_inject_dns_delay: "dns: { names: [a], answer: servfail }" => "dns: { names: [a], answer: servfail, delay: 20ms }", "dns/delay", "0s" => "20ms";
    key_faults_inject_dns_probability: "dns: { names: [a], answer: timeout }" => "dns: { names: [a], answer: timeout, probability: 25% }", "dns/probability", "\"100%\"" => "\"25%\"";
    key_faults_inject_dns_servers: "dns: { names: [a], delay: 1s, servers: [10.0.0.1] }" => "dns: { names: [a], delay: 1s, servers: [10.0.0.2] }", "dns/servers", "[\"10.0.0.1\"]" => "[\"10.0.0.2\"]";
    key_faults_inject_file_corrupt_path: "file_corrupt: { path: /a }" => "file_corrupt: { path: /b }", "file_corrupt/path", "/a" => "/b";
    key_faults_inject_file_corrupt_bytes: "file_corrupt: { path: /a }" => "file_corrupt: { path: /a, bytes: 1k }", "file_corrupt/bytes", "512B" => "1KiB";
    key_faults_inject_file_corrupt_offset: "file_corrupt: { path: /a, offset: 0 }" => "file_corrupt: { path: /a, offset: 64 }", "file_corrupt/offset", "0B" => "64B";
    key_faults_inject_file_corrupt_method: "file_corrupt: { path: /a }" => "file_corrupt: { path: /a, method: zero }", "file_corrupt/method", "random" => "zero";
    key_faults_inject_file_delete_path: "file_delete: { path: /a }" => "file_delete: { path: /b }", "file_delete/path", "/a" => "/b";
    key_faults_inject_file_delete_recursive: "file_delete: { path: /a }" => "file_delete: { path: /a, recursive: true }", "file_delete/recursive", "false" => "true";
}

/// Of the two directions one is refused.
#[test]
fn key_faults_inject_duplicate_direction() {
    let of = |direction: &str| {
        crate::tests::plain(&format!(
            "apiVersion: fracas.dev/v1\nkind: Experiment\nmetadata: {{ name: base }}\ntargets: [{{ alias: a, container: {{ name: a }} }}]\n\
             faults: [{{ name: f, target: a, inject: {{ duplicate: {{ percent: 5%, direction: {direction} }} }} }}]\nduration: 2m\n",
        ))
    };
    assert!(of("egress").is_ok());
    let problems = of("ingress").unwrap_err();
    assert_eq!(
        problems.iter().map(|problem| problem.code.id).collect::<Vec<_>>(),
        ["D010"]
    );
}
