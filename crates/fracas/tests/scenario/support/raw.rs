//! What is true of a container, read without a line of Fracas: the engine's own bytes and the kernel's files.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use fracas_lab::TestContainer;
use fracas_linux::cgroup::Controller;

/// Everything about a container's memory that somebody could set: the files of its control group, and the engine's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// By name. Counters that a write resets are no settings.
    pub(crate) files: BTreeMap<String, String>,
    /// The answer to `docker inspect`, byte by byte.
    pub(crate) inspect: String,
}

impl Settings {
    pub(crate) async fn of(container: &TestContainer) -> Self {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(group(container).await).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let settable = entry.metadata().unwrap().permissions().mode() & 0o200 != 0;
            let counter = ["failcnt", "max_usage_in_bytes", "peak"]
                .iter()
                .any(|end| name.ends_with(end));
            if name.starts_with("memory.")
                && settable
                && !counter
                // Some files can only be written, as memory.force_empty.
                && let Ok(text) = fs::read_to_string(entry.path())
            {
                files.insert(name, text);
            }
        }
        assert!(!files.is_empty(), "{} has no files that can be set", container.name());
        Self {
            files,
            inspect: inspect(container),
        }
    }
}

/// The directory of a container's control group for memory.
async fn group(container: &TestContainer) -> PathBuf {
    let group = container.cgroup(Controller::Memory).await.unwrap().unwrap();
    group.path().to_owned()
}

/// The file that holds the limit, on either version of control groups.
pub(crate) async fn limit_file(container: &TestContainer) -> PathBuf {
    let group = group(container).await;
    let old = group.join("memory.limit_in_bytes");
    if old.exists() { old } else { group.join("memory.max") }
}

/// The limit of a container's memory as the kernel has it; `u64::MAX` where there is none.
pub(crate) async fn memory_limit(container: &TestContainer) -> u64 {
    let text = fs::read_to_string(limit_file(container).await).unwrap();
    match text.trim() {
        "max" => u64::MAX,
        number => number.parse().unwrap(),
    }
}

/// What `docker inspect` is made of.
pub(crate) fn inspect(container: &TestContainer) -> String {
    get(container, &format!("/containers/{}/json", container.id()))
}

/// The limit that `docker stats` shows.
pub(crate) fn shown_limit(container: &TestContainer) -> u64 {
    let path = format!("/containers/{}/stats?stream=false&one-shot=true", container.id());
    let stats: serde_json::Value = serde_json::from_str(&get(container, &path)).unwrap();
    stats["memory_stats"]["limit"].as_u64().unwrap()
}

/// The body of an answer of the engine.
fn get(container: &TestContainer, path: &str) -> String {
    let address = container.engine().address();
    let socket = address.strip_prefix("unix://").unwrap();
    http(UnixStream::connect(socket).unwrap(), path).unwrap()
}

/// The body of an answer on a port of loopback; `None` if there is none, or if it is no success.
pub(crate) fn get_port(port: u16, path: &str) -> Option<String> {
    get_from(&format!("127.0.0.1:{port}"), path)
}

/// The same, from an address with a port.
pub(crate) fn get_from(address: &str, path: &str) -> Option<String> {
    http(TcpStream::connect(address).ok()?, path)
}

/// HTTP 1.0: the answer ends with the connection, and is never in chunks.
fn http(mut stream: impl Read + Write, path: &str) -> Option<String> {
    stream
        .write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?;
    (status == "200").then(|| body.to_owned())
}
