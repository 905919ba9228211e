//! Networks for tests: bridges of this namespace, and processes in namespaces of their own that are joined to them.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::{Netlink, PortState, RouteKind};
use fracas_linux::privileges::{Capability, missing};
use fracas_linux::process;

use crate::TestProcess;

/// The beginning of the names of all links that the lab makes; the pid of the process that made it follows.
const PREFIX: &str = "fl";
/// How long the kernel may take for what it does in its own time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A bridge in the network namespace of this process, with an address. Removed when dropped.
#[derive(Debug)]
pub struct TestBridge {
    name: String,
    index: u32,
}

/// A process in a network namespace of its own, a port of a bridge. The kernel removes the port with the namespace.
#[derive(Debug)]
pub struct TestNode {
    /// The process before its namespace: a drop goes in this order.
    process: TestProcess,
    namespace: NetNamespace,
    ports: Vec<TestPort>,
}

/// A port of a bridge.
#[derive(Debug, Clone)]
pub struct TestPort {
    /// Its name in the namespace of the bridge.
    pub name: String,
    /// Its number there.
    pub index: u32,
    /// The address of the process on this network.
    pub address: Ipv4Addr,
}

impl TestBridge {
    /// A bridge that is up. `None` where links cannot be made.
    pub fn new() -> io::Result<Option<Self>> {
        let needs = [Capability::NetAdmin, Capability::SysAdmin, Capability::NetRaw];
        if !missing(&needs)?.is_empty() {
            return Ok(None);
        }
        let mut netlink = Netlink::route()?;
        sweep(&mut netlink)?;
        let name = unique_link();
        let index = netlink.make_bridge(&name)?;
        // Ports go with their namespaces, in the kernel's own time, while the next test is at work.
        if let Some(link) = netlink.link(index)? {
            netlink.set_hardware_address(index, &link.address)?;
        }
        let bridge = Self { name, index };
        netlink.add_address(index, bridge.address(1), 24)?;
        netlink.set_up(index, true)?;
        Ok(Some(bridge))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// An address in its network, which no other bridge of this namespace has at this time; its own is that of host 1.
    pub fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 192 + (self.index >> 8) as u8 % 64, self.index as u8, host)
    }

    /// The same of IPv6, for those that were joined so.
    pub fn address_v6(&self, host: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfd53, 0, 0, self.index as u16, 0, 0, 0, host)
    }

    /// Gives the bridge an address of IPv6, and each node one by its first interface: these are told. All are used when this returns.
    pub fn join_v6(&self, nodes: &[&TestNode]) -> io::Result<Vec<Ipv6Addr>> {
        let mut added = vec![(Netlink::route()?, self.index, self.address_v6(1))];
        for node in nodes {
            let mut there = node.namespace.within(Netlink::route)?;
            let inside = there.link_by_name("eth0")?.map_or(0, |link| link.index);
            let host = node.ports.first().map_or(2, |port| port.address.octets()[3]);
            added.push((there, inside, self.address_v6(host.into())));
        }
        for (netlink, index, address) in &mut added {
            netlink.add_address(*index, *address, 64)?;
        }
        for (netlink, index, address) in &mut added {
            // Whether somebody else has it is asked for a second first (RFC 4862, 5.4).
            crate::eventually(PATIENCE, "an address is used", || {
                let route = netlink.route_to((*address).into(), 0, Some(*index)).ok().flatten();
                route.is_some_and(|route| route.kind == RouteKind::Local)
            });
        }
        Ok(added.into_iter().skip(1).map(|(_, _, address)| address).collect())
    }

    /// Joins a namespace to the bridge by an interface of this name. It may take a moment until the port forwards.
    pub fn join(&self, namespace: &NetNamespace, inside: &str) -> io::Result<TestPort> {
        let (mut here, mut there) = (Netlink::route()?, namespace.within(Netlink::route)?);
        let name = unique_link();
        let index = here.make_pair(&name, inside, namespace)?;
        here.set_master(index, Some(self.index))?;
        let end = there.link_by_name(inside)?.map_or(0, |link| link.index);
        // Two nodes of one bridge have two ports, and so two numbers, a while apart.
        let address = self.address((index % 200) as u8 + 10);
        there.add_address(end, address, 24)?;
        there.set_up(end, true)?;
        here.set_up(index, true)?;
        Ok(TestPort { name, index, address })
    }

    /// Starts the lab's program in a namespace of its own, joined to these bridges as `eth0`, `eth1` …; its ports forward when this
    /// returns.
    pub fn node<S: AsRef<str>>(bridges: &[&Self], mode: impl IntoIterator<Item = S>) -> io::Result<TestNode> {
        let namespace = NetNamespace::make()?;
        let mut there = namespace.within(Netlink::route)?;
        // As every container engine does.
        for loopback in there.links()?.iter().filter(|link| link.loopback) {
            there.set_up(loopback.index, true)?;
        }
        let mut ports = Vec::new();
        for (number, bridge) in bridges.iter().enumerate() {
            ports.push(bridge.join(&namespace, &format!("eth{number}"))?);
        }
        // Before anything is sent: who asks for an address in vain asks again a second later, and all others wait for him
        // (`neigh_timer_handler` in net/core/neighbour.c).
        for port in &ports {
            port.forwards()?;
        }
        let mode: Vec<String> = mode.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let process = namespace.within(|| TestProcess::run(&mode))?;
        Ok(TestNode {
            process,
            namespace,
            ports,
        })
    }
}

impl TestPort {
    /// Waits until it forwards: the kernel looks at carriers in its own time (`linkwatch_event` in net/core/link_watch.c).
    pub fn forwards(&self) -> io::Result<()> {
        let mut here = Netlink::route()?;
        crate::eventually(PATIENCE, "a port forwards", || {
            let link = here.link(self.index).ok().flatten();
            link.is_some_and(|link| link.operational && link.state == Some(PortState::Forwarding))
        });
        Ok(())
    }
}

impl Drop for TestBridge {
    fn drop(&mut self) {
        // What a drop cannot do, the next bridge's sweep does.
        let _left_over = Netlink::route().and_then(|mut netlink| netlink.remove_link(self.index));
    }
}

impl TestNode {
    /// The process.
    pub fn process(&self) -> &TestProcess {
        &self.process
    }

    /// Its namespace.
    pub fn namespace(&self) -> &NetNamespace {
        &self.namespace
    }

    /// Its ports, in the order of the bridges.
    pub fn ports(&self) -> &[TestPort] {
        &self.ports
    }

    /// Ends the namespace with its process, as it is when nobody else holds it: for tests in which the target dies.
    pub fn into_process(self) -> TestProcess {
        self.process
    }
}

fn unique_link() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // At most 15 characters.
    format!("{PREFIX}{:x}-{count:x}", std::process::id())
}

/// Removes the links that killed tests left behind.
fn sweep(netlink: &mut Netlink) -> io::Result<()> {
    for link in netlink.links()? {
        let maker = link.name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
        let Some(Ok(maker)) = maker.map(|(pid, _)| u32::from_str_radix(pid, 16)) else {
            continue;
        };
        if process::identity(maker)?.is_none() {
            // Another test may remove it at the same moment, or the kernel: all want it gone.
            let _someone_else_did = netlink.remove_link(link.index);
        }
    }
    Ok(())
}
