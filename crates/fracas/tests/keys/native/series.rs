//! Ramps and pulses, by the injections that a plan makes of them.

use crate::seen::keys;
use crate::stage::Stage;

macro_rules! fault {
    ($target:literal, $fault:literal) => {
        concat!(
            "apiVersion: fracas.dev/v1\nkind: Experiment\nmetadata: { name: base }\ntargets:\n  - { alias: it, ",
            $target,
            " }\nfaults:\n  - { name: f, target: it, ",
            $fault,
            " }\nduration: 20s\n"
        )
    };
}

keys! { Stage::sleeper(), Plan, fault!("process: { pid_file: '@PID' }", "inject: { process_pause: {} }, pulse: { on: 8s, off: 2s }");
    key_faults_pulse_on: "on: 8s" => "on: 7s", "/out/changes/0/duration", "8s" => "7s";
    key_faults_pulse_off: "off: 2s" => "off: 3s", "/out/changes/1/start", "10s" => "11s";
}

keys! { Stage::grouped(), Plan, fault!("@TARGET", "inject: { cpu_limit: { percent: 20% } }, ramp: { from: 80%, over: 10s, steps: 3 }");
    key_faults_ramp_from: "from: 80%" => "from: 60%", "/out/changes/0/change", "→ 80%" => "→ 60%";
    key_faults_ramp_over: "over: 10s" => "over: 8s", "/out/changes/1/start", "5s" => "4s";
    key_faults_ramp_steps: "steps: 3" => "steps: 6", "/out/changes/1/start", "5s" => "2s";
}
