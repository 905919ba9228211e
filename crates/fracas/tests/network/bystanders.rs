//! Whoever a fault is not about notices nothing of it, however often it comes and goes. `cargo xtask bench` does this a thousand times.

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fracas_lab::{TestBridge, TestNode, skip};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;

use crate::place::{On, Target};
use crate::support::LIMIT;

/// How often the fault comes and goes.
const TURNS: usize = 3;
/// By how much the middle of all round trips may move.
const SHIFT: Duration = Duration::from_micros(50);

#[test]
fn bystanders_notice_nothing_when_a_fault_comes_and_goes() {
    let Some(bridge) = TestBridge::new().unwrap() else {
        return skip("no privileges for links");
    };
    let nodes = [(); 2].map(|()| TestBridge::node(&[&bridge], ["chat", "20"]).unwrap());
    let mut kept = Vec::<Box<dyn Any>>::new();
    let target = Target::of(&nodes[0], &mut kept);
    // The fault is about the first address of the bridge. Another address for the same target, and the same one for another.
    let hit = bridge.address(1);
    let other = bridge.address(2);
    Netlink::route()
        .unwrap()
        .add_address(bridge.index(), other, 24)
        .unwrap();
    let bystanders = [(&nodes[0], other), (&nodes[1], hit)];
    let before = bystanders.map(|(node, to)| middle(&Echo::new(node, to).until(&after(Duration::from_secs(1)))));
    let over = AtomicBool::new(false);
    let during = std::thread::scope(|scope| {
        let series = bystanders.map(|(node, to)| {
            let over = &over;
            scope.spawn(move || middle(&Echo::new(node, to).until(&|| over.load(Ordering::Relaxed))))
        });
        for _ in 0..TURNS {
            On::put(&[(&target, format!("delay: {{ mean: 50ms, to: [{hit}] }}"))], "10m").take_off(&[0]);
        }
        over.store(true, Ordering::Relaxed);
        series.map(|one| one.join().unwrap())
    });
    for ((before, during), who) in before.iter().zip(during).zip(["another address", "another namespace"]) {
        println!("{who}: {before:?} before, {during:?} while a delay came and went {TURNS} times");
        assert!(during < *before + SHIFT, "{who}: {during:?} after {before:?}");
    }
}

fn after(time: Duration) -> impl Fn() -> bool {
    let began = Instant::now();
    move || began.elapsed() > time
}

fn middle(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// Round trips of datagrams, one after the other.
struct Echo {
    near: UdpSocket,
    far: UdpSocket,
}

impl Echo {
    fn new(node: &TestNode, to: Ipv4Addr) -> Self {
        let far = UdpSocket::bind((to, 0)).unwrap();
        let there: &NetNamespace = node.namespace();
        let near = there.within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).unwrap();
        near.connect((IpAddr::from(to), far.local_addr().unwrap().port()))
            .unwrap();
        for socket in [&near, &far] {
            // One that is lost ends the test.
            socket.set_read_timeout(Some(LIMIT)).unwrap();
        }
        Self { near, far }
    }

    fn until(&self, over: &dyn Fn() -> bool) -> Vec<Duration> {
        let mut times = Vec::new();
        while !over() {
            let began = Instant::now();
            self.near.send(b"ping").unwrap();
            let (_, from) = self.far.recv_from(&mut [0; 8]).unwrap();
            self.far.send_to(b"pong", from).unwrap();
            self.near.recv(&mut [0; 8]).unwrap();
            times.push(began.elapsed());
            // Not all of a processor: what is measured beside it must run, too.
            std::thread::park_timeout(Duration::from_millis(1));
        }
        times
    }
}
