//! A hundred network namespaces: `delay` by the kernel queue on all of them, against a loop of `nsenter … tc` that makes the same netem.
//! Only where the kernel has one: `cargo xtask vm --bench`.

use std::cell::{Cell, RefCell};

use fracas_faults::impairment;
use fracas_lab::{TestBridge, TestGroup, TestNode};
use fracas_linux::cgroup::Controller;
use fracas_linux::netlink::Netlink;
use fracas_linux::traffic_control::Side;

use crate::figures::{Figures, cost, ratio, table};
use crate::namespaces::{NETEM, all, in_a_loop};
use crate::run::{document, timed};

pub(crate) fn section(rounds: usize) -> String {
    if let Some(lacking) = impairment::no_kernel_queue().unwrap() {
        println!("no figures of the kernel queue: {lacking}");
        return String::new();
    }
    let bridge = TestBridge::new().unwrap().expect("links can be made");
    let group = TestGroup::new(&[Controller::Pids])
        .unwrap()
        .expect("groups can be made");
    let document = document(
        &format!("process: {{ cgroup: \"/{}\" }}", group.name()),
        "delay: { mean: 50ms, mechanism: kernel_queue }",
    );
    let (mut rows, mut costs) = (Vec::new(), Vec::new());
    let (mut nodes, mut eyes): (Vec<TestNode>, Vec<Eye>) = (Vec::new(), Vec::new());
    for count in [1, 10, 100] {
        while nodes.len() < count {
            let node = TestBridge::node(&[&bridge], ["sleep"]).unwrap();
            group.add(node.process()).unwrap();
            eyes.push(Eye::on(&node));
            nodes.push(node);
        }
        let [mut on, mut off, mut add, mut del] = [(); 4].map(|()| Figures::times());
        for _ in 0..rounds {
            let (with, without) = (Cell::new(0), Cell::new(0));
            let took = timed(&document, None, &|| all(&eyes, &with, Eye::is_on), &|| {
                all(&eyes, &without, Eye::is_off)
            });
            on.took(took.on);
            off.took(took.off);
            add.took(in_a_loop(&nodes, "add", NETEM));
            del.took(in_a_loop(&nodes, "del", &[]));
        }
        costs.push((count, on.median() + off.median()));
        for (what, ours, theirs) in [("command to all injected", on, add), ("stop to all clean", off, del)] {
            rows.push(vec![
                count.to_string(),
                what.to_owned(),
                ours.to_string(),
                theirs.to_string(),
                ratio(&theirs, &ours),
            ]);
        }
    }
    format!(
        "## Network namespaces, one `delay` each by the kernel queue\n\nIn the emulated machine of `cargo xtask vm --bench`. Beside it the loop \
         that people write: `nsenter --net=… tc qdisc add dev eth0 root {}`, and `del`. It measures nothing, and whoever kills it leaves \
         what it did.\n\n{}\n{}\n",
        NETEM.join(" "),
        table(
            &["namespaces", "", "Fracas", "`nsenter … tc` in a loop", "ratio"],
            &rows
        ),
        cost(&costs)
    )
}

/// Looks at a node by one socket: to enter its namespace for each look would take the processor from what is measured.
struct Eye {
    netlink: RefCell<Netlink>,
    eth0: u32,
}

impl Eye {
    fn on(node: &TestNode) -> Self {
        let mut netlink = node.namespace().within(Netlink::route).unwrap();
        let eth0 = netlink.link_by_name("eth0").unwrap().expect("a node has a port").index;
        Self {
            netlink: RefCell::new(netlink),
            eth0,
        }
    }

    /// Whether packets are led aside, which is the last that is made.
    fn is_on(&self) -> bool {
        !self
            .netlink
            .borrow_mut()
            .filters(self.eth0, Side::Egress)
            .unwrap()
            .is_empty()
    }

    /// Whether there is nowhere to lead them to, which is the last that goes.
    fn is_off(&self) -> bool {
        !self
            .netlink
            .borrow_mut()
            .links()
            .unwrap()
            .iter()
            .any(|link| link.is("ifb"))
    }
}
