//! A name server for tests: it knows every name, by UDP and by TCP; some as it is told.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A name server. It ends when dropped.
#[derive(Debug)]
pub struct TestNames {
    over: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    told: Told,
    thread: Option<JoinHandle<()>>,
}

/// What it was told.
#[derive(Debug, Default)]
struct Orders {
    /// Where some names are that are not where all are.
    at: BTreeMap<String, Vec<IpAddr>>,
    /// Whether it answers SERVFAIL to whoever asks for IPv6.
    half: bool,
    /// Whether it is so old that it cannot read a record of EDNS.
    old: bool,
}

type Told = Arc<Mutex<Orders>>;

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
        let told = Told::default();
        let (its_over, its_asked, its_told) = (Arc::clone(&over), Arc::clone(&asked), Arc::clone(&told));
        let thread = std::thread::Builder::new().spawn(move || {
            let mut buffer = [0; 1500];
            while !its_over.load(Ordering::Relaxed) {
                if let Ok((length, from)) = udp.recv_from(&mut buffer)
                    && let Some(answer) = answer(&buffer[..length], &its_told)
                {
                    its_asked.fetch_add(1, Ordering::Relaxed);
                    // Who has asked may be gone.
                    let _gone = udp.send_to(&answer, from);
                }
                if let Ok((stream, _)) = tcp.accept() {
                    let (asked, told) = (Arc::clone(&its_asked), Arc::clone(&its_told));
                    // It ends with its connection.
                    std::thread::spawn(move || converse(stream, &asked, &told));
                }
            }
        })?;
        Ok(Self {
            over,
            asked,
            told,
            thread: Some(thread),
        })
    }

    /// From now on a name is at these addresses; without any there is no such name.
    pub fn tell(&self, name: &str, addresses: &[IpAddr]) {
        self.orders().at.insert(name.to_owned(), addresses.to_vec());
    }

    /// From now on it answers SERVFAIL to whoever asks for IPv6, or no longer.
    pub fn be_half(&self, half: bool) {
        self.orders().half = half;
    }

    /// From now on it answers FORMERR to questions with a record of EDNS (RFC 6891), as servers from before do, with a header alone; or no
    /// longer.
    pub fn be_old(&self, old: bool) {
        self.orders().old = old;
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
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
fn converse(mut stream: TcpStream, asked: &AtomicU64, told: &Told) -> Option<()> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(SILENT)).ok()?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message).ok()?;
        asked.fetch_add(1, Ordering::Relaxed);
        let answer = answer(&message, told)?;
        let length = (answer.len() as u16).to_be_bytes();
        stream.write_all(&[&length[..], &answer].concat()).ok()?;
    }
}

/// The answer to a question. `None`: it is none.
fn answer(message: &[u8], told: &Told) -> Option<Vec<u8>> {
    let (mut end, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*message.get(end)?);
        let label = message.get(end + 1..end + 1 + length)?;
        end += 1 + length;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
    }
    let kind = u16::from_be_bytes(*message.get(end..)?.first_chunk()?);
    let mut answer = message.get(..end + 4)?.to_vec();
    let told = told.lock().unwrap_or_else(PoisonError::into_inner);
    if told.old && message.get(10..12)? != [0, 0] {
        answer.truncate(12);
        answer[2..12].copy_from_slice(&[0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]);
        return Some(answer);
    }
    if told.half && kind == 28 {
        answer[2..12].copy_from_slice(&[0x81, 0x82, 0, 1, 0, 0, 0, 0, 0, 0]);
        return Some(answer);
    }
    let all = told.at.get(&labels.join(".")).cloned();
    let all = all.unwrap_or_else(|| vec![TestNames::V4.into(), TestNames::V6.into()]);
    let code = if all.is_empty() { 3 } else { 0 };
    let of_kind = |address: &IpAddr| match (kind, address) {
        (1, IpAddr::V4(address)) => Some(address.octets().to_vec()),
        (28, IpAddr::V6(address)) => Some(address.octets().to_vec()),
        _ => None,
    };
    let addresses: Vec<Vec<u8>> = all.iter().filter_map(of_kind).collect();
    let [high, low] = (addresses.len() as u16).to_be_bytes();
    answer[2..12].copy_from_slice(&[0x81, 0x80 | code, 0, 1, high, low, 0, 0, 0, 0]);
    for address in addresses {
        answer.extend(
            [0xc00c, kind, 1, 0, 60, address.len() as u16]
                .map(u16::to_be_bytes)
                .as_flattened(),
        );
        answer.extend(address);
    }
    Some(answer)
}
