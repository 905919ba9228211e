//! What `script` does with programs that misbehave, and what it says where nobody can look.

use std::time::{Duration, Instant};

use fracas_core::record::{Landed, Reverted, Seen};
use fracas_faults::find;
use fracas_lab::{TestProcess, eventually};
use fracas_linux::process;
use serde_json::{Value, json};

use crate::Test;
use crate::fixture::{LIMIT, Stage, on_process};
use crate::stranger;

/// All of them, by name.
pub const ALL: &[Test] = &[
    ("script_that_hangs_and_forks_is_killed_with_all_it_started", || {
        Box::pin(hangs_and_forks())
    }),
    ("script_that_writes_a_gigabyte_holds_nobody_up", || {
        Box::pin(writes_much())
    }),
    ("script_that_cannot_be_run_is_refused_in_the_plan", || {
        Box::pin(refused())
    }),
    ("script_without_check_is_clean_by_its_own_word", || {
        Box::pin(by_its_own_word())
    }),
    ("script_without_measure_is_not_measured", || Box::pin(measures())),
    ("script_whose_revert_fails_says_why_and_is_not_hammered", || {
        Box::pin(revert_fails())
    }),
    ("script_gets_its_own_environment_and_directory", || {
        Box::pin(surroundings())
    }),
    ("script_ends_with_the_process_that_applies_it", || {
        Box::pin(dies_in_apply())
    }),
];

async fn script(params: Value) -> Stage {
    let process = TestProcess::sleep().unwrap();
    on_process(find("script").unwrap(), params, process, &[]).await
}

fn sh(text: &str) -> Value {
    json!(["/bin/sh", "-c", text])
}

async fn plan(stage: &Stage) -> Value {
    (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
        .await
        .unwrap()
}

/// What the programs of this injection left running.
fn running(stage: &Stage, role: &str) -> usize {
    let mark = format!("FRACAS_MARK={}/{role}", stage.cx.trace_name());
    process::marked(&[mark], 0).unwrap().len()
}

async fn hangs_and_forks() {
    let stage = script(json!({
        "apply": sh("setsid sleep 1000 & sleep 1000 & sleep 1000; exit 0"),
        "revert": ["true"],
        "check": ["true"],
        "apply_timeout": "500ms",
    }))
    .await;
    let undo = plan(&stage).await;
    let began = Instant::now();
    let problem = (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap_err();
    assert!(
        problem.what.contains("did not end within 500ms and was killed"),
        "{problem}"
    );
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // Its group is gone; who left it is not, and is seen.
    eventually(LIMIT, "one is left", || running(&stage, "apply") == 1);
    let seen = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
    assert!(
        matches!(&seen, Seen::Ours(what) if what.contains("still runs")),
        "{seen:?}"
    );
    // By a stranger, who has only the undo.
    let answer = stranger::revert(&stage, &undo);
    assert_eq!(answer.reverted, Ok(Reverted::Restored));
    assert_eq!(answer.seen, Ok(Seen::Original));
    assert_eq!(running(&stage, "apply"), 0);
}

async fn writes_much() {
    let stage = script(json!({
        "apply": ["head", "-c", "1000000000", "/dev/zero"],
        "revert": sh("head -c 10000000 /dev/zero; head -c 10000000 /dev/zero >&2"),
        "apply_timeout": "60s",
    }))
    .await;
    let undo = plan(&stage).await;
    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    assert_eq!((stage.entry.revert)(&undo, &stage.cx).await, Ok(Reverted::Restored));
}

async fn refused() {
    let mut stage = script(Value::Null).await;
    let file = stage.ground.file("program");
    std::fs::write(&file, "#!/bin/sh\n").unwrap();
    for (params, why) in [
        (
            json!({ "apply": ["no-such-program-here"], "revert": ["true"] }),
            "`apply` names no-such-program-here, which is not in",
        ),
        (
            json!({ "apply": ["true"], "revert": [file] }),
            "which is not executable",
        ),
        (
            json!({ "apply": ["true"], "revert": ["/nowhere/x"] }),
            "`revert` names /nowhere/x: No such file",
        ),
        (
            json!({ "apply": ["true"], "revert": ["true"], "measure": ["/tmp"] }),
            "`measure` names /tmp, which is no file",
        ),
        (
            json!({ "apply": ["true"], "revert": ["true"], "check": ["x/y"] }),
            "`check` must begin with an absolute path",
        ),
        (
            json!({ "apply": ["true"], "revert": ["true"], "directory": "/nowhere" }),
            "there is no directory /nowhere",
        ),
        (json!({ "apply": ["true"], "revert": [] }), "the list is empty"),
    ] {
        stage.params = params;
        let problem = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
            .await
            .unwrap_err();
        assert_eq!(problem.code.id, "F001", "{problem}");
        assert!(problem.to_string().contains(why), "{problem}");
    }
}

async fn by_its_own_word() {
    let mut stage = script(Value::Null).await;
    let on = stage.ground.file("on");
    stage.params = json!({ "apply": ["touch", on], "revert": ["rm", on] });
    let undo = plan(&stage).await;
    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    let seen = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
    assert!(
        matches!(&seen, Seen::Ours(what) if what.contains("has not yet said")),
        "{seen:?}"
    );
    assert_eq!((stage.entry.revert)(&undo, &stage.cx).await, Ok(Reverted::Restored));
    assert!(!on.exists());
    let seen = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
    assert!(
        matches!(&seen, Seen::Claimed(what) if what.contains("by its own word")),
        "{seen:?}"
    );
    // Put on again, the former word is worth nothing.
    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    let seen = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
    assert!(matches!(seen, Seen::Ours(_)), "{seen:?}");
    let answer = stranger::revert(&stage, &undo);
    assert!(matches!(answer.seen, Ok(Seen::Claimed(_))), "{answer:?}");
    assert!(!on.exists());
}

async fn measures() {
    let mut stage = script(json!({ "apply": ["true"], "revert": ["true"] })).await;
    let undo = plan(&stage).await;
    let dose = async |params: Value| (stage.entry.measure)(&params, &undo, &stage.cx).await;
    let landed = dose(stage.params.clone()).await.unwrap().landed;
    assert!(matches!(landed, Landed::Unmeasured(_)), "{landed:?}");
    let with = |text: &str| json!({ "apply": ["true"], "revert": ["true"], "measure": sh(text) });
    let number = dose(with("echo 42.5")).await.unwrap();
    assert_eq!(
        (number.landed, number.delivered.as_str()),
        (Landed::Yes, "42.5 by its own `measure`")
    );
    let missed = dose(with("echo nothing happens; exit 1")).await.unwrap();
    assert!(
        matches!(&missed.landed, Landed::No(why) if why.contains("nothing happens")),
        "{missed:?}"
    );
    for text in ["exit 2", "kill -9 $$"] {
        assert_eq!(dose(with(text)).await.unwrap_err().code.id, "F006", "{text}");
    }
    stage.params = with("sleep 1000");
    stage.params["measure_timeout"] = json!("100ms");
    let late = (stage.entry.measure)(&stage.params, &undo, &stage.cx)
        .await
        .unwrap_err();
    assert!(late.what.contains("did not end within 100ms"), "{late}");
}

async fn revert_fails() {
    let mut stage = script(Value::Null).await;
    let (tried, on) = (stage.ground.file("tried"), stage.ground.file("on"));
    stage.params = json!({
        "apply": ["touch", on],
        "revert": sh(&format!("echo x >> {}; echo it is stuck >&2; exit 3", tried.display())),
        "check": ["test", "!", "-e", on],
    });
    let undo = plan(&stage).await;
    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    // Once it is on, it is no longer planned.
    let again = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx).await;
    let again = again.unwrap_err();
    assert!(
        again.code.id == "F001" && again.what.contains("it is on already: `check` ended with exit code 1"),
        "{again}"
    );
    let began = Instant::now();
    for _ in 0..2 {
        let problem = (stage.entry.revert)(&undo, &stage.cx).await.unwrap_err();
        assert_eq!(problem.code.id, "F007");
        assert!(
            problem.what.ends_with("ended with exit code 3: it is stuck"),
            "{problem}"
        );
    }
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(std::fs::read_to_string(&tried).unwrap(), "x\nx\n");
    let seen = (stage.entry.observe)(&undo, &stage.cx).await.unwrap();
    assert!(matches!(seen, Seen::Ours(_)), "{seen:?}");
    let [line] = (stage.entry.manual)(&undo).unwrap().try_into().unwrap();
    let line: String = line;
    assert!(
        line.starts_with("cd / && env -i ") && line.contains(" /bin/sh -c '"),
        "{line}"
    );
}

async fn surroundings() {
    let mut stage = script(Value::Null).await;
    let (place, said) = (stage.ground.file(""), stage.ground.file("said"));
    stage.params = json!({
        "apply": sh(&format!("pwd > {0}; env >> {0}", said.display())),
        "revert": ["true"],
        "directory": place,
        "environment": { "MINE": "a b" },
    });
    let undo = plan(&stage).await;
    (stage.entry.apply)(&stage.params, &undo, &stage.cx).await.unwrap();
    let said = std::fs::read_to_string(said).unwrap();
    let mut lines: Vec<_> = said.lines().collect();
    let first = lines.remove(0);
    assert_eq!(std::path::Path::new(first), place.canonicalize().unwrap());
    // What the shell itself adds.
    lines.retain(|line| {
        !["PWD=", "SHLVL=", "_=", "OLDPWD="]
            .iter()
            .any(|own| line.starts_with(own))
    });
    lines.sort_unstable();
    let mark = format!("FRACAS_MARK={}/apply", stage.cx.trace_name());
    let (pid, run) = (
        format!("FRACAS_PID={}", stage.target.process().pid),
        format!("FRACAS_RUN={}", stage.cx.run),
    );
    let expected = [
        "FRACAS_INJECTION=0",
        &mark,
        &pid,
        &run,
        "FRACAS_SCRIPT=apply",
        "FRACAS_TARGET=the target",
        "MINE=a b",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ];
    assert_eq!(lines, expected);
}

/// The kernel kills what was being applied, so that it does not come on after it was undone.
async fn dies_in_apply() {
    let mut stage = script(Value::Null).await;
    let (begun, on) = (stage.ground.file("begun"), stage.ground.file("on"));
    stage.params = json!({
        "apply": sh(&format!("touch {}; while ! test -e {}; do sleep 0.01; done; touch {}", begun.display(), stage.ground.file("go").display(), on.display())),
        "revert": ["rm", "-f", on],
        "check": ["test", "!", "-e", on],
    });
    let undo = plan(&stage).await;
    let applier = stranger::begin(&stage);
    eventually(LIMIT, "it has begun", || begun.exists());
    drop(applier);
    let answer = stranger::revert(&stage, &undo);
    assert!(
        answer.reverted.is_ok() && answer.seen == Ok(Seen::Original),
        "{answer:?}"
    );
    assert_eq!(running(&stage, "apply"), 0, "it could still come on");
}
