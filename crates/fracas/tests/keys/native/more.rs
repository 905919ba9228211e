//! Parameters of faults on memory, disks, files, and of scripts, by the change that a plan says they make.

use super::inject::{changes, inject};
use crate::seen::{Look, differ, keys, look, swap};
use crate::stage::Stage;
use crate::support::Target;

changes! { places(), "@TARGET";
    key_faults_inject_memory_stress_size: "memory_stress: { size: 32MiB }" => "memory_stress: { size: 48MiB }", "holds 32.0MiB" => "holds 48.0MiB";
    key_faults_inject_memory_stress_percent: "memory_stress: { percent: 25% }" => "memory_stress: { percent: 50% }", "holds 32.0MiB" => "holds 64.0MiB";
    key_faults_inject_memory_stress_victim: "memory_stress: { size: 32MiB, victim: stress }" => "memory_stress: { size: 32MiB, victim: target }", "takes the worker" => "takes what is largest";
    key_faults_inject_disk_fill_path: "disk_fill: { path: /dev/shm, size: 8MiB }" => "disk_fill: { path: '@SHM', size: 8MiB }", "in /dev/shm," => "in @SHM,";
    key_faults_inject_disk_fill_size: "disk_fill: { path: /dev/shm, size: 8MiB }" => "disk_fill: { path: /dev/shm, size: 4MiB }", "takes 8.0MiB" => "takes 4.0MiB";
    key_faults_inject_disk_io_path: "disk_io: { path: '@DIR' }" => "disk_io: { path: '@DIR/below' }", "in @DIR," => "in @DIR/below,";
    key_faults_inject_disk_io_workers: "disk_io: { path: '@DIR', workers: 1 }" => "disk_io: { path: '@DIR', workers: 3 }", "in 1 files" => "in 3 files";
    key_faults_inject_disk_io_operation: "disk_io: { path: '@DIR', operation: read }" => "disk_io: { path: '@DIR', operation: write }", "worker reads" => "worker writes";
    key_faults_inject_disk_io_block_size: "disk_io: { path: '@DIR', block_size: 64KiB }" => "disk_io: { path: '@DIR', block_size: 4KiB }", "of 64KiB" => "of 4KiB";
    key_faults_inject_file_corrupt_path: "file_corrupt: { path: '@DIR/a', offset: 0 }" => "file_corrupt: { path: '@DIR/b', offset: 0 }", "@DIR/a" => "@DIR/b";
    key_faults_inject_file_corrupt_bytes: "file_corrupt: { path: '@DIR/a', offset: 0, bytes: 16 }" => "file_corrupt: { path: '@DIR/a', offset: 0, bytes: 32 }", "16 bytes" => "32 bytes";
    key_faults_inject_file_corrupt_offset: "file_corrupt: { path: '@DIR/a', offset: 100, bytes: 16 }" => "file_corrupt: { path: '@DIR/a', offset: 200, bytes: 16 }", "100" => "200";
    key_faults_inject_file_corrupt_method: "file_corrupt: { path: '@DIR/a', offset: 0, method: random }" => "file_corrupt: { path: '@DIR/a', offset: 0, method: zero }", "become others" => "become zeros";
    key_faults_inject_file_delete_path: "file_delete: { path: '@DIR/a' }" => "file_delete: { path: '@DIR/b' }", "@DIR/a" => "@DIR/b";
    key_faults_inject_script_apply: "script: { apply: [/bin/true], revert: [/bin/true] }" => "script: { apply: [/bin/true, on], revert: [/bin/true] }", "true (at most 10s), then" => "true on (at most 10s), then";
    key_faults_inject_script_revert: "script: { apply: [/bin/true], revert: [/bin/true] }" => "script: { apply: [/bin/true], revert: [/bin/true, off] }", "true (at most 10s); in" => "true off (at most 10s); in";
    key_faults_inject_script_measure: "script: { apply: [/bin/true], revert: [/bin/true], measure: [/bin/true, a] }" => "script: { apply: [/bin/true], revert: [/bin/true], measure: [/bin/true, b] }", "true a (at" => "true b (at";
    key_faults_inject_script_check: "script: { apply: [/bin/true], revert: [/bin/true], check: [/bin/true, a] }" => "script: { apply: [/bin/true], revert: [/bin/true], check: [/bin/true, b] }", "true a (at" => "true b (at";
    key_faults_inject_script_apply_timeout: "script: { apply: [/bin/true, x], revert: [/bin/true] }" => "script: { apply: [/bin/true, x], revert: [/bin/true], apply_timeout: 3s }", "x (at most 10s)" => "x (at most 3s)";
    key_faults_inject_script_revert_timeout: "script: { apply: [/bin/true], revert: [/bin/true, x] }" => "script: { apply: [/bin/true], revert: [/bin/true, x], revert_timeout: 3s }", "x (at most 10s)" => "x (at most 3s)";
    key_faults_inject_script_measure_timeout: "script: { apply: [/bin/true], revert: [/bin/true], measure: [/bin/true, x] }" => "script: { apply: [/bin/true], revert: [/bin/true], measure: [/bin/true, x], measure_timeout: 3s }", "x (at most 10s)" => "x (at most 3s)";
    key_faults_inject_script_check_timeout: "script: { apply: [/bin/true], revert: [/bin/true], check: [/bin/true, x] }" => "script: { apply: [/bin/true], revert: [/bin/true], check: [/bin/true, x], check_timeout: 3s }", "x (at most 10s)" => "x (at most 3s)";
    key_faults_inject_script_directory: "script: { apply: [/bin/true], revert: [/bin/true], directory: /usr }" => "script: { apply: [/bin/true], revert: [/bin/true], directory: /tmp }", "; in /usr" => "; in /tmp";
    key_faults_inject_script_environment: "script: { apply: [/bin/true], revert: [/bin/true], environment: { A: x } }" => "script: { apply: [/bin/true], revert: [/bin/true], environment: { B: x } }", "with A" => "with B";
}

keys! { places(), Plan, inject!("@TARGET", "file_delete: { path: '@DIR/below', recursive: false }");
    // A directory is taken only if that is said.
    key_faults_inject_file_delete_recursive: "recursive: false" => "recursive: true", "/code", "2" => "0";
}

/// `@TARGET`: the selector of a process in control groups of its own, with 128 MiB of memory. `@DIR`: a directory with the files a and b
/// and the directory below; `@SHM`: one on a file system in memory.
fn places() -> Option<Stage> {
    let mut stage = Stage::empty();
    let target = Target::process()?;
    std::fs::write(target.memory_limit(), (128 << 20).to_string()).unwrap();
    stage.say("TARGET", &target.selector);
    stage.keep(target);
    let directory = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        std::fs::write(directory.path().join(name), [7; 4096]).unwrap();
    }
    std::fs::create_dir(directory.path().join("below")).unwrap();
    stage.say("DIR", directory.path().display());
    stage.keep(directory);
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    stage.say("SHM", memory.path().display());
    stage.keep(memory);
    Some(stage)
}

/// What is planned for this fault.
#[track_caller]
fn planned(stage: &Stage, document: &str) -> String {
    let seen = look(stage, Look::Plan, document);
    let change = seen["out"]["changes"][0]["change"].as_str();
    change
        .unwrap_or_else(|| panic!("nothing is planned: {seen:#}"))
        .to_owned()
}

#[test]
fn key_faults_inject_disk_fill_percent() {
    let Some(stage) = places() else { return };
    let base = inject!("@TARGET", "disk_fill: { path: /dev/shm, percent: 1% }");
    let (one, other) = (planned(&stage, base), planned(&stage, &swap(base, "1%", "2%")));
    assert!(one.contains("MiB in /dev/shm") && one != other, "{one}; {other}");
}

#[test]
fn key_faults_inject_disk_fill_allow_root_device() {
    let Some(mut stage) = places() else { return };
    // The device of the state directory is never filled.
    let state = stage.text("@SHM/state");
    stage.cli.set("FRACAS_STATE", &state);
    differ(
        &stage,
        Look::Plan,
        inject!(
            "@TARGET",
            "disk_fill: { path: /, size: 1MiB, allow_root_device: false }"
        ),
        ("false", "true"),
        "/code",
        ("2", "0"),
    );
}

/// Two limits of the disk below a container differ in what is planned.
#[track_caller]
fn throttles(old: &str, new: &str) {
    let Some(stage) = Stage::container() else { return };
    let base = inject!("container: { name: '@C-1' }", "disk_throttle: { path: /, LIMIT }");
    let of = |limit: &str| planned(&stage, &swap(base, "LIMIT", limit));
    let (one, other) = (of(old), of(new));
    assert!(one.starts_with("disk ") && one != other, "{one}; {other}");
}

#[test]
fn key_faults_inject_disk_throttle_path() {
    let Some(stage) = Stage::container() else { return };
    differ(
        &stage,
        Look::Plan,
        inject!(
            "container: { name: '@C-1' }",
            "disk_throttle: { path: /etc, read_bps: 1MiB }"
        ),
        ("path: /etc", "path: /nowhere"),
        "/code",
        ("0", "2"),
    );
}

#[test]
fn key_faults_inject_disk_throttle_read_bps() {
    throttles("read_bps: 1MiB", "read_bps: 2MiB");
}

#[test]
fn key_faults_inject_disk_throttle_write_bps() {
    throttles("write_bps: 1MiB", "write_bps: 2MiB");
}

#[test]
fn key_faults_inject_disk_throttle_read_iops() {
    throttles("read_iops: 10", "read_iops: 20");
}

#[test]
fn key_faults_inject_disk_throttle_write_iops() {
    throttles("write_iops: 10", "write_iops: 20");
}
