//! What a queue of packets costs: the round trip and the throughput of one connection without a fault, under one that does nothing, and
//! under a delay; and what happens to a bystander while a fault is put on and taken off.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fracas_lab::{TestBridge, TestNode};
use fracas_linux::netlink::Netlink;

use crate::figures::{Figures, table};
use crate::namespaces::has_table;
use crate::run::{LIMIT, Running, document};

/// Round trips of one round.
const TRIPS: usize = 2000;
/// Until a stream is as fast as it gets under a delay, and how long it is looked at.
const SETTLE: Duration = Duration::from_secs(2);
const WINDOW: Duration = Duration::from_secs(3);
/// A datagram that takes so long is lost.
const LOST: Duration = Duration::from_secs(2);
/// So often a fault comes and goes in one round.
const TURNS: usize = 200;

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
            trips.add(middle(place.round_trips((place.here, 7001)).take(count).collect()));
            speeds.add(place.stream());
            if let Some(running) = running {
                running.stop();
            }
        }
        rows.push(vec![name.to_owned(), trips.to_string(), speeds.to_string()]);
    }
    let beside = bystanders(&bridge, rounds).map(|row| {
        let shift = row.meanwhile.median() - row.before.median();
        vec![
            row.who.to_owned(),
            row.before.to_string(),
            row.meanwhile.to_string(),
            format!("{shift:+.1} µs"),
            format!("{} of {}", row.lost, row.sent),
        ]
    });
    format!(
        "## Packets through the queue\n\nThe middle of {TRIPS} round trips of a datagram (20 under a delay), and one stream of \
         TCP for {} s.\n\n{}\n## Packets: bystanders\n\nThe middle of all round trips of a datagram, before and while a `delay` comes and goes {} \
         times, each in a run of its own.\n\n{}\n",
        WINDOW.as_secs(),
        table(&["", "round trip", "stream"], &rows),
        rounds * TURNS,
        table(
            &[
                "round trips",
                "before",
                "meanwhile",
                "shift (bound: 50 µs)",
                "lost (bound: none)"
            ],
            &beside
        )
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
        running.until("a table of packet rules", &|| has_table(&self.node));
        running
    }

    /// From the node to an address of the bridge and back, again and again.
    fn round_trips(&self, to: (Ipv4Addr, u16)) -> impl Iterator<Item = Duration> + use<> {
        let far = UdpSocket::bind(to).unwrap();
        let near = self
            .node
            .namespace()
            .within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
            .unwrap();
        for socket in [&far, &near] {
            socket.set_read_timeout(Some(LOST)).unwrap();
        }
        let mut number = 0_u64;
        std::iter::repeat_with(move || {
            let began = Instant::now();
            number += 1;
            near.send_to(&number.to_be_bytes(), to).unwrap();
            // One that comes when it was given up is none of this.
            let is_it = |socket: &UdpSocket| loop {
                let mut bytes = [0; 8];
                match socket.recv_from(&mut bytes) {
                    Ok((8, from)) if u64::from_be_bytes(bytes) == number => break Some((bytes, from)),
                    Ok(_) => {}
                    Err(_) => break None,
                }
            };
            let back = is_it(&far).and_then(|(bytes, from)| {
                far.send_to(&bytes, from).unwrap();
                is_it(&near)
            });
            back.map_or(LOST, |_| began.elapsed())
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

/// What a bystander has noticed.
struct Beside {
    who: &'static str,
    before: Figures,
    meanwhile: Figures,
    lost: usize,
    sent: usize,
}

/// The round trips of two bystanders before a fault, and while it comes and goes: of the target with another address than the one that is
/// hit, and of another namespace with that one.
fn bystanders(bridge: &TestBridge, rounds: usize) -> [Beside; 2] {
    let (hit, other) = (bridge.address(1), bridge.address(2));
    Netlink::route()
        .unwrap()
        .add_address(bridge.index(), other, 24)
        .unwrap();
    let (target, beside) = (Place::new(bridge), Place::new(bridge));
    let series = [
        ("of the target, with another address", &target, other),
        ("of another namespace, with the same address", &beside, hit),
    ];
    // Not all of a processor: what comes and goes beside it must run, too.
    let pause = |_: &Duration| std::thread::park_timeout(Duration::from_millis(1));
    let mut rows = series.map(|(who, ..)| Beside {
        who,
        before: Figures::of("µs"),
        meanwhile: Figures::of("µs"),
        lost: 0,
        sent: 0,
    });
    for _ in 0..rounds {
        for ((_, place, to), row) in series.iter().zip(&mut rows) {
            row.before.add(middle(
                place.round_trips((*to, 7002)).inspect(pause).take(TRIPS).collect(),
            ));
        }
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let going = series.map(|(_, place, to)| {
                let trips = place.round_trips((to, 7003));
                let over = &over;
                scope.spawn(move || {
                    let trips = trips.inspect(pause).take_while(|_| !over.load(Ordering::Relaxed));
                    trips.collect::<Vec<_>>()
                })
            });
            for _ in 0..TURNS {
                target.put_on(&format!("delay: {{ mean: 50ms, to: [{hit}] }}")).stop();
            }
            over.store(true, Ordering::Relaxed);
            for (going, row) in going.into_iter().zip(&mut rows) {
                let trips = going.join().unwrap();
                row.lost += trips.iter().filter(|trip| **trip >= LOST).count();
                row.sent += trips.len();
                row.meanwhile.add(middle(trips));
            }
        });
    }
    rows
}

/// The one in the middle, in microseconds.
fn middle(mut all: Vec<Duration>) -> f64 {
    all.sort_unstable();
    all[all.len() / 2].as_secs_f64() * 1e6
}
