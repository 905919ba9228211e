//! What the faults on packets really do, seen by datagrams and connections of the test's own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use fracas_core::record::{Dose, Landed, Reverted, Seen};
use fracas_core::target::ProcessIdentity;
use fracas_faults::find;
use fracas_lab::{TestBridge, TestNode, skip};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netfilter::{Action, Chain, Hook, Match, Rule};
use fracas_linux::relay::{self, Fate, Relay};
use serde_json::{Value, json};

use crate::fixture::{LIMIT, Stage, on_process};

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
            "it takes 805 packet rules",
        ),
    ] {
        let other = also(&stage, "delay", params);
        let problem = (other.entry.plan)(&other.params, &other.target, &other.cx)
            .await
            .unwrap_err();
        assert!(problem.to_string().contains(why), "{problem}");
    }
}

/// Somebody else's queue delays everything: what the fault is not about is late, and that is said.
async fn impairments_report_a_bystander_that_is_hit() {
    let Some((place, node)) = place(&CHAT) else { return };
    let stage = stage(
        node,
        "loss",
        json!({ "percent": "100%", "to": [format!("{}:9", place.here)] }),
    )
    .await;
    let chain = |at: relay::Place| {
        let rule = |matches, action| Rule {
            matches,
            action,
            counted: false,
        };
        vec![Chain {
            name: "output".to_owned(),
            hook: Hook::Output,
            priority: 0,
            rules: vec![
                rule(
                    vec![Match::Mark {
                        mask: at.mark,
                        value: at.mark,
                    }],
                    Action::Accept,
                ),
                rule(Vec::new(), Action::Queue(at.queue)),
            ],
        }]
    };
    let mut theirs = place.there.within(|| Relay::open("theirs", chain)).unwrap();
    let (hold, until) = UnixStream::pair().unwrap();
    let late = Fate {
        delay: 20 * MS,
        ..Fate::PASS
    };
    let thread = std::thread::spawn(move || theirs.run(until.as_fd(), || false, |_, _| late));
    let undo = on(&stage).await;
    let hit = dose(&stage, &undo).await;
    assert!(
        matches!(&hit.landed, Landed::No(why) if why.contains("it is not about")),
        "{hit:?}"
    );
    drop(hold);
    thread.join().unwrap().unwrap();
    let alone = dose(&stage, &undo).await;
    assert_eq!(alone.landed, Landed::Yes, "{alone:?}");
    // Another fault of ours is meant to do so.
    let delay = also(&stage, "delay", json!({ "mean": "20ms" }));
    let other = on(&delay).await;
    let both = dose(&stage, &undo).await;
    assert_eq!(both.landed, Landed::Yes, "{both:?}");
    assert!(both.delivered.contains("other faults of Fracas"), "{both:?}");
    off(&delay, &other).await;
    off(&stage, &undo).await;
}
