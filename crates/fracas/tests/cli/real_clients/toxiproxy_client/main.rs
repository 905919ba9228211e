//! The crate `toxiproxy_rust`: unharmed without a toxic, and each toxic that it can make seen, in both directions.
//!
//! It does not look at the status of an answer: what the API refuses it takes for done. So what was done is looked at here, by what the API
//! says of it, and by traffic. It knows no `reset_peer`, and neither changes nor takes away one toxic of several.

mod traffic;

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::time::Duration;

use toxiproxy_rust::client::Client;
use toxiproxy_rust::proxy::{Proxy, ProxyPack};

use traffic::{End, Got, LIMIT, Server, Stream};

struct Toxic {
    kind: &'static str,
    make: fn(&Proxy, String) -> &Proxy,
    attributes: &'static [(&'static str, u32)],
    /// How many bytes are said.
    count: usize,
    /// What has to be seen of it.
    acts: fn(&Got) -> bool,
}

const TOXICS: &[Toxic] = &[
    Toxic {
        kind: "latency",
        make: |proxy, stream| proxy.with_latency(stream, 150, 10, 1.0),
        attributes: &[("latency", 150), ("jitter", 10)],
        count: 1000,
        acts: |got| got.is(1000, End::Closed) && got.took_millis(140),
    },
    Toxic {
        kind: "bandwidth",
        make: |proxy, stream| proxy.with_bandwidth(stream, 500, 1.0),
        attributes: &[("rate", 500)],
        count: 100_000,
        // 20 ms may have been saved before.
        acts: |got| got.is(100_000, End::Closed) && got.took_millis(170),
    },
    Toxic {
        kind: "slow_close",
        make: |proxy, stream| proxy.with_slow_close(stream, 150, 1.0),
        attributes: &[("delay", 150)],
        count: 1000,
        acts: |got| got.is(1000, End::Closed) && got.took_millis(145),
    },
    Toxic {
        kind: "timeout",
        make: |proxy, stream| proxy.with_timeout(stream, 100, 1.0),
        attributes: &[("timeout", 100)],
        count: 1000,
        acts: |got| got.is(0, End::Closed) && got.took_millis(95),
    },
    Toxic {
        kind: "slicer",
        make: |proxy, stream| proxy.with_slicer(stream, 100, 0, 10_000, 1.0),
        attributes: &[("average_size", 100), ("size_variation", 0), ("delay", 10_000)],
        count: 1000,
        // 9 pauses between 10 pieces.
        acts: |got| got.is(1000, End::Closed) && got.took_millis(85),
    },
    Toxic {
        kind: "limit_data",
        make: |proxy, stream| proxy.with_limit_data(stream, 700, 1.0),
        attributes: &[("bytes", 700)],
        count: 1000,
        acts: |got| got.is(700, End::Closed),
    },
];

fn listens(proxy: &Proxy) -> &str {
    &proxy.proxy_pack.listen
}

/// A proxy of the server. Nobody else takes the server's port at another address, also while nobody listens there.
fn pack(name: &str, host: &str, server: &Server) -> ProxyPack {
    let port = server.address.rsplit(':').next().unwrap();
    ProxyPack::new(name.to_owned(), format!("{host}:{port}"), server.address.clone())
}

fn one(client: &Client, asked: ProxyPack) -> Proxy {
    let mut made = client.populate(vec![asked]).unwrap();
    assert_eq!(made.len(), 1);
    made.remove(0)
}

fn proxies(client: &Client, server: &Server) {
    assert!(client.version().unwrap().starts_with(r#"{"version":"2."#));
    let made = client
        .populate(vec![
            pack("web", "127.0.0.2", server),
            pack("an other", "127.0.0.3", server),
        ])
        .unwrap();
    assert!(
        made.iter()
            .all(|proxy| proxy.proxy_pack.enabled && server.is_well(listens(proxy)))
    );
    let all = client.all().unwrap();
    assert_eq!(all.len(), 2);
    for proxy in &made {
        let ProxyPack { name, listen, .. } = &proxy.proxy_pack;
        assert_eq!(all[name].proxy_pack.listen, *listen);
        let found = client.find_proxy(name).unwrap();
        assert_eq!(
            (&found.proxy_pack.listen, &found.proxy_pack.upstream),
            (listen, &server.address)
        );
    }
    let free = ProxyPack::new("free".to_owned(), "127.0.0.1:0".to_owned(), server.address.clone());
    let free = one(client, free);
    assert!(!listens(&free).ends_with(":0") && server.is_well(listens(&free)));
    free.delete().unwrap();
    // By a name that is written otherwise in a path.
    let other = client.find_proxy("an other").unwrap();
    other.disable().unwrap();
    assert!(server.is_refused(listens(&other)) && server.is_well(listens(&made[0])));
    assert!(!client.find_proxy("an other").unwrap().proxy_pack.enabled);
    other.enable().unwrap();
    assert!(server.is_well(listens(&other)));
    other.delete().unwrap();
    assert!(server.is_refused(listens(&other)) && client.find_proxy("an other").is_err());
    assert!(client.find_and_reset_proxy("none").is_err());
    println!("passed proxies");
}

fn toxics(client: &Client, server: &Server) {
    let web = client.find_proxy("web").unwrap();
    let at = listens(&web);
    for (toxic, stream) in TOXICS
        .iter()
        .flat_map(|toxic| Stream::BOTH.map(|stream| (toxic, stream)))
    {
        let Toxic { kind, count, .. } = *toxic;
        let clean = server.pass(at, stream, count, false);
        assert!(clean.is(count, End::Closed), "{kind}: {clean:?}");
        let applied = (toxic.make)(&web, stream.name()).apply(|| {
            let known = web.toxics().unwrap();
            assert_eq!(known.len(), 1, "{known:?}");
            let (known, attributes) = (&known[0], toxic.attributes.iter().copied());
            let attributes: HashMap<String, u32> = attributes.map(|(name, value)| (name.to_owned(), value)).collect();
            assert_eq!(known.name, format!("{kind}_{}", stream.name()));
            assert_eq!((&*known.r#type, &known.stream), (kind, &stream.name()));
            assert_eq!((known.toxicity, &known.attributes), (1.0, &attributes));
            // The end of what is said would be passed on by a time-out.
            let got = server.pass(at, stream, count, kind == "timeout");
            assert!((toxic.acts)(&got), "{kind} {stream:?}: {got:?}");
            if kind == "limit_data" {
                let other = server.pass(at, stream.other(), count, false);
                assert!(other.is(count, End::Closed), "{stream:?}: {other:?}");
            }
        });
        applied.unwrap();
        assert!(web.toxics().unwrap().is_empty() && server.is_well(at), "{kind}");
    }
    println!("passed toxics");
}

/// Several at once, for a share of connections, and in a connection that is open when it meets the toxic and when that is taken away.
fn shares(client: &Client, server: &Server) {
    let web = client.find_proxy("web").unwrap();
    let at = listens(&web);
    let two = web
        .with_latency("upstream".to_owned(), 100, 0, 1.0)
        .with_limit_data("upstream".to_owned(), 700, 1.0);
    let applied = two.apply(|| {
        let got = server.pass(at, Stream::Upstream, 1000, false);
        assert!(got.is(700, End::Closed) && got.took_millis(95), "{got:?}");
    });
    applied.unwrap();
    assert!(web.toxics().unwrap().is_empty() && server.is_well(at));

    // One of a name that there is is refused, of which the crate says nothing.
    let first = web.with_limit_data("downstream".to_owned(), 7, 1.0);
    let second = first.with_limit_data("downstream".to_owned(), 9, 1.0).apply(|| {
        assert_eq!(server.pass(at, Stream::Downstream, 1000, false).bytes, 7);
    });
    second.unwrap();

    let some = web.with_limit_data("downstream".to_owned(), 7, 0.5).apply(|| {
        let limited = |_: &u32| server.pass(at, Stream::Downstream, 1000, false).bytes == 7;
        let limited = (0..30).filter(limited).count();
        assert!((1..30).contains(&limited), "{limited}");
    });
    some.unwrap();
    let none = web.with_limit_data("downstream".to_owned(), 7, 0.0).apply(|| {
        assert!(web.toxics().unwrap().len() == 1 && server.is_well(at));
    });
    none.unwrap();

    let (mut near, mut far) = server.connect(at).unwrap();
    let mut came = [0; 4];
    let held = web.with_bandwidth("downstream".to_owned(), 0, 1.0).apply(|| {
        far.write_all(b"held").unwrap();
        near.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let error = near.read(&mut came).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
    });
    held.unwrap();
    near.set_read_timeout(Some(LIMIT)).unwrap();
    near.read_exact(&mut came).unwrap();
    assert_eq!(&came, b"held");
    println!("passed shares");
}

fn down(client: &Client, server: &Server) {
    let web = client.find_proxy("web").unwrap();
    let at = listens(&web);
    let (mut open, _far) = server.connect(at).unwrap();
    let mut ran = false;
    let downed = web.with_down(|| {
        ran = true;
        assert!(server.is_refused(at));
        match open.read(&mut [0]) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("it is open: {other:?}"),
        }
    });
    downed.unwrap();
    assert!(ran && server.is_well(at));
    println!("passed down");
}

/// Tests run at the same time, and each begins by asking for the proxies of all: none takes from another what it is in.
fn populate_again(client: &Client, server: &Server) {
    let web = client.find_proxy("web").unwrap();
    let at = listens(&web);
    let same = || pack("web", "127.0.0.2", server);
    let mut seen = None;
    let applied = web.with_limit_data("downstream".to_owned(), 7, 1.0).apply(|| {
        let again = one(client, same());
        assert_eq!(again.proxy_pack.toxics.len(), 1);
        assert_eq!(server.pass(at, Stream::Downstream, 1000, false).bytes, 7);
    });
    applied.unwrap();
    // Nor does one get back what was there when all were read.
    let applied = web.with_limit_data("downstream".to_owned(), 7, 1.0).apply(|| {
        let mut all = client.all().unwrap();
        seen = Some(all.remove("web").unwrap().proxy_pack);
    });
    applied.unwrap();
    let seen = seen.unwrap();
    assert_eq!(seen.toxics.len(), 1);
    assert!(one(client, seen).proxy_pack.toxics.is_empty() && server.is_well(at));
    let downed = web.with_down(|| {
        assert!(!one(client, same()).proxy_pack.enabled && server.is_refused(at));
    });
    downed.unwrap();
    assert!(server.is_well(at));
    // Before another server it is another proxy.
    let second = Server::start();
    let moved = ProxyPack {
        upstream: second.address.clone(),
        ..same()
    };
    web.with_limit_data("downstream".to_owned(), 7, 1.0);
    let moved = one(client, moved);
    assert!(moved.proxy_pack.toxics.is_empty() && second.is_well(at));
    println!("passed populate again");
}

/// A test that fails within `apply` or `with_down` leaves toxics and a proxy that is off, which is for the next to mend.
fn all_of_them(client: &Client, server: &Server) {
    let made = client
        .populate(vec![pack("one", "127.0.0.4", server), pack("two", "127.0.0.5", server)])
        .unwrap();
    let [one, two] = &made[..] else { panic!("{made:?}") };
    let harm = || {
        one.with_limit_data("downstream".to_owned(), 7, 1.0);
        two.with_timeout("upstream".to_owned(), 1, 1.0).disable().unwrap();
        assert_eq!(server.pass(listens(one), Stream::Downstream, 1000, false).bytes, 7);
        assert!(server.is_refused(listens(two)));
    };
    harm();
    client.reset().unwrap();
    assert!(server.is_well(listens(one)) && server.is_well(listens(two)));
    assert!(one.toxics().unwrap().is_empty() && two.toxics().unwrap().is_empty());
    harm();
    let mended = client.find_and_reset_proxy("two").unwrap();
    assert!(mended.toxics().unwrap().is_empty() && server.is_well(listens(two)));
    one.delete_all_toxics().unwrap();
    assert!(server.is_well(listens(one)));
    for proxy in client.all().unwrap().values() {
        proxy.delete().unwrap();
    }
    assert!(client.all().unwrap().is_empty() && server.is_refused(listens(one)));
    println!("passed all of them");
}

fn main() {
    let port = std::env::args().nth(1).unwrap().parse().unwrap();
    let client = Client::new(("127.0.0.1", port));
    // Nobody listens at this address.
    assert!(client.is_running() && !Client::new(("127.0.0.2", port)).is_running());
    let server = Server::start();
    for check in [proxies, toxics, shares, down, populate_again, all_of_them] {
        check(&client, &server);
    }
}
