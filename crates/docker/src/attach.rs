//! The standard streams of a container.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use fracas_core::problem::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

use crate::answer;
use crate::engine::{Engine, checked};

/// As much of a container's standard error as is kept, in bytes.
const KEPT: usize = 4096;
/// As much as may wait to be read, in bytes.
const WAITING: usize = 64 << 10;

/// The standard streams of a container that is, or will be, running. Dropping the writer closes the container's standard input.
pub struct Attached {
    /// Its standard output.
    pub reader: DuplexStream,
    /// Its standard input.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// What it says on standard error.
    pub complaint: Complaint,
}

/// The beginning of what a container says on standard error.
#[derive(Debug, Clone, Default)]
pub struct Complaint(Arc<Mutex<Vec<u8>>>);

impl Complaint {
    /// What was said so far, on one line.
    pub fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = bytes.len().min(KEPT - kept.len());
        kept.extend_from_slice(&bytes[..room]);
    }
}

impl Engine {
    /// Attaches to all streams of a container without a terminal. The connection has no bound in time or bytes: it ends with the
    /// container, or when what is given is dropped.
    pub async fn attach(&self, id: &str) -> Result<Attached> {
        let doing = format!("attach to container {}", checked(id)?);
        let path = format!("/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1");
        let stream = self.within(super::engine::LIMIT, &doing, self.hijack(&path)).await?;
        let stream = stream.map_err(|error| answer::problem(self.place(), &doing, &error))?;
        let (from, to) = tokio::io::split(stream);
        let (reader, ours) = tokio::io::duplex(WAITING);
        let complaint = Complaint::default();
        tokio::spawn(part(from, ours, complaint.clone()));
        Ok(Attached {
            reader,
            writer: Box::new(to),
            complaint,
        })
    }
}

/// Parts the two streams that an engine sends as one: frames of eight bytes, of which the first says which and the last four how
/// long, and as much of it. Ends with the stream; what is no such frame ends it, too.
async fn part(mut from: impl AsyncRead + Unpin, mut out: DuplexStream, complaint: Complaint) -> io::Result<()> {
    const OUT: u8 = 1;
    const ERR: u8 = 2;
    let mut chunk = vec![0; 16 << 10];
    loop {
        let mut head = [0; 8];
        from.read_exact(&mut head).await?;
        let [stream, 0, 0, 0, length @ ..] = head else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let mut left = u32::from_be_bytes(length) as usize;
        while left > 0 {
            let some = left.min(chunk.len());
            from.read_exact(&mut chunk[..some]).await?;
            match stream {
                OUT => out.write_all(&chunk[..some]).await?,
                ERR => complaint.keep(&chunk[..some]),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
            left -= some;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parted(bytes: &[u8]) -> (Vec<u8>, String) {
        let (mut reader, ours) = tokio::io::duplex(WAITING);
        let complaint = Complaint::default();
        let _ends = part(bytes, ours, complaint.clone()).await;
        let mut out = Vec::new();
        reader.read_to_end(&mut out).await.unwrap();
        (out, complaint.text())
    }

    #[tokio::test]
    async fn the_two_streams_are_parted_and_nonsense_ends_them() {
        let frames = b"\x01\0\0\0\0\0\0\x02ab\x02\0\0\0\0\0\0\x03e\nr\x01\0\0\0\0\0\0\x01c";
        assert_eq!(parted(frames).await, (b"abc".to_vec(), "e r".to_owned()));
        for nonsense in [
            &b"HTTP/1.1 404"[..],
            b"\x03\0\0\0\0\0\0\x01x",
            b"\x01\0\0\0\xff\xff\xff\xff",
            b"\x01\0",
        ] {
            assert_eq!(parted(&[frames, nonsense].concat()).await.0, b"abc", "{nonsense:?}");
        }
        let long = [&b"\x02\0\0\0\0\0\x40\0"[..], &[b'x'; 0x4000]].concat();
        assert_eq!(parted(&long).await.1.len(), KEPT);
    }
}
