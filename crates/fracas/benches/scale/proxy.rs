//! The proxy: what a request costs beside a plain proxy, how exactly it delays, and what connections that say nothing take.
//!
//! Backend and client are on one processor, the proxy that is measured alone on the other. What is not installed (`nginx`, `haproxy`, `wrk`,
//! and `envoy`, which Debian does not have) is left out.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::figures::{Figures, table};
use crate::run::LIMIT;

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
        "## Proxy\n\n{}\n{}\n{}\n{}",
        load(rounds),
        stream(rounds),
        delays(rounds),
        idle()
    );
    sched_setaffinity(None, &before).unwrap();
    page
}

/// A program that is ended when it is dropped.
struct Started {
    child: Child,
    _place: tempfile::TempDir,
}

impl Drop for Started {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl Started {
    /// Seconds of processors that it and its children have had.
    fn used(&self) -> f64 {
        let pid = self.child.id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        // utime and stime, in hundredths (proc_pid_stat(5)).
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    /// Resident, in MiB.
    fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
        kilobytes.parse::<f64>().unwrap() / 1024.0
    }
}

/// Starts a program on one processor, with a folder in which this file may be, and waits until it listens.
#[expect(clippy::disallowed_methods, reason = "a benchmark starts what it measures")]
fn start(processor: &str, words: &[&str], file: Option<&str>, at: SocketAddr) -> Started {
    let place = tempfile::tempdir().unwrap();
    if let Some(text) = file {
        // By its name alone one of them knows what is in it.
        for name in ["conf", "conf.yaml"] {
            fs::write(place.path().join(name), text).unwrap();
        }
    }
    let child = Command::new("taskset")
        .args(["-c", processor])
        .args(words)
        .current_dir(place.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Started { child, _place: place };
    let began = Instant::now();
    while TcpStream::connect(at).is_err() {
        assert!(began.elapsed() < LIMIT, "{words:?} does not listen");
    }
    started
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn has(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
        || Path::new("/usr/sbin").join(program).is_file()
}

fn fracas(words: &[&str], at: SocketAddr) -> Started {
    let listen = at.to_string();
    let words = [&[env!("CARGO_BIN_EXE_fracas"), "proxy", "--listen", &listen], words].concat();
    start("0", &words, None, at)
}

/// A proxy of TCP without a toxic, by the API of Toxiproxy.
fn relay(upstream: SocketAddr) -> (Started, SocketAddr) {
    let (api, at) = (free(), free());
    let started = fracas(&["--toxiproxy-api", &api.to_string()], free());
    let asked = format!(r#"{{"name":"bench","listen":"{at}","upstream":"{upstream}"}}"#);
    let began = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(api) {
            Ok(stream) => break stream,
            Err(_) => assert!(began.elapsed() < LIMIT, "no API"),
        }
    };
    let length = asked.len();
    let head = format!("POST /proxies HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n");
    write!(stream, "{head}connection: close\r\n\r\n{asked}").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 201"), "{said}");
    (started, at)
}

fn haproxy(mode: &str, upstream: SocketAddr, at: SocketAddr) -> Started {
    let text = format!(
        "global\n  nbthread 1\n  maxconn 4000\ndefaults\n  mode {mode}\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         frontend f\n  bind {at}\n  default_backend b\nbackend b\n  server s {upstream}\n"
    );
    start("0", &["haproxy", "-db", "-f", "conf"], Some(&text), at)
}

/// One that has no worker but one, as the others.
fn envoy(mode: &str, upstream: SocketAddr, at: SocketAddr) -> Started {
    let to = |at: SocketAddr| {
        format!(
            "{{socket_address: {{address: {}, port_value: {}}}}}",
            at.ip(),
            at.port()
        )
    };
    let kinds = "type.googleapis.com/envoy.extensions.filters";
    let filter = match mode {
        "http" => format!(
            "{{name: envoy.filters.network.http_connection_manager, typed_config: {{\"@type\": \
             {kinds}.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: a, route_config: {{virtual_hosts: [{{name: a, \
             domains: [\"*\"], routes: [{{match: {{prefix: /}}, route: {{cluster: a}}}}]}}]}}, http_filters: [{{name: envoy.filters.http.router, \
             typed_config: {{\"@type\": {kinds}.http.router.v3.Router}}}}]}}}}"
        ),
        _ => format!(
            "{{name: envoy.filters.network.tcp_proxy, typed_config: {{\"@type\": {kinds}.network.tcp_proxy.v3.TcpProxy, stat_prefix: a, \
             cluster: a}}}}"
        ),
    };
    let text = format!(
        "static_resources:\n  listeners: [{{name: a, address: {}, filter_chains: [{{filters: [{filter}]}}]}}]\n  clusters: [{{name: a, type: \
         STATIC, load_assignment: {{cluster_name: a, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {}}}}}]}}]}}}}]\n",
        to(at),
        to(upstream)
    );
    let words = [
        "envoy",
        "-c",
        "conf.yaml",
        "--concurrency",
        "1",
        "-l",
        "error",
        "--disable-hot-restart",
    ];
    start("0", &words, Some(&text), at)
}

/// One process: a worker would outlive the end of its master.
fn nginx(at: SocketAddr) -> Started {
    let text = format!(
        "daemon off; master_process off; error_log /dev/null; pid nginx.pid;\nevents {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 100000000; server {{ listen {at}; location / {{ return 200 \
         \"sixty-seven bytes of an answer that is neither long nor short, as it is\"; }} }} }}\n"
    );
    start("1", &["nginx", "-p", ".", "-c", "conf"], Some(&text), at)
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
    const HEAD: [&str; 8] = [
        "",
        "requests",
        "99 % within",
        "processor a request",
        "one alone: middle",
        "99 % within",
        "new connections",
        "resident",
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
        "`fracas proxy`, TCP",
    ];
    let figures = || ["/s", "ms", "µs", "ms", "ms", "/s", "MiB"].map(Figures::of);
    let is_there = |name: &&str| !name.starts_with("Envoy") || has("envoy");
    let mut all: Vec<_> = names
        .into_iter()
        .filter(is_there)
        .map(|name| (name, figures()))
        .collect();
    for _ in 0..rounds {
        let backend = free();
        let nginx = nginx(backend);
        for (name, [speed, slow, cost, one, one_slow, new, resident]) in &mut all {
            let at = free();
            let (proxy, at) = match *name {
                "HAProxy, HTTP" => (Some(haproxy("http", backend, at)), at),
                "Envoy, HTTP" => (Some(envoy("http", backend, at)), at),
                "Envoy, TCP" => (Some(envoy("tcp", backend, at)), at),
                "`fracas proxy`" => (Some(fracas(&["--upstream", &format!("http://{backend}")], at)), at),
                "HAProxy, TCP" => (Some(haproxy("tcp", backend, at)), at),
                "`fracas proxy`, TCP" => {
                    let (relay, at) = relay(backend);
                    (Some(relay), at)
                }
                _ => (None, backend),
            };
            let before = proxy.as_ref().map(Started::used);
            let seen = wrk(at, CLIENTS, &[]);
            speed.add(seen.a_second);
            slow.took(seen.slow);
            if let (Some(proxy), Some(before)) = (&proxy, before) {
                cost.add((proxy.used() - before) / seen.count * 1e6);
                resident.add(proxy.resident());
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
    let [mut direct, mut plain, mut other, mut ours] = [(); 4].map(|()| Figures::of("Gbit/s"));
    for _ in 0..rounds {
        direct.add(receive(source));
        if has("haproxy") {
            let at = free();
            let _haproxy = haproxy("tcp", source, at);
            plain.add(receive(at));
        }
        if has("envoy") {
            let at = free();
            let _envoy = envoy("tcp", source, at);
            other.add(receive(at));
        }
        let (_relay, at) = relay(source);
        ours.add(receive(at));
    }
    let rows = [
        ("no proxy", &direct),
        ("HAProxy, TCP", &plain),
        ("Envoy, TCP", &other),
        ("`fracas proxy`, TCP", &ours),
    ];
    let rows = rows.map(|(name, speed)| vec![name.to_owned(), speed.to_string()]);
    format!(
        "One stream of {} GB.\n\n{}",
        STREAM / 1_000_000_000,
        table(&["", "speed"], &rows)
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
