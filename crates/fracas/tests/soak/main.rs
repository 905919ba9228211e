//! The proxy under mixed load while its configuration changes at random: no request is lost, memory stays flat, no connection leaks.
//!
//! A minute; `FRACAS_SOAK_SECONDS` says another time. For an hour:
//! `FRACAS_SOAK_SECONDS=3600 cargo nextest run --profile full -p fracas --test soak --no-capture`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "the tests of the command line use the rest")]
#[path = "../cli/cli.rs"]
mod cli;
#[allow(dead_code, reason = "the tests of the command line use the rest")]
#[path = "../support/proxied.rs"]
mod proxied;

mod account;
mod changes;
mod client;
mod resident;
mod server;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use account::Account;
use cli::Cli;
use client::{Client, Version};
use fracas_core::seed::Seed;
use proxied::{Proxied, address, get};
use resident::Resident;
use server::Server;
use support::{LIMIT, soon};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Clients of HTTP/1.1, each with a connection of its own.
const CLIENTS: u64 = 6;
/// Connections of HTTP/2, and how many requests go on in each at a time.
const SHARED: u64 = 2;
const STREAMS: u64 = 3;

/// Where a number of its own is for every request of a client.
const APART: u64 = 1 << 40;

#[test]
fn no_request_is_lost_memory_is_flat_and_no_connection_leaks() {
    let length = std::env::var("FRACAS_SOAK_SECONDS").map_or(60, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let _here = runtime.enter();
    let server = runtime.block_on(Server::start());
    let cli = Cli::new();
    let upstream = server.url();
    let words = [
        "--upstream",
        &upstream,
        "--api-listen",
        "0",
        "--metrics-listen",
        "0",
        "--seed",
        "7",
    ];
    let proxy = Proxied::start(&cli, &words);
    let mut found = None;
    soon(LIMIT, "it says where its API is", || {
        let err = proxy.going.err();
        found = address(&err, "api: http://").zip(address(&err, "metrics: http://"));
        found
    });
    let (api, metrics) = found.unwrap();
    let pid = proxy.going.process().identity().pid;
    let before = descriptors(pid);

    let account = Arc::new(Account::default());
    let (stop, stopping) = watch::channel(false);
    let resident = runtime.block_on(async {
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let client = Client::new(proxy.address, Version::Http1, Seed(number), number * APART);
            clients.spawn(client.work(1, server.clone(), Arc::clone(&account), stopping.clone()));
        }
        for number in CLIENTS..CLIENTS + SHARED {
            let client = Client::new(proxy.address, Version::Http2, Seed(number), number * APART);
            clients.spawn(client.work(STREAMS, server.clone(), Arc::clone(&account), stopping.clone()));
        }
        let changes = tokio::spawn(changes::go_on(api, Seed(11), stopping.clone()));
        let resident = Resident::watch(pid, Duration::from_secs(length)).await;
        stop.send(true).unwrap();
        let changed = changes.await.unwrap();
        println!("{} changes, {} orchestrations", changed.changes, changed.orchestrations);
        assert!(changed.changes > length && changed.orchestrations > 0, "{changed:?}");
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
        resident
    });
    println!("{account}\nresident: {resident}");

    // Each kind of end was met, so that none of what follows is true of nothing.
    account.is_of_all_kinds();
    // What broke off was broken off by a fault that was counted: nothing else was lost.
    let page = get(metrics, Ipv4Addr::LOCALHOST, "/metrics", "a").body;
    assert_eq!(
        account.broken(),
        met(&page, "tcp_reset") + met(&page, "tcp_close"),
        "connections that broke, and faults that break them"
    );
    resident.is_flat();
    soon(LIMIT, "all connections are gone", || {
        let page = get(metrics, Ipv4Addr::LOCALHOST, "/metrics", "a").body;
        let are_gone = page.contains("fracas_proxy_connections 0\n")
            && page.contains("fracas_proxy_bulkhead_concurrent_requests 0\n");
        // Those to the upstream are closed when nobody has needed them for four seconds.
        (are_gone && descriptors(pid) <= before).then_some(())
    });
    // And what is left lets all pass.
    runtime.block_on(async {
        let last = Account::default();
        let client = Client::new(proxy.address, Version::Http1, Seed(0), u64::MAX / 2);
        client.times(50, &server, &last).await;
        assert_eq!(last.whole(), 50, "{last}");
    });
}

/// How often a fault was met.
fn met(page: &str, fault: &str) -> u64 {
    let line = format!("fracas_proxy_faults_total{{fault=\"{fault}\"}} ");
    let value = page.lines().find_map(|found| found.strip_prefix(&line));
    value.unwrap().parse().unwrap()
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Where the API of the proxy is.
type Api = SocketAddr;
