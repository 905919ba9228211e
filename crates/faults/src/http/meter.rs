//! How much was delivered: requests of our own, from within the target's network to its port, each of which is decided about as any other
//! and answered by whoever stands in front of it, so that the target's own program does not see them: what they say is said when the connection is open and the table is still there.
//!
//! Beside them a connection to another port must come to whom it was for, and the kernel has counted how many connections of others were
//! taken. A rate limit, a bulkhead, a circuit breaker and the like count requests: to see them one had to be among those that they count,
//! and to change what comes of others. Of these the effect alone says what they did.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use fracas_core::chaos::{ChaosConfig, CorruptionType, Distribution, FaultInjection, Latency};
use fracas_core::ids::InjectionId;
use fracas_core::params;
use fracas_core::record::Landed;
use fracas_linux::diversion;
use fracas_linux::netlink::Netlink;
use serde::{Deserialize, Serialize};

use super::Undo;
use super::canary::{self, Canary, Heard, Report, Sure};
use crate::impairment::verdict::{Tally, millis, share};
use crate::packet_worker::is_served;

/// How long it may take altogether: the runner waits for five seconds.
pub(super) const LONGEST: Duration = Duration::from_millis(4500);
/// So many canaries where all are hit, and where chance decides.
const FEW: u64 = 3;
const MANY: u64 = 20;
/// Between two: not more than 20 a second.
const GAP: Duration = Duration::from_millis(50);
/// How long the last of them is listened to; what takes longer is late, whatever it was to be.
const PATIENCE: Duration = Duration::from_secs(2);
/// Before it is asked once more.
const AGAIN: Duration = Duration::from_millis(200);
/// For a bystander's connection, over the loopback device.
const SOON: Duration = Duration::from_millis(500);
/// How early an answer may be, and by how much and by what share it may be too late on a machine that has something else to do.
const EARLY: Duration = Duration::from_millis(1);
const SLACK: Duration = Duration::from_millis(50);
const SHARE: f64 = 0.05;
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
    failed: Tally,
    harmed: Tally,
    late: Tally,
}

/// What was heard.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    known: Known,
    heard: Vec<Heard>,
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
}

/// Asks and hears, in the namespace of this thread.
pub(super) fn measure(
    undo: &Undo,
    params: &params::Http,
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
    let expected = Expected::of(&params.chaos);
    let mut canaries = Vec::new();
    for _ in 0..expected.canaries() {
        let name = format!("fracas-canary {injection} {}", known.canaries);
        known.canaries += 1;
        known.connections += 1;
        match Canary::send(to, &undo.secret, &name, &mut sure) {
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
    let heard: Vec<Heard> = canaries.iter().map(Canary::heard).collect();
    let bystander = bystander(here);
    let (report, again) = match report(to, &undo.secret, known, &mut sure) {
        Ok(answered) => answered,
        Err(why) => return Ok(Outcome::Missed(format!("a request to port {} {why}", undo.port))),
    };
    // One of the two may have been late for a moment.
    let without = without.min(again);
    for one in &heard {
        expected.count(one, without, known);
    }
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

/// What is to be seen of canaries: of how many, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Expected {
    failed: f64,
    harmed: f64,
    late: Late,
    /// Whether what nobody answers may be one that was to time out.
    times_out: bool,
}

/// Which canaries are late.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Late {
    share: f64,
    /// From here on, in milliseconds.
    from: f64,
    /// No delay is longer, in milliseconds.
    most: f64,
}

impl Expected {
    fn of(config: &ChaosConfig) -> Self {
        let lost = config
            .traffic_shaping()
            .map_or(0.0, |block| block.packet_loss_percent / 100.0);
        let faults = config.fault_injection();
        let failing = faults.map_or([0.0; 3], failing);
        let harming = faults.map_or([0.0; 2], harming);
        let any = |shares: &[f64]| 1.0 - shares.iter().map(|share| 1.0 - share).product::<f64>();
        Self {
            failed: any(&[[lost].as_slice(), &failing].concat()),
            harmed: any(&harming),
            late: config.latency().map_or(Late::NEVER, Late::of),
            times_out: failing[2] > 0.0,
        }
    }

    fn canaries(&self) -> u64 {
        let certain = |share: f64| share <= 0.0 || share >= 1.0;
        let all = [self.failed, self.harmed, self.late.share];
        if all.into_iter().all(certain) { FEW } else { MANY }
    }

    /// Counts what became of one.
    fn count(&self, heard: &Heard, without: Duration, known: &mut Known) {
        match *heard {
            Heard::Answer { status, took, whole } => {
                let passed = status == 200;
                known.failed.add(u64::from(!passed), 1);
                if passed {
                    known
                        .late
                        .add(u64::from(self.late.is_held(took.saturating_sub(without))), 1);
                    known.harmed.add(u64::from(!whole), 1);
                }
            }
            Heard::Ended => known.failed.add(1, 1),
            // It is held, or is to time out; where both may be nobody knows which it is.
            Heard::Open if self.late.most < PATIENCE.as_secs_f64() * 1000.0 => known.failed.add(1, 1),
            Heard::Open if !self.times_out => known.late.add(1, 1),
            Heard::Open => {}
        }
    }
}

impl Late {
    const NEVER: Self = Self {
        share: 0.0,
        from: f64::INFINITY,
        most: 0.0,
    };

    /// Whether an answer that took so much longer than others was held.
    fn is_held(&self, late: Duration) -> bool {
        (late + EARLY).as_secs_f64() * 1000.0 >= self.from
    }

    /// Why so long cannot be what was asked.
    fn is_too_long(self, held: Duration) -> Option<Landed> {
        if !self.most.is_finite() {
            return None;
        }
        let most = Duration::from_secs_f64(self.most / 1000.0 * (1.0 + SHARE)) + SLACK;
        let why = || {
            format!(
                "answers come {} late, and {}ms is the most that was asked",
                millis(held),
                self.most
            )
        };
        (held > most).then(|| Landed::No(why()))
    }

    fn of(block: &Latency) -> Self {
        let jitter = block.jitter_percent / 100.0;
        // Of what is spread without a bound, half is longer than its middle.
        let (share, from, most) = if let Some(delay) = block.fixed_delay_ms {
            (1.0, delay * (1.0 - jitter), delay * (1.0 + jitter))
        } else if let Some([least, most]) = block.random_delay_range_ms {
            match least * (1.0 - jitter) {
                least if least >= TELLING => (1.0, least, most * (1.0 + jitter)),
                // The least cannot be told from none: the middle can.
                _ => {
                    let middle = f64::midpoint(least, most);
                    (beyond(middle, [least, most], jitter), middle, most * (1.0 + jitter))
                }
            }
        } else {
            match block.distribution {
                Some(Distribution::Normal(normal)) => (0.5, normal.mean_ms, f64::INFINITY),
                // Of the shape 3, which the proxy draws: (2^(1/3) - 3/2) / (√3/2) deviations from the mean.
                Some(Distribution::Pareto(pareto)) => {
                    (0.5, pareto.std_dev_ms.mul_add(-0.277_2, pareto.mean_ms), f64::INFINITY)
                }
                Some(Distribution::Exponential(it)) => (0.5, std::f64::consts::LN_2 / it.lambda, f64::INFINITY),
                None => return Self::NEVER,
            }
        };
        Self {
            share: share * block.probability,
            from: from.min(PATIENCE.as_secs_f64() * 900.0),
            most,
        }
    }
}

/// The share of a range that is longer than this with its jitter, which is a share of each to either side.
fn beyond(limit: f64, [least, most]: [f64; 2], jitter: f64) -> f64 {
    const STEPS: u32 = 1000;
    let above = (0..STEPS).map(|step| {
        let factor = 1.0 + jitter * ((f64::from(step) + 0.5) / f64::from(STEPS) * 2.0 - 1.0);
        let above = (most - limit / factor) / (most - least);
        if above.is_finite() { above.clamp(0.0, 1.0) } else { 0.0 }
    });
    above.sum::<f64>() / f64::from(STEPS)
}

/// The shares of requests that fail: by an error of HTTP, with the connection, after a time.
fn failing(block: &FaultInjection) -> [f64; 3] {
    let by_chance = block.error_pattern.is_none() && !block.http_errors.is_empty();
    [
        (by_chance, block.http_error_probability),
        (block.connection_errors, block.connection_error_probability),
        (block.timeout_errors, block.timeout_probability),
    ]
    .map(|(is_on, share)| if is_on { share } else { 0.0 })
}

/// The shares of answers whose bodies are harmed.
fn harming(block: &FaultInjection) -> [f64; 2] {
    let corrupts = block.payload_corruption && block.corruption_type != CorruptionType::None;
    [
        (block.partial_responses, block.partial_response_probability),
        (corrupts, block.payload_corruption_probability),
    ]
    .map(|(is_on, share)| if is_on { share } else { 0.0 })
}

impl Measured {
    /// What it did to others.
    pub(super) fn effect(&self) -> String {
        format!(
            "{} of {} requests of others were hit, in {} connections",
            self.report.hit, self.report.asked, self.own
        )
    }

    /// What was delivered, and whether that is what was asked.
    pub(super) fn judge(&self, config: &ChaosConfig, port: u16) -> (String, Landed) {
        let expected = Expected::of(config);
        let mut delivered = Vec::new();
        let mut landed = Vec::new();
        for (what, asked, tally) in [
            ("failed", expected.failed, self.known.failed),
            ("harmed", expected.harmed, self.known.harmed),
            ("late", expected.late.share, self.known.late),
        ] {
            if asked > 0.0 {
                // Where all fail there is none that could be late.
                if tally.of == 0 && what != "failed" {
                    delivered.push(format!("none that could be {what}"));
                    continue;
                }
                let (words, judged) = share(what, asked, tally, None, 1.0);
                delivered.push(words);
                landed.push(judged);
            } else if what == "failed" && tally.seen > 0 {
                landed.push(Landed::No(format!(
                    "{} of {} probes failed, and none was to",
                    tally.seen, tally.of
                )));
            }
        }
        if let Some(held) = self.held(&expected) {
            delivered.push(format!("{} late", millis(held)));
            landed.extend(expected.late.is_too_long(held));
        }
        let least = TELLING.max(self.without.as_secs_f64() * 1000.0);
        if expected.late.share > 0.0 && expected.late.from < least {
            let why = format!("a delay of mostly less than {least:.0}ms cannot be told from none");
            landed.push(Landed::Unmeasured(why));
        }
        if landed.is_empty() {
            delivered.push("the worker answers for the port".to_owned());
            let why = "what counts requests is not tried by requests of our own: see the effect".to_owned();
            landed.push(Landed::Unmeasured(why));
        }
        delivered.push(match &self.bystander {
            None => "another port answers as ever".to_owned(),
            Some(why) => why.clone(),
        });
        if let Some(why) = &self.bystander {
            landed.push(Landed::No(why.clone()));
        }
        if self.report.asked == 0 {
            landed.push(Landed::No(match self.own {
                0 => format!("nobody else opened a connection to port {port}"),
                some => format!("no request came by {some} connections to port {port}"),
            }));
        }
        (delivered.join(", "), worst(landed))
    }

    /// How long those that were held were, the one in the middle.
    fn held(&self, expected: &Expected) -> Option<Duration> {
        if expected.late.share <= 0.0 {
            return None;
        }
        let held = self.heard.iter().filter_map(|heard| match heard {
            Heard::Answer { status: 200, took, .. } => Some(took.saturating_sub(self.without)),
            _ => None,
        });
        let mut held: Vec<_> = held.filter(|late| expected.late.is_held(*late)).collect();
        held.sort_unstable();
        held.get(held.len() / 2).copied()
    }
}

/// What did not land, before what is not known.
fn worst(all: Vec<Landed>) -> Landed {
    let rank = |landed: &Landed| match landed {
        Landed::No(_) => 0,
        Landed::Unmeasured(_) => 1,
        Landed::Yes => 2,
    };
    all.into_iter().min_by_key(rank).unwrap_or(Landed::Yes)
}

#[cfg(test)]
mod tests;
