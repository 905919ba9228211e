//! Discovery and following on real containers.

#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::time::Duration;

use fracas_core::experiment::{BlastRadius, ContainerSelector, Pattern, Precondition, Selector, TargetSpec};
use fracas_core::seed::Seed;
use fracas_core::target::Target;
use fracas_docker::{Engine, Health};
use fracas_lab::{TestContainer, TestDocker, TestNetwork, eventually_async};
use fracas_linux::process;
use fracas_targets::{Chosen, Followed, check_local, discover, follow, protected};

const SOON: Duration = Duration::from_secs(20);

fn spec(alias: &str, selector: ContainerSelector) -> TargetSpec {
    TargetSpec {
        alias: alias.into(),
        selector: Selector::Container(selector),
        blast_radius: BlastRadius::default(),
    }
}

fn labelled(key: &str, value: &str) -> ContainerSelector {
    ContainerSelector {
        labels: [(key.to_owned(), value.to_owned())].into(),
        ..Default::default()
    }
}

async fn one(engine: &Engine, selector: ContainerSelector) -> fracas_core::problem::Result<Chosen> {
    let found = discover(&[spec("it", selector)], &[], Some(engine), Seed(1)).await?;
    Ok(found.chosen.into_iter().next().expect("one alias, one choice"))
}

fn names(chosen: &Chosen) -> Vec<&str> {
    chosen.targets.iter().map(|target| target.identity.as_str()).collect()
}

/// A label value that only this test uses, so that tests at the same time do not see each other's containers.
fn mark(test: &str) -> String {
    format!("{test}-{}", std::process::id())
}

#[tokio::test]
async fn every_key_of_a_selector_finds_its_container_and_no_other() {
    let Some(engine) = TestDocker::get().await else { return };
    let mark = mark("keys");
    let build = || TestContainer::build(&engine).label("mark", &mark);
    let service = "com.docker.compose.service";
    let a = build()
        .named_like("keys-a")
        .label(service, &mark)
        .start()
        .await
        .unwrap();
    let b = build().named_like("keys-b").start().await.unwrap();

    let mut both = vec![a.name(), b.name()];
    both.sort_unstable();
    assert_eq!(names(&one(&engine, labelled("mark", &mark)).await.unwrap()), both);
    let image = fracas_lab::image_name().unwrap();
    for wanted in [image.as_str(), image.split(':').next().unwrap()] {
        let by_image = ContainerSelector {
            image: Some(wanted.to_owned()),
            ..labelled("mark", &mark)
        };
        assert_eq!(names(&one(&engine, by_image).await.unwrap()), both, "{wanted}");
    }
    let only_a = [
        ContainerSelector {
            name: Some(Pattern::Whole(format!("{}|x", a.name()))),
            ..Default::default()
        },
        ContainerSelector {
            name: Some(Pattern::Anywhere("s-a-[0-9]".into())),
            ..labelled("mark", &mark)
        },
        ContainerSelector {
            name: Some(Pattern::Contains("keys-a".into())),
            ..labelled("mark", &mark)
        },
        ContainerSelector {
            id: Some(a.id()[..12].to_owned()),
            ..Default::default()
        },
        ContainerSelector {
            compose_service: Some(mark.clone()),
            ..Default::default()
        },
        labelled(service, &mark),
    ];
    for selector in only_a {
        let chosen = one(&engine, selector.clone()).await.unwrap();
        assert_eq!(names(&chosen), [a.name()], "{selector:?}");
        let container = chosen.targets[0].container().unwrap();
        assert_eq!((container.id.as_str(), &container.image), (a.id(), &image));
        assert_eq!(container.init, a.identity().await.unwrap());
        assert_eq!((&container.engine, &container.ip), (&engine.address(), &None));
    }
    let other_image = ContainerSelector {
        image: Some("fracas-lab:other".into()),
        ..labelled("mark", &mark)
    };
    assert_eq!(one(&engine, other_image).await.unwrap_err().code.id, "T001");
}

#[tokio::test]
async fn the_unhealthy_the_paused_and_the_restarting_are_left_out_with_reasons() {
    let Some(engine) = TestDocker::get().await else { return };
    let mark = mark("unfit");
    let build = |name: &str| TestContainer::build(&engine).named_like(name).label("mark", &mark);
    let well = build("unfit-a").start().await.unwrap();
    let paused = build("unfit-b").start().await.unwrap();
    let sick = build("unfit-c").health_check(&["exit", "1"]).start().await.unwrap();
    let watched = build("unfit-prometheus").start().await.unwrap();
    let ended = build("unfit-d").mode(["exit", "0"]).start().await.unwrap();
    engine.pause(paused.id()).await.unwrap();
    eventually_async(SOON, "unhealthy", async || {
        sick.inspect().await.unwrap().state.health == Health::Unhealthy
    })
    .await;
    eventually_async(SOON, "ended", async || !ended.inspect().await.unwrap().state.running).await;

    let chosen = one(&engine, labelled("mark", &mark)).await.unwrap();
    assert_eq!(names(&chosen), [well.name()]);
    let why = |name: &str| {
        let found = chosen.candidates.iter().find(|found| found.identity == name);
        found.map(|found| found.why.clone())
    };
    assert_eq!(why(well.name()), Some(None));
    assert_eq!(why(paused.name()), Some(Some("paused".into())));
    assert_eq!(why(sick.name()), Some(Some("unhealthy".into())));
    assert_eq!(why(watched.name()), Some(Some("protected: Prometheus".into())));
    assert_eq!(why(ended.name()), None);

    let by_id = |container: &TestContainer| ContainerSelector {
        id: Some(container.id().to_owned()),
        ..Default::default()
    };
    assert_eq!(one(&engine, by_id(&watched)).await.unwrap_err().code.id, "T002");
    let problem = one(&engine, by_id(&paused)).await.unwrap_err();
    assert!(
        problem.code.id == "T001" && problem.line().contains("paused"),
        "{problem}"
    );
    let problem = one(&engine, by_id(&ended)).await.unwrap_err();
    assert!(
        problem.code.id == "T001" && problem.line().contains("is exited"),
        "{problem}"
    );
}

#[tokio::test]
async fn preconditions_count_running_containers() {
    let Some(engine) = TestDocker::get().await else { return };
    let prefix = mark("precondition");
    let _one = TestContainer::build(&engine).named_like(&prefix).start().await.unwrap();
    let need = |at_least| {
        [Precondition {
            pattern: Pattern::Contains(prefix.clone()),
            at_least,
        }]
    };
    assert!(discover(&[], &need(1), Some(&engine), Seed(1)).await.is_ok());
    let problem = discover(&[], &need(2), Some(&engine), Seed(1)).await.unwrap_err();
    assert_eq!(problem.code.id, "T006");
    assert!(problem.what.contains("there are 1"), "{}", problem.what);
}

#[tokio::test]
async fn the_same_container_under_two_aliases_is_noted() {
    let Some(engine) = TestDocker::get().await else { return };
    let mark = mark("twice");
    let container = TestContainer::build(&engine)
        .label("mark", &mark)
        .start()
        .await
        .unwrap();
    let specs = ["a", "b"].map(|alias| spec(alias, labelled("mark", &mark)));
    let found = discover(&specs, &[], Some(&engine), Seed(1)).await.unwrap();
    let name = container.name();
    assert_eq!(
        found.notes,
        [format!("{name} under target \"b\" is also {name} under target \"a\"")]
    );
    assert_eq!(
        discover(&specs[..1], &[], Some(&engine), Seed(1)).await.unwrap().notes,
        [""; 0]
    );
}

#[tokio::test]
async fn a_restart_is_followed_and_an_end_is_seen() {
    let Some(engine) = TestDocker::get().await else { return };
    let mark = mark("followed");
    let container = TestContainer::build(&engine)
        .label("mark", &mark)
        .restart("always")
        .start()
        .await
        .unwrap();
    let first = one(&engine, labelled("mark", &mark)).await.unwrap().targets.remove(0);
    assert_eq!(follow(&first, Some(&engine)).await.unwrap(), Followed::Same);

    // From the host, so that the restart policy acts.
    let init = process::Process::open(first.process()).unwrap().unwrap();
    init.signal(9).unwrap();
    let mut second: Option<Target> = None;
    eventually_async(SOON, "the restart is seen", || {
        let (first, engine) = (&first, &engine);
        async move { matches!(follow(first, Some(engine)).await.unwrap(), Followed::Restarted(_)) }
    })
    .await;
    if let Followed::Restarted(target) = follow(&first, None).await.unwrap() {
        second = Some(*target);
    }
    let second = second.expect("it restarted");
    assert_eq!((&second.alias, &second.identity), (&first.alias, &first.identity));
    assert_eq!(second.process(), &container.identity().await.unwrap());
    assert_ne!(second.process(), first.process());
    assert_eq!(follow(&second, None).await.unwrap(), Followed::Same);

    engine.pause(container.id()).await.unwrap();
    assert_eq!(follow(&second, Some(&engine)).await.unwrap(), Followed::Same);
    engine.unpause(container.id()).await.unwrap();
    engine.stop(container.id(), Duration::from_secs(5)).await.unwrap();
    assert_eq!(follow(&second, Some(&engine)).await.unwrap(), Followed::Gone);
    engine.remove(container.id()).await.unwrap();
    assert_eq!(follow(&second, Some(&engine)).await.unwrap(), Followed::Gone);

    let again = TestContainer::build(&engine)
        .name(container.name())
        .start()
        .await
        .unwrap();
    match follow(&second, Some(&engine)).await.unwrap() {
        Followed::Restarted(target) => assert_eq!(target.container().unwrap().id, again.id()),
        other => panic!("a container of the same name is {other:?}"),
    }
}

#[tokio::test]
async fn an_engine_behind_a_socket_is_local() {
    let Some(engine) = TestDocker::get().await else { return };
    assert!(check_local(&engine).is_ok());
}

#[tokio::test]
async fn what_measures_is_known_by_its_addresses() {
    let Some(engine) = TestDocker::get().await else { return };
    let network = TestNetwork::make(&engine).await.unwrap();
    let build = || TestContainer::build(&engine).network(network.name());
    let watching = build().named_like("my-prometheus").start().await.unwrap();
    let other = build().named_like("web").start().await.unwrap();
    let all = protected(&engine).await.unwrap();
    let found = all.iter().find(|one| one.name == watching.name()).unwrap();
    let details = engine.inspect(watching.id()).await.unwrap().unwrap();
    let own: Vec<String> = details.networks.values().cloned().collect();
    let addresses: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
    assert!(!own.is_empty() && addresses == own, "{found:?}");
    assert!(all.iter().all(|one| one.name != other.name()), "{all:?}");
}
