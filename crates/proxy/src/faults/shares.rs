//! One, ten and fifty percent of a hundred thousand requests, by what the data plane asks: so many, and the same ones, whether one thread
//! asks or eight do. `tests/traffic/shares.rs` has the same on traffic. Shares of messages and of connections, and what is private to its
//! module, have their tests beside them, which call [`holds`].

use std::time::Instant;

use fracas_core::chaos::{ErrorPattern, FaultInjection, Graphql, Grpc, Latency, RouteFaults, TrafficShaping};

use crate::faults::pattern::Pattern;
use crate::faults::verdict::Verdict;
use crate::faults::{corruption, failure, latency, loss, partial};
use crate::identity::Chance;
use crate::{graphql, grpc};

pub(crate) const REQUESTS: usize = 100_000;
const THREADS: usize = 8;

/// Whether something happens to a request, or to what else is decided about.
pub(crate) type Decides<T = Chance> = Box<dyn Fn(&T) -> bool + Sync>;

/// For a share.
type Makes = fn(f64) -> Decides;

/// Five standard deviations of so many requests to either side.
fn is_share(count: usize, of: usize, share: f64) -> bool {
    let of = of as f64;
    (count as f64 - of * share).abs() <= 5.0 * (of * share * (1.0 - share)).sqrt()
}

pub(crate) fn chances() -> Vec<Chance> {
    let name = |n| Chance::named(42, &format!("x-request-id request-{n}"));
    (0..REQUESTS).map(name).collect()
}

/// What is decided about each, by one thread and by eight, of which each comes from the end.
fn decided<T: Sync>(requests: &[T], decides: &Decides<T>) -> Vec<bool> {
    let one: Vec<bool> = requests.iter().map(decides).collect();
    let mut eight = vec![false; requests.len()];
    std::thread::scope(|scope| {
        let part = requests.len().div_ceil(THREADS);
        for (eight, requests) in eight.chunks_mut(part).zip(requests.chunks(part)) {
            scope.spawn(move || {
                for (met, request) in eight.iter_mut().zip(requests).rev() {
                    *met = decides(request);
                }
            });
        }
    });
    assert!(one == eight, "others at {THREADS} threads");
    one
}

/// Asserts that what is made for a share decides so of as many, and of the same ones; what of fewer, of more, too.
#[track_caller]
pub(crate) fn holds<T: Sync>(name: &str, requests: &[T], make: impl Fn(f64) -> Decides<T>) -> Vec<bool> {
    let [one, ten, half] = [0.01, 0.1, 0.5].map(|share| {
        let all = decided(requests, &make(share));
        let count = all.iter().filter(|met| **met).count();
        assert!(is_share(count, all.len(), share), "{name}: {count} for {share}");
        all
    });
    let within = |few: &[bool], many: &[bool]| few.iter().zip(many).all(|(few, many)| !few || *many);
    assert!(within(&one, &ten) && within(&ten, &half), "{name}");
    ten
}

/// Asserts that what one decides, of a tenth of so many, says nothing of what another does.
#[track_caller]
pub(crate) fn are_apart(tenths: &[(&str, Vec<bool>)]) {
    for (at, (name, some)) in tenths.iter().enumerate() {
        for (other, others) in &tenths[..at] {
            let both = some.iter().zip(others).filter(|(one, two)| **one && **two).count();
            assert!(is_share(both, some.len(), 0.01), "{name} and {other}: {both}");
        }
    }
}

fn of_block(change: impl FnOnce(&mut FaultInjection), decides: fn(&FaultInjection, &Chance) -> bool) -> Decides {
    let mut block = FaultInjection {
        http_error_probability: 0.0,
        ..FaultInjection::default()
    };
    change(&mut block);
    Box::new(move |chance| decides(&block, chance))
}

fn fails(block: &FaultInjection, chance: &Chance) -> bool {
    failure::decide(block, None, chance, Instant::now()).is_some()
}

// The draws are fixed by the seed: what holds here, holds always.
#[test]
fn a_share_is_the_same_requests_by_one_thread_and_by_eight() {
    let chances = chances();
    let all: [(&str, Makes); 11] = [
        ("packet_loss", |share| {
            let block = TrafficShaping {
                packet_loss_percent: share * 100.0,
                ..TrafficShaping::default()
            };
            Box::new(move |chance| loss::alone(&block, chance))
        }),
        ("latency", |share| {
            let block = Latency {
                fixed_delay_ms: Some(1.0),
                probability: share,
                ..Latency::default()
            };
            Box::new(move |chance| latency::decide(&block, chance).is_some())
        }),
        ("http_error", |share| {
            of_block(|block| block.http_error_probability = share, fails)
        }),
        ("connection_error", |share| {
            let change = |block: &mut FaultInjection| {
                block.connection_errors = true;
                block.connection_error_probability = share;
            };
            of_block(change, fails)
        }),
        ("timeout", |share| {
            let change = |block: &mut FaultInjection| {
                block.timeout_errors = true;
                block.timeout_probability = share;
            };
            of_block(change, fails)
        }),
        ("partial_response", |share| {
            let change = |block: &mut FaultInjection| {
                block.partial_responses = true;
                block.partial_response_probability = share;
            };
            of_block(change, partial::happens)
        }),
        ("route", |share| {
            let text = format!(r#"{{"probability":{share},"fault_types":[{{"type":"connection_error"}}]}}"#);
            let block: RouteFaults = serde_json::from_str(&text).unwrap();
            Box::new(move |chance| Verdict::of_route(&block, chance).failure.is_some())
        }),
        ("grpc_status", |share| {
            let block = Grpc {
                status_codes: vec![14],
                status_code_probability: share,
                ..Grpc::default()
            };
            Box::new(move |chance| grpc::failure(&block, chance).is_some())
        }),
        ("grpc_stream_interruption", |share| {
            let block = Grpc {
                stream_interruption_probability: share,
                ..Grpc::default()
            };
            Box::new(move |chance| grpc::is_interrupted(&block, chance))
        }),
        ("graphql_error", |share| {
            let block = Graphql {
                error_codes: vec!["DOWN".to_owned()],
                error_probability: share,
                ..Graphql::default()
            };
            Box::new(move |chance| graphql::failure(&block, chance).is_some())
        }),
        ("graphql_partial_data", |share| {
            let block = Graphql {
                partial_data_probability: share,
                ..Graphql::default()
            };
            Box::new(move |chance| graphql::is_partial(&block, chance))
        }),
    ];
    let of_corruption = |share| {
        let change = |block: &mut FaultInjection| {
            let text = r#"{"payload_corruption":true,"corruption_type":"bit_flip"}"#;
            *block = serde_json::from_str(text).unwrap();
            block.payload_corruption_probability = share;
        };
        of_block(change, |block, chance| corruption::decide(block, chance).is_some())
    };
    let mut tenths: Vec<(&str, Vec<bool>)> = all
        .iter()
        .map(|(name, make)| (*name, holds(name, &chances, make)))
        .collect();
    tenths.push((
        "payload_corruption",
        holds("payload_corruption", &chances, of_corruption),
    ));
    are_apart(&tenths);
}

// It is asked about one after the other, and decides by who they are all the same.
#[test]
fn a_pattern_of_chance_is_the_same_requests_too() {
    holds("random", &chances(), |share| {
        let pattern = Pattern::new(ErrorPattern {
            probability: Some(share),
            ..serde_json::from_str(r#"{"type":"random","probability":1}"#).unwrap()
        });
        Box::new(move |chance| pattern.next(&[500], chance, Instant::now()).is_some())
    });
}
