//! The proxies that are measured, ours and others, and the server behind them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::run::LIMIT;

/// A program that is ended when it is dropped.
pub(super) struct Started {
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
    /// Seconds of processors that it has had.
    pub(super) fn used(&self) -> f64 {
        let pid = self.child.id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        // utime and stime, in hundredths (proc_pid_stat(5)).
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    /// Resident, in MiB.
    pub(super) fn resident(&self) -> f64 {
        self.memory("VmRSS:")
    }

    /// Of that what is in no file, its program among these, in MiB.
    pub(super) fn anonymous(&self) -> f64 {
        self.memory("RssAnon:")
    }

    fn memory(&self, what: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what));
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

pub(super) fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub(super) fn has(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
        || Path::new("/usr/sbin").join(program).is_file()
}

pub(super) fn fracas(words: &[&str], at: SocketAddr) -> Started {
    let listen = at.to_string();
    let words = [&[env!("CARGO_BIN_EXE_fracas"), "proxy", "--listen", &listen], words].concat();
    start("0", &words, None, at)
}

/// A proxy of TCP by the API of Toxiproxy, late by so many milliseconds.
pub(super) fn relay(upstream: SocketAddr, late: u64) -> (Started, SocketAddr) {
    let (api, at) = (free(), free());
    let started = fracas(&["--toxiproxy-api", &api.to_string()], free());
    let toxics = match late {
        0 => String::new(),
        _ => format!(r#"{{"type":"latency","attributes":{{"latency":{late}}}}}"#),
    };
    let asked = format!(r#"{{"name":"bench","listen":"{at}","upstream":"{upstream}","toxics":[{toxics}]}}"#);
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

pub(super) fn haproxy(mode: &str, upstream: SocketAddr, at: SocketAddr) -> Started {
    let text = format!(
        "global\n  nbthread 1\n  maxconn 4000\ndefaults\n  mode {mode}\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         frontend f\n  bind {at}\n  default_backend b\nbackend b\n  server s {upstream}\n"
    );
    start("0", &["haproxy", "-db", "-f", "conf"], Some(&text), at)
}

/// One that has no worker but one, as the others, and whose filter of faults delays by so many milliseconds.
pub(super) fn envoy(mode: &str, upstream: SocketAddr, at: SocketAddr, late: u64) -> Started {
    let to = |at: SocketAddr| {
        format!(
            "{{socket_address: {{address: {}, port_value: {}}}}}",
            at.ip(),
            at.port()
        )
    };
    let kinds = "type.googleapis.com/envoy.extensions.filters";
    let fault = match late {
        0 => String::new(),
        _ => format!(
            "{{name: envoy.filters.http.fault, typed_config: {{\"@type\": {kinds}.http.fault.v3.HTTPFault, delay: {{fixed_delay: {}s, \
             percentage: {{numerator: 100}}}}}}}}, ",
            late as f64 / 1e3
        ),
    };
    let filter = match mode {
        "http" => format!(
            "{{name: envoy.filters.network.http_connection_manager, typed_config: {{\"@type\": \
             {kinds}.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: a, route_config: {{virtual_hosts: [{{name: a, \
             domains: [\"*\"], routes: [{{match: {{prefix: /}}, route: {{cluster: a}}}}]}}]}}, http_filters: [{fault}{{name: envoy.filters.http.router, \
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

/// `fault-cli`, without a fault: its latency is of the first bytes of a connection alone.
pub(super) fn fault(upstream: SocketAddr, at: SocketAddr) -> Started {
    let text = format!(
        "schema_version: 1\nname: bench\nproxies:\n  - {{name: bench, protocol: tcp, listen: \"{at}\", upstream: \"{upstream}\"}}\n\
         phases:\n  - {{name: none, proxies: []}}\n"
    );
    start("0", &["fault", "--output", "json", "run", "conf.yaml"], Some(&text), at)
}

/// `noxious`, by the program in `noxious/`, late by so many milliseconds.
pub(super) fn noxious(upstream: SocketAddr, at: SocketAddr, late: u64) -> Started {
    let words = [at.to_string(), upstream.to_string(), late.to_string()];
    let words = words.each_ref().map(String::as_str);
    start("0", &[&["noxious-proxy"], &words[..]].concat(), None, at)
}

/// One process: a worker would outlive the end of its master.
pub(super) fn nginx(at: SocketAddr) -> Started {
    let text = format!(
        "daemon off; master_process off; error_log /dev/null; pid nginx.pid;\nevents {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 100000000; server {{ listen {at}; location / {{ return 200 \
         \"sixty-seven bytes of an answer that is neither long nor short, as it is\"; }} }} }}\n"
    );
    start("1", &["nginx", "-p", ".", "-c", "conf"], Some(&text), at)
}
