//! The clock of the whole machine, see [`fracas_linux::clock`].
//!
//! What it shows is compared with the clock that nobody can set: how far it leads that one is known before the fault and stays the same,
//! but for what a time daemon corrects.

use fracas_core::params;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen};
use fracas_core::target::Target;
use fracas_core::units::Span;
use fracas_linux::{clock, process};
use serde::{Deserialize, Serialize};

use super::ClockSkew;
use crate::say::{OrSay, missed, refuse};
use crate::{Context, Fault, Resource};

/// How the clock was before, and by how much it is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// How many nanoseconds it was ahead of the time since boot.
    lead: i64,
    /// By how many nanoseconds it is set.
    offset: i64,
    /// When that was read: nanoseconds since boot.
    since: i64,
    /// In which boot.
    boot: String,
}

/// The smallest shift in nanoseconds.
const LEAST: u64 = 10_000_000_000;
/// Two readings of one clock may differ by so much: a machine that is short of processors, and a second that a time daemon has put in.
const SLACK: u64 = 1_500_000_000;
/// A clock that is being corrected runs at most one part in so many faster or slower (`MAXFREQ` in `include/linux/timex.h`, 500 ppm; and
/// as much again by what adjtime(3) is told).
const CORRECTION: u64 = 1000;
/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;
/// Nanoseconds in a microsecond. Offsets are whole milliseconds.
const MICRO: i64 = 1000;
/// What is locked while the clock is ours: there is one for the whole machine, in whichever directory the state lies.
const OBJECT: &str = "/sys/devices/system/clocksource";

/// What the clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// As before.
    Original,
    /// As we set it.
    Ours,
    /// Another time: so many nanoseconds later than before.
    Other(i64),
}

pub(super) fn plan(params: &params::ClockSkew, target: &Target, cx: &Context) -> Result<Undo> {
    let offset = params.offset.as_nanos();
    // What is ours and what was before must be told apart until the end.
    let longest = u64::try_from(cx.at_most.as_nanos()).unwrap_or(u64::MAX);
    let least = LEAST.max(4 * slack(longest));
    if offset.unsigned_abs() < least {
        let why = format!(
            "the machine's clock by {} cannot be told from what a time daemon corrects in {}",
            params.offset,
            Span(cx.at_most)
        );
        let next = format!("shift it by at least {} s", least.div_ceil(SECOND.unsigned_abs()));
        return Err(refuse(ClockSkew::NAME, target, why).next(next));
    }
    if clock::is_kept().or_say(&codes::FAULT_PLAN, || "the clock's state cannot be read".to_owned())? {
        let why = "a time daemon keeps the machine's clock: it would set it right step by step, and what is ours could not be told from what \
                   it did";
        let next = "stop it first (chronyd, ntpd or systemd-timesyncd); its last word is forgotten some hours later, or at once by \
                    `adjtimex --status 64`";
        return Err(refuse(ClockSkew::NAME, target, why).next(next));
    }
    let boot = process::boot_id().or_say(&codes::FAULT_PLAN, || "the boot's id cannot be read".to_owned())?;
    Ok(Undo {
        lead: clock::lead(),
        offset,
        since: now(),
        boot,
    })
}

pub(super) fn change(params: &params::ClockSkew) -> String {
    format!(
        "the clock of the whole machine by {}, then by as much the other way",
        params.offset
    )
}

pub(super) fn resources() -> Vec<Resource> {
    vec![Resource {
        key: "clock of the machine".to_owned(),
        object: Some(OBJECT.to_owned()),
    }]
}

pub(super) fn apply(undo: &Undo) -> Result<()> {
    let what = || "the machine's clock cannot be set".to_owned();
    match undo.shows() {
        Shows::Original => clock::step(undo.offset / MICRO).or_say(&codes::FAULT_APPLY, what),
        Shows::Ours => Ok(()),
        Shows::Other(by) => {
            let why = format!("{}: somebody has set it by {} meanwhile", what(), seconds(by));
            Err(Problem::new(&codes::FAULT_APPLY, why))
        }
    }
}

pub(super) fn measure(params: &params::ClockSkew, undo: &Undo) -> Dose {
    let asked = format!("the machine's clock {}", params.offset);
    match undo.shows() {
        Shows::Ours => Dose {
            asked,
            delivered: format!("{} for everybody on it", seconds(undo.later())),
            landed: Landed::Yes,
            effect: None,
        },
        Shows::Original => missed(asked, "the clock is as it was"),
        Shows::Other(by) => missed(asked, format!("the clock is {}: somebody has set it", seconds(by))),
    }
}

pub(super) fn revert(undo: &Undo) -> Result<Reverted> {
    let what = || "the machine's clock cannot be put right".to_owned();
    if undo.is_of_another_boot()? {
        return Ok(Reverted::AlreadyGone);
    }
    match undo.shows() {
        Shows::Original => Ok(Reverted::AlreadyGone),
        Shows::Ours => {
            clock::step(-undo.offset / MICRO).or_say(&codes::FAULT_REVERT, what)?;
            Ok(Reverted::Restored)
        }
        Shows::Other(by) => Ok(Reverted::Foreign {
            before: "the machine's clock as it was".to_owned(),
            ours: seconds(undo.offset),
            now: seconds(by),
        }),
    }
}

pub(super) fn observe(undo: &Undo) -> Result<Seen> {
    if undo.is_of_another_boot()? {
        return Ok(Seen::TargetGone);
    }
    Ok(match undo.shows() {
        Shows::Original => Seen::Original,
        Shows::Ours => Seen::Ours(format!("the machine's clock is {}", seconds(undo.later()))),
        Shows::Other(by) => Seen::Foreign(format!("the machine's clock is {}", seconds(by))),
    })
}

pub(super) fn manual(undo: &Undo) -> Vec<String> {
    // date(1) of GNU: relative to what the clock shows. busybox has no such way.
    vec![format!("date --set='{:+} seconds'", -(undo.offset / SECOND))]
}

impl Undo {
    fn shows(&self) -> Shows {
        shows(
            self.later(),
            self.offset,
            now().saturating_sub(self.since).unsigned_abs(),
        )
    }

    /// By how many nanoseconds the clock is later than before.
    fn later(&self) -> i64 {
        clock::lead().saturating_sub(self.lead)
    }

    /// After a reboot the clock of the hardware has told the time, which nobody has set.
    fn is_of_another_boot(&self) -> Result<bool> {
        let boot = process::boot_id().or_say(&codes::FAULT_OBSERVE, || "the boot's id cannot be read".to_owned())?;
        Ok(boot != self.boot)
    }
}

/// What a clock shows that is so much later than it was so long ago. After days of corrections both answers may be possible: the nearer one
/// is right.
fn shows(later: i64, offset: i64, between: u64) -> Shows {
    let to_original = later.unsigned_abs();
    let to_ours = later.saturating_sub(offset).unsigned_abs();
    if to_original.min(to_ours) > slack(between) {
        Shows::Other(later)
    } else if to_original <= to_ours {
        Shows::Original
    } else {
        Shows::Ours
    }
}

/// How far two readings with this time between them may differ and nobody has set the clock. All in nanoseconds.
fn slack(between: u64) -> u64 {
    SLACK.saturating_add(between / CORRECTION)
}

/// Nanoseconds since boot.
fn now() -> i64 {
    i64::try_from(clock::boottime().as_nanos()).unwrap_or(i64::MAX)
}

fn seconds(nanos: i64) -> String {
    format!("{:+.1} s", nanos as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600 * SECOND;

    #[test]
    fn what_is_ours_is_told_from_what_was_and_from_what_others_set() {
        for offset in [HOUR, -HOUR] {
            assert_eq!(shows(0, offset, 0), Shows::Original);
            assert_eq!(shows(SECOND, offset, 0), Shows::Original, "a second that was put in");
            assert_eq!(shows(offset, offset, 0), Shows::Ours);
            assert_eq!(shows(offset - SECOND, offset, 0), Shows::Ours);
            assert_eq!(shows(offset / 2, offset, 0), Shows::Other(offset / 2));
            assert_eq!(shows(-offset, offset, 0), Shows::Other(-offset));
        }
    }

    #[test]
    fn a_time_daemon_corrects_slowly_and_sets_at_once() {
        let day = 24 * HOUR.unsigned_abs();
        // 500 parts in a million for a day.
        assert_eq!(shows(43 * SECOND, HOUR, day), Shows::Original);
        assert_eq!(
            shows(43 * SECOND, HOUR, 60 * SECOND.unsigned_abs()),
            Shows::Other(43 * SECOND)
        );
        // After a week both are possible.
        assert_eq!(shows(300 * SECOND, 300 * SECOND, 7 * day), Shows::Ours);
        assert_eq!(shows(20 * SECOND, 300 * SECOND, 7 * day), Shows::Original);
    }

    #[test]
    fn this_machine_s_clock_is_as_it_was() {
        let undo = Undo {
            lead: clock::lead(),
            offset: HOUR,
            since: now(),
            boot: process::boot_id().unwrap(),
        };
        assert_eq!(observe(&undo).unwrap(), Seen::Original);
        assert_eq!(revert(&undo).unwrap(), Reverted::AlreadyGone);
        let before_the_boot = Undo {
            boot: "x".to_owned(),
            lead: 0,
            ..undo.clone()
        };
        assert_eq!(observe(&before_the_boot).unwrap(), Seen::TargetGone);
        assert_eq!(revert(&before_the_boot).unwrap(), Reverted::AlreadyGone);
        // Somebody has set it: what they set stays.
        let elsewhere = Undo {
            lead: undo.lead - 2 * HOUR,
            ..undo
        };
        assert!(matches!(revert(&elsewhere).unwrap(), Reverted::Foreign { .. }));
        assert_eq!(manual(&elsewhere), ["date --set='-3600 seconds'"]);
    }
}
