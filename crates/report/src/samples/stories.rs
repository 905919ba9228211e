//! How runs went.

use super::*;

/// The hypothesis held.
pub(crate) fn passed() -> Vec<Event> {
    whole(Format::Native)
}

/// The same from a scenario of seed 0.
pub(crate) fn passed_scenario() -> Vec<Event> {
    whole(Format::ChaosScenario)
}

fn whole(format: Format) -> Vec<Event> {
    let mut story = Story::begin(format, false);
    story.at(
        1,
        What::Surrounded(Environment {
            host: Some("build-7".into()),
            kernel: Some("6.1.0-18-amd64".into()),
            architecture: "x86_64".into(),
            engine: Some("20.10.24 (API 1.41, control groups v2)".into()),
        }),
    );
    story.planned().baseline().inject();
    story.phase(
        30_100,
        90_100,
        Phase::Monitor,
        Some(60),
        &[
            (45_000, read(Moment::During, 0.1)),
            (45_001, up()),
            (60_000, read(Moment::During, 0.15)),
            (75_000, read(Moment::During, 0.12)),
        ],
    );
    let aside = What::Judged(Judgement {
        probe: "queue".into(),
        moment: Moment::During,
        passed: false,
        critical: false,
        value: None,
        message: "no data".into(),
    });
    story.phase(
        90_100,
        90_200,
        Phase::Detect,
        None,
        &[(90_150, judged(Moment::During, true, 0.15)), (90_151, aside)],
    );
    story.rollback(90_200, State::Clean);
    story.phase(
        90_250,
        105_250,
        Phase::Recovery,
        Some(60),
        &[(105_000, read(Moment::After, 0.05)), (105_001, up())],
    );
    story.at(
        105_260,
        What::Note {
            text: "1 of 3 candidates was left alone".into(),
        },
    );
    story.end(
        105_300,
        certificate(State::Clean),
        Verdict::Passed,
        "every expectation held",
        Hypothesis::Maintained,
    )
}

/// An expectation did not hold.
pub(crate) fn failed() -> Vec<Event> {
    let mut story = Story::begin(Format::ChaosScenario, false);
    story.planned().baseline().inject();
    story.phase(
        30_100,
        90_100,
        Phase::Monitor,
        Some(60),
        &[(45_000, read(Moment::During, 0.3))],
    );
    story.phase(
        90_100,
        90_200,
        Phase::Detect,
        None,
        &[(90_150, judged(Moment::During, false, 0.3))],
    );
    story.rollback(90_200, State::Clean);
    let why = "p99 during: value 0.3 fails threshold < 0.2";
    story.end(
        90_300,
        certificate(State::Clean),
        Verdict::Failed,
        why,
        Hypothesis::Violated,
    )
}

/// Danger: stopped, undone 90 ms after the breach.
pub(crate) fn aborted() -> Vec<Event> {
    let mut story = Story::begin(Format::Native, false);
    story.planned().baseline().inject();
    story.at(
        30_100,
        What::PhaseEntered {
            phase: Phase::Monitor,
            expected: Some(Span::secs(60)),
        },
    );
    story.at(45_000, read(Moment::During, 1.5));
    let cause = StopCause::Abort {
        probe: "p99".into(),
        why: "value 1.5 crosses abort threshold > 1".into(),
    };
    story.at(45_010, What::StopAsked { cause });
    story.at(
        45_020,
        What::StopAsked {
            cause: StopCause::Signal("SIGINT".into()),
        },
    );
    story.at(
        45_030,
        What::PhaseLeft {
            phase: Phase::Monitor,
            outcome: Outcome::Stopped,
        },
    );
    story.rollback(45_050, State::Clean);
    let why = "abort: p99: value 1.5 crosses abort threshold > 1";
    story.end(
        45_200,
        certificate(State::Clean),
        Verdict::Aborted,
        why,
        Hypothesis::Violated,
    )
}

/// One limit could not be restored.
pub(crate) fn residue() -> Vec<Event> {
    let mut story = Story::begin(Format::ChaosScenario, false);
    story.planned().baseline().inject();
    story.phase(
        30_100,
        90_100,
        Phase::Monitor,
        Some(60),
        &[(45_000, read(Moment::During, 0.1))],
    );
    story.rollback(90_200, State::Residue);
    let problem = Problem::new(
        &codes::FAULT_REVERT,
        "the memory limit of payments-1 could not be restored",
    )
    .since("EBUSY");
    let injection = InjectionId(0);
    story.at(
        90_245,
        What::InjectionFailed {
            injection,
            problem: Said::from(&*problem),
        },
    );
    story.at(
        90_248,
        What::Failed {
            problem: Said::from(&*Problem::new(&codes::RESIDUE, "1 of 2 injections left something")),
        },
    );
    story.end(
        90_300,
        certificate(State::Residue),
        Verdict::Residue,
        "1 of 2 injections left something",
        Hypothesis::Maintained,
    )
}

/// A fault did not land.
pub(crate) fn inconclusive() -> Vec<Event> {
    let mut story = Story::begin(Format::Native, false);
    story.planned().baseline().inject();
    let missed = dose(1, Landed::No("the limit that is in force is 1GiB".into()));
    let unmeasured = dose(0, Landed::Unmeasured("the meter's file is gone".into()));
    story.phase(
        30_100,
        90_100,
        Phase::Monitor,
        Some(60),
        &[(45_000, missed), (45_001, unmeasured)],
    );
    story.rollback(90_200, State::Foreign);
    let why = "1 of 2 faults did not land";
    story.end(
        90_300,
        certificate(State::Foreign),
        Verdict::Inconclusive,
        why,
        Hypothesis::Maintained,
    )
}

/// Everything but the faults.
pub(crate) fn dry_run() -> Vec<Event> {
    let mut story = Story::begin(Format::Native, true);
    story.planned();
    let why = "dry run: everything is ready";
    story.end(
        70,
        Certificate::default(),
        Verdict::Passed,
        why,
        Hypothesis::NotEvaluated,
    )
}

/// A target restarted while the fault was on it.
pub(crate) fn restart() -> Vec<Event> {
    let mut story = Story::begin(Format::Native, false);
    story.planned().baseline().inject();
    let target = "payments-2".to_owned();
    story.phase(
        30_100,
        90_100,
        Phase::Monitor,
        Some(60),
        &[
            (40_000, What::TargetRestarted { target, times: 1 }),
            (40_050, moved(1, State::Applied, "put on again after a restart")),
            (40_060, dose(1, Landed::Yes)),
            (45_000, read(Moment::During, f64::INFINITY)),
        ],
    );
    story.phase(
        90_100,
        90_200,
        Phase::Detect,
        None,
        &[(90_150, judged(Moment::During, true, 0.1))],
    );
    story.rollback(90_200, State::Clean);
    story.end(
        90_300,
        certificate(State::Clean),
        Verdict::Passed,
        "every expectation held",
        Hypothesis::Maintained,
    )
}

/// All of them, by name.
pub(crate) fn all() -> [(&'static str, Vec<Event>); 8] {
    [
        ("passed", passed()),
        ("passed_scenario", passed_scenario()),
        ("failed", failed()),
        ("aborted", aborted()),
        ("residue", residue()),
        ("inconclusive", inconclusive()),
        ("dry_run", dry_run()),
        ("restart", restart()),
    ]
}

/// A run with so many probes, read every five seconds, so often before, during and after the faults. Values are between 0 and 1;
/// those of `p1` are larger by `shift` during the faults.
pub(crate) fn measured(probes: u64, readings: [u64; 3], shift: f64) -> Vec<Event> {
    let mut story = Story::begin(Format::Native, false);
    if let What::RunStarted { experiment, .. } = &mut story.0[0].what {
        experiment.probes = (0..probes)
            .map(|n| probe(&format!("p{n}"), Some("< 0.9"), Some("> 3"), true))
            .collect();
    }
    story.planned();
    let [before, during, after] = readings;
    let on = 60 + before * 5000;
    let off = on + during * 5000;
    let state = |n, state| moved(n, state, "seen");
    let moments = [
        (60, before, Moment::Before, Phase::Baseline),
        (on, during, Moment::During, Phase::Monitor),
        (off, after, Moment::After, Phase::Recovery),
    ];
    for (from, count, moment, phase) in moments {
        let mut inside = Vec::new();
        match moment {
            Moment::Before => {}
            Moment::During => inside.extend((0..2).map(|n| (from, state(n, State::Applied)))),
            Moment::After => inside.extend((0..2).map(|n| (from, state(n, State::Clean)))),
        }
        for n in 0..count {
            for p in 0..probes {
                let at = from + n * 5000 + 1000;
                let name = format!("p{p}");
                let shift = if p == 1 && moment == Moment::During { shift } else { 0.0 };
                let reading = Reading::of(Seed(1).draw("value", &name, at).uniform() + shift);
                inside.push((
                    at,
                    What::ProbeRead {
                        probe: name,
                        moment: Some(moment),
                        violation: reading.violates("< 0.9".parse().unwrap()),
                        danger: None,
                        reading,
                    },
                ));
            }
        }
        story.phase(from, from + count * 5000, phase, None, &inside);
    }
    story.end(
        off + after * 5000 + 10,
        certificate(State::Clean),
        Verdict::Passed,
        "every expectation held",
        Hypothesis::Maintained,
    )
}
