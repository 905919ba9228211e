use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::error::errno;
use crate::namespace::NetNamespace;
use crate::netfilter::{Action, Chain, Hook, Match, Rule, Table, Version, Way};
use crate::netlink::{Netlink, fuzz_answer};
use crate::raw::{Raw, is_too_long};
use crate::testbed::{HERE, LIMIT, Pair, THERE, may, udp, until};

const NUMBER: u16 = 4711;
/// The mark of what was sent again.
const OURS: u32 = 0x4000_0000;

/// All that this protocol sends, or receives, comes to the queue.
fn rules(protocol: i32, hook: Hook) -> [Chain; 1] {
    let way = if hook == Hook::Input { Way::In } else { Way::Out };
    [Chain {
        name: "queue".to_owned(),
        hook,
        // Before connections are known: each packet is known once.
        priority: -300,
        rules: vec![Rule {
            matches: vec![
                Match::NotMark {
                    mask: OURS,
                    value: OURS,
                },
                Match::Protocol(protocol as u8),
                Match::NotLoopback(way),
            ],
            action: Action::Queue(NUMBER),
            counted: true,
        }],
    }]
}

fn open(namespace: &NetNamespace, options: Options) -> Queue {
    namespace.within(|| Queue::open(NUMBER, &options)).unwrap()
}

/// Waits for so many packets.
fn receive(queue: &mut Queue, count: usize) -> Vec<Packet> {
    let mut packets = Vec::new();
    until("packets come to the queue", || {
        queue.receive(count - packets.len(), &mut packets).unwrap();
        packets.len() == count
    });
    packets
}

#[test]
fn packets_wait_and_go_on_are_changed_or_dropped() {
    let Some(pair) = Pair::make() else { return };
    let mut queue = open(&pair.there, Options::default());
    let table = pair
        .there
        .within(|| Table::make("hold", &rules(libc::IPPROTO_UDP, Hook::Input)))
        .unwrap();
    for version in [0, 1] {
        let (from, to) = (udp(&pair.here, HERE[version], 99), udp(&pair.there, THERE[version], 7));
        for word in [&b"one"[..], b"two", b"three"] {
            from.send_to(word, SocketAddr::new(THERE[version], 7)).unwrap();
        }
        let packets = receive(&mut queue, 3);
        let first = &packets[0];
        assert_eq!(first.version, Some([Version::V4, Version::V6][version]));
        assert_eq!((first.hook, first.queue, first.mark), (Some(Hook::Input), NUMBER, 0));
        assert_eq!((first.input, first.output), (Some(pair.far), None));
        assert!(first.is_whole() && first.payload.ends_with(b"one"));
        assert_eq!(first.payload.len(), [20, 40][version] + 8 + 3);
        to.set_nonblocking(true).unwrap();
        assert!(to.recv(&mut [0; 8]).is_err(), "it waits");
        let waiting = pair.there.within(listeners).unwrap();
        assert_eq!((waiting.len(), waiting[0].number, waiting[0].waiting), (1, NUMBER, 3));
        // In another order, the second is gone, the third says something else; the checksum that it has instead is none, which only
        // IPv4 allows.
        let mut other = packets[2].payload.clone();
        let end = other.len();
        other[end - 5..].copy_from_slice(b"THREE");
        let checksum = if version == 0 {
            [0, 0]
        } else {
            [other[end - 7], other[end - 6]]
        };
        other[end - 7..end - 5].copy_from_slice(&checksum);
        let third = if version == 0 {
            Verdict::Replace(&other)
        } else {
            Verdict::Accept
        };
        queue
            .decide(&[
                (packets[2].id, third),
                (packets[1].id, Verdict::Drop),
                (packets[0].id, Verdict::Accept),
            ])
            .unwrap();
        to.set_nonblocking(false).unwrap();
        let mut words = Vec::new();
        for _ in 0..2 {
            let mut buffer = [0; 8];
            let length = to.recv(&mut buffer).unwrap();
            words.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        assert_eq!(words, [["THREE", "three"][version], "one"]);
    }
    assert_eq!(queue.troubles(), Troubles::default());
    queue.decide(&[(1, Verdict::Accept)]).unwrap();
    until("the kernel refuses a verdict about nothing", || {
        assert_eq!(queue.receive(1, &mut Vec::new()).unwrap(), 0);
        queue.troubles().refused == 1
    });
    drop(table);
}

#[test]
fn one_verdict_is_enough_for_all_that_wait() {
    let Some(pair) = Pair::make() else { return };
    let mut queue = open(&pair.there, Options::default());
    let _table = pair
        .there
        .within(|| Table::make("hold", &rules(libc::IPPROTO_UDP, Hook::Input)))
        .unwrap();
    let (from, to) = (udp(&pair.here, HERE[0], 0), udp(&pair.there, THERE[0], 7));
    for number in 0..10 {
        from.send_to(&[number], SocketAddr::new(THERE[0], 7)).unwrap();
    }
    let packets = receive(&mut queue, 10);
    queue.decide_up_to(packets[3].id, Verdict::Drop).unwrap();
    queue.decide_up_to(packets[8].id, Verdict::Accept).unwrap();
    let mut buffer = [0; 1];
    for number in 4..9 {
        to.recv(&mut buffer).unwrap();
        assert_eq!(buffer, [number]);
    }
    assert_eq!(pair.there.within(listeners).unwrap()[0].waiting, 1);
    assert!(queue.decide_up_to(1, Verdict::Replace(b"x")).is_err());
    assert!(queue.decide(&[(1, Verdict::Replace(&vec![0; LONGEST + 1]))]).is_err());
}

#[test]
fn what_finds_no_place_is_counted_or_goes_on() {
    let Some(pair) = Pair::make() else { return };
    let to = udp(&pair.there, THERE[0], 7);
    let from = udp(&pair.here, HERE[0], 0);
    for fail_open in [false, true] {
        let mut queue = open(
            &pair.there,
            Options {
                longest: 2,
                fail_open,
                ..Options::default()
            },
        );
        let mut table = pair
            .there
            .within(|| Table::make("full", &rules(libc::IPPROTO_UDP, Hook::Input)))
            .unwrap();
        for number in 0..5 {
            from.send_to(&[number], SocketAddr::new(THERE[0], 7)).unwrap();
        }
        until("five came", || table.counters().unwrap()[0][0].unwrap().packets == 5);
        let mut packets = Vec::new();
        assert_eq!(queue.receive(9, &mut packets).unwrap(), 2);
        let dropped = pair.there.within(listeners).unwrap()[0].dropped;
        assert_eq!(dropped, if fail_open { 0 } else { 3 });
        // Both that waited are dropped with the queue.
        drop((table, queue));
        from.send_to(&[9], SocketAddr::new(THERE[0], 7)).unwrap();
        let mut buffer = [0; 1];
        let went_on: Vec<u8> = std::iter::from_fn(|| {
            to.recv(&mut buffer).unwrap();
            Some(buffer[0])
        })
        .take_while(|number| *number != 9)
        .collect();
        assert_eq!(went_on, if fail_open { vec![2, 3, 4] } else { vec![] });
    }
}

#[test]
fn what_finds_no_room_in_the_socket_is_counted() {
    const SENT: u32 = 300;
    let Some(pair) = Pair::make() else { return };
    for fail_open in [false, true] {
        let options = Options {
            room: 1 << 16,
            fail_open,
            ..Options::default()
        };
        let mut queue = open(&pair.here, options);
        let mut table = pair
            .here
            .within(|| Table::make("full", &rules(libc::IPPROTO_UDP, Hook::Output)))
            .unwrap();
        let from = udp(&pair.here, HERE[0], 0);
        for _ in 0..SENT {
            // Without a way to go on the sender may be told.
            let _dropped = from.send_to(&[0; 1000], SocketAddr::new(THERE[0], 7));
        }
        assert_eq!(table.counters().unwrap()[0][0].unwrap().packets, u64::from(SENT));
        let mut packets = Vec::new();
        let came = queue.receive(SENT as usize, &mut packets).unwrap();
        assert!(came > 1 && came < SENT as usize, "{came}");
        let user_dropped = pair.here.within(listeners).unwrap()[0].user_dropped;
        assert_eq!(user_dropped, if fail_open { 0 } else { SENT - came as u32 });
        // There is room again: the next number says how many are missing.
        from.send_to(b"x", SocketAddr::new(THERE[0], 7)).unwrap();
        let next = receive(&mut queue, 1).remove(0);
        assert_eq!(next.id, SENT + 1);
        let troubles = queue.troubles();
        assert_eq!(troubles.missed, u64::from(SENT) - came as u64);
        assert_eq!((troubles.refused, troubles.overflows), (0, 0));
    }
}

#[test]
fn a_queue_has_one_listener_and_free_ones_are_found() {
    if !may() {
        return;
    }
    let namespace = NetNamespace::make().unwrap();
    namespace
        .within(|| {
            assert!(listeners()?.is_empty());
            let queue = Queue::open(NUMBER, &Options::default())?;
            assert_eq!(queue.number(), NUMBER);
            let error = Queue::open(NUMBER, &Options::default()).unwrap_err();
            assert_eq!(errno(&error), Some(libc::EPERM), "{error}");
            assert!(error.to_string().contains("packet queue 4711"), "{error}");
            let mut netlink = Netlink::netfilter()?;
            let mut chains = rules(libc::IPPROTO_UDP, Hook::Output);
            chains[0].rules[0].action = Action::Queue(NUMBER + 1);
            let _table = Table::make("queue", &chains)?;
            let taken = taken(&mut netlink)?;
            assert_eq!(taken.iter().copied().collect::<Vec<_>>(), [NUMBER, NUMBER + 1]);
            assert_eq!(free(&taken, NUMBER), Some(NUMBER + 2));
            drop(queue);
            assert!(listeners()?.is_empty());
            Ok(())
        })
        .unwrap();
    let all = (0..=u16::MAX).collect();
    assert_eq!(free(&all, 5), None);
    assert_eq!(free(&(5..=u16::MAX).collect(), 5), Some(0));
}

/// Copies what comes to the queue, drops it and sends it again, until it is told to stop. How many, and the longest.
fn again(queue: &mut Queue, raw: &Raw, stop: &AtomicBool) -> (usize, usize) {
    let (mut count, mut longest) = (0, 0);
    let mut packets = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let wait = Timespec::try_from(Duration::from_millis(5)).unwrap();
        poll(&mut [PollFd::new(&*queue, PollFlags::IN)], Some(&wait)).unwrap();
        queue.receive(64, &mut packets).unwrap();
        let Some(last) = packets.last() else { continue };
        queue.decide_up_to(last.id, Verdict::Drop).unwrap();
        for packet in packets.drain(..) {
            assert!(packet.is_whole());
            longest = longest.max(packet.length);
            raw.send(&packet.payload, packet.mark | OURS, packet.output).unwrap();
            count += 1;
        }
    }
    (count, longest)
}

/// Does something while all that this protocol sends from `here` is copied, dropped and sent again. How many, and the longest.
fn while_sent_again(pair: &Pair, protocol: i32, work: impl FnOnce()) -> (usize, usize) {
    let mut queue = open(&pair.here, Options::default());
    let raw = pair.here.within(Raw::open).unwrap();
    let mut table = pair
        .here
        .within(|| Table::make("again", &rules(protocol, Hook::Output)))
        .unwrap();
    let stop = AtomicBool::new(false);
    let found = std::thread::scope(|scope| {
        let thread = scope.spawn(|| again(&mut queue, &raw, &stop));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        let found = thread.join().unwrap();
        if let Err(panic) = done {
            std::panic::resume_unwind(panic);
        }
        found
    });
    assert_eq!(queue.troubles(), Troubles::default());
    let counted = table.counters().unwrap()[0][0].unwrap().packets;
    assert!(counted > 0 && counted <= found.0 as u64, "{counted} of {found:?}");
    found
}

#[test]
fn udp_goes_on_by_copies() {
    let Some(pair) = Pair::make() else { return };
    let (count, _) = while_sent_again(&pair, libc::IPPROTO_UDP, || {
        for version in [0, 1] {
            let (from, to) = (udp(&pair.here, HERE[version], 99), udp(&pair.there, THERE[version], 7));
            for number in 0..50 {
                from.send_to(&[number; 1400], SocketAddr::new(THERE[version], 7))
                    .unwrap();
                let mut buffer = [0; 1500];
                assert_eq!(to.recv(&mut buffer).unwrap(), 1400);
                assert_eq!(buffer[..1400], [number; 1400]);
            }
        }
    });
    assert_eq!(count, 100);
}

#[test]
fn a_connection_of_tcp_goes_on_by_copies() {
    const BYTES: usize = 4 << 20;
    let Some(pair) = Pair::make() else { return };
    let (_, longest) = while_sent_again(&pair, libc::IPPROTO_TCP, || {
        for version in [0, 1] {
            let address = SocketAddr::new(THERE[version], 80);
            let listener = pair.there.within(|| TcpListener::bind(address)).unwrap();
            let mut stream = pair
                .here
                .within(|| TcpStream::connect_timeout(&address, LIMIT))
                .unwrap();
            let (mut other, _) = listener.accept().unwrap();
            for stream in [&stream, &other] {
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                stream.set_write_timeout(Some(LIMIT)).unwrap();
            }
            let sent: Vec<u8> = (0..BYTES).map(|number| (number / 7) as u8).collect();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut got = vec![0; BYTES];
                    other.read_exact(&mut got).unwrap();
                    assert!(got.iter().enumerate().all(|(number, byte)| *byte == (number / 7) as u8));
                    other.write_all(b"thanks").unwrap();
                });
                stream.write_all(&sent).unwrap();
                let mut thanks = [0; 6];
                stream.read_exact(&mut thanks).unwrap();
                assert_eq!(&thanks, b"thanks");
            });
        }
    });
    // The kernel makes packets of up to 64 KiB for such a link, and cuts them up for us.
    assert_eq!(longest, 1500);
}

#[test]
fn what_is_too_long_to_be_sent_again_waits_and_goes_on() {
    let Some(pair) = Pair::make() else { return };
    let mut queue = open(&pair.here, Options::default());
    let raw = pair.here.within(Raw::open).unwrap();
    let _table = pair
        .here
        .within(|| Table::make("long", &rules(libc::IPPROTO_UDP, Hook::Output)))
        .unwrap();
    for version in [0, 1] {
        // The kernel cuts it up behind all rules, and for nobody who brings his own header.
        let (from, to) = (udp(&pair.here, HERE[version], 99), udp(&pair.there, THERE[version], 7));
        from.send_to(&[7; 4000], SocketAddr::new(THERE[version], 7)).unwrap();
        let packet = receive(&mut queue, 1).remove(0);
        assert_eq!((packet.length, packet.is_whole()), ([4028, 4048][version], true));
        let error = raw.send(&packet.payload, OURS, packet.output).unwrap_err();
        assert!(is_too_long(&error), "{error}");
        queue.decide(&[(packet.id, Verdict::Accept)]).unwrap();
        assert_eq!(to.recv(&mut [0; 5000]).unwrap(), 4000);
    }
}

/// A message with a packet, as the kernel sends it.
fn message(body: &[u8], fill: impl FnOnce(Message) -> Message) -> Vec<u8> {
    let kind = (libc::NFNL_SUBSYS_QUEUE << 8 | libc::NFQNL_MSG_PACKET) as u16;
    fill(Message::new(kind, 0, body)).finish(0, 0).unwrap()
}

#[test]
fn packets_are_read_and_what_is_none_is_an_error() {
    let head = [&7_u32.to_be_bytes()[..], &[8, 0, 3]].concat();
    let put = |message: Message| message.put(libc::NFQA_PACKET_HDR as u16, &head);
    let good = message(&[2, 0, 0x12, 0x34], |message| {
        put(message)
            .put_be32(libc::NFQA_MARK as u16, 5)
            .put_be32(libc::NFQA_IFINDEX_OUTDEV as u16, 9)
            .put(libc::NFQA_PAYLOAD as u16, &[0x45; 30])
            .put_be32(libc::NFQA_CAP_LEN as u16, 31)
    });
    let Some(Ok(Event::Packet(packet))) = events(&good).next() else {
        panic!("a packet");
    };
    let wanted = Packet {
        id: 7,
        queue: 0x1234,
        version: Some(Version::V4),
        hook: Some(Hook::Output),
        mark: 5,
        input: None,
        output: Some(9),
        payload: vec![0x45; 30],
        length: 31,
    };
    assert_eq!(packet, wanted);
    assert!(!packet.is_whole());
    for bad in [
        message(&[2, 0, 0, 0], |message| message),
        message(&[2, 0, 0, 0], |message| {
            message.put(libc::NFQA_PACKET_HDR as u16, &head[..6])
        }),
        message(&[2, 0, 0, 0], |message| {
            put(message).put(libc::NFQA_MARK as u16, &[0; 3])
        }),
        message(&[], |message| message),
        good[..good.len() - 9].to_vec(),
    ] {
        let events: Vec<_> = events(&[bad.clone(), good.clone()].concat()).collect();
        assert!(
            matches!(events[..], [Err(_)]),
            "the first error is the last: {events:?}"
        );
        fuzz_answer(&bad);
    }
    fuzz_answer(&good);
}
