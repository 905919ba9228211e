//! What is to be seen of canaries.

use std::time::Duration;

use fracas_core::chaos::{
    ChaosConfig, CorruptionType, Distribution, FaultInjection, Graphql, Grpc, Latency, MutationRule, Route, RouteFault,
    RouteFaultKind, RouteFaults, Websocket,
};
use fracas_core::record::Landed;
use serde::{Deserialize, Serialize};

use super::super::canary::{Heard, Messages};
use super::{PATIENCE, TELLING};
use crate::impairment::verdict::{Tally, millis};

/// How early an answer may be, and by how much and by what share it may be too late on a machine that has something else to do.
const EARLY: Duration = Duration::from_millis(1);
const SLACK: Duration = Duration::from_millis(50);
const SHARE: f64 = 0.05;

/// Of how many, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Expected {
    pub(super) failed: f64,
    /// Of messages.
    pub(super) dropped: f64,
    /// Of those that did not fail.
    pub(super) harmed: f64,
    /// The same.
    pub(super) late: Late,
    /// Whether what nobody answers may be one that was to time out.
    times_out: bool,
    /// Whether a connection that ends is an answer that was harmed.
    breaks_off: bool,
}

/// What was seen of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(super) failed: Tally,
    pub(super) dropped: Tally,
    pub(super) harmed: Tally,
    pub(super) late: Tally,
}

/// Which canaries are late.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Late {
    pub(super) share: f64,
    /// From here on, in milliseconds.
    pub(super) from: f64,
    /// No delay is longer, in milliseconds.
    most: f64,
}

/// The share that meets any of these, each of which is decided by itself.
fn any(shares: &[f64]) -> f64 {
    1.0 - shares.iter().map(|share| 1.0 - share).product::<f64>()
}

impl Expected {
    const NOTHING: Self = Self {
        failed: 0.0,
        dropped: 0.0,
        harmed: 0.0,
        late: Late::NEVER,
        times_out: false,
        breaks_off: false,
    };

    /// Of requests that are of no route.
    pub(crate) fn of(config: &ChaosConfig) -> Self {
        let faults = config.fault_injection().map_or(Self::NOTHING, Self::of_faults);
        Self {
            failed: any(&[lost(config), faults.failed]),
            late: config.latency().map_or(Late::NEVER, Late::of),
            ..faults
        }
    }

    /// Of requests that this block is about, and no other. What a pattern makes fail is not among it.
    pub(crate) fn of_faults(block: &FaultInjection) -> Self {
        let (failing, harming) = (failing(block), harming(block));
        Self {
            failed: any(&failing),
            harmed: any(&harming),
            times_out: failing[2] > 0.0,
            ..Self::NOTHING
        }
    }

    /// Of those that are of this one.
    pub(crate) fn of_route(config: &ChaosConfig, route: &Route) -> Self {
        let for_all = Self::of(config);
        let late = match &route.latency {
            Some(block) if block.enabled => Late::of(block),
            Some(_) => Late::NEVER,
            None => for_all.late,
        };
        let Some(block) = &route.fault_injection else {
            return Self { late, ..for_all };
        };
        let fails = |fault: &RouteFault| {
            use RouteFaultKind::{ConnectionError, HttpError, Timeout};
            matches!(fault.kind, HttpError | ConnectionError | Timeout)
        };
        let (failed, harmed) = (of_route(block, fails), of_route(block, |fault| !fails(fault)));
        Self {
            failed: any(&[lost(config), failed]),
            // It meets one fault: who fails is not harmed.
            harmed: if failed < 1.0 { harmed / (1.0 - failed) } else { 0.0 },
            late,
            times_out: of_route(block, |fault| fault.kind == RouteFaultKind::Timeout) > 0.0,
            ..Self::NOTHING
        }
    }

    /// Of answers that a rule for JSON could change.
    pub(crate) fn of_rule(rule: &MutationRule) -> Self {
        Self {
            harmed: rule.probability,
            ..Self::NOTHING
        }
    }

    /// Of calls of gRPC. `is_cut`: whether their streams are long enough.
    pub(crate) fn of_grpc(block: &Grpc, is_cut: bool) -> Self {
        Self {
            failed: if block.status_codes.is_empty() {
                0.0
            } else {
                block.status_code_probability
            },
            harmed: if is_cut {
                block.stream_interruption_probability
            } else {
                0.0
            },
            breaks_off: is_cut,
            ..Self::NOTHING
        }
    }

    /// Of requests of GraphQL with so many fields of data.
    pub(crate) fn of_graphql(block: &Graphql, fields: u32) -> Self {
        Self {
            failed: if block.error_codes.is_empty() {
                0.0
            } else {
                block.error_probability
            },
            harmed: block.partial_data_probability,
            late: if block.resolver_latency && block.resolver_latency_ms > 0.0 {
                Late::always(block.resolver_latency_ms * f64::from(fields))
            } else {
                Late::NEVER
            },
            ..Self::NOTHING
        }
    }

    /// Of messages of WebSocket, and of the connections that are closed in the place of one.
    pub(crate) fn of_websocket(block: &Websocket) -> Self {
        let closed = if block.close_codes.is_empty() {
            0.0
        } else {
            block.close_probability
        };
        // Among what is not dropped: of what is nobody knows that it was there, where the connection was closed behind it.
        let seen = closed + (1.0 - closed) * (1.0 - block.message_drop_probability);
        let late = Late {
            share: block.message_delay_probability,
            ..Late::always(block.message_delay_ms)
        };
        Self {
            failed: if closed > 0.0 { closed / seen } else { 0.0 },
            dropped: block.message_drop_probability,
            harmed: block.message_corruption_probability,
            late: if block.message_delay_ms > 0.0 {
                late
            } else {
                Late::NEVER
            },
            ..Self::NOTHING
        }
    }

    /// Of requests whose answers have no body.
    pub(crate) fn without_bodies(self) -> Self {
        Self { harmed: 0.0, ..self }
    }

    /// Whether some are late.
    pub(crate) fn is_late(&self) -> bool {
        self.late.share > 0.0
    }

    /// Whether none passes.
    pub(crate) fn all_fail(&self) -> bool {
        self.failed >= 1.0
    }

    /// Whether anything is to be seen of it.
    pub(crate) fn is_something(&self) -> bool {
        [self.failed, self.dropped, self.harmed, self.late.share]
            .iter()
            .any(|share| *share > 0.0)
    }

    /// Whether chance decides nothing.
    pub(super) fn is_certain(&self) -> bool {
        let certain = |share: f64| share <= 0.0 || share >= 1.0;
        let all = [self.failed, self.dropped, self.harmed, self.late.share];
        all.into_iter().all(certain)
    }

    /// Counts what became of one.
    pub(super) fn count(&self, heard: &Heard, without: Duration, seen: &mut Seen) {
        match heard {
            Heard::Answer { passed, took, whole } => {
                seen.failed.add(u64::from(!passed), 1);
                if *passed {
                    seen.late.add(u64::from(self.late.is_held(*took, without)), 1);
                    seen.harmed.add(u64::from(!whole), 1);
                }
            }
            Heard::Messages(messages) => self.count_messages(messages, seen),
            Heard::Ended if self.breaks_off => {
                seen.failed.add(0, 1);
                seen.harmed.add(1, 1);
            }
            Heard::Ended => seen.failed.add(1, 1),
            // It is held, or is to time out; where both may be nobody knows which it is.
            Heard::Open if self.late.most < PATIENCE.as_secs_f64() * 1000.0 => seen.failed.add(1, 1),
            Heard::Open if !self.times_out => seen.late.add(1, 1),
            Heard::Open => {}
        }
    }

    fn count_messages(&self, messages: &Messages, seen: &mut Seen) {
        let came = messages.gaps.len() as u64;
        let closed = u64::from(messages.is_closed);
        seen.failed.add(closed, came + closed);
        seen.harmed.add(messages.harmed, came);
        seen.late.add(self.late.held_of(&messages.gaps).len() as u64, came);
        if messages.is_over && !messages.is_closed {
            seen.dropped.add(messages.of.saturating_sub(came), messages.of);
        }
        if !messages.is_over && !messages.is_closed {
            // The next one is held for longer than anybody listens, or all is not as it should be.
            if self.late.share > 0.0 {
                seen.late.add(1, 1);
            } else {
                seen.failed.add(1, 1);
            }
        }
    }

    /// How long those that were held were, the one in the middle.
    pub(super) fn held<'h>(&self, heard: impl Iterator<Item = &'h Heard>, without: Duration) -> Option<Duration> {
        if self.late.share <= 0.0 {
            return None;
        }
        let times = |heard: &Heard| match heard {
            Heard::Answer { passed: true, took, .. } if self.late.is_held(*took, without) => {
                vec![took.saturating_sub(without)]
            }
            Heard::Messages(messages) => self.late.held_of(&messages.gaps),
            _ => Vec::new(),
        };
        let mut held: Vec<_> = heard.flat_map(times).collect();
        held.sort_unstable();
        held.get(held.len() / 2).copied()
    }
}

impl Late {
    const NEVER: Self = Self {
        share: 0.0,
        from: f64::INFINITY,
        most: 0.0,
    };

    /// Whether an answer was held that took so long, where one takes so long that nothing holds up.
    fn is_held(&self, took: Duration, without: Duration) -> bool {
        let late = took.saturating_sub(without);
        let millis = |time: Duration| (time + EARLY).as_secs_f64() * 1000.0;
        if self.share < 1.0 {
            return millis(late) >= self.from;
        }
        // Where all are, none comes earlier than that; and what nothing holds up is not taken for late on a slow machine.
        millis(took) >= self.from && millis(late) >= self.from / 2.0
    }

    /// Of messages that came one after the other, each so long after the one before, the gaps before those that were held.
    fn held_of(&self, gaps: &[Duration]) -> Vec<Duration> {
        let millis = |time: Duration| (time + EARLY).as_secs_f64() * 1000.0;
        let mut all = Duration::ZERO;
        let held = gaps.iter().zip(1_u32..).filter(|(gap, count)| {
            all += **gap;
            if self.share < 1.0 {
                // One that is late for another reason is followed by a gap that is shorter.
                millis(**gap) >= self.from / 2.0
            } else {
                millis(all) >= self.from * f64::from(*count)
            }
        });
        held.map(|(gap, _)| *gap).collect()
    }

    /// All are, by this, in milliseconds.
    fn always(delay: f64) -> Self {
        Self {
            share: 1.0,
            from: delay.min(PATIENCE.as_secs_f64() * 900.0),
            most: delay,
        }
    }

    /// Why so long cannot be what was asked.
    pub(super) fn is_too_long(self, held: Duration) -> Option<Landed> {
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

/// Of how many the proxy says that they were lost.
fn lost(config: &ChaosConfig) -> f64 {
    let shaping = config.traffic_shaping();
    shaping.map_or(0.0, |block| block.packet_loss_percent / 100.0)
}

/// The share of requests of a route that meet a fault of this kind.
fn of_route(block: &RouteFaults, is_one: impl Fn(&RouteFault) -> bool) -> f64 {
    let (all, some) = (
        &block.fault_types,
        block.fault_types.iter().filter(|fault| is_one(fault)),
    );
    if !block.enabled || all.is_empty() {
        return 0.0;
    }
    block.probability * some.count() as f64 / all.len() as f64
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
