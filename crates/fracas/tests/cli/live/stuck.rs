//! Whoever looks takes nothing: traffic and the end wait for nobody.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use super::TERM;
use super::terminal::{CTRL_S, Terminal};
use crate::cli::Cli;
use crate::proxied::{address, get};
use crate::support::{LIMIT, signal, soon};

/// In which the view wants to be written more than once.
const LONG: Duration = Duration::from_millis(2100);

/// Its answers come as ever.
fn is_served(at: SocketAddr) {
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        assert_eq!(get(at, Ipv4Addr::LOCALHOST, "/", "a").status(), "200");
    }
}

/// A pipe with a name, both of whose ends are open.
fn pipe(cli: &Cli) -> (String, File) {
    let path = cli.place().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
    let mut options = File::options();
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = options.read(true).write(true).custom_flags(flags).open(&path).unwrap();
    (path.display().to_string(), file)
}

fn fill(pipe: &mut File) {
    for part in [&[b'x'; 4096][..], b"x"] {
        let full = loop {
            if let Err(error) = pipe.write_all(part) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_neither_traffic_nor_the_end() {
    for (words, is_asked_again) in [(&["--live"][..], true), (&[], false)] {
        let mut cli = Cli::new();
        let (path, mut pipe) = pipe(&cli);
        cli.under(&["/bin/sh", "-c", &format!("exec \"$@\" 2> {path}"), "sh"]);
        let going = cli.start(&[&["proxy", "--listen", "127.0.0.1:0", "--seed", "7"], words].concat());
        let mut said = Vec::new();
        let at = soon(LIMIT, "it says all that it says at first", || {
            let _nothing_more = pipe.read_to_end(&mut said);
            let said = String::from_utf8_lossy(&said);
            said.contains("\nseed: 7\n").then(|| address(&said, "proxy: http://"))?
        });
        fill(&mut pipe);
        is_served(at);
        // It is waited for until it is asked once more.
        let mut held = TcpStream::connect(at).unwrap();
        if is_asked_again {
            held.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        }
        signal(going.process(), TERM);
        if is_asked_again {
            going.until("it takes no more connections", || TcpStream::connect(at).is_err());
            signal(going.process(), TERM);
        }
        assert_eq!(going.end().code, 0);
    }
}

#[test]
fn a_terminal_that_was_stopped_holds_up_neither_traffic_nor_the_end() {
    let cli = Cli::new();
    let Some(mut terminal) = Terminal::start(&cli, &["--live"], "") else {
        return;
    };
    terminal.until("there is a picture", |screen| screen.line("scenarios").is_some());
    terminal.press(CTRL_S);
    is_served(terminal.address);
    terminal.ends_by(TERM);
}
