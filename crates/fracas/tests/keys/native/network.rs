//! Parameters of faults on networks, by the change that a plan says they make.

use fracas_lab::TestBridge;

use super::inject::{changes, inject};
use crate::seen::keys;
use crate::stage::Stage;

changes! { node(), "process: { pid_file: '@NODE' }";
    key_faults_inject_network_disconnect_network: "network_disconnect: { network: '@ONE' }" => "network_disconnect: { network: '@TWO' }", "of bridge @ONE disabled" => "of bridge @TWO disabled";
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
