//! Asking all nodes and going on when most of them have answered.

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::wire;

/// The other nodes of a service.
#[derive(Debug)]
pub(crate) struct Peers(Vec<String>);

impl Peers {
    pub(crate) fn new(addresses: &[&str]) -> Self {
        Self(addresses.iter().map(|&address| address.to_owned()).collect())
    }

    /// What most of the nodes answer, this one's own answer among it. `None`: too few answered in time.
    pub(crate) fn majority(&self, line: &str, own: String, patience: Duration) -> Option<Vec<String>> {
        let needed = self.0.len().div_ceil(2) + 1;
        let until = Instant::now() + patience;
        let (tell, told) = channel();
        for peer in &self.0 {
            let (tell, peer, line) = (tell.clone(), peer.clone(), line.to_owned());
            thread::spawn(move || {
                // Who answers nothing, or answers when nobody waits any more, is not counted.
                if let Ok(answer) = wire::ask(&peer, &line, patience)
                    && !answer.starts_with("error")
                {
                    let _late = tell.send(answer);
                }
            });
        }
        drop(tell);
        let mut answers = vec![own];
        while answers.len() < needed {
            let left = until.saturating_duration_since(Instant::now());
            answers.push(told.recv_timeout(left).ok()?);
        }
        Some(answers)
    }
}
