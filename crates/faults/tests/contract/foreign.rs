//! What others have set up around a target's network is the same before, during and after every fault on networks: queues, classes and
//! filters of tc(8), rules of nft(8) and of iptables(8), in states that are drawn at random.

use std::collections::BTreeSet;
use std::process::Command;

use fracas_core::record::{Landed, Reverted, Seen};
use fracas_core::seed::Seed;
use fracas_faults::{Entry, FAULTS};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;

use crate::checks::Check;
use crate::fixture::{On, by_kernel, on_packets, stage};

tests! {
    foreign_states_around_every_fault_on_networks_stay_as_they_are,
}

/// So many states for each fault; the variable wins, for a longer look.
const STATES: u64 = 2;
const VARIABLE: &str = "FRACAS_TEST_STATES";
/// What was set up at least once, all states together; other kinds of queues where a kernel has them.
const SEEN: [&str; 7] = ["htb", "tbf", "ingress", "clsact", "nft", "iptables", "ip6tables"];
/// These a kernel has where it has a kernel queue.
const SEEN_THERE: [&str; 2] = ["prio", "netem"];
/// What holds filters beside a device's queue, and the sides on which it has some. Of random states the first three.
const HOLDERS: [(&str, &[&str]); 5] = [
    ("", &[]),
    ("ingress", &["ingress"]),
    ("clsact", &["ingress", "egress"]),
    ("clsact", &["ingress"]),
    ("clsact", &[]),
];

/// A check of a fault by the kernel queue, beside those of every fault.
pub const BY_KERNEL: (&str, Check) = ("foreign_states_stay_as_they_are", |entry, on| {
    Box::pin(around_the_kernel_queue(entry, on))
});

fn on_networks(entry: &Entry) -> bool {
    on_packets(entry.name) || entry.name == "network_disconnect"
}

async fn foreign_states_around_every_fault_on_networks_stay_as_they_are() {
    let states = std::env::var(VARIABLE).map_or(STATES, |text| text.parse().unwrap());
    let mut seen = BTreeSet::new();
    for (number, entry) in FAULTS.iter().filter(|entry| on_networks(entry)).enumerate() {
        let Some(stage) = stage(entry, On::Simplest).await else {
            return;
        };
        let there = NetNamespace::of(stage.target.process()).unwrap().unwrap();
        let port = port(&there);
        for state in 0..states {
            let seed = number as u64 * states + state;
            let mut draws = Draws { seed, count: 0 };
            let inside = Side::new(Some(&there), "eth0");
            let outside = Side::new(None, &port);
            seen.extend(draws.queues(&inside));
            seen.extend(draws.queues(&outside));
            seen.extend(draws.rules(&inside));
            let look = || format!("{}{}{}", inside.queues(), outside.queues(), inside.rules());
            let before = look();
            let undo = (entry.plan)(&stage.params, &stage.target, &stage.cx).await.unwrap();
            (entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
            let during = look();
            let what = format!("{} over state {seed}", entry.name);
            let ours = stage.cx.trace_name();
            if on_packets(entry.name) && inside.has("nft") {
                assert_ne!(during, before, "{what}: there is a table of ours");
            }
            same(&without(&during, &ours), &before, &format!("{what}: while it is on"));
            assert_eq!(
                (entry.revert)(&undo, &stage.cx).await.unwrap(),
                Reverted::Restored,
                "{what}"
            );
            assert_eq!(
                (entry.observe)(&undo, &stage.cx).await.unwrap(),
                Seen::Original,
                "{what}"
            );
            same(&look(), &before, &format!("{what}: when it is gone"));
            inside.clear();
            outside.clear();
        }
    }
    for kind in SEEN {
        assert!(seen.contains(kind), "{kind} was never set up, but {seen:?}");
    }
}

/// The kernel queue is in the middle of it: it works beside queues, rules, and what has filters on the other side, and refuses a state in
/// which filters would not see what it leads aside. Either way all of that stays as it is.
async fn around_the_kernel_queue(entry: &'static Entry, on: On) {
    let Some(stage) = stage(entry, on).await else { return };
    let there = NetNamespace::of(stage.target.process()).unwrap().unwrap();
    let number = by_kernel::FAULTS.iter().position(|fault| *fault == entry.name);
    let number = number.expect("it is a fault on packets");
    let inside = Side::new(Some(&there), "eth0");
    let mut seen = BTreeSet::new();
    for state in 0..HOLDERS.len() {
        let holder = (state + number) % HOLDERS.len();
        let mut draws = Draws {
            seed: (1000 + HOLDERS.len() * number + state) as u64,
            count: 0,
        };
        seen.extend(draws.queue(&inside, Some(state as u64)));
        seen.extend(draws.filters(&inside, HOLDERS[holder]));
        seen.extend(draws.rules(&inside));
        let look = || format!("{}{}{}", inside.queues(), inside.links(), inside.rules());
        let before = look();
        let what = format!("{} over state {state} of {number}", entry.name);
        let planned = (entry.plan)(&stage.params, &stage.target, &stage.cx).await;
        let (kind, sides) = HOLDERS[holder];
        if kind == "ingress" || sides.contains(&"egress") {
            let refused = planned.expect_err(&what);
            let why = if kind == "ingress" {
                "its interface eth0 has a qdisc ingress, where ours would have to be"
            } else {
                "its interface eth0 has filters of somebody else's, which would not see what is led aside"
            };
            assert_eq!(refused.code.id, "F001", "{what}: {refused}");
            assert!(refused.to_string().contains(why), "{what}: {refused}");
        } else {
            let undo = planned.expect(&what);
            (entry.apply)(&stage.params, &undo, &stage.cx).await.expect(&what);
            let during = look();
            assert!(during.contains("mirred"), "{what}: there are filters of ours: {during}");
            same(
                &without_ours(&during, kind == "clsact"),
                &before,
                &format!("{what}: while it is on"),
            );
            let dose = (entry.measure)(&stage.params, &undo, &stage.cx).await.expect(&what);
            assert_eq!(dose.landed, Landed::Yes, "{what}: {dose:?}");
            let reverted = (entry.revert)(&undo, &stage.cx).await.expect(&what);
            assert_eq!(reverted, Reverted::Restored, "{what}");
            let left = (entry.observe)(&undo, &stage.cx).await.expect(&what);
            assert_eq!(left, Seen::Original, "{what}");
        }
        same(&look(), &before, &format!("{what}: when it is gone"));
        inside.clear();
    }
    for kind in SEEN.iter().chain(&SEEN_THERE) {
        assert!(seen.contains(kind), "{kind} was never set up, but {seen:?}");
    }
}

/// What tc(8) and ip(8) say without a kernel queue: its filters, the interface that they lead to, and its place for them where there was none.
fn without_ours(listing: &str, had_clsact: bool) -> String {
    const PARTS: [&str; 5] = ["qdisc ", "class ", "filter ", "link ", "table "];
    let (mut ours, mut kept) = (false, String::new());
    for line in listing.lines() {
        if PARTS.iter().any(|part| line.starts_with(part)) {
            ours = line.starts_with("filter protocol all pref 1 bpf")
                || line.starts_with("link frc")
                || !had_clsact && line.starts_with("qdisc clsact");
        }
        if !ours {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The name of the other end of the target's interface, which is a port of a bridge.
fn port(there: &NetNamespace) -> String {
    let mut netlink = there.within(Netlink::route).unwrap();
    let end = netlink.link_by_name("eth0").unwrap().unwrap();
    let other = Netlink::route().unwrap().link(end.other.unwrap()).unwrap();
    other.unwrap().name
}

/// The same lines.
#[track_caller]
fn same(now: &str, before: &str, what: &str) {
    let beside = |one: &str, other: &str| -> Vec<String> {
        let known: BTreeSet<_> = other.lines().collect();
        one.lines()
            .filter(|line| !known.contains(line))
            .map(str::to_owned)
            .collect()
    };
    let (new, gone) = (beside(now, before), beside(before, now));
    assert!(now == before, "{what}: new is {new:#?}, gone is {gone:#?}");
}

/// What a listing of nft(8) says of others than tables with such a name.
fn without(listing: &str, name: &str) -> String {
    let mut ours = false;
    let mut kept = String::new();
    for line in listing.lines() {
        if line.starts_with("table ") {
            ours = line.contains(name);
        }
        if !ours {
            kept.push_str(line);
            kept.push('\n');
        }
        if line == "}" {
            ours = false;
        }
    }
    kept
}

/// A device with what is around it.
struct Side<'a> {
    there: Option<&'a NetNamespace>,
    device: &'a str,
}

impl<'a> Side<'a> {
    fn new(there: Option<&'a NetNamespace>, device: &'a str) -> Self {
        Self { there, device }
    }

    /// What a program said that ended well; `None`: it is not here, or it refused.
    #[expect(clippy::disallowed_methods, reason = "a stranger")]
    fn run(&self, line: &str) -> Option<String> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let start = || Command::new(words[0]).args(&words[1..]).output();
        let ended = match self.there {
            Some(there) => there.within(start),
            None => start(),
        };
        let ended = ended.ok().filter(|ended| ended.status.success())?;
        Some(String::from_utf8(ended.stdout).unwrap())
    }

    fn has(&self, program: &str) -> bool {
        self.run(&format!("{program} --version")).is_some()
    }

    /// Queues, classes and filters, but for what packets count up.
    fn queues(&self) -> String {
        let device = self.device;
        let mut all = String::new();
        for what in ["qdisc", "class", "filter"] {
            all.push_str(&self.run(&format!("tc {what} show dev {device}")).unwrap_or_default());
        }
        for at in ["ingress", "egress"] {
            all.push_str(
                &self
                    .run(&format!("tc filter show dev {device} {at}"))
                    .unwrap_or_default(),
            );
        }
        let counted = |word: &&str| *word != "direct_packets_stat";
        let mut lines = String::new();
        for line in all.lines() {
            let mut words: Vec<&str> = line.split_ascii_whitespace().collect();
            if let Some(at) = words.iter().position(|word| !counted(word)) {
                words.drain(at..at + 2);
            }
            lines.push_str(&words.join(" "));
            lines.push('\n');
        }
        lines
    }

    /// The links there, each with its queue and its state, but not its number.
    fn links(&self) -> String {
        let said = self.run("ip -o link show").expect("ip is here");
        let after_number = |line: &str| line.split_once(": ").map(|(_, line)| format!("link {line}\n"));
        said.lines().filter_map(after_number).collect()
    }

    /// Rules with their numbers, without their counters.
    fn rules(&self) -> String {
        let nft = self.run("nft --handle --stateless list ruleset").unwrap_or_default();
        let mut all = nft;
        for program in ["iptables-save", "ip6tables-save"] {
            let saved = self.run(program).unwrap_or_default();
            // Comments have the time, and the policies of chains their counters.
            for line in saved.lines().filter(|line| !line.starts_with('#')) {
                let line = line.split(" [").next().unwrap_or_default();
                all.push_str(line);
                all.push('\n');
            }
        }
        all
    }

    fn clear(&self) {
        let device = self.device;
        for at in ["root", "ingress", "clsact"] {
            self.run(&format!("tc qdisc del dev {device} {at}"));
        }
        if self.there.is_some() {
            self.run("nft flush ruleset");
        }
    }
}

/// Random choices that a number repeats.
struct Draws {
    seed: u64,
    count: u64,
}

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.count += 1;
        Seed(self.seed).draw("foreign", "state", self.count).0 % end
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }

    /// Queues at a device, and filters beside them; which kinds of them this kernel has.
    fn queues(&mut self, side: &Side<'_>) -> Vec<&'static str> {
        let mut made = self.queue(side, None);
        let holder = self.below(3);
        made.extend(self.filters(side, HOLDERS[holder as usize]));
        made
    }

    /// What a device sends from: of five kinds this one, or any.
    fn queue(&mut self, side: &Side<'_>, which: Option<u64>) -> Vec<&'static str> {
        let mut made = Vec::new();
        let device = side.device;
        let mut add = |kind: &'static str, line: String| {
            if side.run(&format!("tc {line}")).is_some() {
                made.push(kind);
            }
        };
        let handle = self.below(0xff) + 1;
        match which.unwrap_or_else(|| self.below(5)) {
            0 => {}
            1 => {
                let (rate, burst) = (self.below(900) + 100, self.below(60) + 10);
                add(
                    "tbf",
                    format!(
                        "qdisc add dev {device} root handle {handle:x}: tbf rate {rate}mbit burst {burst}kb latency 50ms"
                    ),
                );
            }
            2 => {
                add(
                    "prio",
                    format!("qdisc add dev {device} root handle {handle:x}: prio bands 4"),
                );
            }
            3 => {
                let delay = self.below(3) + 1;
                add(
                    "netem",
                    format!("qdisc add dev {device} root handle {handle:x}: netem delay {delay}ms"),
                );
            }
            _ => {
                let classes = self.below(4) + 1;
                add(
                    "htb",
                    format!("qdisc add dev {device} root handle {handle:x}: htb default {classes:x}"),
                );
                for class in 1..=classes {
                    // A tree: each below the root or below the one before.
                    let parent = if class > 1 && self.below(2) == 0 {
                        format!("{handle:x}:{:x}", class - 1)
                    } else {
                        format!("{handle:x}:")
                    };
                    let rate = self.below(500) + 100;
                    add(
                        "htb",
                        format!(
                            "class add dev {device} parent {parent} classid {handle:x}:{class:x} htb rate {rate}mbit ceil 1gbit"
                        ),
                    );
                    let port = self.below(1000) + 7000;
                    add(
                        "u32",
                        format!(
                            "filter add dev {device} parent {handle:x}: protocol ip prio {class} u32 match ip dport {port} 0xffff \
                             flowid {handle:x}:{class:x}"
                        ),
                    );
                }
                add(
                    "pfifo",
                    format!("qdisc add dev {device} parent {handle:x}:{classes:x} pfifo limit 500"),
                );
            }
        }
        made
    }

    /// Filters beside a device's queue, in what holds them.
    fn filters(&mut self, side: &Side<'_>, (kind, sides): (&'static str, &[&str])) -> Vec<&'static str> {
        let mut made = Vec::new();
        let device = side.device;
        if kind.is_empty() || side.run(&format!("tc qdisc add dev {device} {kind}")).is_none() {
            return made;
        }
        made.push(kind);
        for at in sides {
            for prio in 1..=self.below(3) + 1 {
                let (port, action) = (self.below(1000) + 7000, self.one_of(&["drop", "ok", "continue"]));
                let protocol = self.one_of(&["ip", "ipv6"]);
                let name = if protocol == "ip" { "ip" } else { "ip6" };
                let added = side.run(&format!(
                    "tc filter add dev {device} {at} protocol {protocol} prio {prio}{} u32 match {name} dport {port} 0xffff action {action}",
                    self.below(9)
                ));
                made.extend(added.map(|_| "u32"));
            }
        }
        made
    }

    /// Rules of packet filters; of which programs.
    fn rules(&mut self, side: &Side<'_>) -> Vec<&'static str> {
        let mut made = Vec::new();
        for table in 0..self.below(3) {
            let family = self.one_of(&["ip", "ip6", "inet"]);
            side.run(&format!("nft add table {family} theirs{table}"));
            for chain in 0..=self.below(3) {
                let (hook, priority) = (
                    self.one_of(&["input", "output", "prerouting", "postrouting"]),
                    self.one_of(&["-400", "-320", "-310", "-300", "-200", "0", "100"]),
                );
                let place = format!("{family} theirs{table} chain{chain}");
                side.run(&format!(
                    "nft add chain {place} {{ type filter hook {hook} priority {priority} ; }}"
                ));
                for _ in 0..self.below(4) {
                    let port = self.below(1000) + 7000;
                    let rule = match self.below(6) {
                        0 => format!("udp dport {port} counter drop"),
                        1 => format!("tcp dport {{ {port}, 80 }} counter accept"),
                        2 => format!("meta mark set 0x{port:x}"),
                        3 => "ct state established counter".to_owned(),
                        4 => format!("tcp dport {port} limit rate 10/second accept"),
                        _ => format!("meta l4proto udp meta length {port} log"),
                    };
                    if side.run(&format!("nft add rule {place} {rule}")).is_some() {
                        made.push("nft");
                    }
                }
            }
        }
        for (program, other) in [("iptables", "10.99.0.1"), ("ip6tables", "fd99::1")] {
            for _ in 0..self.below(5) {
                let port = self.below(1000) + 7000;
                let rule = match self.below(6) {
                    0 => format!("-t filter -A OUTPUT -p udp --dport {port} -j DROP"),
                    1 => format!("-t filter -I INPUT -p tcp --sport {port} -m mark --mark 0x1 -j ACCEPT"),
                    2 => format!("-t mangle -A OUTPUT -p tcp --dport {port} -j MARK --set-mark 0x2"),
                    3 => format!("-t nat -A OUTPUT -p tcp --dport {port} -d {other} -j REDIRECT --to-ports 80"),
                    4 => format!("-t raw -A PREROUTING -p udp --dport {port} -j ACCEPT"),
                    _ => format!("-N their-chain-{port}"),
                };
                if side.run(&format!("{program} {rule}")).is_some() {
                    made.push(program);
                }
            }
        }
        made
    }
}
