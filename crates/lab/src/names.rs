//! A name server for tests: it knows every name, by UDP and by TCP.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A name server. It ends when dropped.
#[derive(Debug)]
pub struct TestNames {
    over: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

/// How long nothing is looked at when nobody asks by UDP.
const IDLE: Duration = Duration::from_millis(10);
/// How long a connection may be silent.
const SILENT: Duration = Duration::from_secs(20);
const PORT: u16 = 53;

impl TestNames {
    /// Where every name is, for whoever asks for IPv4.
    pub const V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
    /// And for IPv6.
    pub const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

    /// Listens on port 53 of this address, in the network namespace of this thread.
    pub fn serve(at: IpAddr) -> io::Result<Self> {
        let at = SocketAddr::new(at, PORT);
        let (udp, tcp) = (UdpSocket::bind(at)?, TcpListener::bind(at)?);
        udp.set_read_timeout(Some(IDLE))?;
        tcp.set_nonblocking(true)?;
        let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (its_over, its_asked) = (Arc::clone(&over), Arc::clone(&asked));
        let thread = std::thread::Builder::new().spawn(move || {
            let mut buffer = [0; 1500];
            while !its_over.load(Ordering::Relaxed) {
                if let Ok((length, from)) = udp.recv_from(&mut buffer)
                    && let Some(answer) = answer(&buffer[..length])
                {
                    its_asked.fetch_add(1, Ordering::Relaxed);
                    // Who has asked may be gone.
                    let _gone = udp.send_to(&answer, from);
                }
                if let Ok((stream, _)) = tcp.accept() {
                    let asked = Arc::clone(&its_asked);
                    // It ends with its connection.
                    std::thread::spawn(move || converse(stream, &asked));
                }
            }
        })?;
        Ok(Self {
            over,
            asked,
            thread: Some(thread),
        })
    }

    /// How many questions came.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for TestNames {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has no reason to panic, and a drop has nobody to tell.
            let _ended = thread.join();
        }
    }
}

/// Answers on a connection until it ends.
fn converse(mut stream: TcpStream, asked: &AtomicU64) -> Option<()> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(SILENT)).ok()?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message).ok()?;
        asked.fetch_add(1, Ordering::Relaxed);
        let answer = answer(&message)?;
        let length = (answer.len() as u16).to_be_bytes();
        stream.write_all(&[&length[..], &answer].concat()).ok()?;
    }
}

/// The answer to a question. `None`: it is none.
fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let mut end = 12;
    loop {
        let length = usize::from(*message.get(end)?);
        end += 1 + length;
        if length == 0 {
            break;
        }
    }
    let kind = u16::from_be_bytes(*message.get(end..)?.first_chunk()?);
    let mut answer = message.get(..end + 4)?.to_vec();
    let address = match kind {
        1 => TestNames::V4.octets().to_vec(),
        28 => TestNames::V6.octets().to_vec(),
        _ => Vec::new(),
    };
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(!address.is_empty()), 0, 0, 0, 0]);
    if !address.is_empty() {
        answer.extend(
            [0xc00c, kind, 1, 0, 60, address.len() as u16]
                .map(u16::to_be_bytes)
                .as_flattened(),
        );
        answer.extend(address);
    }
    Some(answer)
}
