//! What is never broken: without it nothing could be measured or undone.

use std::collections::BTreeSet;
use std::io;

use fracas_linux::process::{self, Status};

/// Programs of container engines; names of processes are cut after 15 bytes, see `TASK_COMM_LEN` in `proc_pid_comm(5)`.
const ENGINES: [&str; 6] = ["dockerd", "containerd", "podman", "conmon", "crio", "docker-proxy"];

/// This process and its ancestors.
#[derive(Debug)]
pub(crate) struct Protection {
    me: u32,
    ancestors: BTreeSet<u32>,
}

impl Protection {
    /// Looks up who is above this process.
    pub(crate) fn read() -> io::Result<Self> {
        let me = std::process::id();
        let mut ancestors = BTreeSet::new();
        let mut next = process::status(me)?.map_or(0, |status| status.parent);
        // A pid that comes again would be a loop made of reused pids.
        while next != 0 && ancestors.insert(next) {
            next = process::status(next)?.map_or(0, |status| status.parent);
        }
        Ok(Self { me, ancestors })
    }

    /// Why a process is protected, if it is.
    pub(crate) fn of_process(&self, status: &Status) -> Option<&'static str> {
        let pid = status.identity.pid;
        if pid == 1 {
            return Some("the first process of this machine");
        }
        if pid == self.me {
            return Some("Fracas itself");
        }
        if self.ancestors.contains(&pid) {
            return Some("an ancestor of Fracas");
        }
        by_program(status)
    }

    /// Why a container is protected, if it is. `groups` is `/proc/self/cgroup`.
    pub(crate) fn of_container(
        &self,
        name: &str,
        id: &str,
        init: Option<&Status>,
        groups: &str,
    ) -> Option<&'static str> {
        let name = name.to_lowercase();
        if name.contains("prometheus") {
            return Some("Prometheus");
        }
        if name.contains("grafana") {
            return Some("Grafana");
        }
        let init = init?;
        if groups.contains(id) || init.identity.pid == self.me || self.ancestors.contains(&init.identity.pid) {
            return Some("Fracas runs in it");
        }
        // A container may well be an SSH server; one that is an engine holds other containers.
        by_program(init).filter(|why| *why != SSHD)
    }
}

const SSHD: &str = "sshd";

fn by_program(status: &Status) -> Option<&'static str> {
    let mut words = status.command.split(' ');
    let first = words.next().unwrap_or_default();
    let program = first.rsplit('/').next().unwrap_or_default();
    // sshd rewrites its command line to `sshd: user@pts/0`.
    let program = program.trim_end_matches(':');
    let either = |test: &dyn Fn(&str) -> bool| test(&status.comm) || test(program);
    if either(&|name| ENGINES.contains(&name) || name.starts_with("containerd-shim")) {
        return Some("container engine");
    }
    if either(&|name| name == "kubelet") {
        return Some("kubelet");
    }
    if either(&|name| name == "sshd" || name == "sshd-session") {
        return Some(SSHD);
    }
    if program == "fracas" {
        let worker = words.next() == Some("worker");
        let of_a_lab = words
            .next()
            .is_some_and(|name| name.starts_with("demo") || name.starts_with("lab"));
        if !(worker && of_a_lab) {
            return Some("a process of Fracas");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use fracas_core::target::ProcessIdentity;

    use super::*;

    fn status(pid: u32, comm: &str, command: &str) -> Status {
        Status {
            identity: ProcessIdentity {
                pid,
                start: 1,
                boot: "b".into(),
            },
            parent: 1,
            comm: comm.into(),
            command: command.into(),
            state: 'S',
            threads: 1,
            uid: 0,
        }
    }

    fn protection() -> Protection {
        Protection {
            me: 500,
            ancestors: BTreeSet::from([1, 400]),
        }
    }

    #[test]
    fn what_measuring_and_undoing_needs_is_protected() {
        for (pid, comm, command, why) in [
            (1, "systemd", "/sbin/init", Some("the first process of this machine")),
            (500, "x", "x", Some("Fracas itself")),
            (400, "bash", "bash", Some("an ancestor of Fracas")),
            (9, "dockerd", "/usr/bin/dockerd -H fd://", Some("container engine")),
            (
                9,
                "containerd-shim",
                "/usr/bin/containerd-shim-runc-v2 -id x",
                Some("container engine"),
            ),
            (9, "exe", "/usr/bin/dockerd", Some("container engine")),
            (9, "kubelet", "/usr/bin/kubelet", Some("kubelet")),
            (9, "sshd", "sshd: root@pts/0", Some("sshd")),
            (9, "fracas", "/opt/fracas worker guardian", Some("a process of Fracas")),
            (9, "fracas", "fracas run a.yaml", Some("a process of Fracas")),
            (9, "fracas", "fracas worker demo-service", None),
            (9, "nginx", "nginx: master process /usr/sbin/nginx", None),
            (9, "sh", "sh /opt/dockerd-helper", None),
        ] {
            assert_eq!(protection().of_process(&status(pid, comm, command)), why, "{command}");
        }
    }

    #[test]
    fn observers_and_the_container_around_us_are_protected() {
        let init = |pid, comm| status(pid, comm, comm);
        let of = |name, init: &Status, groups| protection().of_container(name, "abc123", Some(init), groups);
        assert_eq!(of("my-Prometheus-1", &init(9, "p"), ""), Some("Prometheus"));
        assert_eq!(of("grafana", &init(9, "p"), ""), Some("Grafana"));
        assert_eq!(
            of("web", &init(9, "p"), "0::/docker/abc123\n"),
            Some("Fracas runs in it")
        );
        assert_eq!(of("web", &init(400, "p"), ""), Some("Fracas runs in it"));
        assert_eq!(of("dind", &init(9, "dockerd"), ""), Some("container engine"));
        assert_eq!(of("bastion", &init(9, "sshd"), ""), None);
        assert_eq!(
            protection().of_container("prometheus", "abc123", None, ""),
            Some("Prometheus")
        );
    }
}
