//! What is asked is what is there: round trips by ping(8), throughput by iperf3(1), before, during and after.

use crate::place::{On, Place, Target};
use crate::programs::{Pings, iperf, ping};

/// A delay may be off by so many ms, or by this share of it, whichever is more.
const OFF_MS: f64 = 1.0;
const OFF_SHARE: f64 = 0.02;
/// A standard deviation may be off by this share of it. Both bounds are five standard errors or more of what a thousand echoes tell.
const OFF_DEVIATION: f64 = 0.15;
/// And a rate by this one.
const OFF_RATE: f64 = 0.05;
/// A share may be off by so many standard errors of a binomial variable: more are seen once in a million times.
const ERRORS: f64 = 4.9;
/// Without a fault a stream is faster than this, and a round trip shorter, also in a busy machine.
const FAST_MBIT: f64 = 250.0;
const SHORT_MS: f64 = 1.0;

/// A fault with what its peers see of it.
#[derive(Debug, Clone, Copy)]
enum Asked {
    /// Mean and standard deviation of a normal distribution, in ms.
    Delay(f64, f64),
    /// In per cent.
    Loss(f64),
    /// In Mbit/s.
    Rate(f64),
}

impl Asked {
    fn inject(self) -> String {
        match self {
            Self::Delay(mean, jitter) => {
                format!("delay: {{ mean: {mean}ms, jitter: {jitter}ms, distribution: normal }}")
            }
            Self::Loss(percent) => format!("loss: {{ percent: {percent}% }}"),
            Self::Rate(mbit) => format!("rate: {{ rate: {mbit}mbit }}"),
        }
    }

    /// Whether it can be measured beside others, for it is nothing that depends on how fast the machine is.
    fn bears_company(self) -> bool {
        match self {
            Self::Delay(..) => false,
            Self::Loss(_) => true,
            Self::Rate(mbit) => mbit < 50.0,
        }
    }

    fn check(self, target: &Target) {
        match self {
            Self::Delay(mean, jitter) => {
                for seen in pings(target, 1000, 2) {
                    let (plain_mean, plain_deviation) = seen.plain();
                    let (middle, deviation) = (seen.middle(), seen.deviation());
                    println!(
                        "delay of {mean} ms ± {jitter} ms: {middle:.2} ms ± {deviation:.2} ms; with all that was late \
                         {plain_mean:.2} ms ± {plain_deviation:.2} ms"
                    );
                    assert_eq!(seen.lost(), 0);
                    assert!(
                        (middle - mean).abs() < OFF_MS.max(mean * OFF_SHARE),
                        "{mean} ms: {middle}"
                    );
                    let most = jitter * OFF_DEVIATION;
                    assert!(
                        jitter == 0.0 || (deviation - jitter).abs() < most,
                        "{mean} ms ± {jitter} ms: {deviation}"
                    );
                }
            }
            Self::Loss(percent) => {
                let seen = pings(target, 1500, 2);
                let sent: usize = seen.iter().map(|one| one.sent).sum();
                let lost: usize = seen.iter().map(Pings::lost).sum();
                println!("loss of {percent} %: {lost} of {sent}");
                let (sent, lost, share) = (sent as f64, lost as f64, percent / 100.0);
                let error = (sent * share * (1.0 - share)).sqrt();
                assert!(
                    (lost - sent * share).abs() < ERRORS * error,
                    "{percent} %: {lost} of {sent}"
                );
            }
            Self::Rate(mbit) => {
                // The last address: of IPv6 where there is one.
                let seen = streams(target, mbit, 5);
                println!("rate of {mbit} Mbit/s: {seen:.2} Mbit/s");
                assert!((seen / mbit - 1.0).abs() < OFF_RATE, "{mbit} Mbit/s: {seen}");
            }
        }
    }
}

/// A series of echoes to each address, at the same time.
fn pings(target: &Target, count: usize, gap_ms: u32) -> Vec<Pings> {
    std::thread::scope(|scope| {
        let there = &target.there;
        let series = target
            .far
            .iter()
            .map(|far| scope.spawn(move || ping(there, *far, count, gap_ms)));
        let series: Vec<_> = series.collect();
        series.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

/// So much is on its way that no pause of the machine's leaves the link without a packet: by four streams, or in a link so narrow that they
/// would drive each other out, by one that is not more than half a second ahead.
fn streams(target: &Target, mbit: f64, seconds: u32) -> f64 {
    let at = *target.near.last().unwrap();
    let flags = if mbit < 5.0 {
        ["--window", "64K"]
    } else {
        ["--parallel", "4"]
    };
    iperf(&target.there, at, target.from.as_deref(), seconds, &flags)
}

/// By which a target is as if there was no fault.
fn is_untouched(target: &Target) {
    for seen in pings(target, 50, 2) {
        assert!(
            seen.lost() == 0 && seen.middle() < SHORT_MS,
            "without a fault: {seen:?}"
        );
    }
    let speed = streams(target, FAST_MBIT, 0);
    assert!(speed > FAST_MBIT, "without a fault: {speed} Mbit/s");
}

fn check(place: &Place, asked: &[Asked]) {
    assert_eq!(place.targets.len(), asked.len());
    let each = || place.targets.iter().zip(asked);
    let all_untouched = || {
        std::thread::scope(|scope| {
            for target in &place.targets {
                scope.spawn(|| is_untouched(target));
            }
        });
    };
    all_untouched();
    let faults: Vec<_> = each().map(|(target, asked)| (target, asked.inject())).collect();
    let on = On::put(&faults, "10m");
    std::thread::scope(|scope| {
        for (target, asked) in each().filter(|(_, asked)| asked.bears_company()) {
            scope.spawn(|| asked.check(target));
        }
    });
    for (target, asked) in each().filter(|(_, asked)| !asked.bears_company()) {
        asked.check(target);
    }
    // Probes that are twice as fast as a wide link ask more of an unoptimised program than a busy machine has: iperf3 has judged it.
    let narrow = |number: &usize| !matches!(asked[*number], Asked::Rate(mbit) if mbit > 50.0);
    on.take_off(&(0..asked.len()).filter(narrow).collect::<Vec<_>>());
    all_untouched();
}

#[test]
fn in_namespaces_delays_are_as_asked_and_go() {
    let asked = [Asked::Delay(50.0, 0.0), Asked::Delay(60.0, 4.0)];
    let Some(place) = Place::in_namespaces(asked.len(), &["sleep"]) else {
        return;
    };
    check(&place, &asked);
}

#[test]
fn in_namespaces_losses_and_rates_are_as_asked_and_go() {
    let asked = [
        Asked::Loss(1.0),
        Asked::Loss(10.0),
        Asked::Loss(30.0),
        Asked::Rate(1.0),
        Asked::Rate(10.0),
        Asked::Rate(100.0),
    ];
    let Some(place) = Place::in_namespaces(asked.len(), &["sleep"]) else {
        return;
    };
    check(&place, &asked);
}

#[test]
fn in_containers_delays_losses_and_rates_are_as_asked_and_go() {
    let asked = [Asked::Delay(50.0, 3.0), Asked::Loss(10.0), Asked::Rate(10.0)];
    let Some(place) = Place::in_containers(asked.len()) else {
        return;
    };
    check(&place, &asked);
}
