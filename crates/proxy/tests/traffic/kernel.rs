//! What the kernel says of sockets of IPv4: /proc/net/tcp, see proc_net_tcp in the kernel's Documentation/networking.

/// A socket.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) port: u16,
    pub(crate) peer: u16,
    /// Of a listening socket: how many connections wait for their accept(2).
    pub(crate) waiting: u32,
    /// Whether keep-alive runs (timer 2, get_tcp4_sock() in net/ipv4/tcp_ipv4.c).
    pub(crate) is_kept_alive: bool,
    state: u8,
}

impl Socket {
    /// TCP_LISTEN.
    pub(crate) fn listens(&self) -> bool {
        self.state == 10
    }

    /// TCP_ESTABLISHED.
    pub(crate) fn is_open(&self) -> bool {
        self.state == 1
    }
}

/// All that there are.
pub(crate) fn sockets() -> Vec<Socket> {
    let text = std::fs::read_to_string("/proc/net/tcp").unwrap();
    text.lines().skip(1).map(socket).collect()
}

fn socket(line: &str) -> Socket {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let behind = |word: &str| word.rsplit_once(':').unwrap().1.to_owned();
    let port = |word: &str| u16::from_str_radix(&behind(word), 16).unwrap();
    Socket {
        port: port(words[1]),
        peer: port(words[2]),
        waiting: u32::from_str_radix(&behind(words[4]), 16).unwrap(),
        is_kept_alive: words[5].starts_with("02:"),
        state: u8::from_str_radix(words[3], 16).unwrap(),
    }
}
