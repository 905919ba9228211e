//! What cutting a target off really does, seen by connections of the test's own and by /sys.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use fracas_core::record::{Landed, Reverted, Seen};
use fracas_faults::{Entry, find};
use fracas_lab::{TestBridge, TestContainer, TestDocker, TestNetwork, TestNode, TestProcess, eventually, skip};
use fracas_linux::netlink::Netlink;
use serde_json::{Value, json};

use crate::fixture::{LIMIT, Stage, in_container, net, on_process};

tests! {
    network_disconnect_cuts_its_target_off_and_nobody_else,
    network_disconnect_of_one_network_leaves_the_other,
    network_disconnect_keeps_all_that_a_port_has,
    network_disconnect_ends_with_the_carrier_as_if_it_had_never_been,
    network_disconnect_leaves_a_port_that_somebody_moved,
    network_disconnect_refuses_what_has_no_port,
    network_disconnect_of_a_container_in_two_networks,
}

fn entry() -> &'static Entry {
    find("network_disconnect").unwrap()
}

/// A bridge; without one, which was said, there is no test.
fn bridge() -> Option<TestBridge> {
    let made = TestBridge::new().unwrap();
    if made.is_none() {
        skip("no privileges for links");
    }
    made
}

const SERVE: [&str; 3] = ["serve", "80", "0.0.0.0"];

/// A stage on a node: its process is the stage's, its ports are the test's.
async fn stage(node: TestNode, params: Value) -> Stage {
    on_process(entry(), params, node.into_process(), &[]).await
}

async fn on(stage: &Stage) -> Value {
    let undo = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
        .await
        .unwrap();
    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    undo
}

async fn revert(stage: &Stage, undo: &Value) -> Reverted {
    (stage.entry.revert)(undo, &stage.cx).await.unwrap()
}

async fn seen(stage: &Stage, undo: &Value) -> Seen {
    (stage.entry.observe)(undo, &stage.cx).await.unwrap()
}

async fn refused(stage: &Stage) -> String {
    let planned = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
    let problem = planned.unwrap_err();
    assert_eq!(problem.code.id, "F001", "{problem}");
    problem.to_string()
}

fn answers(address: Ipv4Addr, limit: Duration) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((address, 80)), limit).is_ok()
}

fn soon_answers(address: Ipv4Addr) {
    eventually(LIMIT, "it answers", || answers(address, Duration::from_secs(1)));
}

async fn network_disconnect_cuts_its_target_off_and_nobody_else() {
    let Some(bridge) = bridge() else { return };
    let (node, other) = (
        TestBridge::node(&[&bridge], SERVE).unwrap(),
        TestBridge::node(&[&bridge], SERVE).unwrap(),
    );
    let (target, bystander) = (node.ports()[0].address, other.ports()[0].address);
    soon_answers(target);
    soon_answers(bystander);
    let stage = stage(node, json!({})).await;
    let undo = on(&stage).await;
    assert!(!answers(target, Duration::from_secs(1)), "the target is not cut off");
    soon_answers(bystander);
    let dose = (stage.entry.measure)(&stage.params, &undo, &stage.cx).await.unwrap();
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    assert_eq!(dose.asked, "1 port disabled");
    assert!(
        dose.delivered
            .ends_with("0 of 3 frames out of the target, 0 of 3 into it"),
        "{dose:?}"
    );
    assert_eq!(
        dose.effect.as_deref(),
        Some("3 of 3 frames from the target reached its port")
    );
    assert_eq!(revert(&stage, &undo).await, Reverted::Restored);
    soon_answers(target);
}

async fn network_disconnect_of_one_network_leaves_the_other() {
    let (Some(one), Some(two)) = (bridge(), bridge()) else {
        return;
    };
    let node = TestBridge::node(&[&one, &two], SERVE).unwrap();
    let (first, second) = (node.ports()[0].address, node.ports()[1].address);
    soon_answers(first);
    soon_answers(second);
    let mut stage = stage(node, json!({ "network": two.name() })).await;
    let undo = on(&stage).await;
    assert!(!answers(second, Duration::from_secs(1)), "the network is not cut off");
    soon_answers(first);
    assert_eq!(revert(&stage, &undo).await, Reverted::Restored);
    stage.params = json!({});
    let undo = on(&stage).await;
    assert!(!answers(first, Duration::from_secs(1)) && !answers(second, Duration::from_secs(1)));
    assert_eq!(revert(&stage, &undo).await, Reverted::Restored);
    soon_answers(first);
    soon_answers(second);
    stage.params = json!({ "network": "nowhere" });
    let why = refused(&stage).await;
    assert!(why.contains(one.name()) && why.contains(two.name()), "{why}");
}

/// Every file of a port but those that count time.
fn port_files(name: &str) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(format!("/sys/class/net/{name}/brport")).unwrap();
    let text = |path| std::fs::read_to_string(path).ok();
    let files = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
    files
        .filter_map(|path| Some((path.file_name()?.to_string_lossy().into_owned(), text(path.clone())?)))
        .filter(|(name, _)| !name.ends_with("_timer"))
        .collect()
}

async fn network_disconnect_keeps_all_that_a_port_has() {
    let Some(bridge) = bridge() else { return };
    let node = TestBridge::node(&[&bridge], ["sleep"]).unwrap();
    let name = node.ports()[0].name.clone();
    for (file, value) in [
        ("hairpin_mode", "1"),
        ("path_cost", "77"),
        ("priority", "3"),
        ("learning", "0"),
        ("isolated", "1"),
        ("multicast_fast_leave", "1"),
    ] {
        std::fs::write(format!("/sys/class/net/{name}/brport/{file}"), value).unwrap();
    }
    let stage = stage(node, json!({})).await;
    let before = port_files(&name);
    assert_eq!(before["path_cost"].trim(), "77");
    let undo = on(&stage).await;
    let mut meanwhile = port_files(&name);
    assert_eq!(
        meanwhile.insert("state".to_owned(), "3\n".to_owned()).unwrap().trim(),
        "0"
    );
    assert_eq!(meanwhile, before);
    assert_eq!(revert(&stage, &undo).await, Reverted::Restored);
    assert_eq!(port_files(&name), before);
}

async fn network_disconnect_ends_with_the_carrier_as_if_it_had_never_been() {
    let Some(bridge) = bridge() else { return };
    let node = TestBridge::node(&[&bridge], ["sleep"]).unwrap();
    let port = node.ports()[0].clone();
    let mut there = node.namespace().within(Netlink::route).unwrap();
    let inside = there.link_by_name("eth0").unwrap().unwrap().index;
    let stage = stage(node, json!({})).await;
    let undo = on(&stage).await;
    let mut here = Netlink::route().unwrap();
    let mut operational = |wanted: bool| {
        eventually(LIMIT, "the carrier changes", || {
            here.link(port.index).unwrap().unwrap().operational == wanted
        });
    };
    there.set_up(inside, false).unwrap();
    operational(false);
    // The kernel itself keeps a port without a carrier disabled: nothing of ours is left that could be taken away.
    assert_eq!(seen(&stage, &undo).await, Seen::Original);
    assert_eq!(revert(&stage, &undo).await, Reverted::AlreadyGone);
    assert!(refused(&stage).await.contains("no interface that is up"));
    there.set_up(inside, true).unwrap();
    operational(true);
    net::forwards(stage.target.process().pid, "eth0");
    assert_eq!(seen(&stage, &undo).await, Seen::Original);
    let dose = (stage.entry.measure)(&stage.params, &undo, &stage.cx).await.unwrap();
    assert!(matches!(dose.landed, Landed::No(_)), "{dose:?}");
}

async fn network_disconnect_leaves_a_port_that_somebody_moved() {
    let (Some(one), Some(two)) = (bridge(), bridge()) else {
        return;
    };
    let node = TestBridge::node(&[&one], ["sleep"]).unwrap();
    let port = node.ports()[0].index;
    let stage = stage(node, json!({})).await;
    let undo = on(&stage).await;
    let mut here = Netlink::route().unwrap();
    for (master, words) in [(Some(two.index()), "in bridge"), (None, "in no bridge")] {
        here.set_master(port, None).unwrap();
        if master.is_some() {
            here.set_master(port, master).unwrap();
        }
        let Reverted::Foreign { now, .. } = revert(&stage, &undo).await else {
            panic!("a port that was moved is somebody else's");
        };
        assert!(now.contains(words), "{now}");
        assert!(matches!(seen(&stage, &undo).await, Seen::Foreign(_)));
        assert_eq!(here.link(port).unwrap().unwrap().master, master);
    }
}

async fn network_disconnect_refuses_what_has_no_port() {
    let process = TestProcess::sleep().unwrap();
    let stage = on_process(entry(), json!({}), process, &[]).await;
    let why = refused(&stage).await;
    assert!(why.contains("shares the network namespace"), "{why}");
    let Some(engine) = TestDocker::get().await else { return };
    // The lab's containers have no network.
    let container = TestContainer::build(&engine).start().await.unwrap();
    let stage = in_plain_container(container, json!({})).await;
    let why = refused(&stage).await;
    assert!(why.contains("no interface that is up"), "{why}");
}

/// A stage on a container, whatever networks it has.
async fn in_plain_container(container: TestContainer, params: Value) -> Stage {
    let plain = find("process_pause").unwrap();
    let stage = in_container(plain, params, container).await;
    Stage {
        entry: entry(),
        ..stage
    }
}

async fn network_disconnect_of_a_container_in_two_networks() {
    let Some(engine) = TestDocker::get().await else { return };
    let (front, back) = (
        TestNetwork::make(&engine).await.unwrap(),
        TestNetwork::make(&engine).await.unwrap(),
    );
    let container = TestContainer::build(&engine)
        .network(front.name())
        .start()
        .await
        .unwrap();
    back.join(&container).await.unwrap();
    let mut stage = in_container(entry(), json!({ "network": back.name() }), container).await;
    let pid = stage.target.process().pid;
    net::forwards(pid, "eth1");
    let states = || [net::state_of(pid, "eth0"), net::state_of(pid, "eth1")];
    let engines = async |stage: &Stage| stage.container().inspect().await.unwrap().networks;
    let before = engines(&stage).await;
    let undo = on(&stage).await;
    assert_eq!(states(), ["forwarding", "disabled"]);
    assert_eq!(engines(&stage).await, before, "the engine knows nothing of it");
    assert_eq!(revert(&stage, &undo).await, Reverted::Restored);
    assert_eq!(states(), ["forwarding", "forwarding"]);

    stage.params = json!({});
    let undo = on(&stage).await;
    assert_eq!(states(), ["disabled", "disabled"]);
    let dose = (stage.entry.measure)(&stage.params, &undo, &stage.cx).await.unwrap();
    assert_eq!((dose.landed, dose.asked.as_str()), (Landed::Yes, "2 ports disabled"));
    assert_eq!(revert(&stage, &undo).await, Reverted::Restored);
    assert_eq!(states(), ["forwarding", "forwarding"]);
    assert_eq!(engines(&stage).await, before);

    stage.params = json!({ "network": "nowhere" });
    let why = refused(&stage).await;
    assert!(why.contains(front.name()) && why.contains(back.name()), "{why}");
}
