//! What a client of TLS says first, and which name it calls by it.

use rustls::server::Acceptor;

/// In bytes, what is read of a client before it is known where it goes: as much as rustls takes of one message.
const LARGEST: usize = 64 << 10;

/// A first message that comes in parts, however it is cut into records and packets.
#[derive(Default)]
pub(crate) struct Hello {
    acceptor: Acceptor,
    bytes: Vec<u8>,
}

/// What it is so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Only a part.
    Part,
    /// All of it, and the name that it calls, in small letters.
    Name(Option<String>),
    /// Something else. This is what TLS says to it, perhaps nothing.
    Wrong(Vec<u8>),
}

impl Hello {
    /// Takes in what came. Once it is whole, or wrong, there is nothing more to be taken.
    pub(crate) fn take(&mut self, mut part: &[u8]) -> Heard {
        if self.bytes.len() + part.len() > LARGEST {
            return Heard::Wrong(Vec::new());
        }
        self.bytes.extend_from_slice(part);
        while !part.is_empty() {
            // What it cannot hold is more than a first message is.
            if !matches!(self.acceptor.read_tls(&mut part), Ok(1..)) {
                return Heard::Wrong(Vec::new());
            }
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    return Heard::Name(accepted.client_hello().server_name().map(str::to_ascii_lowercase));
                }
                Err((_, mut alert)) => {
                    let mut says = Vec::new();
                    // Into memory all can be written.
                    let _whole = alert.write_all(&mut says);
                    return Heard::Wrong(says);
                }
            }
        }
        Heard::Part
    }

    /// All that came, for whoever it is meant for.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Whatever comes, and however it is cut, nothing panics, what was heard does not depend on the cuts, and nothing that came is lost. For the
/// fuzzer.
pub fn fuzz_client_hello(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else {
        return;
    };
    let mut whole = Hello::default();
    let heard = whole.take(bytes);
    let mut in_parts = Hello::default();
    let mut came = 0;
    let mut last = Heard::Part;
    for part in bytes.chunks(usize::from(*cut).max(1)) {
        last = in_parts.take(part);
        came += part.len();
        if last != Heard::Part {
            break;
        }
    }
    if let (Heard::Name(one), Heard::Name(other)) = (&heard, &last) {
        assert_eq!(one, other);
    }
    if last != Heard::Wrong(Vec::new()) {
        assert_eq!(in_parts.into_bytes(), &bytes[..came]);
    }
}
