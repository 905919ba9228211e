//! What the faults on connections really do, seen by connections and datagrams of the test's own.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use fracas_core::record::{Landed, Seen};
use fracas_core::target::Target;
use fracas_faults::find;
use fracas_lab::{TestBridge, TestContainer, TestDocker, TestNetwork, TestNode, eventually, skip};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use fracas_linux::process;
use serde_json::{Value, json};

use crate::fixture::{LIMIT, Stage, here, holds, in_container, on_process};
use crate::impairments::{CHAT, MS, Place, also, dose, nft, off, on, place, said, stage};

tests! {
    a_connection_drop_stops_both_ways_and_nobody_else,
    a_connection_drop_has_a_direction,
    what_is_rejected_is_told_at_once,
    a_connection_drop_meets_connections_that_were_open_before,
    only_new_connections_are_dropped_where_that_is_asked,
    a_connection_drop_of_nobody_s_packets_does_not_land,
    a_connection_drop_by_another_interface_does_not_land,
    a_connection_drop_reports_a_bystander_that_is_hit,
    faults_by_rules_leave_rules_of_others_as_they_are,
    faults_by_rules_and_by_queues_leave_one_by_one,
    a_connection_drop_is_refused_beside_a_loss,
    a_partition_is_between_its_sets_alone,
    a_partition_has_a_direction,
    a_partition_is_between_containers,
    a_partition_is_refused_where_there_is_nothing_to_part,
    connections_are_reset_and_others_live,
    a_reset_of_no_connection_does_not_land,
    a_reset_of_what_ended_by_itself_does_not_land,
    a_reset_beside_which_all_others_end_does_not_land,
    resets_are_repeated,
}

/// On all addresses of both versions.
const SERVE: [&str; 3] = ["serve", "80", "::"];
/// What is too long for a network of one machine.
const SHORT: Duration = Duration::from_millis(700);

/// Whether a connection can be opened from a namespace.
fn connects(from: &NetNamespace, to: (IpAddr, u16)) -> Result<TcpStream, ErrorKind> {
    let to = SocketAddr::from(to);
    from.within(|| Ok(TcpStream::connect_timeout(&to, SHORT).map_err(|error| error.kind())))
        .unwrap()
}

fn ours() -> NetNamespace {
    NetNamespace::ours().unwrap()
}

/// Sends a datagram; why it could not be sent, or whether it came within a moment.
fn arrives(from: &NetNamespace, source: u16, at: &NetNamespace, to: (Ipv4Addr, u16)) -> Result<bool, ErrorKind> {
    let there = at.within(|| UdpSocket::bind(to)).unwrap();
    there.set_read_timeout(Some(300 * MS)).unwrap();
    let socket = from
        .within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, source)))
        .unwrap();
    socket.send_to(b"hello", to).map_err(|error| error.kind())?;
    Ok(there.recv(&mut [0; 16]).is_ok())
}

fn address(node: &TestNode) -> Ipv4Addr {
    node.ports()[0].address
}

#[track_caller]
fn assert_missed(landed: &Landed, words: &str) {
    assert!(matches!(landed, Landed::No(why) if why.contains(words)), "{landed:?}");
}

async fn a_connection_drop_stops_both_ways_and_nobody_else() {
    let Some((place, node)) = place(&CHAT) else { return };
    let own = address(&node);
    let (there, here) = (&place.there, place.here);
    assert_eq!(arrives(there, 0, &ours(), (here, 7101)), Ok(true));
    assert_eq!(arrives(&ours(), 7101, there, (own, 7201)), Ok(true));
    // The chat goes to port 9.
    let to = [format!("{here}:7101/udp"), format!("{here}:9")];
    let stage = stage(node, "connection_drop", json!({ "to": to })).await;
    let undo = on(&stage).await;
    // The kernel tells who sends here.
    assert_eq!(
        arrives(there, 0, &ours(), (here, 7101)),
        Err(ErrorKind::PermissionDenied)
    );
    assert_eq!(arrives(&ours(), 7101, there, (own, 7201)), Ok(false));
    place.asserts(7102, 0);
    assert_eq!(arrives(&ours(), 7102, there, (own, 7201)), Ok(true));
    let dose = dose(&stage, &undo).await;
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    assert!(
        dose.delivered.contains("into it: 100.0% stopped, 6 of 6")
            && dose.delivered.contains("out of it: 100.0% stopped, 6 of 6")
            && dose.delivered.contains("bystanders"),
        "{dose:?}"
    );
    off(&stage, &undo).await;
    assert_eq!(arrives(there, 0, &ours(), (here, 7101)), Ok(true));
    assert_eq!(arrives(&ours(), 7101, there, (own, 7201)), Ok(true));
}

async fn a_connection_drop_has_a_direction() {
    let Some((place, node)) = place(&CHAT) else { return };
    let (own, there, here) = (address(&node), &place.there, place.here);
    let first = stage(node, "connection_drop", json!({ "direction": "egress" })).await;
    let undo = on(&first).await;
    assert_eq!(
        arrives(there, 0, &ours(), (here, 7111)),
        Err(ErrorKind::PermissionDenied)
    );
    assert_eq!(arrives(&ours(), 0, there, (own, 7211)), Ok(true));
    off(&first, &undo).await;
    let second = also(&first, "connection_drop", json!({ "direction": "ingress" }));
    let undo = on(&second).await;
    assert_eq!(arrives(there, 0, &ours(), (here, 7111)), Ok(true));
    assert_eq!(arrives(&ours(), 0, there, (own, 7211)), Ok(false));
    let seen = dose(&second, &undo).await;
    assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    assert!(!seen.delivered.contains("out of it"), "{seen:?}");
    off(&second, &undo).await;
}

async fn what_is_rejected_is_told_at_once() {
    let Some((place, node)) = place(&["serve", "80", "0.0.0.0"]) else {
        return;
    };
    let (own, there, here) = (IpAddr::from(address(&node)), &place.there, place.here);
    let listener = TcpListener::bind((here, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    eventually(LIMIT, "it serves", || connects(&ours(), (own, 80)).is_ok());
    connects(there, (here.into(), port)).unwrap();
    let stage = stage(node, "connection_drop", json!({ "action": "reject" })).await;
    let undo = on(&stage).await;
    let refused = Some(ErrorKind::ConnectionRefused);
    assert_eq!(connects(&ours(), (own, 80)).err(), refused);
    assert_eq!(connects(there, (here.into(), port)).err(), refused);
    // Whoever asks by UDP is answered by ICMP.
    let socket = UdpSocket::bind((here, 0)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket.connect((own, 7301)).unwrap();
    socket.send(b"hello").unwrap();
    assert_eq!(
        socket.recv(&mut [0; 16]).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    let dose = dose(&stage, &undo).await;
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    off(&stage, &undo).await;
    connects(&ours(), (own, 80)).unwrap();
    connects(there, (here.into(), port)).unwrap();
    let dropped = also(&stage, "connection_drop", json!({}));
    let undo = on(&dropped).await;
    let timed_out = Some(ErrorKind::TimedOut);
    assert_eq!(connects(&ours(), (own, 80)).err(), timed_out);
    assert_eq!(connects(there, (here.into(), port)).err(), timed_out);
    off(&dropped, &undo).await;
}

/// A connection from the node to the bridge: its end there, and a way to see within a moment whether bytes come through.
fn conversation(place: &Place) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((place.here, 0)).unwrap();
    let near = connects(&place.there, (place.here.into(), listener.local_addr().unwrap().port())).unwrap();
    let far = listener.accept().unwrap().0;
    far.set_read_timeout(Some(300 * MS)).unwrap();
    (near, far)
}

fn passes((near, far): &mut (TcpStream, TcpStream)) -> bool {
    near.write_all(b"x").unwrap();
    far.read_exact(&mut [0]).is_ok()
}

async fn a_connection_drop_meets_connections_that_were_open_before() {
    let Some((place, node)) = place(&CHAT) else { return };
    let mut before = conversation(&place);
    assert!(passes(&mut before));
    let stage = stage(node, "connection_drop", json!({ "ports": ["1-65535/tcp"] })).await;
    let undo = on(&stage).await;
    assert!(!passes(&mut before), "it goes on");
    off(&stage, &undo).await;
    // TCP sends again what was dropped.
    before.1.set_read_timeout(Some(LIMIT)).unwrap();
    before.1.read_exact(&mut [0]).unwrap();
}

async fn only_new_connections_are_dropped_where_that_is_asked() {
    let Some((place, node)) = place(&["hold"]) else { return };
    holds(node.process().pid());
    let mut before = conversation(&place);
    let listener = TcpListener::bind((place.here, 0)).unwrap();
    let to = (place.here.into(), listener.local_addr().unwrap().port());
    let stage = stage(node, "connection_drop", json!({ "connections": "new" })).await;
    let undo = on(&stage).await;
    assert_eq!(connects(&place.there, to).err(), Some(ErrorKind::TimedOut));
    assert!(passes(&mut before), "what was open goes on");
    // Of UDP nothing opens a connection.
    place.asserts(7121, 0);
    let seen = dose(&stage, &undo).await;
    assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    off(&stage, &undo).await;
    connects(&place.there, to).unwrap();
    let never = also(
        &stage,
        "connection_drop",
        json!({ "connections": "new", "to": ["*:53/udp"] }),
    );
    let problem = (never.entry.plan)(&never.params, &never.target, &never.cx)
        .await
        .unwrap_err();
    assert!(problem.to_string().contains("no protocol in common"), "{problem}");
}

async fn a_connection_drop_of_nobody_s_packets_does_not_land() {
    let Some((_place, node)) = place(&["sleep"]) else {
        return;
    };
    let stage = stage(node, "connection_drop", json!({})).await;
    let undo = on(&stage).await;
    let dose = dose(&stage, &undo).await;
    assert_missed(&dose.landed, "no packet of the target's own");
    assert!(
        dose.delivered.contains("out of it: 100.0%"),
        "its own probes are stopped: {dose:?}"
    );
    off(&stage, &undo).await;
}

async fn a_connection_drop_by_another_interface_does_not_land() {
    let (Some(one), Some(two)) = (TestBridge::new().unwrap(), TestBridge::new().unwrap()) else {
        return skip("no privileges for links");
    };
    // The chat goes by the first route, that of eth0.
    let node = TestBridge::node(&[&one, &two], CHAT).unwrap();
    let stage = stage(node, "connection_drop", json!({ "device": "eth1" })).await;
    let undo = on(&stage).await;
    assert_missed(&dose(&stage, &undo).await.landed, "no packet of the target's own");
    off(&stage, &undo).await;
    let absent = also(&stage, "connection_drop", json!({ "device": "eth7" }));
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

async fn a_connection_drop_reports_a_bystander_that_is_hit() {
    let Some((place, node)) = place(&CHAT) else { return };
    let to = format!("{}:9", place.here);
    let stage = stage(node, "connection_drop", json!({ "to": [to], "direction": "ingress" })).await;
    let undo = on(&stage).await;
    // Somebody's rule stops what measures, whatever it comes from, and not what shows that there is a way.
    for line in [
        "add table inet theirs",
        "add chain inet theirs in { type filter hook input priority 0; }",
        "add rule inet theirs in udp dport 8 drop",
    ] {
        nft(&place, &[line]);
    }
    assert_missed(&dose(&stage, &undo).await.landed, "that it is not about were stopped");
    nft(&place, &["delete table inet theirs"]);
    off(&stage, &undo).await;
}

/// All packet rules of the node's network, as the programs of others show them.
fn all_rules(place: &Place) -> String {
    ["iptables-save", "iptables-legacy-save", "ip6tables-legacy-save"]
        .map(|program| said(place, program, &[]))
        .map(|text| {
            // Comments have the time, and chains how much they have seen.
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let rules = lines.map(|line| line.split(" [").next().unwrap_or_default());
            rules.collect::<Vec<_>>().join("\n")
        })
        .join("\n")
        + &nft(place, &["-j", "list", "ruleset"])
}

async fn faults_by_rules_leave_rules_of_others_as_they_are() {
    let Some((place, node)) = place(&CHAT) else { return };
    for line in [
        "add table inet theirs",
        "add chain inet theirs out { type filter hook output priority -290; }",
        "add rule inet theirs out udp dport 7131 drop",
    ] {
        nft(&place, &[line]);
    }
    let rule = ["-A", "INPUT", "-p", "tcp", "--dport", "7132", "-j", "DROP"];
    for program in ["iptables-legacy", "ip6tables-legacy"] {
        said(&place, program, &rule);
    }
    let before = all_rules(&place);
    assert!(before.contains("theirs") && before.contains("7132"), "{before}");
    let first = stage(
        node,
        "connection_drop",
        json!({ "action": "reject", "probability": "50%" }),
    )
    .await;
    let mut second = also(&first, "partition", json!({ "from": "others" }));
    second.cx.others = vec![here()];
    for stage in [&first, &second] {
        let undo = on(stage).await;
        assert_ne!(all_rules(&place), before, "there is a table of ours");
        off(stage, &undo).await;
        assert_eq!(all_rules(&place), before);
    }
}

async fn faults_by_rules_and_by_queues_leave_one_by_one() {
    let Some((place, node)) = place(&CHAT) else { return };
    let delay = stage(node, "delay", json!({ "mean": "40ms" })).await;
    let cut = also(&delay, "connection_drop", json!({ "ports": ["9/udp", "7142/udp"] }));
    let (first, second) = (on(&delay).await, on(&cut).await);
    let stopped = || arrives(&place.there, 0, &ours(), (place.here, 7142));
    place.asserts(7141, 40);
    // The queue takes it first, and what it sends again is stopped: nobody is told.
    assert_eq!(stopped(), Ok(false));
    for (stage, undo) in [(&delay, &first), (&cut, &second)] {
        let seen = dose(stage, undo).await;
        assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    }
    off(&delay, &first).await;
    place.asserts(7141, 0);
    assert_eq!(stopped(), Err(ErrorKind::PermissionDenied));
    let again = on(&delay).await;
    off(&cut, &second).await;
    place.asserts(7142, 40);
    off(&delay, &again).await;
    place.asserts(7142, 0);
}

async fn a_connection_drop_is_refused_beside_a_loss() {
    let Some((_place, node)) = place(&CHAT) else { return };
    let drop = stage(node, "connection_drop", json!({})).await;
    let loss = also(&drop, "loss", json!({ "percent": "10%" }));
    let mut part = also(&drop, "partition", json!({ "from": "others" }));
    part.cx.others = vec![here()];
    let mut keys = Vec::new();
    for stage in [&drop, &loss, &part] {
        let undo = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
            .await
            .unwrap();
        keys.push((stage.entry.resources)(&undo).unwrap()[0].key.clone());
    }
    assert_eq!(keys[0], keys[1], "a meter could not tell them apart");
    assert_ne!(keys[0], keys[2]);
}

/// Gives a node an address of IPv6 as well.
fn six(node: &TestNode, host: u16) -> Ipv6Addr {
    let address = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, host);
    let mut netlink = node.namespace().within(Netlink::route).unwrap();
    let index = netlink.link_by_name("eth0").unwrap().unwrap().index;
    netlink.add_address(index, address, 64).unwrap();
    address
}

async fn target(node: TestNode) -> (Target, Stage) {
    let stage = on_process(find("process_pause").unwrap(), json!({}), node.into_process(), &[]).await;
    (stage.target.clone(), stage)
}

async fn a_partition_is_between_its_sets_alone() {
    let Some(bridge) = TestBridge::new().unwrap() else {
        return skip("no privileges for links");
    };
    let nodes = [(); 4].map(|()| TestBridge::node(&[&bridge], SERVE).unwrap());
    let hosts: Vec<[IpAddr; 2]> = (1..)
        .zip(&nodes)
        .map(|(host, node)| [address(node).into(), six(node, host).into()])
        .collect();
    let spaces: Vec<NetNamespace> = nodes
        .iter()
        .map(|node| NetNamespace::of(node.process().identity()).unwrap().unwrap())
        .collect();
    let reaches = |from: usize, to: usize, version: usize| connects(&spaces[from], (hosts[to][version], 80)).is_ok();
    for (from, to) in [(0, 1), (0, 2), (0, 3), (1, 0), (1, 3), (2, 0), (3, 0), (1, 2)] {
        for version in [0, 1] {
            eventually(LIMIT, "everybody reaches everybody", || reaches(from, to, version));
        }
    }
    let [one, two, three, four] = nodes;
    let (_, first) = target(one).await;
    let ((other, _keep), (another, _keep_too), (_, _bystander)) =
        (target(two).await, target(three).await, target(four).await);
    let mut part = also(&first, "partition", json!({ "from": "others" }));
    part.cx.others = vec![other, another];
    let undo = on(&part).await;
    for version in [0, 1] {
        for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 0)] {
            assert!(!reaches(from, to, version), "{from} reaches {to} by {version}");
        }
        for (from, to) in [(0, 3), (3, 0), (1, 2), (1, 3), (2, 3)] {
            assert!(reaches(from, to, version), "{from} does not reach {to} by {version}");
        }
    }
    let seen = dose(&part, &undo).await;
    assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    off(&part, &undo).await;
    for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 0)] {
        assert!(
            reaches(from, to, 0) && reaches(from, to, 1),
            "{from} does not reach {to}"
        );
    }
}

/// The first address of a container on its network.
pub fn address_in(space: &NetNamespace) -> IpAddr {
    let addresses = space.within(|| Netlink::route()?.addresses()).unwrap();
    let outer = addresses.iter().map(|one| one.address);
    outer
        .filter(IpAddr::is_ipv4)
        .find(|address| !address.is_loopback())
        .unwrap()
}

async fn a_partition_is_between_containers() {
    let Some(engine) = TestDocker::get().await else { return };
    let network = TestNetwork::make(&engine).await.unwrap();
    let mut stages = Vec::new();
    for _ in 0..3 {
        let container = TestContainer::build(&engine)
            .network(network.name())
            .mode(["serve", "80", "0.0.0.0"])
            .start()
            .await
            .unwrap();
        let plain = find("process_pause").unwrap();
        stages.push(in_container(plain, json!({}), container).await);
    }
    let space = |stage: &Stage| NetNamespace::of(stage.target.process()).unwrap().unwrap();
    let spaces: Vec<NetNamespace> = stages.iter().map(space).collect();
    let reaches = |from: usize, to: usize| connects(&spaces[from], (address_in(&spaces[to]), 80)).is_ok();
    let pairs = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2)];
    for (from, to) in pairs {
        eventually(LIMIT, "everybody reaches everybody", || reaches(from, to));
    }
    let mut part = also(&stages[0], "partition", json!({ "from": "others" }));
    part.cx.others = vec![stages[1].target.clone()];
    let undo = on(&part).await;
    let reached: Vec<bool> = pairs.iter().map(|(from, to)| reaches(*from, *to)).collect();
    assert_eq!(reached, [false, false, true, true, true]);
    let seen = dose(&part, &undo).await;
    assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    assert!(seen.delivered.contains("of bystanders"), "{seen:?}");
    off(&part, &undo).await;
    assert!(pairs.iter().all(|(from, to)| reaches(*from, *to)));

    // One that was started again since it was chosen has another first process, and is parted all the same.
    let again = &stages[1].target.container().unwrap().id;
    engine.stop(again, Duration::ZERO).await.unwrap();
    let planned = (part.entry.plan)(&part.params, &part.target, &part.cx).await;
    let told = planned.unwrap_err().to_string();
    assert!(
        told.contains("does not run on this machine now") && told.contains("wait until it runs"),
        "{told}"
    );
    engine.start(again).await.unwrap();
    let pid = engine.inspect(again).await.unwrap().unwrap().state.pid.unwrap();
    let renewed = process::identity(pid).unwrap().unwrap();
    let at = address_in(&NetNamespace::of(&renewed).unwrap().unwrap());
    let reached = || connects(&spaces[0], (at, 80)).is_ok();
    eventually(LIMIT, "it is reached again", reached);
    let undo = on(&part).await;
    assert!(!reached(), "it is not parted");
    off(&part, &undo).await;
    assert!(reached());
    // The containers before their network.
    drop(stages);
    drop(network);
}

async fn a_partition_has_a_direction() {
    let Some((place, node)) = place(&CHAT) else { return };
    let (own, there, here_at) = (address(&node), &place.there, place.here);
    let mut into = stage(node, "partition", json!({ "from": "others", "direction": "ingress" })).await;
    into.cx.others = vec![here()];
    let undo = on(&into).await;
    assert_eq!(arrives(there, 0, &ours(), (here_at, 7151)), Ok(true));
    assert_eq!(arrives(&ours(), 0, there, (own, 7251)), Ok(false));
    off(&into, &undo).await;
    let mut out = also(&into, "partition", json!({ "from": "others", "direction": "egress" }));
    out.cx.others = vec![here()];
    let undo = on(&out).await;
    assert_eq!(
        arrives(there, 0, &ours(), (here_at, 7151)),
        Err(ErrorKind::PermissionDenied)
    );
    assert_eq!(arrives(&ours(), 0, there, (own, 7251)), Ok(true));
    let seen = dose(&out, &undo).await;
    assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    off(&out, &undo).await;
}

async fn a_partition_is_refused_where_there_is_nothing_to_part() {
    let Some((_place, node)) = place(&CHAT) else { return };
    let mut part = stage(node, "partition", json!({ "from": "others" })).await;
    let told = async |part: &Stage| {
        let planned = (part.entry.plan)(&part.params, &part.target, &part.cx).await;
        planned.unwrap_err().to_string()
    };
    assert!(told(&part).await.contains("`others` has 0 addresses"));
    part.cx.others = vec![part.target.clone()];
    assert!(told(&part).await.contains("shares a network namespace"));
    let mut own = also(&part, "partition", json!({ "from": "others" }));
    own.target = here();
    own.cx.others = vec![part.target.clone()];
    assert!(told(&own).await.contains("shares the machine's network"));
}

async fn connections_are_reset_and_others_live() {
    let Some((place, node)) = place(&["hold"]) else { return };
    holds(node.process().pid());
    let (mut hit, mut spared) = (conversation(&place), conversation(&place));
    let port = hit.0.peer_addr().unwrap().port();
    let stage = stage(
        node,
        "connection_reset",
        json!({ "to": [format!("{}:{port}", place.here)] }),
    )
    .await;
    let undo = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
        .await
        .unwrap();
    assert!(passes(&mut hit) && passes(&mut spared));
    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    assert_eq!(hit.0.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(hit.1.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(passes(&mut spared));
    let seen = dose(&stage, &undo).await;
    assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    assert!(
        seen.delivered
            .starts_with("1 of 1 that were looked at have ended; 0 of "),
        "{seen:?}"
    );
    // Nothing is there to be undone, and nothing is as before.
    let now = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
    assert!(
        matches!(&now, Seen::Claimed(what) if what.starts_with("1 of 1") && what.ends_with("Fracas brings none back")),
        "{now:?}"
    );
}

async fn a_reset_of_no_connection_does_not_land() {
    let Some((place, node)) = place(&["hold"]) else { return };
    holds(node.process().pid());
    let mut spared = conversation(&place);
    let stage = stage(node, "connection_reset", json!({ "ports": [1] })).await;
    let undo = on(&stage).await;
    assert_missed(&dose(&stage, &undo).await.landed, "no connection was open");
    assert!(passes(&mut spared));
    assert_eq!((stage.entry.observe)(&undo, &stage.cx).await.unwrap(), Seen::Original);
    let all = also(&stage, "connection_reset", json!({ "except": ["10.0.0.0/8"] }));
    let undo = on(&all).await;
    assert_missed(&dose(&all, &undo).await.landed, "no connection was open");
    assert!(passes(&mut spared), "who is excepted is spared");
}

async fn a_reset_of_what_ended_by_itself_does_not_land() {
    let Some((place, node)) = place(&CHAT) else { return };
    let hit = conversation(&place);
    let stage = stage(node, "connection_reset", json!({})).await;
    let undo = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
        .await
        .unwrap();
    drop(hit);
    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    assert_missed(&dose(&stage, &undo).await.landed, "they had ended by themselves");
}

async fn a_reset_beside_which_all_others_end_does_not_land() {
    for count in [2, 3] {
        let Some((place, node)) = place(&CHAT) else { return };
        let hit = conversation(&place);
        let others: Vec<_> = (0..count).map(|_| conversation(&place)).collect();
        let to = json!({ "to": [hit.0.peer_addr().unwrap().to_string()] });
        let stage = stage(node, "connection_reset", to).await;
        let undo = on(&stage).await;
        assert_eq!(dose(&stage, &undo).await.landed, Landed::Yes);
        drop(others);
        let landed = dose(&stage, &undo).await.landed;
        if count == 3 {
            assert_missed(&landed, "all of 3 connections that it is not about ended, too");
        } else {
            // So few tell nothing.
            assert!(
                matches!(&landed, Landed::Unmeasured(why) if why.contains("all of 2 connections")),
                "{landed:?}"
            );
        }
    }
}

async fn resets_are_repeated() {
    let Some((_place, node)) = place(&["hold"]) else { return };
    let pid = node.process().pid();
    holds(pid);
    let stage = stage(node, "connection_reset", json!({ "count": 3, "interval": "500ms" })).await;
    let undo: Value = on(&stage).await;
    let name = stage.cx.trace_name();
    let begun = std::time::Instant::now();
    while stage.cx.nursery.goes_on(&name).0 {
        assert!(begun.elapsed() < LIMIT, "it does not end");
        tokio::task::yield_now().await;
    }
    let said = stage.cx.nursery.goes_on(&name).1;
    // The target makes a new one each time. Where both of its ends are here, the reset of one may end the other.
    let last = said.strip_prefix("3 of 3 times; connections reset the last time: ");
    assert!(last.is_some_and(|count| matches!(count, "1" | "2")), "{said}");
    let seen = dose(&stage, &undo).await;
    assert_eq!((seen.landed, seen.effect), (Landed::Yes, Some(said)));
}
