//! Files that are broken while their application goes on, their container stops, or somebody tries to lead Fracas elsewhere.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fracas_core::record::{Landed, Reverted, Seen};
use fracas_core::seed::Seed;
use fracas_faults::find;
use fracas_lab::{TestContainer, TestDocker};
use serde_json::{Value, json};

use crate::Test;
use crate::fixture::{AT, Ground, On, Stage, VICTIM, in_container, stage};
use crate::stranger;

/// All of them, by name.
pub const ALL: &[Test] = &[
    ("file_corrupt_leaves_what_the_application_writes", || {
        Box::pin(written_meanwhile())
    }),
    (
        "file_corrupt_follows_a_file_that_is_renamed_and_not_its_successor",
        || Box::pin(rotated()),
    ),
    (
        "file_corrupt_leaves_a_file_that_took_the_place",
        || Box::pin(replaced()),
    ),
    ("file_corrupt_draws_from_the_seed", || Box::pin(drawn())),
    ("file_delete_leaves_a_newcomer_and_says_where_the_old_one_is", || {
        Box::pin(newcomer())
    }),
    ("file_delete_tells_of_a_kept_file_that_somebody_deleted", || {
        Box::pin(lost())
    }),
    ("file_delete_takes_directories_only_if_told", || Box::pin(directories())),
    ("files_of_a_container_that_stopped_are_put_back_by_a_stranger", || {
        Box::pin(stopped())
    }),
    ("files_in_a_mount_are_put_back_when_the_container_was_removed", || {
        Box::pin(removed())
    }),
    ("file_delete_of_the_image_s_own_is_put_back_while_it_is_stopped", || {
        Box::pin(stopped_image())
    }),
    ("files_that_cannot_be_put_back_or_are_none_are_refused", || {
        Box::pin(refused())
    }),
    ("a_hostile_container_leads_nowhere_outside", || Box::pin(escapes())),
    (
        "a_hostile_container_that_swaps_directories_for_links_leads_nowhere_outside",
        || Box::pin(races()),
    ),
];

async fn on_file(fault: &str, on: On, change: impl FnOnce(&mut Value)) -> Option<Stage> {
    let mut stage = stage(find(fault).unwrap(), on).await?;
    change(&mut stage.params);
    Some(stage)
}

async fn plan(stage: &Stage) -> fracas_core::problem::Result<Value> {
    (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await
}

async fn on(stage: &Stage) -> Value {
    let undo = plan(stage).await.unwrap();
    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    let dose = (stage.entry.measure)(&stage.params, &undo, &stage.cx).await.unwrap();
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    undo
}

async fn off(stage: &Stage, undo: &Value) -> (Reverted, Seen) {
    let reverted = (stage.entry.revert)(undo, &stage.cx).await.unwrap();
    (reverted, (stage.entry.observe)(undo, &stage.cx).await.unwrap())
}

/// A byte that is neither of two.
fn other(one: u8, two: u8) -> u8 {
    (0..3).find(|byte| *byte != one && *byte != two).unwrap()
}

async fn written_meanwhile() {
    let Some(stage) = on_file("file_corrupt", On::Simplest, |params| {
        params["method"] = json!("random");
    })
    .await
    else {
        return;
    };
    let mode = fs::metadata(stage.file(VICTIM)).unwrap().mode();
    let undo = on(&stage).await;
    let broken = fs::read(stage.file(VICTIM)).unwrap();
    let differ = |range: std::ops::Range<usize>| {
        broken[range.clone()]
            .iter()
            .zip(&Ground::text()[range])
            .all(|(a, b)| a != b)
    };
    assert!(differ(AT..AT + 700), "every byte becomes another");
    assert_eq!(
        (&broken[..AT], &broken[AT + 700..]),
        (&Ground::text()[..AT], &Ground::text()[AT + 700..])
    );
    // The application writes into the range, beside it, and at the end.
    let place = AT + 300..AT + 310;
    let theirs: Vec<u8> = place.clone().map(|at| other(broken[at], Ground::text()[at])).collect();
    stage.overwrite(place.start, &theirs);
    stage.overwrite(10, b"beside");
    stage.overwrite(4096, b"more");
    let mut wanted = Ground::text();
    wanted.extend_from_slice(b"more");
    wanted[place.clone()].copy_from_slice(&theirs);
    wanted[10..16].copy_from_slice(b"beside");
    for _ in 0..2 {
        let (reverted, seen) = off(&stage, &undo).await;
        assert!(matches!(reverted, Reverted::Foreign { .. }), "{reverted:?}");
        assert!(
            matches!(&seen, Seen::Foreign(what) if what.starts_with("10 of 700 bytes at 1000")),
            "{seen:?}"
        );
        assert!(
            fs::read(stage.file(VICTIM)).unwrap() == wanted,
            "only what was ours is put back"
        );
    }
    assert_eq!(fs::metadata(stage.file(VICTIM)).unwrap().mode(), mode);
}

async fn rotated() {
    let Some(stage) = on_file("file_corrupt", On::Simplest, |_| {}).await else {
        return;
    };
    let undo = on(&stage).await;
    fs::rename(stage.file(VICTIM), stage.file("victim.1")).unwrap();
    fs::write(stage.file(VICTIM), vec![0; 4096]).unwrap();
    assert_eq!(off(&stage, &undo).await, (Reverted::Restored, Seen::Original));
    assert!(fs::read(stage.file("victim.1")).unwrap() == Ground::text());
    assert!(
        fs::read(stage.file(VICTIM)).unwrap() == [0; 4096],
        "zeroes of somebody else's"
    );
}

async fn replaced() {
    for method in ["random", "zero"] {
        let Some(stage) = on_file("file_corrupt", On::Simplest, |params| params["method"] = json!(method)).await else {
            return;
        };
        let undo = on(&stage).await;
        fs::write(stage.file("new"), vec![9; 4096]).unwrap();
        fs::rename(stage.file("new"), stage.file(VICTIM)).unwrap();
        let (reverted, seen) = off(&stage, &undo).await;
        assert!(
            matches!(&reverted, Reverted::Foreign { now, .. } if now == "another file"),
            "{reverted:?}"
        );
        assert!(
            matches!(&seen, Seen::Foreign(what) if what.contains("another file is at")),
            "{seen:?}"
        );
        assert!(fs::read(stage.file(VICTIM)).unwrap() == [9; 4096]);
        // Whether it was deleted or moved away nobody can know.
        fs::remove_file(stage.file(VICTIM)).unwrap();
        let (reverted, seen) = off(&stage, &undo).await;
        assert!(matches!(reverted, Reverted::Foreign { .. }), "{reverted:?}");
        assert!(
            matches!(&seen, Seen::Foreign(what) if what.contains("is not in its directory")),
            "{seen:?}"
        );
    }
}

async fn drawn() {
    let Some(mut stage) = on_file("file_corrupt", On::Simplest, |params| {
        *params = json!({ "path": params["path"] });
    })
    .await
    else {
        return;
    };
    let first = plan(&stage).await.unwrap();
    assert_eq!(plan(&stage).await.unwrap(), first);
    let mut offsets = std::collections::BTreeSet::new();
    for seed in 0..20 {
        stage.cx.seed = Seed(seed);
        let undo = plan(&stage).await.unwrap();
        offsets.insert(undo["range"]["offset"].as_u64().unwrap());
    }
    assert!(
        offsets.len() > 10 && offsets.iter().all(|offset| *offset <= 4096 - 512),
        "{offsets:?}"
    );
    // Another offset with the same seed changes other bytes.
    let undo = on(&stage).await;
    assert_eq!(off(&stage, &undo).await, (Reverted::Restored, Seen::Original));
    assert!(fs::read(stage.file(VICTIM)).unwrap() == Ground::text());
}

async fn newcomer() {
    let Some(stage) = on_file("file_delete", On::Simplest, |_| {}).await else {
        return;
    };
    let inode = fs::metadata(stage.file(VICTIM)).unwrap().ino();
    let undo = on(&stage).await;
    assert!(!stage.file(VICTIM).exists());
    fs::write(stage.file(VICTIM), "the application's own").unwrap();
    let dose = (stage.entry.measure)(&stage.params, &undo, &stage.cx).await.unwrap();
    assert!(matches!(dose.landed, Landed::No(_)), "{dose:?}");
    let kept = stage.file(&format!(".{}", stage.cx.trace_name()));
    for _ in 0..2 {
        let (reverted, seen) = off(&stage, &undo).await;
        assert!(matches!(reverted, Reverted::Foreign { .. }), "{reverted:?}");
        let Seen::Foreign(what) = seen else { panic!("{seen:?}") };
        let command = format!("mv -nT {} {}", kept.display(), stage.file(VICTIM).display());
        assert!(what.ends_with(&command), "{what}");
        let mark = format!("rm -f {}-on", kept.display());
        assert_eq!((stage.entry.manual)(&undo).unwrap(), [command, mark]);
        assert_eq!(fs::read_to_string(stage.file(VICTIM)).unwrap(), "the application's own");
        assert!(fs::read(&kept).unwrap() == Ground::text());
    }
    fs::remove_file(stage.file(VICTIM)).unwrap();
    assert_eq!(off(&stage, &undo).await, (Reverted::Restored, Seen::Original));
    assert_eq!(fs::metadata(stage.file(VICTIM)).unwrap().ino(), inode);
}

async fn lost() {
    for by_stranger in [false, true] {
        let Some(stage) = on_file("file_delete", On::Simplest, |_| {}).await else {
            return;
        };
        let undo = on(&stage).await;
        let kept = stage.file(&format!(".{}", stage.cx.trace_name()));
        fs::remove_file(&kept).unwrap();
        let seen = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
        assert!(matches!(seen, Seen::Foreign(_)), "{seen:?}");
        for _ in 0..if by_stranger { 1 } else { 2 } {
            let (reverted, seen) = if by_stranger {
                let answer = stranger::revert(&stage, &undo);
                (answer.reverted.unwrap(), answer.seen.unwrap())
            } else {
                off(&stage, &undo).await
            };
            assert!(
                matches!(&reverted, Reverted::Foreign { now, .. } if now.starts_with("neither")),
                "{reverted:?}"
            );
            assert!(
                matches!(&seen, Seen::Foreign(what) if what.ends_with("somebody took that away: it cannot be put back")),
                "{seen:?}"
            );
            assert_eq!(fs::read_dir(stage.file("")).unwrap().count(), 0);
        }
    }
}

async fn directories() {
    let Some(mut stage) = on_file("file_delete", On::Simplest, |_| {}).await else {
        return;
    };
    let folder = stage.file("folder");
    fs::create_dir_all(folder.join("below")).unwrap();
    fs::write(folder.join("below/file"), "x").unwrap();
    stage.params = json!({ "path": folder });
    let problem = plan(&stage).await.unwrap_err();
    assert!(problem.to_string().contains("`recursive: true`"), "{problem}");
    stage.params = json!({ "path": folder, "recursive": true });
    let undo = on(&stage).await;
    assert!(!folder.exists());
    assert_eq!(off(&stage, &undo).await, (Reverted::Restored, Seen::Original));
    assert_eq!(fs::read_to_string(folder.join("below/file")).unwrap(), "x");
    // A link is taken away itself; what it leads to stays.
    symlink(VICTIM, stage.file("link")).unwrap();
    stage.params = json!({ "path": stage.file("link") });
    let undo = on(&stage).await;
    assert!(stage.file(VICTIM).exists() && !stage.file("link").is_symlink());
    assert_eq!(off(&stage, &undo).await, (Reverted::Restored, Seen::Original));
    assert!(stage.file("link").is_symlink());
}

/// The usual end of a corrupted file: its application falls over it, and the container with it.
async fn stopped() {
    for fault in ["file_corrupt", "file_delete"] {
        let Some(mut stage) = on_file(fault, On::Container, |_| {}).await else {
            return;
        };
        let undo = on(&stage).await;
        let container = stage.container();
        container.engine().stop(container.id(), Duration::ZERO).await.unwrap();
        let seen = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
        assert!(matches!(seen, Seen::Ours(_)), "{fault}: {seen:?}");
        let answer = stranger::revert(&stage, &undo);
        assert_eq!(answer.reverted, Ok(Reverted::Restored), "{fault}");
        assert_eq!(answer.seen, Ok(Seen::Original), "{fault}");
        let container = stage.container();
        container.engine().start(container.id()).await.unwrap();
        stage.target = stage.target_now().await;
        assert!(fs::read(stage.file(VICTIM)).unwrap() == Ground::text(), "{fault}");
        let names: Vec<_> = fs::read_dir(stage.file(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, [VICTIM], "{fault}");
        assert_eq!(off(&stage, &undo).await, (Reverted::AlreadyGone, Seen::Original));
    }
}

/// What is mounted in a container outlives it, and what was done there with it.
async fn removed() {
    let Some(engine) = TestDocker::get().await else { return };
    for fault in ["file_corrupt", "file_delete"] {
        let ground = Ground::here();
        let make = || TestContainer::build(&engine).bind(&ground.file(""), "/data").start();
        let mut params = json!({ "path": format!("/data/{VICTIM}") });
        if fault == "file_corrupt" {
            params["bytes"] = json!(16);
        }
        let stage = in_container(find(fault).unwrap(), params, make().await.unwrap()).await;
        let undo = on(&stage).await;
        let manual = (stage.entry.manual)(&undo).unwrap().join("\n");
        assert!(
            manual.contains(&ground.file(VICTIM).display().to_string()) && !manual.contains("docker"),
            "it can be typed when there is no container: {manual}"
        );
        stage.end().await;
        let dose = (stage.entry.measure)(&stage.params, &undo, &stage.cx).await.unwrap();
        assert!(matches!(dose.landed, Landed::No(_)), "{fault}: {dose:?}");
        let seen = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
        assert!(matches!(seen, Seen::Ours(_)), "{fault}: {seen:?}");
        // Another container with the same directory is none of Fracas' business.
        let _another = make().await.unwrap();
        let answer = stranger::revert(&stage, &undo);
        assert_eq!(answer.reverted, Ok(Reverted::Restored), "{fault}");
        assert_eq!(answer.seen, Ok(Seen::Original), "{fault}");
        assert!(fs::read(ground.file(VICTIM)).unwrap() == Ground::text(), "{fault}");
        assert_eq!(fs::read_dir(ground.file("")).unwrap().count(), 1, "{fault}");
        assert_eq!(off(&stage, &undo).await, (Reverted::AlreadyGone, Seen::Original));
        // With the mount the fault is gone.
        let undo = serde_json::to_string(&undo).unwrap();
        let elsewhere = ground.file("gone").display().to_string();
        let here = ground.file("").display().to_string();
        let undo = undo.replace(here.trim_end_matches('/'), &elsewhere);
        let undo: Value = serde_json::from_str(&undo).unwrap();
        assert_eq!(
            off(&stage, &undo).await,
            (Reverted::AlreadyGone, Seen::TargetGone),
            "{undo}"
        );
    }
}

/// What comes from the image leaves a mark in the upper layer when it is taken away: that is no newcomer.
async fn stopped_image() {
    let Some(mut stage) = on_file("file_delete", On::Container, |params| params["path"] = json!("/app")).await else {
        return;
    };
    let undo = on(&stage).await;
    let container = stage.container();
    container.engine().stop(container.id(), Duration::ZERO).await.unwrap();
    let answer = stranger::revert(&stage, &undo);
    assert_eq!(
        (answer.reverted, answer.seen),
        (Ok(Reverted::Restored), Ok(Seen::Original))
    );
    // It runs again: its program is there.
    container.engine().start(container.id()).await.unwrap();
    stage.target = stage.target_now().await;
    let pid = stage.target.process().pid;
    assert!(fs::read(format!("/proc/{pid}/root/app")).unwrap() == fs::read(format!("/proc/{pid}/exe")).unwrap());
    assert_eq!(off(&stage, &undo).await, (Reverted::AlreadyGone, Seen::Original));
}

async fn refused() {
    let Some(mut stage) = on_file("file_corrupt", On::Simplest, |_| {}).await else {
        return;
    };
    fs::write(stage.file("empty"), "").unwrap();
    fs::write(stage.file("zeroes"), [0; 100]).unwrap();
    symlink("/dev/null", stage.file("device")).unwrap();
    symlink("loop", stage.file("loop")).unwrap();
    fs::create_dir(stage.file("state")).unwrap();
    fs::write(stage.file("state/ledger"), "x").unwrap();
    stage.cx.state = stage.file("state");
    let path = |name: &str| stage.ground.file(name).display().to_string();
    let own_state = path("state");
    let cases = [
        ("file_corrupt", json!({ "path": path("none") }), "No such file"),
        ("file_corrupt", json!({ "path": path("") }), "a directory"),
        ("file_corrupt", json!({ "path": path("device") }), "a device"),
        ("file_corrupt", json!({ "path": path("loop") }), "too many links"),
        ("file_corrupt", json!({ "path": path("empty") }), "is empty"),
        (
            "file_corrupt",
            json!({ "path": path("zeroes"), "method": "zero" }),
            "nothing but zeroes",
        ),
        (
            "file_corrupt",
            json!({ "path": path(VICTIM), "offset": 4096 }),
            "ends before 4KiB",
        ),
        (
            "file_corrupt",
            json!({ "path": path(VICTIM), "bytes": "2MiB" }),
            "not from 1B to 1MiB",
        ),
        (
            "file_corrupt",
            json!({ "path": "/proc/sys/kernel/hostname" }),
            "none that keeps files",
        ),
        (
            "file_corrupt",
            json!({ "path": "/proc/self/root/etc/hostname" }),
            "a link of /proc",
        ),
        (
            "file_corrupt",
            json!({ "path": path("state/ledger") }),
            "Fracas' own state",
        ),
        (
            "file_delete",
            json!({ "path": path("state/ledger") }),
            "Fracas' own state",
        ),
        (
            "file_delete",
            json!({ "path": own_state, "recursive": true }),
            "Fracas' own state",
        ),
        (
            "file_delete",
            json!({ "path": path(""), "recursive": true }),
            "Fracas' own state",
        ),
        (
            "file_delete",
            json!({ "path": "/", "recursive": true }),
            "names no file",
        ),
        (
            "file_delete",
            json!({ "path": "/usr", "recursive": true }),
            "the machine itself rests on",
        ),
        ("file_delete", json!({ "path": "/dev/null" }), "a device"),
        ("file_delete", json!({ "path": path("none") }), "is not there"),
        (
            "file_delete",
            json!({ "path": "victim" }),
            "does not begin with a slash",
        ),
    ];
    for (fault, params, why) in cases {
        let entry = find(fault).unwrap();
        let problem = (entry.plan)(&params, &stage.target, &stage.cx).await.unwrap_err();
        assert_eq!(problem.code.id, "F001", "{params}: {problem}");
        assert!(problem.to_string().contains(why), "{params}: {problem}");
    }
    if TestDocker::get().await.is_none() {
        return;
    }
    let Some(mut stage) = on_file("file_delete", On::Container, |_| {}).await else {
        return;
    };
    // The engine mounts it from the host.
    stage.params = json!({ "path": "/etc/hosts" });
    let problem = plan(&stage).await.unwrap_err();
    assert!(problem.to_string().contains("a file system is mounted"), "{problem}");
}

/// A directory of the host with a file that must stay as it is, and paths that a container makes lead there.
struct Decoy {
    place: tempfile::TempDir,
    before: (u64, Vec<u8>),
}

impl Decoy {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join(VICTIM), Ground::text()).unwrap();
        let before = Self::look(place.path());
        Self { place, before }
    }

    fn look(place: &Path) -> (u64, Vec<u8>) {
        let names: Vec<_> = fs::read_dir(place)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, [VICTIM]);
        let file = place.join(VICTIM);
        (fs::metadata(&file).unwrap().ino(), fs::read(&file).unwrap())
    }

    fn path(&self) -> String {
        self.place.path().display().to_string()
    }

    #[track_caller]
    fn check(&self) {
        assert!(
            Self::look(self.place.path()) == self.before,
            "a file of the host was touched"
        );
    }
}

async fn escapes() {
    let Some(mut stage) = on_file("file_corrupt", On::Container, |_| {}).await else {
        return;
    };
    let decoy = Decoy::new();
    let (outside, pid) = (decoy.path(), stage.target.process().pid);
    symlink(&outside, stage.file("absolute")).unwrap();
    symlink(format!("../../../../../..{outside}"), stage.file("climbs")).unwrap();
    symlink("/proc/1/root", stage.file("magic")).unwrap();
    symlink(format!("{outside}/{VICTIM}"), stage.file("direct")).unwrap();
    let host = std::process::id();
    let paths = [
        format!("{outside}/{VICTIM}"),
        format!("/../../../../..{outside}/{VICTIM}"),
        format!("/ground/absolute/{VICTIM}"),
        format!("/ground/climbs/{VICTIM}"),
        "/ground/direct".to_owned(),
        format!("/ground/magic{outside}/{VICTIM}"),
        format!("/proc/1/root{outside}/{VICTIM}"),
        format!("/proc/{host}/root{outside}/{VICTIM}"),
        format!("/proc/{pid}/cwd{outside}/{VICTIM}"),
    ];
    for path in &paths {
        for fault in ["file_corrupt", "file_delete"] {
            stage.entry = find(fault).unwrap();
            stage.params = json!({ "path": path });
            match plan(&stage).await {
                Err(problem) => assert_eq!(problem.code.id, "F001", "{path}: {problem}"),
                // The name of a link is a name in the container.
                Ok(undo) => {
                    assert!(fault == "file_delete" && path == "/ground/direct", "{fault} {path}");
                    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
                    off(&stage, &undo).await;
                }
            }
            decoy.check();
        }
    }
    // The same path inside is the container's own.
    let inside = format!("/proc/{pid}/root{outside}");
    fs::create_dir_all(&inside).unwrap();
    fs::write(format!("{inside}/{VICTIM}"), vec![9; 5000]).unwrap();
    for path in &paths[..5] {
        stage.entry = find("file_corrupt").unwrap();
        stage.params = json!({ "path": path });
        let undo = on(&stage).await;
        assert_ne!(fs::read(format!("{inside}/{VICTIM}")).unwrap(), vec![9; 5000], "{path}");
        assert_eq!(off(&stage, &undo).await, (Reverted::Restored, Seen::Original));
        decoy.check();
    }
}

async fn races() {
    let Some(mut stage) = on_file("file_delete", On::Container, |_| {}).await else {
        return;
    };
    let decoy = Decoy::new();
    let (folder, link) = (stage.file("folder"), stage.file("link"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(VICTIM), Ground::text()).unwrap();
    symlink(decoy.path(), &link).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let (over, folder, link, spare) = (Arc::clone(&over), folder.clone(), link.clone(), stage.file("spare"));
        move || {
            let mut swaps = 0;
            while !over.load(Ordering::Relaxed) {
                for (from, to) in [(&folder, &spare), (&link, &folder), (&folder, &link), (&spare, &folder)] {
                    fs::rename(from, to).unwrap();
                }
                swaps += 1;
            }
            swaps
        }
    });
    let mut applied = 0;
    for round in 0..60 {
        let fault = if round % 2 == 0 { "file_delete" } else { "file_corrupt" };
        stage.entry = find(fault).unwrap();
        stage.params = json!({ "path": format!("/ground/folder/{VICTIM}") });
        if let Ok(undo) = plan(&stage).await {
            if (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.is_ok() {
                applied += 1;
            }
            // Until the directory is there again when it is looked for.
            let mut tries = 0;
            loop {
                let reverted = (stage.entry.revert)(&undo, &stage.cx).await;
                let seen = (stage.entry.observe)(&undo, &stage.cx).await;
                if reverted.is_ok() && matches!(seen, Ok(Seen::Original)) {
                    break;
                }
                tries += 1;
                assert!(tries < 10_000, "{reverted:?} {seen:?}");
            }
        }
        decoy.check();
    }
    over.store(true, Ordering::Relaxed);
    let swaps = swapper.join().unwrap();
    assert!(applied > 0 && swaps > 60, "applied {applied} times in {swaps} swaps");
    assert!(fs::read(folder.join(VICTIM)).unwrap() == Ground::text());
    decoy.check();
}
