//! Parameters of faults on networks, by the change that a plan says they make.

use fracas_lab::TestBridge;

use super::inject::{changes, inject};
use crate::seen::{Look, keys, look, swap};
use crate::stage::Stage;

changes! { node(), "process: { pid_file: '@NODE' }";
    key_faults_inject_network_disconnect_network: "network_disconnect: { network: '@ONE' }" => "network_disconnect: { network: '@TWO' }", "of bridge @ONE disabled" => "of bridge @TWO disabled";
    key_faults_inject_delay_mean: "delay: { mean: 100ms }" => "delay: { mean: 200ms }", "delay 100ms for" => "delay 200ms for";
    key_faults_inject_delay_jitter: "delay: { mean: 100ms, jitter: 5ms }" => "delay: { mean: 100ms, jitter: 6ms }", "± 5ms" => "± 6ms";
    key_faults_inject_delay_correlation: "delay: { mean: 100ms, jitter: 5ms, correlation: 20% }" => "delay: { mean: 100ms, jitter: 5ms, correlation: 30% }", "each 20% like" => "each 30% like";
    key_faults_inject_delay_distribution: "delay: { mean: 100ms, jitter: 5ms }" => "delay: { mean: 100ms, jitter: 5ms, distribution: pareto }", "(uniform)" => "(pareto)";
    key_faults_inject_delay_to: "delay: { mean: 100ms, to: [10.0.0.0/8] }" => "delay: { mean: 100ms, to: ['*:53/udp'] }", "packets to 10.0.0.0/8," => "packets to *:53/udp,";
    key_faults_inject_delay_except: "delay: { mean: 100ms, except: [10.0.0.1] }" => "delay: { mean: 100ms, except: [10.0.0.2] }", "but 10.0.0.1" => "but 10.0.0.2";
    key_faults_inject_delay_ports: "delay: { mean: 100ms, ports: [81] }" => "delay: { mean: 100ms, ports: [8000-8010] }", "ports 81" => "ports 8000-8010";
    key_faults_inject_delay_device: "delay: { mean: 100ms, device: eth0 }" => "delay: { mean: 100ms, device: eth1 }", "by eth0" => "by eth1";
    key_faults_inject_delay_direction: "delay: { mean: 100ms }" => "delay: { mean: 100ms, direction: ingress }", "packets to everybody" => "packets from everybody";
    key_faults_inject_loss_direction: "loss: { percent: 5% }" => "loss: { percent: 5%, direction: ingress }", "packets to everybody" => "packets from everybody";
    key_faults_inject_corrupt_direction: "corrupt: { percent: 5% }" => "corrupt: { percent: 5%, direction: ingress }", "packets to everybody" => "packets from everybody";
    key_faults_inject_reorder_direction: "reorder: { percent: 5%, delay: 20ms }" => "reorder: { percent: 5%, delay: 20ms, direction: ingress }", "packets to everybody" => "packets from everybody";
    key_faults_inject_rate_direction: "rate: { rate: 1mbit }" => "rate: { rate: 1mbit, direction: ingress }", "packets to everybody" => "packets from everybody";
    key_faults_inject_loss_percent: "loss: { percent: 5% }" => "loss: { percent: 6% }", "loss of 5%" => "loss of 6%";
    key_faults_inject_loss_burst: "loss: { percent: 5%, burst: 2 }" => "loss: { percent: 5%, burst: 3 }", "2 in a row" => "3 in a row";
    key_faults_inject_loss_correlation: "loss: { percent: 5%, correlation: 20% }" => "loss: { percent: 5%, correlation: 30% }", "each 20% like" => "each 30% like";
    key_faults_inject_reorder_correlation: "reorder: { percent: 5%, delay: 20ms, correlation: 20% }" => "reorder: { percent: 5%, delay: 20ms, correlation: 30% }", "each 20% like" => "each 30% like";
    key_faults_inject_loss_to: "loss: { percent: 5%, to: [10.0.0.0/8] }" => "loss: { percent: 5%, to: ['localhost:53/udp'] }", "packets to 10.0.0.0/8," => "packets to localhost:53/udp,";
    key_faults_inject_loss_except: "loss: { percent: 5%, except: [10.0.0.1] }" => "loss: { percent: 5%, except: [localhost] }", "but 10.0.0.1" => "localhost is at 127.0.0.1";
    key_faults_inject_loss_ports: "loss: { percent: 5%, ports: [81] }" => "loss: { percent: 5%, ports: [8000-8010] }", "ports 81" => "ports 8000-8010";
    key_faults_inject_loss_device: "loss: { percent: 5%, device: eth0 }" => "loss: { percent: 5%, device: eth1 }", "by eth0" => "by eth1";
    key_faults_inject_duplicate_percent: "duplicate: { percent: 5% }" => "duplicate: { percent: 6% }", "5% twice" => "6% twice";
    key_faults_inject_duplicate_to: "duplicate: { percent: 5%, to: [10.0.0.0/8] }" => "duplicate: { percent: 5%, to: ['*:53/udp'] }", "packets to 10.0.0.0/8," => "packets to *:53/udp,";
    key_faults_inject_duplicate_except: "duplicate: { percent: 5%, except: [10.0.0.1] }" => "duplicate: { percent: 5%, except: [10.0.0.2] }", "but 10.0.0.1" => "but 10.0.0.2";
    key_faults_inject_duplicate_ports: "duplicate: { percent: 5%, ports: [81] }" => "duplicate: { percent: 5%, ports: [8000-8010] }", "ports 81" => "ports 8000-8010";
    key_faults_inject_duplicate_device: "duplicate: { percent: 5%, device: eth0 }" => "duplicate: { percent: 5%, device: eth1 }", "by eth0" => "by eth1";
    key_faults_inject_corrupt_percent: "corrupt: { percent: 5% }" => "corrupt: { percent: 6% }", "in 5%" => "in 6%";
    key_faults_inject_corrupt_to: "corrupt: { percent: 5%, to: [10.0.0.0/8] }" => "corrupt: { percent: 5%, to: ['*:53/udp'] }", "packets to 10.0.0.0/8," => "packets to *:53/udp,";
    key_faults_inject_corrupt_except: "corrupt: { percent: 5%, except: [10.0.0.1] }" => "corrupt: { percent: 5%, except: [10.0.0.2] }", "but 10.0.0.1" => "but 10.0.0.2";
    key_faults_inject_corrupt_ports: "corrupt: { percent: 5%, ports: [81] }" => "corrupt: { percent: 5%, ports: [8000-8010] }", "ports 81" => "ports 8000-8010";
    key_faults_inject_corrupt_device: "corrupt: { percent: 5%, device: eth0 }" => "corrupt: { percent: 5%, device: eth1 }", "by eth0" => "by eth1";
    key_faults_inject_reorder_percent: "reorder: { percent: 5%, delay: 20ms }" => "reorder: { percent: 6%, delay: 20ms }", "5% at once" => "6% at once";
    key_faults_inject_reorder_delay: "reorder: { percent: 5%, delay: 20ms }" => "reorder: { percent: 5%, delay: 30ms }", "20ms later" => "30ms later";
    key_faults_inject_reorder_to: "reorder: { percent: 5%, delay: 20ms, to: [10.0.0.0/8] }" => "reorder: { percent: 5%, delay: 20ms, to: ['*:53/udp'] }", "packets to 10.0.0.0/8," => "packets to *:53/udp,";
    key_faults_inject_reorder_except: "reorder: { percent: 5%, delay: 20ms, except: [10.0.0.1] }" => "reorder: { percent: 5%, delay: 20ms, except: [10.0.0.2] }", "but 10.0.0.1" => "but 10.0.0.2";
    key_faults_inject_reorder_ports: "reorder: { percent: 5%, delay: 20ms, ports: [81] }" => "reorder: { percent: 5%, delay: 20ms, ports: [8000-8010] }", "ports 81" => "ports 8000-8010";
    key_faults_inject_reorder_device: "reorder: { percent: 5%, delay: 20ms, device: eth0 }" => "reorder: { percent: 5%, delay: 20ms, device: eth1 }", "by eth0" => "by eth1";
    key_faults_inject_rate_rate: "rate: { rate: 1mbit }" => "rate: { rate: 2mbit }", "at most 1mbit" => "at most 2mbit";
    key_faults_inject_rate_to: "rate: { rate: 1mbit, to: [10.0.0.0/8] }" => "rate: { rate: 1mbit, to: ['*:53/udp'] }", "packets to 10.0.0.0/8," => "packets to *:53/udp,";
    key_faults_inject_rate_except: "rate: { rate: 1mbit, except: [10.0.0.1] }" => "rate: { rate: 1mbit, except: [10.0.0.2] }", "but 10.0.0.1" => "but 10.0.0.2";
    key_faults_inject_rate_ports: "rate: { rate: 1mbit, ports: [81] }" => "rate: { rate: 1mbit, ports: [8000-8010] }", "ports 81" => "ports 8000-8010";
    key_faults_inject_rate_device: "rate: { rate: 1mbit, device: eth0 }" => "rate: { rate: 1mbit, device: eth1 }", "by eth0" => "by eth1";
    key_faults_inject_connection_drop_action: "connection_drop: {}" => "connection_drop: { action: reject }", "dropping 100% of" => "rejecting 100% of";
    key_faults_inject_connection_drop_probability: "connection_drop: { probability: 5% }" => "connection_drop: { probability: 6% }", "dropping 5% of" => "dropping 6% of";
    key_faults_inject_connection_drop_connections: "connection_drop: {}" => "connection_drop: { connections: new }", "packets to everybody, both" => "only what opens a connection, both";
    key_faults_inject_connection_drop_direction: "connection_drop: {}" => "connection_drop: { direction: ingress }", "both ways" => "as it is sent them";
    key_faults_inject_connection_drop_to: "connection_drop: { to: [10.0.0.0/8] }" => "connection_drop: { to: [localhost] }", "packets to 10.0.0.0/8," => "localhost is at 127.0.0.1";
    key_faults_inject_connection_drop_except: "connection_drop: { except: [10.0.0.1] }" => "connection_drop: { except: [10.0.0.2] }", "but 10.0.0.1" => "but 10.0.0.2";
    key_faults_inject_connection_drop_ports: "connection_drop: { ports: [81] }" => "connection_drop: { ports: [8000-8010] }", "ports 81" => "ports 8000-8010";
    key_faults_inject_connection_drop_device: "connection_drop: { device: eth0 }" => "connection_drop: { device: eth1 }", "by eth0" => "by eth1";
    key_faults_inject_connection_reset_to: "connection_reset: { to: [10.0.0.0/8] }" => "connection_reset: { to: [localhost] }", "to 10.0.0.0/8," => "localhost is at 127.0.0.1";
    key_faults_inject_connection_reset_except: "connection_reset: { except: [10.0.0.1] }" => "connection_reset: { except: [10.0.0.2] }", "but 10.0.0.1" => "but 10.0.0.2";
    key_faults_inject_connection_reset_ports: "connection_reset: { ports: [81] }" => "connection_reset: { ports: [8000-8010] }", "ports 81" => "ports 8000-8010";
    key_faults_inject_connection_reset_count: "connection_reset: { count: 2 }" => "connection_reset: { count: 3 }", "2 times" => "3 times";
    key_faults_inject_connection_reset_interval: "connection_reset: { count: 2 }" => "connection_reset: { count: 2, interval: 2s }", "every 1s" => "every 2s";
    key_faults_inject_network_profile_name: "network_profile: { name: cable }" => "network_profile: { name: dialup }", "delay 20ms for" => "delay 2s for";
    key_faults_inject_network_profile_direction: "network_profile: { name: cable }" => "network_profile: { name: cable, direction: ingress }", "packets to everybody" => "packets from everybody";
    key_faults_inject_network_profile_to: "network_profile: { name: cable, to: [10.0.0.0/8] }" => "network_profile: { name: cable, to: ['*:53/udp'] }", "packets to 10.0.0.0/8," => "packets to *:53/udp,";
    key_faults_inject_network_profile_except: "network_profile: { name: cable, except: [10.0.0.1] }" => "network_profile: { name: cable, except: [10.0.0.2] }", "but 10.0.0.1" => "but 10.0.0.2";
    key_faults_inject_network_profile_ports: "network_profile: { name: cable, ports: [81] }" => "network_profile: { name: cable, ports: [8000-8010] }", "ports 81" => "ports 8000-8010";
    key_faults_inject_network_profile_device: "network_profile: { name: cable, device: eth0 }" => "network_profile: { name: cable, device: eth1 }", "by eth0" => "by eth1";
    key_faults_inject_http_port: "http: { port: 8080, chaos: { latency: { fixed_delay_ms: 5 } } }" => "http: { port: 8081, chaos: { latency: { fixed_delay_ms: 5 } } }", "to port 8080 in" => "to port 8081 in";
    key_faults_inject_http_chaos: "http: { port: 80, chaos: { fault_injection: { http_errors: [503], http_error_probability: 0.2 } } }" => "http: { port: 80, chaos: { fault_injection: { http_errors: [502], http_error_probability: 0.3 } } }", "503 to 20% for" => "502 to 30% for";
    key_faults_inject_dns_names: "dns: { names: [db.example], answer: nxdomain }" => "dns: { names: ['*.example'], answer: nxdomain }", "for db.example to" => "for *.example to";
    key_faults_inject_dns_answer: "dns: { names: [db], answer: nxdomain }" => "dns: { names: [db], answer: timeout }", "NXDOMAIN to" => "no answer to";
    key_faults_inject_dns_addresses: "dns: { names: [db], addresses: [192.0.2.1] }" => "dns: { names: [db], addresses: [192.0.2.1, '2001:db8::1'] }", "the answer 192.0.2.1 to" => "the answer 192.0.2.1, 2001:db8::1 to";
    key_faults_inject_dns_delay: "dns: { names: [db], delay: 1s }" => "dns: { names: [db], delay: 2s }", "delay of 1s" => "delay of 2s";
    key_faults_inject_dns_probability: "dns: { names: [db], delay: 1s, probability: 20% }" => "dns: { names: [db], delay: 1s, probability: 30% }", "to 20% of questions" => "to 30% of questions";
    key_faults_inject_dns_servers: "dns: { names: [db], delay: 1s }" => "dns: { names: [db], delay: 1s, servers: [10.0.0.53] }", "to any name server," => "to 10.0.0.53,";
}

/// `@NODE`: the pid file of a process with networks of its own, `@ONE` and `@TWO` are its bridges.
fn node() -> Option<Stage> {
    let mut stage = Stage::empty();
    let (Some(one), Some(two)) = (TestBridge::new().unwrap(), TestBridge::new().unwrap()) else {
        fracas_lab::skip("no privileges for links");
        return None;
    };
    stage.node("NODE", &[&one, &two]);
    for (word, bridge) in [("ONE", one), ("TWO", two)] {
        stage.say(word, bridge.name());
        stage.keep(bridge);
    }
    Some(stage)
}

keys! { Stage::sleeper(), Validate, inject!("process: { pid_file: '@PID' }", "duplicate: { percent: 5%, direction: egress }");
    key_faults_inject_duplicate_direction: "direction: egress" => "direction: ingress", "/out/0/ok", "true" => "false";
}

/// This machine's kernel has no netem, and says so; that of `cargo xtask vm` has, and there both mechanisms are used.
macro_rules! mechanisms {
    ($($name:ident: $with:literal => $new:literal;)*) => {
        $(#[test] fn $name() {
            let Some(stage) = node() else { return };
            let base = inject!("process: { pid_file: '@NODE' }", $with);
            let by_packets = look(&stage, Look::Plan, base);
            let by_kernel = look(&stage, Look::Plan, &swap(base, "mechanism: packet_queue", $new));
            let change = |plan: &serde_json::Value| plan["out"]["changes"][0]["change"].to_string();
            assert!(change(&by_packets).contains("by the packet queue"), "{by_packets:#}");
            match fracas_faults::impairment::no_kernel_queue().unwrap() {
                None => assert!(change(&by_kernel).contains("by the kernel queue"), "{by_kernel:#}"),
                Some(lacking) => {
                    assert_ne!(by_kernel["code"], by_packets["code"]);
                    assert!(by_kernel.to_string().contains(&lacking), "{by_kernel:#}");
                }
            }
        })*
    };
}

mechanisms! {
    key_faults_inject_delay_mechanism: "delay: { mean: 100ms, mechanism: packet_queue }" => "mechanism: kernel_queue";
    key_faults_inject_loss_mechanism: "loss: { percent: 5%, mechanism: packet_queue }" => "mechanism: kernel_queue";
    key_faults_inject_duplicate_mechanism: "duplicate: { percent: 5%, mechanism: packet_queue }" => "mechanism: kernel_queue";
    key_faults_inject_corrupt_mechanism: "corrupt: { percent: 5%, mechanism: packet_queue }" => "mechanism: kernel_queue";
    key_faults_inject_reorder_mechanism: "reorder: { percent: 5%, delay: 20ms, mechanism: packet_queue }" => "mechanism: kernel_queue";
    key_faults_inject_rate_mechanism: "rate: { rate: 1mbit, mechanism: packet_queue }" => "mechanism: kernel_queue";
}

/// A partition has two sets: the second and the third target are processes of this machine's own network, and of one of their own.
macro_rules! part {
    ($inject:literal) => {
        concat!(
            "apiVersion: fracas.dev/v1\nkind: Experiment\nmetadata: { name: base }\ntargets:\n",
            "  - { alias: it, process: { pid_file: '@NODE' } }\n",
            "  - { alias: here, process: { pid_file: '@HERE' } }\n",
            "  - { alias: there, process: { pid_file: '@THERE' } }\n",
            "faults:\n  - { name: f, target: it, inject: { ",
            $inject,
            " } }\nduration: 20s\n"
        )
    };
}

keys! { three(), Plan, part!("partition: { from: here }");
    key_faults_inject_partition_from: "from: here" => "from: there", "/out/changes/0/change", "partition from `here`" => "no packets to @ADDRESS, both ways";
    key_faults_inject_partition_direction: "from: here" => "from: here, direction: egress", "/out/changes/0/change", "both ways" => "as it sends them";
}

/// As [`node`], with `@HERE`, a process of this machine's network, and `@THERE`, one with an `@ADDRESS` of its own.
fn three() -> Option<Stage> {
    let mut stage = node()?;
    let Some(bridge) = TestBridge::new().unwrap() else {
        fracas_lab::skip("no privileges for links");
        return None;
    };
    stage.process("HERE", &["sleep"]);
    let address = stage.node("THERE", &[&bridge]);
    stage.say("ADDRESS", address);
    stage.keep(bridge);
    Some(stage)
}

/// As [`inject!`], with a probe that asks a port of the target's.
macro_rules! measured {
    ($inject:literal) => {
        concat!(
            "apiVersion: fracas.dev/v1\nkind: Experiment\nmetadata: { name: base }\n",
            "hypothesis: { probes: [{ name: up, tcp: { address: '@ADDRESS:81' }, expect: '== 1' }] }\n",
            "targets:\n  - { alias: it, process: { pid_file: '@NODE' } }\n",
            "faults:\n  - { name: f, target: it, allow_irreversible: true, inject: { ",
            $inject,
            " } }\nduration: 20s\n"
        )
    };
}

macro_rules! observers {
    ($($name:ident: $old:literal => $new:literal;)*) => {
        $(keys! { measured_node(), Plan, measured!($old);
            $name: $old => $new, "/out/changes/0/change",
                "; left alone: probe `up` (@BRIDGE to port 81)" => "; it blinds probe `up` (@BRIDGE to port 81)";
        })*
    };
}

observers! {
    key_faults_inject_network_profile_include_observers: "network_profile: { name: cable }" => "network_profile: { name: cable, include_observers: true }";
    key_faults_inject_delay_include_observers: "delay: { mean: 100ms }" => "delay: { mean: 100ms, include_observers: true }";
    key_faults_inject_loss_include_observers: "loss: { percent: 5% }" => "loss: { percent: 5%, include_observers: true }";
    key_faults_inject_duplicate_include_observers: "duplicate: { percent: 5% }" => "duplicate: { percent: 5%, include_observers: true }";
    key_faults_inject_corrupt_include_observers: "corrupt: { percent: 5% }" => "corrupt: { percent: 5%, include_observers: true }";
    key_faults_inject_reorder_include_observers: "reorder: { percent: 5%, delay: 20ms }" => "reorder: { percent: 5%, delay: 20ms, include_observers: true }";
    key_faults_inject_rate_include_observers: "rate: { rate: 1mbit }" => "rate: { rate: 1mbit, include_observers: true }";
    key_faults_inject_connection_drop_include_observers: "connection_drop: {}" => "connection_drop: { include_observers: true }";
    key_faults_inject_connection_reset_include_observers: "connection_reset: {}" => "connection_reset: { include_observers: true }";
}

/// `@NODE`: the pid file of a process with a network of its own, `@ADDRESS` its address and `@BRIDGE` that of this machine beside it.
fn measured_node() -> Option<Stage> {
    let mut stage = Stage::empty();
    let Some(bridge) = TestBridge::new().unwrap() else {
        fracas_lab::skip("no privileges for links");
        return None;
    };
    let address = stage.node("NODE", &[&bridge]);
    stage.say("ADDRESS", address);
    stage.say("BRIDGE", bridge.address(1));
    stage.keep(bridge);
    Some(stage)
}
