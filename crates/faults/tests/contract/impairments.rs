//! What the faults on packets really do, seen by datagrams and connections of the test's own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use fracas_core::record::{Dose, Landed, Reverted, Seen};
use fracas_core::target::ProcessIdentity;
use fracas_faults::find;
use fracas_lab::{TestBridge, TestNode, eventually, eventually_async, skip};
use fracas_linux::cgroup::Controller;
use fracas_linux::namespace::NetNamespace;
use serde_json::{Value, json};

use crate::fixture::{LIMIT, Stage, on_process, signal};

tests! {
    impairments_hit_what_they_are_about_and_nothing_else,
    impairments_compose_and_leave_one_by_one,
    impairments_refuse_what_would_lose_its_way,
    impairments_meet_connections_that_were_open_before,
    impairments_of_nobody_s_packets_do_not_land,
    impairments_by_another_interface_do_not_land,
    impairments_of_the_same_thing_are_refused_together,
    impairments_refuse_the_machine_s_own_network,
    impairments_leave_rules_of_others_as_they_are,
    impairments_report_a_bystander_that_is_hit,
    impairments_by_a_stopped_worker_are_no_outage,
    impairments_that_nobody_ends_end_by_themselves,
    impairments_of_small_shares_say_when_they_cannot_tell,
    impairments_do_not_take_probes_for_packets_of_the_target,
    impairments_of_a_rate_are_told_from_none,
    impairments_of_what_comes_in_hit_it_and_nothing_else,
}

pub const MS: Duration = Duration::from_millis(1);

/// A node, and how it is reached from both sides.
pub struct Place {
    bridge: TestBridge,
    pub there: NetNamespace,
    /// The address of the bridge.
    pub here: Ipv4Addr,
}

/// A node whose process sends a datagram every 20 ms; `None`, which was said: there can be none.
pub fn place(mode: &[&str]) -> Option<(Place, TestNode)> {
    let Some(bridge) = TestBridge::new().unwrap() else {
        skip("no privileges for links");
        return None;
    };
    let node = TestBridge::node(&[&bridge], mode).unwrap();
    let [a, b, c, _] = node.ports()[0].address.octets();
    let there = namespace(node.process().identity());
    let here = Ipv4Addr::new(a, b, c, 1);
    Some((Place { bridge, there, here }, node))
}

fn namespace(process: &ProcessIdentity) -> NetNamespace {
    NetNamespace::of(process).unwrap().unwrap()
}

const SIGSTOP: i32 = 19;
pub const CHAT: [&str; 2] = ["chat", "20"];

pub async fn stage(node: TestNode, fault: &str, params: Value) -> Stage {
    on_process(find(fault).unwrap(), params, node.into_process(), &[]).await
}

/// The same target under another fault.
pub fn also(stage: &Stage, fault: &str, params: Value) -> Stage {
    Stage {
        entry: find(fault).unwrap(),
        params,
        target: stage.target.clone(),
        cx: crate::fixture::context(),
        thing: crate::fixture::Thing::None,
        ground: crate::fixture::Ground::here(),
        network: None,
    }
}

pub async fn on(stage: &Stage) -> Value {
    let undo = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
        .await
        .unwrap();
    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    undo
}

pub async fn off(stage: &Stage, undo: &Value) {
    assert_eq!((stage.entry.revert)(undo, &stage.cx).await.unwrap(), Reverted::Restored);
    assert_eq!((stage.entry.observe)(undo, &stage.cx).await.unwrap(), Seen::Original);
}

pub async fn dose(stage: &Stage, undo: &Value) -> Dose {
    (stage.entry.measure)(&stage.params, undo, &stage.cx).await.unwrap()
}

impl Place {
    /// How long the fastest of five datagrams takes from the node to the bridge, to this port; `None`: none came within half a second.
    pub fn takes(&self, port: u16) -> Option<Duration> {
        let to = UdpSocket::bind((self.here, port)).unwrap();
        to.set_read_timeout(Some(500 * MS)).unwrap();
        let from = self
            .there
            .within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
            .unwrap();
        let one = || {
            let began = Instant::now();
            from.send_to(b"hello", (self.here, port)).unwrap();
            to.recv(&mut [0; 16]).ok().map(|_| began.elapsed())
        };
        (0..5).filter_map(|_| one()).min()
    }

    /// Sends so many datagrams from the node, no more at once than the queue has room for.
    fn sends(&self, count: usize) {
        let to = UdpSocket::bind((self.here, 0)).unwrap();
        let from = self
            .there
            .within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
            .unwrap();
        for _ in 0..count {
            from.send_to(b"hello", to.local_addr().unwrap()).unwrap();
        }
    }

    /// As [`Place::takes`], from the bridge to the node.
    fn takes_in(&self, to: Ipv4Addr, port: u16) -> Option<Duration> {
        let there = self.there.within(|| UdpSocket::bind((to, port))).unwrap();
        there.set_read_timeout(Some(500 * MS)).unwrap();
        let from = UdpSocket::bind((self.here, 0)).unwrap();
        let one = || {
            let began = Instant::now();
            from.send_to(b"hello", (to, port)).unwrap();
            there.recv(&mut [0; 16]).ok().map(|_| began.elapsed())
        };
        (0..5).filter_map(|_| one()).min()
    }

    #[track_caller]
    pub fn asserts(&self, port: u16, asked: u32) {
        let took = self
            .takes(port)
            .unwrap_or_else(|| panic!("nothing comes to port {port}"));
        // The fastest of five is late by less than 15 ms, whatever else the machine does.
        assert!(
            took >= asked * MS && took < (asked + 15) * MS,
            "port {port}: {took:?} for {asked} ms"
        );
    }
}

async fn impairments_hit_what_they_are_about_and_nothing_else() {
    let Some((place, node)) = place(&CHAT) else { return };
    place.asserts(7001, 0);
    // The chat goes to port 9.
    let to = [format!("{}:7001/udp", place.here), format!("{}:9", place.here)];
    let stage = stage(node, "delay", json!({ "mean": "40ms", "to": to })).await;
    let undo = on(&stage).await;
    place.asserts(7001, 40);
    place.asserts(7002, 0);
    let dose = dose(&stage, &undo).await;
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    assert!(dose.delivered.contains("on bystanders"), "{dose:?}");
    off(&stage, &undo).await;
    place.asserts(7001, 0);

    let other = also(
        &stage,
        "loss",
        json!({ "percent": "100%", "ports": [7002], "except": ["10.255.0.0/16"] }),
    );
    let undo = on(&other).await;
    assert_eq!(place.takes(7002), None, "everything is lost");
    place.asserts(7001, 0);
    off(&other, &undo).await;
    place.asserts(7002, 0);
}

async fn impairments_compose_and_leave_one_by_one() {
    let Some((place, node)) = place(&CHAT) else { return };
    let delay = stage(node, "delay", json!({ "mean": "20ms" })).await;
    // 1,028 bytes of IP take 30 ms at this rate, a datagram of 33 bytes one.
    let rate = also(&delay, "rate", json!({ "rate": "256kbit" }));
    let twice = also(&delay, "duplicate", json!({ "percent": "100%" }));
    let (first, second, third) = (on(&delay).await, on(&rate).await, on(&twice).await);
    let to = UdpSocket::bind((place.here, 7003)).unwrap();
    to.set_read_timeout(Some(LIMIT)).unwrap();
    let from = place
        .there
        .within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
        .unwrap();
    let began = Instant::now();
    from.send_to(&[7; 1000], (place.here, 7003)).unwrap();
    to.recv(&mut [0; 1500]).unwrap();
    let (one, longest) = (began.elapsed(), 50 * MS);
    to.recv(&mut [0; 1500]).unwrap();
    assert!(one >= longest, "{one:?}");
    to.set_read_timeout(Some(300 * MS)).unwrap();
    assert!(to.recv(&mut [0; 1500]).is_err(), "twice is not three times");
    off(&delay, &first).await;
    off(&twice, &third).await;
    place.asserts(7004, 1);
    let dose = dose(&rate, &second).await;
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    off(&rate, &second).await;
    place.asserts(7004, 0);
}

async fn impairments_meet_connections_that_were_open_before() {
    let Some((place, node)) = place(&CHAT) else { return };
    let listener = TcpListener::bind((place.here, 0)).unwrap();
    let to = listener.local_addr().unwrap();
    let mut near = place.there.within(|| TcpStream::connect_timeout(&to, LIMIT)).unwrap();
    near.set_nodelay(true).unwrap();
    let mut far = listener.accept().unwrap().0;
    far.set_read_timeout(Some(LIMIT)).unwrap();
    let mut takes = || {
        let began = Instant::now();
        near.write_all(b"x").unwrap();
        far.read_exact(&mut [0]).unwrap();
        began.elapsed()
    };
    assert!((0..5).map(|_| takes()).min().unwrap() < 15 * MS);
    let stage = stage(node, "delay", json!({ "mean": "50ms" })).await;
    let undo = on(&stage).await;
    let with = (0..3).map(|_| takes()).min().unwrap();
    assert!(with >= 50 * MS, "{with:?}");
    off(&stage, &undo).await;
    assert!((0..5).map(|_| takes()).min().unwrap() < 15 * MS);
}

async fn impairments_of_nobody_s_packets_do_not_land() {
    let Some((_place, node)) = place(&["sleep"]) else {
        return;
    };
    let stage = stage(node, "delay", json!({ "mean": "20ms" })).await;
    let undo = on(&stage).await;
    let dose = dose(&stage, &undo).await;
    let Landed::No(why) = &dose.landed else {
        panic!("{dose:?}")
    };
    assert!(why.contains("no packet of the target's own"), "{why}");
    assert!(
        !dose.delivered.starts_with("0."),
        "its own probes are delayed: {dose:?}"
    );
    off(&stage, &undo).await;
}

async fn impairments_by_another_interface_do_not_land() {
    let (Some(one), Some(two)) = (TestBridge::new().unwrap(), TestBridge::new().unwrap()) else {
        return skip("no privileges for links");
    };
    // The chat goes by the first route, that of eth0.
    let node = TestBridge::node(&[&one, &two], CHAT).unwrap();
    let stage = stage(node, "loss", json!({ "percent": "100%", "device": "eth1" })).await;
    let undo = on(&stage).await;
    let dose = dose(&stage, &undo).await;
    assert!(
        matches!(&dose.landed, Landed::No(why) if why.contains("no packet")),
        "{dose:?}"
    );
    off(&stage, &undo).await;
    let absent = also(&stage, "loss", json!({ "percent": "100%", "device": "eth7" }));
    let problem = (absent.entry.plan)(&absent.params, &absent.target, &absent.cx)
        .await
        .unwrap_err();
    assert!(
        problem
            .to_string()
            .contains("no interface \"eth7\", but lo, eth0, eth1"),
        "{problem}"
    );
}

async fn impairments_of_the_same_thing_are_refused_together() {
    let Some((_place, node)) = place(&CHAT) else { return };
    let delay = stage(node, "delay", json!({ "mean": "20ms" })).await;
    let reorder = also(&delay, "reorder", json!({ "percent": "10%", "delay": "20ms" }));
    let loss = also(&delay, "loss", json!({ "percent": "10%" }));
    let mut keys = Vec::new();
    for stage in [&delay, &reorder, &loss] {
        let undo = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
            .await
            .unwrap();
        keys.push((stage.entry.resources)(&undo).unwrap()[0].key.clone());
    }
    assert_eq!(keys[0], keys[1], "a meter could not tell them apart");
    assert_ne!(keys[0], keys[2]);
}

async fn impairments_refuse_the_machine_s_own_network() {
    let process = fracas_lab::TestProcess::run(["sleep"]).unwrap();
    let stage = on_process(find("delay").unwrap(), json!({ "mean": "20ms" }), process, &[]).await;
    let problem = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
        .await
        .unwrap_err();
    assert_eq!(problem.code.id, "F001", "{problem}");
    assert!(
        problem.to_string().contains("shares the machine's network"),
        "{problem}"
    );
}

/// What nftables knows of the node, as its own program says.
pub fn nft(place: &Place, words: &[&str]) -> String {
    said(place, "nft", words)
}

/// What a program says in the node's network.
#[expect(clippy::disallowed_methods, reason = "a peer to compare with")]
pub fn said(place: &Place, program: &str, words: &[&str]) -> String {
    let said = place
        .there
        .within(|| std::process::Command::new(program).args(words).output())
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap()
}

async fn impairments_leave_rules_of_others_as_they_are() {
    let Some((place, node)) = place(&CHAT) else { return };
    for line in [
        "add table inet theirs",
        "add chain inet theirs out { type filter hook output priority 0; }",
        "add rule inet theirs out udp dport 7005 drop",
        "add rule inet theirs out meta mark 0x7 accept",
    ] {
        nft(&place, &[line]);
    }
    let list = ["-j", "list", "ruleset"];
    let before = nft(&place, &list);
    assert!(before.contains("theirs"));
    let stage = stage(node, "delay", json!({ "mean": "10ms" })).await;
    let undo = on(&stage).await;
    assert_ne!(nft(&place, &list), before, "there is a table of ours");
    assert_eq!(place.takes(7005), None, "their rule drops also what is sent again");
    place.asserts(7006, 10);
    off(&stage, &undo).await;
    assert_eq!(nft(&place, &list), before);
    drop(place.bridge);
}

/// A program that changes something, as a stranger.
#[expect(clippy::disallowed_methods, reason = "a stranger")]
fn stranger(place: &Place, program: &str, words: &[&str]) {
    let said = place
        .there
        .within(|| std::process::Command::new(program).args(words).output())
        .unwrap();
    assert!(said.status.success(), "{said:?}");
}

async fn impairments_refuse_what_would_lose_its_way() {
    let Some((place, node)) = place(&CHAT) else { return };
    let stage = stage(node, "delay", json!({ "mean": "20ms" })).await;
    let refused = async || {
        let planned = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
        planned.err().map(|problem| problem.to_string()).unwrap_or_default()
    };
    assert_eq!(refused().await, "");
    stranger(&place, "ip", &["rule", "add", "fwmark", "0x7/0xff", "lookup", "100"]);
    assert_eq!(refused().await, "", "bits that are none of ours");
    stranger(&place, "ip", &["rule", "add", "fwmark", "0x7", "lookup", "100"]);
    assert!(
        refused().await.contains("its routes are chosen by marks"),
        "{}",
        refused().await
    );
    stranger(&place, "ip", &["rule", "del", "fwmark", "0x7", "lookup", "100"]);
    for line in [
        "add table inet theirs",
        "add chain inet theirs out { type filter hook output priority 0; }",
        "add rule inet theirs out meta skuid 7 drop",
    ] {
        nft(&place, &[line]);
    }
    assert!(refused().await.contains("ask for the user"), "{}", refused().await);
    nft(&place, &["flush ruleset"]);
    assert_eq!(refused().await, "");
    for (params, why) in [
        (
            json!({ "mean": "20ms", "to": ["*/icmp"], "ports": [80] }),
            "nothing can be all that is asked",
        ),
        (
            json!({ "mean": "20ms", "to": (1..=20).map(|n| format!("10.0.0.{n}")).collect::<Vec<_>>(), "ports": (1..=10).collect::<Vec<_>>() }),
            "it takes 2413 packet rules",
        ),
    ] {
        let other = also(&stage, "delay", params);
        let problem = (other.entry.plan)(&other.params, &other.target, &other.cx)
            .await
            .unwrap_err();
        assert!(problem.to_string().contains(why), "{problem}");
    }
}

/// Somebody else's rule drops what the fault is not about, and that is said.
async fn impairments_report_a_bystander_that_is_hit() {
    let Some((place, node)) = place(&CHAT) else { return };
    let stage = stage(
        node,
        "loss",
        json!({ "percent": "100%", "to": [format!("{}:9", place.here)] }),
    )
    .await;
    let undo = on(&stage).await;
    // The port of traceroute(8), to which bystanders go: it is open when it is tried, and closed behind that.
    for line in [
        "add table inet theirs",
        "add chain inet theirs out { type filter hook output priority 0; }",
        "add rule inet theirs out udp dport 33434 limit rate over 1/hour burst 5 packets drop",
    ] {
        nft(&place, &[line]);
    }
    let hit = dose(&stage, &undo).await;
    assert!(
        matches!(&hit.landed, Landed::No(why) if why.contains("it is not about were lost")),
        "{hit:?}"
    );
    nft(&place, &["delete table inet theirs"]);
    let alone = dose(&stage, &undo).await;
    assert_eq!(alone.landed, Landed::Yes, "{alone:?}");
    // Another fault of ours may hit it, and is passed by those that measure.
    let delay = also(&stage, "delay", json!({ "mean": "20ms" }));
    let other = on(&delay).await;
    let both = dose(&stage, &undo).await;
    assert_eq!(both.landed, Landed::Yes, "{both:?}");
    assert!(both.delivered.ends_with("ms on bystanders"), "{both:?}");
    off(&delay, &other).await;
    off(&stage, &undo).await;
}

/// The pids of the workers beside the target.
fn workers(stage: &Stage) -> Vec<u32> {
    let group = stage.group(Controller::Blkio).find_child(&stage.cx.trace_name());
    group.unwrap().unwrap().processes().unwrap()
}

async fn impairments_by_a_stopped_worker_are_no_outage() {
    let Some((place, node)) = place(&CHAT) else { return };
    let listener = TcpListener::bind((place.here, 0)).unwrap();
    let to = listener.local_addr().unwrap();
    let mut near = place.there.within(|| TcpStream::connect_timeout(&to, LIMIT)).unwrap();
    let mut far = listener.accept().unwrap().0;
    far.set_nonblocking(true).unwrap();
    let stage = stage(node, "delay", json!({ "mean": "40ms" })).await;
    let undo = on(&stage).await;
    place.asserts(7001, 40);
    let [worker] = workers(&stage)[..] else {
        panic!("one worker");
    };
    signal(worker, SIGSTOP);
    let stopped = Instant::now();
    near.write_all(b"x").unwrap();
    // Though the guardian, which is this thread, does nothing meanwhile.
    eventually(LIMIT, "packets pass the worker by", || {
        place.takes(7001).is_some_and(|took| took < 15 * MS)
    });
    let took = stopped.elapsed();
    // Each look waits for half a second.
    assert!(took < Duration::from_millis(1700), "{took:?}");
    let without = dose(&stage, &undo).await;
    assert!(
        matches!(&without.landed, Landed::No(why) if why.contains("not serve the queue")),
        "{without:?}"
    );
    // What waited in the queue of the stopped one is let go of when the guardian kills it.
    let stopped = Instant::now();
    let goes_on = || std::future::ready(far.read(&mut [0]).is_ok());
    eventually_async(LIMIT, "an open connection goes on", goes_on).await;
    let took = stopped.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    let killed = dose(&stage, &undo).await;
    assert!(
        matches!(&killed.landed, Landed::No(why) if why.contains("and was killed")),
        "{killed:?}"
    );
    stage.cx.nursery.reap();
    off(&stage, &undo).await;
    place.asserts(7001, 0);
}

/// A guardian that hangs hangs up on nobody.
async fn impairments_that_nobody_ends_end_by_themselves() {
    let Some((place, node)) = place(&CHAT) else { return };
    let mut stage = stage(node, "delay", json!({ "mean": "40ms" })).await;
    stage.cx.at_most = Duration::from_secs(1);
    let undo = on(&stage).await;
    let begun = Instant::now();
    place.asserts(7001, 40);
    eventually(LIMIT, "the worker is gone", || {
        stage.cx.nursery.reap();
        workers(&stage).is_empty()
    });
    // Five seconds behind the longest time.
    let took = begun.elapsed();
    assert!(
        took > Duration::from_millis(5900) && took < Duration::from_secs(7),
        "{took:?}"
    );
    place.asserts(7001, 0);
    off(&stage, &undo).await;
}

async fn impairments_of_small_shares_say_when_they_cannot_tell() {
    let Some((place, node)) = place(&CHAT) else { return };
    // As good as nothing is lost, and the meter is told that it is one of a hundred.
    let nothing = stage(node, "loss", json!({ "percent": "0.000001%" })).await;
    let asked = json!({ "percent": "1%" });
    let undo = on(&nothing).await;
    let measured = async || (nothing.entry.measure)(&asked, &undo, &nothing.cx).await.unwrap();
    let first = measured().await;
    assert!(
        matches!(&first.landed, Landed::Unmeasured(why) if why.contains("and without the fault")),
        "{first:?}"
    );
    place.sends(2000);
    let second = measured().await;
    assert!(
        matches!(&second.landed, Landed::No(why) if why.contains("0.0% of") && why.contains("is not 1.0%")),
        "{second:?}"
    );
    off(&nothing, &undo).await;

    for (fault, params) in [("loss", asked.clone()), ("duplicate", asked.clone())] {
        let really = also(&nothing, fault, params);
        let undo = on(&really).await;
        place.sends(2000);
        let dose = dose(&really, &undo).await;
        assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
        assert!(dose.delivered.contains("packets of the target's own"), "{dose:?}");
        off(&really, &undo).await;
    }
}

async fn impairments_do_not_take_probes_for_packets_of_the_target() {
    let Some((_place, node)) = place(&["sleep"]) else {
        return;
    };
    let delay = stage(node, "delay", json!({ "mean": "20ms" })).await;
    let loss = also(&delay, "loss", json!({ "percent": "60%" }));
    let (first, second) = (on(&delay).await, on(&loss).await);
    for (stage, undo) in [(&delay, &first), (&loss, &second), (&delay, &first)] {
        let dose = dose(stage, undo).await;
        assert!(
            matches!(&dose.landed, Landed::No(why) if why.contains("no packet of the target's own")),
            "{dose:?}"
        );
        // Each is measured as if the other was not there.
        assert!(
            !dose.delivered.starts_with("0.") && !dose.delivered.starts_with("no"),
            "{dose:?}"
        );
    }
    off(&loss, &second).await;
    off(&delay, &first).await;
}

async fn impairments_of_a_rate_are_told_from_none() {
    let Some((_place, node)) = place(&CHAT) else { return };
    let none = stage(node, "rate", json!({ "rate": "10gbit" })).await;
    let undo = on(&none).await;
    // What a worker without optimisation does on a busy machine is far more.
    let asked = json!({ "rate": "5mbit" });
    let dose_of = (none.entry.measure)(&asked, &undo, &none.cx).await.unwrap();
    assert!(
        matches!(&dose_of.landed, Landed::No(why) if why.contains("is more than 5mbit")),
        "{dose_of:?}"
    );
    off(&none, &undo).await;
    for rate in ["1mbit", "10mbit"] {
        let limit = also(&none, "rate", json!({ "rate": rate }));
        let undo = on(&limit).await;
        let dose = dose(&limit, &undo).await;
        assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
        off(&limit, &undo).await;
    }
}

async fn impairments_of_what_comes_in_hit_it_and_nothing_else() {
    let Some((place, node)) = place(&["sleep"]) else {
        return;
    };
    let own = node.ports()[0].address;
    let is =
        |took: Option<Duration>, asked: u32| took.is_some_and(|took| took >= asked * MS && took < (asked + 15) * MS);
    assert!(is(place.takes_in(own, 7001), 0));
    let delay = stage(
        node,
        "delay",
        json!({ "mean": "40ms", "direction": "ingress", "ports": ["7001/udp"] }),
    )
    .await;
    let undo = on(&delay).await;
    assert!(is(place.takes_in(own, 7001), 40), "{:?}", place.takes_in(own, 7001));
    assert!(is(place.takes_in(own, 7002), 0), "another port");
    place.asserts(7003, 0);
    let landed = dose(&delay, &undo).await;
    assert_eq!(landed.landed, Landed::Yes, "{landed:?}");
    assert!(landed.delivered.ends_with("ms on bystanders"), "{landed:?}");
    off(&delay, &undo).await;
    assert!(is(place.takes_in(own, 7001), 0));

    for (fault, params) in [
        ("loss", json!({ "percent": "60%", "direction": "ingress" })),
        ("corrupt", json!({ "percent": "60%", "direction": "ingress" })),
        (
            "reorder",
            json!({ "percent": "40%", "delay": "30ms", "direction": "ingress" }),
        ),
        (
            "rate",
            json!({ "rate": "1mbit", "direction": "ingress", "device": "eth0" }),
        ),
    ] {
        let other = also(&delay, fault, params);
        let undo = on(&other).await;
        let nobody = dose(&other, &undo).await;
        assert!(
            matches!(&nobody.landed, Landed::No(why) if why.contains("no packet of the target's own")),
            "{nobody:?}"
        );
        let _some = place.takes_in(own, 7004);
        let dose = dose(&other, &undo).await;
        assert_eq!(dose.landed, Landed::Yes, "{fault}: {dose:?}");
        off(&other, &undo).await;
    }
    // Together they compose.
    let loss = also(
        &delay,
        "loss",
        json!({ "percent": "100%", "direction": "ingress", "to": [place.here.to_string()] }),
    );
    let (first, second) = (on(&delay).await, on(&loss).await);
    assert_eq!(place.takes_in(own, 7001), None);
    off(&loss, &second).await;
    assert!(is(place.takes_in(own, 7001), 40));
    off(&delay, &first).await;
    let twice = also(&delay, "duplicate", json!({ "percent": "60%", "direction": "ingress" }));
    let problem = (twice.entry.plan)(&twice.params, &twice.target, &twice.cx)
        .await
        .unwrap_err();
    assert!(problem.to_string().contains("cannot be doubled"), "{problem}");
}
