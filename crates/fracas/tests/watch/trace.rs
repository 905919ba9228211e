//! One trace a run, whoever ends it.

use std::time::{Duration, Instant};

use fracas_core::ids::RunId;
use fracas_core::record::State;
use fracas_telemetry::ids::{root_id, trace_id};
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::receiver::{Answer, Receiver, names, says};
use crate::run;
use crate::support::{Bench, Blow, LIMIT, Run, Target, certificate, memory_limit, soon};

/// The status of a span that went badly.
const ERROR: i32 = 2;

fn id_of(directory: &std::path::Path) -> RunId {
    directory.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

/// All spans are of this run's trace, none came twice, and each but the run's own lies in one that came, too.
#[track_caller]
fn whole(spans: &[Span], id: &RunId) {
    for span in spans {
        assert_eq!(span.trace_id, trace_id(id), "{span:#?}");
        let same = spans.iter().filter(|other| other.span_id == span.span_id).count();
        assert_eq!(same, 1, "{} came {same} times", span.name);
        let parent = spans.iter().any(|other| other.span_id == span.parent_span_id);
        assert!(
            parent || span.span_id == root_id(id),
            "{} has no parent in {:?}",
            span.name,
            names(spans)
        );
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:#?}");
    }
}

fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {:?}", names(spans)))
}

/// The collector of a run that goes on until it is struck, told by a flag.
fn started(bench: &Bench, target: &Target, collector: &Receiver) -> Run {
    run(bench, &memory_limit(target), &["--otlp-endpoint", &collector.url()])
}

#[test]
fn a_run_is_one_trace_from_its_phases_to_its_certificate() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let collector = Receiver::start();
    let document = memory_limit(&target).replace("60s", "1s").replace(
        "warmup: 0s",
        "warmup: 0s, probes: [{ name: pulse, command: { argv: [/bin/true] }, expect: '== 0' }]",
    );
    let mut run = run(&bench, &document, &["--otlp-endpoint", &collector.url()]);
    let (directory, _guardian) = run.begun();
    let id = id_of(&directory);
    let said = run.wait(LIMIT);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!said.err.contains("N001"), "{}", said.err);
    let spans = collector.spans();
    whole(&spans, &id);
    let root = one(&spans, "run");
    assert_eq!(says(root, "fracas.run.id").as_deref(), Some(id.as_str()));
    assert_eq!(says(root, "fracas.verdict").as_deref(), Some("PASSED"));
    for phase in ["discover", "prepare", "inject", "monitor", "rollback"] {
        assert_eq!(one(&spans, &format!("phase {phase}")).parent_span_id, root.span_id);
    }
    let injection = one(&spans, "injection memory_limit");
    assert_eq!(says(injection, "fracas.dose.landed").as_deref(), Some("yes"));
    for part in ["apply", "revert"] {
        assert_eq!(one(&spans, part).parent_span_id, injection.span_id);
    }
    assert_eq!(says(one(&spans, "revert"), "fracas.state").as_deref(), Some("clean"));
    assert_eq!(says(one(&spans, "probe"), "fracas.probe").as_deref(), Some("pulse"));
    let cleanup = one(&spans, "cleanup");
    assert_eq!(cleanup.parent_span_id, root.span_id);
    assert!(
        says(cleanup, "fracas.cleanup.by")
            .unwrap()
            .contains("asked by the runner")
    );
    // Addresses and headers are not kept longer than they are needed.
    assert!(!directory.join("outlets.json").exists());
    bench.finish();
}

#[test]
fn the_guardian_tells_its_cleanup_into_the_trace_of_a_runner_that_was_killed() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let collector = Receiver::start();
    let run = started(&bench, &target, &collector);
    let (directory, guardian) = run.begun();
    let id = id_of(&directory);
    run.until(&directory, State::Applied);
    // The runner has told something before it dies.
    collector.span("phase prepare");
    Blow::Kill.strike(&run, &guardian, None);
    let cleanup = collector.span("cleanup");
    assert_eq!(
        (cleanup.trace_id.as_slice(), cleanup.parent_span_id.as_slice()),
        (trace_id(&id).as_slice(), root_id(&id).as_slice())
    );
    assert!(guardian.wait(LIMIT).unwrap(), "the guardian goes when all is told");
    assert!(
        says(&cleanup, "fracas.cleanup.by")
            .unwrap()
            .starts_with("guardian: the runner"),
        "{cleanup:#?}"
    );
    assert_eq!(says(&cleanup, "fracas.clean").as_deref(), Some("true"));
    let spans = collector.spans();
    let root = one(&spans, "run");
    assert_eq!(root.status.as_ref().unwrap().code, ERROR, "{root:#?}");
    let injection = one(&spans, "injection memory_limit");
    assert_eq!(one(&spans, "revert").parent_span_id, injection.span_id);
    assert_eq!(says(injection, "fracas.state").as_deref(), Some("clean"));
    whole(&spans, &id);
    assert_eq!(target.look(), before);
    assert!(certificate(&directory).unwrap().is_clean());
    assert!(!directory.join("outlets.json").exists());
    drop(run);
    bench.finish();
}

#[test]
fn recover_tells_its_cleanup_into_the_trace_of_a_run_whose_processes_all_died() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let collector = Receiver::start();
    let run = started(&bench, &target, &collector);
    let (directory, guardian) = run.begun();
    let id = id_of(&directory);
    run.until(&directory, State::Applied);
    Blow::Both.strike(&run, &guardian, None);
    drop(run);
    // Nobody gives it the address: it stands with the run.
    let recovered = bench.fracas(&["recover"]);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    let spans = collector.spans();
    let cleanup = one(&spans, "cleanup");
    assert_eq!(
        (cleanup.trace_id.as_slice(), cleanup.parent_span_id.as_slice()),
        (trace_id(&id).as_slice(), root_id(&id).as_slice())
    );
    assert!(says(cleanup, "fracas.cleanup.by").unwrap().starts_with("recover: "));
    whole(&spans, &id);
    assert!(!directory.join("outlets.json").exists());
    bench.finish();
}

/// A collector that accepts and never answers costs the end of the run some seconds and a warning, and no fault a moment.
#[test]
fn a_collector_that_hangs_keeps_no_fault_on() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let collector = Receiver::answering(vec![Answer::Nothing; 100]);
    let run = started(&bench, &target, &collector);
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    let began = Instant::now();
    Blow::Kill.strike(&run, &guardian, None);
    soon(LIMIT, "the target is as before", || {
        (target.look() == before).then_some(())
    });
    // The guardian has not even sent anything before all is undone, and every request takes five seconds.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(guardian.wait(LIMIT).unwrap(), "the guardian gives up");
    let log = crate::support::read(directory.join("guardian.log")).unwrap();
    assert!(log.contains("N001") && log.contains("everything is undone"), "{log}");
    drop(run);
    bench.finish();
}

#[test]
fn nobody_there_is_one_warning_and_changes_no_verdict() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let document = memory_limit(&target).replace("60s", "1s");
    let url = format!("http://me:secret@{nobody}");
    let said = run(&bench, &document, &["--otlp-endpoint", &url]).end();
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.err.matches("N001").count(), 1, "{}", said.err);
    assert!(
        said.err.contains(&nobody.to_string()) && !said.err.contains("secret"),
        "{}",
        said.err
    );
    bench.finish();
}
