//! The program that faults are put on in tests: it does one simple thing until it is told to end.
//!
//! As the first process of a container it has no default action for SIGTERM (`signal(7)`, `pid_namespaces(7)`), so it handles the
//! signal itself: it ends at once with code 0, or ignores it with `--ignore-term`.

mod ask;
mod call;
mod chat;
mod hold;
mod serve;

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

const USAGE: &str = "\
usage: app [--ignore-term] MODE
  sleep                    do nothing
  serve PORT [ADDRESS]     HTTP on ADDRESS (127.0.0.1): / /healthz /metrics /now /set?value=N; port 0 takes a free one; the first line
                           of standard output is the port
  call EVERY_MS PORT       HTTP as `serve` at all addresses, and requests of its own to it, again and again, by new connections
  log LINE EVERY_MS        write LINE to standard output, again and again, numbered
  chat EVERY_MS            send a datagram to a neighbour, again and again, as soon as there is a route to one
  hold                     have a connection to an address of its own, a new one as soon as it ends
  ask EVERY_MS NAME [SERVER]
                           ask the first name server, or this one, for the addresses of NAME, again and again
  fork N                   have N children that sleep
  burn [THREADS]           use all of THREADS processors (1)
  fork-later               at SIGUSR1 start a child that sleeps
  fill MIB                 at SIGUSR1 take so much memory and keep it
  exit CODE                end at once
";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let ignore = arguments.first().is_some_and(|first| first == "--ignore-term");
    if ignore {
        arguments.remove(0);
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words, ignore) {
        Ok(code) => code,
        Err(error) => {
            let _nobody_listens = writeln!(io::stderr(), "app: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(words: &[&str], ignore: bool) -> io::Result<ExitCode> {
    // Before anything else: a signal must never meet the time before its handler.
    let signals = Signals::new([SIGTERM, SIGINT])?;
    let mut children = Vec::new();
    match words {
        ["sleep"] => {}
        ["serve", port] => serve::start("127.0.0.1", number(port)?)?,
        ["serve", port, address] => serve::start(address, number(port)?)?,
        ["call", every, port] => {
            serve::start("::", number(port)?)?;
            call::start(Duration::from_millis(number(every)?), number(port)?);
        }
        ["log", line, every] => log((*line).to_owned(), Duration::from_millis(number(every)?)),
        ["chat", every] => chat::start(Duration::from_millis(number(every)?)),
        ["hold"] => hold::start()?,
        ["ask", every, name] => ask::start(Duration::from_millis(number(every)?), (*name).to_owned(), None),
        ["ask", every, name, server] => {
            let server = Some(number(server)?);
            ask::start(Duration::from_millis(number(every)?), (*name).to_owned(), server);
        }
        ["fork", count] => {
            for _ in 0..number::<u16>(count)? {
                children.push(child()?);
            }
        }
        ["fork-later"] => fork_later()?,
        ["burn"] => burn(1),
        ["burn", threads] => burn(number(threads)?),
        ["fill", mib] => fill(number(mib)?)?,
        ["exit", code] => return Ok(ExitCode::from(number::<u8>(code)?)),
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "no such mode")),
    }
    wait(signals, ignore);
    for mut child in children {
        // A child that has ended already is no failure; all of them are waited for.
        let _ended = child.kill();
        child.wait()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn wait(mut signals: Signals, ignore: bool) {
    for _signal in signals.forever() {
        if !ignore {
            return;
        }
    }
}

fn number<N: std::str::FromStr>(text: &str) -> io::Result<N> {
    text.parse().map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{text:?} is no number, or too large"),
        )
    })
}

/// Writes numbered lines until the reader hangs up.
fn log(line: String, every: Duration) {
    thread::spawn(move || {
        for count in 0u64.. {
            let mut out = io::stdout().lock();
            if writeln!(out, "{line} {count}").and_then(|()| out.flush()).is_err() {
                return;
            }
            drop(out);
            pause(every);
        }
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "the rhythm is what was asked for; nothing is waited for"
)]
fn pause(time: Duration) {
    thread::sleep(time);
}

#[expect(
    clippy::disallowed_methods,
    reason = "this program is a target, not a part of Fracas"
)]
fn child() -> io::Result<std::process::Child> {
    std::process::Command::new("/proc/self/exe").arg("sleep").spawn()
}

/// Waits to be told, so that whoever changes what children inherit decides when there is one.
fn fork_later() -> io::Result<()> {
    let mut told = Signals::new([SIGUSR1])?;
    thread::spawn(move || {
        for _signal in told.forever() {
            // Nobody waits for it: it ends with whoever started this program.
            let _child = child();
        }
    });
    Ok(())
}

fn burn(threads: u16) {
    for _ in 0..threads {
        thread::spawn(|| {
            let mut value = 1u64;
            loop {
                value = std::hint::black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            }
        });
    }
}

/// Waits to be told, so that whoever measures decides when memory runs out.
fn fill(mib: usize) -> io::Result<()> {
    const PAGE: usize = 4096;
    let mut told = Signals::new([SIGUSR1])?;
    thread::spawn(move || {
        if told.forever().next().is_none() {
            return;
        }
        // Zeroed pages are not there until they are written to.
        let mut memory = vec![0u8; mib << 20];
        for page in memory.chunks_mut(PAGE) {
            page[0] = 1;
        }
        loop {
            thread::park();
            std::hint::black_box(&mut memory);
        }
    });
    Ok(())
}
