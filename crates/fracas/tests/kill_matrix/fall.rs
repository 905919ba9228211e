//! One blow, and how long it took until everything was as before.

use std::path::Path;
use std::time::{Duration, Instant};

use fracas_core::record::State;

use crate::cases::Case;
use crate::support::{Bench, Blow, LIMIT, Run, Target, Trap, certificate, first, of};

/// From the death of the runner to everything as before, without what the engine takes.
const BOUND: Duration = Duration::from_secs(1);
/// A runner that is stopped lives on until it was unheard for 0.6 s, looked at every 50 ms.
const UNHEARD: Duration = Duration::from_millis(650);

/// What the programs of `script` may take beyond that. They are the user's: four are started one after the other, and before each undo
/// every process of the machine is asked for its environment, which waits for whoever holds that process's memory (a page fault in a
/// full control group, as that of a runner that is about to be killed).
const PROGRAMS: Duration = Duration::from_secs(2);

/// Between two looks, in which hardly anything passes.
const LOOK: Duration = Duration::from_millis(2);

/// When a blow falls.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    /// As soon as the ledger shows this state.
    At(State),
    /// So long after the first injection was planned.
    After(Duration),
}

/// A blow that fell.
#[derive(Debug, Clone)]
pub(crate) struct Fall {
    pub(crate) fault: &'static str,
    pub(crate) blow: Blow,
    /// The state that the ledger showed at the moment.
    pub(crate) at: State,
    /// From the death of the runner (of a stopped one: from the stop; of both: from the recovery) until the system was as before.
    pub(crate) clean: Duration,
    /// Until that was proven: the guardian has certified and gone.
    pub(crate) proven: Duration,
    /// What of it was spent waiting for the engine.
    pub(crate) engine: Duration,
}

impl std::fmt::Display for Fall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "struck {} at {} of {}, clean after {} ms, proven after {} ms (engine {} ms)",
            self.blow.name(),
            self.at,
            self.fault,
            self.clean.as_millis(),
            self.proven.as_millis(),
            self.engine.as_millis()
        )
    }
}

impl Fall {
    /// What it may take, beyond the engine.
    pub(crate) fn bound(&self) -> Duration {
        let programs = if self.fault == "script" {
            PROGRAMS
        } else {
            Duration::ZERO
        };
        match self.blow {
            Blow::Stop => UNHEARD + BOUND + programs,
            Blow::Kill | Blow::Oom | Blow::Both => BOUND + programs,
        }
    }
}

/// A case with its target.
pub(crate) struct Scene<'a> {
    case: &'a Case,
    target: Target,
    /// What the target looks like without any fault.
    before: String,
}

impl<'a> Scene<'a> {
    /// Makes the target. `None`, with a printed skip, where there can be none.
    pub(crate) fn new(case: &'a Case) -> Option<Self> {
        let target = case.target()?;
        let before = target.look();
        Some(Self { case, target, before })
    }

    /// Strikes a run on it.
    pub(crate) fn strike(&mut self, blow: Blow, when: When) -> Fall {
        let fall = strike(self.case, &self.target, &self.before, blow, when);
        if self.case.wears_out()
            && let Some(fresh) = Self::new(self.case)
        {
            *self = fresh;
        }
        fall
    }
}

/// Runs a fault, strikes, waits and looks.
fn strike(case: &Case, target: &Target, before: &str, blow: Blow, when: When) -> Fall {
    let bench = Bench::another();
    let on = match when {
        When::At(State::Clean) => "200ms",
        When::At(_) => "",
        When::After(_) => "300ms",
    };
    let trap = (blow == Blow::Oom).then(|| Trap::set().unwrap().expect("groups can be made"));
    let run = bench.run(&case.document(target, on));
    if let Some(trap) = &trap {
        trap.take(&run);
    }
    let (directory, guardian) = run.begun();
    match when {
        When::At(state) => drop(run.until(&directory, state)),
        When::After(delay) => {
            let planned = run.until(&directory, State::Planned);
            while planned.elapsed() < delay {
                std::thread::park_timeout(delay.saturating_sub(planned.elapsed()));
            }
        }
    }
    let mut at = first(&directory).expect("it was planned");
    let struck = Instant::now();
    blow.strike(&run, &guardian, trap.as_ref());
    let (began, proof) = match blow {
        Blow::Kill | Blow::Stop => (struck, None),
        Blow::Oom => {
            // What the kernel's killer takes its time for is not ours, and meanwhile the run goes on: what counts is where it dies.
            while !run.process().has_ended().unwrap() {
                at = first(&directory).expect("it was planned");
                assert!(struck.elapsed() < LIMIT, "the kernel does not kill the runner");
                std::thread::park_timeout(LOOK);
            }
            (Instant::now(), None)
        }
        Blow::Both => {
            // Until the runner stood still the run went on: what counts is where both died.
            at = first(&directory).expect("it was planned");
            let recovery = Run::words(&bench, &["recover"]);
            (Instant::now(), Some(recovery))
        }
    };
    let undoer = proof.as_ref().map_or(&guardian, Run::process);
    // The last look that found it otherwise ends the time in which it was not clean.
    let mut clean = Duration::ZERO;
    let proven = loop {
        let as_before = target.look() == before;
        // The look itself takes a while, and what it shows is as old as its beginning.
        let now = began.elapsed();
        if undoer.has_ended().unwrap() {
            break now;
        }
        if !as_before {
            clean = now;
        }
        assert!(
            now < LIMIT,
            "{} of {} at {at}: nobody undoes it",
            blow.name(),
            case.fault
        );
        std::thread::park_timeout(LOOK);
    };
    let what = format!("{} at {at} of {}", blow.name(), case.fault);
    let recovered = proof.map(|mut recovery| recovery.wait(LIMIT));
    let words = format!("{}; the recovery said {recovered:?}", run.err());
    assert_as_before(target, before, &what, &words);
    let mut engine = engine_time(&directory, &what, at);
    if case.wears_out() {
        // There is no way back of ours: until the target is as before, its engine's restart policy takes its time.
        engine = engine.max(clean);
    }
    if let Some(said) = recovered {
        assert_eq!(said.code, 0, "{what}: {said:?}");
        let again = bench.fracas(&["recover"]);
        assert_eq!((again.code, again.out.as_str()), (0, "nothing to recover"), "{what}");
    }
    assert_eq!(bench.fracas(&["status"]).code, 0, "{what}: nothing is left");
    Fall {
        fault: case.fault,
        blow,
        at,
        clean,
        proven,
        engine,
    }
}

#[track_caller]
fn assert_as_before(target: &Target, before: &str, what: &str, words: &str) {
    // The engine shows what the kernel has done a moment later; a restart policy waits before it starts a container.
    let began = Instant::now();
    let mut now = target.look();
    while now != before && began.elapsed() < Duration::from_secs(5) {
        std::thread::park_timeout(Duration::from_millis(10));
        now = target.look();
    }
    assert_eq!(
        now, before,
        "{what}: the target is not as before; the runner said {words}"
    );
}

/// Checks the certificate. Gives what the engine took.
#[track_caller]
fn engine_time(directory: &Path, what: &str, at: State) -> Duration {
    let certificate = certificate(directory);
    if certificate.is_none() {
        // Runner and guardian died when everything was over: there was nothing to recover, and so nothing to certify.
        let contents = of(directory).expect("the ledger can be read");
        assert!(
            at.is_over() && contents.open().next().is_none(),
            "{what}: no certificate"
        );
        return Duration::ZERO;
    }
    let certificate = certificate.unwrap_or_default();
    assert!(certificate.is_clean(), "{what}: {certificate:?}");
    // A call that was cut off is waited for, until the engine cannot carry it out any more: that is no slowness of ours.
    let engine = certificate.lines.iter().map(|line| {
        if line.seen.contains("a call that was cut off") {
            line.millis
        } else {
            line.engine_millis
        }
    });
    Duration::from_millis(engine.max().unwrap_or(0))
}
