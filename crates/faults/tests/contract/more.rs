//! What single faults do beside the contract.

use std::time::{Duration, Instant};

use fracas_core::record::{Landed, Reverted, Seen};
use fracas_core::target::{Container, Kind, Target};
use fracas_faults::{Entry, find};
use fracas_lab::{TestContainer, TestDocker, TestGroup, TestProcess, eventually, eventually_async, skip};
use fracas_linux::cgroup::{Cgroup, Controller, Version};
use fracas_linux::{limits, process};
use serde_json::{Value, json};

use crate::fixture::{LIMIT, On, Stage, in_container, on_process, signal, stage};

tests! {
    cpu_stress_delivers_what_is_asked,
    cpu_stress_that_cannot_have_its_share_has_not_landed,
    cpu_stress_leaves_with_its_target,
    cpu_limit_throttles,
    process_pause_leaves_what_was_stopped_before,
    fd_exhaustion_is_taken_off_as_far_as_a_lower_hard_limit_lets,
    memory_limit_is_taken_off_as_far_as_a_foreign_limit_of_swap_lets,
    fd_exhaustion_is_taken_from_those_who_inherited_it,
    process_pause_takes_a_pattern,
    process_pause_takes_back_a_stop_that_has_not_happened_yet,
    process_pause_continues_what_was_frozen_after_it_stopped,
    process_kill_goes_on_until_its_count_in_a_container,
    process_kill_tells_an_end_from_a_handled_signal,
    process_kill_says_what_did_not_come_back,
    container_kill_lets_the_restart_policy_act,
    container_kill_by_the_engine_stays_down,
    container_kill_starts_it_after_its_delay,
    container_restart_without_delay_is_over_after_apply,
    container_restart_waits_for_its_turn,
    containers_not_as_they_were_chosen_are_refused,
    containers_without_a_group_of_their_own_are_refused,
    plans_are_refused,
}

pub fn fault(name: &str) -> &'static Entry {
    find(name).unwrap()
}

pub async fn plan(stage: &Stage) -> Value {
    (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
        .await
        .unwrap()
}

pub async fn on(stage: &Stage) -> Value {
    let undo = plan(stage).await;
    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    undo
}

pub async fn off(stage: &Stage, undo: &Value) -> Reverted {
    let reverted = (stage.entry.revert)(undo, &stage.cx).await.unwrap();
    let seen = (stage.entry.observe)(undo, &stage.cx).await.unwrap();
    assert!(
        matches!(seen, Seen::Original | Seen::TargetGone | Seen::Claimed(_)),
        "{seen:?}"
    );
    reverted
}

pub async fn dose(stage: &Stage, undo: &Value) -> fracas_core::record::Dose {
    (stage.entry.measure)(&stage.params, undo, &stage.cx).await.unwrap()
}

/// What else runs on this machine must not take what is measured here: a fault is tried, not the idleness of the machine.
fn favour(group: &Cgroup) {
    match group.version() {
        Version::V1 => group.write("cpu.shares", "262144").unwrap(),
        Version::V2 => group.write("cpu.weight", "10000").unwrap(),
    }
}

/// What a group used over this time, in per cent of a CPU.
async fn percent(group: &Cgroup, time: Duration) -> f64 {
    let (before, begun) = (group.cpu_usage().unwrap(), Instant::now());
    // tidy: sleep because what is used in this time is what is measured
    tokio::time::sleep(time).await;
    group.cpu_usage().unwrap().saturating_sub(before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0
}

/// Measured by the test from the target's own group, in which nobody else uses anything.
async fn cpu_stress_delivers_what_is_asked() {
    for asked in [10.0, 37.0, 50.0, 70.0, 150.0] {
        let Some(mut stage) = stage(fault("cpu_stress"), On::Simplest).await else {
            return;
        };
        stage.params = json!({ "percent": asked });
        let group = stage.group(Controller::CpuAcct);
        favour(&stage.group(Controller::Cpu));
        let undo = on(&stage).await;
        let got = percent(&group, Duration::from_secs(3)).await;
        let dose = dose(&stage, &undo).await;
        println!("asked {asked}, got {got:.2}");
        assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
        assert_eq!(off(&stage, &undo).await, Reverted::Restored);
        assert!((got - asked).abs() <= 3.0, "asked {asked}, got {got:.1}");
    }
}

async fn cpu_stress_that_cannot_have_its_share_has_not_landed() {
    let Some(mut stage) = stage(fault("cpu_stress"), On::Simplest).await else {
        return;
    };
    stage.params = json!({ "percent": "60%" });
    let limit = Stage {
        entry: fault("cpu_limit"),
        params: json!({ "percent": "20%" }),
        target: stage.target.clone(),
        cx: crate::fixture::context(),
        thing: crate::fixture::Thing::None,
        ground: crate::fixture::Ground::here(),
        network: None,
    };
    let limited = on(&limit).await;
    let undo = on(&stage).await;
    let throttled = dose(&stage, &undo).await;
    assert!(matches!(throttled.landed, Landed::No(_)), "{throttled:?}");
    off(&stage, &undo).await;
    off(&limit, &limited).await;
}

async fn cpu_stress_leaves_with_its_target() {
    let Some(stage) = stage(fault("cpu_stress"), On::Simplest).await else {
        return;
    };
    let undo = on(&stage).await;
    let group = stage
        .group(Controller::CpuAcct)
        .find_child(&stage.cx.trace_name())
        .unwrap()
        .unwrap();
    assert_eq!(group.processes().unwrap().len(), 1);
    stage.end().await;
    eventually(LIMIT, "the worker leaves with its target", || {
        group.processes().unwrap().is_empty()
    });
    off(&stage, &undo).await;
}

async fn cpu_limit_throttles() {
    let Some(group) = TestGroup::new(&[Controller::Cpu, Controller::CpuAcct]).unwrap() else {
        return skip("no control groups");
    };
    let process = TestProcess::run(["burn", "1"]).unwrap();
    group.add(&process).unwrap();
    let stage = on_process(fault("cpu_limit"), json!({ "percent": 20 }), process, &[]).await;
    favour(&stage.group(Controller::Cpu));
    let undo = on(&stage).await;
    let group = group.group(Controller::CpuAcct).unwrap();
    let got = percent(group, Duration::from_secs(2)).await;
    assert!(got < 25.0, "a quota of 20 lets {got:.1} through");
    let effect = dose(&stage, &undo).await.effect.unwrap();
    assert!(effect.starts_with("throttled in "), "{effect}");
    assert_eq!(off(&stage, &undo).await, Reverted::Restored);
}

async fn process_pause_leaves_what_was_stopped_before() {
    let Some(stage) = stage(fault("process_pause"), On::Simplest).await else {
        return;
    };
    let children = process::descendants(stage.target.process().pid).unwrap();
    let before = children[0].identity.pid;
    let state = |pid| process::status(pid).unwrap().unwrap().state;
    signal(before, 19);
    eventually(LIMIT, "it is stopped", || state(before) == 'T');
    let undo = on(&stage).await;
    assert_eq!(dose(&stage, &undo).await.landed, Landed::Yes);
    assert_eq!(off(&stage, &undo).await, Reverted::Restored);
    assert_eq!(state(before), 'T');
    assert_ne!(state(children[1].identity.pid), 'T');
    signal(before, 18);
}

/// Somebody lowers the hard limit, above which no soft limit goes: to a number between, and to our own.
async fn fd_exhaustion_is_taken_off_as_far_as_a_lower_hard_limit_lets() {
    for to_ours in [false, true] {
        let Some(stage) = stage(fault("fd_exhaustion"), On::Simplest).await else {
            return;
        };
        let pid = stage.target.process().pid;
        let before: u64 = stage.value().parse().unwrap();
        let undo = on(&stage).await;
        let ours: u64 = stage.value().parse().unwrap();
        let hard = if to_ours { ours } else { before - 1 };
        limits::lower_hard_limit_of_descriptors(pid, hard).unwrap();
        for _ in 0..2 {
            let reverted = (stage.entry.revert)(&undo, &stage.cx).await.unwrap();
            let seen = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
            let Reverted::Foreign {
                before: b,
                ours: o,
                now,
            } = reverted
            else {
                panic!("{reverted:?}")
            };
            assert_eq!((b, o), (before.to_string(), ours.to_string()));
            assert_eq!(now.split(',').next(), Some(hard.to_string().as_str()));
            assert!(matches!(seen, Seen::Foreign(_)), "{seen:?}");
            assert_eq!(limits::descriptor_limit(pid).unwrap(), Some((hard, hard)));
        }
    }
}

/// Version 1 takes no memory limit above that of memory and swap together, which is somebody else's now.
async fn memory_limit_is_taken_off_as_far_as_a_foreign_limit_of_swap_lets() {
    const BOTH: &str = "memory.memsw.limit_in_bytes";
    let Some(stage) = stage(fault("memory_limit"), On::Simplest).await else {
        return;
    };
    let group = stage.group(Controller::Memory);
    if group.version() == Version::V2 || !group.has(BOTH).unwrap() {
        return skip("no limit of memory and swap together");
    }
    let before = stage.value();
    let undo = on(&stage).await;
    group.write(BOTH, "100663296").unwrap();
    for _ in 0..2 {
        let reverted = (stage.entry.revert)(&undo, &stage.cx).await.unwrap();
        let seen = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
        let foreign = Reverted::Foreign {
            before: before.clone(),
            ours: "67108864".to_owned(),
            now: "100663296".to_owned(),
        };
        assert_eq!(reverted, foreign);
        assert!(matches!(&seen, Seen::Foreign(what) if what.contains(BOTH)), "{seen:?}");
        assert_eq!(stage.value(), "100663296", "as far as the kernel lets");
        assert_eq!(group.read(BOTH).unwrap(), "100663296", "a stranger's");
    }
    // What a person is told to type works in its order.
    for command in (stage.entry.manual)(&undo).unwrap() {
        let (value, path) = command.strip_prefix("echo ").unwrap().split_once(" > ").unwrap();
        std::fs::write(path, value).unwrap();
    }
    assert_eq!((stage.value(), group.read(BOTH).unwrap()), (before.clone(), before));
}

/// A child that is started while the limit is low has it, too, and would keep it for ever.
async fn fd_exhaustion_is_taken_from_those_who_inherited_it() {
    let process = TestProcess::run(["fork-later"]).unwrap();
    let pid = process.pid();
    // The last handler that it installs.
    eventually(LIMIT, "the process can be told", || {
        process::reaction(pid, 10).unwrap() == Some(process::Reaction::Handled)
    });
    let stage = on_process(fault("fd_exhaustion"), json!({ "reserve": 8 }), process, &[]).await;
    let before = stage.value();
    let undo = on(&stage).await;
    signal(pid, 10);
    let mut child = 0;
    eventually(LIMIT, "a child was started", || {
        let found = process::offspring(pid).unwrap();
        child = found.first().copied().unwrap_or(0);
        found.len() == 1 && process::reaction(child, 15).unwrap() == Some(process::Reaction::Handled)
    });
    let limit = || {
        fracas_linux::limits::descriptor_limit(child)
            .unwrap()
            .unwrap()
            .0
            .to_string()
    };
    assert_eq!(limit(), stage.value(), "it inherited the limit");
    assert_eq!(off(&stage, &undo).await, Reverted::Restored);
    let after = (limit(), stage.value());
    signal(child, 9);
    assert_eq!(after, (before.clone(), before));
}

/// A frozen process keeps the signal and stops only when it is thawed, long after the run: the undo must take the signal back.
async fn process_pause_takes_back_a_stop_that_has_not_happened_yet() {
    let Some(group) = TestGroup::new(&[Controller::Freezer]).unwrap() else {
        return skip("no control groups");
    };
    let process = TestProcess::sleep().unwrap();
    let pid = process.pid();
    group.add(&process).unwrap();
    let freezer = group.group(Controller::Freezer).unwrap();
    let stage = on_process(fault("process_pause"), json!({}), process, &["sleep"]).await;
    let undo = plan(&stage).await;
    freeze(freezer);
    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    let on = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
    let reverted = (stage.entry.revert)(&undo, &stage.cx).await.unwrap();
    let seen = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
    let state = thawed(freezer, pid);
    assert_eq!(state, 'S', "it was stopped after everything was said to be undone");
    assert!(matches!(on, Seen::Ours(_)), "{on:?}");
    assert_eq!((reverted, seen), (Reverted::Restored, Seen::Original));
}

/// Frozen, a stopped process looks like any other that is frozen (`docker pause`); once it is thawed, it would stay stopped for good.
async fn process_pause_continues_what_was_frozen_after_it_stopped() {
    let Some(group) = TestGroup::new(&[Controller::Freezer]).unwrap() else {
        return skip("no control groups");
    };
    let process = TestProcess::sleep().unwrap();
    let pid = process.pid();
    group.add(&process).unwrap();
    let freezer = group.group(Controller::Freezer).unwrap();
    let stage = on_process(fault("process_pause"), json!({}), process, &["sleep"]).await;
    let undo = on(&stage).await;
    freeze(freezer);
    let on = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
    let again = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
    let answer = crate::stranger::revert(&stage, &undo);
    let second = (stage.entry.revert)(&undo, &stage.cx).await.unwrap();
    let seen = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
    let state = thawed(freezer, pid);
    assert_eq!(state, 'S', "it was stopped after everything was said to be undone");
    assert!(matches!(on, Seen::Ours(_)), "{on:?}");
    assert!(again.unwrap_err().to_string().contains("it is stopped already"));
    assert_eq!(
        (answer.reverted, answer.seen),
        (Ok(Reverted::Restored), Ok(Seen::Original))
    );
    assert_eq!((second, seen), (Reverted::AlreadyGone, Seen::Original));
}

fn freeze(freezer: &Cgroup) {
    match freezer.version() {
        Version::V1 => freezer.write("freezer.state", "FROZEN").unwrap(),
        Version::V2 => freezer.write("cgroup.freeze", "1").unwrap(),
    }
    eventually(LIMIT, "the group is frozen", || match freezer.version() {
        Version::V1 => freezer.read("freezer.state").unwrap() == "FROZEN",
        Version::V2 => freezer.read("cgroup.events").unwrap().contains("frozen 1"),
    });
}

/// Thaws a group. The state of a process in it after that.
fn thawed(freezer: &Cgroup, pid: u32) -> char {
    match freezer.version() {
        Version::V1 => freezer.write("freezer.state", "THAWED").unwrap(),
        Version::V2 => freezer.write("cgroup.freeze", "0").unwrap(),
    }
    let mut state = 'D';
    eventually(LIMIT, "the process goes on", || {
        state = process::status(pid).unwrap().unwrap().state;
        matches!(state, 'S' | 'T')
    });
    state
}

async fn process_pause_takes_a_pattern() {
    let Some(engine) = TestDocker::get().await else { return };
    let container = TestContainer::build(&engine).mode(["fork", "2"]).start().await.unwrap();
    let pid = container.pid().await.unwrap();
    crate::fixture::ready(pid, &["fork", "2"]);
    let stage = in_container(
        fault("process_pause"),
        json!({ "pattern": "app? sleep$|exe sleep$" }),
        container,
    )
    .await;
    let undo = on(&stage).await;
    let children = process::descendants(pid).unwrap();
    assert!(children.iter().all(|child| child.state == 'T'), "{children:?}");
    assert_ne!(process::status(pid).unwrap().unwrap().state, 'T');
    assert_eq!(off(&stage, &undo).await, Reverted::Restored);
}

async fn process_kill_goes_on_until_its_count_in_a_container() {
    let Some(engine) = TestDocker::get().await else { return };
    let container = TestContainer::build(&engine).restart("always").start().await.unwrap();
    let params = json!({ "count": 2, "interval": "3s" });
    let stage = in_container(fault("process_kill"), params, container).await;
    let undo = on(&stage).await;
    eventually_async(LIMIT, "the second kill finds the successor", || async {
        dose(&stage, &undo).await.effect.as_deref() == Some("2 of 2 signals sent, 0 found nobody")
    })
    .await;
    off(&stage, &undo).await;
    // Between a kill and its restart the engine may still name the process that was killed.
    eventually_async(LIMIT, "its policy brings it back as another", || async {
        let now = stage.container().identity().await;
        now.is_ok_and(|now| now != *stage.target.process())
    })
    .await;
}

async fn process_kill_tells_an_end_from_a_handled_signal() {
    let process = TestProcess::sleep().unwrap();
    let stage = on_process(fault("process_kill"), json!({ "signal": "USR1" }), process, &[]).await;
    let undo = on(&stage).await;
    // Nobody handles it: signal(7) says that it ends the process.
    assert_eq!(dose(&stage, &undo).await.landed, Landed::Yes);
    let process = TestProcess::run(["--ignore-term", "sleep"]).unwrap();
    let stage = on_process(fault("process_kill"), json!({ "signal": "TERM" }), process, &[]).await;
    let undo = on(&stage).await;
    let dose = dose(&stage, &undo).await;
    assert!(
        dose.landed == Landed::Yes && dose.delivered.starts_with("0 of 1"),
        "{dose:?}"
    );
}

async fn process_kill_says_what_did_not_come_back() {
    let seen = async |stage: &Stage, undo: &Value| {
        assert_eq!((stage.entry.revert)(undo, &stage.cx).await, Ok(Reverted::AlreadyGone));
        (stage.entry.observe)(undo, &stage.cx).await.unwrap()
    };
    let down = Seen::Claimed("the target did not come back: nothing has started it again".to_owned());
    let process = TestProcess::sleep().unwrap();
    let stage = on_process(fault("process_kill"), json!({}), process, &[]).await;
    let undo = on(&stage).await;
    assert_eq!(seen(&stage, &undo).await, down);
    let Some(engine) = TestDocker::get().await else { return };
    for policy in ["no", "always"] {
        let container = TestContainer::build(&engine).restart(policy).start().await.unwrap();
        let stage = in_container(fault("process_kill"), json!({}), container).await;
        let undo = on(&stage).await;
        let wanted = if policy == "no" { &down } else { &Seen::Original };
        eventually_async(LIMIT, "it is seen whether it comes back", || async {
            seen(&stage, &undo).await == *wanted
        })
        .await;
    }
}

async fn container_kill_lets_the_restart_policy_act() {
    let Some(engine) = TestDocker::get().await else { return };
    let container = TestContainer::build(&engine).restart("always").start().await.unwrap();
    let stage = in_container(fault("container_kill"), json!({}), container).await;
    let undo = on(&stage).await;
    eventually_async(LIMIT, "its policy starts it", || async {
        let state = stage.container().inspect().await.unwrap().state;
        state.restart_count == 1 && state.pid.is_some()
    })
    .await;
    assert_eq!(dose(&stage, &undo).await.landed, Landed::Yes);
    assert_eq!(off(&stage, &undo).await, Reverted::AlreadyGone);
}

async fn container_kill_by_the_engine_stays_down() {
    let Some(engine) = TestDocker::get().await else { return };
    let container = TestContainer::build(&engine).restart("always").start().await.unwrap();
    let stage = in_container(fault("container_kill"), json!({ "via": "engine" }), container).await;
    let undo = on(&stage).await;
    eventually_async(LIMIT, "it is down", || async {
        !stage.container().inspect().await.unwrap().state.running
    })
    .await;
    assert_eq!(dose(&stage, &undo).await.landed, Landed::Yes);
    assert_eq!(off(&stage, &undo).await, Reverted::Restored);
    assert_eq!(stage.container().inspect().await.unwrap().state.restart_count, 0);
}

async fn container_kill_starts_it_after_its_delay() {
    let Some(engine) = TestDocker::get().await else { return };
    let container = TestContainer::build(&engine).start().await.unwrap();
    let params = json!({ "restart_delay": "300ms" });
    let stage = in_container(fault("container_kill"), params, container).await;
    let begun = Instant::now();
    let undo = on(&stage).await;
    eventually_async(LIMIT, "it is started", || async {
        let effect = dose(&stage, &undo).await.effect;
        effect.is_some_and(|effect| effect == "started again after its delay")
    })
    .await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(off(&stage, &undo).await, Reverted::AlreadyGone);
}

async fn container_restart_without_delay_is_over_after_apply() {
    let Some(engine) = TestDocker::get().await else { return };
    let container = TestContainer::build(&engine).start().await.unwrap();
    let stage = in_container(fault("container_restart"), json!({ "grace": "1s" }), container).await;
    let undo = on(&stage).await;
    assert_eq!(dose(&stage, &undo).await.landed, Landed::Yes);
    assert_eq!((stage.entry.observe)(&undo, &stage.cx).await.unwrap(), Seen::Original);
    assert_eq!(off(&stage, &undo).await, Reverted::AlreadyGone);
    assert_ne!(stage.container().identity().await.unwrap(), *stage.target.process());
}

async fn container_restart_waits_for_its_turn() {
    let Some(engine) = TestDocker::get().await else { return };
    let container = TestContainer::build(&engine).start().await.unwrap();
    let params = json!({ "grace": "1s", "stagger": "200ms" });
    let mut stage = in_container(fault("container_restart"), params, container).await;
    stage.cx.rank = 2;
    let in_flight = (stage.entry.in_flight)(&stage.params, &stage.cx).unwrap();
    assert_eq!(in_flight, Duration::from_millis(11_400));
    let begun = Instant::now();
    let undo = on(&stage).await;
    assert!(begun.elapsed() >= Duration::from_millis(400));
    off(&stage, &undo).await;
}

async fn containers_not_as_they_were_chosen_are_refused() {
    let Some(engine) = TestDocker::get().await else { return };
    let container = TestContainer::build(&engine).start().await.unwrap();
    // Paused is refused for a pause, and a container that was restarted since it was chosen for all.
    let stage = in_container(fault("container_pause"), json!({}), container).await;
    engine.pause(stage.container().id()).await.unwrap();
    let refused = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
        .await
        .unwrap_err();
    assert!(refused.what.ends_with("it is paused already"), "{refused}");
    stage.restart().await;
    for name in [
        "container_pause",
        "container_kill",
        "container_stop",
        "container_restart",
    ] {
        let entry = fault(name);
        let refused = (entry.plan)(&json!({}), &stage.target, &stage.cx).await.unwrap_err();
        assert_eq!(refused.code.id, "T004", "{refused}");
    }
}

/// Podman without root has no groups of version 1: a limit there would be that of whoever started the container.
async fn containers_without_a_group_of_their_own_are_refused() {
    for name in [
        "memory_limit",
        "cpu_limit",
        "pid_exhaustion",
        "disk_throttle",
        "memory_stress",
    ] {
        let Some(stage) = stage(fault(name), On::Simplest).await else {
            return;
        };
        let target = Target {
            kind: Kind::Container(Container {
                id: "b95a2dac3780072c0621ebe0c9db846b54e06b46dde5c30dee8d1775212e90e0".to_owned(),
                name: "web".to_owned(),
                image: "web:1".to_owned(),
                engine: "unix:///none".to_owned(),
                init: stage.target.process().clone(),
                labels: [].into(),
                ip: None,
            }),
            ..stage.target.clone()
        };
        let refused = (stage.entry.plan)(&stage.params, &target, &stage.cx).await.unwrap_err();
        assert_eq!(refused.code.id, "F001", "{refused}");
        assert!(refused.to_string().contains("group of its own"), "{refused}");
    }
}

/// What cannot be done exactly, or not at all, is said before anything is touched.
async fn plans_are_refused() {
    let cases: [(&str, Value, &str); 12] = [
        ("memory_limit", json!({ "limit": "1MiB" }), "is below 4MiB"),
        (
            "memory_limit",
            json!({ "limit": "999999TiB" }),
            "999999TiB is above the ",
        ),
        (
            "cpu_limit",
            json!({ "percent": 100_000 }),
            "100000% of a CPU is more than the",
        ),
        ("cpu_limit", json!({ "percent": 0.5 }), "below 1%"),
        ("cpu_limit", json!({ "percent": 33.33333 }), "no whole number"),
        ("cpu_stress", json!({ "percent": 0.000_000_1 }), "is below 1%"),
        ("cpu_stress", json!({ "percent": 0 }), "is no load"),
        ("cpu_stress", json!({ "percent": 100_000 }), "more than the"),
        (
            "fd_exhaustion",
            json!({ "reserve": 4_000_000_000_u32 }),
            "not below the present limit",
        ),
        (
            "process_pause",
            json!({ "pattern": "no such thing" }),
            "no process matches",
        ),
        (
            "process_pause",
            json!({ "pattern": "(" }),
            "is not a regular expression",
        ),
        ("process_kill", json!({ "count": 1001 }), "not between 1 and 1000"),
    ];
    for (name, params, why) in cases {
        let Some(mut stage) = stage(fault(name), On::Simplest).await else {
            return;
        };
        stage.params = params;
        let refused = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
            .await
            .unwrap_err();
        assert_eq!(refused.code.id, "F001", "{refused}");
        assert!(refused.to_string().contains(why), "{refused}");
    }
}
