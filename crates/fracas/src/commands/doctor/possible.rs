//! Which faults can be done here.

use fracas_core::problem::Result;
use fracas_faults::{FAULTS, Needs, cut, impairment, network_disconnect};
use fracas_linux::cgroup::Controller;
use fracas_linux::privileges::Capability;

use super::Possible;
use super::checks::Machine;

/// Every fault, and what stands in its way.
pub(super) fn all(machine: &Machine) -> Result<Vec<Possible>> {
    FAULTS
        .iter()
        .map(|entry| {
            let name = entry.name;
            let why = obstacle(name, crate::commands::faults::needs(name)?, machine);
            Ok(Possible {
                fault: name.to_owned(),
                possible: why.is_none(),
                only: limit(name, machine).filter(|_| why.is_none()),
                why,
            })
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

/// What a fault on networks cannot do without.
fn capabilities(fault: &str) -> Option<&'static [Capability]> {
    match fault {
        "network_disconnect" => Some(network_disconnect::CAPABILITIES),
        fault if impairment::NAMES.contains(&fault) || cut::NAMES.contains(&fault) => Some(impairment::CAPABILITIES),
        "connection_reset" | "http" => Some(impairment::CAPABILITIES),
        _ => None,
    }
}

fn obstacle(fault: &str, needs: Needs, machine: &Machine) -> Option<String> {
    if let Some(controller) = controller(fault)
        && !machine.controllers.contains(&controller)
    {
        return Some(format!("the controller {} is not mounted", controller.name()));
    }
    if let Some(capabilities) = capabilities(fault) {
        let lacking: Vec<_> = capabilities
            .iter()
            .filter(|one| machine.lacking.contains(one))
            .collect();
        if !lacking.is_empty() {
            let names: Vec<_> = lacking.iter().map(|one| one.name()).collect();
            return Some(format!(
                "{} missing: other network namespaces cannot be changed",
                names.join(", ")
            ));
        }
    }
    let cannot = match fault {
        fault if impairment::BY_EITHER.contains(&fault) => match (&machine.no_queue, &machine.no_kernel_queue) {
            (Some(packets), Some(kernel)) if packets != kernel => Some(format!("{packets}; {kernel}")),
            (packets, kernel) => packets.as_ref().and(kernel.as_ref()).cloned(),
        },
        "dns" => machine.no_queue.clone(),
        fault if cut::NAMES.contains(&fault) => machine.no_rules.clone(),
        "connection_reset" => machine.no_resets.clone(),
        "http" => machine.no_diversion.clone(),
        _ => None,
    };
    if cannot.is_some() {
        return cannot;
    }
    let way_round = Capability::DacOverride;
    if needs.root && !machine.root && machine.lacking.contains(&way_round) {
        return Some(format!("needs root, or {way_round} to {}", way_round.purpose()));
    }
    if needs.container
        && let Some(why) = &machine.no_engine
    {
        return Some(why.clone());
    }
    None
}

/// What a fault is limited to for want of a privilege that it asks for target by target.
fn limit(fault: &str, machine: &Machine) -> Option<String> {
    if impairment::BY_EITHER.contains(&fault) {
        let why = machine.no_queue.as_ref()?;
        return Some(format!("only by the kernel queue: {why}"));
    }
    let (what, capability) = match fault {
        "process_pause" | "process_kill" => ("processes", Capability::Kill),
        "container_kill" => ("containers, or `via: engine`,", Capability::Kill),
        "fd_exhaustion" => ("processes", Capability::SysResource),
        // The root of another user's process is behind /proc/PID/root, see proc_pid_root(5).
        "file_corrupt" | "file_delete" => ("files", Capability::SysPtrace),
        _ => return None,
    };
    let lacks = machine.lacking.contains(&capability);
    lacks.then(|| format!("only {what} of uid {}: {capability} is missing", machine.uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_for_each_fault_that_needs_it() {
        let bare = Machine {
            root: false,
            uid: 7,
            lacking: vec![
                Capability::DacOverride,
                Capability::Kill,
                Capability::NetRaw,
                Capability::SysResource,
                Capability::SysPtrace,
            ],
            controllers: vec![Controller::Pids],
            no_engine: Some("nobody listens".to_owned()),
            no_queue: None,
            no_kernel_queue: None,
            no_rules: None,
            no_resets: None,
            no_diversion: None,
        };
        let of = |name: &str| {
            let all = all(&bare).unwrap();
            let one = all.into_iter().find(|one| one.fault == name).unwrap();
            assert_eq!(one.possible, one.why.is_none());
            (one.why.unwrap_or_default(), one.only.unwrap_or_default())
        };
        assert!(of("memory_limit").0.contains("memory"));
        for needs_root in ["pid_exhaustion", "disk_fill"] {
            let (why, only) = of(needs_root);
            assert!(
                why.contains("root") && why.contains("CAP_DAC_OVERRIDE"),
                "{needs_root}: {why}"
            );
            assert_eq!(only, "");
        }
        assert_eq!(of("container_pause").0, "nobody listens");
        for (name, missing) in [
            ("process_pause", "CAP_KILL"),
            ("process_kill", "CAP_KILL"),
            ("fd_exhaustion", "CAP_SYS_RESOURCE"),
            ("file_delete", "CAP_SYS_PTRACE"),
        ] {
            let (why, only) = of(name);
            assert_eq!(why, "", "{name}");
            assert!(only.contains("uid 7") && only.contains(missing), "{name}: {only}");
        }
        assert_eq!(of("script"), (String::new(), String::new()));
        for fault in [
            "network_disconnect",
            "delay",
            "rate",
            "connection_drop",
            "partition",
            "connection_reset",
            "http",
        ] {
            assert!(of(fault).0.starts_with("CAP_NET_RAW missing"), "{fault}");
        }
    }

    #[test]
    fn what_the_kernel_lacks_is_said_of_the_faults_that_need_it() {
        let machine = || Machine {
            root: true,
            controllers: Controller::ALL.to_vec(),
            ..Machine::default()
        };
        let none = || Some("this kernel has none".to_owned());
        let queue = Machine {
            no_queue: none(),
            ..machine()
        };
        let kernel_queue = Machine {
            no_kernel_queue: none(),
            ..machine()
        };
        let neither = Machine {
            no_queue: none(),
            no_kernel_queue: none(),
            ..machine()
        };
        let rules = Machine {
            no_rules: none(),
            ..machine()
        };
        let resets = Machine {
            no_resets: none(),
            ..machine()
        };
        let diversion = Machine {
            no_diversion: none(),
            ..machine()
        };
        for one in all(&queue).unwrap() {
            let is = impairment::BY_EITHER.contains(&one.fault.as_str());
            let said = one.only.as_deref().unwrap_or_default();
            assert_eq!(
                is,
                said.starts_with("only by the kernel queue"),
                "{}: {said}",
                one.fault
            );
        }
        for (machine, faults) in [
            (neither, impairment::NAMES.as_slice()),
            (queue, &["dns"]),
            (kernel_queue, &[]),
            (rules, &cut::NAMES),
            (resets, &["connection_reset"]),
            (diversion, &["http"]),
        ] {
            for one in all(&machine).unwrap() {
                let why = faults.contains(&one.fault.as_str()).then(none).flatten();
                assert_eq!(one.why, why, "{}", one.fault);
            }
        }
    }

    #[test]
    fn root_with_everything_can_do_everything() {
        let machine = Machine {
            root: true,
            controllers: Controller::ALL.to_vec(),
            ..Machine::default()
        };
        let all = all(&machine).unwrap();
        assert!(all.iter().all(|one| one.possible && one.only.is_none()));
    }
}
