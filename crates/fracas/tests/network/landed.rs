//! A fault that hits nothing of the target's own, or nothing any more, is said to have done nothing: INCONCLUSIVE, never PASSED.

use std::any::Any;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use fracas_core::record::Landed;
use fracas_lab::{TestBridge, TestNames, skip};

use crate::place::{On, Place, Target, document, doses};
use crate::support::{Bench, LIMIT, signal};

const CHAT: [&str; 2] = ["chat", "20"];
const SIGSTOP: i32 = 19;

/// A run to its end, of one fault that does nothing for this reason.
#[track_caller]
fn is_inconclusive(target: &Target, inject: &str, why: &str) {
    let bench = Bench::new();
    let said = bench.run(&document(&[(target, inject.to_owned())], "2s")).end();
    assert_eq!(said.code, 5, "{inject}: {said:?}");
    assert!(
        said.out.contains("INCONCLUSIVE") && said.out.contains(why),
        "{inject}: {said:?}"
    );
    bench.finish();
}

#[test]
fn what_nobody_sends_is_inconclusive() {
    let Some(place) = Place::in_namespaces(1, &CHAT) else {
        return;
    };
    // The chat goes to port 9.
    is_inconclusive(
        &place.targets[0],
        "delay: { mean: 20ms, ports: [7001] }",
        "no packet of the target's own",
    );
    let server = place.targets[0].far[0];
    let _names = TestNames::serve(server).unwrap();
    is_inconclusive(
        &place.targets[0],
        &format!("dns: {{ names: [db.example], answer: nxdomain, servers: [{server}] }}"),
        "no question of the target's own",
    );
}

#[test]
fn the_wrong_device_is_inconclusive() {
    let (Some(one), Some(two)) = (TestBridge::new().unwrap(), TestBridge::new().unwrap()) else {
        return skip("no privileges for links");
    };
    // The chat goes by the first route, that of eth0.
    let node = TestBridge::node(&[&one, &two], CHAT).unwrap();
    let mut kept = Vec::<Box<dyn Any>>::new();
    let target = Target::of(&node, &mut kept);
    is_inconclusive(
        &target,
        "loss: { percent: 100%, device: eth1 }",
        "no packet of the target's own",
    );
}

/// Packets pass a worker by that is stopped, and it is no use to anybody any more: the guardian ends it.
#[test]
fn what_passes_a_stopped_worker_by_is_inconclusive() {
    let Some(bridge) = TestBridge::new().unwrap() else {
        return skip("no privileges for links");
    };
    let server = bridge.address(1);
    let _names = TestNames::serve(server.into()).unwrap();
    let ask = ["ask", "20", "db.example", &server.to_string()];
    let nodes = [&CHAT[..], &ask].map(|mode| TestBridge::node(&[&bridge], mode).unwrap());
    let mut kept = Vec::<Box<dyn Any>>::new();
    let targets = nodes.each_ref().map(|node| Target::of(node, &mut kept));
    let dns = format!("dns: {{ names: [db.example], answer: nxdomain, servers: [{server}] }}");
    let faults = [(&targets[0], "delay: { mean: 20ms }".to_owned()), (&targets[1], dns)];
    let on = On::put(&faults, "10s");
    on.until("both have landed", |all| {
        let landed = |number| doses(all, number).pop().is_some_and(|dose| dose.landed == Landed::Yes);
        landed(0) && landed(1)
    });
    let workers = on.workers();
    assert_eq!(workers.len(), 2, "{workers:?}");
    for worker in &workers {
        signal(worker, SIGSTOP);
    }
    let said = on.end();
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.out.contains("INCONCLUSIVE"), "{said:?}");
    for name in ["#0", "#1"] {
        let line = said
            .out
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("✗ {name}")));
        assert!(line.is_some_and(|line| line.contains("was killed")), "{name}: {said:?}");
    }
}

/// A connection that was there before is no way past a fault: it is hit, and so the fault has landed.
#[test]
fn a_connection_established_before_is_hit() {
    let Some(place) = Place::in_namespaces(1, &["sleep"]) else {
        return;
    };
    let target = &place.targets[0];
    let listener = TcpListener::bind((target.far[0], 0)).unwrap();
    let to = listener.local_addr().unwrap();
    let mut near = target.there.within(|| TcpStream::connect_timeout(&to, LIMIT)).unwrap();
    near.set_nodelay(true).unwrap();
    let mut far = listener.accept().unwrap().0;
    far.set_read_timeout(Some(LIMIT)).unwrap();
    let mut takes = || {
        let began = Instant::now();
        near.write_all(b"x").unwrap();
        far.read_exact(&mut [0]).unwrap();
        began.elapsed()
    };
    takes();
    let on = On::put(&[(target, "delay: { mean: 50ms }".to_owned())], "10m");
    let took = takes();
    assert!(took >= Duration::from_millis(50), "{took:?}");
    on.take_off(&[0]);
}
