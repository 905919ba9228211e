//! A key-value service on several nodes, and a client that writes all the time and notices when a write that was acknowledged is lost.
//!
//! It is small enough to be read, and real: a register replicated by majorities (Attiya, Bar-Noy, Dolev, "Sharing Memory Robustly in
//! Message-Passing Systems", JACM 1995), with several writers. As long as a majority of the nodes can speak with each other, those that
//! are among them answer; the others refuse. What was acknowledged is on the disks of a majority.

mod client;
mod node;
mod quorum;
mod store;
mod version;
mod wire;

use std::io::{self, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const USAGE: &str = "\
usage: key-value node NUMBER ADDRESS FILE PEER...  a node: listens on ADDRESS (0.0.0.0:7000), keeps its values in FILE; each PEER is
                                                   HOST:PORT of another node
       key-value client ADDRESS NODE...            writes to the nodes and reads again; listens on ADDRESS and tells by HTTP how it
                                                   goes: /available /lost /metrics
       key-value get NODE KEY
       key-value put NODE KEY VALUE
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(code) => code,
        Err(error) => {
            let _nobody_listens = writeln!(io::stderr(), "key-value: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(words: &[&str]) -> io::Result<ExitCode> {
    // As the first process of a container it has no default action for signals (pid_namespaces(7)).
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    match words {
        ["node", number, address, file, peers @ ..] => {
            let listener = listen(address)?;
            node::start(listener, parsed(number)?, Path::new(file), peers)?;
        }
        ["client", address, nodes @ ..] if !nodes.is_empty() => client::start(listen(address)?, nodes)?,
        ["get", node, key] => return say(&wire::ask(node, &format!("get {key}"), node::PATIENCE)?),
        ["put", node, key, value] => return say(&wire::ask(node, &format!("put {key} {value}"), node::PATIENCE)?),
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "no such words")),
    }
    let _signal = signals.forever().next();
    Ok(ExitCode::SUCCESS)
}

/// Listens, and says where: whoever reads this knows that it is there.
fn listen(address: &str) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", listener.local_addr()?)?;
    out.flush()?;
    Ok(listener)
}

fn parsed<N: std::str::FromStr>(text: &str) -> io::Result<N> {
    text.parse().map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{text:?} is no number, or too large"),
        )
    })
}

fn say(answer: &str) -> io::Result<ExitCode> {
    writeln!(io::stdout(), "{answer}")?;
    Ok(ExitCode::from(u8::from(answer.starts_with("error"))))
}
