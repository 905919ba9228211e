//! What the loads and fills really do, by other figures than their own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fracas_core::record::{Landed, Reverted};
use fracas_core::target::{Kind, Target};
use fracas_lab::{TestContainer, TestDocker, TestGroup, TestProcess, eventually, skip};
use fracas_linux::cgroup::{Cgroup, Controller, Version};
use fracas_linux::churn::traffic;
use fracas_linux::file::{Room, room};
use fracas_linux::mount::Backing;
use fracas_linux::process;
use serde_json::{Value, json};

use crate::fixture::{Ground, LIMIT, On, Stage, Thing, in_container, on_process, signal, stage};
use crate::more::{dose, fault, off, on, plan};

tests! {
    memory_stress_is_what_the_group_shows,
    memory_stress_takes_a_share_of_the_limit,
    memory_stress_is_the_first_that_the_killer_takes,
    memory_stress_is_spared_where_the_target_is_the_victim,
    memory_stress_that_does_not_fit_is_refused,
    disk_fill_is_what_df_shows_and_leaves_the_application_alone,
    disk_fill_is_gone_with_its_holder,
    disk_fill_never_leaves_the_target,
    disk_fill_spares_the_host,
    disk_io_makes_the_disk_work,
    disk_io_is_refused_without_a_disk,
    disk_throttle_slows_the_target_down,
    disk_throttle_restores_the_limit_that_was_there,
}

const MIB: u64 = 1 << 20;
const CONTROLLERS: &[Controller] = &[
    Controller::CpuAcct,
    Controller::Cpu,
    Controller::Memory,
    Controller::Pids,
];

fn in_use(group: &Cgroup) -> u64 {
    let file = match group.version() {
        Version::V1 => "memory.usage_in_bytes",
        Version::V2 => "memory.current",
    };
    group.read(file).unwrap().parse().unwrap()
}

fn limit(group: &Cgroup, bytes: u64) {
    let file = match group.version() {
        Version::V1 => "memory.limit_in_bytes",
        Version::V2 => "memory.max",
    };
    group.write(file, &bytes.to_string()).unwrap();
}

/// A stage for memory, and the group of its target. `None`: it cannot be, which was said.
async fn memory(params: Value, mode: &[&str]) -> Option<(Stage, TestGroup)> {
    let Some(group) = TestGroup::new(CONTROLLERS).unwrap() else {
        skip("no control groups");
        return None;
    };
    let process = TestProcess::run(mode).unwrap();
    group.add(&process).unwrap();
    Some((on_process(fault("memory_stress"), params, process, mode).await, group))
}

async fn memory_stress_is_what_the_group_shows() {
    for victim in ["stress", "target"] {
        let Some((stage, _group)) = memory(json!({ "size": "96MiB", "victim": victim }), &["sleep"]).await else {
            return;
        };
        let group = stage.group(Controller::Memory);
        let before = in_use(&group);
        let undo = on(&stage).await;
        let dose = dose(&stage, &undo).await;
        let during = in_use(&group);
        assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
        assert_eq!(dose.effect.as_deref(), Some("the memory killer took nobody"));
        assert_eq!(off(&stage, &undo).await, Reverted::Restored);
        let after = in_use(&group);
        assert!(during >= before + 91 * MIB, "{victim}: {before}, then {during}");
        assert!(during <= before + 130 * MIB, "{victim}: {before}, then {during}");
        assert!(
            after <= before + 16 * MIB,
            "{victim}: {before}, then {during}, then {after}"
        );
    }
}

async fn memory_stress_takes_a_share_of_the_limit() {
    let Some((stage, _group)) = memory(json!({ "percent": "50%" }), &["sleep"]).await else {
        return;
    };
    let group = stage.group(Controller::Memory);
    let refused = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
    let refused = refused.unwrap_err();
    assert!(
        refused.to_string().contains("no limit of which 50% could be taken"),
        "{refused}"
    );
    limit(&group, 192 * MIB);
    let before = in_use(&group);
    let undo = on(&stage).await;
    let dose = dose(&stage, &undo).await;
    let during = in_use(&group);
    assert_eq!(
        (dose.asked.as_str(), &dose.landed),
        ("96.0MiB of memory", &Landed::Yes),
        "{dose:?}"
    );
    assert!(during >= before + 91 * MIB, "{before}, then {during}");
    off(&stage, &undo).await;
}

/// The target takes more than is left: the kernel takes the worker, and the target lives.
async fn memory_stress_is_the_first_that_the_killer_takes() {
    let Some((stage, _group)) = memory(json!({ "size": "96MiB" }), &["fill", "128"]).await else {
        return;
    };
    let group = stage.group(Controller::Memory);
    limit(&group, 192 * MIB);
    let undo = on(&stage).await;
    assert_eq!(dose(&stage, &undo).await.landed, Landed::Yes);
    let ours = group.find_child(&stage.cx.trace_name()).unwrap().unwrap();
    let pid = stage.target.process().pid;
    signal(pid, 10);
    eventually(LIMIT, "the worker is taken", || ours.processes().unwrap().is_empty());
    let dose = dose(&stage, &undo).await;
    let Landed::No(why) = &dose.landed else {
        panic!("{dose:?}")
    };
    // Who asks again before the memory of the first is free makes the kernel take a second: the target, which is told first.
    if why.contains("the target is gone") {
        let state = process::status(pid).unwrap().map(|status| status.state);
        assert!(matches!(state, None | Some('Z' | 'X')), "{state:?}, but {dose:?}");
    } else {
        assert!(why.contains("the worker is gone"), "{dose:?}");
    }
    if dose.effect.as_deref() == Some("the memory killer took 1 process") {
        assert_ne!(process::status(pid).unwrap().unwrap().state, 'Z');
    }
    assert_eq!(off(&stage, &undo).await, Reverted::Restored);
}

/// The worker fills what the largest process of the group needs: the kernel takes that one, and the worker holds what was asked.
async fn memory_stress_is_spared_where_the_target_is_the_victim() {
    let params = json!({ "size": "128MiB", "victim": "target" });
    let Some((stage, made)) = memory(params, &["sleep"]).await else {
        return;
    };
    let group = stage.group(Controller::Memory);
    limit(&group, 192 * MIB);
    let mut large = TestProcess::run(["fill", "128"]).unwrap();
    made.add(&large).unwrap();
    eventually(LIMIT, "it can be told", || {
        process::reaction(large.pid(), 10).unwrap() == Some(process::Reaction::Handled)
    });
    signal(large.pid(), 10);
    eventually(LIMIT, "it is large", || in_use(&group) >= 128 * MIB);
    let undo = on(&stage).await;
    eventually(LIMIT, "the large one is taken", || large.has_ended().unwrap());
    let dose = dose(&stage, &undo).await;
    // As above: then the worker is the largest that is left.
    if dose.effect.as_deref() == Some("the memory killer took 1 process") {
        assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    }
    assert_eq!(off(&stage, &undo).await, Reverted::Restored);
}

async fn memory_stress_that_does_not_fit_is_refused() {
    for (params, why) in [
        (json!({ "size": "190MiB" }), "do not fit: of its limit of 192.0MiB"),
        (json!({ "size": "8TiB" }), "more than the machine can spare"),
        (
            json!({ "size": "8TiB", "victim": "target" }),
            "more than the machine can spare",
        ),
        (json!({}), "either a `size` or a `percent`"),
    ] {
        let Some((stage, _group)) = memory(params, &["sleep"]).await else {
            return;
        };
        // What is in use already does not fit beside it.
        limit(&stage.group(Controller::Memory), 192 * MIB);
        let planned = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
        let refused = planned.unwrap_err();
        assert_eq!(refused.code.id, "F001", "{refused}");
        assert!(refused.to_string().contains(why), "{refused}");
    }
}

/// A container, whose `/dev/shm` is a file system of its own with 64 MiB.
async fn container(name: &str, params: Value) -> Option<Stage> {
    let engine = TestDocker::get().await?;
    let container = TestContainer::build(&engine).start().await.unwrap();
    Some(in_container(fault(name), params, container).await)
}

/// As df(1) shows it.
fn percent(room: Room) -> f64 {
    let used = (room.total - room.free) as f64;
    used / (used + room.available as f64) * 100.0
}

/// While it is on, what the application writes is left alone, and what does not fit is ENOSPC; and afterwards it can write again.
async fn disk_fill_is_what_df_shows_and_leaves_the_application_alone() {
    let Some(stage) = container("disk_fill", json!({ "path": "/dev/shm", "percent": "90%" })).await else {
        return;
    };
    let shm = stage.inside("/dev/shm");
    std::fs::write(shm.join("before"), vec![1; MIB as usize]).unwrap();
    let before = room(&shm).unwrap();
    let undo = on(&stage).await;
    let during = room(&shm).unwrap();
    let dose = dose(&stage, &undo).await;
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    assert!((percent(during) - 90.0).abs() <= 1.0, "{during:?}");
    // A file without a name.
    assert_eq!(std::fs::read_dir(&shm).unwrap().count(), 1);
    std::fs::write(shm.join("while"), vec![2; MIB as usize]).unwrap();
    let full = std::fs::write(shm.join("too-much"), vec![3; 16 * MIB as usize]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    std::fs::remove_file(shm.join("too-much")).unwrap();
    assert_eq!(off(&stage, &undo).await, Reverted::Restored);
    assert_eq!(std::fs::read(shm.join("before")).unwrap(), vec![1; MIB as usize]);
    assert_eq!(std::fs::read(shm.join("while")).unwrap(), vec![2; MIB as usize]);
    std::fs::write(shm.join("too-much"), vec![3; 16 * MIB as usize]).unwrap();
    std::fs::remove_file(shm.join("too-much")).unwrap();
    std::fs::remove_file(shm.join("while")).unwrap();
    assert_eq!(room(&shm).unwrap().free, before.free);
}

/// Killed without a word: the kernel gives the room back, and nobody else has to.
async fn disk_fill_is_gone_with_its_holder() {
    let Some(stage) = container("disk_fill", json!({ "path": "/dev/shm", "size": "32MiB" })).await else {
        return;
    };
    let shm = stage.inside("/dev/shm");
    let before = room(&shm).unwrap().free;
    let applier = crate::stranger::apply(&stage);
    let during = room(&shm).unwrap().free;
    assert!(during + 32 * MIB <= before, "{before}, then {during}");
    // Kills it and waits for its end.
    drop(applier);
    assert_eq!(room(&shm).unwrap().free, before);
}

/// A hostile container: whatever its links say, nothing outside is reached.
async fn disk_fill_never_leaves_the_target() {
    let Some(mut stage) = container("disk_fill", json!({})).await else {
        return;
    };
    let shm = stage.inside("/dev/shm");
    let host = || room(&PathBuf::from("/dev/shm")).unwrap().free;
    // For the container this is its own /dev/shm; joined to its root by a path of ours it would be the host's.
    for (name, to) in [("absolute", "/dev/shm"), ("climbs", "../../../../../../dev/shm")] {
        std::os::unix::fs::symlink(to, shm.join(name)).unwrap();
        stage.params = json!({ "path": format!("/dev/shm/{name}"), "size": "16MiB" });
        let (before, outside) = (room(&shm).unwrap().free, host());
        let undo = on(&stage).await;
        let during = room(&shm).unwrap().free;
        let outside_during = host();
        off(&stage, &undo).await;
        assert!(during + 16 * MIB <= before, "{name}: {before}, then {during}");
        assert!(outside_during + 8 * MIB > outside, "{name}: the host's lost room");
    }
    std::os::unix::fs::symlink("/proc/1/root/dev/shm", shm.join("magic")).unwrap();
    std::os::unix::fs::symlink("/proc/self/cwd", shm.join("own")).unwrap();
    std::fs::write(shm.join("file"), "x").unwrap();
    for (path, why) in [
        ("/dev/shm/magic", "a link of /proc"),
        // We are no process of that /proc.
        ("/dev/shm/own", "No such file"),
        ("/proc/1/root", "a link of /proc"),
        ("/dev/shm/file", "no directory"),
        ("/dev/null", "no directory"),
        ("/dev/shm/none", "No such file"),
        ("/proc", "no room of its own"),
        ("dev/shm", "does not begin with a slash"),
    ] {
        stage.params = json!({ "path": path, "size": "1MiB" });
        let planned = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
        let refused = planned.unwrap_err();
        assert_eq!(refused.code.id, "F001", "{refused}");
        assert!(refused.to_string().contains(why), "{path}: {refused}");
    }
}

async fn disk_fill_spares_the_host() {
    let Some(mut stage) = stage(fault("disk_fill"), On::Simplest).await else {
        return;
    };
    let refused = async |stage: &Stage| {
        let planned = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
        planned.unwrap_err().to_string()
    };
    stage.params = json!({ "path": "/", "size": "1MiB" });
    let said = refused(&stage).await;
    assert!(said.contains("the device of the host's root directory"), "{said}");
    stage.params = json!({ "path": "/", "size": "100TiB", "allow_root_device": true });
    let said = refused(&stage).await;
    assert!(said.contains("left to the host"), "{said}");
    stage.cx.state = "/".into();
    let said = refused(&stage).await;
    assert!(said.contains("FRACAS_STATE"), "{said}");
    stage.cx.state = crate::fixture::NO_STATE.into();
    stage.params = json!({ "path": "/dev/shm", "size": "100TiB" });
    let said = refused(&stage).await;
    assert!(said.contains("is more than may be taken"), "{said}");
    // The files of a container are on a device of the host's, whatever its own mount table calls it.
    let Some(mut stage) = container("disk_fill", json!({ "path": "/", "size": "1MiB" })).await else {
        return;
    };
    let root = Backing::of_path(&PathBuf::from("/")).unwrap();
    let directory = std::fs::File::open(stage.inside("/")).unwrap();
    let layer = Backing::of(&directory, stage.target.process().pid).unwrap();
    assert_ne!(layer.kind, "overlay");
    if layer.device == root.device {
        let said = refused(&stage).await;
        assert!(said.contains("the device of the host's root directory"), "{said}");
        stage.params = json!({ "path": "/", "size": "1MiB", "allow_root_device": true });
        let undo = plan(&stage).await;
        assert_eq!(undo["bytes"], MIB);
    }
}

/// Sectors of 512 bytes that a disk has read and written (Documentation/block/stat.rst), whoever asked for them.
fn sectors(disk: &str) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/sys/dev/block/{disk}/stat")).unwrap();
    let fields: Vec<u64> = text
        .split_ascii_whitespace()
        .map(|field| field.parse().unwrap())
        .collect();
    (fields[2], fields[6])
}

/// A container has nothing but a program, and its root is an overlay: the disk below it works all the same.
async fn disk_io_makes_the_disk_work() {
    for operation in ["read", "write", "all"] {
        let params = json!({ "path": "/", "operation": operation, "workers": 2, "block_size": "64KiB" });
        let Some(stage) = container("disk_io", params).await else {
            return;
        };
        let names = || {
            let mut names: Vec<_> = std::fs::read_dir(stage.inside("/"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        let (before, disk) = (names(), stage.disk());
        let undo = on(&stage).await;
        // What is read was written at first.
        assert_eq!(dose(&stage, &undo).await.landed, Landed::Yes);
        let from = sectors(&disk);
        let dose = dose(&stage, &undo).await;
        let to = sectors(&disk);
        assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
        let (read, written) = (to.0 - from.0, to.1 - from.1);
        assert!(
            operation == "write" || read * 512 >= MIB / 4,
            "{operation}: {read} sectors, {dose:?}"
        );
        assert!(
            operation == "read" || written * 512 >= MIB / 4,
            "{operation}: {written} sectors, {dose:?}"
        );
        assert_eq!(names(), before, "a file has a name");
        assert_eq!(off(&stage, &undo).await, Reverted::Restored);
        assert_eq!(names(), before);
    }
}

async fn disk_io_is_refused_without_a_disk() {
    for (params, why) in [
        (json!({ "path": "/dev/shm" }), "is on no disk but on tmpfs"),
        (json!({ "path": "/proc" }), "is on no disk"),
        (json!({ "path": "/", "workers": 65 }), "not from 1 to 64"),
        (json!({ "path": "/", "block_size": 5000 }), "in steps of 4KiB"),
        (json!({ "path": "/", "block_size": "32MiB" }), "in steps of 4KiB"),
        (json!({ "path": "/none" }), "No such file"),
    ] {
        let Some(mut stage) = stage(fault("disk_io"), On::Simplest).await else {
            return;
        };
        stage.params = params;
        let planned = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
        let refused = planned.unwrap_err();
        assert!(
            refused.code.id == "F001" && refused.to_string().contains(why),
            "{refused}"
        );
    }
}

/// The worker of another fault is the target: it reads past the cache, as fast as it may.
async fn disk_throttle_slows_the_target_down() {
    let Some(mut load) = stage(fault("disk_io"), On::Simplest).await else {
        return;
    };
    load.params = json!({ "path": "/", "operation": "read", "block_size": "64KiB" });
    let loaded = on(&load).await;
    assert_eq!(dose(&load, &loaded).await.landed, Landed::Yes);
    let group = load.group(Controller::Blkio).find_child(&load.cx.trace_name()).unwrap();
    let pid = group.unwrap().processes().unwrap()[0];
    let status = process::status(pid).unwrap().unwrap();
    let reader = Stage {
        entry: fault("disk_throttle"),
        params: json!({ "path": "/", "read_bps": "256KiB" }),
        target: Target {
            alias: "reader".to_owned(),
            identity: "reader".to_owned(),
            kind: Kind::Process(fracas_core::target::Process {
                process: status.identity,
                command: status.command,
            }),
        },
        cx: crate::fixture::context(),
        thing: Thing::None,
        ground: Ground::here(),
        network: None,
    };
    let rate = async || {
        let (before, begun) = (traffic(pid).unwrap().unwrap().read, Instant::now());
        // tidy: sleep because what is read in this time is what is measured
        tokio::time::sleep(Duration::from_secs(3)).await;
        let read = traffic(pid).unwrap().unwrap().read - before;
        read as f64 / begun.elapsed().as_secs_f64()
    };
    let free = rate().await;
    let undo = on(&reader).await;
    let slow = rate().await;
    let dose = dose(&reader, &undo).await;
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    assert_eq!(off(&reader, &undo).await, Reverted::Restored);
    let after = rate().await;
    off(&load, &loaded).await;
    let limit = 256.0 * 1024.0;
    assert!(
        free > 4.0 * limit && after > 4.0 * limit,
        "free {free}, slow {slow}, after {after}"
    );
    assert!(slow < 1.5 * limit, "free {free}, slow {slow}, after {after}");
}

async fn disk_throttle_restores_the_limit_that_was_there() {
    let Some(mut stage) = stage(fault("disk_throttle"), On::Simplest).await else {
        return;
    };
    stage.params = json!({ "path": "/", "read_bps": "1MiB", "write_iops": 7 });
    stage.set("5000000");
    let undo = on(&stage).await;
    assert_eq!(stage.value().trim_start_matches("rbps="), "1048576");
    assert_eq!(off(&stage, &undo).await, Reverted::Restored);
    assert_eq!(stage.value().trim_start_matches("rbps="), "5000000");
    for (params, why) in [
        (
            json!({ "path": "/", "read_bps": 5_000_000 }),
            "holds that limit already",
        ),
        (json!({ "path": "/" }), "none of `read_bps`"),
        (json!({ "path": "/", "read_iops": 0 }), "lets nothing through"),
        (
            json!({ "path": "/dev/shm", "read_iops": 5 }),
            "on no disk of this machine but on tmpfs",
        ),
    ] {
        let planned = (stage.entry.plan)(&params, &stage.target, &stage.cx).await;
        let refused = planned.unwrap_err();
        assert!(
            refused.code.id == "F001" && refused.to_string().contains(why),
            "{refused}"
        );
    }
}
