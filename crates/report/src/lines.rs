//! Plain progress lines, for logs and pipes: what happens, one event at a time, in the manner of seed 0's trace. No colours.

use fracas_core::event::{Event, Outcome, Phase, What};
use fracas_core::probe::Reading;
use fracas_core::record::{Landed, State, UndoClass};
use fracas_core::target::Target;

use crate::duration;
use crate::plain::plain;
use crate::summary::hypothesis;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Only what went wrong, what stopped the run, and its end.
    Quiet,
    /// Also phases, targets, injections and readings of probes.
    #[default]
    Normal,
    /// Everything.
    Verbose,
}

/// The line or lines for an event, without a line break at the end; `None` if nothing is to be said at this verbosity.
pub fn line(event: &Event, verbosity: Verbosity) -> Option<String> {
    let (needs, text) = match &event.what {
        What::RunStarted {
            run,
            experiment,
            seed,
            dry_run,
            version,
            ..
        } => (
            Verbosity::Normal,
            format!(
                "fracas {} run {run}: {}, duration {}, warmup {}, cooldown {}, seed {}{}",
                plain(version),
                plain(&experiment.name),
                experiment.duration,
                experiment.warmup,
                experiment.cooldown,
                seed.0,
                if *dry_run { ", dry run: nothing is applied" } else { "" }
            ),
        ),
        What::PhaseEntered { phase, expected } => (
            Verbosity::Normal,
            entered(*phase, expected.map(|span| span.to_string())),
        ),
        What::PhaseLeft { phase, outcome } => match outcome {
            Outcome::Done => (Verbosity::Verbose, format!("   ✓ {} done", phase.word())),
            Outcome::Stopped => (Verbosity::Normal, format!("   {} cut short", phase.word())),
            Outcome::Failed => (Verbosity::Quiet, format!("   ✗ {} failed", phase.word())),
        },
        What::TargetsChosen {
            alias,
            candidates,
            sum,
            chosen,
        } => {
            let alias = plain(alias);
            let mut lines: Vec<String> = chosen
                .iter()
                .map(|target| format!("   ✓ Found: {}", found(target)))
                .collect();
            for left in candidates.iter().filter(|candidate| !candidate.chosen) {
                let why = left.why.as_deref().unwrap_or("not drawn");
                if verbosity == Verbosity::Verbose || left.why.is_some() {
                    lines.push(format!("   - Left out: {}: {}", plain(&left.identity), plain(why)));
                }
            }
            lines.push(format!(
                "   ✓ Chose {} target(s) for {alias}: {}",
                chosen.len(),
                plain(sum)
            ));
            (Verbosity::Normal, lines.join("\n"))
        }
        What::Decided {
            purpose,
            identity,
            ordinal,
            chosen,
        } => (
            Verbosity::Verbose,
            format!(
                "   Drew {} for {} (draw {ordinal}): {}",
                plain(purpose),
                plain(identity),
                plain(chosen)
            ),
        ),
        What::Planned {
            injection,
            fault,
            kind,
            target,
            undo,
            change,
            start,
            duration,
        } => (
            Verbosity::Normal,
            format!(
                "   {injection} {} ({}) on {} at {start} for {}: {} [undo: {}]",
                plain(fault),
                plain(kind),
                plain(target),
                duration.map_or_else(|| "as long as the run".to_owned(), |span| span.to_string()),
                plain(change),
                undo_words(*undo)
            ),
        ),
        What::Injection {
            injection, state, how, ..
        } => {
            let (needs, mark) = match state {
                State::Residue => (Verbosity::Quiet, "✗"),
                State::Foreign => (Verbosity::Normal, "⚠"),
                State::Planned => (Verbosity::Verbose, "-"),
                State::Applied | State::Clean => (Verbosity::Normal, "✓"),
            };
            (needs, format!("   {mark} {injection} {state}: {}", plain(how)))
        }
        What::InjectionFailed { injection, problem } => (
            Verbosity::Quiet,
            format!("   ✗ {injection} failed: {}", plain(&problem.to_string())),
        ),
        What::DoseMeasured { injection, dose } => {
            let (asked, delivered) = (plain(&dose.asked), plain(&dose.delivered));
            match &dose.landed {
                Landed::Yes => {
                    let effect = dose
                        .effect
                        .as_ref()
                        .map_or_else(String::new, |effect| format!("; {}", plain(effect)));
                    (
                        Verbosity::Verbose,
                        format!("   ✓ {injection} dose: asked {asked}, delivered {delivered}{effect}"),
                    )
                }
                Landed::No(why) => (
                    Verbosity::Quiet,
                    format!(
                        "   ✗ {injection} did not land: {}; asked {asked}, delivered {delivered}",
                        plain(why)
                    ),
                ),
                Landed::Unmeasured(why) => (
                    Verbosity::Normal,
                    format!("   ? {injection} unmeasured: {}", plain(why)),
                ),
            }
        }
        What::TargetRestarted { target, times } => (
            Verbosity::Normal,
            format!(
                "   ⚠ {} restarted (by now {times} times); its faults are put on again",
                plain(target)
            ),
        ),
        What::ProbeRead {
            probe,
            moment: _,
            reading,
            violation,
            danger,
        } => {
            let (needs, mark, why) = match (danger, violation) {
                (Some(why), _) => (Verbosity::Quiet, "✗ DANGER: ", plain(why)),
                (None, Some(why)) => (Verbosity::Normal, "✗ ", plain(why)),
                (None, None) => (Verbosity::Normal, "✓", String::new()),
            };
            (
                needs,
                format!("   {} {} {} {mark}{why}", stamp(event), plain(probe), value(reading)),
            )
        }
        What::MetricRead { metric, reading } => (
            Verbosity::Verbose,
            format!("   {} {} {}", stamp(event), plain(metric), value(reading)),
        ),
        What::Judged(judgement) => {
            let word = match (judgement.passed, judgement.critical) {
                (true, _) => "✓ PASSED",
                (false, true) => "✗ FAILED (CRITICAL)",
                (false, false) => "⚠ FAILED (non-critical)",
            };
            let (probe, message) = (plain(&judgement.probe), plain(&judgement.message));
            (
                Verbosity::Normal,
                format!("   {word}: {probe} {}: {message}", judgement.moment),
            )
        }
        What::StopAsked { cause } => (
            Verbosity::Quiet,
            format!("STOP: {}; rolling back", plain(&cause.words())),
        ),
        What::Surrounded(environment) => (
            Verbosity::Verbose,
            format!("   Machine: {}", plain(&environment.words())),
        ),
        What::GuardianLost { why } => (Verbosity::Normal, format!("   {}", plain(&guardian_lost(why)))),
        What::Note { text } => (Verbosity::Normal, format!("   {}", plain(text))),
        What::Failed { problem } => (
            Verbosity::Quiet,
            format!(
                "   ✗ {}\n     next: {}",
                plain(&problem.to_string()),
                plain(&problem.next)
            ),
        ),
        What::Certified { certificate } => {
            let left = certificate.lines.iter().filter(|line| !line.state.is_over()).count();
            if left == 0 {
                (
                    Verbosity::Normal,
                    format!(
                        "   ✓ Certificate: nothing is left of {} injection(s)",
                        certificate.lines.len()
                    ),
                )
            } else {
                (
                    Verbosity::Quiet,
                    format!(
                        "   ✗ Certificate: {left} of {} injection(s) left something",
                        certificate.lines.len()
                    ),
                )
            }
        }
        What::RunEnded {
            verdict,
            why,
            hypothesis: held,
            ..
        } => (
            Verbosity::Quiet,
            format!("{}: {} (hypothesis {})", verdict.word(), plain(why), hypothesis(*held)),
        ),
    };
    (verbosity >= needs).then_some(text)
}

/// That the guardian was lost, as a person reads it.
pub(crate) fn guardian_lost(why: &str) -> String {
    format!("{why}; another one recovers from the ledger")
}

/// The heading of a phase: its number, its name, seed 0's name where that is another, and what happens in it.
fn entered(phase: Phase, expected: Option<String>) -> String {
    let number = Phase::ALL.iter().position(|one| *one == phase).unwrap_or_default() + 1;
    let name = phase.word().to_uppercase();
    let seed = match phase.seed_zero() {
        Some(seed) if seed != name => format!(" ({seed})"),
        _ => String::new(),
    };
    let does = match phase {
        Phase::Parse => "read and check the document",
        Phase::Discover => "find the targets",
        Phase::Prepare => "plan every injection with its undo",
        Phase::Baseline => "the probes must hold before anything is broken",
        Phase::Inject => "put the first faults on",
        Phase::Monitor => "measure while the faults are on",
        Phase::Detect => "judge what was measured",
        Phase::Cooldown => "the faults stay a little longer",
        Phase::Rollback => "undo everything",
        Phase::Recovery => "wait until the system is stable again",
        Phase::Report => "verdict, certificate, files",
    };
    let takes = expected.map_or_else(String::new, |span| format!(", {span}"));
    format!("{number}. {name}{seed}: {does}{takes}")
}

/// A target with what tells it from others.
fn found(target: &Target) -> String {
    let identity = plain(&target.identity);
    match target.container() {
        // As `docker ps` shows ids.
        Some(container) => format!(
            "{identity} ({})",
            plain(&container.id.chars().take(12).collect::<String>())
        ),
        None => format!("{identity} ({})", target.process()),
    }
}

pub(crate) fn undo_words(undo: UndoClass) -> &'static str {
    match undo {
        UndoClass::Exact => "exact",
        UndoClass::Restart => "by restart",
        UndoClass::None => "none",
    }
}

fn stamp(event: &Event) -> String {
    format!("[{}]", duration::seconds(event.elapsed_ms))
}

/// `value=1`, `values=1,2,3 and 4 more`, `no data`, `error: …`.
pub(crate) fn value(reading: &Reading) -> String {
    /// So many series are shown.
    const SHOWN: usize = 8;
    if let Some(error) = &reading.error {
        return format!("error: {}", plain(error));
    }
    let text = match reading.values.as_slice() {
        [] => return "no data".to_owned(),
        [value] => format!("value={value}"),
        values => {
            let shown: Vec<String> = values.iter().take(SHOWN).map(ToString::to_string).collect();
            let more = match values.len().saturating_sub(SHOWN) {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            format!("values={}{more}", shown.join(","))
        }
    };
    match (reading.stale, reading.age) {
        (true, Some(age)) => format!("{text} (stale, {age} old)"),
        (true, None) => format!("{text} (stale)"),
        (false, _) => text,
    }
}
