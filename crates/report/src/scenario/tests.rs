use fracas_core::event::{Event, What};
use fracas_core::record::State;

use super::*;
use crate::{fold, samples};

fn test(events: Vec<Event>) -> TestReport {
    TestReport::from(&fold(events))
}

#[test]
fn the_file_has_exactly_the_fields_of_seed_0() {
    let value = serde_json::to_value(test(samples::passed_scenario())).unwrap();
    let keys = |value: &serde_json::Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys.join(" ")
    };
    assert_eq!(
        keys(&value),
        "cleanup_log cleanup_summary duration end_time errors fault_installs faults message scenario_name start_time status \
         success success_criteria targets test_id"
    );
    assert_eq!(keys(&value["targets"][0]), "alias container_id ip service_name");
    assert_eq!(
        keys(&value["faults"][0]),
        "description duration end_time parameters phase start_time target type"
    );
    assert_eq!(
        keys(&value["success_criteria"][0]),
        "critical description eval_time message name passed query threshold type value"
    );
    assert_eq!(keys(&value["cleanup_summary"]), "Failed Succeeded TotalActions");
}

#[test]
fn the_status_says_how_far_it_came() {
    for (events, status, success) in [
        (samples::passed(), Status::Completed, true),
        (samples::inconclusive(), Status::Completed, false),
        (samples::failed(), Status::Failed, false),
        (samples::residue(), Status::Failed, false),
        (samples::aborted(), Status::Stopped, false),
    ] {
        let test = test(events);
        assert_eq!((test.status, test.success), (status, success), "{}", test.message);
    }
    let mut unfinished = samples::passed();
    unfinished.pop();
    assert_eq!(test(unfinished).status, Status::Running);
}

// In the original both faults had the times of the whole test.
#[test]
fn every_fault_has_its_own_times() {
    let mut events = samples::passed_scenario();
    // The second injection becomes one of another fault, ten seconds later and until later.
    if let What::RunStarted { experiment, .. } = &mut events[0].what {
        let mut other = experiment.faults[0].clone();
        other.name = "late".into();
        experiment.faults.push(other);
    }
    for event in &mut events {
        let second = match &mut event.what {
            What::Planned { injection, fault, .. } if injection.0 == 1 => {
                *fault = "late".into();
                false
            }
            What::Injection { injection, state, .. } => injection.0 == 1 && *state != State::Planned,
            _ => false,
        };
        if second {
            *event = samples::event(event.seq, event.elapsed_ms + 10_000, event.what.clone());
        }
    }
    let test = test(events);
    let times: Vec<_> = test
        .faults
        .iter()
        .map(|fault| (fault.start_time.as_deref().unwrap(), fault.duration.as_deref().unwrap()))
        .collect();
    assert_eq!(
        times,
        [
            ("2026-01-30T12:35:26.08Z", "1m0.16s"),
            ("2026-01-30T12:35:36.09Z", "1m0.122s")
        ]
    );
}

#[test]
fn a_fault_that_is_still_on_has_no_end() {
    let fault = &test(samples::residue()).faults[0];
    assert!(fault.start_time.is_some());
    assert_eq!((&fault.end_time, &fault.duration), (&None, &None));
    let never = &test(samples::dry_run()).faults[0];
    assert_eq!((&never.start_time, &never.end_time), (&None, &None));
}

// In the original the list was cleared at teardown, and a failed test had installed nothing.
#[test]
fn a_failed_test_still_says_how_many_faults_it_had_made() {
    assert_eq!(test(samples::failed()).fault_installs, 2);
    assert_eq!(test(samples::dry_run()).fault_installs, 0);
}

#[test]
fn the_cleanup_is_counted_and_told() {
    let test = test(samples::residue());
    assert_eq!(
        test.cleanup_summary,
        CleanupSummary {
            total_actions: 2,
            succeeded: 1,
            failed: 1
        }
    );
    let log: Vec<_> = test
        .cleanup_log
        .iter()
        .map(|one| (one.what.as_str(), one.success, one.ms))
        .collect();
    assert_eq!(
        log,
        [
            ("#0 memory_limit on payments-1", false, 12),
            ("#1 memory_limit on payments-2", true, 12)
        ]
    );
    assert_eq!(test.errors.len(), 2);
}
