//! Ramps and pulses: one fault of the document becomes a series, each of which follows the one before.

use fracas_core::experiment::{Execution, FaultSpec};
use fracas_core::params::{Amount, Harder, Inject};
use fracas_core::problem::codes;
use fracas_core::units::{NotAQuantity, Span};

use super::document::{Pulse, Ramp};
use crate::place::quoted;
use crate::problems::Problems;
use crate::tree::Node;

/// Below this neither dose nor undo can be told from the noise of their making.
const SHORTEST: Span = Span::secs(1);
/// Each has its own undo on disk and its own line in the certificate.
const MOST: u64 = 100;

/// Where a fault stands, and how long there is room for it.
pub(super) struct Place<'a, 'p> {
    /// `faults[2]`
    pub(super) path: String,
    pub(super) execution: Execution,
    /// The length of the experiment.
    pub(super) end: Span,
    pub(super) root: &'a Node,
    pub(super) problems: &'a mut Problems<'p>,
}

impl Place<'_, '_> {
    fn wrong(&mut self, key: &str, why: &str) {
        let path = format!("{}.{key}", self.path);
        let spot = self.root.nearest(&path).spot;
        self.problems
            .error(&codes::WRONG_VALUE, spot, format!("`{path}` {why}"));
    }

    /// How long the fault has, from its start.
    fn room(&self, fault: &FaultSpec) -> Span {
        let rest = Span(self.end.0.saturating_sub(fault.start.0));
        fault.duration.unwrap_or(rest)
    }

    /// When the next of a series begins: counted from the first injection or, in a sequence, from the end of the one before.
    fn start(&self, first: Span, since_first: Span, since_end: Span) -> Span {
        match self.execution {
            Execution::Parallel => Span(first.0.saturating_add(since_first.0)),
            Execution::Sequential => since_end,
        }
    }
}

/// The series of a fault; the fault itself without either. Empty after a problem, which is noted.
pub(super) fn of(
    fault: FaultSpec,
    pulse: Option<&Pulse>,
    ramp: Option<&Ramp>,
    mut at: Place<'_, '_>,
) -> Vec<FaultSpec> {
    match (pulse, ramp) {
        (None, None) => vec![fault],
        (Some(pulse), None) => pulses(&fault, pulse, &mut at),
        (None, Some(ramp)) => steps(&fault, ramp, &mut at),
        (Some(_), Some(_)) => {
            let spot = at.root.nearest(&format!("{}.ramp", at.path)).spot;
            let what = format!("{} has a ramp and pulses", quoted(&fault.name));
            let next = "keep one of them, or make two faults";
            at.problems.error_next(&codes::CONTRADICTION, spot, what, next);
            Vec::new()
        }
    }
}

/// One of a series.
fn one(fault: &FaultSpec, number: u64, start: Span, duration: Option<Span>, inject: Inject) -> FaultSpec {
    FaultSpec {
        name: format!("{}#{}", fault.name, number + 1),
        start: if number == 0 { fault.start } else { start },
        duration,
        follows: number > 0,
        inject,
        ..fault.clone()
    }
}

fn pulses(fault: &FaultSpec, pulse: &Pulse, at: &mut Place<'_, '_>) -> Vec<FaultSpec> {
    for (key, length) in [("pulse.on", pulse.on), ("pulse.off", pulse.off)] {
        if length < SHORTEST {
            at.wrong(key, "must be at least 1s");
            return Vec::new();
        }
    }
    let room = at.room(fault).0;
    let period = pulse.on.0.saturating_add(pulse.off.0);
    let count = room.as_nanos().div_ceil(period.as_nanos()) as u64;
    if count > MOST {
        at.wrong("pulse", &format!("makes {count} pulses, and {MOST} are the most"));
        return Vec::new();
    }
    (0..count)
        .map(|number| {
            let begin = period.saturating_mul(number as u32);
            let left = room.saturating_sub(begin);
            // The last one of a fault without an end of its own ends with the run.
            let duration = (left > pulse.on.0 || fault.duration.is_some()).then(|| Span(left.min(pulse.on.0)));
            let start = at.start(fault.start, Span(begin), pulse.off);
            one(fault, number, start, duration, fault.inject.clone())
        })
        .collect()
}

fn steps(fault: &FaultSpec, ramp: &Ramp, at: &mut Place<'_, '_>) -> Vec<FaultSpec> {
    let last = u64::from(ramp.steps).saturating_sub(1);
    if !(1..MOST).contains(&last) {
        at.wrong("ramp.steps", &format!("must be from 2 to {MOST}"));
        return Vec::new();
    }
    let room = at.room(fault);
    if ramp.over >= room {
        at.wrong(
            "ramp.over",
            &format!("must be shorter than the fault, which lasts {room}"),
        );
        return Vec::new();
    }
    let step = Span(ramp.over.0 / last as u32);
    if step < SHORTEST {
        let why = format!("makes steps of {step}, and 1s is the shortest: take fewer `steps`");
        at.wrong("ramp.over", &why);
        return Vec::new();
    }
    let mut all = Vec::new();
    for number in 0..=last {
        let mut inject = fault.inject.clone();
        if let Err(why) = ease(&mut inject, &ramp.from, number as f64 / last as f64) {
            at.wrong("ramp.from", &why);
            return Vec::new();
        }
        let begin = Span(step.0.saturating_mul(number as u32));
        let duration = if number < last {
            Some(step)
        } else {
            fault.duration.map(|whole| Span(whole.0.saturating_sub(begin.0)))
        };
        let start = at.start(fault.start, begin, Span::default());
        all.push(one(fault, number, start, duration, inject));
    }
    all
}

/// Gives the fault the amount that lies this share of the way from `from` to its own.
fn ease(inject: &mut Inject, from: &str, share: f64) -> Result<(), String> {
    let name = inject.name();
    let Some(amount) = inject.amount() else {
        return Err(format!("has nothing to change: {name} has no number, or more than one"));
    };
    let no = |not: NotAQuantity| format!("is wrong: {}", not.0);
    let between = |from: f64, to: f64, harder: Harder| {
        if harder == Harder::Up && from == 0.0 {
            return Err("must be more than 0: a load of nothing is no first step".to_owned());
        }
        let eased = match harder {
            Harder::Up => from < to,
            Harder::Down => from > to,
        };
        let (side, what) = match harder {
            Harder::Up => ("below", "load"),
            Harder::Down => ("above", "limit"),
        };
        if eased {
            Ok((to - from).mul_add(share, from))
        } else {
            Err(format!(
                "must be {side} the fault's own number: a ramp of a {what} becomes harder"
            ))
        }
    };
    match amount {
        Amount::Percent(to, harder) => {
            let from = from.parse::<fracas_core::units::Percent>().map_err(no)?;
            // Two places are more than any fault keeps.
            to.0 = (between(from.0, to.0, harder)? * 100.0).round() / 100.0;
        }
        Amount::Size(to, harder) => {
            let from = from.parse::<fracas_core::units::Size>().map_err(no)?;
            to.0 = between(from.0 as f64, to.0 as f64, harder)?.round() as u64;
        }
        Amount::Count(to, harder) => {
            let from: u32 = from
                .parse()
                .map_err(|_| format!("must be a whole number, not {}", quoted(from)))?;
            *to = between(f64::from(from), f64::from(*to), harder)?.round() as u32;
        }
        Amount::Span(to, harder) => {
            let from = from.parse::<fracas_core::units::Span>().map_err(no)?;
            let eased = between(from.as_secs_f64(), to.as_secs_f64(), harder)?;
            // Whole milliseconds, as a document writes them.
            *to = fracas_core::units::Span::millis((eased * 1000.0).round() as u64);
        }
        Amount::Rate(to, harder) => {
            let from = from.parse::<fracas_core::units::Rate>().map_err(no)?;
            to.0 = between(from.0 as f64, to.0 as f64, harder)?.round() as u64;
        }
    }
    Ok(())
}
