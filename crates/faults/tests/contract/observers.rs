//! Faults on packets leave those alone who measure, unless they are told to blind them.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use fracas_core::observer::{Asked, Observer};
use fracas_core::record::Landed;
use serde_json::{Value, json};

use crate::fixture::{LIMIT, Stage, here};
use crate::impairments::{CHAT, MS, Place, also, dose, off, on, place, stage};

tests! {
    a_delay_leaves_a_probe_alone_on_the_port_that_it_asks,
    a_connection_drop_leaves_those_alone_who_measure,
    a_partition_leaves_a_probe_alone,
    a_connection_reset_leaves_a_probe_alone,
    more_who_measure_than_rules_are_refused,
}

const ASKED: u16 = 80;
const OTHER: u16 = 81;

/// A probe of the bridge's that asks the target.
fn probe(place: &Place, target: Ipv4Addr) -> Observer {
    Observer {
        who: "probe `up`".to_owned(),
        addresses: vec![place.here.into()],
        asks: Some(Asked {
            address: Some(target.into()),
            port: ASKED,
        }),
    }
}

fn listeners(place: &Place, target: Ipv4Addr) -> [TcpListener; 2] {
    [ASKED, OTHER].map(|port| place.there.within(|| TcpListener::bind((target, port))).unwrap())
}

/// How long it takes to open a connection from the bridge.
fn opens(target: Ipv4Addr, port: u16, limit: Duration) -> Result<Duration, ErrorKind> {
    let began = Instant::now();
    let to = SocketAddr::from((target, port));
    let opened = TcpStream::connect_timeout(&to, limit).map_err(|error| error.kind());
    opened.map(|_| began.elapsed())
}

fn change(stage: &Stage, undo: &Value) -> String {
    (stage.entry.change)(&stage.params, undo).unwrap()
}

async fn a_delay_leaves_a_probe_alone_on_the_port_that_it_asks() {
    let Some((place, node)) = place(&CHAT) else { return };
    let own = node.ports()[0].address;
    let _listeners = listeners(&place, own);
    let mean = 300 * MS;
    let mut first = stage(node, "delay", json!({ "mean": "300ms" })).await;
    let mut inward = also(&first, "delay", json!({ "mean": "300ms", "direction": "ingress" }));
    let mut blinding = also(&first, "delay", json!({ "mean": "300ms", "include_observers": true }));
    for stage in [&mut first, &mut inward] {
        stage.cx.observers = vec![probe(&place, own)];
        let undo = on(stage).await;
        let said = change(stage, &undo);
        let left = format!("; left alone: probe `up` ({} to port 80)", place.here);
        assert!(said.contains(&left), "{said}");
        let (asked, other) = (opens(own, ASKED, LIMIT).unwrap(), opens(own, OTHER, LIMIT).unwrap());
        assert!(asked < mean && other >= mean, "{asked:?} {other:?}");
        if stage.params.get("direction").is_none() {
            // The chat is hit all the same.
            let dose = dose(stage, &undo).await;
            assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
        }
        off(stage, &undo).await;
    }
    blinding.cx.observers = vec![probe(&place, own)];
    let undo = on(&blinding).await;
    let said = change(&blinding, &undo);
    assert!(
        said.contains(&format!("; it blinds probe `up` ({} to port 80)", place.here)),
        "{said}"
    );
    assert!(opens(own, ASKED, LIMIT).unwrap() >= mean);
    off(&blinding, &undo).await;
}

async fn a_connection_drop_leaves_those_alone_who_measure() {
    let Some((place, node)) = place(&CHAT) else { return };
    let own = node.ports()[0].address;
    let _listeners = listeners(&place, own);
    let mut probed = stage(node, "connection_drop", json!({})).await;
    let mut scraped = also(&probed, "connection_drop", json!({}));
    let mut blinded = also(&probed, "connection_drop", json!({ "include_observers": true }));
    let short = 500 * MS;
    probed.cx.observers = vec![probe(&place, own)];
    blinded.cx.observers = vec![probe(&place, own)];
    let undo = on(&probed).await;
    assert!(opens(own, ASKED, LIMIT).is_ok());
    assert_eq!(opens(own, OTHER, short), Err(ErrorKind::TimedOut));
    let seen = dose(&probed, &undo).await;
    assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    off(&probed, &undo).await;

    // A container talks with the target as it likes; one of another address is not this one.
    let container = |address: Ipv4Addr| Observer {
        who: "container prometheus".to_owned(),
        addresses: vec![address.into()],
        asks: None,
    };
    let [a, b, c, _] = place.here.octets();
    scraped.cx.observers = vec![container(place.here)];
    let undo = on(&scraped).await;
    assert!(opens(own, OTHER, LIMIT).is_ok());
    off(&scraped, &undo).await;
    scraped.cx.observers = vec![container(Ipv4Addr::new(a, b, c, 200))];
    let undo = on(&scraped).await;
    assert_eq!(opens(own, OTHER, short), Err(ErrorKind::TimedOut));
    off(&scraped, &undo).await;

    let undo = on(&blinded).await;
    assert_eq!(opens(own, ASKED, short), Err(ErrorKind::TimedOut));
    off(&blinded, &undo).await;
}

async fn a_partition_leaves_a_probe_alone() {
    let Some((place, node)) = place(&CHAT) else { return };
    let own = node.ports()[0].address;
    let _listeners = listeners(&place, own);
    let mut part = stage(node, "partition", json!({ "from": "others" })).await;
    part.cx.others = vec![here()];
    let another = Observer {
        who: "probe `ready`".to_owned(),
        ..probe(&place, own)
    };
    part.cx.observers = vec![probe(&place, own), another];
    let undo = on(&part).await;
    let said = change(&part, &undo);
    let left = format!("; left alone: probe `up` and probe `ready` ({} to port 80)", place.here);
    assert!(said.contains(&left), "{said}");
    assert!(opens(own, ASKED, LIMIT).is_ok());
    assert_eq!(opens(own, OTHER, 500 * MS), Err(ErrorKind::TimedOut));
    let seen = dose(&part, &undo).await;
    assert_eq!(seen.landed, Landed::Yes, "{seen:?}");
    off(&part, &undo).await;
}

async fn a_connection_reset_leaves_a_probe_alone() {
    let Some((place, node)) = place(&CHAT) else { return };
    let own = node.ports()[0].address;
    let listeners = listeners(&place, own);
    let open = |at: usize, port: u16| {
        let near = TcpStream::connect_timeout(&SocketAddr::from((own, port)), LIMIT).unwrap();
        near.set_read_timeout(Some(300 * MS)).unwrap();
        (near, listeners[at].accept().unwrap().0)
    };
    let (mut asked, mut other) = (open(0, ASKED), open(1, OTHER));
    let mut reset = stage(node, "connection_reset", json!({})).await;
    reset.cx.observers = vec![probe(&place, own)];
    let undo = on(&reset).await;
    let ended = |stream: &mut TcpStream| stream.read(&mut [0]).unwrap_err().kind();
    assert_eq!(ended(&mut other.0), ErrorKind::ConnectionReset);
    assert_eq!(ended(&mut asked.0), ErrorKind::WouldBlock, "it is open still");
    let mut blinding = also(&reset, "connection_reset", json!({ "include_observers": true }));
    blinding.cx.observers = vec![probe(&place, own)];
    assert!(change(&reset, &undo).contains("; left alone: probe `up`"));
    on(&blinding).await;
    assert_eq!(ended(&mut asked.0), ErrorKind::ConnectionReset);
}

async fn more_who_measure_than_rules_are_refused() {
    let Some((_place, node)) = place(&CHAT) else { return };
    let mut stage = stage(node, "loss", json!({ "percent": "10%" })).await;
    let mut blinding = also(&stage, "loss", json!({ "percent": "10%", "include_observers": true }));
    let many = (1..=65).map(|host| IpAddr::from([192, 0, 2, host])).collect();
    stage.cx.observers = vec![Observer {
        who: "container prometheus".to_owned(),
        addresses: many,
        asks: None,
    }];
    blinding.cx.observers.clone_from(&stage.cx.observers);
    let problem = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
        .await
        .unwrap_err();
    assert!(
        problem
            .to_string()
            .contains("measured from 65 addresses and ports, more than 64"),
        "{problem}"
    );
    // Who is hit needs no rule.
    let undo = (blinding.entry.plan)(&blinding.params, &blinding.target, &blinding.cx)
        .await
        .unwrap();
    assert!(change(&blinding, &undo).contains("; it blinds container prometheus (192.0.2.1)"));
}
