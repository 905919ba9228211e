//! Networks for the fault that cuts a target off: bridges of this namespace, and processes in namespaces of their own.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use fracas_lab::{TestBridge, TestGroup, TestNames, TestProcess, eventually};
use fracas_linux::cgroup::Controller;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::{Netlink, PortState};
use fracas_linux::process;

use super::LIMIT;

/// A process with a network of its own. The bridge is removed after the process.
pub struct Node {
    process: TestProcess,
    /// A name server on the bridge, and where it is.
    names: Option<(TestNames, Ipv4Addr)>,
    _bridge: TestBridge,
    /// Its own, so that groups that a stranger makes below go with it.
    _group: Option<TestGroup>,
}

impl Node {
    /// One on a bridge of its own. `None`: links cannot be made.
    pub fn new(mode: &[&str]) -> Option<Self> {
        Some(Self::on(TestBridge::new().unwrap()?, mode))
    }

    /// One that asks a name server on its bridge for this name, again and again. `None`: links cannot be made.
    pub fn asking(name: &str) -> Option<Self> {
        let bridge = TestBridge::new().unwrap()?;
        let at = bridge.address(1);
        let names = TestNames::serve(at.into()).unwrap();
        let mut node = Self::on(bridge, &["ask", "20", name, &at.to_string()]);
        node.names = Some((names, at));
        Some(node)
    }

    /// Where its name server is.
    pub fn server(&self) -> Option<Ipv4Addr> {
        self.names.as_ref().map(|(_, at)| *at)
    }

    fn on(bridge: TestBridge, mode: &[&str]) -> Self {
        // Nobody but the process holds its namespace: it goes with the process, and its port with it.
        let process = TestBridge::node(&[&bridge], mode).unwrap().into_process();
        let group = TestGroup::new(&[Controller::Blkio]).unwrap();
        if let Some(group) = &group {
            group.add(&process).unwrap();
        }
        Self {
            process,
            names: None,
            _bridge: bridge,
            _group: group,
        }
    }

    pub fn process(&self) -> &TestProcess {
        &self.process
    }
}

/// The port of an interface of this process, as /sys has it; `None`: the process has no such interface.
fn port(pid: u32, interface: &str) -> Option<(u32, PathBuf)> {
    let identity = process::identity(pid).unwrap()?;
    let there = NetNamespace::of(&identity).unwrap()?;
    let end = there.within(|| Netlink::route()?.link_by_name(interface)).unwrap()?;
    let links = std::fs::read_dir("/sys/class/net").unwrap();
    let mut ports = links.map(|link| link.unwrap().path()).filter_map(|link| {
        let number = |file: &str| -> Option<u32> { std::fs::read_to_string(link.join(file)).ok()?.trim().parse().ok() };
        let it = (number("ifindex")? == end.other? && number("iflink")? == end.index).then(|| number("ifindex"));
        Some((it??, link.join("brport/state")))
    });
    ports.next()
}

/// The state of the port of `eth0`, from /sys.
pub fn state(pid: u32) -> String {
    state_of(pid, "eth0")
}

/// The state of the port of this interface, from /sys.
pub fn state_of(pid: u32, interface: &str) -> String {
    let (_, file) = port(pid, interface).expect("the target has a port");
    let number = std::fs::read_to_string(&file).unwrap();
    PortState::from_number(number.trim().parse().unwrap())
        .unwrap()
        .to_string()
}

/// Waits until the port of a container that has just begun has its carrier.
pub fn forwards(pid: u32, interface: &str) {
    eventually(LIMIT, "the port forwards", || {
        port(pid, interface).is_some() && state_of(pid, interface) == "forwarding"
    });
}

/// Sets the state of the port, as somebody else.
pub fn set_state(pid: u32, state: &str) {
    let state = (0..5)
        .map(|number| PortState::from_number(number).unwrap())
        .find(|known| known.name() == state)
        .unwrap();
    let (index, _) = port(pid, "eth0").expect("the target has a port");
    Netlink::route().unwrap().set_port_state(index, state).unwrap();
}
