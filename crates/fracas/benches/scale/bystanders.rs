//! What two bystanders notice of a fault that comes and goes a thousand times.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fracas_lab::TestBridge;
use fracas_linux::netlink::Netlink;

use crate::figures::{Figures, judged, table};
use crate::packets::{LOST, Place, TRIPS, middle};

/// So often a fault comes and goes in all rounds together.
const TURNS: usize = 1000;
/// By so much a bystander's round trip may grow, in microseconds.
const SHIFT: f64 = 50.0;
/// A machine on which it takes longer gets no more turns; how many there were is said.
const LONGEST: Duration = Duration::from_mins(8);

pub(crate) fn section(rounds: usize) -> String {
    let Some(bridge) = TestBridge::new().unwrap() else {
        return String::new();
    };
    let (seen, turns) = bystanders(&bridge, rounds.clamp(1, TURNS));
    let rows = seen.map(|row| {
        let shift = row.meanwhile.median() - row.before.median();
        vec![
            row.who.to_owned(),
            row.before.to_string(),
            row.meanwhile.to_string(),
            format!("{shift:+.1} µs: {}", judged(shift, SHIFT)),
            format!("{} of {}: {}", row.lost, row.sent, judged(row.lost as f64, 0.0)),
        ]
    });
    let few = if turns < TURNS {
        format!(
            " Of {TURNS} that were wanted, for more did not fit into {} minutes: the bound is not proven.",
            LONGEST.as_secs() / 60
        )
    } else {
        String::new()
    };
    format!(
        "## Packets: bystanders\n\nThe middle of all round trips of a datagram, before and while a `delay` comes and goes {turns} times, \
         each in a run of its own.{few}\n\n{}\n",
        table(
            &[
                "round trips",
                "before",
                "meanwhile",
                "shift (bound: 50 µs)",
                "lost (bound: none)"
            ],
            &rows
        )
    )
}

/// What a bystander has noticed.
struct Beside {
    who: &'static str,
    before: Figures,
    meanwhile: Figures,
    lost: usize,
    sent: usize,
}

/// The round trips of two bystanders before a fault, and while it comes and goes: of the target with another address than the one that is
/// hit, and of another namespace with that one. And how often it came and went.
fn bystanders(bridge: &TestBridge, rounds: usize) -> ([Beside; 2], usize) {
    let (hit, other) = (bridge.address(1), bridge.address(2));
    Netlink::route()
        .unwrap()
        .add_address(bridge.index(), other, 24)
        .unwrap();
    let (target, beside) = (Place::new(bridge), Place::new(bridge));
    let series = [
        ("of the target, with another address", &target, other),
        ("of another namespace, with the same address", &beside, hit),
    ];
    // Not all of a processor: what comes and goes beside it must run, too.
    let pause = |_: &Duration| std::thread::park_timeout(Duration::from_millis(1));
    let mut rows = series.map(|(who, ..)| Beside {
        who,
        before: Figures::of("µs"),
        meanwhile: Figures::of("µs"),
        lost: 0,
        sent: 0,
    });
    let (began, mut turns) = (Instant::now(), 0);
    for round in 1..=rounds {
        for ((_, place, to), row) in series.iter().zip(&mut rows) {
            row.before.add(middle(
                place.round_trips((*to, 7002)).inspect(pause).take(TRIPS).collect(),
            ));
        }
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let going = series.map(|(_, place, to)| {
                let trips = place.round_trips((to, 7003));
                let over = &over;
                scope.spawn(move || {
                    let trips = trips.inspect(pause).take_while(|_| !over.load(Ordering::Relaxed));
                    trips.collect::<Vec<_>>()
                })
            });
            while turns < TURNS * round / rounds && began.elapsed() < LONGEST {
                turns += 1;
                target.put_on(&format!("delay: {{ mean: 50ms, to: [{hit}] }}")).stop();
            }
            over.store(true, Ordering::Relaxed);
            for (going, row) in going.into_iter().zip(&mut rows) {
                let trips = going.join().unwrap();
                row.lost += trips.iter().filter(|trip| **trip >= LOST).count();
                row.sent += trips.len();
                row.meanwhile.add(middle(trips));
            }
        });
    }
    (rows, turns)
}
