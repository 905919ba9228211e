use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::message::HEADER;
use super::*;
use crate::error::errno;
use crate::namespace::NetNamespace;
use crate::privileges::{Capability, missing};

/// A namespace of the test's own and a connection to it. `None`: this user can make none.
fn apart() -> Option<(NetNamespace, Netlink)> {
    let lacking = missing(&[Capability::SysAdmin, Capability::NetAdmin]).unwrap();
    if !lacking.is_empty() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI=true forbids to skip, and {lacking:?} are missing"
        );
        eprintln!("skipped: no {lacking:?}");
        return None;
    }
    let namespace = NetNamespace::make().unwrap();
    let netlink = namespace.within(Netlink::route).unwrap();
    Some((namespace, netlink))
}

/// Waits for what the kernel does in its own time.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::yield_now();
    }
}

fn bytes(message: Message) -> Vec<u8> {
    message.finish(0, 7).unwrap()
}

#[test]
fn a_message_is_laid_out_as_the_kernel_wants_it() {
    let message = Message::new(16, 0x600, &[1; 5])
        .put_u8(1, 9)
        .nest(2, |inner| inner.put_text(3, "ab").put_u32(4, 5));
    let written = message.finish(1, 7).unwrap();
    let mut wanted = vec![0; HEADER];
    wanted[0] = 52;
    wanted[4] = 16;
    wanted[6..8].copy_from_slice(&0x601_u16.to_ne_bytes());
    wanted[8] = 7;
    wanted.extend([1, 1, 1, 1, 1, 0, 0, 0]);
    wanted.extend([5, 0, 1, 0, 9, 0, 0, 0]);
    wanted.extend([20, 0, 2, 0x80]);
    wanted.extend([7, 0, 3, 0, b'a', b'b', 0, 0]);
    wanted.extend([8, 0, 4, 0, 5, 0, 0, 0]);
    assert_eq!(written, wanted);
}

#[test]
fn attributes_come_back_as_they_were_written() {
    let written = bytes(
        Message::new(1, 0, &[])
            .put_u8(1, 9)
            .nest(2, |inner| inner.put_text(3, "ab").put_u32(4, 5)),
    );
    let read: Vec<_> = attributes(&written[HEADER..]).map(Result::unwrap).collect();
    assert_eq!((read[0].kind, read[0].u8().unwrap()), (1, 9));
    assert!(read[0].u32().unwrap_err().to_string().contains("has 1 bytes and not 4"));
    assert_eq!((read.len(), read[1].kind), (2, 2));
    let inner: Vec<_> = read[1].nested().map(Result::unwrap).collect();
    assert_eq!((inner[0].text(), inner[1].u32().unwrap()), ("ab".to_owned(), 5));
}

#[test]
fn what_cannot_be_a_message_is_not_sent() {
    let long = vec![0; 65_532];
    for (message, why) in [
        (Message::new(1, 0, &[]).put(1, &long), "an attribute of 65536 bytes"),
        (Message::new(1, 0, &[]).put_text(1, "a\0b"), "zero byte"),
        (
            Message::new(1, 0, &[]).put(1, &long[1..]).put(2, &long[1..]),
            "a message of",
        ),
    ] {
        let error = message.finish(0, 1).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn attributes_that_lie_about_their_length_are_an_error_and_the_end() {
    for (wrong, count) in [
        (&[8, 0, 1, 0, 1, 2, 3][..], 1),
        (&[0, 0, 1, 0, 8, 0, 1, 0], 1),
        (&[3, 0, 1, 0], 1),
        (&[0xff, 0xff, 1, 0], 1),
        (&[1, 2, 3], 0),
        (&[], 0),
    ] {
        let read: Vec<_> = attributes(wrong).collect();
        assert_eq!(read.len(), count, "{wrong:?}");
        assert!(read.iter().all(Result::is_err), "{wrong:?}");
    }
}

/// An acknowledgement as the kernel sends it, to the request 7.
fn acknowledged(number: i32, flags: i32, rest: &[u8]) -> Vec<u8> {
    let mut body = number.to_ne_bytes().to_vec();
    body.extend_from_slice(rest);
    let mut message = bytes(Message::new(libc::NLMSG_ERROR as u16, flags as u16, &body));
    let length = (HEADER + body.len()) as u32;
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message
}

#[test]
fn an_answer_is_complete_with_its_acknowledgement() {
    let mut answer = Answer::to(7);
    let part = bytes(Message::new(16, 0, &[1, 2, 3, 4]));
    assert!(!answer.take(&part).unwrap());
    let other = Message::new(16, 0, &[9]).finish(0, 8).unwrap();
    assert!(!answer.take(&other).unwrap(), "an answer to somebody else");
    let both = [part, acknowledged(0, 0, &[0; 16])].concat();
    assert!(answer.take(&both).unwrap());
    assert_eq!(answer.replies().len(), 2);
    assert!(answer.replies().iter().all(|reply| reply.body == [1, 2, 3, 4]));
}

#[test]
fn an_error_comes_with_the_kernels_words() {
    let words = bytes(Message::new(0, 0, &[]).put_text(1, "no such thing"))[HEADER..].to_vec();
    let mut request = [0; 16];
    request[0] = 16;
    for flags in [libc::NLM_F_ACK_TLVS | libc::NLM_F_CAPPED, libc::NLM_F_ACK_TLVS] {
        let refused = acknowledged(-libc::EBUSY, flags, &[&request[..], &words].concat());
        let error = Answer::to(7).take(&refused).unwrap_err();
        assert_eq!(errno(&error), Some(libc::EBUSY));
        assert!(error.to_string().contains("no such thing"), "{error}");
    }
    // A request whose length leads out of the answer, no words at all, and the lowest number there is.
    request[0..4].fill(0xff);
    for (number, flags) in [(-1, libc::NLM_F_ACK_TLVS), (-1, 0), (i32::MIN, 0)] {
        let refused = acknowledged(number, flags, &request);
        assert!(Answer::to(7).take(&refused).is_err());
    }
}

#[test]
fn a_transaction_says_which_of_its_messages_was_refused() {
    let make = |count: usize| {
        let mut transaction = Transaction::new(10);
        for number in 0..count {
            transaction.push(format!("number {number}"), Message::new(2560, 0, &[1, 0, 0, 0]));
        }
        transaction
    };
    // The first of its numbers is that of its beginning, and so on; 7 is the one that `acknowledged` has.
    for (first, number, why) in [
        (7, 0, "a transaction of 2 messages was refused as a whole"),
        (6, 1, "message 1 of 2 was refused, number 0"),
        (5, 2, "message 2 of 2 was refused, number 1"),
        (4, 3, "a transaction of 2 messages was refused as a whole"),
    ] {
        let (bytes, mut outcome) = make(2).finish(first).unwrap();
        assert_eq!((bytes.len(), outcome.last()), (4 * 20, first + 3));
        assert_eq!((bytes[4], bytes[16..20].to_vec()), (0x10, vec![0, 0, 0, 10]));
        assert_eq!((bytes[64], bytes[76..].to_vec()), (0x11, vec![0, 0, 0, 10]));
        let error = outcome.take(&acknowledged(-libc::EBUSY, 0, &[0; 16])).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(errno(&error), Some(libc::EBUSY));
        let done = outcome.take(&acknowledged(0, 0, &[0; 16])).unwrap();
        assert_eq!(done, number == 2, "the last message is acknowledged");
    }
    for (first, sequence) in [(8, 7), (3, 7), (u32::MAX, 7)] {
        let (_, mut outcome) = make(2).finish(first).unwrap();
        let strange = outcome.take(&acknowledged(-libc::EBUSY, 0, &[0; 16])).unwrap();
        assert!(!strange, "{sequence} is none of those from {first} on");
    }
    for count in [0, 3000] {
        let error = make(count).finish(1).unwrap_err().to_string();
        assert!(error.contains("messages: it may have 1 to"), "{error}");
    }
    let mut long = Transaction::new(10);
    for _ in 0..4 {
        long.push("long", Message::new(0, 0, &[]).put(1, &vec![0; 60_000]));
    }
    assert!(long.finish(1).unwrap_err().to_string().contains("bytes: it may have"));
}

#[test]
fn messages_that_lie_about_their_length_are_errors() {
    let mut message = bytes(Message::new(16, 0, &[1, 2, 3, 4]));
    for length in [0_u32, 15, 21, u32::MAX] {
        message[..4].copy_from_slice(&length.to_ne_bytes());
        assert!(Answer::to(7).take(&message).is_err(), "{length}");
    }
    assert!(Answer::to(7).take(&acknowledged(0, 0, &[])[..18]).is_err());
    assert!(!Answer::to(7).take(&message[..15]).unwrap());
    fuzz_answer(&message);
}

#[test]
fn a_bridge_keeps_an_address_that_was_given() {
    let Some((_namespace, mut netlink)) = apart() else {
        return;
    };
    let other = NetNamespace::make().unwrap();
    let bridge = netlink.make_bridge("a-bridge").unwrap();
    let pair = netlink.make_pair("a-pair", "its-other", &other).unwrap();
    // Less than every one that is drawn.
    netlink.set_hardware_address(pair, &[2, 0, 0, 0, 0, 0]).unwrap();
    let address = |netlink: &mut Netlink| netlink.link(bridge).unwrap().unwrap().address;
    let given = address(&mut netlink);
    netlink.set_hardware_address(bridge, &given).unwrap();
    netlink.set_master(pair, Some(bridge)).unwrap();
    assert_eq!(address(&mut netlink), given);
    assert!(netlink.set_hardware_address(bridge, &[1; 6]).is_err());
}

#[test]
fn links_are_made_listed_changed_and_removed() {
    let Some((_namespace, mut netlink)) = apart() else {
        return;
    };
    let other = NetNamespace::make().unwrap();
    let bridge = netlink.make_bridge("a-bridge").unwrap();
    let pair = netlink.make_pair("a-pair", "its-other", &other).unwrap();
    netlink.set_up(bridge, true).unwrap();
    netlink.add_address(bridge, Ipv4Addr::new(10, 1, 2, 3), 24).unwrap();
    netlink.set_up(pair, true).unwrap();
    netlink.set_master(pair, Some(bridge)).unwrap();

    let mut there = other.within(Netlink::route).unwrap();
    let end = there.link_by_name("its-other").unwrap().unwrap();
    assert!(end.is("veth") && !end.up && end.address.len() == 6);
    assert_eq!(end.other, Some(pair));
    // Its other end is down: no carrier. The kernel looks at carriers in its own time (`linkwatch_event`).
    until("its carrier is gone", || {
        let found = netlink.link(pair).unwrap().unwrap();
        found.up && !found.operational && found.state == Some(PortState::Disabled)
    });
    let mut links = netlink.links().unwrap();
    links.sort_by_key(|link| link.index);
    assert!(links[0].loopback && links[0].kind.is_none());
    let found = links.iter().find(|link| link.index == pair).unwrap();
    assert_eq!(Some(found), netlink.link(pair).unwrap().as_ref());
    assert_eq!((found.name.as_str(), found.master), ("a-pair", Some(bridge)));
    assert_eq!(
        (found.other, found.port_kind.as_deref()),
        (Some(end.index), Some("bridge"))
    );
    assert_eq!(found.other_namespace, netlink.namespace_number(&other).unwrap());
    assert!(found.other_namespace.is_some());
    let error = netlink.set_port_state(pair, PortState::Forwarding).unwrap_err();
    assert_eq!(errno(&error), Some(libc::ENETDOWN), "{error}");

    there.set_up(end.index, true).unwrap();
    until("it forwards", || {
        netlink.link(pair).unwrap().unwrap().state == Some(PortState::Forwarding)
    });
    netlink.set_port_state(pair, PortState::Disabled).unwrap();
    let found = netlink.link(pair).unwrap().unwrap();
    assert!(found.operational && found.state == Some(PortState::Disabled));
    netlink.set_port_state(pair, PortState::Forwarding).unwrap();
    netlink.set_master(pair, None).unwrap();
    let found = netlink.link(pair).unwrap().unwrap();
    assert_eq!((found.master, found.state), (None, None));
    assert!(netlink.set_port_state(pair, PortState::Disabled).is_err());

    assert_eq!(
        netlink.link(bridge).unwrap().unwrap().bridge,
        Some(Bridge { stp: false, mst: false })
    );
    netlink.remove_link(pair).unwrap();
    assert_eq!(netlink.link(pair).unwrap(), None);
    assert_eq!(there.link(end.index).unwrap(), None);
    assert_eq!(errno(&netlink.remove_link(pair).unwrap_err()), Some(libc::ENODEV));
}

#[test]
fn a_namespace_that_has_no_number_here_is_none() {
    let Some((_namespace, mut netlink)) = apart() else {
        return;
    };
    let other = NetNamespace::make().unwrap();
    assert_eq!(netlink.namespace_number(&other).unwrap(), None);
    let file = tempfile::tempfile().unwrap();
    assert!(netlink.namespace_number(&file).is_err(), "a file that is no namespace");
}

#[test]
fn names_that_the_kernel_would_not_take_are_told() {
    let Some((_namespace, mut netlink)) = apart() else {
        return;
    };
    for name in ["", ".", "..", "a b", "a/b", "a:b", "a\nb", "a\0", "sixteen-letters-"] {
        let error = netlink.make_bridge(name).unwrap_err().to_string();
        assert!(error.contains("is no name of a link"), "{error}");
    }
    netlink.make_bridge("fifteen-letters").unwrap();
    let error = netlink.make_bridge("fifteen-letters").unwrap_err();
    assert_eq!(errno(&error), Some(libc::EEXIST));
}

/// What iproute2 says within the namespace; `None`, with a printed skip, without it.
#[expect(clippy::disallowed_methods, reason = "a peer to compare with")]
fn peer(namespace: &NetNamespace, program: &str, words: &[&str]) -> Option<String> {
    let run = || std::process::Command::new(program).args(words).output();
    match namespace.within(run) {
        Ok(output) => {
            assert!(output.status.success(), "{output:?}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "no {program}");
            eprintln!("skipped: no {program}");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

#[test]
fn iproute2_sees_what_we_write_and_we_see_what_it_writes() {
    let Some((namespace, mut netlink)) = apart() else {
        return;
    };
    let other = NetNamespace::make().unwrap();
    let bridge = netlink.make_bridge("br").unwrap();
    let pair = netlink.make_pair("pair", "other", &other).unwrap();
    netlink.set_master(pair, Some(bridge)).unwrap();
    netlink.set_up(bridge, true).unwrap();
    let Some(shown) = peer(&namespace, "ip", &["-d", "-j", "link", "show", "dev", "pair"]) else {
        return;
    };
    let found = netlink.link(pair).unwrap().unwrap();
    for wanted in [
        format!(r#""ifindex":{pair},"#),
        r#""ifname":"pair""#.to_owned(),
        r#""master":"br""#.to_owned(),
        format!(r#""link_index":{},"#, found.other.unwrap()),
        format!(r#""link_netnsid":{},"#, found.other_namespace.unwrap()),
        r#""info_slave_kind":"bridge""#.to_owned(),
        r#""state":"disabled""#.to_owned(),
    ] {
        assert!(shown.contains(&wanted), "{wanted} is not in {shown}");
    }
    let set = |words: &[&str]| peer(&namespace, "ip", words).unwrap();
    set(&["link", "set", "dev", "br", "type", "bridge", "stp_state", "1"]);
    assert_eq!(
        netlink.link(bridge).unwrap().unwrap().bridge,
        Some(Bridge { stp: true, mst: false })
    );
    set(&["link", "set", "dev", "pair", "nomaster"]);
    set(&["link", "set", "dev", "pair", "name", "renamed"]);
    let found = netlink.link(pair).unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.master), ("renamed", None));
    // A whole list, with more links than fit in one message.
    for number in 0..60 {
        netlink.make_bridge(&format!("more-{number}")).unwrap();
    }
    let shown = set(&["-j", "link", "show"]);
    assert_eq!(netlink.links().unwrap().len(), shown.matches(r#""ifindex""#).count());
}
