//! What the faults on packets do with names of hosts, in containers whose resolver is told a name server of the test's own.

use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use fracas_core::record::{Landed, Seen};
use fracas_faults::find;
use fracas_lab::{TestBridge, TestContainer, TestDocker, TestNames, TestNetwork, eventually, skip};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use serde_json::{Value, json};

use crate::connections::address_in;
use crate::fixture::{LIMIT, Stage, in_container};
use crate::impairments::{MS, also, dose, off, on};
use crate::names::program;

tests! {
    hosts_are_followed_while_a_delay_is_on,
    hosts_are_followed_past_every_other_fault,
    hosts_are_followed_by_rules,
    hosts_are_looked_for_before_a_reset,
    hosts_that_are_excepted_are_not_hit_for_want_of_room,
    hosts_are_not_known_by_half_an_answer,
    hosts_are_asked_for_of_servers_that_know_no_room,
    hosts_that_cannot_be_meant_are_refused,
    hosts_are_not_asked_for_by_another_way,
    hosts_by_the_names_that_the_engine_gives,
}

const NAME: &str = "db.example";
/// How long a datagram may take that is not dropped.
const COMES: Duration = Duration::from_secs(2);

/// A container on two bridges, whose addresses are two hosts by the same name, one after the other.
struct Place {
    there: NetNamespace,
    names: TestNames,
    /// Where the name server is, too.
    first: Ipv4Addr,
    second: Ipv4Addr,
    _bridges: [TestBridge; 2],
}

/// `None`, which was said: there can be none.
async fn place(fault: &str, params: Value) -> Option<(Place, Stage)> {
    let engine = TestDocker::get().await?;
    let (Some(one), Some(other)) = (TestBridge::new().unwrap(), TestBridge::new().unwrap()) else {
        skip("no privileges for links");
        return None;
    };
    let (first, second) = (one.address(1), other.address(1));
    let names = TestNames::serve(first.into()).unwrap();
    names.tell(NAME, &[first.into()]);
    let container = TestContainer::build(&engine)
        .name_server(first.into())
        .mode(["hold"])
        .start()
        .await
        .unwrap();
    let there = NetNamespace::of(&container.identity().await.unwrap()).unwrap().unwrap();
    one.join(&there, "eth0").unwrap().forwards().unwrap();
    other.join(&there, "eth1").unwrap().forwards().unwrap();
    let place = Place {
        there,
        names,
        first,
        second,
        _bridges: [one, other],
    };
    let stage = in_container(find(fault).unwrap(), params, container).await;
    Some((place, stage))
}

impl Place {
    /// How long the fastest of three datagrams takes from the container to the first host, or to the second, of those that take no longer
    /// than this. `None`: none comes.
    fn takes(&self, to: Ipv4Addr, limit: Duration) -> Option<Duration> {
        let at = UdpSocket::bind((to, 0)).unwrap();
        at.set_read_timeout(Some(limit)).unwrap();
        let from = self
            .there
            .within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
            .unwrap();
        let one = || {
            let began = Instant::now();
            // What rules drop is told to whoever sends it.
            from.send_to(b"hello", at.local_addr().unwrap()).ok()?;
            at.recv(&mut [0; 16]).ok().map(|_| began.elapsed())
        };
        (0..3).filter_map(|_| one()).min()
    }

    fn arrives(&self, to: Ipv4Addr) -> bool {
        self.takes(to, 400 * MS).is_some()
    }

    fn is_late(&self, to: Ipv4Addr) -> bool {
        self.takes(to, COMES).is_some_and(|took| took >= 200 * MS)
    }

    /// Waits until one is not late: on a machine that is busy the first ones may be.
    fn is_soon(&self, to: Ipv4Addr) {
        let is_soon = || self.takes(to, COMES).is_some_and(|took| took < 150 * MS);
        eventually(LIMIT, "what is for it is not late", is_soon);
    }

    fn moves(&self, to: &[Ipv4Addr]) {
        let all: Vec<IpAddr> = to.iter().map(|address| (*address).into()).collect();
        self.names.tell(NAME, &all);
    }
}

async fn hosts_are_followed_while_a_delay_is_on() {
    let params = json!({ "mean": "200ms", "to": [NAME] });
    let Some((place, stage)) = place("delay", params).await else {
        return;
    };
    place.is_soon(place.first);
    place.is_soon(place.second);
    let undo = on(&stage).await;
    let change = (stage.entry.change)(&stage.params, &undo).unwrap();
    assert!(
        change.contains(&format!("{NAME} is at {} by now", place.first)),
        "{change}"
    );
    assert!(place.is_late(place.first));
    place.is_soon(place.second);
    let seen = dose(&stage, &undo).await;
    assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    // It moves: the new address is meant, and the old one stays so.
    place.moves(&[place.second]);
    eventually(LIMIT, "the name is followed", || place.is_late(place.second));
    assert!(place.is_late(place.first));
    let table = undo["table"].as_str().unwrap().to_owned();
    let tables = place
        .there
        .within(|| Netlink::netfilter()?.rule_counters(&table))
        .unwrap();
    let counted: u64 = tables.values().map(|counter| counter.packets).sum();
    assert!(counted > 6, "no counter began again: {counted}");
    let seen = dose(&stage, &undo).await;
    assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    // Nobody knows it any more: it stays where it was.
    place.moves(&[]);
    let seen = dose(&stage, &undo).await;
    assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    let effect = seen.effect.unwrap();
    assert!(
        effect.contains(&format!("whether {NAME} has moved is not known")),
        "{effect}"
    );
    assert!(place.is_late(place.second));
    off(&stage, &undo).await;
    place.is_soon(place.first);
    place.is_soon(place.second);
}

async fn hosts_are_followed_past_every_other_fault() {
    // All but the name is lost, both ways, also what passes between the target and its name server; and who asks is told that it is not.
    let params = |direction: &str| json!({ "percent": "100%", "except": [NAME], "direction": direction });
    let Some((place, out)) = place("loss", params("egress")).await else {
        return;
    };
    place.moves(&[place.second]);
    let dropped = json!({ "except": [NAME] });
    let others = [
        also(&out, "dns", json!({ "names": ["*"], "answer": "nxdomain" })),
        also(&out, "loss", params("ingress")),
        also(&out, "connection_drop", dropped),
    ];
    for (main, more) in [(&out, &others[..2]), (&others[2], &others[..2])] {
        place.moves(&[place.second]);
        let mut undos = Vec::new();
        for stage in more.iter().chain([main]) {
            undos.push((stage, on(stage).await));
        }
        assert!(place.arrives(place.second));
        assert!(!place.arrives(place.first));
        place.moves(&[place.first]);
        eventually(LIMIT, "the name is followed", || place.arrives(place.first));
        for (stage, undo) in undos.iter().rev() {
            off(stage, undo).await;
        }
    }
}

async fn hosts_are_followed_by_rules() {
    let params = json!({ "to": [NAME] });
    let Some((place, stage)) = place("connection_drop", params).await else {
        return;
    };
    let undo = on(&stage).await;
    assert!(!place.arrives(place.first));
    assert!(place.arrives(place.second));
    let seen = dose(&stage, &undo).await;
    assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    place.moves(&[place.first, place.second]);
    eventually(LIMIT, "the name is followed", || !place.arrives(place.second));
    assert!(!place.arrives(place.first));
    let seen = dose(&stage, &undo).await;
    assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    off(&stage, &undo).await;
    assert!(place.arrives(place.first) && place.arrives(place.second));
}

async fn hosts_are_looked_for_before_a_reset() {
    let Some((place, stage)) = place("connection_reset", json!({ "to": [NAME] })).await else {
        return;
    };
    let listeners = [place.first, place.second].map(|at| TcpListener::bind((at, 0)).unwrap());
    let connections = listeners.each_ref().map(|listener| {
        let near = place.there.within(|| TcpStream::connect(listener.local_addr()?));
        (near.unwrap(), listener.accept().unwrap().0)
    });
    let are_open = || {
        connections
            .each_ref()
            .map(|(near, _)| near.take_error().unwrap().is_none())
    };
    let planned = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
    let undo = planned.unwrap();
    assert_eq!(are_open(), [true, true]);
    place.moves(&[place.second]);
    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    assert_eq!(
        are_open(),
        [false, false],
        "that of the new address, and that of the one before"
    );
}

async fn hosts_that_are_excepted_are_not_hit_for_want_of_room() {
    let Some((place, drop)) = place("connection_drop", json!({ "except": [NAME] })).await else {
        return;
    };
    let loss = also(&drop, "loss", json!({ "percent": "100%", "except": [NAME] }));
    let many: Vec<IpAddr> = (0..32).map(|number| IpAddr::from([10, 0, 0, number])).collect();
    for stage in [&drop, &loss] {
        place.moves(&[place.first]);
        let undo = on(stage).await;
        assert!(place.arrives(place.first) && !place.arrives(place.second));
        let all = [&many[..], &[place.second.into()]].concat();
        place.names.tell(NAME, &all);
        eventually(LIMIT, "the fault ends", || place.arrives(place.second));
        let seen = dose(stage, &undo).await;
        let expected = format!("{NAME} is excepted, and it has more than 32 addresses");
        assert_eq!(seen.landed, Landed::No(expected), "{seen:?}");
        (stage.entry.revert)(&undo, &stage.cx).await.unwrap();
        assert_eq!((stage.entry.observe)(&undo, &stage.cx).await.unwrap(), Seen::Original);
    }
    // Of whom it is about too many are a smaller dose, and said.
    place.moves(&[place.first]);
    let stage = also(&drop, "connection_drop", json!({ "to": [NAME] }));
    let undo = on(&stage).await;
    let all = [&many[..], &[place.first.into()]].concat();
    place.names.tell(NAME, &all);
    assert!(!place.arrives(place.first));
    let seen = dose(&stage, &undo).await;
    assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    let effect = seen.effect.unwrap();
    assert!(effect.contains("it has more than 32 addresses"), "{effect}");
    off(&stage, &undo).await;
}

async fn hosts_are_not_known_by_half_an_answer() {
    let Some((place, stage)) = place("connection_drop", json!({ "except": [NAME] })).await else {
        return;
    };
    place.names.be_half(true);
    let planned = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
    let why = planned.unwrap_err().to_string();
    let expected = format!("answers {NAME} with the code 2, but for addresses of the other version");
    assert!(why.contains(&expected), "{why}");
    place.names.be_half(false);
    let undo = on(&stage).await;
    place.names.be_half(true);
    assert!(!place.arrives(place.second));
    let seen = dose(&stage, &undo).await;
    assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    let effect = seen.effect.unwrap();
    assert!(
        effect.contains(&format!("whether {NAME} has moved is not known")) && effect.contains("with the code 2"),
        "{effect}"
    );
    // What it says is true, and more is not known: who was excepted before stays so.
    place.moves(&[place.second]);
    eventually(LIMIT, "the half is followed", || place.arrives(place.second));
    assert!(place.arrives(place.first));
    off(&stage, &undo).await;
    // Nothing is reset that may be one of those that are not known.
    let reset = also(&stage, "connection_reset", json!({ "except": [NAME] }));
    place.names.be_half(false);
    let planned = (reset.entry.plan)(&reset.params, &reset.target, &reset.cx).await;
    place.names.be_half(true);
    let applied = (reset.entry.apply)(&reset.params, &planned.unwrap(), &reset.cx).await;
    let why = format!("{:?}", applied.unwrap_err());
    assert!(why.contains("nothing is reset"), "{why}");
}

async fn hosts_are_asked_for_of_servers_that_know_no_room() {
    let Some((place, stage)) = place("connection_drop", json!({ "to": [NAME] })).await else {
        return;
    };
    place.names.be_old(true);
    let undo = on(&stage).await;
    assert!(!place.arrives(place.first));
    place.moves(&[place.second]);
    eventually(LIMIT, "the name is followed", || !place.arrives(place.second));
    off(&stage, &undo).await;
}

async fn hosts_are_not_asked_for_by_another_way() {
    let Some((place, stage)) = place("connection_reset", json!({ "to": [NAME] })).await else {
        return;
    };
    let refused = async |stage: &Stage| {
        let planned = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
        planned.err().map(|problem| problem.to_string()).unwrap_or_default()
    };
    let drop = also(&stage, "connection_drop", json!({ "to": [place.first] }));
    let comes = also(
        &stage,
        "connection_drop",
        json!({ "to": [place.first], "direction": "ingress" }),
    );
    program(&place.there, "ip", &["rule", "add", "fwmark", "0x7", "lookup", "100"]);
    program(
        &place.there,
        "ip",
        &["rule", "add", "not", "fwmark", "0x7", "lookup", "main"],
    );
    assert_eq!(refused(&stage).await, "", "no mark of ours is another one there");
    assert_eq!(refused(&drop).await, "");
    program(
        &place.there,
        "ip",
        &["rule", "add", "fwmark", "0x100000/0x100000", "lookup", "100"],
    );
    let why = refused(&stage).await;
    assert!(why.contains("routes are chosen by marks"), "{why}");
    let why = refused(&drop).await;
    assert!(why.contains("its routes are chosen by marks"), "{why}");
    assert_eq!(refused(&comes).await, "", "what comes in brings no mark along");
}

async fn hosts_that_cannot_be_meant_are_refused() {
    let params = json!({ "mean": "10ms", "to": [NAME] });
    let Some((place, stage)) = place("delay", params).await else {
        return;
    };
    let refused = async |params: Value| {
        let stage = also(&stage, "delay", params);
        let planned = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
        let problem = planned.unwrap_err();
        assert_eq!(problem.code.id, "F001", "{problem}");
        problem.to_string()
    };
    place.moves(&[]);
    let server = place.first;
    for key in ["to", "except"] {
        let mut params = json!({ "mean": "10ms" });
        params[key] = json!(["10.0.0.0/8", NAME]);
        let why = refused(params).await;
        let expected = format!(
            "the host `{NAME}` of `to` or `except` has no address that can be meant: the name server {server} knows no address of {NAME}"
        );
        assert!(why.contains(&expected), "{why}");
    }
    let many: Vec<IpAddr> = (0..33).map(|number| IpAddr::from([10, 0, 0, number])).collect();
    place.names.tell(NAME, &many);
    let why = refused(json!({ "mean": "10ms", "to": [NAME] })).await;
    assert!(why.contains("it has more than 32 addresses"), "{why}");
    place.names.tell(NAME, &many[..32]);
    let planned = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
    assert!(planned.is_ok(), "{planned:?}");
    let seventeen: Vec<String> = (0..17).map(|number| format!("host{number}.example")).collect();
    let why = refused(json!({ "mean": "10ms", "to": seventeen })).await;
    assert!(why.contains("17 names of hosts, more than 16"), "{why}");
    let why = refused(json!({ "mean": "10ms", "to": [NAME], "mechanism": "kernel_queue" })).await;
    assert!(
        why.contains(&format!("the kernel queue cannot follow a host such as `{NAME}`")),
        "{why}"
    );
    // Nobody answers.
    drop(place.names);
    let why = refused(json!({ "mean": "10ms", "to": [NAME] })).await;
    assert!(
        why.contains(&format!("the name server {server} does not answer")),
        "{why}"
    );
}

/// The engine answers at a loopback address that its rules lead to a port of its own.
async fn hosts_by_the_names_that_the_engine_gives() {
    let Some(engine) = TestDocker::get().await else { return };
    let network = TestNetwork::make(&engine).await.unwrap();
    let make = || TestContainer::build(&engine).network(network.name()).mode(["hold"]);
    let db = make().named_like("db").start().await.unwrap();
    let container = make().start().await.unwrap();
    let there = NetNamespace::of(&db.identity().await.unwrap()).unwrap().unwrap();
    let params = json!({ "mean": "10ms", "to": [db.name()] });
    let stage = in_container(find("delay").unwrap(), params, container).await;
    let undo = on(&stage).await;
    let expected = json!({ db.name().to_ascii_lowercase(): [address_in(&there)] });
    assert_eq!(undo["hosts"], expected);
    off(&stage, &undo).await;
}
