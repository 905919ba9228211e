//! Three nodes on loopback addresses of their own: what they promise, without faults of Fracas'.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "these are tests, and start the program that they test"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_key-value");
const LIMIT: Duration = Duration::from_secs(20);

struct Service {
    folder: PathBuf,
    nodes: [Option<Child>; 3],
}

impl Service {
    fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("key-value-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut service = Self {
            folder,
            nodes: [None, None, None],
        };
        for number in 0..3 {
            service.begin(number);
        }
        service
    }

    fn begin(&mut self, number: usize) {
        let file = self.folder.join(number.to_string());
        let number_word = number.to_string();
        let own = address(number);
        let mut words = vec!["node", &number_word, &own, file.to_str().unwrap()];
        let others: Vec<String> = (0..3).filter(|other| *other != number).map(address).collect();
        words.extend(others.iter().map(String::as_str));
        self.nodes[number] = Some(started(&words));
    }

    /// As the kernel would, without a word of goodbye.
    fn kill(&mut self, number: usize) {
        let mut child = self.nodes[number].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for node in self.nodes.iter_mut().flatten() {
            let _ended = node.kill();
            let _ended = node.wait();
        }
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

/// A process of a test has its own part of the loopback network.
fn address(number: usize) -> String {
    let pid = std::process::id();
    format!(
        "127.{}.{}.{}:7000",
        64 + (pid >> 16) % 64,
        (pid >> 8) % 256,
        (pid % 64) * 4 + number as u32
    )
}

/// Starts it and waits until it listens.
fn started(words: &[&str]) -> Child {
    let mut child = Command::new(PROGRAM)
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.ends_with('\n'), "{words:?} does not listen");
    child
}

fn says(words: &[&str]) -> (bool, String) {
    let output = Command::new(PROGRAM).args(words).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), text.trim().to_owned())
}

fn page(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: it\r\nAccept: */*\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < LIMIT, "{what} is not so after {LIMIT:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_majority_answers_fewer_refuse_and_what_was_acknowledged_outlives_kills() {
    let mut service = Service::start("majority");
    let ok = (true, "ok".to_owned());
    assert_eq!(says(&["put", &address(0), "colour", "red"]), ok);
    assert_eq!(says(&["get", &address(2), "colour"]), (true, "red".to_owned()));
    assert_eq!(says(&["get", &address(2), "shape"]), (true, "none".to_owned()));
    service.kill(0);
    assert_eq!(says(&["put", &address(1), "colour", "blue"]), ok);
    service.kill(1);
    let (went_well, why) = says(&["put", &address(2), "colour", "green"]);
    assert!(!went_well && why.contains("too few nodes answer"), "{why}");
    // The one that never heard of blue, and the one that has it alone of those two.
    service.begin(0);
    service.kill(2);
    service.begin(1);
    assert_eq!(says(&["get", &address(0), "colour"]), (true, "blue".to_owned()));
}

#[test]
fn the_client_tells_whether_the_service_is_there_and_notices_a_lost_write() {
    let mut service = Service::start("client");
    let own = address(3);
    let nodes = [address(0), address(1), address(2)];
    let words: Vec<&str> = ["client", &own]
        .into_iter()
        .chain(nodes.iter().map(String::as_str))
        .collect();
    let mut client = started(&words);
    until("it is available", || page(&own, "/available").contains("200 OK"));
    until("something was read", || {
        !page(&own, "/metrics").contains("kv_reads_total 0")
    });
    assert!(page(&own, "/lost").contains("200 OK"));
    service.kill(0);
    service.kill(1);
    until("it is no longer available", || {
        page(&own, "/available").contains("503 ")
    });
    // Two of three come back without their disks: a majority that knows nothing.
    for number in [0, 1] {
        std::fs::remove_file(service.folder.join(number.to_string())).unwrap();
    }
    service.kill(2);
    for number in [0, 1] {
        service.begin(number);
    }
    until("the loss is noticed", || page(&own, "/lost").contains("500 "));
    client.kill().unwrap();
    client.wait().unwrap();
}
