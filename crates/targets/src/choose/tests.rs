use fracas_core::experiment::{BlastRadius, ContainerSelector, Selector};
use fracas_core::target::{Process, ProcessIdentity};
use fracas_core::units::Percent;

use super::*;

fn spec(blast_radius: BlastRadius) -> TargetSpec {
    TargetSpec {
        alias: "web".into(),
        selector: Selector::Container(ContainerSelector::default()),
        blast_radius,
    }
}

fn found(identity: &str, out: Option<Out>) -> Found {
    Found {
        identity: identity.into(),
        kind: Kind::Process(Process {
            process: ProcessIdentity {
                pid: 7,
                start: 1,
                boot: "b".into(),
            },
            command: identity.into(),
        }),
        out,
    }
}

fn many(count: usize) -> Matched {
    Matched {
        found: (0..count).rev().map(|n| found(&format!("web-{n}"), None)).collect(),
        ..Default::default()
    }
}

fn names(chosen: &Chosen) -> Vec<&str> {
    chosen.targets.iter().map(|target| target.identity.as_str()).collect()
}

fn half() -> TargetSpec {
    spec(BlastRadius {
        percent: Percent(50.0),
        ..Default::default()
    })
}

fn protected(why: &str) -> Out {
    Out::Protected(why.into())
}

#[test]
fn all_are_taken_without_chance_when_the_radius_allows() {
    let chosen = choose(&spec(BlastRadius::default()), "container", many(3), Seed(1)).unwrap();
    assert_eq!(names(&chosen), ["web-0", "web-1", "web-2"]);
    assert_eq!(chosen.decisions, []);
    assert!(
        chosen
            .candidates
            .iter()
            .all(|candidate| candidate.chosen && candidate.why.is_none())
    );
}

#[test]
fn the_same_seed_takes_the_same_whatever_the_order() {
    let one = choose(&half(), "container", many(10), Seed(7)).unwrap();
    let mut turned = many(10);
    turned.found.rotate_left(4);
    assert_eq!(choose(&half(), "container", turned, Seed(7)).unwrap(), one);
    assert_eq!((one.targets.len(), one.decisions.len()), (5, 10));
    assert_eq!(
        one.decisions.iter().filter(|decision| decision.chosen == "yes").count(),
        5
    );
    let left: Vec<_> = one.candidates.iter().filter(|candidate| !candidate.chosen).collect();
    assert_eq!(left.len(), 5);
    assert!(
        left.iter()
            .all(|candidate| candidate.why.as_deref() == Some("blast radius"))
    );
    // Ten choose five: the chance that twenty seeds agree with the first is nil, and the draws are fixed for ever.
    assert!((8..28).any(|seed| names(&choose(&half(), "container", many(10), Seed(seed)).unwrap()) != names(&one)));
}

#[test]
fn a_newcomer_changes_nothing_about_the_order_of_the_others() {
    let order = |count| {
        let radius = BlastRadius {
            at_most: 3,
            ..Default::default()
        };
        choose(&spec(radius), "container", many(count), Seed(3)).unwrap()
    };
    let (before, after) = (order(9), order(10));
    let stayed = names(&after)
        .iter()
        .filter(|name| names(&before).contains(name))
        .count();
    // One newcomer can push out one at most.
    assert!(stayed >= 2, "{:?} {:?}", names(&before), names(&after));
}

#[test]
fn the_unfit_and_the_protected_are_left_out_with_their_reason_and_do_not_count() {
    let mut matched = many(2);
    matched.found.push(found("web-8", Some(Out::Unfit("paused".into()))));
    matched.found.push(found("web-9", Some(protected("Grafana"))));
    let radius = BlastRadius {
        leave_healthy: 1,
        ..Default::default()
    };
    let chosen = choose(&spec(radius), "container", matched, Seed(1)).unwrap();
    assert_eq!(chosen.targets.len(), 1);
    assert_eq!(
        chosen.sum,
        "min(max(at_least 1, 100% of 2 = 2), 2 - leave_healthy 1 = 1) = 1"
    );
    let why = |n: usize| chosen.candidates[n].why.as_deref();
    assert_eq!((why(2), why(3)), (Some("paused"), Some("protected: Grafana")));
}

#[test]
fn nothing_left_shows_the_sum_and_the_reasons() {
    let radius = BlastRadius {
        leave_healthy: 2,
        ..Default::default()
    };
    let mut matched = many(2);
    matched.found.push(found("web-8", Some(Out::Unfit("paused".into()))));
    let problem = choose(&spec(radius), "container", matched, Seed(1)).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "error[T001]: none of the 3 containers that match target \"web\" may be broken\n  \
         because: blast radius: min(max(at_least 1, 100% of 2 = 2), 2 - leave_healthy 2 = 0) = 0\n  \
         because: web-8: paused\n  \
         next: see `fracas targets FILE` for candidates and reasons"
    );
}

#[test]
fn nothing_found_says_so_with_what_helps() {
    let matched = Matched {
        hints: vec!["web-1 matches but is exited".into()],
        ..Default::default()
    };
    let problem = choose(&spec(BlastRadius::default()), "container", matched, Seed(1)).unwrap_err();
    assert_eq!(
        problem.line(),
        "T001: no running container matches target \"web\": web-1 matches but is exited"
    );
}

#[test]
fn the_protected_are_an_error_when_alone_or_named_outright() {
    let only = Matched {
        found: vec![found("prometheus", Some(protected("Prometheus")))],
        ..Default::default()
    };
    let problem = choose(&spec(BlastRadius::default()), "container", only, Seed(1)).unwrap_err();
    assert_eq!(problem.code.id, "T002");
    assert!(
        problem.line().contains("prometheus: protected: Prometheus"),
        "{}",
        problem.line()
    );

    let mut named = many(1);
    named.found.push(found("prometheus", Some(protected("Prometheus"))));
    named.outright = true;
    let problem = choose(&spec(BlastRadius::default()), "container", named, Seed(1)).unwrap_err();
    assert_eq!(problem.code.id, "T002");
}

#[test]
fn a_message_shows_ten_reasons_at_most() {
    let found = (0..25)
        .map(|n| found(&format!("p-{n:02}"), Some(protected("kubelet"))))
        .collect();
    let matched = Matched {
        found,
        ..Default::default()
    };
    let problem = choose(&spec(BlastRadius::default()), "process", matched, Seed(1)).unwrap_err();
    assert_eq!(problem.causes.len(), 11);
    assert_eq!(problem.causes[10], "and 15 more");
}
