//! A node. Clients say `get KEY` and `put KEY VALUE`; nodes say `read KEY` and `write KEY VERSION VALUE` to each other.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::quorum::Peers;
use crate::store::Store;
use crate::version::{Version, Versions};
use crate::wire;

/// How long a client waits for a node: twice what a node waits for the others (a `put` asks them twice), and a little.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// How long a node waits for the others.
const PEERS: Duration = Duration::from_millis(400);

const TOO_FEW: &str = "error: too few nodes answer";

struct Node {
    store: Mutex<Store>,
    versions: Versions,
    peers: Peers,
}

/// Answers in threads.
pub(crate) fn start(listener: TcpListener, number: u8, file: &Path, peers: &[&str]) -> io::Result<()> {
    let node = Arc::new(Node {
        store: Mutex::new(Store::open(file)?),
        versions: Versions::of(number),
        peers: Peers::new(peers),
    });
    wire::serve(listener, PATIENCE, move |said, mut peer: &TcpStream| {
        let answer = node
            .answer(&wire::line(said)?)
            .unwrap_or_else(|error| format!("error: {error}"));
        peer.write_all(format!("{answer}\n").as_bytes())
    });
    Ok(())
}

impl Node {
    fn answer(&self, line: &str) -> io::Result<String> {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["get", key] => self.get(key),
            ["put", key, value] => self.put(key, value),
            ["read", key] => Ok(self.read(key)),
            ["write", key, version, value] => match version.parse() {
                Ok(version) => self.write(key, version, value),
                Err(error) => Ok(format!("error: {error}")),
            },
            _ => Ok("error: say get KEY or put KEY VALUE, without spaces in them".to_owned()),
        }
    }

    /// The latest value that any of a majority has. It is written to a majority first if it may be on fewer: whoever reads after this
    /// must not read something older.
    fn get(&self, key: &str) -> io::Result<String> {
        let Some(answers) = self.peers.majority(&format!("read {key}"), self.read(key), PEERS) else {
            return Ok(TOO_FEW.to_owned());
        };
        let (version, value) = latest(&answers);
        if answers.iter().all(|answer| *answer == answers[0]) {
            return Ok(value);
        }
        Ok(self.spread(key, version, &value)?.unwrap_or(value))
    }

    /// Later than everything that any of a majority has.
    fn put(&self, key: &str, value: &str) -> io::Result<String> {
        let Some(answers) = self.peers.majority(&format!("read {key}"), self.read(key), PEERS) else {
            return Ok(TOO_FEW.to_owned());
        };
        let version = self.versions.after(latest(&answers).0);
        Ok(self.spread(key, version, value)?.unwrap_or_else(|| "ok".to_owned()))
    }

    /// Writes to a majority; says what is wrong if that cannot be.
    fn spread(&self, key: &str, version: Version, value: &str) -> io::Result<Option<String>> {
        let own = self.write(key, version, value)?;
        let written = self
            .peers
            .majority(&format!("write {key} {version} {value}"), own, PEERS);
        Ok(written.is_none().then(|| TOO_FEW.to_owned()))
    }

    fn read(&self, key: &str) -> String {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store
            .read(key)
            .map_or_else(|| "none".to_owned(), |(version, value)| format!("{version} {value}"))
    }

    fn write(&self, key: &str, version: Version, value: &str) -> io::Result<String> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.write(key, version, value)?;
        Ok("ok".to_owned())
    }
}

/// The latest of some answers to `read`.
fn latest(answers: &[String]) -> (Version, String) {
    answers
        .iter()
        .filter_map(|answer| {
            let (version, value) = answer.split_once(' ')?;
            Some((version.parse().ok()?, value.to_owned()))
        })
        .max()
        .unwrap_or_else(|| (Version::default(), "none".to_owned()))
}
