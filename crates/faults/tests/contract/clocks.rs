//! What `clock_skew` does to what a program says, and whom it does not reach.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::SystemTime;

use fracas_core::record::{Dose, Landed, Reverted};
use fracas_faults::find;
use fracas_lab::{TestProcess, eventually, skip};
use fracas_linux::process;
use serde_json::{Value, json};

use crate::fixture::{LIMIT, Stage, on_process, signal};

tests![
    clock_skew_shifts_what_a_program_says_and_takes_it_back,
    clock_skew_does_not_reach_whoever_starts_another_program,
    clock_skew_of_a_skewed_process_is_refused,
];

const SIGUSR1: i32 = 10;

async fn skewed(offset: &str, process: TestProcess) -> Stage {
    let params = json!({ "offset": offset, "children": true });
    on_process(find("clock_skew").unwrap(), params, process, &[]).await
}

/// `None`: it cannot be done here, which was said.
fn may() -> Option<()> {
    if !fracas_linux::privileges::is_root() {
        skip("not root");
        return None;
    }
    Some(())
}

async fn on(stage: &Stage) -> Value {
    let Stage {
        entry,
        params,
        target,
        cx,
        ..
    } = stage;
    let undo = (entry.plan)(params, target, cx).await.unwrap();
    (entry.apply)(params, &undo, cx).await.unwrap();
    undo
}

async fn dose(stage: &Stage, undo: &Value) -> Dose {
    (stage.entry.measure)(&stage.params, undo, &stage.cx).await.unwrap()
}

/// By how many seconds the server's clock is before ours.
fn shift(port: u16) -> f64 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET /now HTTP/1.1\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let theirs: f64 = text.rsplit("\r\n").next().unwrap().trim().parse().unwrap();
    let ours = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    theirs - ours.as_secs_f64()
}

async fn clock_skew_shifts_what_a_program_says_and_takes_it_back() {
    if may().is_none() {
        return;
    }
    for (offset, seconds) in [("+5m", 300.0), ("-1h", -3600.0)] {
        let (process, port) = TestProcess::serve().unwrap();
        let stage = skewed(offset, process).await;
        let near = |wanted: f64| (shift(port) - wanted).abs() < 5.0;
        assert!(near(0.0));
        let undo = on(&stage).await;
        assert!(near(seconds), "{}", shift(port));
        let dose = dose(&stage, &undo).await;
        assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
        assert_eq!(dose.delivered, format!("{offset} in 1 process"));
        let reverted = (stage.entry.revert)(&undo, &stage.cx).await.unwrap();
        assert_eq!(reverted, Reverted::Restored);
        assert!(near(0.0), "{}", shift(port));
    }
}

async fn clock_skew_does_not_reach_whoever_starts_another_program() {
    if may().is_none() {
        return;
    }
    let stage = skewed("+5m", TestProcess::run(["fork-later"]).unwrap()).await;
    let undo = on(&stage).await;
    let pid = stage.target.process().pid;
    signal(pid, SIGUSR1);
    let started = || {
        let children = process::descendants(pid).unwrap();
        !children.is_empty() && children.iter().all(|child| child.command.ends_with("sleep"))
    };
    eventually(LIMIT, "another program runs", started);
    let dose = dose(&stage, &undo).await;
    assert_eq!(dose.landed, Landed::Yes, "{dose:?}");
    let effect = dose.effect.unwrap();
    assert!(effect.starts_with("1 that started a program of their own"), "{effect}");
    (stage.entry.revert)(&undo, &stage.cx).await.unwrap();
}

async fn clock_skew_of_a_skewed_process_is_refused() {
    if may().is_none() {
        return;
    }
    let stage = skewed("+5m", TestProcess::sleep().unwrap()).await;
    let undo = on(&stage).await;
    let why = (stage.entry.plan)(&stage.params, &stage.target, &stage.cx)
        .await
        .unwrap_err()
        .to_string();
    assert!(why.contains(&format!("shifted by {}", stage.cx.trace_name())), "{why}");
    (stage.entry.revert)(&undo, &stage.cx).await.unwrap();
}
