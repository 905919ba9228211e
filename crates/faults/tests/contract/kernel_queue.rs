//! What the kernel queue does, where the kernel has one: that of `cargo xtask vm` has. Bounds are wide, for its processors are slow.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use fracas_core::record::{Landed, Reverted, Seen};
use fracas_faults::find;
use fracas_lab::{TestBridge, TestProcess, skip};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use serde_json::{Value, json};

use crate::fixture::by_kernel::{or_refused, stranger};
use crate::fixture::{Stage, kill, on_process};
use crate::impairments::{CHAT, MS, Place, also, dose, off, on, place, said, stage};

tests! {
    it_does_what_is_asked_as_tc_would_have_made_it,
    it_hits_what_it_is_about_and_nothing_else,
    it_composes_with_packet_queues_and_not_with_itself,
    what_others_have_on_the_interface_stays,
    it_is_known_by_another_name_and_nobody_else_by_its_own,
    it_stays_and_lets_all_pass_where_filters_of_others_lead_to_it,
    an_empty_clsact_that_was_not_there_is_told,
    what_was_seen_of_it_is_forgotten_when_it_is_made_again,
    it_is_taken_away_where_the_target_is_gone_and_others_are_not,
    it_stands_in_where_the_packet_queue_is_refused,
}

fn by_kernel(mut params: Value) -> Value {
    params["mechanism"] = json!("kernel_queue");
    params
}

async fn begin(mode: &[&str], fault: &str, params: Value) -> Option<(Place, Stage)> {
    let (place, node) = place(mode)?;
    let stage = or_refused(stage(node, fault, by_kernel(params)).await).await?;
    Some((place, stage))
}

/// What is asked for, and what one types for the same.
const ASKED: [(&str, &str, &str); 9] = [
    // Of a long delay what slow processors add is a small part.
    ("delay", r#"{ "mean": "400ms" }"#, "limit 50000 delay 400ms"),
    (
        "delay",
        r#"{ "mean": "200ms", "jitter": "10ms" }"#,
        "limit 48000 delay 200ms 10ms",
    ),
    ("loss", r#"{ "percent": "60%" }"#, "limit 1000 loss random 60%"),
    (
        "loss",
        r#"{ "percent": "50%", "burst": 4 }"#,
        "limit 1000 loss gemodel 25% 25% 100% 0%",
    ),
    ("duplicate", r#"{ "percent": "60%" }"#, "limit 1000 duplicate 60%"),
    ("corrupt", r#"{ "percent": "60%" }"#, "limit 1000 corrupt 60%"),
    ("corrupt", r#"{ "percent": "100%" }"#, "limit 1000 corrupt 100%"),
    (
        "reorder",
        r#"{ "percent": "40%", "delay": "200ms" }"#,
        "limit 40000 delay 200ms reorder 40%",
    ),
    ("rate", r#"{ "rate": "1mbit" }"#, "limit 83 rate 1mbit"),
];

/// What tc knows of the queues and filters there, and ip of the links.
fn dump(place: &Place) -> String {
    let qdiscs = said(place, "tc", &["-j", "qdisc", "show"]);
    let filters = ["ingress", "egress"].map(|side| said(place, "tc", &["-j", "filter", "show", "dev", "eth0", side]));
    let links = said(place, "ip", &["-o", "link", "show"]);
    format!("{qdiscs}\n{}\n{links}", filters.concat())
}

/// The queue of an interface, as tc shows it.
fn queue_of(place: &Place, link: &str) -> Value {
    let text = said(place, "tc", &["-j", "qdisc", "show", "dev", link]);
    let mut shown: Value = serde_json::from_str(&text).unwrap();
    shown[0].as_object_mut().unwrap().remove("dev");
    shown
}

fn aside(place: &Place) -> String {
    let links = place.there.within(|| Netlink::route()?.links()).unwrap();
    links
        .into_iter()
        .find(|link| link.is("ifb") && link.name != "theirs")
        .unwrap()
        .name
}

async fn it_does_what_is_asked_as_tc_would_have_made_it() {
    let Some((place, base)) = begin(&CHAT, "delay", json!({ "mean": "10ms" })).await else {
        return;
    };
    let before = dump(&place);
    for (fault, params, words) in ASKED {
        let stage = also(&base, fault, by_kernel(serde_json::from_str(params).unwrap()));
        let undo = on(&stage).await;
        stranger(&place.there, "ip link add theirs type ifb");
        stranger(
            &place.there,
            &format!("tc qdisc add dev theirs root handle 1: netem {words}"),
        );
        assert_eq!(
            queue_of(&place, &aside(&place)),
            queue_of(&place, "theirs"),
            "{fault} {params}"
        );
        stranger(&place.there, "ip link del theirs");
        let dose = dose(&stage, &undo).await;
        assert_eq!(dose.landed, Landed::Yes, "{fault} {params}: {dose:?}");
        let effect = dose.effect.as_deref().unwrap();
        assert!(effect.ends_with("by the kernel queue"), "{effect}");
        let seen = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
        assert!(
            matches!(&seen, Seen::Ours(what) if what.contains("filters of ours on eth0")),
            "{seen:?}"
        );
        off(&stage, &undo).await;
        assert_eq!(dump(&place), before, "{fault} {params}");
    }
}

/// How long the fastest of five datagrams takes, from a socket here to one there. `None`: none came within a second.
fn takes(from: &UdpSocket, to: &UdpSocket) -> Option<Duration> {
    to.set_read_timeout(Some(1000 * MS)).unwrap();
    let one = || {
        let began = Instant::now();
        from.send_to(b"hello", to.local_addr().unwrap()).unwrap();
        to.recv(&mut [0; 16]).ok().map(|_| began.elapsed())
    };
    (0..5).filter_map(|_| one()).min()
}

async fn it_hits_what_it_is_about_and_nothing_else() {
    const LONG: Duration = Duration::from_millis(300);
    let Some(bridge) = TestBridge::new().unwrap() else {
        return skip("no privileges for links");
    };
    let node = TestBridge::node(&[&bridge], CHAT).unwrap();
    let there = NetNamespace::of(node.process().identity()).unwrap().unwrap();
    let mut inside = there.within(Netlink::route).unwrap();
    let eth0 = inside.link_by_name("eth0").unwrap().unwrap().index;
    let (here_6, there_6) = ("fd77::1".parse().unwrap(), "fd77::2".parse().unwrap());
    let addresses: [(std::net::IpAddr, std::net::IpAddr); 2] = [
        (bridge.address(1).into(), node.ports()[0].address.into()),
        (here_6, there_6),
    ];
    Netlink::route()
        .unwrap()
        .add_address(bridge.index(), here_6, 64)
        .unwrap();
    inside.add_address(eth0, there_6, 64).unwrap();
    let base = on_process(
        find("delay").unwrap(),
        by_kernel(json!({ "mean": "1s" })),
        node.into_process(),
        &[],
    )
    .await;
    let Some(base) = or_refused(base).await else { return };
    let here = |address, port| UdpSocket::bind((address, port)).unwrap();
    let far = |address, port| there.within(|| UdpSocket::bind((address, port))).unwrap();
    for direction in ["egress", "ingress"] {
        let params = json!({ "mean": "300ms", "direction": direction, "ports": ["7001/udp"], "device": "eth0" });
        let delay = also(&base, "delay", by_kernel(params));
        // Both ways, both versions: whether that one is delayed.
        let all = |on: bool| {
            for (near, own) in addresses {
                for (port, way, is_meant) in [
                    (7001, "egress", direction == "egress"),
                    (7001, "ingress", direction == "ingress"),
                    (7002, direction, false),
                ] {
                    let (near, own) = (here(near, port), far(own, port));
                    let took = if way == "egress" {
                        takes(&own, &near)
                    } else {
                        takes(&near, &own)
                    };
                    let took = took.unwrap_or_else(|| panic!("nothing comes to {near:?}"));
                    let is_late = took >= LONG;
                    assert_eq!(is_late, on && is_meant, "{direction}: {way} of {near:?}: {took:?}");
                }
            }
        };
        all(false);
        let undo = on(&delay).await;
        all(true);
        let dose = dose(&delay, &undo).await;
        assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
        assert!(dose.delivered.ends_with("on bystanders"), "{dose:?}");
        off(&delay, &undo).await;
        all(false);
    }
}

async fn it_composes_with_packet_queues_and_not_with_itself() {
    let Some((place, delay)) = begin(&CHAT, "delay", json!({ "mean": "300ms" })).await else {
        return;
    };
    let packets = also(&delay, "loss", json!({ "percent": "100%", "ports": [7002] }));
    let kernel = also(&delay, "loss", by_kernel(json!({ "percent": "100%", "ports": [7002] })));
    let keys = async |stage: &Stage| {
        let undo = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
            .await
            .unwrap();
        let all = (stage.entry.resources)(&undo).unwrap();
        all.into_iter().map(|one| one.key).collect::<Vec<_>>()
    };
    let own = keys(&delay).await;
    assert!(
        keys(&kernel).await.iter().any(|key| own.contains(key)),
        "it cannot be on twice"
    );
    assert!(!keys(&packets).await.iter().any(|key| own.contains(key)));
    let (first, second) = (on(&delay).await, on(&packets).await);
    let took = place.takes(7001).unwrap();
    assert!(took >= 300 * MS, "{took:?}");
    assert_eq!(place.takes(7002), None, "all are lost");
    for (stage, undo) in [(&delay, &first), (&packets, &second)] {
        let dose = dose(stage, undo).await;
        assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    }
    // Who plans one more sees the filters.
    let refused = (kernel.entry.plan)(&kernel.params, &kernel.target, &kernel.cx)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("has filters of somebody else's"),
        "{refused}"
    );
    off(&delay, &first).await;
    off(&packets, &second).await;
}

/// A filter of somebody else's that leads all to an interface.
const ASIDE: &str =
    "tc filter add dev eth0 egress pref 9 protocol ip u32 match u32 0 0 action mirred egress redirect dev";
/// A filter of somebody else's.
const FILTER: &str = "tc filter add dev eth0 egress pref 9 protocol ip u32 match u32 0 0 action ok";

async fn what_others_have_on_the_interface_stays() {
    let Some((place, delay)) = begin(&CHAT, "delay", json!({ "mean": "400ms" })).await else {
        return;
    };
    let refused = async || {
        let planned = (delay.entry.plan)(&delay.params, &delay.target, &delay.cx).await;
        planned.err().map(|problem| problem.to_string()).unwrap_or_default()
    };
    stranger(
        &place.there,
        "tc qdisc add dev eth0 root handle 5: tbf rate 100mbit burst 64kb latency 50ms",
    );
    stranger(&place.there, "tc qdisc add dev eth0 clsact");
    let before = dump(&place);
    let undo = on(&delay).await;
    let dose = dose(&delay, &undo).await;
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    off(&delay, &undo).await;
    assert_eq!(dump(&place), before, "neither their queue nor their clsact is touched");
    stranger(&place.there, FILTER);
    assert!(
        refused().await.contains("would not see what is led aside"),
        "{}",
        refused().await
    );
    stranger(&place.there, "tc qdisc del dev eth0 clsact");
    stranger(&place.there, "tc qdisc add dev eth0 ingress");
    assert!(refused().await.contains("has a qdisc ingress"), "{}", refused().await);
    stranger(&place.there, "tc qdisc del dev eth0 ingress");

    // What leaves by the one leaves by the other, too.
    stranger(&place.there, "ip link add theirs type bridge");
    stranger(&place.there, "ip link set dev eth0 master theirs");
    assert!(
        refused().await.contains("eth0 is one with another one"),
        "{}",
        refused().await
    );
    let named = also(&delay, "delay", by_kernel(json!({ "mean": "400ms", "device": "eth0" })));
    (named.entry.plan)(&named.params, &named.target, &named.cx)
        .await
        .unwrap();
    stranger(&place.there, "ip link del theirs");

    // Somebody begins to use our clsact.
    let undo = on(&delay).await;
    stranger(&place.there, FILTER);
    let used = said(&place, "tc", &["-j", "qdisc", "show", "dev", "eth0"]);
    // What it is the first time it is every time: who looks again finds no more of ours by which to tell.
    for _ in 0..2 {
        let reverted = (delay.entry.revert)(&undo, &delay.cx).await.unwrap();
        assert!(
            matches!(&reverted, Reverted::Foreign { now, .. } if now.contains("eth0 has a clsact")),
            "{reverted:?}"
        );
        let seen = (delay.entry.observe)(&undo, &delay.cx).await.unwrap();
        assert!(matches!(seen, Seen::Foreign(_)), "{seen:?}");
    }
    assert_eq!(
        said(&place, "tc", &["-j", "qdisc", "show", "dev", "eth0"]),
        used,
        "theirs stays"
    );
    let filters = said(&place, "tc", &["filter", "show", "dev", "eth0", "egress"]);
    assert!(filters.contains("u32") && !filters.contains("bpf"), "{filters}");
}

async fn it_is_known_by_another_name_and_nobody_else_by_its_own() {
    let Some((place, delay)) = begin(&CHAT, "delay", json!({ "mean": "100ms" })).await else {
        return;
    };
    let before = dump(&place);
    let undo = on(&delay).await;
    let name = aside(&place);
    stranger(&place.there, &format!("ip link set dev {name} down"));
    stranger(&place.there, &format!("ip link set dev {name} name renamed"));
    stranger(&place.there, &format!("ip link add {name} type ifb"));
    let seen = (delay.entry.observe)(&undo, &delay.cx).await.unwrap();
    assert!(
        matches!(&seen, Seen::Ours(what) if what.contains("an interface renamed")),
        "{seen:?}"
    );
    let reverted = (delay.entry.revert)(&undo, &delay.cx).await.unwrap();
    assert_eq!(reverted, Reverted::Restored);
    for _ in 0..2 {
        let seen = (delay.entry.observe)(&undo, &delay.cx).await.unwrap();
        assert!(matches!(&seen, Seen::Foreign(what) if what.contains(&name)), "{seen:?}");
        let reverted = (delay.entry.revert)(&undo, &delay.cx).await.unwrap();
        assert!(matches!(reverted, Reverted::Foreign { .. }), "{reverted:?}");
    }
    stranger(&place.there, &format!("ip link del {name}"));
    assert_eq!(dump(&place), before);
    let seen = (delay.entry.observe)(&undo, &delay.cx).await.unwrap();
    assert_eq!(seen, Seen::Original);
}

async fn it_stays_and_lets_all_pass_where_filters_of_others_lead_to_it() {
    let Some((place, delay)) = begin(&CHAT, "delay", json!({ "mean": "300ms" })).await else {
        return;
    };
    let undo = on(&delay).await;
    let name = aside(&place);
    stranger(&place.there, &format!("{ASIDE} {name}"));
    for _ in 0..2 {
        let reverted = (delay.entry.revert)(&undo, &delay.cx).await.unwrap();
        assert!(
            matches!(&reverted, Reverted::Foreign { now, .. } if now.contains("lead from eth0 to our interface")),
            "{reverted:?}"
        );
        let seen = (delay.entry.observe)(&undo, &delay.cx).await.unwrap();
        assert!(matches!(seen, Seen::Foreign(_)), "{seen:?}");
    }
    let took = place.takes(7001).unwrap();
    assert!(took < 300 * MS, "what the stranger leads there passes: {took:?}");
    // When nobody needs it any more, it goes.
    stranger(&place.there, "tc filter del dev eth0 egress");
    let seen = (delay.entry.observe)(&undo, &delay.cx).await.unwrap();
    assert!(matches!(seen, Seen::Ours(_)), "{seen:?}");
    off(&delay, &undo).await;
}

async fn an_empty_clsact_that_was_not_there_is_told() {
    let Some((place, delay)) = begin(&CHAT, "delay", json!({ "mean": "100ms" })).await else {
        return;
    };
    let undo = on(&delay).await;
    // Somebody takes away all by which it is known whose it is.
    stranger(&place.there, "tc filter del dev eth0 egress");
    stranger(&place.there, &format!("ip link del {}", aside(&place)));
    for _ in 0..2 {
        let reverted = (delay.entry.revert)(&undo, &delay.cx).await.unwrap();
        assert!(
            matches!(&reverted, Reverted::Foreign { now, .. } if now.contains("empty clsact")),
            "{reverted:?}"
        );
        let seen = (delay.entry.observe)(&undo, &delay.cx).await.unwrap();
        assert!(
            matches!(&seen, Seen::Foreign(what) if what.contains("empty clsact")),
            "{seen:?}"
        );
    }
    stranger(&place.there, "tc qdisc del dev eth0 clsact");
    let seen = (delay.entry.observe)(&undo, &delay.cx).await.unwrap();
    assert_eq!(seen, Seen::Original);
}

async fn what_was_seen_of_it_is_forgotten_when_it_is_made_again() {
    let Some((_place, loss)) = begin(&CHAT, "loss", json!({ "percent": "60%" })).await else {
        return;
    };
    let name = loss.cx.trace_name();
    let undo = on(&loss).await;
    let dose = dose(&loss, &undo).await;
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    assert!(
        loss.cx.nursery.word(&name).is_some(),
        "a share is counted from one measurement to the next"
    );
    off(&loss, &undo).await;
    let undo = on(&loss).await;
    assert_eq!(loss.cx.nursery.word(&name), None);
    off(&loss, &undo).await;
}

async fn it_is_taken_away_where_the_target_is_gone_and_others_are_not() {
    let Some((place, delay)) = begin(&CHAT, "delay", json!({ "mean": "300ms" })).await else {
        return;
    };
    // As the containers of a pod do.
    let other = place.there.within(|| TestProcess::run(["sleep"])).unwrap();
    let before = dump(&place);
    let undo = on(&delay).await;
    kill(delay.target.process().pid);
    let seen = (delay.entry.observe)(&undo, &delay.cx).await.unwrap();
    assert!(matches!(seen, Seen::Ours(_)), "it is still there: {seen:?}");
    off(&delay, &undo).await;
    assert_eq!(dump(&place), before);
    kill(other.pid());
}

async fn it_stands_in_where_the_packet_queue_is_refused() {
    let Some((place, delay)) = begin(&CHAT, "delay", json!({ "mean": "100ms" })).await else {
        return;
    };
    let auto = also(&delay, "delay", json!({ "mean": "100ms" }));
    let change = async || {
        let undo = (auto.entry.plan)(&auto.params, &auto.target, &auto.cx).await.unwrap();
        (auto.entry.change)(&auto.params, &undo).unwrap()
    };
    assert!(change().await.contains("by the packet queue"), "{}", change().await);
    stranger(&place.there, "ip rule add fwmark 0x7 lookup 100");
    assert!(change().await.contains("by the kernel queue"), "{}", change().await);
    let packets = also(&delay, "delay", json!({ "mean": "100ms", "mechanism": "packet_queue" }));
    let refused = (packets.entry.plan)(&packets.params, &packets.target, &packets.cx)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("chosen by marks"), "{refused}");
    let both = also(
        &delay,
        "delay",
        json!({ "mean": "100ms", "jitter": "5ms", "correlation": "20%" }),
    );
    let refused = (both.entry.plan)(&both.params, &both.target, &both.cx)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("chosen by marks") && refused.contains("`correlation`"),
        "{refused}"
    );
}
