//! Any bytes of a client to the proxy: what reaches the upstream has one meaning, and the connection ends.
//!
//! The upstream here reads as strictly as RFC 9112 allows: whatever two servers could understand in two ways is an error of the proxy's.
#![no_main]

use std::future::pending;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;

use fracas_core::seed::Seed;
use fracas_proxy::{Order, Proxy};
use libfuzzer_sys::fuzz_target;

static PROXY: OnceLock<SocketAddr> = OnceLock::new();

/// Of a client that broke off: no error of the proxy's.
struct BrokeOff;

fuzz_target!(|bytes: &[u8]| {
    let mut client = TcpStream::connect(PROXY.get_or_init(start)).expect("the proxy listens");
    // It may close before it has read all.
    let _ended = client.write_all(bytes).and_then(|()| client.shutdown(Shutdown::Write));
    let mut answers = Vec::new();
    // That it ends at all is what libFuzzer's limit of time sees.
    match client.read_to_end(&mut answers) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
});

fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let upstream = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            std::thread::spawn(move || answer_all(&stream));
        }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let order = Order {
        upstream: Some(format!("http://{upstream}").parse().expect("an upstream")),
        // Elsewhere, so that no client can change what is done.
        api_listen: Some(any),
        ..Order::new(any, Seed(7))
    };
    let inside = runtime.enter();
    let proxy = Proxy::bind(order).expect("a proxy");
    drop(inside);
    let address = proxy.address().expect("an address");
    std::thread::spawn(move || runtime.block_on(proxy.serve(pending(), pending())));
    address
}

fn answer_all(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    while read(&mut reader).is_ok() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        if (&mut &*stream).write_all(answer).is_err() {
            return;
        }
    }
}

/// Reads one request to its end.
fn read(reader: &mut BufReader<&TcpStream>) -> Result<(), BrokeOff> {
    let first = line(reader)?;
    let words: Vec<&[u8]> = first.split(|byte| *byte == b' ').collect();
    let [method, path, b"HTTP/1.1"] = words[..] else {
        panic!("no request line: {:?}", show(&first));
    };
    assert!(is_token(method), "no method: {:?}", show(&first));
    let is_path = path.starts_with(b"/") || path == b"*";
    // Letters beyond ASCII are none of a path's (RFC 3986, 2.), but clients send them as they are, every server finds the end of the line
    // behind them, and whoever encoded them would change what the upstream sees: they pass as nginx passes them.
    let passes = |byte: &u8| byte.is_ascii_graphic() || !byte.is_ascii();
    assert!(is_path && path.iter().all(passes), "no path: {:?}", show(&first));
    let fields = fields(reader)?;
    let of = |name: &str| -> Vec<&[u8]> {
        let found = fields
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| &value[..]).collect()
    };
    assert_eq!(of("host").len(), 1, "one host: {fields:?}");
    let has_upgrade = !of("upgrade").is_empty();
    for (name, may) in [
        ("connection", has_upgrade),
        ("keep-alive", false),
        ("proxy-connection", false),
        ("http2-settings", false),
    ] {
        assert!(
            may || of(name).is_empty(),
            "{name} is of another connection: {fields:?}"
        );
    }
    match (&of("content-length")[..], &of("transfer-encoding")[..]) {
        ([], []) => Ok(()),
        ([length], []) => {
            assert!(
                !length.is_empty() && length.iter().all(u8::is_ascii_digit),
                "no length: {fields:?}"
            );
            let length: u64 = String::from_utf8_lossy(length).parse().expect("a length");
            skip(reader, length)
        }
        ([], [coding]) => {
            assert!(coding.eq_ignore_ascii_case(b"chunked"), "no coding: {fields:?}");
            chunks(reader)
        }
        _ => panic!("two ways to end: {fields:?}"),
    }
}

fn chunks(reader: &mut BufReader<&TcpStream>) -> Result<(), BrokeOff> {
    loop {
        let size = line(reader)?;
        assert!(
            !size.is_empty() && size.iter().all(u8::is_ascii_hexdigit),
            "no chunk: {:?}",
            show(&size)
        );
        let size = u64::from_str_radix(&String::from_utf8_lossy(&size), 16).expect("a size");
        if size == 0 {
            let trailers = fields(reader)?;
            let frames = |name: &[u8]| {
                [&b"content-length"[..], b"transfer-encoding", b"host"]
                    .iter()
                    .any(|bad| name.eq_ignore_ascii_case(bad))
            };
            assert!(
                !trailers.iter().any(|(name, _)| frames(name)),
                "trailers that frame: {trailers:?}"
            );
            return Ok(());
        }
        skip(reader, size)?;
        let mut end = [0; 2];
        reader.read_exact(&mut end).map_err(|_| BrokeOff)?;
        assert_eq!(&end, b"\r\n", "behind a chunk");
    }
}

/// Names and values up to the empty line.
fn fields(reader: &mut BufReader<&TcpStream>) -> Result<Vec<(Vec<u8>, Vec<u8>)>, BrokeOff> {
    let mut fields = Vec::new();
    loop {
        let line = line(reader)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let colon = colon.unwrap_or_else(|| panic!("no field: {:?}", show(&line)));
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        // A fold begins with a space, which is in no name.
        assert!(is_token(name), "no name: {:?}", show(&line));
        assert!(
            !value.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')),
            "no value: {:?}",
            show(&line)
        );
        fields.push((name.to_vec(), value.to_vec()));
    }
}

/// A line without its end, in which no other end is.
fn line(reader: &mut BufReader<&TcpStream>) -> Result<Vec<u8>, BrokeOff> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).map_err(|_| BrokeOff)?;
    if !line.ends_with(b"\n") {
        return Err(BrokeOff);
    }
    let whole = line
        .strip_suffix(b"\r\n")
        .unwrap_or_else(|| panic!("a bare end of line: {:?}", show(&line)));
    assert!(!whole.contains(&b'\r'), "a bare return: {:?}", show(&line));
    Ok(whole.to_vec())
}

fn skip(reader: &mut BufReader<&TcpStream>, length: u64) -> Result<(), BrokeOff> {
    let skipped = std::io::copy(&mut reader.take(length), &mut std::io::sink()).map_err(|_| BrokeOff)?;
    if skipped == length { Ok(()) } else { Err(BrokeOff) }
}

/// RFC 9110, 5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_part)
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
