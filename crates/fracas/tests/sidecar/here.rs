//! `--sidecar always` on the engine of this machine.

use fracas_core::record::State;

use crate::support::{Bench, Blow, Document, LIMIT, Run, Target, go_on, memory_limit, read, signal, soon};
use crate::{Far, left, over};

const ALWAYS: [(&str, &str); 1] = [("FRACAS_SIDECAR", "always")];

#[test]
fn a_run_puts_its_faults_on_takes_them_off_and_leaves_nothing_of_its_sidecar() {
    let Some(mut target) = Target::container("no") else {
        return;
    };
    let bench = Bench::new();
    let before = target.look();
    let limit = target.memory_limit();
    let id = target.selector.clone();
    // The sidecar matches, too, and is protected.
    target.selector = format!(
        "container: {{ name: \"fracas-sidecar|{}\" }}",
        target.container_do(async |container| container.name().to_owned())
    );
    let document = Document {
        target: &target,
        inject: "memory_limit: { limit: 64MiB }",
        irreversible: false,
        on: "",
        duration: "1500ms",
    };
    let more = "faults:\n  - { name: pause, target: it, inject: { process_pause: {} } }\n  \
                - { name: cpu, target: it, inject: { cpu_limit: { percent: 50% } } }\n  \
                - { name: load, target: it, inject: { memory_stress: { size: 8MiB } } }\n";
    let mut run = bench.run_with(
        &document.text().replace("faults:\n", more),
        &["--sidecar", "always", "--format", "json"],
    );
    soon(LIMIT, "the limit is on", || {
        assert!(!run.process().has_ended().unwrap(), "it ended: {}", run.err());
        (read(&limit)? == (64 << 20).to_string()).then_some(())
    });
    assert_eq!(left(), ["container", "image", "volume"]);
    let said = run.wait(LIMIT);
    assert_eq!(said.code, 0, "{said:?}");
    // At its end: nothing has to be waited for.
    assert_eq!(left(), [""; 0]);
    assert_eq!(target.look(), before);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let certified = report["certificate"]["lines"].as_array().unwrap();
    assert!(
        certified.len() == 4 && certified.iter().all(|line| line["state"] == "clean"),
        "{certified:?}"
    );
    let candidates = &report["targets"]["it"]["candidates"].to_string();
    assert!(candidates.contains("protected: the sidecar of a run"), "{candidates}");
    // The ledger was there, not here.
    assert_eq!(bench.fracas(&["status"]).code, 0);
    target.selector = id;
    bench.finish();
}

/// A runner that is stopped is to its sidecar as one behind a network that is gone: it is not heard. When it is back it learns that
/// everything was undone, and does nothing any more.
#[test]
fn a_runner_that_is_cut_off_finds_everything_undone() {
    const STOP: i32 = 19;
    let Some(target) = Target::container("no") else { return };
    let bench = Bench::new();
    let before = target.look();
    let mut far = Far::start(&bench, &target, &ALWAYS);
    signal(far.run.process(), STOP);
    over(&target, &before);
    go_on(far.run.process());
    let said = far.run.wait(LIMIT);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("nothing is left of 1 injection"), "{said:?}");
    bench.finish();
}

#[test]
fn what_runner_and_sidecar_left_is_said_and_recovered_by_another_sidecar() {
    let Some(target) = Target::container("no") else { return };
    let bench = Bench::new();
    let before = target.look();
    let far = Far::start(&bench, &target, &ALWAYS);
    Blow::Both.strike(&far.run, &far.guardian, None);
    drop(far);
    let limit = target.memory_limit();
    let ours = (64 << 20).to_string();
    assert_eq!(read(&limit).as_ref(), Some(&ours), "nobody is there to undo it");
    assert_eq!(left(), ["container", "image", "volume"]);
    let doctor = bench.fracas(&["doctor"]);
    assert!(
        doctor.out.contains("its sidecar was killed") && doctor.out.contains("fracas recover"),
        "{doctor:?}"
    );
    let file = bench.place().join("far.yaml").display().to_string();
    let refused = Run::with(&bench, &["run", &file, "--yes"], &ALWAYS).end();
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("G005"), "{refused:?}");
    assert_eq!(
        read(&limit).as_ref(),
        Some(&ours),
        "a run that was refused touches nothing"
    );
    let recovered = bench.fracas(&["recover"]);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    assert!(
        recovered.out.contains("clean") && recovered.out.contains("restored"),
        "{recovered:?}"
    );
    assert_eq!(target.look(), before);
    assert_eq!(left(), [""; 0]);
    let again = bench.fracas(&["recover"]);
    assert_eq!((again.code, again.out.as_str()), (0, "nothing to recover"), "{again:?}");
    bench.finish();
}

/// Both make an image and a volume of their own, and one of them gets the name.
#[test]
fn of_two_runs_that_begin_at_once_one_has_the_sidecar_and_neither_touches_what_is_the_others() {
    let (Some(one), Some(other)) = (Target::container("no"), Target::container("no")) else {
        return;
    };
    let before = [one.look(), other.look()];
    let bench = Bench::new();
    let mut runs: Vec<Run> = [("one.yaml", &one), ("other.yaml", &other)]
        .into_iter()
        .map(|(name, target)| {
            let document = Document {
                target,
                inject: "memory_limit: { limit: 64MiB }",
                irreversible: false,
                on: "",
                duration: "1500ms",
            };
            let file = bench.place().join(name);
            std::fs::write(&file, document.text()).unwrap();
            Run::start(&bench, &file, &["--sidecar", "always", "--format", "json"])
        })
        .collect();
    let said: Vec<_> = runs.iter_mut().map(|run| run.wait(LIMIT)).collect();
    for said in &said {
        match said.code {
            0 => {
                let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
                assert_eq!(report["certificate"]["lines"][0]["state"], "clean", "{said:?}");
            }
            2 => assert!(said.err.contains("sidecar at"), "{said:?}"),
            _ => panic!("{said:?}"),
        }
    }
    assert!(said.iter().any(|said| said.code == 0), "{said:?}");
    assert_eq!(left(), [""; 0]);
    assert_eq!([one.look(), other.look()], before);
    bench.finish();
}

/// It is nobody's sidecar, whatever it is called.
#[test]
fn a_container_of_somebody_elses_with_the_name_stays() {
    let Some(target) = Target::container("no") else { return };
    let bench = Bench::new();
    let stranger = target.container_do(async |container| {
        fracas_lab::TestContainer::build(container.engine())
            .name("fracas-sidecar")
            .mode(["sleep"])
            .start()
            .await
            .unwrap()
    });
    let file = bench.place().join("far.yaml");
    std::fs::write(&file, memory_limit(&target)).unwrap();
    let words = ["run", &file.display().to_string(), "--yes"];
    let refused = Run::with(&bench, &words, &ALWAYS).end();
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("not of Fracas"), "{refused:?}");
    let recover = Run::with(&bench, &["recover"], &ALWAYS).end();
    assert_eq!(
        (recover.code, recover.out.trim()),
        (0, "nothing to recover"),
        "{recover:?}"
    );
    assert_eq!(left(), ["container"]);
    drop(stranger);
    bench.finish();
}

/// Nothing is touched for what only this machine could do.
#[test]
fn what_a_sidecar_cannot_do_is_refused_before_there_is_one() {
    let Some(target) = Target::container("no") else { return };
    let bench = Bench::new();
    let script = Document {
        target: &target,
        inject: "script: { apply: [/bin/true], revert: [/bin/true], measure: [/bin/true], check: [/bin/true] }",
        irreversible: false,
        on: "",
        duration: "1s",
    };
    let refused = bench.run_with(&script.text(), &["--sidecar", "always"]).end();
    assert!(
        refused.err.contains("D009") && refused.err.contains("a program of this machine"),
        "{refused:?}"
    );
    assert_eq!(left(), [""; 0]);
    bench.finish();
}

#[test]
fn an_engine_out_of_reach_keeps_nothing_on_this_machine_from_being_recovered() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let run = bench.run(&memory_limit(&target));
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    Blow::Both.strike(&run, &guardian, None);
    drop(run);
    // Nobody listens on that port (RFC 1078, long given up).
    let nobody = [("DOCKER_HOST", "tcp://127.0.0.1:1")];
    let recovered = Run::with(&bench, &["recover"], &nobody).end();
    assert_eq!(recovered.code, 2, "{recovered:?}");
    assert!(
        recovered.out.contains("restored") && recovered.err.contains("X001"),
        "{recovered:?}"
    );
    assert_eq!(target.look(), before);
    bench.finish();
}
