//! `junit.xml`: what a CI server shows. A test case per judgement, two per injection (it landed, it is gone), one for the verdict.

use std::time::Duration;

use fracas_core::event::Verdict;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::Landed;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use crate::model::{InjectionReport, Report};
use crate::plain::{command, plain};
use crate::summary;
use crate::undo::undos;

/// The whole file.
pub(crate) fn junit(report: &Report) -> Result<String> {
    let mut file = quick_junit::Report::new(plain(&report.name));
    file.timestamp = report.started.parse().ok();
    file.set_time(Duration::from_millis(report.duration_ms));
    let mut suites = [
        ("run", vec![verdict(report)]),
        ("probes", judgements(report)),
        (
            "faults",
            report.injections.iter().map(|one| landed(report, one)).collect(),
        ),
        ("undo", left(report)),
    ]
    .map(|(name, cases)| {
        let mut suite = TestSuite::new(name);
        suite.timestamp = file.timestamp;
        for mut case in cases {
            case.set_classname(format!("{}.{name}", plain(&report.name)));
            suite.add_test_case(case);
        }
        suite
    });
    suites[0].set_time(Duration::from_millis(report.duration_ms));
    file.add_test_suites(suites);
    file.to_string()
        .map_err(|error| Problem::new(&codes::INSIDE, "the JUnit report cannot be written as XML").because(&error))
}

fn failure(kind: NonSuccessKind, ty: &str, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(plain(message)).set_type(plain(ty));
    status
}

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(plain(message));
    status
}

fn verdict(report: &Report) -> TestCase {
    let ty = report.word().to_lowercase();
    let status = match report.verdict {
        Some(Verdict::Passed) => TestCaseStatus::success(),
        Some(Verdict::Failed) => failure(NonSuccessKind::Failure, &ty, &report.why),
        _ => failure(NonSuccessKind::Error, &ty, &report.why),
    };
    let mut case = TestCase::new("verdict", status);
    case.set_system_out(summary::summary(report, summary::Style::Native));
    case
}

fn judgements(report: &Report) -> Vec<TestCase> {
    let all = report.probes.iter().flat_map(|probe| &probe.judgements);
    all.map(|one| {
        let judgement = &one.judgement;
        let status = match (judgement.passed, judgement.critical) {
            (true, _) => TestCaseStatus::success(),
            (false, true) => failure(NonSuccessKind::Failure, "expectation", &judgement.message),
            // What does not count for the verdict must not turn a CI job red.
            (false, false) => skipped(&format!("failed, but does not count: {}", judgement.message)),
        };
        let mut case = TestCase::new(format!("{} {}", plain(&judgement.probe), judgement.moment), status);
        case.set_system_out(plain(&judgement.message));
        case
    })
    .collect()
}

fn landed(report: &Report, one: &InjectionReport) -> TestCase {
    // A revert or an observation that failed is told by the test case of the undo.
    let of_undo = [codes::FAULT_REVERT.id, codes::FAULT_OBSERVE.id];
    let problem = one
        .problems
        .iter()
        .find(|problem| !of_undo.contains(&problem.code.as_str()));
    let status = match (&one.dose, problem) {
        _ if report.dry_run => skipped("dry run: nothing was applied"),
        (_, Some(problem)) => failure(NonSuccessKind::Error, &problem.code, &problem.to_string()),
        (None, None) if one.applied.is_none() => skipped("never applied"),
        (None, None) => failure(NonSuccessKind::Error, "unmeasured", "the dose was not measured"),
        (Some(dose), None) => match &dose.landed {
            Landed::Yes => TestCaseStatus::success(),
            Landed::No(why) => failure(NonSuccessKind::Failure, "not landed", why),
            Landed::Unmeasured(why) => failure(NonSuccessKind::Error, "unmeasured", why),
        },
    };
    let name = format!("{} {} on {} landed", one.number, plain(&one.fault), plain(&one.target));
    let mut case = TestCase::new(name, status);
    if let (Some(applied), Some(gone)) = (&one.applied, &one.gone) {
        case.set_time(Duration::from_millis(
            gone.elapsed_ms.saturating_sub(applied.elapsed_ms),
        ));
    }
    case.set_system_out(summary::injection(one));
    case
}

fn left(report: &Report) -> Vec<TestCase> {
    undos(report)
        .iter()
        .map(|undo| {
            let status = if undo.over {
                TestCaseStatus::success()
            } else {
                let mut status = failure(NonSuccessKind::Failure, "residue", &undo.result);
                let by_hand: Vec<String> = undo.manual.iter().map(|text| command(text)).collect();
                status.set_description(by_hand.join("\n"));
                status
            };
            let mut case = TestCase::new(format!("{} is gone", plain(&undo.what)), status);
            case.set_time(Duration::from_millis(undo.millis));
            case
        })
        .collect()
}
