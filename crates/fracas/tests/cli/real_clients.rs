//! Clients that others wrote, each before a proxy: unharmed without a fault, and each fault that is about it seen. What they do stands in
//! `real_clients/`; they change the faults by the API.

mod toxiproxy;

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli::Cli;
use crate::proxied::Proxied;

/// The one whose modules are Debian's.
const PYTHON: &str = "/usr/bin/python3";
/// In seconds, for all that a client does. Some have no limits of their own.
const LIMIT: &str = "120";

/// Programs that go on until their input ends.
struct Servers {
    child: Child,
    grpc: String,
    websocket: String,
    graphql: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/real_clients")
}

fn python(program: &str) -> Command {
    of(PYTHON, program)
}

/// A client of that folder, by what understands it.
fn of(interpreter: impl AsRef<OsStr>, program: &str) -> Command {
    let mut command = within(LIMIT, interpreter);
    command.arg(folder().join(program));
    command
}

/// What is ended when it takes longer than so many seconds, and with it what it has started.
fn within(limit: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = alone("timeout");
    command.args(["--kill-after=5", limit]).arg(program);
    // What was said until then is there.
    command.env("PYTHONUNBUFFERED", "1");
    command
}

#[expect(clippy::disallowed_methods, reason = "a real client is another program")]
fn alone(program: &str) -> Command {
    let mut command = Command::new(program);
    // Nothing is written beside the sources, and no proxy of the machine's stands between.
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("no_proxy", "*");
    command
}

/// Whether all is there, or this test may be left out.
#[expect(clippy::disallowed_methods, reason = "a real client is another program")]
fn are_there() -> bool {
    let modules = Command::new(PYTHON)
        .args(["-c", "import grpc, websockets, httpx, h2"])
        .output();
    let programs = ["curl", "nghttp", "h2load"].map(|name| Command::new(name).arg("--version").output());
    let modules = modules.is_ok_and(|ended| ended.status.success());
    let all = modules && programs.iter().all(Result::is_ok);
    if !all {
        fracas_lab::skip(
            "python3-grpcio, python3-websockets, python3-httpx, python3-h2, nghttp2-client or curl is missing",
        );
    }
    all
}

impl Servers {
    fn start() -> Self {
        let mut child = alone(PYTHON)
            .arg(folder().join("servers.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let ports: Vec<&str> = line.split_whitespace().collect();
        let [grpc, websocket, graphql] = ports[..] else {
            panic!("the servers said {line:?}");
        };
        Self {
            grpc: format!("h2c://127.0.0.1:{grpc}"),
            websocket: format!("http://127.0.0.1:{websocket}"),
            graphql: format!("http://127.0.0.1:{graphql}"),
            child,
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Runs a program to its end, which has to say that it came to each of these.
#[track_caller]
fn passes(program: &mut Command, wanted: &[&str]) {
    let ended = program.stdin(Stdio::null()).output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr),
    );
    let too_long = ended.status.code() == Some(124);
    assert!(!too_long, "{program:?}: not in time: {out}{err}");
    let passed: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix("passed ")).collect();
    assert!(ended.status.success() && passed == wanted, "{program:?}: {out}{err}");
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

#[test]
fn clients_of_others_are_unharmed_and_see_each_fault() {
    if !are_there() {
        return;
    }
    let cli = Cli::new();
    let servers = Servers::start();
    let before = |words: &[&str]| {
        let proxy = Proxied::start(&cli, &[&["--seed", "7"], words].concat());
        let port = proxy.address.port().to_string();
        (proxy, port)
    };
    let (_grpc, grpc) = before(&["--upstream", &servers.grpc]);
    let (_websocket, websocket) = before(&["--upstream", &servers.websocket]);
    let (_streams, streams) = before(&["--upstream", &servers.websocket]);
    let (_graphql, graphql) = before(&["--upstream", &servers.graphql]);
    let (_alone, alone) = before(&[]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let wanted = ["grpc unharmed", "grpc status", "grpc cut", "grpc others"];
            passes(python("grpc_client.py").arg(&grpc), &wanted);
        });
        scope.spawn(|| {
            let wanted =
                ["unharmed", "close", "drop", "corruption", "delay", "others"].map(|name| format!("websocket {name}"));
            let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
            let words = [&websocket, port(&servers.graphql)];
            passes(python("websocket_client.py").args(words), &wanted);
        });
        scope.spawn(|| {
            let wanted = ["streams unharmed", "streams close", "streams refused"];
            passes(python("websocket_streams.py").arg(&streams), &wanted);
        });
        scope.spawn(|| {
            let wanted = ["httpx", "graphql", "curl", "nghttp"];
            passes(python("http_clients.py").args([&alone, &graphql]), &wanted);
        });
    });
}

#[test]
fn a_client_that_takes_too_long_is_ended_with_what_it_has_started_and_fails() {
    let begun = Instant::now();
    let mut client = within("3", "sh");
    client.args(["-c", "echo passed one; sleep 60 & wait"]);
    let failed = catch_unwind(AssertUnwindSafe(|| passes(&mut client, &["one"]))).unwrap_err();
    let why = failed.downcast_ref::<String>().unwrap();
    assert!(why.contains("not in time: passed one"), "{why}");
    // What it has started has its output, which is read to the end.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}
