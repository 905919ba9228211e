//! The clock of the whole machine is set and put right again, in every way in which a run can end. Only where nobody else lives by that
//! clock: in the machine of `cargo xtask vm`.

use std::path::Path;

use fracas_core::record::{Certificate, State};
use fracas_lab::TestProcess;
use fracas_linux::clock;
use fracas_linux::process::Process;

use crate::LIMIT;
use crate::support::{Bench, Blow, Run, certificate, soon};

const SECOND: i64 = 1_000_000_000;
/// What is asked for.
const HOUR: i64 = 3600 * SECOND;

/// How far the clock was ahead of the time since boot when the test began.
struct Lead(i64);

impl Lead {
    /// The clock is so many hours later than at the beginning.
    #[track_caller]
    fn is(&self, hours: i64, when: &str) {
        let later = clock::lead() - self.0;
        assert!(
            (later - hours * HOUR).abs() < 2 * SECOND,
            "{when}: the clock is {later} ns later than it was"
        );
        println!("host clock {when}: {:+.3} s", later as f64 / 1e9);
    }
}

pub(crate) fn check() {
    let bench = Bench::new();
    let target = TestProcess::run(["sleep"]).unwrap();
    let file = bench.place().join("pid");
    std::fs::write(&file, target.pid().to_string()).unwrap();
    let document = |duration: &str| {
        format!(
            "apiVersion: fracas.dev/v1\n\
             kind: Experiment\n\
             metadata: {{ name: host-clock }}\n\
             hypothesis: {{ interval: 1s, warmup: 0s, recovery: {{ within: 1s, stable_for: 0s }} }}\n\
             targets:\n  - {{ alias: it, process: {{ pid_file: {} }} }}\n\
             faults:\n  - {{ name: skew, target: it, inject: {{ clock_skew: {{ offset: +1h, allow_host_clock: true }} }} }}\n\
             duration: {duration}\n",
            file.display()
        )
    };
    let on = || {
        let run = bench.run(&document("10m"));
        let (directory, guardian) = run.begun();
        run.until(&directory, State::Applied);
        (run, directory, guardian)
    };
    let lead = Lead(clock::lead());

    let mut whole = bench.run(&document("1s"));
    let said = whole.wait(LIMIT);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("+3600.0 s for everybody"), "{said:?}");
    lead.is(0, "after a whole run");

    let (run, directory, guardian) = on();
    lead.is(1, "while it is on");
    Blow::Kill.strike(&run, &guardian, None);
    assert!(proven(&directory, run, &guardian).is_clean());
    lead.is(0, "after kill -9 of the runner");

    let (run, directory, guardian) = on();
    Blow::Both.strike(&run, &guardian, None);
    drop(run);
    lead.is(1, "after kill -9 of both");
    let recovered = bench.fracas(&["recover"]);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    assert!(certificate(&directory).unwrap().is_clean());
    lead.is(0, "after `fracas recover`");

    let (run, directory, guardian) = on();
    clock::step(HOUR / 1000).unwrap();
    Blow::Kill.strike(&run, &guardian, None);
    let found = proven(&directory, run, &guardian);
    assert!(format!("{found:?}").contains("+7200.0 s"), "{found:?}");
    lead.is(2, "after a stranger has set it: what they set stays");
    clock::step(-2 * HOUR / 1000).unwrap();

    // Somebody has put it right: there is nothing to undo, and it is not set twice.
    let (run, directory, guardian) = on();
    clock::step(-HOUR / 1000).unwrap();
    Blow::Kill.strike(&run, &guardian, None);
    assert!(proven(&directory, run, &guardian).is_clean());
    lead.is(0, "after a stranger has put it right");
    bench.finish();
}

/// The certificate that the guardian writes when its runner is gone.
fn proven(directory: &Path, run: Run, guardian: &Process) -> Certificate {
    drop(run);
    assert!(guardian.wait(LIMIT).unwrap(), "the guardian has not ended");
    soon(LIMIT, "there is a certificate", || certificate(directory))
}
