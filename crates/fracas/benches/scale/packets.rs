//! What a queue of packets costs: the round trip and the throughput of one connection without a fault, under one that does nothing, and
//! under a delay.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use fracas_lab::{TestBridge, TestNode};

use crate::figures::{Figures, table};
use crate::namespaces::has_table;
use crate::run::{LIMIT, Running, document};

/// Round trips of one round.
pub(crate) const TRIPS: usize = 2000;
/// Until a stream is as fast as it gets under a delay, and how long it is looked at.
const SETTLE: Duration = Duration::from_secs(2);
const WINDOW: Duration = Duration::from_secs(3);
/// A datagram that takes so long is lost.
pub(crate) const LOST: Duration = Duration::from_secs(2);

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
    format!(
        "## Packets through the queue\n\nThe middle of {TRIPS} round trips of a datagram (20 under a delay), and one stream of \
         TCP for {} s.\n\n{}\n",
        WINDOW.as_secs(),
        table(&["", "round trip", "stream"], &rows)
    )
}

/// A process with a network of its own, which answers datagrams from outside.
pub(crate) struct Place {
    node: TestNode,
    /// The file with its pid, by which a run finds it.
    pid: tempfile::NamedTempFile,
    here: Ipv4Addr,
}

impl Place {
    pub(crate) fn new(bridge: &TestBridge) -> Self {
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

    pub(crate) fn put_on(&self, inject: &str) -> Running {
        let selector = format!("process: {{ pid_file: {} }}", self.pid.path().display());
        let running = Running::start(&document(&selector, inject), None);
        running.until("a table of packet rules", &|| has_table(&self.node));
        running
    }

    /// From the node to an address of the bridge and back, again and again.
    pub(crate) fn round_trips(&self, to: (Ipv4Addr, u16)) -> impl Iterator<Item = Duration> + use<> {
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

    /// What the kernel knows of the queues, connections and neighbours there, should a stream stand still.
    fn kernel_says(&self) -> String {
        let files = ["netfilter/nfnetlink_queue", "tcp", "netstat", "arp"];
        let read = || {
            let read = files.map(|file| std::fs::read_to_string(format!("/proc/thread-self/net/{file}")));
            Ok(read
                .map(|text| text.unwrap_or_else(|error| error.to_string()))
                .join("\n"))
        };
        self.node.namespace().within(read).unwrap()
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
                bytes += far
                    .read(&mut buffer)
                    .unwrap_or_else(|error| panic!("a stream stands still: {error}\n{}", self.kernel_says()));
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

/// The one in the middle, in microseconds.
pub(crate) fn middle(mut all: Vec<Duration>) -> f64 {
    all.sort_unstable();
    all[all.len() / 2].as_secs_f64() * 1e6
}
