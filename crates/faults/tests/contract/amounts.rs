//! Whether the faults on packets do as much as was asked: seen by datagrams of the test's own.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fracas_lab::eventually;
use fracas_linux::queue;
use serde_json::json;

use crate::fixture::LIMIT;
use crate::impairments::{MS, Place, also, off, on, place, stage};

tests! {
    impairments_delay_by_what_was_asked,
    impairments_lose_as_many_as_were_asked,
    impairments_let_as_much_through_as_was_asked,
}

/// How late each of so many datagrams from the node comes, one every 5 ms, in their order.
fn delays(place: &Place, count: u32) -> Vec<Duration> {
    let to = UdpSocket::bind((place.here, 0)).unwrap();
    to.set_read_timeout(Some(LIMIT)).unwrap();
    let from = place
        .there
        .within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
        .unwrap();
    let began = Instant::now();
    let address = to.local_addr().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..count {
                std::thread::park_timeout((number * 5 * MS).saturating_sub(began.elapsed()));
                let sent = began.elapsed().as_nanos() as u64;
                from.send_to(&sent.to_be_bytes(), address).unwrap();
            }
        });
        let one = |_| {
            let mut sent = [0; 8];
            to.recv(&mut sent).unwrap();
            began
                .elapsed()
                .saturating_sub(Duration::from_nanos(u64::from_be_bytes(sent)))
        };
        let mut all: Vec<_> = (0..count).map(one).collect();
        all.sort_unstable();
        all
    })
}

async fn impairments_delay_by_what_was_asked() {
    let Some((place, node)) = place(&["sleep"]) else {
        return;
    };
    let first = stage(node, "delay", json!({ "mean": "50ms" })).await;
    // What the machine makes of it in the middle of cases.
    let mut late = 0.0;
    for (params, mean, deviation) in [
        (json!({ "mean": "50ms" }), 50.0, 0.0),
        (
            json!({ "mean": "60ms", "jitter": "10ms", "distribution": "normal" }),
            60.0,
            10.0,
        ),
    ] {
        let delay = also(&first, "delay", params);
        let undo = on(&delay).await;
        let delays: Vec<f64> = delays(&place, 400)
            .iter()
            .map(|one| one.as_secs_f64() * 1000.0)
            .collect();
        // What the machine keeps waiting once moves neither the middle nor the quarters.
        let quantile = |share: f64| delays[(share * delays.len() as f64) as usize];
        let (middle, quarters) = (quantile(0.5), quantile(0.75) - quantile(0.25));
        if deviation == 0.0 {
            // 1 ms or 2 %: what a machine does that has nothing else to do, as it has for one in ten at least.
            let quick = quantile(0.1);
            assert!(quick >= mean && quick < mean + 1.2, "{quick} for {mean}");
            late = middle - mean;
        }
        // A middle of 400 is within 5 of its standard errors, 1.25 deviations of 20.
        let slack = 1.2_f64 + 5.0 * 1.25 * deviation / 20.0;
        assert!((middle - late - mean).abs() < slack, "{middle} for {mean}");
        if deviation > 0.0 {
            let seen = quarters / 1.349;
            assert!((seen / deviation - 1.0).abs() < 0.15, "{seen} for {deviation}");
        }
        off(&delay, &undo).await;
    }
}

async fn impairments_lose_as_many_as_were_asked() {
    const SENT: u32 = 4000;
    let Some((place, node)) = place(&["sleep"]) else {
        return;
    };
    let first = stage(node, "loss", json!({ "percent": "1%" })).await;
    let to = UdpSocket::bind((place.here, 7001)).unwrap();
    let from = place
        .there
        .within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
        .unwrap();
    to.set_nonblocking(true).unwrap();
    let until_empty = || {
        eventually(LIMIT, "the queue is empty", || {
            let listeners = place.there.within(queue::listeners).unwrap();
            listeners.iter().all(|one| one.waiting == 0)
        });
    };
    for percent in [1.0, 10.0, 30.0] {
        let loss = also(&first, "loss", json!({ "percent": percent, "to": ["*:7001/udp"] }));
        let undo = on(&loss).await;
        let mut came = 0;
        let drain = || std::iter::from_fn(|| to.recv(&mut [0; 8]).ok()).count() as u32;
        for number in 0..SENT {
            from.send_to(b"hello", (place.here, 7001)).unwrap();
            if number % 50 == 0 {
                // No more are on their way than the receiver has room for.
                until_empty();
                came += drain();
            }
        }
        until_empty();
        // What is behind all others says that they have come.
        off(&loss, &undo).await;
        from.send_to(b"end", (place.here, 7001)).unwrap();
        eventually(LIMIT, "the last one comes", || {
            let mut buffer = [0; 8];
            while let Ok(length) = to.recv(&mut buffer) {
                if &buffer[..length] == b"end" {
                    return true;
                }
                came += 1;
            }
            false
        });
        let lost = f64::from(SENT - came) / f64::from(SENT) * 100.0;
        // Five standard errors of a binomial share.
        let slack = 500.0 * (percent / 100.0 * (1.0 - percent / 100.0) / f64::from(SENT)).sqrt();
        assert!((lost - percent).abs() < slack, "{lost} for {percent}");
    }
}

async fn impairments_let_as_much_through_as_was_asked() {
    const SIZE: usize = 1400;
    let Some((place, node)) = place(&["sleep"]) else {
        return;
    };
    let first = stage(node, "rate", json!({ "rate": "1mbit" })).await;
    // 100 Mbit/s, and streams of TCP, are for a worker with optimisation: `cargo xtask bench`.
    for megabits in [1.0, 10.0] {
        let rate = also(&first, "rate", json!({ "rate": format!("{megabits}mbit") }));
        let undo = on(&rate).await;
        let to = UdpSocket::bind((place.here, 0)).unwrap();
        to.set_read_timeout(Some(LIMIT)).unwrap();
        let from = place
            .there
            .within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
            .unwrap();
        let address = to.local_addr().unwrap();
        let over = std::sync::atomic::AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            // Twice as much as gets through.
            scope.spawn(|| {
                let (began, mut sent) = (Instant::now(), 0);
                while !over.load(Ordering::Relaxed) {
                    let due = began.elapsed().as_secs_f64() * megabits * 2e6 / 8.0;
                    while (sent as f64) < due {
                        from.send_to(&[7; SIZE], address).unwrap();
                        sent += SIZE + 28;
                    }
                    std::thread::park_timeout(2 * MS);
                }
            });
            let carries = |limit: Duration| {
                let (began, mut bytes) = (Instant::now(), 0);
                while began.elapsed() < limit {
                    bytes += to.recv(&mut [0; SIZE]).unwrap() + 28;
                }
                bytes as f64 * 8.0 / began.elapsed().as_secs_f64() / 1e6
            };
            carries(Duration::from_millis(500));
            let seen = carries(Duration::from_millis(2500));
            over.store(true, Ordering::Relaxed);
            seen
        });
        off(&rate, &undo).await;
        assert!((seen / megabits - 1.0).abs() < 0.05, "{seen} for {megabits}");
    }
}
