//! How everybody speaks: one line there, one line back, one connection each.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The most that anybody may say.
const LONGEST: u64 = 64 << 10;

/// Asks somebody. Each step (finding the way, sending, receiving) may take so long.
pub(crate) fn ask(address: &str, words: &str, patience: Duration) -> io::Result<String> {
    let there = address
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{address} has no address")))?;
    let mut stream = TcpStream::connect_timeout(&there, patience)?;
    bounded(&stream, patience)?;
    stream.write_all(format!("{words}\n").as_bytes())?;
    line(&mut said(&stream))
}

/// What somebody says: it is read through one buffer, which may hold more than the first line.
pub(crate) type Said<'a> = BufReader<io::Take<&'a TcpStream>>;

/// Answers everybody, each in a thread: one that waits for others holds nobody up.
pub(crate) fn serve(
    listener: TcpListener,
    patience: Duration,
    answer: impl Fn(&mut Said<'_>, &TcpStream) -> io::Result<()> + Send + Sync + 'static,
) {
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for peer in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            thread::spawn(move || {
                // A peer that breaks off harms nobody.
                let _broken_off = bounded(&peer, patience).and_then(|()| answer(&mut said(&peer), &peer));
            });
        }
    });
}

fn bounded(stream: &TcpStream, patience: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))
}

fn said(stream: &TcpStream) -> Said<'_> {
    BufReader::new(stream.take(LONGEST))
}

/// The next line; none at all is an error, for it means that the other end went away.
pub(crate) fn line(said: &mut Said<'_>) -> io::Result<String> {
    let mut line = String::new();
    said.read_line(&mut line)?;
    if line.ends_with('\n') {
        line.truncate(line.trim_end().len());
        Ok(line)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
