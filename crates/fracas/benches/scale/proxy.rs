//! The proxy: what a request costs beside a plain proxy, how exactly it delays, and what connections that say nothing take.
//!
//! Backend and client are on one processor, the proxy that is measured alone on the other. What is not installed (`nginx`, `haproxy`, `wrk`,
//! and what Debian does not have: `envoy`, `fault` of the crate fault-cli, `noxious-proxy` of `proxy/noxious`) is left out.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::figures::{Figures, table};
use crate::run::LIMIT;

mod others;

use others::{Started, envoy, fault, fracas, free, haproxy, has, nginx, noxious, relay};

/// Of load, for each round and proxy.
const LOAD: &str = "3s";
/// Requests of one round whose time is taken.
const ASKED: usize = 200;
/// Clients at a time, where there are several.
const CLIENTS: usize = 64;
const IDLE: usize = 10_000;
/// Of one stream, for each round and proxy.
const STREAM: usize = 2_000_000_000;

pub(crate) fn section(rounds: usize) -> String {
    let before = sched_getaffinity(None).unwrap();
    let mut ours = CpuSet::new();
    ours.set(1);
    // Of this thread and of those that it begins from now on: clients are beside the proxy, not in its place.
    sched_setaffinity(None, &ours).unwrap();
    let page = format!(
        "## Proxy\n\n{}\n{}\n{}\n{}\n{}",
        load(rounds),
        stream(rounds),
        delays(rounds),
        beside(rounds),
        idle()
    );
    sched_setaffinity(None, &before).unwrap();
    page
}

/// What clients see who ask one request after the other.
struct Seen {
    a_second: f64,
    middle: Duration,
    /// 99 of a hundred are within it.
    slow: Duration,
    count: f64,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark starts what it measures")]
fn wrk(at: SocketAddr, clients: usize, words: &[&str]) -> Seen {
    let url = format!("http://{at}/");
    let said = Command::new("taskset")
        .args([
            "-c",
            "1",
            "wrk",
            "-t1",
            &format!("-c{clients}"),
            "-d",
            LOAD,
            "--latency",
        ])
        .args(words)
        .arg(&url)
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let word = |before: &str, at: usize| {
        let line = said.lines().find(|line| line.contains(before));
        let line = line.unwrap_or_else(|| panic!("no {before}: {said}"));
        line.split_ascii_whitespace().nth(at).unwrap().to_owned()
    };
    let time = |before| {
        let said = word(before, 1);
        let number = said.trim_end_matches(char::is_alphabetic);
        let one = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)]
            .into_iter()
            .find(|(unit, _)| said.strip_suffix(unit) == Some(number));
        Duration::from_secs_f64(number.parse::<f64>().unwrap() * one.unwrap().1)
    };
    Seen {
        a_second: word("Requests/sec", 1).parse().unwrap(),
        middle: time("50%"),
        slow: time("99%"),
        count: word("requests in", 0).parse().unwrap(),
    }
}

fn load(rounds: usize) -> String {
    const HEAD: [&str; 9] = [
        "",
        "requests",
        "99 % within",
        "processor a request",
        "one alone: middle",
        "99 % within",
        "new connections",
        "resident",
        "not of files",
    ];
    if !["nginx", "haproxy", "wrk"].into_iter().all(has) {
        return "Beside others: `nginx`, `haproxy` and `wrk` are not all here.\n".to_owned();
    }
    let names = [
        "nginx itself",
        "HAProxy, HTTP",
        "Envoy, HTTP",
        "`fracas proxy`",
        "HAProxy, TCP",
        "Envoy, TCP",
        "noxious",
        "fault-cli",
        "`fracas proxy`, TCP",
    ];
    let figures = || ["/s", "ms", "µs", "ms", "ms", "/s", "MiB", "MiB"].map(Figures::of);
    let mut all: Vec<_> = names
        .into_iter()
        .filter(|name| is_there(name))
        .map(|name| (name, figures()))
        .collect();
    for _ in 0..rounds {
        let backend = free();
        let nginx = nginx(backend);
        for (name, [speed, slow, cost, one, one_slow, new, resident, own]) in &mut all {
            let at = free();
            let (proxy, at) = match *name {
                "nginx itself" => (None, backend),
                "HAProxy, HTTP" => (Some(haproxy("http", backend, at)), at),
                "Envoy, HTTP" => (Some(envoy("http", backend, at, 0)), at),
                "`fracas proxy`" => (Some(fracas(&["--upstream", &format!("http://{backend}")], at)), at),
                _ => {
                    let (proxy, at) = of_tcp(name, backend);
                    (Some(proxy), at)
                }
            };
            let before = proxy.as_ref().map(Started::used);
            let seen = wrk(at, CLIENTS, &[]);
            speed.add(seen.a_second);
            slow.took(seen.slow);
            if let (Some(proxy), Some(before)) = (&proxy, before) {
                cost.add((proxy.used() - before) / seen.count * 1e6);
                resident.add(proxy.resident());
                own.add(proxy.anonymous());
            }
            let alone = wrk(at, 1, &[]);
            one.took(alone.middle);
            one_slow.took(alone.slow);
            new.add(wrk(at, CLIENTS, &["-H", "Connection: close"]).a_second);
        }
        drop(nginx);
    }
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|(name, figures)| {
            let figures = figures.iter().map(ToString::to_string);
            std::iter::once((*name).to_owned()).chain(figures).collect()
        })
        .collect();
    format!(
        "Without a fault: {CLIENTS} connections of `wrk` for {LOAD}, and one alone, to an answer of some 70 bytes; and {CLIENTS} that come anew for each \
         request.\n\n{}",
        table(&HEAD, &rows)
    )
}

fn is_there(name: &str) -> bool {
    match name {
        "noxious" => has("noxious-proxy"),
        "fault-cli" => has("fault"),
        _ if name.starts_with("Envoy") => has("envoy"),
        _ if name.starts_with("HAProxy") => has("haproxy"),
        _ => true,
    }
}

/// One of those that carry any bytes.
fn of_tcp(name: &str, upstream: SocketAddr) -> (Started, SocketAddr) {
    let at = free();
    match name {
        "HAProxy, TCP" => (haproxy("tcp", upstream, at), at),
        "Envoy, TCP" => (envoy("tcp", upstream, at, 0), at),
        "noxious" => (noxious(upstream, at, 0), at),
        "fault-cli" => (fault(upstream, at), at),
        _ => relay(upstream, 0),
    }
}

/// How fast so many bytes come, in Gbit/s.
fn receive(at: SocketAddr) -> f64 {
    let mut stream = TcpStream::connect(at).unwrap();
    let began = Instant::now();
    let (mut room, mut count) = (vec![0; 1 << 18], 0);
    loop {
        match stream.read(&mut room).unwrap() {
            0 => break,
            read => count += read,
        }
    }
    assert_eq!(count, STREAM);
    count as f64 * 8.0 / began.elapsed().as_secs_f64() / 1e9
}

fn stream(rounds: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, bytes) = (stream.unwrap(), vec![0; 1 << 18]);
            let mut left = STREAM;
            // Who only looks whether somebody listens goes away.
            while left > 0 && stream.write_all(&bytes[..left.min(bytes.len())]).is_ok() {
                left -= left.min(bytes.len());
            }
        }
    });
    let names = [
        "no proxy",
        "HAProxy, TCP",
        "Envoy, TCP",
        "noxious",
        "fault-cli",
        "`fracas proxy`, TCP",
    ];
    let mut all: Vec<_> = names
        .into_iter()
        .filter(|name| is_there(name))
        .map(|name| (name, Figures::of("Gbit/s"), Figures::of("ms")))
        .collect();
    for _ in 0..rounds {
        for (name, speed, cost) in &mut all {
            if *name == "no proxy" {
                speed.add(receive(source));
                continue;
            }
            let (proxy, at) = of_tcp(name, source);
            let before = proxy.used();
            speed.add(receive(at));
            cost.add((proxy.used() - before) * 1e3);
        }
    }
    let rows: Vec<_> = all
        .iter()
        .map(|(name, speed, cost)| vec![(*name).to_owned(), speed.to_string(), cost.to_string()])
        .collect();
    format!(
        "One stream of {} GB.\n\n{}",
        STREAM / 1_000_000_000,
        table(&["", "speed", "processor"], &rows)
    )
}

/// The times of so many requests, one after the other in one connection. Before them goes one that is not counted: it waits also until the
/// connection is taken.
fn ask(at: SocketAddr, count: usize) -> Vec<Duration> {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut room = [0; 4096];
    let one = |_| {
        let began = Instant::now();
        stream.write_all(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let mut count = 0;
        // The responder's answer ends with its only brace.
        while count == 0 || room[count - 1] != b'}' {
            count += stream.read(&mut room[count..]).unwrap();
        }
        began.elapsed()
    };
    (0..=count).map(one).skip(1).collect()
}

fn delays(rounds: usize) -> String {
    let mut rows = Vec::new();
    let several = has("wrk").then_some(CLIENTS);
    for clients in std::iter::once(1).chain(several) {
        let mut without = f64::NAN;
        for asked in ["0", "0.5", "5", "20", "50"] {
            let (mut middle, mut slow) = (Figures::of("ms"), Figures::of("ms"));
            for _ in 0..rounds {
                let at = free();
                let words: &[&str] = if asked == "0" {
                    &[]
                } else {
                    &["--chaos-latency-ms", asked]
                };
                let _proxy = fracas(words, at);
                if clients == CLIENTS {
                    let seen = wrk(at, clients, &[]);
                    middle.took(seen.middle);
                    slow.took(seen.slow);
                } else {
                    let mut all = ask(at, ASKED);
                    all.sort();
                    middle.took(all[all.len() / 2]);
                    slow.took(all[all.len() * 99 / 100]);
                }
            }
            if asked == "0" {
                without = middle.median();
            }
            let on_top = middle.median() - without - asked.parse::<f64>().unwrap();
            rows.push(vec![
                clients.to_string(),
                format!("{asked} ms"),
                middle.to_string(),
                format!("{on_top:+.2} ms"),
                slow.to_string(),
            ]);
        }
    }
    let head = [
        "clients",
        "asked",
        "middle",
        "more than asked and without",
        "99 % within",
    ];
    format!(
        "A delay that is asked for, seen by clients that ask one request after the other.\n\n{}",
        table(&head, &rows)
    )
}

/// A delay as others have it, of answers of a server behind all of them.
fn beside(rounds: usize) -> String {
    const LATE: u64 = 20;
    if !["nginx", "wrk"].into_iter().all(has) {
        return "Delays beside others: `nginx` and `wrk` are not both here.\n".to_owned();
    }
    let late = LATE.to_string();
    let names = ["Envoy, HTTP", "`fracas proxy`", "noxious", "`fracas proxy`, TCP"];
    let figures = || [(); 4].map(|()| Figures::of("ms"));
    let mut all: Vec<_> = names
        .into_iter()
        .filter(|name| is_there(name))
        .map(|name| (name, figures()))
        .collect();
    for _ in 0..rounds {
        let backend = free();
        let _nginx = nginx(backend);
        for (name, [one, one_slow, many, many_slow]) in &mut all {
            let at = free();
            let (_proxy, at) = match *name {
                "Envoy, HTTP" => (envoy("http", backend, at, LATE), at),
                "`fracas proxy`" => {
                    let upstream = format!("http://{backend}");
                    (fracas(&["--upstream", &upstream, "--chaos-latency-ms", &late], at), at)
                }
                "noxious" => (noxious(backend, at, LATE), at),
                _ => relay(backend, LATE),
            };
            for (clients, middle, slow) in [(1, one, one_slow), (CLIENTS, many, many_slow)] {
                let seen = wrk(at, clients, &[]);
                middle.took(seen.middle);
                slow.took(seen.slow);
            }
        }
    }
    let rows: Vec<_> = all
        .iter()
        .map(|(name, figures)| {
            let figures = figures.iter().map(ToString::to_string);
            std::iter::once((*name).to_owned()).chain(figures).collect()
        })
        .collect();
    let head = [
        "",
        "one client: middle",
        "99 % within",
        "64 clients: middle",
        "99 % within",
    ];
    format!(
        "{LATE} ms asked of those that can delay each answer of a connection.\n\n{}",
        table(&head, &rows)
    )
}

fn idle() -> String {
    fracas_linux::limits::raise_own_descriptor_limit().unwrap();
    let at = free();
    let proxy = fracas(&["--upstream", "http://127.0.0.1:9"], at);
    let before = proxy.resident();
    let all: Vec<_> = (0..IDLE).map_while(|_| TcpStream::connect(at).ok()).collect();
    let began = Instant::now();
    // The last of them is taken when all before it are.
    let mut last = proxy.resident();
    loop {
        // tidy: sleep because it is the pause between two looks
        #[expect(clippy::disallowed_methods, reason = "nobody tells when the last one was taken")]
        std::thread::sleep(Duration::from_millis(300));
        let now = proxy.resident();
        if (now - last).abs() < f64::EPSILON || began.elapsed() > LIMIT {
            break;
        }
        last = now;
    }
    format!(
        "{} connections that say nothing take it from {before:.0} to {:.0} MiB (bound: 100 MB).\n",
        all.len(),
        proxy.resident()
    )
}
