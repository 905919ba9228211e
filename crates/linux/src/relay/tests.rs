use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use super::*;
use crate::namespace::NetNamespace;
use crate::netfilter::{Action, Hook, Match, Rule, Way};
use crate::testbed::{HERE, LIMIT, Pair, THERE, said, udp, until};

const PORT: u16 = 4000;
const MS: Duration = Duration::from_millis(1);

/// A relay at work in a thread, for everything that its namespace sends by a link.
struct Working {
    hold: Option<UnixStream>,
    thread: Option<std::thread::JoinHandle<io::Result<Troubles>>>,
}

impl Working {
    fn begin(namespace: &NetNamespace, name: &str, fate: impl FnMut(Came) -> Fate + Send + 'static) -> Self {
        Self::begin_with(namespace, name, chains, fate)
    }

    fn begin_with(
        namespace: &NetNamespace,
        name: &str,
        chains: impl FnOnce(Place) -> Vec<Chain> + Send,
        fate: impl FnMut(Came) -> Fate + Send + 'static,
    ) -> Self {
        let (hold, until) = UnixStream::pair().unwrap();
        let mut relay = namespace.within(|| Relay::open(name, chains)).unwrap();
        let thread = std::thread::spawn(move || relay.run(until.as_fd(), |_| false, fate));
        Self {
            hold: Some(hold),
            thread: Some(thread),
        }
    }

    fn end(mut self) -> Troubles {
        self.hold.take();
        self.thread.take().unwrap().join().unwrap().unwrap()
    }
}

fn chains(place: Place) -> Vec<Chain> {
    let Place { queue, mark, order, .. } = place;
    let rule = |matches, action| Rule {
        matches,
        action,
        counted: false,
    };
    vec![Chain {
        name: "output".to_owned(),
        hook: Hook::Output,
        priority: -310 + order,
        rules: vec![
            rule(vec![Match::LeaseOver], Action::Accept),
            rule(
                vec![Match::Mark {
                    mask: mark,
                    value: mark,
                }],
                Action::Accept,
            ),
            // What the tests send, and not the kernel's own words about neighbours and groups, which come when they want.
            rule(
                vec![Match::Protocol(libc::IPPROTO_TCP as u8), Match::NotLoopback(Way::Out)],
                Action::Queue(queue),
            ),
            rule(
                vec![Match::Protocol(libc::IPPROTO_UDP as u8), Match::NotLoopback(Way::Out)],
                Action::Queue(queue),
            ),
        ],
    }]
}

fn later(delay: Duration) -> impl FnMut(Came) -> Fate + Send + 'static {
    move |_| Fate { delay, ..Fate::PASS }
}

/// How long a datagram takes from `here` to `there`.
fn takes(from: &UdpSocket, to: &UdpSocket) -> Duration {
    let began = Instant::now();
    from.send_to(b"hello", to.local_addr().unwrap()).unwrap();
    let mut buffer = [0; 16];
    assert_eq!(to.recv(&mut buffer).unwrap(), 5);
    began.elapsed()
}

fn ends(pair: &Pair, version: usize) -> (UdpSocket, UdpSocket) {
    (
        udp(&pair.here, HERE[version], 0),
        udp(&pair.there, THERE[version], PORT),
    )
}

#[test]
fn what_is_delayed_comes_so_much_later_and_delays_add_up() {
    let Some(pair) = Pair::make() else { return };
    for version in 0..2 {
        let (from, to) = ends(&pair, version);
        let before = takes(&from, &to);
        let one = Working::begin(&pair.here, "one", later(20 * MS));
        let with_one = (0..5).map(|_| takes(&from, &to)).min().unwrap();
        let two = Working::begin(&pair.here, "two", later(30 * MS));
        let with_two = (0..5).map(|_| takes(&from, &to)).min().unwrap();
        // Not together with the other one: exactly the other is left.
        one.end();
        let without_one = (0..5).map(|_| takes(&from, &to)).min().unwrap();
        two.end();
        let after = (0..5).map(|_| takes(&from, &to)).min().unwrap();
        let seen = format!("{before:?} {with_one:?} {with_two:?} {without_one:?} {after:?}");
        // The fastest of five is late by less than 10 ms, whatever else the machine does.
        for (took, asked) in [(with_one, 20), (with_two, 50), (without_one, 30), (after, 0)] {
            assert!(took >= asked * MS && took < (asked + 10) * MS, "{seen}");
        }
    }
}

#[test]
fn what_is_lost_never_comes_and_what_is_doubled_comes_twice() {
    let Some(pair) = Pair::make() else { return };
    for version in 0..2 {
        let (from, to) = ends(&pair, version);
        let mut count = 0;
        let relay = Working::begin(&pair.here, "it", move |_| {
            count += 1;
            Fate {
                copies: count % 3,
                ..Fate::PASS
            }
        });
        for word in ["once", "twice", "never", "once"] {
            from.send_to(word.as_bytes(), to.local_addr().unwrap()).unwrap();
        }
        let mut words = Vec::new();
        for _ in 0..4 {
            let mut buffer = [0; 16];
            let length = to.recv(&mut buffer).unwrap();
            words.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        words.sort();
        assert_eq!(words, ["once", "once", "twice", "twice"]);
        relay.end();
    }
}

#[test]
fn each_packet_meets_each_relay_once_whatever_their_order() {
    let Some(pair) = Pair::make() else { return };
    let twice = |_| Fate {
        copies: 2,
        ..Fate::PASS
    };
    for delay_first in [true, false] {
        let (from, to) = ends(&pair, 0);
        let names = ["delay", "twice"];
        let begin = |name: &str| match name {
            "delay" => Working::begin(&pair.here, name, later(10 * MS)),
            _ => Working::begin(&pair.here, name, twice),
        };
        let order = if delay_first { names } else { [names[1], names[0]] };
        let relays = order.map(begin);
        let more = Working::begin(&pair.here, "more", twice);
        for _ in 0..5 {
            from.send_to(b"hello", to.local_addr().unwrap()).unwrap();
        }
        // Doubled twice; an end that is not doubled says when all have come.
        let mut buffer = [0; 16];
        let came = (0..20).filter(|_| to.recv(&mut buffer).is_ok()).count();
        assert_eq!(came, 20);
        for relay in relays {
            relay.end();
        }
        more.end();
        from.send_to(b"end", to.local_addr().unwrap()).unwrap();
        assert_eq!(to.recv(&mut buffer).unwrap(), 3, "nothing came more often");
    }
}

#[test]
fn what_waits_at_the_end_comes_at_once() {
    let Some(pair) = Pair::make() else { return };
    let (from, to) = ends(&pair, 0);
    let (tell, told) = std::sync::mpsc::channel();
    let relay = Working::begin(&pair.here, "it", move |_| {
        tell.send(()).unwrap();
        Fate {
            delay: Duration::from_mins(1),
            ..Fate::PASS
        }
    });
    for word in [&b"short"[..], &[7; 8000]] {
        from.send_to(word, to.local_addr().unwrap()).unwrap();
    }
    for _ in 0..2 {
        told.recv_timeout(LIMIT).unwrap();
    }
    let began = Instant::now();
    assert_eq!(relay.end(), Troubles::default());
    let mut buffer = [0; 9000];
    let mut lengths = [to.recv(&mut buffer).unwrap(), to.recv(&mut buffer).unwrap()];
    lengths.sort_unstable();
    assert_eq!(lengths, [5, 8000]);
    assert!(began.elapsed() < LIMIT);
}

#[test]
fn what_waits_at_the_end_comes_in_the_order_in_which_it_would_have() {
    let Some(pair) = Pair::make() else { return };
    let (from, to) = ends(&pair, 0);
    let (tell, told) = std::sync::mpsc::channel();
    let mut delays = [30, 10, 20, 40].into_iter();
    let relay = Working::begin(&pair.here, "it", move |_| {
        tell.send(()).unwrap();
        Fate {
            delay: Duration::from_secs(delays.next().unwrap_or_default()),
            ..Fate::PASS
        }
    });
    // One that is longer than its link takes waits in the kernel, the others do not.
    for size in [3, 2000, 2, 4] {
        from.send_to(&vec![7; size], to.local_addr().unwrap()).unwrap();
    }
    for _ in 0..4 {
        told.recv_timeout(LIMIT).unwrap();
    }
    assert_eq!(relay.end(), Troubles::default());
    let mut buffer = [0; 9000];
    let lengths = [(); 4].map(|()| to.recv(&mut buffer).unwrap());
    assert_eq!(lengths, [2000, 2, 3, 4]);
}

/// Waits until a datagram comes though nobody serves the relay. Each is of another socket: those that wait in the queue count against
/// theirs.
fn pass_by(pair: &Pair, to: &UdpSocket) {
    to.set_nonblocking(true).unwrap();
    until("packets pass it by", || {
        let from = udp(&pair.here, HERE[0], 0);
        from.send_to(b"hello", to.local_addr().unwrap()).unwrap();
        to.recv(&mut [0; 16]).is_ok()
    });
    to.set_nonblocking(false).unwrap();
}

#[test]
fn a_relay_that_is_not_served_is_passed_by() {
    let Some(pair) = Pair::make() else { return };
    let to = udp(&pair.there, THERE[0], PORT);
    let begun = Instant::now();
    let _stopped = pair.here.within(|| Relay::open("it", chains)).unwrap();
    pass_by(&pair, &to);
    let took = begun.elapsed();
    assert!(took + 50 * MS >= LEASE && took < 2 * LEASE, "{took:?}");
}

#[test]
fn a_relay_that_was_stopped_goes_on_and_says_so() {
    let Some(pair) = Pair::make() else { return };
    let to = udp(&pair.there, THERE[0], PORT);
    let (go_on, stopped) = std::sync::mpsc::channel();
    let mut first = true;
    let relay = Working::begin(&pair.here, "it", move |_| {
        if std::mem::take(&mut first) {
            stopped.recv_timeout(LIMIT).unwrap();
        }
        Fate {
            delay: 20 * MS,
            ..Fate::PASS
        }
    });
    pass_by(&pair, &to);
    go_on.send(()).unwrap();
    until("its lease is renewed", || {
        pair.here.within(|| Netlink::netfilter()?.has_lease("it")).unwrap()
    });
    let troubles = relay.end();
    assert_eq!((troubles.lapses, troubles.hurried), (1, 0), "{troubles:?}");
}

#[test]
fn no_more_than_so_many_bytes_wait() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let Some(pair) = Pair::make() else { return };
    let (from, to) = ends(&pair, 0);
    to.set_nonblocking(true).unwrap();
    let bytes = Arc::new(AtomicUsize::new(0));
    let waiting = Arc::clone(&bytes);
    let relay = Working::begin(&pair.here, "it", move |came| {
        waiting.fetch_add(came.length, Ordering::Relaxed);
        Fate {
            delay: Duration::from_mins(1),
            ..Fate::PASS
        }
    });
    let (mut sent, mut buffer) = (0, [0; 1500]);
    while to.recv(&mut buffer).is_err() {
        assert!(sent < 2 * MOST_BYTES, "there is no bound");
        from.send_to(&[7; 1400], to.local_addr().unwrap()).unwrap();
        sent += 1428;
        // No more are on their way than the queue takes.
        until("it takes them", || bytes.load(Ordering::Relaxed) + (1 << 20) > sent);
    }
    let waited = bytes.load(Ordering::Relaxed);
    assert!(waited >= MOST_BYTES, "{waited} bytes");
    let troubles = relay.end();
    assert!(troubles.hurried > 0 && troubles.missed == 0, "{troubles:?}");
}

#[test]
fn what_is_sent_again_takes_the_route_of_its_source() {
    let Some(pair) = Pair::make() else { return };
    let (from, to) = ends(&pair, 0);
    let (here, there) = (HERE[0].to_string(), THERE[0].to_string());
    for words in [
        vec!["route", "add", &there, "dev", "near", "table", "100"],
        vec!["rule", "add", "from", &here, "lookup", "100"],
        vec!["route", "add", "blackhole", &there],
    ] {
        if said(&pair.here, "ip", &words).is_none() {
            return;
        }
    }
    let relay = Working::begin(&pair.here, "it", later(20 * MS));
    assert!(takes(&from, &to) >= 20 * MS);
    assert_eq!(relay.end(), Troubles::default());
}

#[test]
fn what_comes_in_is_delayed_and_lost_and_changed() {
    let Some(pair) = Pair::make() else { return };
    let input = |Place { queue, order, .. }: Place| {
        let rule = |matches, action| Rule {
            matches,
            action,
            counted: false,
        };
        vec![Chain {
            name: "input".to_owned(),
            hook: Hook::Input,
            priority: -310 + order,
            rules: vec![
                rule(vec![Match::LeaseOver], Action::Accept),
                rule(vec![Match::Protocol(libc::IPPROTO_UDP as u8)], Action::Queue(queue)),
            ],
        }]
    };
    for version in 0..2 {
        let (from, to) = ends(&pair, version);
        let delay = Working::begin_with(&pair.there, "delay", input, later(20 * MS));
        let two = Working::begin_with(&pair.there, "two", input, later(30 * MS));
        let took = (0..5).map(|_| takes(&from, &to)).min().unwrap();
        assert!(took >= 50 * MS && took < 65 * MS, "{took:?}");
        assert_eq!(delay.end(), Troubles::default());
        let took = (0..5).map(|_| takes(&from, &to)).min().unwrap();
        assert!(took >= 30 * MS && took < 45 * MS, "{took:?}");
        two.end();
        let mut count = 0;
        let third = Working::begin_with(&pair.there, "third", input, move |_| {
            count += 1;
            match count {
                1 => Fate::LOST,
                // Behind the header of UDP a wrong bit is a wrong checksum, and the datagram is nobody's.
                2 => Fate {
                    flip: Some(64),
                    ..Fate::PASS
                },
                _ => Fate::PASS,
            }
        });
        for word in ["lost", "wrong", "right"] {
            from.send_to(word.as_bytes(), to.local_addr().unwrap()).unwrap();
        }
        let mut buffer = [0; 16];
        let length = to.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"right");
        third.end();
    }
}

#[test]
fn what_is_longer_than_its_link_takes_is_delayed_too() {
    let Some(pair) = Pair::make() else { return };
    for version in 0..2 {
        let (from, to) = ends(&pair, version);
        let relay = Working::begin(&pair.here, "it", later(20 * MS));
        let sent: Vec<u8> = (0..8000).map(|at| at as u8).collect();
        let began = Instant::now();
        from.send_to(&sent, to.local_addr().unwrap()).unwrap();
        let mut buffer = [0; 9000];
        let length = to.recv(&mut buffer).unwrap();
        assert!(began.elapsed() >= 20 * MS);
        assert_eq!(&buffer[..length], &sent[..]);
        relay.end();
    }
}

#[test]
fn a_stream_comes_whole_through_a_delay() {
    let Some(pair) = Pair::make() else { return };
    for address in THERE {
        let listener = pair
            .there
            .within(|| TcpListener::bind(SocketAddr::new(address, 0)))
            .unwrap();
        let relay = Working::begin(&pair.here, "it", later(2 * MS));
        let to = listener.local_addr().unwrap();
        let sent: Vec<u8> = (0..4_000_000_u32).map(|at| (at % 251) as u8).collect();
        let got = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut got = Vec::new();
                listener.accept().unwrap().0.read_to_end(&mut got).unwrap();
                got
            });
            let mut stream = pair.here.within(|| TcpStream::connect_timeout(&to, LIMIT)).unwrap();
            stream.write_all(&sent).unwrap();
            drop(stream);
            reader.join().unwrap()
        });
        assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
        relay.end();
    }
}

#[test]
fn there_are_as_many_at_once_as_there_are_marks() {
    let Some(pair) = Pair::make() else { return };
    let mut all: Vec<Relay> = (0..MOST)
        .map(|number| {
            pair.here
                .within(|| Relay::open(&format!("it-{number}"), chains))
                .unwrap()
        })
        .collect();
    let marks: std::collections::BTreeSet<u32> = all.iter().map(|relay| relay.passed).collect();
    assert_eq!(marks.len(), usize::from(MOST));
    let more = pair.here.within(|| Relay::open("more", chains)).unwrap_err();
    assert!(more.to_string().contains("there are 8 queues"), "{more}");
    all.pop();
    // The kernel closes netlink sockets in its own time.
    until("a place is free", || {
        pair.here.within(|| Relay::open("more", chains)).is_ok()
    });
    let address: IpAddr = THERE[0];
    drop(all);
    assert!(takes(&udp(&pair.here, HERE[0], 0), &udp(&pair.there, address, PORT)) < LIMIT);
}

#[test]
fn one_bit_behind_the_header_is_flipped() {
    let mut v4 = vec![0x45; 28];
    flip(&mut v4, 8 * 8 + 3);
    let mut wanted = vec![0x45; 28];
    wanted[20] ^= 8;
    assert_eq!(v4, wanted);
    let mut v6 = vec![0x60; 41];
    flip(&mut v6, 7);
    assert_eq!(v6[40], 0x60 ^ 0x80);
    for nothing in [vec![], vec![0x45; 20], vec![0x60; 40]] {
        let mut same = nothing.clone();
        flip(&mut same, 5);
        assert_eq!(same, nothing);
    }
}
