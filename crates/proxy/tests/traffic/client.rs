//! Clients: curl, and bytes as they stand on the wire.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::stand::LIMIT;

/// What curl said.
#[derive(Debug)]
pub(crate) struct Curl {
    /// Its exit code: 0, 52 for no answer, 56 for a reset.
    pub(crate) code: i32,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// What it did, by `-v`.
    pub(crate) told: String,
}

impl Curl {
    pub(crate) fn status(&self) -> u16 {
        let line = self
            .head
            .lines()
            .rfind(|line| line.starts_with("HTTP/"))
            .unwrap_or_default();
        line.split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_default()
    }

    /// The values of a header, as one line.
    pub(crate) fn header(&self, name: &str) -> String {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let values: Vec<&str> = lines
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect();
        values.join(", ")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Runs curl.
#[expect(clippy::disallowed_methods, reason = "a real client is another program")]
pub(crate) async fn curl(words: &[&str]) -> Curl {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    let run = move || {
        let place = tempfile::tempdir().unwrap();
        let (head, body) = (place.path().join("head"), place.path().join("body"));
        let output = Command::new("curl")
            .args(["-v", "-sS", "--noproxy", "*", "--max-time", "30"])
            .args(["-D", head.to_str().unwrap(), "-o", body.to_str().unwrap()])
            .args(&words)
            .stdin(Stdio::null())
            .output()
            .expect("curl is there");
        Curl {
            code: output.status.code().unwrap_or(-1),
            head: std::fs::read_to_string(head).unwrap_or_default(),
            body: std::fs::read(body).unwrap_or_default(),
            told: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// A connection in which a test writes every byte itself.
pub(crate) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends as much as the other side takes. An error is a reset, which is told once.
    pub(crate) async fn try_send(&mut self, text: &str) -> std::io::Result<()> {
        self.stream.write_all(text.as_bytes()).await
    }

    pub(crate) async fn try_send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The first bytes of what comes.
    pub(crate) async fn first<const N: usize>(&mut self) -> [u8; N] {
        let mut first = [0; N];
        timeout(LIMIT, self.stream.read_exact(&mut first))
            .await
            .unwrap()
            .unwrap();
        first
    }

    /// Whether anything comes before it ends.
    pub(crate) async fn hears_anything(mut self) -> bool {
        let mut first = [0];
        matches!(timeout(LIMIT, self.stream.read(&mut first)).await.unwrap(), Ok(1))
    }

    /// Reads until the text is there, and gives all that came up to its end.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let reading = async {
            loop {
                if let Some(at) = self.read.windows(text.len()).position(|part| part == text.as_bytes()) {
                    let whole: Vec<u8> = self.read.drain(..at + text.len()).collect();
                    return String::from_utf8_lossy(&whole).into_owned();
                }
                let mut more = [0; 4096];
                let count = self.stream.read(&mut more).await.unwrap();
                assert!(
                    count > 0,
                    "it ended before {text:?}: {:?}",
                    String::from_utf8_lossy(&self.read)
                );
                self.read.extend_from_slice(&more[..count]);
            }
        };
        timeout(LIMIT, reading)
            .await
            .unwrap_or_else(|_| panic!("no {text:?} in time"))
    }

    /// One request and the head of its answer; the answer has a `content-length`, and its body is read.
    pub(crate) async fn ask(&mut self, request: &str) -> String {
        self.ask_whole(request).await.0
    }

    /// The same, with the body.
    pub(crate) async fn ask_whole(&mut self, request: &str) -> (String, Vec<u8>) {
        self.send(request).await;
        let head = self.until("\r\n\r\n").await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap_or("0").parse().unwrap();
        while self.read.len() < length {
            let mut more = [0; 4096];
            let count = timeout(LIMIT, self.stream.read(&mut more)).await.unwrap().unwrap();
            assert!(count > 0, "it ended within a body");
            self.read.extend_from_slice(&more[..count]);
        }
        (head, self.read.drain(..length).collect())
    }

    /// As [`Raw::ask`], of an answer that may break off within its body: whether it is whole.
    pub(crate) async fn ask_or_end(&mut self, request: &str) -> (String, bool) {
        self.send(request).await;
        let head = self.until("\r\n\r\n").await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().parse().unwrap();
        while self.read.len() < length {
            let mut more = [0; 4096];
            // What was read before a reset stays.
            let count = timeout(LIMIT, self.stream.read(&mut more)).await.unwrap().unwrap_or(0);
            if count == 0 {
                return (head, false);
            }
            self.read.extend_from_slice(&more[..count]);
        }
        self.read.drain(..length);
        (head, true)
    }

    /// Sends so many bytes, and reads as many meanwhile.
    pub(crate) async fn echoes(&mut self, bytes: usize) {
        let (mut from, mut to) = self.stream.split();
        let sent = vec![b'x'; bytes];
        let mut back = vec![0; bytes];
        let both = async { tokio::try_join!(to.write_all(&sent), from.read_exact(&mut back)) };
        timeout(LIMIT, both).await.unwrap().unwrap();
        assert!(back == sent);
    }

    /// Reads so many bytes, and keeps none.
    pub(crate) async fn skip(&mut self, bytes: u64) {
        let mut some = (&mut self.stream).take(bytes);
        timeout(LIMIT, tokio::io::copy(&mut some, &mut tokio::io::sink()))
            .await
            .unwrap()
            .unwrap();
    }

    /// All that comes until the end, in whatever way it ends.
    pub(crate) async fn said(mut self) -> String {
        let mut said = std::mem::take(&mut self.read);
        // What was read before a reset stays.
        let _reset = timeout(LIMIT, self.stream.read_to_end(&mut said))
            .await
            .expect("it ends");
        String::from_utf8_lossy(&said).into_owned()
    }

    /// All that comes until the end. An error is a reset.
    pub(crate) async fn rest(mut self) -> std::io::Result<String> {
        let mut rest = std::mem::take(&mut self.read);
        timeout(LIMIT, self.stream.read_to_end(&mut rest))
            .await
            .expect("it ends")?;
        Ok(String::from_utf8_lossy(&rest).into_owned())
    }
}
