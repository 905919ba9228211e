//! Other processes that do a part of the work: one that puts a fault on and is killed, one that knows nothing but the undo.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fracas_core::ids::{InjectionId, RunId};
use fracas_core::record::{Reverted, Seen};
use fracas_core::target::Target;
use fracas_faults::{Context, Engines, Nursery, find};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fixture::Stage;

/// What is written for another process.
#[derive(Serialize, Deserialize)]
pub struct Letter {
    fault: String,
    run: RunId,
    injection: InjectionId,
    /// For the one who puts it on.
    params: Value,
    target: Target,
    others: Vec<Target>,
    /// For the one who takes it off.
    undo: Value,
}

/// What a stranger did and saw; the problems as lines.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    pub reverted: Result<Reverted, String>,
    pub seen: Result<Seen, String>,
}

impl Letter {
    pub fn of(stage: &Stage, undo: Value) -> Self {
        Self {
            fault: stage.entry.name.to_owned(),
            run: stage.cx.run.clone(),
            injection: stage.cx.injection,
            params: stage.params.clone(),
            target: stage.target.clone(),
            others: stage.cx.others.clone(),
            undo,
        }
    }

    fn write(&self) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        serde_json::to_writer(&mut file, self).unwrap();
        file.flush().unwrap();
        file
    }

    fn read(path: &str) -> Self {
        serde_json::from_slice(&std::fs::read(Path::new(path)).unwrap()).unwrap()
    }

    fn context(&self) -> Context {
        Context {
            at_most: std::time::Duration::from_mins(10),
            run: self.run.clone(),
            injection: self.injection,
            others: self.others.clone(),
            observers: Vec::new(),
            rank: 0,
            seed: fracas_core::seed::Seed(7),
            state: crate::fixture::NO_STATE.into(),
            engines: Engines::default(),
            nursery: Nursery::default(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a stranger is another process of this test")]
fn this_program(mode: &str, letter: &Path) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(mode)
        .arg(letter)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Lets a stranger revert and observe.
pub fn revert(stage: &Stage, undo: &Value) -> Answer {
    let letter = Letter::of(stage, undo.clone()).write();
    let output = this_program("stranger-revert", letter.path()).output().unwrap();
    assert!(output.status.success(), "the stranger failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A process that has put a fault on. Killed when dropped.
pub struct Applier {
    child: Child,
    pub undo: Value,
    _letter: tempfile::NamedTempFile,
}

/// Lets another process plan and apply, and does not wait for it.
pub fn begin(stage: &Stage) -> Applier {
    let letter = Letter::of(stage, Value::Null).write();
    Applier {
        child: this_program("stranger-apply", letter.path()).spawn().unwrap(),
        undo: Value::Null,
        _letter: letter,
    }
}

/// Lets another process plan and apply.
pub fn apply(stage: &Stage) -> Applier {
    let mut applier = begin(stage);
    let mut line = String::new();
    BufReader::new(applier.child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    applier.undo = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the other process says {line:?}"));
    applier
}

impl Drop for Applier {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The main of the two.
pub async fn main(mode: &str, path: &str) {
    let letter = Letter::read(path);
    let cx = letter.context();
    let entry = find(&letter.fault).unwrap();
    let said = if mode == "stranger-apply" {
        let undo = (entry.plan)(&letter.params, &letter.target, &cx).await.unwrap();
        (entry.apply)(&letter.params, &undo, &cx).await.unwrap();
        undo
    } else {
        let reverted = (entry.revert)(&letter.undo, &cx)
            .await
            .map_err(|problem| problem.line());
        let seen = (entry.observe)(&letter.undo, &cx)
            .await
            .map_err(|problem| problem.line());
        serde_json::to_value(Answer { reverted, seen }).unwrap()
    };
    println!("{said}");
    if mode == "stranger-apply" {
        // Until we are killed, or our test is: then the other end of the pipe closes.
        let wait = tokio::task::spawn_blocking(|| io::stdin().read(&mut [0]));
        let _over = wait.await;
    }
}
