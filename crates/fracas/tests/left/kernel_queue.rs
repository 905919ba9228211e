//! The kernel queue goes with no process: what runner and guardian left of it is taken away by what the ledger says.

use std::fmt::Write as _;

use fracas_core::record::State;
use fracas_faults::impairment;
use fracas_linux::namespace::NetNamespace;

use crate::support::{Bench, Blow, LIMIT, Made, Target, certificate, of, soon};

/// What is put on, each on a target of its own.
const FAULTS: [&str; 3] = [
    "delay: { mean: 100ms, mechanism: kernel_queue }",
    "loss: { percent: 60%, direction: ingress, mechanism: kernel_queue }",
    "rate: { rate: 1mbit, mechanism: kernel_queue }",
];

#[test]
fn a_kernel_queue_that_both_left_is_recovered() {
    let targets: Option<Vec<_>> = FAULTS.iter().map(|_| Target::node()).collect();
    let Some(targets) = targets else { return };
    let bench = Bench::new();
    let document = document(&targets);
    if let Some(lacking) = impairment::no_kernel_queue().unwrap() {
        assert!(
            std::env::var_os("FRACAS_TEST_VM").is_none(),
            "the machine for tests: {lacking}"
        );
        let refused = bench.run(&document).end();
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(
            refused.err.contains("F001") && refused.err.contains(&lacking),
            "{refused:?}"
        );
        println!("refused: {lacking}; that of `cargo xtask vm` has it");
        return bench.finish();
    }
    let before: Vec<_> = targets.iter().map(look).collect();
    let run = bench.run(&document);
    let (directory, guardian) = run.begun();
    soon(LIMIT, "every fault is on", || {
        let entries = of(&directory)?.entries;
        let on = entries.values().filter(|entry| entry.state == State::Applied).count();
        assert!(!run.process().has_ended().unwrap(), "fracas ended: {}", run.err());
        (on == FAULTS.len()).then_some(())
    });
    Blow::Both.strike(&run, &guardian, None);
    drop(run);
    for (target, before) in targets.iter().zip(&before) {
        let now = look(target);
        assert_ne!(now, *before);
        assert!(
            now.contains("netem") && now.contains("mirred"),
            "nobody is there to undo it: {now}"
        );
    }
    let status = bench.fracas(&["status"]);
    assert_eq!(status.code, 4, "{status:?}");

    let recovered = bench.fracas(&["recover"]);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    let restored = recovered.out.lines().filter(|line| line.contains("restored")).count();
    assert_eq!(restored, FAULTS.len(), "{recovered:?}");
    let after: Vec<_> = targets.iter().map(look).collect();
    assert_eq!(after, before, "{recovered:?}");
    assert!(certificate(&directory).expect("there is a certificate").is_clean());
    let again = bench.fracas(&["recover"]);
    assert_eq!((again.code, again.out.as_str()), (0, "nothing to recover"), "{again:?}");
    assert_eq!(bench.fracas(&["status"]).code, 0);
    bench.finish();
}

/// One run of all of them.
fn document(targets: &[Target]) -> String {
    let (mut aliases, mut faults) = (String::new(), String::new());
    for (number, (target, inject)) in targets.iter().zip(FAULTS).enumerate() {
        writeln!(aliases, "  - {{ alias: t{number}, {} }}", target.selector).unwrap();
        writeln!(
            faults,
            "  - {{ name: f{number}, target: t{number}, inject: {{ {inject} }} }}"
        )
        .unwrap();
    }
    format!(
        "apiVersion: fracas.dev/v1\n\
         kind: Experiment\n\
         metadata: {{ name: both }}\n\
         hypothesis: {{ interval: 1s, warmup: 0s, recovery: {{ within: 1s, stable_for: 0s }} }}\n\
         targets:\n{aliases}\
         faults:\n{faults}\
         duration: 5m\n"
    )
}

/// The target with its links, queues and filters, as others' programs tell them.
#[expect(clippy::disallowed_methods, reason = "Fracas is not asked")]
fn look(target: &Target) -> String {
    let Made::Node(process, ..) = &target.made else {
        panic!("the target has no network of its own");
    };
    let there = NetNamespace::of(process.identity()).unwrap().expect("it runs");
    let mut text = target.look();
    for words in [
        &["ip", "-j", "link", "show"][..],
        &["tc", "-j", "qdisc", "show"],
        &["tc", "-j", "filter", "show", "dev", "eth0", "ingress"],
        &["tc", "-j", "filter", "show", "dev", "eth0", "egress"],
    ] {
        let said = there
            .within(|| std::process::Command::new(words[0]).args(&words[1..]).output())
            .unwrap();
        assert!(said.status.success(), "{words:?}: {said:?}");
        text.push_str(&String::from_utf8_lossy(&said.stdout));
    }
    text
}
