//! Which faults can be done here.

use fracas_core::params::Inject;
use fracas_faults::Fault as _;
use fracas_faults::network_disconnect::{CAPABILITIES, NetworkDisconnect};
use fracas_linux::cgroup::Controller;
use fracas_linux::privileges::Capability;

use super::Possible;
use super::checks::Machine;

/// Every fault, and what stands in its way.
pub(super) fn all(machine: &Machine) -> Vec<Possible> {
    Inject::NAMES
        .iter()
        .map(|name| {
            let why = obstacle(name, machine);
            Possible {
                fault: (*name).to_owned(),
                possible: why.is_none(),
                why,
            }
        })
        .collect()
}

/// The controller whose files a fault writes, or in whose group its worker runs.
fn controller(fault: &str) -> Option<Controller> {
    Some(match fault {
        "memory_limit" | "memory_stress" => Controller::Memory,
        "cpu_limit" | "cpu_stress" => Controller::Cpu,
        "pid_exhaustion" => Controller::Pids,
        "disk_throttle" => Controller::Blkio,
        _ => return None,
    })
}

fn obstacle(fault: &str, machine: &Machine) -> Option<String> {
    if let Some(controller) = controller(fault) {
        if !machine.controllers.contains(&controller) {
            return Some(format!("the controller {} is not mounted", controller.name()));
        }
        if !machine.root && machine.lacking.contains(&Capability::DacOverride) {
            return Some("control groups are written by root".to_owned());
        }
    }
    if fault == NetworkDisconnect::NAME {
        let lacking: Vec<_> = CAPABILITIES
            .iter()
            .filter(|one| machine.lacking.contains(one))
            .collect();
        if !lacking.is_empty() {
            let names: Vec<_> = lacking.iter().map(|one| one.name()).collect();
            return Some(format!(
                "{} missing: links of network namespaces cannot be changed",
                names.join(", ")
            ));
        }
    }
    if fault.starts_with("container_")
        && let Some(why) = &machine.no_engine
    {
        return Some(why.clone());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_for_each_fault_that_needs_it() {
        let bare = Machine {
            root: false,
            lacking: vec![Capability::DacOverride, Capability::NetRaw],
            controllers: vec![Controller::Pids],
            no_engine: Some("nobody listens".to_owned()),
        };
        let why = |name: &str| {
            let all = all(&bare);
            all.into_iter().find(|one| one.fault == name).unwrap().why
        };
        assert!(why("memory_limit").unwrap().contains("memory"));
        assert!(why("pid_exhaustion").unwrap().contains("root"));
        assert_eq!(why("container_pause").as_deref(), Some("nobody listens"));
        assert!(why("network_disconnect").unwrap().starts_with("CAP_NET_RAW missing"));
        assert_eq!(why("process_pause"), None);
        assert_eq!(why("fd_exhaustion"), None);
    }

    #[test]
    fn root_with_everything_can_do_everything() {
        let machine = Machine {
            root: true,
            controllers: Controller::ALL.to_vec(),
            ..Machine::default()
        };
        assert!(all(&machine).iter().all(|one| one.possible));
    }
}
