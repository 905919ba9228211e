//! The container engine's client against a real engine.

use std::time::{Duration, Instant};

use fracas_core::params::Signal;
use fracas_docker::{Engine, Health, Outcome, Status};
use fracas_lab::{TestContainer, TestDocker, eventually_async};
use fracas_linux::cgroup::Controller;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_engine_says_what_it_is() {
    let Some(engine) = TestDocker::get().await else { return };
    let version = engine.version().await.unwrap();
    assert!(version.api.starts_with("1."), "{version:?}");
    assert!(["1", "2"].contains(&version.cgroup_version.as_str()), "{version:?}");
    assert!(!version.server.is_empty() && !version.kernel.is_empty() && !version.cgroup_driver.is_empty());
    assert_eq!(
        Engine::connect(Some(&engine.address())).await.unwrap().address(),
        engine.address()
    );
}

#[tokio::test]
async fn a_container_is_listed_and_described_as_it_was_made() {
    let Some(engine) = TestDocker::get().await else { return };
    let container = TestContainer::build(&engine)
        .named_like("fracas-lab-described")
        .label("team", "payments")
        .restart("unless-stopped")
        .memory(64 << 20)
        .start()
        .await
        .unwrap();

    let list = engine.list(false).await.unwrap();
    let found = list.iter().find(|found| found.id == container.id()).unwrap();
    assert_eq!((found.name.as_str(), found.status), (container.name(), Status::Running));
    assert_eq!(found.labels["team"], "payments");
    assert_eq!(found.image, fracas_lab::image_name().unwrap());

    let details = container.inspect().await.unwrap();
    assert_eq!(
        (&details.id, &details.name, &details.image),
        (&found.id, &found.name, &found.image)
    );
    assert_eq!(details.labels, found.labels);
    assert_eq!(details.restart_policy.name, "unless-stopped");
    assert_eq!(details.limits.memory, 64 << 20);
    assert_eq!(details.networks.keys().collect::<Vec<_>>(), ["none"]);
    assert!(details.state.running && !details.state.paused && !details.state.restarting);
    assert_eq!((details.state.restart_count, details.state.health), (0, Health::None));
    assert!(
        details.state.started_at.starts_with("20"),
        "{}",
        details.state.started_at
    );
    assert_eq!(details.raw["HostConfig"]["Memory"], 64 << 20);
    assert_eq!(engine.inspect(container.name()).await.unwrap().unwrap(), details);

    let group = container.cgroup(Controller::Memory).await.unwrap().unwrap();
    assert!(group.path().to_string_lossy().contains(container.id()), "{group:?}");
    assert_eq!(group.processes().unwrap(), [container.identity().await.unwrap().pid]);
}

#[tokio::test]
async fn what_is_not_there_is_none_or_missing() {
    let Some(engine) = TestDocker::get().await else { return };
    let nobody = "fracas-lab-nobody";
    assert_eq!(engine.inspect(nobody).await.unwrap(), None);
    assert_eq!(engine.pause(nobody).await.unwrap(), Outcome::Missing);
    assert_eq!(engine.unpause(nobody).await.unwrap(), Outcome::Missing);
    assert_eq!(engine.start(nobody).await.unwrap(), Outcome::Missing);
    assert_eq!(engine.stop(nobody, Duration::ZERO).await.unwrap(), Outcome::Missing);
    assert_eq!(engine.restart(nobody, Duration::ZERO).await.unwrap(), Outcome::Missing);
    assert_eq!(engine.kill(nobody, Signal::Kill).await.unwrap(), Outcome::Missing);
    assert_eq!(engine.remove(nobody).await.unwrap(), Outcome::Missing);
    assert_eq!(engine.logs(nobody, None, 1).await.unwrap_err().code.id, "X003");
}

#[tokio::test]
async fn states_that_are_so_already_are_outcomes() {
    let Some(engine) = TestDocker::get().await else { return };
    let container = TestContainer::build(&engine).start().await.unwrap();
    let id = container.id();
    let status = async || container.inspect().await.unwrap().state.status;

    assert_eq!(engine.start(id).await.unwrap(), Outcome::Already);
    assert_eq!(engine.unpause(id).await.unwrap(), Outcome::Already);
    assert_eq!(engine.pause(id).await.unwrap(), Outcome::Done);
    assert_eq!(status().await, Status::Paused);
    assert_eq!(engine.pause(id).await.unwrap(), Outcome::Already);
    assert_eq!(engine.start(id).await.unwrap_err().code.id, "X003");
    assert_eq!(engine.unpause(id).await.unwrap(), Outcome::Done);
    assert_eq!(status().await, Status::Running);

    let before = container.identity().await.unwrap();
    assert_eq!(engine.restart(id, Duration::from_secs(5)).await.unwrap(), Outcome::Done);
    assert_ne!(container.identity().await.unwrap(), before);

    assert_eq!(engine.stop(id, Duration::from_secs(5)).await.unwrap(), Outcome::Done);
    assert_eq!(status().await, Status::Exited);
    assert_eq!(container.inspect().await.unwrap().state.pid, None);
    assert_eq!(engine.stop(id, Duration::from_secs(5)).await.unwrap(), Outcome::Already);
    assert_eq!(engine.pause(id).await.unwrap(), Outcome::NotRunning);
    assert_eq!(engine.kill(id, Signal::Kill).await.unwrap(), Outcome::NotRunning);
    assert_eq!(engine.start(id).await.unwrap(), Outcome::Done);

    assert_eq!(engine.kill(id, Signal::Kill).await.unwrap(), Outcome::Done);
    eventually_async(SOON, "killed", async || {
        container.inspect().await.unwrap().state.exit_code == 137
    })
    .await;
}

#[tokio::test]
async fn a_stop_waits_as_long_as_it_was_told_and_can_be_dropped() {
    let Some(engine) = TestDocker::get().await else { return };
    let container = TestContainer::build(&engine)
        .mode(["--ignore-term", "sleep"])
        .start()
        .await
        .unwrap();
    let given_up = tokio::time::timeout(
        Duration::from_millis(200),
        engine.stop(container.id(), Duration::from_secs(59)),
    );
    assert!(
        given_up.await.is_err(),
        "a container that ignores SIGTERM stopped at once"
    );
    assert!(container.inspect().await.unwrap().state.running);

    let begun = Instant::now();
    let stopped = engine.stop(container.id(), Duration::from_secs(1)).await.unwrap();
    assert_eq!(stopped, Outcome::Done);
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(container.inspect().await.unwrap().state.exit_code, 137);
}

#[tokio::test]
async fn a_restart_policy_acts_and_is_counted() {
    let Some(engine) = TestDocker::get().await else { return };
    let container = TestContainer::build(&engine)
        .mode(["exit", "3"])
        .restart("always")
        .start()
        .await
        .unwrap();
    eventually_async(SOON, "two restarts", async || {
        container.inspect().await.unwrap().state.restart_count >= 2
    })
    .await;
}

#[tokio::test]
async fn a_failing_health_check_is_seen() {
    let Some(engine) = TestDocker::get().await else { return };
    let container = TestContainer::build(&engine)
        .health_check(&["exit", "1"])
        .start()
        .await
        .unwrap();
    eventually_async(SOON, "unhealthy", async || {
        container.inspect().await.unwrap().state.health == Health::Unhealthy
    })
    .await;
}

#[tokio::test]
async fn the_last_lines_of_the_logs_are_read_with_and_without_a_terminal() {
    let Some(engine) = TestDocker::get().await else { return };
    for tty in [false, true] {
        let mut build = TestContainer::build(&engine).mode(["log", "grüße", "1"]);
        if tty {
            build = build.tty();
        }
        let container = build.start().await.unwrap();
        let id = container.id();
        eventually_async(SOON, "twenty lines", async || {
            engine.logs(id, None, 100).await.unwrap().len() >= 20
        })
        .await;
        engine.stop(id, Duration::from_secs(5)).await.unwrap();
        let lines = engine.logs(id, None, 5).await.unwrap();
        let numbers: Vec<u64> = lines
            .iter()
            .map(|line| line.strip_prefix("grüße ").unwrap().parse().unwrap())
            .collect();
        assert_eq!(numbers.len(), 5);
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{lines:?}");
        assert_eq!(engine.logs(id, Some(i64::MAX), 5).await.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_container_is_gone_when_its_test_is() {
    let Some(engine) = TestDocker::get().await else { return };
    let container = TestContainer::build(&engine).start().await.unwrap();
    let id = container.id().to_owned();
    drop(container);
    assert_eq!(engine.inspect(&id).await.unwrap(), None);
}

#[tokio::test]
async fn what_a_killed_test_left_behind_is_removed_by_the_next() {
    let Some(engine) = TestDocker::get().await else { return };
    // Pid 1 started before any process that could have made a container: no maker ever had this start.
    let orphan = TestContainer::build(&engine)
        .label("fracas.lab", "1:0")
        .start()
        .await
        .unwrap();
    let ours = TestContainer::build(&engine).start().await.unwrap();
    TestDocker::get().await.unwrap();
    assert_eq!(engine.inspect(orphan.id()).await.unwrap(), None);
    assert!(ours.inspect().await.unwrap().state.running);
}
