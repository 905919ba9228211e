//! What the fault on names really does, seen by dig(1) and by the C library's resolver.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use fracas_core::record::{Dose, Landed, Reverted, Seen};
use fracas_core::target::ProcessIdentity;
use fracas_faults::find;
use fracas_lab::{
    TestBridge, TestContainer, TestDocker, TestNames, TestNetwork, TestNode, TestProcess, eventually, skip,
};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use serde_json::{Value, json};

use crate::fixture::{LIMIT, Stage, in_container, on_process};

tests! {
    dns_answers_are_seen_by_dig_by_udp_and_tcp_and_of_both_versions,
    dns_answers_are_seen_by_the_c_library,
    dns_meets_sockets_and_connections_that_were_open_before,
    dns_delays_and_takes_its_share,
    dns_of_one_server_leaves_the_others,
    dns_of_several_kinds_composes,
    dns_that_meets_nothing_of_the_target_s_own_does_not_land,
    dns_without_a_server_that_answers_says_so,
    dns_refuses_what_has_no_network_of_its_own,
    dns_leaves_rules_of_others_as_they_are,
    dns_in_a_container_that_asks_a_name_server,
    dns_in_a_container_that_asks_the_engine,
}

const MS: Duration = Duration::from_millis(1);

/// A name server on a bridge, and whoever asks it.
struct Place {
    there: NetNamespace,
    server: IpAddr,
    names: Vec<TestNames>,
    bridge: TestBridge,
}

/// A node that asks for this name every 20 ms; `None`, which was said: there can be none.
fn place(name: &str) -> Option<(Place, TestNode)> {
    let Some(bridge) = TestBridge::new().unwrap() else {
        skip("no privileges for links");
        return None;
    };
    let server = IpAddr::from(bridge.address(1));
    let names = vec![TestNames::serve(server).unwrap()];
    let node = TestBridge::node(&[&bridge], ["ask", "20", name, &server.to_string()]).unwrap();
    let there = namespace(node.process().identity());
    let place = Place {
        there,
        server,
        names,
        bridge,
    };
    Some((place, node))
}

fn namespace(process: &ProcessIdentity) -> NetNamespace {
    NetNamespace::of(process).unwrap().unwrap()
}

async fn stage(node: TestNode, params: Value) -> Stage {
    on_process(find("dns").unwrap(), params, node.into_process(), &[]).await
}

/// The same target under another fault.
fn also(stage: &Stage, fault: &str, params: Value) -> Stage {
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

async fn on(stage: &Stage) -> Value {
    let undo = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
        .await
        .unwrap();
    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    undo
}

async fn off(stage: &Stage, undo: &Value) {
    assert_eq!((stage.entry.revert)(undo, &stage.cx).await.unwrap(), Reverted::Restored);
    assert_eq!((stage.entry.observe)(undo, &stage.cx).await.unwrap(), Seen::Original);
}

async fn dose(stage: &Stage, undo: &Value) -> Dose {
    (stage.entry.measure)(&stage.params, undo, &stage.cx).await.unwrap()
}

pub async fn refused(stage: &Stage) -> String {
    let planned = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
    let problem = planned.unwrap_err();
    assert_eq!(problem.code.id, "F001", "{problem}");
    problem.to_string()
}

#[expect(clippy::disallowed_methods, reason = "a resolver to see with")]
pub fn program(there: &NetNamespace, program: &str, words: &[&str]) -> String {
    let output = there.within(|| Command::new(program).args(words).output()).unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// What dig(1) says: the status and the addresses, or why there is none.
fn dig(there: &NetNamespace, server: IpAddr, name: &str, more: &[&str]) -> String {
    let at = format!("@{server}");
    let words = [&["+time=1", "+tries=1", "+retry=0", &at, name], more].concat();
    let said = program(there, "dig", &words);
    let status = said.split("status: ").nth(1).and_then(|rest| rest.split(',').next());
    let Some(status) = status else {
        let silent = said.contains("timed out") || said.contains("no servers could be reached");
        assert!(silent, "{said}");
        return "silence".to_owned();
    };
    let answers = said.lines().filter(|line| !line.starts_with(';') && !line.is_empty());
    let addresses: Vec<_> = answers
        .filter_map(|line| line.split_ascii_whitespace().last())
        .collect();
    [&[status][..], &addresses].concat().join(" ")
}

/// What the C library says of a name, asked as this text of resolv.conf(5) says.
fn getent(there: &NetNamespace, resolv: &str, name: &str) -> Vec<String> {
    let script = "mount --bind \"$1\" /etc/resolv.conf && exec getent -s hosts:dns ahosts \"$2\"";
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(resolv.as_bytes()).unwrap();
    let file = file.path().to_str().unwrap();
    let said = program(there, "unshare", &["--mount", "sh", "-c", script, "sh", file, name]);
    let first = |line: &str| line.split_ascii_whitespace().next().unwrap_or_default().to_owned();
    let mut found: Vec<String> = said.lines().map(first).collect();
    found.sort();
    found.dedup();
    found
}

const TRUE_V4: &str = "NOERROR 198.51.100.7";
const TRUE_V6: &str = "NOERROR 2001:db8::7";

/// Gives the bridge and the node addresses of IPv6, and the bridge a name server there, whose address is told.
fn with_v6(place: &mut Place, node: &TestNode) -> IpAddr {
    place.bridge.join_v6(&[node]).unwrap();
    let server = place.bridge.address_v6(1).into();
    place.names.push(TestNames::serve(server).unwrap());
    server
}

async fn dns_answers_are_seen_by_dig_by_udp_and_tcp_and_of_both_versions() {
    let Some((mut place, node)) = place("db.example") else {
        return;
    };
    let servers = [place.server, with_v6(&mut place, &node)];
    let stage = stage(node, Value::Null).await;
    let ways: [&[&str]; 3] = [&[], &["+tcp"], &["+noedns"]];
    for (params, seen_v4, seen_v6) in [
        (json!({ "answer": "nxdomain" }), "NXDOMAIN", "NXDOMAIN"),
        (json!({ "answer": "servfail" }), "SERVFAIL", "SERVFAIL"),
        (json!({ "answer": "refused" }), "REFUSED", "REFUSED"),
        (json!({ "answer": "timeout" }), "silence", "silence"),
        (
            json!({ "addresses": ["192.0.2.9", "2001:db8::9"] }),
            "NOERROR 192.0.2.9",
            "NOERROR 2001:db8::9",
        ),
        (json!({ "addresses": ["192.0.2.9"] }), "NOERROR 192.0.2.9", "NOERROR"),
    ] {
        let mut params = params;
        params["names"] = json!(["*.example"]);
        params["servers"] = json!(servers);
        let stage = also(&stage, "dns", params);
        let undo = on(&stage).await;
        for server in servers {
            for way in ways {
                let ask = |name, kind| dig(&place.there, server, name, &[way, &[kind]].concat());
                let what = format!("{} {server} {way:?}", stage.params);
                assert_eq!(ask("db.EXAMPLE", "A"), seen_v4, "{what}");
                assert_eq!(ask("x.y.example", "AAAA"), seen_v6, "{what}");
                assert_eq!(ask("db.test", "A"), TRUE_V4, "{what}");
                assert_eq!(ask("example", "AAAA"), TRUE_V6, "{what}");
            }
        }
        let dose = dose(&stage, &undo).await;
        assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
        assert!(
            dose.delivered.contains("the bystander localhost answered in"),
            "{dose:?}"
        );
        off(&stage, &undo).await;
        for server in servers {
            for way in ways {
                assert_eq!(dig(&place.there, server, "db.example", way), TRUE_V4);
            }
        }
    }
}

async fn dns_answers_are_seen_by_the_c_library() {
    let Some((place, node)) = place("db.example") else {
        return;
    };
    let resolv = format!("nameserver {}\n", place.server);
    let ask = |name| getent(&place.there, &resolv, name);
    let as_ever = ["198.51.100.7", "2001:db8::7"];
    assert_eq!(ask("db.example"), as_ever);
    let stage = stage(node, Value::Null).await;
    for (params, seen) in [
        (json!({ "answer": "nxdomain" }), &[][..]),
        (json!({ "addresses": ["192.0.2.9"] }), &["192.0.2.9"]),
        (
            json!({ "addresses": ["192.0.2.9", "2001:db8::9"] }),
            &["192.0.2.9", "2001:db8::9"],
        ),
        (json!({ "answer": "servfail" }), &[]),
    ] {
        let mut params = params;
        params["names"] = json!(["db.example"]);
        let stage = also(&stage, "dns", params);
        let undo = on(&stage).await;
        assert_eq!(ask("db.example"), seen, "{}", stage.params);
        assert_eq!(ask("other.example"), as_ever);
        off(&stage, &undo).await;
        assert_eq!(ask("db.example"), as_ever);
    }
}

/// A question for the addresses of IPv4 of `db.example`, or of another name that is as long.
fn question(id: u8, name: [u8; 2]) -> Vec<u8> {
    let mut message = vec![0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2];
    message.extend(name);
    message.extend(b"\x07example\x00\x00\x01\x00\x01");
    message
}

/// Asks on a connection; the code of the answer.
fn by_tcp(tcp: &mut TcpStream, name: [u8; 2]) -> std::io::Result<u8> {
    let question = question(9, name);
    tcp.write_all(&[&(question.len() as u16).to_be_bytes()[..], &question].concat())?;
    let mut length = [0; 2];
    tcp.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    tcp.read_exact(&mut answer)?;
    Ok(answer[3] & 0xf)
}

async fn dns_meets_sockets_and_connections_that_were_open_before() {
    let Some((place, node)) = place("db.example") else {
        return;
    };
    let at = SocketAddr::new(place.server, 53);
    let udp = place.there.within(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    udp.connect(at).unwrap();
    udp.set_read_timeout(Some(LIMIT)).unwrap();
    let mut tcp = place.there.within(|| TcpStream::connect_timeout(&at, LIMIT)).unwrap();
    tcp.set_read_timeout(Some(LIMIT)).unwrap();
    let by_udp = |id: u8, name| {
        udp.send(&question(id, name)).unwrap();
        let mut answer = [0; 512];
        udp.recv(&mut answer).unwrap();
        assert_eq!(answer[1], id);
        answer[3] & 0xf
    };
    assert_eq!((by_udp(1, *b"db"), by_tcp(&mut tcp, *b"db").unwrap()), (0, 0));
    let stage = stage(node, json!({ "names": ["db.example"], "answer": "nxdomain" })).await;
    let undo = on(&stage).await;
    assert_eq!((by_udp(2, *b"db"), by_udp(3, *b"xx"), by_udp(4, *b"db")), (3, 0, 3));
    let mut other = place.there.within(|| TcpStream::connect_timeout(&at, LIMIT)).unwrap();
    other.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(
        by_tcp(&mut tcp, *b"xx").unwrap(),
        0,
        "other names pass on a connection that is older"
    );
    assert_eq!(by_tcp(&mut tcp, *b"db").unwrap(), 3);
    // The name server has closed it, as it seems.
    assert_eq!(tcp.read(&mut [0; 8]).unwrap(), 0);
    drop(tcp);
    assert_eq!(by_tcp(&mut other, *b"xx").unwrap(), 0);
    off(&stage, &undo).await;
    // What was opened while it was on was to the name server all the time, and goes on.
    assert_eq!((by_udp(5, *b"db"), by_tcp(&mut other, *b"db").unwrap()), (0, 0));
}

fn takes(place: &Place, name: &str, way: &[&str]) -> Duration {
    let began = Instant::now();
    assert_eq!(dig(&place.there, place.server, name, way), TRUE_V4);
    began.elapsed()
}

async fn dns_delays_and_takes_its_share() {
    let Some((place, node)) = place("db.example") else {
        return;
    };
    let servers = json!([place.server]);
    let stage = stage(node, json!({ "names": ["*"], "delay": "400ms", "servers": servers })).await;
    let undo = on(&stage).await;
    for way in [&[][..], &["+tcp"]] {
        let took = takes(&place, "db.example", way);
        assert!(took >= 400 * MS, "{took:?}");
    }
    let dose = dose(&stage, &undo).await;
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    assert!(dose.delivered.contains("it is about all names"), "{dose:?}");
    off(&stage, &undo).await;

    let half = also(
        &stage,
        "dns",
        json!({ "names": ["*.example"], "answer": "refused", "probability": "50%", "servers": servers }),
    );
    let undo = on(&half).await;
    let hit = (0..40).filter(|_| dig(&place.there, place.server, "db.example", &[]) == "REFUSED");
    // The draws are fixed by the seed, and mixed with those for the target's own questions.
    let hit = hit.count();
    assert!((5..=35).contains(&hit), "{hit}");
    let dose = self::dose(&half, &undo).await;
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    off(&half, &undo).await;
}

async fn dns_of_one_server_leaves_the_others() {
    let Some((mut place, node)) = place("db.example") else {
        return;
    };
    let other = with_v6(&mut place, &node);
    let params = json!({ "names": ["*.example"], "answer": "servfail", "servers": [place.server] });
    let stage = stage(node, params).await;
    let undo = on(&stage).await;
    assert_eq!(dig(&place.there, place.server, "db.example", &[]), "SERVFAIL");
    assert_eq!(dig(&place.there, other, "db.example", &[]), TRUE_V4);
    off(&stage, &undo).await;
}

async fn dns_of_several_kinds_composes() {
    let Some((place, node)) = place("db.example") else {
        return;
    };
    let servers = json!([place.server]);
    let unknown = json!({ "names": ["db.example"], "answer": "nxdomain", "servers": servers });
    let unknown = stage(node, unknown).await;
    let late = also(
        &unknown,
        "dns",
        json!({ "names": ["*"], "delay": "100ms", "servers": servers }),
    );
    let packets = also(&unknown, "delay", json!({ "mean": "50ms" }));
    let (first, second, third) = (on(&late).await, on(&unknown).await, on(&packets).await);
    let keys = |stage: &Stage, undo| (stage.entry.resources)(undo).unwrap()[0].key.clone();
    assert_ne!(keys(&late, &first), keys(&unknown, &second));
    let began = Instant::now();
    assert_eq!(dig(&place.there, place.server, "db.example", &[]), "NXDOMAIN");
    assert!(began.elapsed() >= 100 * MS);
    let took = takes(&place, "x.example", &[]);
    assert!(took >= 150 * MS, "{took:?}");
    for (stage, undo) in [(&late, &first), (&unknown, &second)] {
        let dose = dose(stage, undo).await;
        assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    }
    off(&late, &first).await;
    off(&packets, &third).await;
    assert_eq!(dig(&place.there, place.server, "db.example", &[]), "NXDOMAIN");
    assert_eq!(dose(&unknown, &second).await.landed, Landed::Yes);
    off(&unknown, &second).await;
    assert_eq!(dig(&place.there, place.server, "db.example", &[]), TRUE_V4);
}

async fn dns_that_meets_nothing_of_the_target_s_own_does_not_land() {
    let Some((place, node)) = place("db.example") else {
        return;
    };
    let params = json!({ "names": ["nobody-asks.test"], "answer": "nxdomain", "servers": [place.server] });
    let stage = stage(node, params).await;
    let undo = on(&stage).await;
    for _ in 0..2 {
        let dose = dose(&stage, &undo).await;
        let Landed::No(why) = &dose.landed else {
            panic!("{dose:?}")
        };
        assert!(why.contains("no question of the target's own"), "{why}");
        assert!(
            dose.delivered.contains("NXDOMAIN to 3 of 3"),
            "its own are hit: {dose:?}"
        );
    }
    off(&stage, &undo).await;
    // The target asks another server.
    let other = also(
        &stage,
        "dns",
        json!({ "names": ["*.example"], "answer": "nxdomain", "servers": ["127.0.0.53"] }),
    );
    let undo = on(&other).await;
    let dose = self::dose(&other, &undo).await;
    assert!(matches!(dose.landed, Landed::No(_)), "{dose:?}");
    off(&other, &undo).await;
}

async fn dns_without_a_server_that_answers_says_so() {
    let Some((mut place, node)) = place("db.example") else {
        return;
    };
    place.names.clear();
    let params = json!({ "names": ["*.example"], "delay": "50ms", "servers": [place.server] });
    let late = stage(node, params).await;
    let undo = on(&late).await;
    let dose = self::dose(&late, &undo).await;
    assert!(
        matches!(&dose.landed, Landed::Unmeasured(why) if why.contains("does not answer in time")),
        "{dose:?}"
    );
    off(&late, &undo).await;
    // An answer that is made up needs no server.
    let params = json!({ "names": ["*.example"], "answer": "refused", "servers": [place.server] });
    let refused = also(&late, "dns", params);
    let undo = on(&refused).await;
    let dose = self::dose(&refused, &undo).await;
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    off(&refused, &undo).await;
    let nowhere = also(
        &late,
        "dns",
        json!({ "names": ["*"], "delay": "50ms", "servers": ["203.0.113.53"] }),
    );
    let undo = on(&nowhere).await;
    let dose = self::dose(&nowhere, &undo).await;
    assert!(
        matches!(&dose.landed, Landed::Unmeasured(why) if why.contains("203.0.113.53 cannot be asked")),
        "{dose:?}"
    );
    off(&nowhere, &undo).await;
}

async fn dns_refuses_what_has_no_network_of_its_own() {
    let params = json!({ "names": ["*"], "answer": "nxdomain" });
    let process = TestProcess::run(["sleep"]).unwrap();
    let alone = on_process(find("dns").unwrap(), params.clone(), process, &[]).await;
    let why = refused(&alone).await;
    assert!(why.contains("shares the machine's network"), "{why}");
    let Some((place, node)) = place("db.example") else {
        return;
    };
    let stage = stage(node, params).await;
    let mut netlink = place.there.within(Netlink::route).unwrap();
    let links = netlink.links().unwrap();
    let loopback = links.iter().find(|link| link.loopback).unwrap().index;
    netlink.set_up(loopback, false).unwrap();
    program(&place.there, "ip", &["addr", "flush", "dev", "lo"]);
    let why = refused(&stage).await;
    assert!(why.contains("its loopback device is down"), "{why}");
    netlink.set_up(loopback, true).unwrap();
    program(&place.there, "ip", &["rule", "add", "fwmark", "0x7", "lookup", "100"]);
    let late = also(&stage, "dns", json!({ "names": ["*"], "delay": "50ms" }));
    let why = refused(&late).await;
    assert!(why.contains("its routes are chosen by marks"), "{why}");
    let undo = on(&stage).await;
    off(&stage, &undo).await;
}

async fn dns_leaves_rules_of_others_as_they_are() {
    let Some((place, node)) = place("db.example") else {
        return;
    };
    for line in [
        "add table inet theirs",
        "add chain inet theirs out { type filter hook output priority 0; }",
        "add rule inet theirs out udp dport 53 counter",
        "add chain inet theirs nat { type nat hook output priority -100; }",
        "add rule inet theirs nat ip daddr 127.0.0.11 udp dport 53 dnat ip to 127.0.0.1:5300",
    ] {
        program(&place.there, "nft", &[line]);
    }
    program(
        &place.there,
        "iptables",
        &[
            "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "53", "-j", "ACCEPT",
        ],
    );
    // Counters aside, which packets change.
    let rules = || {
        let nft = program(&place.there, "nft", &["-s", "list", "ruleset"]);
        assert!(nft.contains("theirs") && nft.contains("dnat"), "{nft}");
        nft + &program(&place.there, "iptables-save", &[])
    };
    let is_rule = |line: &&str| !line.starts_with('#') && !line.starts_with(':');
    let plain = |text: &str| text.lines().filter(is_rule).map(str::to_owned).collect::<Vec<_>>();
    let before = plain(&rules());
    let stage = stage(node, json!({ "names": ["*.example"], "answer": "nxdomain" })).await;
    let undo = on(&stage).await;
    assert_ne!(plain(&rules()), before, "there is a table of ours");
    assert_eq!(dig(&place.there, place.server, "db.example", &[]), "NXDOMAIN");
    assert_eq!(dig(&place.there, place.server, "db.test", &["+tcp"]), TRUE_V4);
    off(&stage, &undo).await;
    assert_eq!(plain(&rules()), before);
}

/// What the resolver of a container goes by.
fn resolv_of(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/root/etc/resolv.conf")).unwrap()
}

async fn in_docker(container: TestContainer, params: Value) -> Stage {
    in_container(find("dns").unwrap(), params, container).await
}

/// As in the engine's default network: its resolver is told a name server at the other end of its interface.
async fn dns_in_a_container_that_asks_a_name_server() {
    let Some(engine) = TestDocker::get().await else { return };
    let Some(bridge) = TestBridge::new().unwrap() else {
        return skip("no privileges for links");
    };
    let server = IpAddr::from(bridge.address(1));
    let _names = TestNames::serve(server).unwrap();
    let container = TestContainer::build(&engine)
        .name_server(server)
        .mode(["ask", "20", "db.example"])
        .start()
        .await
        .unwrap();
    let resolv = resolv_of(container.pid().await.unwrap());
    assert!(resolv.contains(&format!("nameserver {server}")), "{resolv}");
    let there = namespace(&container.identity().await.unwrap());
    bridge.join(&there, "eth0").unwrap().forwards().unwrap();
    let ask = || getent(&there, &resolv, "db.example");
    // Without an address of IPv6 the C library does not ask for one.
    let as_ever = ["198.51.100.7"];
    assert_eq!(ask(), as_ever);
    // Whom it asks is read from the container's own file.
    let stage = in_docker(container, json!({ "names": ["*.example"], "answer": "nxdomain" })).await;
    let undo = on(&stage).await;
    assert_eq!(ask(), Vec::<String>::new());
    assert_eq!(dig(&there, server, "db.example", &["+tcp"]), "NXDOMAIN");
    assert_eq!(dig(&there, server, "db.test", &[]), TRUE_V4);
    let dose = dose(&stage, &undo).await;
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    assert!(dose.delivered.contains(&format!("to {server};")), "{dose:?}");
    off(&stage, &undo).await;
    assert_eq!(ask(), as_ever);
}

/// In a network of one's own the engine answers for the names of containers, at an address that its rules lead to a port of its own.
async fn dns_in_a_container_that_asks_the_engine() {
    let Some(engine) = TestDocker::get().await else { return };
    let network = TestNetwork::make(&engine).await.unwrap();
    let make = || TestContainer::build(&engine).network(network.name());
    let db = make().named_like("db").start().await.unwrap();
    let cache = make().named_like("cache").start().await.unwrap();
    let container = make().mode(["ask", "20", db.name()]).start().await.unwrap();
    let pid = container.pid().await.unwrap();
    let there = namespace(&container.identity().await.unwrap());
    let resolv = resolv_of(pid);
    assert!(resolv.contains("nameserver 127.0.0.11"), "{resolv}");
    let server = IpAddr::from([127, 0, 0, 11]);
    let ask = |name: &str| getent(&there, &resolv, name);
    eventually(LIMIT, "the engine answers", || {
        ask(db.name()).len() == 1 && ask(cache.name()).len() == 1
    });
    let (true_db, true_cache) = (ask(db.name()), ask(cache.name()));
    let iptables = || {
        let rules = program(&there, "iptables-save", &["-t", "nat"]);
        rules
            .lines()
            .filter(|line| line.starts_with('-'))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let rules = iptables();
    let stage = in_docker(container, Value::Null).await;
    for (params, seen_db) in [
        (json!({ "answer": "nxdomain" }), vec![]),
        (json!({ "addresses": ["192.0.2.9"] }), vec!["192.0.2.9".to_owned()]),
        (json!({ "delay": "100ms" }), true_db.clone()),
    ] {
        let mut params = params;
        params["names"] = json!([db.name()]);
        let delayed = params.get("delay").is_some();
        let stage = also(&stage, "dns", params);
        let undo = on(&stage).await;
        assert_eq!(
            (ask(db.name()), ask(cache.name())),
            (seen_db, true_cache.clone()),
            "{}",
            stage.params
        );
        if !delayed {
            let by_tcp = dig(&there, server, db.name(), &["+tcp"]);
            let expected = if stage.params.get("answer").is_some() {
                "NXDOMAIN"
            } else {
                "NOERROR 192.0.2.9"
            };
            assert_eq!(by_tcp, expected);
        }
        let by_tcp = dig(&there, server, cache.name(), &["+tcp"]);
        assert_eq!(by_tcp, format!("NOERROR {}", true_cache[0]));
        let dose = dose(&stage, &undo).await;
        assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
        off(&stage, &undo).await;
        assert_eq!(ask(db.name()), true_db);
        assert_eq!(iptables(), rules, "the engine's rules are as they were");
    }
}
