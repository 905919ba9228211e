//! A client that uses the service all the time: it writes new keys, reads what was acknowledged, and keeps count.
//!
//! Each key is written once, with its own number as the value. An acknowledged key that reads as anything else is a lost write.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::node::PATIENCE;
use crate::wire;

/// From one write to the next, and from one read to the next.
const PERIOD: Duration = Duration::from_millis(25);
/// How far back `/available` looks.
const RECENT: Duration = Duration::from_secs(3);
/// The share of recent requests that must have gone well for `/available`.
const ENOUGH: f64 = 0.9;

#[derive(Debug, Default)]
struct Account {
    /// Keys whose write was acknowledged.
    kept: Vec<u64>,
    /// Keys of them that read as something else.
    lost: Vec<u64>,
    reads: u64,
    failed: u64,
    /// When recent requests ended, and whether they went well.
    recent: VecDeque<(Instant, bool)>,
}

/// Writes, reads, and tells, in threads.
pub(crate) fn start(listener: TcpListener, nodes: &[&str]) -> io::Result<()> {
    let account = Arc::new(Mutex::new(Account::default()));
    let nodes: Arc<[String]> = nodes.iter().map(|&node| node.to_owned()).collect();
    for work in [write, read] {
        let (account, nodes) = (Arc::clone(&account), Arc::clone(&nodes));
        thread::Builder::new().spawn(move || {
            for turn in 0.. {
                let began = Instant::now();
                work(turn, &nodes, &account);
                thread::park_timeout(PERIOD.saturating_sub(began.elapsed()));
            }
        })?;
    }
    wire::serve(listener, PATIENCE, move |said, mut peer| {
        let request = wire::line(said)?;
        // The rest of the head is read, too: a socket that is closed with unread bytes resets its connection.
        while !wire::line(said)?.is_empty() {}
        let path = request.split(' ').nth(1).unwrap_or_default();
        let (status, body) = page(path, &account.lock().unwrap_or_else(PoisonError::into_inner));
        write!(
            peer,
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    });
    Ok(())
}

fn write(turn: u64, nodes: &[String], account: &Mutex<Account>) {
    let went_well = any(turn, nodes, &format!("put key-{turn} {turn}")).is_some();
    let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
    if went_well {
        account.kept.push(turn);
    }
    account.note(went_well);
}

/// All that was acknowledged, again and again: what is lost late is noticed, too.
fn read(turn: u64, nodes: &[String], account: &Mutex<Account>) {
    let key = {
        let account = account.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = account.kept.len() as u64;
        // The youngest and all others by turns.
        let at = if turn.is_multiple_of(2) {
            kept.checked_sub(1)
        } else {
            (turn / 2).checked_rem(kept)
        };
        match at {
            Some(at) => account.kept[at as usize],
            None => return,
        }
    };
    let answer = any(turn, nodes, &format!("get key-{key}"));
    let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
    account.note(answer.is_some());
    account.reads += 1;
    if answer.is_some_and(|answer| answer != key.to_string()) && !account.lost.contains(&key) {
        account.lost.push(key);
    }
}

/// Asks one node after the other, each request another one first, until one does it: as clients of such services do.
fn any(turn: u64, nodes: &[String], line: &str) -> Option<String> {
    let first = (turn % nodes.len() as u64) as usize;
    (0..nodes.len()).find_map(|number| {
        let node = &nodes[(first + number) % nodes.len()];
        let answer = wire::ask(node, line, PATIENCE).ok()?;
        (!answer.starts_with("error")).then_some(answer)
    })
}

impl Account {
    fn note(&mut self, went_well: bool) {
        let now = Instant::now();
        self.failed += u64::from(!went_well);
        self.recent.push_back((now, went_well));
        while self.recent.front().is_some_and(|(when, _)| now - *when > RECENT) {
            self.recent.pop_front();
        }
    }

    /// Of the recent requests the share that went well; 0 if there was none.
    fn availability(&self) -> f64 {
        let recent = || self.recent.iter().filter(|(when, _)| when.elapsed() <= RECENT);
        match recent().count() {
            0 => 0.0,
            all => recent().filter(|(_, went_well)| *went_well).count() as f64 / all as f64,
        }
    }
}

fn page(path: &str, account: &Account) -> (&'static str, String) {
    let availability = account.availability();
    match path {
        "/available" if availability >= ENOUGH => ("200 OK", format!("{availability}\n")),
        "/available" => ("503 Service Unavailable", format!("{availability}\n")),
        "/lost" if account.lost.is_empty() => ("200 OK", "0\n".to_owned()),
        "/lost" => ("500 Internal Server Error", format!("{}\n", account.lost.len())),
        "/metrics" => ("200 OK", metrics(account, availability)),
        _ => ("404 Not Found", "/available /lost /metrics\n".to_owned()),
    }
}

fn metrics(account: &Account, availability: f64) -> String {
    let mut text = String::new();
    for (name, kind, help, value) in [
        (
            "kv_writes_acknowledged_total",
            "counter",
            "Writes that a majority has.",
            account.kept.len() as f64,
        ),
        (
            "kv_writes_lost",
            "gauge",
            "Acknowledged writes that read as something else.",
            account.lost.len() as f64,
        ),
        (
            "kv_reads_total",
            "counter",
            "Reads of acknowledged writes.",
            account.reads as f64,
        ),
        (
            "kv_failed_total",
            "counter",
            "Reads and writes that no node did.",
            account.failed as f64,
        ),
        (
            "kv_availability",
            "gauge",
            "The share of recent requests that went well.",
            availability,
        ),
    ] {
        // Writing into a String cannot fail.
        let _cannot_fail = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_say_what_was_counted() {
        let mut account = Account::default();
        assert_eq!(
            page("/available", &account).0,
            "503 Service Unavailable",
            "nothing was asked yet"
        );
        for turn in 0..20 {
            account.note(turn != 3);
        }
        account.kept.extend([1, 2]);
        assert_eq!(page("/available", &account), ("200 OK", "0.95\n".to_owned()));
        assert_eq!(page("/lost", &account).0, "200 OK");
        account.lost.push(2);
        assert_eq!(page("/lost", &account), ("500 Internal Server Error", "1\n".to_owned()));
        for _ in 0..2 {
            account.note(false);
        }
        assert_eq!(page("/available", &account).0, "503 Service Unavailable");
        let (_, text) = page("/metrics", &account);
        assert!(text.contains("\nkv_writes_acknowledged_total 2\n"), "{text}");
        assert!(text.contains("\nkv_writes_lost 1\n"), "{text}");
        assert!(text.contains("\nkv_failed_total 3\n"), "{text}");
    }
}
