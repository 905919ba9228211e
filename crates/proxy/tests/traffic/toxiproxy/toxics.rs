//! What each toxic does to bytes: two connections that differ in it alone.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::stand::{Stand, connect, echo, hears, ping, rest, source};
use crate::stand::soon;

/// Whether nothing is there to be read, after the bytes that went before have had time to come: a word goes round in another connection.
async fn silent(stream: &TcpStream, other: &mut TcpStream) {
    ping(other).await;
    let nothing = stream.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn latency_comes_on_top_and_goes_on_open_connections() {
    let stand = Stand::start();
    let upstream = echo().await;
    let at = stand.proxy("slow", upstream, &[]).await;
    let mut stream = connect(at).await;
    ping(&mut stream).await;
    for direction in ["upstream", "downstream"] {
        let toxic = json!({ "type": "latency", "stream": direction, "attributes": { "latency": 60 } });
        assert_eq!(stand.call("POST", "/proxies/slow/toxics", &toxic).await.0, 200);
    }
    let begun = Instant::now();
    ping(&mut stream).await;
    let both = begun.elapsed();
    assert!(both >= Duration::from_millis(120), "{both:?}");
    // What is on its way already is let go, too.
    let long = json!({ "attributes": { "latency": 3_600_000 } });
    let path = "/proxies/slow/toxics/latency_downstream";
    assert_eq!(stand.call("PATCH", path, &long).await.0, 200);
    stream.write_all(b"ping").await.unwrap();
    let clean = stand.proxy("clean", upstream, &[]).await;
    silent(&stream, &mut connect(clean).await).await;
    stand.cure(path).await;
    hears(&mut stream).await;
    stand.cure("/proxies/slow/toxics/latency_upstream").await;
    assert_eq!(
        stand
            .metric("fracas_toxiproxy_toxics_total{proxy=\"slow\",toxic=\"latency\"}")
            .await,
        2
    );
}

#[tokio::test]
async fn latency_delays_and_does_not_slow_down() {
    let stand = Stand::start();
    let toxic = json!({ "type": "latency", "attributes": { "latency": 200 } });
    let at = stand.proxy("long", source(2_000_000).await, &[toxic]).await;
    let begun = Instant::now();
    let mut stream = connect(at).await;
    assert_eq!(rest(&mut stream).await.unwrap(), 2_000_000);
    let took = begun.elapsed();
    // One after the other the some thirty reads of 64 KiB would take 6 s.
    assert!((200..3000).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test]
async fn jitter_spreads_the_latency() {
    let stand = Stand::start();
    let toxic = json!({ "type": "latency", "attributes": { "latency": 20, "jitter": 15 } });
    let at = stand.proxy("spread", echo().await, &[toxic]).await;
    let mut stream = connect(at).await;
    let mut least = Duration::MAX;
    for _ in 0..30 {
        let begun = Instant::now();
        ping(&mut stream).await;
        least = least.min(begun.elapsed());
        assert!(begun.elapsed() >= Duration::from_millis(5));
    }
    // Without jitter none is under 20 ms. Of 30 draws the least is under 15 ms by the seed.
    assert!(least < Duration::from_millis(20), "{least:?}");
}

#[tokio::test]
async fn bandwidth_lets_so_much_pass() {
    let stand = Stand::start();
    let toxic = |rate: u64| json!({ "type": "bandwidth", "attributes": { "rate": rate } });
    let at = stand.proxy("narrow", source(400_000).await, &[toxic(1000)]).await;
    let begun = Instant::now();
    assert_eq!(rest(&mut connect(at).await).await.unwrap(), 400_000);
    let took = begun.elapsed();
    // 20 ms may have been saved before.
    assert!(took >= Duration::from_millis(380), "{took:?}");
    // Nothing at all, until it is more.
    let upstream = echo().await;
    let at = stand.proxy("shut", upstream, &[toxic(0)]).await;
    let mut stream = connect(at).await;
    stream.write_all(b"ping").await.unwrap();
    let clean = stand.proxy("clean", upstream, &[]).await;
    silent(&stream, &mut connect(clean).await).await;
    let path = "/proxies/shut/toxics/bandwidth_downstream";
    assert_eq!(
        stand
            .call("POST", path, &json!({ "attributes": { "rate": 1 } }))
            .await
            .0,
        200
    );
    hears(&mut stream).await;
}

#[tokio::test]
async fn slow_close_delays_the_end() {
    let stand = Stand::start();
    let toxic = json!({ "type": "slow_close", "attributes": { "delay": 150 } });
    let at = stand.proxy("lingering", source(10).await, &[toxic]).await;
    let mut stream = connect(at).await;
    let mut ten = [0; 10];
    stream.read_exact(&mut ten).await.unwrap();
    let begun = Instant::now();
    assert_eq!(rest(&mut stream).await.unwrap(), 0);
    // Its end came a little after its bytes, at the latest with them.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(100), "{took:?}");
    // Taken away, it ends at once.
    let long = json!({ "attributes": { "delay": 3_600_000 } });
    let path = "/proxies/lingering/toxics/slow_close_downstream";
    assert_eq!(stand.call("POST", path, &long).await.0, 200);
    let mut stream = connect(at).await;
    stream.read_exact(&mut ten).await.unwrap();
    stand.cure(path).await;
    assert_eq!(rest(&mut stream).await.unwrap(), 0);
}

#[tokio::test]
async fn timeout_stops_all_and_closes() {
    let stand = Stand::start();
    let upstream = echo().await;
    let at = stand.proxy("dead", upstream, &[]).await;
    let mut stream = connect(at).await;
    ping(&mut stream).await;
    let toxic = json!({ "type": "timeout", "attributes": { "timeout": 120 } });
    let begun = Instant::now();
    assert_eq!(stand.call("POST", "/proxies/dead/toxics", &toxic).await.0, 200);
    stream.write_all(b"ping").await.unwrap();
    assert_eq!(rest(&mut stream).await.unwrap(), 0);
    assert!(begun.elapsed() >= Duration::from_millis(120), "{:?}", begun.elapsed());
    // Without a time it is open until the toxic goes; then what was lost would be missed.
    let path = "/proxies/dead/toxics/timeout_downstream";
    assert_eq!(
        stand
            .call("POST", path, &json!({ "attributes": { "timeout": 0 } }))
            .await
            .0,
        200
    );
    let clean = stand.proxy("clean", upstream, &[]).await;
    let mut other = connect(clean).await;
    let mut lost = connect(at).await;
    lost.write_all(b"ping").await.unwrap();
    silent(&lost, &mut other).await;
    let mut idle = connect(at).await;
    silent(&idle, &mut other).await;
    let open = stand.metric("fracas_toxiproxy_connections{proxy=\"dead\"}");
    assert_eq!(open.await, 2);
    stand.cure(path).await;
    assert_eq!(rest(&mut lost).await.unwrap(), 0);
    ping(&mut idle).await;
}

#[tokio::test]
async fn reset_peer_resets() {
    let stand = Stand::start();
    let at = stand.proxy("rude", echo().await, &[]).await;
    let mut stream = connect(at).await;
    ping(&mut stream).await;
    let toxic = json!({ "type": "reset_peer", "attributes": { "timeout": 80 } });
    assert_eq!(stand.call("POST", "/proxies/rude/toxics", &toxic).await.0, 200);
    // Who says nothing is left alone, and the server hears what is said.
    let upstream = echo().await;
    let mut other = connect(stand.proxy("clean", upstream, &[]).await).await;
    silent(&stream, &mut other).await;
    let begun = Instant::now();
    stream.write_all(b"ping").await.unwrap();
    let error = rest(&mut stream).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(begun.elapsed() >= Duration::from_millis(80), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn reset_peer_resets_what_is_held_and_what_has_ended() {
    let stand = Stand::start();
    let late = json!({ "type": "latency", "attributes": { "latency": 3_600_000 } });
    let at = stand.proxy("held", source(10).await, &[late]).await;
    let mut stream = connect(at).await;
    // The server has said all that it will ever say.
    let labels = format!("toxiproxy_proxy_received_bytes_total{{direction=\"downstream\",listener=\"{at}\"");
    let received = async {
        loop {
            let (_, text) = stand.say("GET", "/metrics", "", "").await;
            let line = text.lines().find(|line| line.starts_with(&labels)).unwrap();
            if line.ends_with(" 10") {
                break;
            }
        }
    };
    tokio::time::timeout(crate::stand::LIMIT, received).await.unwrap();
    let toxic = json!({ "type": "reset_peer" });
    assert_eq!(stand.call("POST", "/proxies/held/toxics", &toxic).await.0, 200);
    assert_eq!(rest(&mut stream).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn slicer_cuts_into_pieces() {
    let stand = Stand::start();
    let attributes = json!({ "average_size": 100, "size_variation": 20, "delay": 10_000 });
    let toxic = json!({ "type": "slicer", "attributes": attributes });
    let at = stand.proxy("sliced", source(1000).await, &[toxic]).await;
    let begun = Instant::now();
    let mut stream = connect(at).await;
    let (mut pieces, mut bytes) = (0, 0);
    let mut room = [0; 4096];
    loop {
        match stream.read(&mut room).await.unwrap() {
            0 => break,
            count => {
                bytes += count;
                pieces += 1;
            }
        }
    }
    assert_eq!(bytes, 1000);
    // Of 81 to 119 bytes, if none came late enough to come with the next.
    assert!((2..=13).contains(&pieces), "{pieces}");
    // 8 pauses at least.
    assert!(begun.elapsed() >= Duration::from_millis(80), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_slicer_that_is_changed_cuts_anew() {
    let stand = Stand::start();
    let attributes = json!({ "average_size": 1, "delay": 3_600_000_000_u64 });
    let toxic = json!({ "type": "slicer", "attributes": attributes });
    let at = stand.proxy("sliced", echo().await, &[toxic]).await;
    let mut stream = connect(at).await;
    stream.write_all(b"ping").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'p');
    let path = "/proxies/sliced/toxics/slicer_downstream";
    let quick = json!({ "attributes": { "delay": 0, "average_size": 1000 } });
    assert_eq!(stand.call("PATCH", path, &quick).await.0, 200);
    let mut rest = [0; 3];
    stream.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"ing");
}

// A loop that is always ready would keep all others of its thread waiting, and whoever wants to end it.
#[tokio::test]
async fn a_connection_that_is_never_quiet_leaves_room_for_others_and_can_be_ended() {
    let stand = Stand::start();
    let at = stand
        .proxy(
            "busy",
            echo().await,
            &[json!({ "type": "timeout", "stream": "upstream" })],
        )
        .await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let sends = std::thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect(at).unwrap();
        let mut sent = 0_u64;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            match std::io::Write::write(&mut stream, &vec![0; 65_536]) {
                Ok(count) => sent += count as u64,
                Err(_) => return sent,
            }
        }
        panic!("it was not ended");
    });
    let labels =
        format!("toxiproxy_proxy_received_bytes_total{{direction=\"upstream\",listener=\"{at}\",proxy=\"busy\"");
    let received = async {
        loop {
            let (_, text) = stand.say("GET", "/metrics", "", "").await;
            let line = text.lines().find(|line| line.starts_with(&labels)).unwrap();
            if line.rsplit(' ').next().unwrap().parse::<u64>().unwrap() > 50_000_000 {
                break;
            }
        }
    };
    tokio::time::timeout(crate::stand::LIMIT, received).await.unwrap();
    assert_eq!(
        stand
            .call("POST", "/proxies/busy", &json!({ "enabled": false }))
            .await
            .0,
        200
    );
    let sent = tokio::task::spawn_blocking(|| sends.join().unwrap()).await.unwrap();
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(sent > 50_000_000, "{sent}");
}

#[tokio::test]
async fn limit_data_ends_after_so_many_bytes() {
    let stand = Stand::start();
    let toxic = json!({ "type": "limit_data", "attributes": { "bytes": 100_001 } });
    let at = stand.proxy("short", source(1_000_000).await, &[toxic]).await;
    let mut stream = connect(at).await;
    let mut bytes = vec![0; 100_001];
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(rest(&mut stream).await.unwrap_or(0), 0);
}

/// Which of so many connections of a proxy a toxic acts on.
async fn met(seed: u64, toxicity: f64) -> Vec<bool> {
    let stand = Stand::with(seed, Duration::ZERO);
    let toxic = json!({ "type": "limit_data", "toxicity": toxicity, "attributes": { "bytes": 1 } });
    let at = stand.proxy("some", source(2).await, &[toxic]).await;
    let mut all = Vec::new();
    for _ in 0..40 {
        all.push(rest(&mut connect(at).await).await.unwrap() == 1);
    }
    all
}

#[tokio::test]
async fn toxicity_is_by_the_seed() {
    let some = met(42, 0.5).await;
    assert_eq!(some, met(42, 0.5).await);
    assert_ne!(some, met(43, 0.5).await);
    assert_eq!(met(42, 0.0).await, vec![false; 40]);
    assert_eq!(met(42, 1.0).await, vec![true; 40]);
}

#[tokio::test]
async fn toxics_of_a_new_proxy_are_there_before_its_port() {
    let stand = Stand::start();
    // Not where others of this machine listen; and who tries again and again to reach a port from the same address may reach himself.
    let listener = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let at = listener.local_addr().unwrap();
    drop(listener);
    // Somebody tries all the time: the first that gets through meets it.
    let first = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        while begun.elapsed() < crate::stand::LIMIT {
            if let Ok(mut stream) = std::net::TcpStream::connect(at) {
                let mut all = Vec::new();
                return std::io::Read::read_to_end(&mut stream, &mut all).unwrap();
            }
        }
        panic!("nobody listens");
    });
    let toxic = json!({ "type": "limit_data", "attributes": { "bytes": 3 } });
    let asked = json!({
        "name": "atomic", "listen": at.to_string(), "upstream": source(9).await.to_string(), "toxics": [toxic],
    });
    assert_eq!(stand.call("POST", "/proxies", &asked).await.0, 201);
    assert_eq!(first.await.unwrap(), 3);
}

#[tokio::test]
async fn what_a_toxic_holds_is_bounded() {
    let stand = Stand::start();
    let toxic = json!({ "type": "bandwidth", "stream": "upstream", "attributes": { "rate": 0 } });
    let at = stand.proxy("full", echo().await, &[toxic]).await;
    let stream = connect(at).await;
    // As much as the buffers of two sockets and ours take, and then no more: for a while nothing goes in any more.
    let (mut sent, mut last) = (0, Instant::now());
    soon("nothing goes in any more", || {
        while let Ok(count) = stream.try_write(&vec![0; 65_536]) {
            sent += count;
            last = Instant::now();
        }
        last.elapsed() > Duration::from_millis(300)
    })
    .await;
    let received = stand.call("GET", "/proxies/full", &Value::Null).await;
    assert_eq!(received.0, 200);
    let labels = format!(
        "toxiproxy_proxy_received_bytes_total{{direction=\"upstream\",listener=\"{at}\",proxy=\"full\",upstream={}}}",
        received.1["upstream"]
    );
    let taken = stand.metric(&labels).await;
    assert!(taken > 0 && taken <= 128 << 10, "{taken} of {sent}");
}
