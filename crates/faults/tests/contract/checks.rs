//! What every fault must do.

use fracas_core::record::{Landed, Reverted, Seen};
use fracas_faults::Entry;
use serde_json::Value;

use crate::fixture::{On, STRANGE, Stage, WITH_FILES, has_worker, stage};
use crate::stranger;

/// A check of one fault.
pub type Check = fn(&'static Entry, On) -> fracas_faults::BoxFuture<'static, ()>;

macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        /// All of them, by name.
        pub const CHECKS: &[(&str, Check)] = &[$((stringify!($name), |entry, on| Box::pin($name(entry, on)))),*];
    };
}

checks! {
    everything_twice,
    revert_without_apply,
    target_dies_before_apply,
    changed_before_apply,
    stranger_reverts,
    applier_is_killed,
    target_dies_while_on,
    target_restarts_while_on,
    changed_while_on,
}

async fn plan(stage: &Stage) -> Value {
    let undo = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
        .await
        .unwrap();
    assert!(!(stage.entry.change)(&stage.params, &undo).unwrap().is_empty());
    assert!(!(stage.entry.resources)(&undo).unwrap().is_empty());
    undo
}

async fn put_on(stage: &Stage) -> Value {
    let undo = plan(stage).await;
    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    undo
}

async fn landed(stage: &Stage, undo: &Value) -> Landed {
    (stage.entry.measure)(&stage.params, undo, &stage.cx)
        .await
        .unwrap()
        .landed
}

async fn revert(stage: &Stage, undo: &Value) -> Reverted {
    (stage.entry.revert)(undo, &stage.cx).await.unwrap()
}

async fn seen(stage: &Stage, undo: &Value) -> Seen {
    (stage.entry.observe)(undo, &stage.cx).await.unwrap()
}

fn is_ours(seen: &Seen) -> bool {
    matches!(seen, Seen::Ours(_))
}

/// What was killed and did not come back is told in words.
fn is_clean(seen: &Seen) -> bool {
    matches!(seen, Seen::Original | Seen::TargetGone)
        || matches!(seen, Seen::Claimed(what) if what.ends_with("did not come back: nothing has started it again")
            || what.ends_with("Fracas brings none back"))
}

/// Apply, measure, revert, observe: each twice.
async fn everything_twice(entry: &'static Entry, on: On) {
    let Some(stage) = stage(entry, on).await else {
        return;
    };
    let before = stage.has_value().then(|| stage.value());
    let undo = plan(&stage).await;
    assert_eq!(seen(&stage, &undo).await, Seen::Original);
    (entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    for _ in 0..2 {
        assert_eq!(landed(&stage, &undo).await, Landed::Yes);
    }
    let again = (entry.apply)(&stage.params, &undo, &stage.cx).await;
    assert!(again.is_err(), "a fault that is on cannot be put on again");
    for _ in 0..2 {
        let seen = seen(&stage, &undo).await;
        assert!(is_ours(&seen), "while it is on, {seen:?}");
    }
    assert_eq!(revert(&stage, &undo).await, Reverted::Restored);
    assert_eq!(revert(&stage, &undo).await, Reverted::AlreadyGone);
    for _ in 0..2 {
        let seen = seen(&stage, &undo).await;
        assert!(is_clean(&seen), "after the revert, {seen:?}");
    }
    if let Some(before) = before {
        assert_eq!(stage.value(), before);
    }
}

/// The way back of what was only planned changes nothing, and the meter does not mistake it for the fault.
async fn revert_without_apply(entry: &'static Entry, on: On) {
    let Some(stage) = stage(entry, on).await else {
        return;
    };
    let before = stage.has_value().then(|| stage.value());
    let undo = plan(&stage).await;
    assert!(matches!(landed(&stage, &undo).await, Landed::No(_)));
    assert_eq!(revert(&stage, &undo).await, Reverted::AlreadyGone);
    assert_eq!(seen(&stage, &undo).await, Seen::Original);
    if let Some(before) = before {
        assert_eq!(stage.value(), before);
    }
}

/// A plan whose target has ended is refused, and unwinds.
async fn target_dies_before_apply(entry: &'static Entry, on: On) {
    let Some(stage) = stage(entry, on).await else {
        return;
    };
    let undo = plan(&stage).await;
    stage.end().await;
    let applied = (entry.apply)(&stage.params, &undo, &stage.cx).await;
    // A group outlives its processes: a limit on it is put on, and can be taken off.
    if let Err(problem) = applied {
        assert_eq!(problem.code.id, "T004", "{problem}");
        assert_eq!(revert(&stage, &undo).await, Reverted::AlreadyGone);
    } else {
        assert!(stage.has_value(), "{} was put on a dead target", entry.name);
        assert_eq!(revert(&stage, &undo).await, Reverted::Restored);
    }
    let seen = seen(&stage, &undo).await;
    assert!(is_clean(&seen), "{seen:?}");
    let planned = (entry.plan)(&stage.params, &stage.target, &stage.cx).await;
    assert_eq!(planned.unwrap_err().code.id, "T004");
}

/// Apply refuses what is no longer as it was planned, and somebody else's value stays.
async fn changed_before_apply(entry: &'static Entry, on: On) {
    let Some(stage) = stage(entry, on).await else {
        return;
    };
    let undo = plan(&stage).await;
    stage.disturb_before().await;
    let refused = (entry.apply)(&stage.params, &undo, &stage.cx).await;
    assert!(refused.is_err(), "somebody was there before");
    let reverted = revert(&stage, &undo).await;
    let seen = seen(&stage, &undo).await;
    if stage.has_value() {
        assert!(matches!(reverted, Reverted::Foreign { .. }), "{reverted:?}");
        assert!(matches!(seen, Seen::Foreign(_)), "{seen:?}");
        assert_eq!(stage.value(), STRANGE(entry.name));
    } else if entry.name == "script" {
        // Its own check tells a stranger's effect.
        assert!(matches!(reverted, Reverted::Foreign { .. }), "{reverted:?}");
        assert!(matches!(seen, Seen::Foreign(_)), "{seen:?}");
        assert!(stage.ground.file("on").exists(), "a stranger's was taken off");
    } else {
        assert!(is_clean(&seen), "{seen:?}");
    }
}

/// Another process that knows only the undo takes the way back.
async fn stranger_reverts(entry: &'static Entry, on: On) {
    let Some(stage) = stage(entry, on).await else {
        return;
    };
    let undo = put_on(&stage).await;
    let answer = stranger::revert(&stage, &undo);
    let seen_by_stranger = answer.seen.unwrap();
    assert!(is_clean(&seen_by_stranger), "{seen_by_stranger:?}");
    answer.reverted.unwrap();
    // What goes on in this process is not the stranger's: it would have ended with the process.
    revert(&stage, &undo).await;
    let seen = seen(&stage, &undo).await;
    assert!(is_clean(&seen), "{seen:?}");
}

/// Who put it on is killed: what is kernel-tied goes by itself, the rest by a stranger.
async fn applier_is_killed(entry: &'static Entry, on: On) {
    let Some(stage) = stage(entry, on).await else {
        return;
    };
    let before = stage.has_value().then(|| stage.value());
    let applier = stranger::apply(&stage);
    let undo = applier.undo.clone();
    assert_eq!(landed(&stage, &undo).await, Landed::Yes);
    drop(applier);
    let answer = stranger::revert(&stage, &undo);
    answer.reverted.unwrap();
    let seen_by_stranger = answer.seen.unwrap();
    assert!(is_clean(&seen_by_stranger), "{seen_by_stranger:?}");
    assert!(is_clean(&seen(&stage, &undo).await));
    if let Some(before) = before {
        assert_eq!(stage.value(), before);
    }
}

/// The target ends while the fault is on.
async fn target_dies_while_on(entry: &'static Entry, on: On) {
    let Some(stage) = stage(entry, on).await else {
        return;
    };
    let undo = put_on(&stage).await;
    stage.end().await;
    // A group, and the file of a process, outlive the target: what is in force for nobody has not landed.
    if stage.has_value() || has_worker(entry.name) {
        let landed = landed(&stage, &undo).await;
        assert!(
            matches!(&landed, Landed::No(why) if why.contains("target")),
            "{landed:?}"
        );
    }
    for _ in 0..2 {
        revert(&stage, &undo).await;
        let seen = seen(&stage, &undo).await;
        assert!(is_clean(&seen), "{seen:?}");
    }
}

/// The container restarts while the fault is on: the new life is nobody's business, but for files, which outlive it.
async fn target_restarts_while_on(entry: &'static Entry, _: On) {
    let Some(mut stage) = stage(entry, On::Container).await else {
        return;
    };
    let before = stage.has_value().then(|| stage.value());
    let undo = put_on(&stage).await;
    stage.restart().await;
    stage.target = stage.target_now().await;
    let fresh = if WITH_FILES.contains(&entry.name) {
        before
    } else {
        stage.has_value().then(|| stage.value())
    };
    for _ in 0..2 {
        let reverted = revert(&stage, &undo).await;
        // What goes on in this process, or is held by it, outlives the container, and so do its files.
        let later = matches!(
            entry.name,
            "container_restart" | "process_kill" | "connection_reset" | "disk_fill"
        ) || WITH_FILES.contains(&entry.name);
        assert!(reverted == Reverted::AlreadyGone || later, "{reverted:?}");
        let seen = seen(&stage, &undo).await;
        assert!(is_clean(&seen), "{seen:?}");
    }
    let state = stage.container().inspect().await.unwrap().state;
    assert!(state.running && !state.paused, "{state:?}");
    assert_eq!(stage.container().identity().await.unwrap(), *stage.target.process());
    if let Some(fresh) = fresh {
        assert_eq!(stage.value(), fresh);
    }
}

/// Somebody else changes the same thing while the fault is on: left, and told with three values; or it is as before already.
async fn changed_while_on(entry: &'static Entry, on: On) {
    let Some(stage) = stage(entry, on).await else {
        return;
    };
    let before = stage.has_value().then(|| stage.value());
    let undo = put_on(&stage).await;
    let ours = stage.has_value().then(|| stage.value());
    stage.disturb_while_on().await;
    for _ in 0..2 {
        let reverted = revert(&stage, &undo).await;
        let seen = seen(&stage, &undo).await;
        if let (Some(before), Some(ours)) = (&before, &ours) {
            let Reverted::Foreign {
                before: b,
                ours: o,
                now,
            } = reverted
            else {
                panic!("{reverted:?}");
            };
            for (told, true_one) in [(b, before.as_str()), (o, ours), (now, STRANGE(entry.name))] {
                assert_eq!(told.split(' ').next(), Some(true_one));
            }
            assert!(matches!(seen, Seen::Foreign(_)), "{seen:?}");
            assert_eq!(stage.value(), STRANGE(entry.name));
        } else {
            assert!(is_clean(&seen), "{seen:?}");
        }
    }
}
