//! A server that says bytes as they stand, whatever it is asked.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A server of few words.
pub(crate) struct Canned {
    address: SocketAddr,
}

impl Canned {
    /// Says this behind each head of a request, until the other side ends. Nothing: it never answers.
    pub(crate) async fn says(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(say(stream, answer));
            }
        });
        Self { address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn say(stream: TcpStream, answer: &'static str) {
    // Else each byte of a head would be a system call.
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    // Until the other side has gone.
    while let Ok(byte) = stream.read_u8().await {
        head.push(byte);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            // Whether it is heard is seen by the other side.
            let _gone = stream.write_all(answer.as_bytes()).await;
        }
    }
}
