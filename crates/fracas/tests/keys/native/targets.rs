//! Which targets are chosen.

use fracas_lab::TestGroup;
use fracas_linux::cgroup::{Cgroup, Controller};

use crate::seen::{Look, differ, keys, look, swap};
use crate::stage::Stage;

/// A document with this target.
macro_rules! on {
    ($target:literal) => {
        concat!(
            "apiVersion: fracas.dev/v1\nkind: Experiment\nmetadata: { name: base }\nseed: 1\ntargets:\n  - { alias: it, ",
            $target,
            " }\nfaults:\n  - { name: f, target: it, inject: { process_pause: {} } }\nduration: 20s\n"
        )
    };
}

keys! { Stage::pair(), Targets, on!("process: { pid_file: '@A' }");
    key_targets_process_pid_file: "@A" => "@B", "/out/aliases/0/chosen/0", "-a 60000" => "-b 60000";
}

keys! { Stage::pair(), Targets, on!("process: { command: '.*@NAME-a.*' }");
    key_targets_process_command: "@NAME-a" => "@NAME-b", "/out/aliases/0/chosen/0", "-a 60000" => "-b 60000";
}

keys! { Stage::pair(), Targets, on!("process: { name: 'fracas-lab.*', command: '.*@NAME.*' }");
    key_targets_process_name: "fracas-lab.*" => "fracas-l", "/count", "2" => "0";
}

keys! { Stage::empty().with_service().with_silence(), Targets, on!("process: { port: @PORT, command: '.*' }");
    // The other port is the test's own, and whoever started Fracas is protected.
    key_targets_process_port: "port: @PORT" => "port: @MUTE", "/count", "1" => "0";
}

keys! { Stage::four(), Targets, on!("process: { command: '.*@NAME.*' }, blast_radius: { percent: 50% }");
    key_targets_blast_radius_percent: "50%" => "75%", "/count", "2" => "3";
}

keys! { Stage::four(), Targets, on!("process: { command: '.*@NAME.*' }, blast_radius: { percent: 0%, at_least: 1 }");
    key_targets_blast_radius_at_least: "at_least: 1" => "at_least: 3", "/count", "1" => "3";
}

keys! { Stage::four(), Targets, on!("process: { command: '.*@NAME.*' }, blast_radius: { at_most: 0 }");
    key_targets_blast_radius_at_most: "at_most: 0" => "at_most: 2", "/count", "4" => "2";
}

keys! { Stage::four(), Targets, on!("process: { command: '.*@NAME.*' }, blast_radius: { leave_healthy: 0 }");
    key_targets_blast_radius_leave_healthy: "leave_healthy: 0" => "leave_healthy: 3", "/count", "4" => "1";
}

keys! { Stage::containers(), Targets, on!("container: { name: '@C-1' }");
    key_targets_container_name: "@C-1" => "@C-[2]", "/out/aliases/0/chosen", "[\"@C-1\"]" => "[\"@C-2\"]";
}

keys! { Stage::containers(), Targets, on!("container: { name: '@C-.', labels: { number: '1' } }");
    key_targets_container_labels: "'1'" => "'2'", "/out/aliases/0/chosen", "[\"@C-1\"]" => "[\"@C-2\"]";
}

keys! { Stage::containers(), Targets, on!("container: { id: '@ID1' }");
    key_targets_container_id: "@ID1" => "@ID2", "/out/aliases/0/chosen", "[\"@C-1\"]" => "[\"@C-2\"]";
}

keys! { Stage::containers(), Targets, on!("container: { compose_service: '@C-1' }");
    key_targets_container_compose_service: "@C-1" => "@C-2", "/out/aliases/0/chosen", "[\"@C-1\"]" => "[\"@C-2\"]";
}

#[test]
fn key_targets_container_image() {
    let Some(mut stage) = Stage::containers() else { return };
    stage.say("IMAGE", fracas_lab::image_name().unwrap());
    differ(
        &stage,
        Look::Targets,
        on!("container: { name: '@C-.', image: '@IMAGE' }"),
        ("@IMAGE", "nobody/nothing"),
        "/count",
        ("2", "0"),
    );
}

/// The faults name the alias, and so does whatever is told of the targets.
#[test]
fn key_targets_alias() {
    let stage = Stage::pair();
    let base = on!("process: { pid_file: '@A' }");
    let renamed = swap(base, "alias: it", "alias: that");
    differ(
        &stage,
        Look::Plan,
        base,
        ("alias: it", "alias: that"),
        "/code",
        ("0", "2"),
    );
    let both = swap(&renamed, "target: it", "target: that");
    assert_eq!(look(&stage, Look::Plan, base)["out"]["targets"][0]["alias"], "it");
    assert_eq!(look(&stage, Look::Plan, &both)["out"]["targets"][0]["alias"], "that");
}

/// Two groups with a process in each.
fn grouped(groups: &[&Cgroup; 2]) -> Stage {
    let mut stage = Stage::empty();
    for (group, word) in groups.iter().zip(["a", "b"]) {
        let pid = stage.process(word, &["log", &format!("fracas-group-{word}"), "60000"]);
        group.add(pid).unwrap();
    }
    stage
}

#[test]
fn key_targets_process_cgroup() {
    let group = || TestGroup::new(&[Controller::Pids]).unwrap();
    let (Some(one), Some(other)) = (group(), group()) else {
        return fracas_lab::skip("no control group can be made");
    };
    let mut stage = grouped(&[
        one.group(Controller::Pids).unwrap(),
        other.group(Controller::Pids).unwrap(),
    ]);
    stage.say("ONE", one.name());
    stage.say("OTHER", other.name());
    differ(
        &stage,
        Look::Targets,
        on!("process: { cgroup: '/@ONE' }"),
        ("/@ONE", "/@OTHER"),
        "/out/aliases/0/chosen/0",
        ("fracas-group-a", "fracas-group-b"),
    );
    drop(stage);
}

/// A unit is a part of the path of a control group, whoever made it.
#[test]
fn key_targets_process_systemd_unit() {
    let Some(slice) = TestGroup::new(&[Controller::Pids]).unwrap() else {
        return fracas_lab::skip("no control group can be made");
    };
    let slice_group = slice.group(Controller::Pids).unwrap();
    let names = ["one", "two"].map(|unit| format!("{}-{unit}.service", slice.name()));
    let units = names.each_ref().map(|name| slice_group.child(name).unwrap());
    let mut stage = grouped(&[&units[0], &units[1]]);
    stage.say("ONE", &names[0]);
    stage.say("TWO", &names[1]);
    differ(
        &stage,
        Look::Targets,
        on!("process: { systemd_unit: '@ONE' }"),
        ("@ONE", "@TWO"),
        "/out/aliases/0/chosen/0",
        ("fracas-group-a", "fracas-group-b"),
    );
    drop(stage);
    for name in &names {
        let gone = || slice_group.remove_child(name).is_ok();
        fracas_lab::eventually(crate::support::LIMIT, "the unit's group is empty", gone);
    }
}
