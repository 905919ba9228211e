//! A hundred network namespaces: `delay` on all of them, against a loop of `nsenter … tc` that does what this kernel lets it do.

use std::cell::{Cell, RefCell};
use std::process::Command;
use std::time::{Duration, Instant};

use fracas_lab::{TestBridge, TestGroup, TestNode};
use fracas_linux::cgroup::Controller;
use fracas_linux::netlink::Netlink;

use crate::figures::{Figures, cost, judged, ratio, table};
use crate::run::{document, timed};

pub(crate) const NETEM: &[&str] = &["netem", "delay", "50ms"];
const TBF: &[&str] = &["tbf", "rate", "1gbit", "burst", "128kb", "latency", "50ms"];

/// On how many namespaces at most, and how often Fracas is to fit into the time of the loop there.
const MOST: usize = 100;
const GOAL: f64 = 20.0;

pub(crate) fn section(rounds: usize) -> String {
    let (Some(bridge), Some(group)) = (TestBridge::new().unwrap(), TestGroup::new(&[Controller::Pids]).unwrap()) else {
        return String::new();
    };
    let document = document(
        &format!("process: {{ cgroup: \"/{}\" }}", group.name()),
        "delay: { mean: 50ms }",
    );
    let (mut rows, mut costs) = (Vec::new(), Vec::new());
    let mut nodes: Vec<TestNode> = Vec::new();
    let mut queue = TBF;
    let mut judgements = Vec::new();
    for count in [1, 10, MOST] {
        while nodes.len() < count {
            let node = TestBridge::node(&[&bridge], ["sleep"]).unwrap();
            group.add(node.process()).unwrap();
            nodes.push(node);
        }
        if tc(&nodes[0], "add", NETEM) {
            assert!(tc(&nodes[0], "del", &[]));
            queue = NETEM;
        }
        // Opened once: to look costs the machine little, for it has something else to do.
        let eyes: Vec<RefCell<Netlink>> = nodes
            .iter()
            .map(|node| RefCell::new(node.namespace().within(Netlink::netfilter).unwrap()))
            .collect();
        let sees = |eye: &RefCell<Netlink>| !eye.borrow_mut().tables().unwrap().is_empty();
        let [mut on, mut off, mut add, mut del] = [(); 4].map(|()| Figures::times());
        for _ in 0..rounds {
            let (with, without) = (Cell::new(0), Cell::new(0));
            let took = timed(&document, None, &|| all(&eyes, &with, sees), &|| {
                all(&eyes, &without, |eye| !sees(eye))
            });
            on.took(took.on);
            off.took(took.off);
            add.took(in_a_loop(&nodes, "add", queue));
            del.took(in_a_loop(&nodes, "del", &[]));
        }
        costs.push((count, on.median() + off.median()));
        for (what, ours, theirs) in [("command to all injected", on, add), ("stop to all clean", off, del)] {
            if count == MOST {
                let short = -(theirs.median() / ours.median());
                judgements.push(format!("{what}, {}", judged(short, -GOAL)));
            }
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
        "## Network namespaces, one `delay` each\n\nBeside it the loop that people write: `nsenter --net=… tc qdisc add dev eth0 root {}`, and \
         `del`. It measures nothing, and whoever kills it leaves what it did. The goal is {GOAL} × on {MOST} namespaces: {}. One `nsenter … tc` \
         is two starts of small programs and one request. What Fracas does for each namespace: it plans, and plans once more right before \
         the fault is put on; it makes a control group by which a stranger finds the worker; and the worker, with a thread that watches \
         the target and one that watches the guardian, opens a queue and makes a table of rules that goes with it. The command itself is \
         two starts of a large program. And each worker is one more: 3.4 ms of a processor and 657 page faults, as much as `nsenter` and \
         `tc` together. Workers as copies of one that waits (clone(2)) were tried and put all on 2.7 times as fast; they were not taken, \
         for in a copy that is made by a bare system call the C library believes that it is the process it was copied \
         from.\n\n{}\n{}\n",
        queue.join(" "),
        judgements.join(" and "),
        table(
            &["namespaces", "", "Fracas", "`nsenter … tc` in a loop", "ratio"],
            &rows
        ),
        cost(&costs)
    )
}

/// Whether all are so; those that were seen so are not looked at again.
pub(crate) fn all<T>(eyes: &[T], seen: &Cell<usize>, is: impl Fn(&T) -> bool) -> bool {
    while seen.get() < eyes.len() && is(&eyes[seen.get()]) {
        seen.set(seen.get() + 1);
    }
    seen.get() == eyes.len()
}

/// Whether there is a table of packet rules.
pub(crate) fn has_table(node: &TestNode) -> bool {
    let tables = node.namespace().within(|| Netlink::netfilter()?.tables());
    !tables.unwrap().is_empty()
}

pub(crate) fn in_a_loop(nodes: &[TestNode], verb: &str, queue: &[&str]) -> Duration {
    let began = Instant::now();
    for node in nodes {
        assert!(tc(node, verb, queue), "tc qdisc {verb} is refused");
    }
    began.elapsed()
}

/// What a person would do without Fracas. Whether it was done.
fn tc(node: &TestNode, verb: &str, queue: &[&str]) -> bool {
    let net = format!("--net=/proc/{}/ns/net", node.process().pid());
    #[expect(clippy::disallowed_methods, reason = "a benchmark starts what it compares with")]
    let done = Command::new("nsenter")
        .args([&net, "tc", "qdisc", verb, "dev", "eth0", "root"])
        .args(queue)
        .output()
        .unwrap();
    done.status.success()
}
