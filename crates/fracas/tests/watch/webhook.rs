//! The webhook hears of an abort and of what is left, from whoever is there to tell it.

use fracas_core::record::State;
use serde_json::Value;

use crate::receiver::{Answer, Receiver};
use crate::run;
use crate::support::{Bench, Blow, Document, LIMIT, Target, memory_limit, signal, soon};

const INTERRUPT: i32 = 2;

/// What was told so far.
fn told(receiver: &Receiver) -> Vec<Value> {
    let requests = receiver.requests();
    requests
        .iter()
        .map(|request| {
            assert_eq!(request.header("content-type"), Some("application/json"));
            serde_json::from_slice(&request.body).unwrap()
        })
        .collect()
}

/// A fault that cannot be taken off: its program says so.
fn stubborn(target: &Target) -> String {
    Document {
        target,
        inject: "script: { apply: [/bin/true], revert: [/bin/false], measure: [/bin/true] }",
        irreversible: false,
        on: "",
        duration: "60s",
    }
    .text()
}

#[test]
fn an_abort_is_told_once_with_its_reason() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let receiver = Receiver::start();
    let url = format!("{}/hooks/secret?token=secret", receiver.url());
    let mut run = run(&bench, &memory_limit(&target), &["--webhook", &url]);
    let (directory, _guardian) = run.begun();
    run.until(&directory, State::Applied);
    signal(run.process(), INTERRUPT);
    let said = run.wait(LIMIT);
    assert_eq!(said.code, 3, "{said:?}");
    let told = told(&receiver);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(receiver.requests()[0].line, "POST /hooks/secret?token=secret HTTP/1.1");
    assert_eq!(told[0]["event"], "aborted");
    assert_eq!(told[0]["verdict"], "ABORTED");
    assert_eq!(told[0]["told_by"], "runner");
    assert_eq!(told[0]["experiment"], "kill");
    assert_eq!(told[0]["run"], directory.file_name().unwrap().to_str().unwrap());
    assert!(told[0]["reason"].as_str().unwrap().contains("SIGINT"), "{told:#?}");
    assert_eq!(told[0]["residue"], serde_json::json!([]));
    assert!(!said.err.contains("secret"), "{}", said.err);
    bench.finish();
}

#[test]
fn a_run_that_passes_tells_nobody_and_a_server_that_refuses_is_a_warning() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let receiver = Receiver::answering([Answer::Say(404, Vec::new())]);
    let url = format!("{}/secret", receiver.url());
    let document = memory_limit(&target).replace("60s", "1s");
    let said = run(&bench, &document, &["--webhook", &url]).end();
    assert_eq!((said.code, receiver.requests().len()), (0, 0), "{said:?}");
    let mut run = run(&bench, &memory_limit(&target), &["--webhook", &url]);
    let (directory, _guardian) = run.begun();
    run.until(&directory, State::Applied);
    signal(run.process(), INTERRUPT);
    let said = run.wait(LIMIT);
    assert_eq!((said.code, receiver.requests().len()), (3, 1), "{said:?}");
    assert!(said.err.contains("N001") && said.err.contains("404"), "{}", said.err);
    assert!(!said.err.contains("secret"), "{}", said.err);
    bench.finish();
}

#[test]
fn residue_is_told_with_what_is_left() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let receiver = Receiver::start();
    let document = stubborn(&target).replace("60s", "1s");
    let said = run(&bench, &document, &["--webhook", &receiver.url()]).end();
    assert_eq!(said.code, 4, "{said:?}");
    let told = told(&receiver);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(
        (&told[0]["event"], &told[0]["verdict"]),
        (&"residue".into(), &"RESIDUE".into())
    );
    assert_eq!(told[0]["residue"][0]["fault"], "script");
    assert_ne!(told[0]["residue"][0]["manual"], serde_json::json!([]), "{told:#?}");
    bench.finish();
}

#[test]
fn what_a_dead_runner_left_is_told_by_the_guardian_and_again_by_recover() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let receiver = Receiver::start();
    let run = run(&bench, &stubborn(&target), &["--webhook", &receiver.url()]);
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    Blow::Kill.strike(&run, &guardian, None);
    let first = soon(LIMIT, "the guardian tells", || told(&receiver).pop());
    assert_eq!(
        (&first["event"], &first["told_by"]),
        (&"residue".into(), &"guardian".into())
    );
    assert_eq!(first["residue"][0]["fault"], "script");
    assert!(guardian.wait(LIMIT).unwrap());
    drop(run);
    let recovered = bench.fracas(&["recover"]);
    assert_eq!(recovered.code, 4, "{recovered:?}");
    let told = told(&receiver);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!(told[1]["told_by"], "recover");
    bench.finish();
}
