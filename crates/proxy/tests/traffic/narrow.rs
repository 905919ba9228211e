//! A limit on the bytes per second: whether it is kept.
//!
//! Client, proxy and upstream are threads of this process, and what is measured is the whole way: each of them that waits for a processor
//! adds to it, and who is late by more than the proxy makes up for adds that for good. So they come before whatever else the machine does.

use std::process::{Command, Stdio, id};
use std::time::{Duration, Instant};

use crate::client::Raw;
use crate::http2::{Http2, read};
use crate::stand::{Stand, wish};
use crate::upstream::{LARGE, Upstream};

/// In bytes per second: of `/large` in two seconds.
const LIMIT: usize = LARGE / 2;

fn proxy(upstream: &Upstream) -> Stand {
    let config = format!("traffic_shaping: {{ bandwidth_limit_bps: {LIMIT} }}");
    wish(&config).to(&upstream.url()).start()
}

/// While it is there, the threads that there are now run before all others, by real time's policy (sched(7)): it is their own time that is
/// measured, and not for how long others have the processors. Who may not say so needs a machine that is quiet.
struct BeforeAllOthers;

impl BeforeAllOthers {
    #[expect(clippy::print_stdout, reason = "on what the result depends is a part of it")]
    fn begin() -> Self {
        // What is started meanwhile by whoever else is in this process has no part in it.
        if !chrt(&["--reset-on-fork", "--fifo", "--pid", "1"]) {
            println!("measured among whatever else the machine does");
        }
        Self
    }
}

impl Drop for BeforeAllOthers {
    fn drop(&mut self) {
        // Where it was not begun, it changes nothing.
        let _back = chrt(&["--other", "--pid", "0"]);
    }
}

/// Sets the policy of all our threads.
#[expect(clippy::disallowed_methods, reason = "the policy is set by its own program")]
fn chrt(policy: &[&str]) -> bool {
    let mut chrt = Command::new("chrt");
    chrt.arg("--all-tasks").args(policy).arg(id().to_string());
    chrt.stdout(Stdio::null()).stderr(Stdio::null());
    chrt.status().is_ok_and(|status| status.success())
}

/// Whether so many bytes since then are what the limit lets pass, to two percent.
#[expect(clippy::print_stdout, reason = "how far off it was is a part of the result")]
fn check(what: &str, bytes: usize, begun: Instant) {
    let (took, right) = (begun.elapsed(), Duration::from_secs_f64(bytes as f64 / LIMIT as f64));
    let off = took.as_secs_f64() / right.as_secs_f64() - 1.0;
    println!("{what}: {:.2} %", off * 100.0);
    assert!(off.abs() < 0.02, "{what}: {took:?} for {right:?}, {:.1} %", off * 100.0);
}

async fn down(mut client: Raw) -> usize {
    client.ask("GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
    LARGE
}

async fn down_by_http2(client: Http2) -> usize {
    let (body, answered) = client.ask("GET", "/large");
    drop(body);
    read(answered.await).await.len()
}

async fn up(mut client: Raw) -> usize {
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LARGE}\r\n\r\n");
    client.send(head).await;
    client.send("x".repeat(LARGE)).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    client.until("hello\n").await;
    LARGE + "hello\n".len()
}

/// It comes back, so that it passes twice.
async fn both_ways(mut client: Raw) -> usize {
    client
        .send("GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n")
        .await;
    client.until("\r\n\r\n").await;
    client.echoes(LARGE / 2).await;
    LARGE
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_has_all_of_it() {
    for upstream in [Upstream::start().await, Upstream::http2().await] {
        let proxy = proxy(&upstream);
        let at = proxy.address;
        let (first, second, third) = (Raw::to(at).await, Http2::to(at).await, Raw::to(at).await);
        let _first = BeforeAllOthers::begin();
        let begun = Instant::now();
        check("down", down(first).await, begun);
        let begun = Instant::now();
        check("down by HTTP/2", down_by_http2(second).await, begun);
        let begun = Instant::now();
        check("up", up(third).await, begun);
    }
    let proxy = proxy(&Upstream::start().await);
    let client = Raw::to(proxy.address).await;
    let _first = BeforeAllOthers::begin();
    let begun = Instant::now();
    check("tunnel", both_ways(client).await, begun);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_ways_share_it() {
    let proxy = proxy(&Upstream::start().await);
    let at = proxy.address;
    let (first, second, third) = (Raw::to(at).await, Raw::to(at).await, Raw::to(at).await);
    let fourth = Http2::to(at).await;
    let _first = BeforeAllOthers::begin();
    let begun = Instant::now();
    let bytes = tokio::join!(down(first), up(second), both_ways(third), down_by_http2(fourth));
    check("together", bytes.0 + bytes.1 + bytes.2 + bytes.3, begun);
}
