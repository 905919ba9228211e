//! Keys of `network_profile`: each is one of all its parts.

use serde_json::{Value, json};

use super::meant;

/// The parts of a profile with these keys.
fn parts(keys: &str) -> Vec<Value> {
    let document = format!(
        "
apiVersion: fracas.dev/v1
kind: Experiment
metadata: {{ name: base }}
targets: [{{ alias: a, container: {{ name: a }} }}]
faults: [{{ name: f, target: a, inject: {{ network_profile: {{ {keys} }} }} }}]
duration: 2m
"
    );
    let faults = meant(&document)["faults"].clone();
    faults
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["inject"].clone())
        .collect()
}

/// All parts have `before` under the key in one and `after` in the other, and differ in nothing else.
fn differ(key: &str, one: &str, other: &str, before: &Value, after: &Value) {
    let of = |keys: &str| parts(&format!("name: slow_3g{keys}"));
    let (one, other) = (of(one), of(other));
    assert_eq!(one.len(), 3);
    for (mut one, other) in one.into_iter().zip(other) {
        let own = one.as_object_mut().unwrap().values_mut().next().unwrap();
        assert_eq!(own[key], *before);
        own[key] = after.clone();
        assert_eq!(one, other);
    }
}

macro_rules! profile {
    ($($name:ident: $key:literal, $one:literal => $other:literal, $before:tt => $after:tt;)*) => {
        $(#[test] fn $name() { differ($key, $one, $other, &json!($before), &json!($after)); })*
    };
}

profile! {
    key_faults_inject_network_profile_direction: "direction", "" => ", direction: ingress", "egress" => "ingress";
    key_faults_inject_network_profile_to: "to", ", to: [10.0.0.0/8]" => ", to: ['*:53/udp']", ["10.0.0.0/8"] => ["*:53/udp"];
    key_faults_inject_network_profile_except: "except", ", except: [10.0.0.1]" => ", except: [10.0.0.2]", ["10.0.0.1"] => ["10.0.0.2"];
    key_faults_inject_network_profile_ports: "ports", ", ports: [80]" => ", ports: [8000-8010]", ["80"] => ["8000-8010"];
    key_faults_inject_network_profile_device: "device", ", device: eth0" => ", device: eth1", "eth0" => "eth1";
    key_faults_inject_network_profile_include_observers: "include_observers", "" => ", include_observers: true", false => true;
}

#[test]
fn key_faults_inject_network_profile_name() {
    let kinds = |name: &str| -> Vec<String> {
        let parts = parts(&format!("name: {name}"));
        parts
            .iter()
            .map(|part| part.as_object().unwrap().keys().next().unwrap().clone())
            .collect()
    };
    assert_eq!(kinds("cable"), ["delay", "rate"]);
    assert_eq!(kinds("flaky_wifi"), ["delay", "loss"]);
}
