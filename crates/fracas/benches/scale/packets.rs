//! What a queue of packets costs: the round trip and the throughput of one connection without a fault, under one that does nothing, and
//! under a delay; and what happens to a bystander while a fault is put on and taken off.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fracas_lab::{TestBridge, TestNode};
use fracas_linux::netlink::Netlink;

use crate::figures::{Figures, table};
use crate::run::{LIMIT, Running, document};

/// Round trips of one round.
const TRIPS: usize = 2000;
/// Until a stream is as fast as it gets under a delay, and how long it is looked at.
const SETTLE: Duration = Duration::from_secs(2);
const WINDOW: Duration = Duration::from_secs(3);

pub(crate) fn section(rounds: usize) -> String {
    let Some(bridge) = TestBridge::new().unwrap() else {
        return String::new();
    };
    let mut rows = Vec::new();
    for (name, inject) in [
        ("no fault", None),
        // One of a million is lost: everything goes through the queue, and nothing happens to it.
        ("zero dose", Some("loss: { percent: 0.0001% }")),
        ("delay 50 ms", Some("delay: { mean: 50ms }")),
        ("rate 100 Mbit/s", Some("rate: { rate: 100mbit }")),
    ] {
        let (mut trips, mut speeds) = (Figures::of("µs"), Figures::of("Mbit/s"));
        for _ in 0..rounds {
            let place = Place::new(&bridge);
            let running = inject.map(|inject| place.put_on(inject));
            // Under a delay each takes as long as that.
            let count = if name.starts_with("delay") { 20 } else { TRIPS };
            trips.add(place.round_trip(count, 7001).as_secs_f64() * 1e6);
            speeds.add(place.stream());
            if let Some(running) = running {
                running.stop();
            }
        }
        rows.push(vec![name.to_owned(), trips.to_string(), speeds.to_string()]);
    }
    let (before, after) = bystander(&bridge, rounds);
    format!(
        "## Packets: one connection through the queue\n\nThe middle of {TRIPS} round trips of a datagram (20 under a delay), and one stream of \
         TCP for {} s.\n\n{}\nA bystander's round trip (the middle), while a `loss` of what it does not send is put on and taken off {rounds} \
         times: {before} before, {after} meanwhile.\n\n",
        WINDOW.as_secs(),
        table(&["", "round trip", "stream"], &rows)
    )
}

/// A process with a network of its own, which answers datagrams from outside.
struct Place {
    node: TestNode,
    /// The file with its pid, by which a run finds it.
    pid: tempfile::NamedTempFile,
    here: Ipv4Addr,
}

impl Place {
    fn new(bridge: &TestBridge) -> Self {
        let node = TestBridge::node(&[bridge], ["chat", "100"]).unwrap();
        let [a, b, c, _] = node.ports()[0].address.octets();
        let pid = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(pid.path(), node.process().identity().pid.to_string()).unwrap();
        Self {
            node,
            pid,
            here: Ipv4Addr::new(a, b, c, 1),
        }
    }

    fn put_on(&self, inject: &str) -> Running {
        let selector = format!("process: {{ pid_file: {} }}", self.pid.path().display());
        let running = Running::start(&document(&selector, inject), None);
        running.until("a table of packet rules", &|| self.has_table());
        running
    }

    fn has_table(&self) -> bool {
        let tables = self.node.namespace().within(|| Netlink::netfilter()?.tables());
        !tables.unwrap().is_empty()
    }

    /// The middle of so many, from the node to the bridge and back.
    fn round_trip(&self, count: usize, port: u16) -> Duration {
        let mut all: Vec<_> = self.round_trips(port).take(count).collect();
        all.sort_unstable();
        all[all.len() / 2]
    }

    fn round_trips(&self, port: u16) -> impl Iterator<Item = Duration> + use<> {
        let far = UdpSocket::bind((self.here, port)).unwrap();
        let near = self
            .node
            .namespace()
            .within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
            .unwrap();
        for socket in [&far, &near] {
            socket.set_read_timeout(Some(LIMIT)).unwrap();
        }
        let to = far.local_addr().unwrap();
        std::iter::repeat_with(move || {
            let began = Instant::now();
            near.send_to(b"ping", to).unwrap();
            let (_, from) = far.recv_from(&mut [0; 8]).unwrap();
            far.send_to(b"pong", from).unwrap();
            near.recv(&mut [0; 8]).unwrap();
            began.elapsed()
        })
    }

    /// How many Mbit one stream from the node carries in a second.
    fn stream(&self) -> f64 {
        let listener = TcpListener::bind((self.here, 0)).unwrap();
        let to: SocketAddr = listener.local_addr().unwrap();
        let mut near = self
            .node
            .namespace()
            .within(|| TcpStream::connect_timeout(&to, LIMIT))
            .unwrap();
        let mut far = listener.accept().unwrap().0;
        far.set_read_timeout(Some(LIMIT)).unwrap();
        // Ends when the other end is closed.
        let bytes = vec![7; 64 << 10];
        let sender = std::thread::spawn(move || while near.write_all(&bytes).is_ok() {});
        let mut buffer = vec![0; 256 << 10];
        let mut carries = |limit: Duration| {
            let (began, mut bytes) = (Instant::now(), 0);
            while began.elapsed() < limit {
                bytes += far.read(&mut buffer).unwrap();
            }
            bytes as f64 * 8.0 / began.elapsed().as_secs_f64() / 1e6
        };
        carries(SETTLE);
        let speed = carries(WINDOW);
        drop(far);
        sender.join().unwrap();
        speed
    }
}

/// The round trips of a bystander before a fault, and while it comes and goes.
fn bystander(bridge: &TestBridge, rounds: usize) -> (Figures, Figures) {
    let place = Place::new(bridge);
    let (mut before, mut meanwhile) = (Figures::of("µs"), Figures::of("µs"));
    for _ in 0..rounds {
        before.add(place.round_trip(TRIPS, 7002).as_secs_f64() * 1e6);
        let over = AtomicBool::new(false);
        let middle = std::thread::scope(|scope| {
            let trips = place.round_trips(7003);
            let trips = scope.spawn(|| {
                let mut all: Vec<_> = trips.take_while(|_| !over.load(Ordering::Relaxed)).collect();
                all.sort_unstable();
                all[all.len() / 2]
            });
            let running = place.put_on("loss: { percent: 100%, to: [\"*:7009/udp\"] }");
            running.stop();
            over.store(true, Ordering::Relaxed);
            trips.join().unwrap()
        });
        meanwhile.add(middle.as_secs_f64() * 1e6);
    }
    (before, meanwhile)
}
