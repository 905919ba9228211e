//! An HTTP server that keeps what it is sent: a collector of OTLP, or the address of a webhook. An OpenTelemetry collector is in no
//! package of Debian, so this is a listener of the test's own; what it is sent is decoded with OpenTelemetry's definitions.

#![allow(dead_code, reason = "each test uses its own part")]

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    /// Names in small letters.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// With this status and body.
    Say(u16, Vec<u8>),
    /// Never; the connection stays open.
    Nothing,
}

#[derive(Debug, Default)]
struct Shared {
    requests: Vec<Request>,
    answers: VecDeque<Answer>,
}

/// A listener on loopback. Ends with the test's process.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    port: u16,
    shared: Arc<Mutex<Shared>>,
}

impl Receiver {
    /// Answers 200 to everything.
    pub(crate) fn start() -> Self {
        Self::answering([])
    }

    /// Gives these answers first.
    pub(crate) fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Mutex::new(Shared {
            requests: Vec::new(),
            answers: answers.into_iter().collect(),
        }));
        let kept = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&kept);
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.lock().unwrap().requests.clone()
    }

    /// All spans so far, decoded.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let requests = self.requests();
        let bodies = requests.iter().map(|request| request.body.as_slice());
        bodies
            .flat_map(|body| ExportTraceServiceRequest::decode(body).unwrap().resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect()
    }

    /// Waits until this is seen in the spans.
    #[track_caller]
    pub(crate) fn until<T>(&self, what: &str, look: impl Fn(&[Span]) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            let spans = self.spans();
            if let Some(found) = look(&spans) {
                return found;
            }
            assert!(
                began.elapsed() < Duration::from_mins(1),
                "not told: {what}: {:?}",
                names(&spans)
            );
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Waits for a span of this name.
    #[track_caller]
    pub(crate) fn span(&self, name: &str) -> Span {
        self.until(name, |spans| spans.iter().find(|span| span.name == name).cloned())
    }
}

/// The names of spans, for messages.
pub(crate) fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

/// What an attribute says, as text.
pub(crate) fn says(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().rev().find(|pair| pair.key == key)?;
    Some(match found.value.clone()?.value? {
        Value::StringValue(text) => text,
        Value::BoolValue(flag) => flag.to_string(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

fn serve(mut stream: &TcpStream, shared: &Mutex<Shared>) {
    let mut reader = BufReader::new(stream);
    let Some(request) = read(&mut reader) else { return };
    let answer = {
        let mut shared = shared.lock().unwrap();
        shared.requests.push(request);
        shared.answers.pop_front()
    };
    match answer.unwrap_or(Answer::Say(200, Vec::new())) {
        Answer::Say(status, body) => {
            let head = format!(
                "HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            // The peer closing early is its right.
            let _answered = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
        Answer::Nothing => {
            // Until the peer closes.
            let _closed = reader.read(&mut [0]);
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        line: first,
        headers,
        body,
    })
}
