//! How much was delivered: requests of our own, from within the target's network to its port, each of which is decided about as any other
//! and answered by whoever stands in front of it, so that the target's own program does not see them: what they say is said when the connection is open and the table is still there.
//!
//! Beside them a connection to another port must come to whom it was for, and the kernel has counted how many connections of others were
//! taken. A rate limit, a bulkhead, a circuit breaker and the like count requests: to see them one had to be among those that they count,
//! and to change what comes of others. Of these the effect alone says what they did.
//!
//! What is not done to all, as by a route, has requests of its own, which say that it works; and of others the worker must have counted some
//! that it was about, and one that it hit, or it has not landed on anybody.

mod expected;
mod verdict;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use fracas_core::ids::InjectionId;
use fracas_linux::diversion;
use fracas_linux::netlink::Netlink;
use serde::{Deserialize, Serialize};

use super::Undo;
use super::canary::{self, Canary, Heard, Report, Sure};
use super::parts::Part;
use crate::packet_worker::is_served;
pub(super) use expected::Expected;
use expected::Seen;

/// How long it may take altogether: the runner waits for five seconds.
pub(super) const LONGEST: Duration = Duration::from_millis(4500);
/// So many canaries for a part by which all are hit, and where chance decides; and so many at once for all parts together.
const FEW: usize = 3;
const MANY: usize = 20;
/// Between two: not more than 20 a second.
const GAP: Duration = Duration::from_millis(50);
/// How long the last of them is listened to; what takes longer is late, whatever it was to be.
const PATIENCE: Duration = Duration::from_secs(2);
/// Before it is asked once more.
const AGAIN: Duration = Duration::from_millis(200);
/// For a bystander's connection, over the loopback device.
const SOON: Duration = Duration::from_millis(500);
/// A delay that is mostly shorter than this cannot be told from none.
const TELLING: f64 = 5.0;

/// What has come of it.
pub(super) enum Outcome {
    Measured(Box<Measured>),
    /// The fault is not there.
    Missed(String),
    /// It cannot be told; why.
    Unmeasured(String),
}

/// What is known since the fault is on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Known {
    /// Connections of our own.
    connections: u64,
    canaries: u64,
    /// Of each part.
    seen: Vec<Seen>,
    /// The part whose turn it is.
    next: usize,
}

/// What was heard.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    known: Known,
    /// With the part that each was for.
    heard: Vec<(usize, Heard)>,
    /// How long an answer takes that nothing holds up.
    without: Duration,
    /// Why a port that it is not about does not answer as ever.
    bystander: Option<String>,
    report: Report,
    /// Connections of others that were taken.
    own: u64,
}

impl Known {
    pub(super) fn read(word: &str) -> Self {
        serde_json::from_str(word).unwrap_or_default()
    }

    pub(super) fn written(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// For which part each of the next canaries is: for one after the other, as long as one wants more and there is room for them.
    fn turns(&mut self, parts: &[Part]) -> Vec<usize> {
        self.seen.resize(parts.len(), Seen::default());
        let wants = |part: &Part| match &part.asks {
            Some(_) if part.expected.is_certain() => FEW,
            Some(_) => MANY,
            None => 0,
        };
        let mut left: Vec<usize> = parts.iter().map(wants).collect();
        let mut turns = Vec::new();
        while turns.len() < MANY && left.iter().any(|left| *left > 0) {
            let turn = self.next % parts.len();
            self.next = turn + 1;
            if left[turn] > 0 {
                left[turn] -= 1;
                turns.push(turn);
            }
        }
        turns
    }

    /// Counts what became of those that were sent.
    fn count(&mut self, parts: &[Part], heard: &[(usize, Heard)], without: Duration) {
        for (at, one) in heard {
            if let (Some(part), Some(seen)) = (parts.get(*at), self.seen.get_mut(*at)) {
                part.expected.count(one, without, seen);
            }
        }
    }
}

/// Asks and hears, in the namespace of this thread.
pub(super) fn measure(
    undo: &Undo,
    parts: &[Part],
    injection: InjectionId,
    known: &mut Known,
    wanted: &dyn Fn() -> bool,
) -> io::Result<Outcome> {
    let table = &undo.worker.table;
    let mut netlink = Netlink::netfilter()?;
    if !netlink.has_table(table)? {
        return Ok(Outcome::Missed(format!("there is no table {table}")));
    }
    if !is_served(&mut netlink, table)? {
        return Ok(Outcome::Missed("its worker takes no connections".to_owned()));
    }
    let Some(here) = loopback() else {
        let why = "the target's loopback device is down".to_owned();
        return Ok(Outcome::Unmeasured(why));
    };
    let to = SocketAddr::new(here, undo.port);
    // A table is made once: where it is there when a connection is open it was there when that began, and took it.
    let mut sure = || {
        if !wanted() {
            return Err(io::Error::other("nobody waits for the answer any more"));
        }
        if !netlink.has_table(table)? || !is_served(&mut netlink, table)? {
            return Err(io::Error::other("the worker takes no connections any more"));
        }
        Ok(())
    };
    let without = match report(to, &undo.secret, known, &mut sure) {
        Ok((_, took)) => took,
        Err(why) => return Ok(Outcome::Missed(format!("a request to port {} {why}", undo.port))),
    };
    let turns = known.turns(parts);
    let mut canaries = Vec::new();
    for asks in turns.iter().filter_map(|turn| parts[*turn].asks.as_ref()) {
        let name = format!("fracas-canary {injection} {}", known.canaries);
        known.canaries += 1;
        known.connections += 1;
        match Canary::send(to, &undo.secret, &name, asks, &mut sure) {
            Ok(canary) => canaries.push(canary),
            Err(error) => {
                return Ok(Outcome::Missed(format!(
                    "a request to port {} cannot be sent: {error}",
                    undo.port
                )));
            }
        }
        canary::listen(&mut canaries, GAP, false);
    }
    canary::listen(&mut canaries, PATIENCE, true);
    // Each turn is that of a part with a canary.
    let heard: Vec<_> = turns.into_iter().zip(canaries.iter().map(Canary::heard)).collect();
    let bystander = bystander(here);
    let (report, again) = match report(to, &undo.secret, known, &mut sure) {
        Ok(answered) => answered,
        Err(why) => return Ok(Outcome::Missed(format!("a request to port {} {why}", undo.port))),
    };
    // One of the two may have been late for a moment.
    let without = without.min(again);
    known.count(parts, &heard, without);
    let counters = netlink.rule_counters(table)?;
    let taken = counters.iter().filter(|((chain, _), _)| chain == diversion::CHAIN);
    let taken: u64 = taken.map(|(_, counter)| counter.packets).sum();
    Ok(Outcome::Measured(Box::new(Measured {
        own: taken.saturating_sub(known.connections),
        known: known.clone(),
        heard,
        without,
        bystander,
        report,
    })))
}

/// Asks the worker what came of others; once more where it does not answer, or its lease was over: a machine that has something else to do
/// lets it wait for a moment. Or why it does not answer.
#[expect(
    clippy::disallowed_methods,
    reason = "it asks again within a limit, in a thread that may block"
)]
fn report(to: SocketAddr, secret: &str, known: &mut Known, sure: Sure<'_>) -> Result<(Report, Duration), String> {
    let mut why = String::new();
    for again in [true, false] {
        known.connections += 1;
        why = match canary::report(to, secret, sure) {
            Ok(Some(report)) => return Ok(report),
            Ok(None) => "comes to somebody else".to_owned(),
            Err(error) => format!("is not answered: {error}"),
        };
        if again {
            std::thread::sleep(AGAIN);
        }
    }
    Err(why)
}

/// A loopback address of this namespace.
fn loopback() -> Option<IpAddr> {
    let all = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    all.into_iter().find(|address| TcpListener::bind((*address, 0)).is_ok())
}

/// Connects to a port that the fault is not about, at which we listen ourselves. Why that connection does not come to us.
fn bystander(here: IpAddr) -> Option<String> {
    let connected = TcpListener::bind((here, 0)).and_then(|listener| {
        let to = listener.local_addr()?;
        let stream = TcpStream::connect_timeout(&to, SOON)?;
        listener.set_nonblocking(true)?;
        let (_, from) = listener.accept()?;
        Ok((to, from == stream.local_addr()?))
    });
    match connected {
        Ok((_, true)) => None,
        Ok((to, false)) => Some(format!("a connection to port {} came to somebody else", to.port())),
        Err(error) => Some(format!("a connection to a port that it is not about fails: {error}")),
    }
}

#[cfg(test)]
mod tests;
