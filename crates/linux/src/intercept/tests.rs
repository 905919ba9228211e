use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use super::*;
use crate::namespace::NetNamespace;
use crate::netfilter::{Action, Hook, Rule, Side};
use crate::packets::Carrier;
use crate::testbed::{HERE, Pair, THERE, said, udp, until};

const PORT: u16 = 4000;
const MS: Duration = Duration::from_millis(1);

/// An interceptor at work in a thread, for what its namespace sends to the port.
struct Working {
    hold: Option<UnixStream>,
    thread: Option<std::thread::JoinHandle<io::Result<()>>>,
}

impl Working {
    fn begin(namespace: &NetNamespace, name: &str, fate: impl FnMut(&Parcel) -> Fate + Send + 'static) -> Self {
        let (hold, until) = UnixStream::pair().unwrap();
        let mut interceptor = namespace.within(|| Interceptor::open(name, chains)).unwrap();
        let thread = std::thread::spawn(move || interceptor.run(until.as_fd(), || false, fate));
        Self {
            hold: Some(hold),
            thread: Some(thread),
        }
    }

    fn end(mut self) {
        self.hold.take();
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

fn chains(place: Place) -> Vec<Chain> {
    let rule = |matches, action| Rule {
        matches,
        action,
        counted: false,
    };
    let udp = |side, port| {
        vec![
            Match::Protocol(libc::IPPROTO_UDP as u8),
            Match::Port {
                side,
                first: port,
                last: port,
            },
        ]
    };
    vec![Chain {
        name: "output".to_owned(),
        hook: Hook::Output,
        priority: place.priority,
        rules: vec![
            rule([udp(Side::Source, PORT), vec![is_answer()]].concat(), Action::Untracked),
            rule(vec![Match::LeaseOver], Action::Accept),
            rule(vec![been_here()], Action::Accept),
            rule(udp(Side::Destination, PORT), Action::Queue(place.queue)),
        ],
    }]
}

/// What becomes of a word.
fn fate(parcel: &Parcel) -> Fate {
    match parcel.payload.as_slice() {
        b"late" => Fate::Later(40 * MS),
        b"lost" => Fate::Replaced(Duration::ZERO, Vec::new()),
        b"fake" => Fate::Replaced(Duration::ZERO, vec![Sent::Answer(back(parcel, b"faked"))]),
        b"slow" => Fate::Replaced(40 * MS, vec![Sent::Answer(back(parcel, b"faked"))]),
        _ => Fate::Pass,
    }
}

fn back(parcel: &Parcel, payload: &[u8]) -> Parcel {
    Parcel {
        from: parcel.to,
        to: parcel.from,
        carrier: Carrier::Udp,
        payload: payload.to_vec(),
    }
}

/// Says every word back.
fn echo(namespace: &NetNamespace, address: std::net::IpAddr, port: u16) -> SocketAddr {
    let socket = udp(namespace, address, port);
    let at = socket.local_addr().unwrap();
    // It ends when nobody asks for longer than any test takes.
    std::thread::spawn(move || {
        let mut buffer = [0; 16];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            socket.send_to(&buffer[..length], from).unwrap();
        }
    });
    at
}

/// Asks, and takes the answer only from whom it asked; empty: there was none. And how long it took.
fn ask(socket: &UdpSocket, word: &str) -> (String, Duration) {
    let began = Instant::now();
    socket.send(word.as_bytes()).unwrap();
    let mut buffer = [0; 16];
    let length = socket.recv(&mut buffer).unwrap_or_default();
    let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
    (answer, began.elapsed())
}

fn asker(pair: &Pair, to: SocketAddr) -> UdpSocket {
    let socket = udp(&pair.here, HERE[usize::from(to.is_ipv6())], 0);
    socket.connect(to).unwrap();
    socket
}

#[test]
fn each_packet_has_the_fate_that_it_is_given_and_the_others_go_on() {
    let Some(pair) = Pair::make() else { return };
    for address in THERE {
        let to = echo(&pair.there, address, PORT);
        let socket = asker(&pair, to);
        assert_eq!(ask(&socket, "fake").0, "fake", "nobody is there yet");
        let working = Working::begin(&pair.here, "it", fate);
        assert_eq!(ask(&socket, "fake").0, "faked");
        assert_eq!(ask(&socket, "other").0, "other");
        for (word, answer) in [("late", "late"), ("slow", "faked")] {
            let (heard, took) = ask(&socket, word);
            assert_eq!(heard, answer);
            assert!(took >= 40 * MS, "{word}: {took:?}");
        }
        socket.set_read_timeout(Some(200 * MS)).unwrap();
        assert_eq!(ask(&socket, "lost").0, "");
        // Whoever goes past is not asked.
        go_past(&socket).unwrap();
        assert_eq!(ask(&socket, "fake").0, "fake");
        working.end();
        let socket = asker(&pair, to);
        assert_eq!(ask(&socket, "fake").0, "fake");
    }
}

#[test]
fn what_waits_at_the_end_goes_on() {
    let Some(pair) = Pair::make() else { return };
    let to = echo(&pair.there, THERE[0], PORT);
    let (kept, faked) = (asker(&pair, to), asker(&pair, to));
    let (tell, told) = std::sync::mpsc::channel();
    let working = Working::begin(&pair.here, "it", move |parcel| {
        tell.send(()).unwrap();
        let long = Duration::from_mins(1);
        match parcel.payload.as_slice() {
            b"kept" => Fate::Later(long),
            _ => Fate::Replaced(long, vec![Sent::Answer(back(parcel, b"no"))]),
        }
    });
    kept.send(b"kept").unwrap();
    faked.send(b"faked").unwrap();
    for _ in 0..2 {
        told.recv().unwrap();
    }
    working.end();
    for (socket, word) in [(kept, "kept"), (faked, "faked")] {
        let mut buffer = [0; 16];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], word.as_bytes());
    }
}

#[test]
fn two_compose_and_a_fourth_finds_no_place() {
    let Some(pair) = Pair::make() else { return };
    let socket = asker(&pair, echo(&pair.there, THERE[0], PORT));
    let one = Working::begin(&pair.here, "one", |_| Fate::Later(20 * MS));
    let two = Working::begin(&pair.here, "two", fate);
    let (heard, took) = ask(&socket, "late");
    assert!(heard == "late" && took >= 60 * MS, "{heard:?} {took:?}");
    let three = Working::begin(&pair.here, "three", |_| Fate::Pass);
    let error = pair.here.within(|| Interceptor::open("four", chains)).unwrap_err();
    assert!(error.to_string().starts_with("there are 3 interceptors"), "{error}");
    one.end();
    three.end();
    let (heard, took) = ask(&socket, "fake");
    assert!(heard == "faked" && took < 20 * MS, "{heard:?} {took:?}");
    two.end();
    assert_eq!(ask(&socket, "fake").0, "fake");
}

/// As a container engine does with its own name server.
#[test]
fn an_answer_comes_from_whom_was_asked_also_where_addresses_are_translated() {
    let Some(pair) = Pair::make() else { return };
    echo(&pair.there, THERE[0], 4711);
    for line in [
        "add table ip nat",
        "add chain ip nat output { type nat hook output priority -100; }",
        "add rule ip nat output udp dport 4000 dnat to 10.77.0.2:4711",
    ] {
        if said(&pair.here, "nft", &[line]).is_none() {
            return;
        }
    }
    let socket = asker(&pair, SocketAddr::new(THERE[0], PORT));
    assert_eq!(ask(&socket, "fake").0, "fake");
    let working = Working::begin(&pair.here, "it", fate);
    // The kernel follows what this socket has sent before.
    for (word, answer) in [("fake", "faked"), ("other", "other"), ("slow", "faked")] {
        assert_eq!(ask(&socket, word).0, answer);
    }
    working.end();
    assert_eq!(ask(&socket, "fake").0, "fake");
}

#[test]
fn it_leaves_with_its_owner() {
    let Some(pair) = Pair::make() else { return };
    let socket = asker(&pair, echo(&pair.there, THERE[0], PORT));
    let interceptor = pair.here.within(|| Interceptor::open("it", chains)).unwrap();
    let has = || pair.here.within(|| Netlink::netfilter()?.has_table("it")).unwrap();
    assert!(has());
    drop(interceptor);
    assert!(!has());
    assert_eq!(ask(&socket, "fake").0, "fake");
}

#[test]
fn what_is_not_served_is_passed_by() {
    let Some(pair) = Pair::make() else { return };
    let socket = asker(&pair, echo(&pair.there, THERE[0], PORT));
    socket.set_read_timeout(Some(100 * MS)).unwrap();
    let _nobody_serves_it = pair.here.within(|| Interceptor::open("it", chains)).unwrap();
    assert_eq!(ask(&socket, "other").0, "");
    until("its lease is over", || ask(&socket, "other").0 == "other");
}
