//! Requests that are lost in a row. The original has burst loss in its second set of profiles (originals, 3.2); here what is lost is a
//! request, as by every loss of a proxy.

use fracas_core::chaos::PROFILES;

use crate::api::{get, put, send};
use crate::client::Raw;
use crate::stand::{Stand, wish};

const COUNT: usize = 3000;

/// What becomes of so many requests, which come in turns by these connections.
async fn lost(clients: &mut [Raw], count: usize) -> Vec<bool> {
    let mut all = Vec::new();
    for n in 0..count {
        let client = &mut clients[n % 2];
        let head = client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let is_lost = head.starts_with("HTTP/1.1 408 ");
        assert_eq!(head.contains("x-fracas-fault: packet_loss\r\n"), is_lost, "{head}");
        assert!(is_lost || head.starts_with("HTTP/1.1 200 "), "{head}");
        all.push(is_lost);
    }
    all
}

async fn two(proxy: &Stand) -> [Raw; 2] {
    [Raw::to(proxy.address).await, Raw::to(proxy.address).await]
}

/// Of a hundred, how many are lost, and in rows of how many on average.
fn measured(all: &[bool]) -> (f64, f64) {
    let lost = all.iter().filter(|lost| **lost).count() as f64;
    let rows = all.chunk_by(|one, next| one == next).filter(|row| row[0]).count();
    (lost * 100.0 / all.len() as f64, lost / rows as f64)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_is_applied_has_its_bursts() {
    let proxy = wish("{}").start();
    let mut known = 0;
    for profile in PROFILES {
        let name = profile.name;
        assert_eq!(send(&proxy, &format!("/profiles/{name}/apply"), "").await.status(), 200);
        let shaping = get(&proxy, "/config").await["traffic_shaping"].take();
        let burst = profile
            .config()
            .traffic_shaping
            .and_then(|block| block.packet_loss_burst);
        assert_eq!(shaping["packet_loss_burst"].as_f64(), burst, "{name}");
        known += usize::from(burst.is_some());
    }
    assert_eq!(known, 4);
}

// The draws are fixed by the seed: what holds here, holds always. It has the longest bursts, and so the fewest: half and double are more than
// two standard errors.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_loses_requests_in_bursts_as_it_says() {
    let known = PROFILES.iter().find(|profile| profile.name == "intermittent").unwrap();
    let shaping = known.config().traffic_shaping.unwrap();
    let (asked, burst) = (shaping.packet_loss_percent, shaping.packet_loss_burst.unwrap());
    let proxy = wish("{}").start();
    assert_eq!(send(&proxy, "/profiles/intermittent/apply", "").await.status(), 200);
    // What is lost is what the profile says; how long the rest takes is no part of it.
    put(&proxy, "/config/latency", r#"{"enabled": false}"#).await;
    let (percent, row) = measured(&lost(&mut two(&proxy).await, COUNT).await);
    assert!((0.5..2.0).contains(&(row / burst)), "{row} in a row for {burst}");
    assert!((0.5..2.0).contains(&(percent / asked)), "{percent} % for {asked} %");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_bursts_each_request_is_lost_by_itself() {
    let proxy = wish("traffic_shaping: { packet_loss_percent: 20 }").start();
    let (percent, row) = measured(&lost(&mut two(&proxy).await, COUNT).await);
    // By chance alone: 1 / (1 - 0.2) in a row.
    assert!((17.0..23.0).contains(&percent), "{percent}");
    assert!((1.1..1.4).contains(&row), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_same_seed_the_same_places_are_lost_whoever_comes_there() {
    let of = async |seed: u64, first: usize| {
        let config = "traffic_shaping: { packet_loss_percent: 20, packet_loss_burst: 5 }";
        let proxy = wish(config).seed(seed).start();
        let mut clients = two(&proxy).await;
        clients.rotate_left(first);
        lost(&mut clients, 500).await
    };
    let one = of(42, 0).await;
    assert_eq!(of(42, 1).await, one);
    assert_ne!(of(43, 0).await, one);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_acts_in_the_middle_of_a_burst() {
    let proxy = wish("traffic_shaping: { packet_loss_percent: 99, packet_loss_burst: 1000 }").start();
    let mut clients = two(&proxy).await;
    // As it is in the long run: the first is lost as all are.
    assert_eq!(lost(&mut clients, 3).await, [true; 3]);
    put(&proxy, "/config/traffic", r#"{"packet_loss_percent": 0}"#).await;
    assert_eq!(lost(&mut clients, 3).await, [false; 3]);
    put(
        &proxy,
        "/config/traffic",
        r#"{"packet_loss_percent": 50, "packet_loss_burst": 1}"#,
    )
    .await;
    let all = lost(&mut clients, 20).await;
    assert!(all.windows(2).all(|two| two[0] != two[1]), "{all:?}");
    let said = put(
        &proxy,
        "/config/traffic",
        r#"{"packet_loss_percent": 50, "packet_loss_burst": 0.5}"#,
    )
    .await;
    assert_eq!(said.status(), 422, "{said:?}");
    assert!(said.text().contains("packet_loss_burst"), "{said:?}");
}
