//! `script`: programs of the user that put a fault on, take it off, measure it and look whether it is gone.
//!
//! Nothing is known of what they do, so everything rests on three things. The vector that takes the fault off is in the undo with
//! all that surrounds it, so that a stranger runs exactly the same. The kernel kills `apply` with the guardian, and what it started
//! is found by a variable of its environment, so that nothing puts the fault on after it was taken off. And what nobody can look at
//! is not called seen: without a `check` the certificate says whose word it rests on.

mod program;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fracas_core::params;
use fracas_core::problem::{Code, Problem, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::process;
use serde::{Deserialize, Serialize};

use crate::bounded::bounded;
use crate::say::{OrSay, gone, refuse};
use crate::{Context, Fault, Needs, Resource, members};
use program::{Program, Ran};

/// See [`params::Script`].
#[derive(Debug)]
pub struct Script;

/// The way back, with all that surrounds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// By this its processes are found; it is also the key of what this process remembers of it.
    mark: String,
    /// Nothing of it began earlier than this, the start of the process that planned it.
    #[serde(default)]
    since: u64,
    /// Whom the fault is for: it is not put on when that has ended.
    target: ProcessIdentity,
    /// Takes it off.
    revert: Program,
    /// Looks whether it is off.
    check: Option<Program>,
    /// Where all of them run.
    directory: String,
    /// Their environment, but for what says which of them it is.
    environment: BTreeMap<String, String>,
}

/// A revert that failed is not run again before.
const AGAIN: Duration = Duration::from_secs(1);
/// How long what is left running may take to die.
const END: Duration = Duration::from_secs(1);
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(2);
const SIGKILL: i32 = 9;

/// What the programs are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Apply,
    Measure,
    Check,
    Revert,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Measure => "measure",
            Self::Check => "check",
            Self::Revert => "revert",
        }
    }
}

impl Fault for Script {
    const NAME: &'static str = "script";
    type Params = params::Script;
    type Undo = Undo;

    fn undo_class(_: &params::Script) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::Script) -> Needs {
        Needs {
            root: false,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::Script, target: &Target, cx: &Context) -> Result<Undo> {
        if let Some((key, why)) = params.problem() {
            return Err(refuse(Self::NAME, target, format!("`{key}` {why}")));
        }
        if members::open(target.process())?.is_none() {
            return Err(gone(Self::NAME, target));
        }
        let find = |role: Role, vector: &[String], limit| {
            Program::find(vector, limit).map_err(|why| refuse(Self::NAME, target, format!("`{}` {why}", role.word())))
        };
        find(Role::Apply, &params.apply, params.apply_timeout)?;
        if let Some(measure) = &params.measure {
            find(Role::Measure, measure, params.measure_timeout)?;
        }
        if !std::path::Path::new(&params.directory).is_dir() {
            return Err(refuse(
                Self::NAME,
                target,
                format!("`directory`: there is no directory {}", params.directory),
            ));
        }
        let mut environment = params.environment.clone();
        environment
            .entry("PATH".to_owned())
            .or_insert_with(|| program::PATH.to_owned());
        let pid = target.process().pid.to_string();
        for (name, value) in [
            ("FRACAS_RUN", cx.run.as_str()),
            ("FRACAS_INJECTION", &cx.injection.0.to_string()),
            ("FRACAS_TARGET", &target.identity),
            ("FRACAS_PID", &pid),
        ] {
            environment.insert(name.to_owned(), value.to_owned());
        }
        if let Some(container) = target.container() {
            environment.insert("FRACAS_CONTAINER".to_owned(), container.id.clone());
        }
        let undo = Undo {
            mark: cx.trace_name(),
            since: own_start()?,
            target: target.process().clone(),
            revert: find(Role::Revert, &params.revert, params.revert_timeout)?,
            check: match &params.check {
                Some(check) => Some(find(Role::Check, check, params.check_timeout)?),
                None => None,
            },
            directory: params.directory.clone(),
            environment,
        };
        if let Looked::There(what) = undo.look(&codes::FAULT_PLAN).await? {
            return Err(refuse(Self::NAME, target, format!("it is on already: {what}"))
                .next("take it off first; nothing was done, and `revert` was not run"));
        }
        Ok(undo)
    }

    fn change(params: &params::Script, undo: &Undo) -> String {
        let program = |argv: &Vec<String>, timeout| {
            let found = Program::find(argv, timeout);
            let words = found.map_or_else(|_| argv.join(" "), |program| program.words());
            format!("{words} (at most {timeout})")
        };
        let mut text = format!(
            "runs {}, then {} (at most {})",
            program(&params.apply, params.apply_timeout),
            undo.revert.words(),
            params.revert_timeout
        );
        for (what, argv, timeout) in [
            ("measured by", &params.measure, params.measure_timeout),
            ("checked by", &params.check, params.check_timeout),
        ] {
            if let Some(argv) = argv {
                let _ = write!(text, "; {what} {}", program(argv, timeout));
            }
        }
        let _ = write!(text, "; in {}", params.directory);
        if !params.environment.is_empty() {
            // Names alone: a value may be a secret.
            let names: Vec<&str> = params.environment.keys().map(String::as_str).collect();
            let _ = write!(text, " with {}", names.join(", "));
        }
        text
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        // The same way back on the same target twice would take off what the other has put on.
        let mut hash = blake3::Hasher::new();
        for word in &undo.revert.argv {
            hash.update(&(word.len() as u64).to_le_bytes());
            hash.update(word.as_bytes());
        }
        vec![Resource {
            key: format!(
                "script {} on pid {} of {}",
                &hash.finalize().to_hex()[..16],
                undo.target.pid,
                undo.target.start
            ),
            object: None,
        }]
    }

    async fn apply(params: &params::Script, undo: &Undo, cx: &Context) -> Result<()> {
        if members::open(&undo.target)?.is_none() {
            return Err(gone(Self::NAME, &undo.target));
        }
        let before = undo.before();
        cx.nursery.take_word(&before, None);
        if let Looked::There(what) = undo.look(&codes::FAULT_APPLY).await? {
            // Somebody has put it on since it was planned, unless it was this very injection: what is his is not taken off.
            if cx.nursery.word(&undo.begun()).is_none() {
                cx.nursery.take_word(&before, Some(what.clone()));
            }
            return Err(Problem::new(
                &codes::FAULT_APPLY,
                format!("script: it is on already: {what}"),
            ));
        }
        cx.nursery.take_word(&undo.mark, None);
        cx.nursery.take_word(&undo.begun(), Some(String::new()));
        let apply = Program::find(&params.apply, params.apply_timeout)
            .map_err(|why| Problem::new(&codes::FAULT_APPLY, format!("script: `apply` {why}")))?;
        let ran = undo.run(Role::Apply, &apply, &codes::FAULT_APPLY).await?;
        match ran.code {
            Some(0) => Ok(()),
            _ => Err(Problem::new(
                &codes::FAULT_APPLY,
                format!("script: `apply` {}", ran.words),
            )),
        }
    }

    async fn measure(params: &params::Script, undo: &Undo, _: &Context) -> Result<Dose> {
        let asked = format!("the effect of {}", params.apply.join(" "));
        let Some(measure) = &params.measure else {
            return Ok(Dose {
                asked,
                delivered: "nobody knows".to_owned(),
                landed: Landed::Unmeasured("the document gives no `measure`".to_owned()),
                effect: None,
            });
        };
        let measure = Program::find(measure, params.measure_timeout)
            .map_err(|why| Problem::new(&codes::FAULT_MEASURE, format!("script: `measure` {why}")))?;
        let ran = undo.run(Role::Measure, &measure, &codes::FAULT_MEASURE).await?;
        let landed = match ran.code {
            Some(0) => Landed::Yes,
            Some(1) => Landed::No(format!("`measure` {}", ran.words)),
            _ => {
                let what = format!("script: `measure` {}", ran.words);
                return Err(Problem::new(&codes::FAULT_MEASURE, what).next("exit code 0 is landed, 1 is not landed"));
            }
        };
        Ok(Dose {
            asked,
            delivered: match ran.number {
                Some(number) => format!("{number} by its own `measure`"),
                None => format!("`measure` {}", ran.words),
            },
            landed,
            effect: None,
        })
    }

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        // First of all: what goes on may put it on again.
        let ended = undo.end_running().await?;
        if let Some(what) = cx.nursery.word(&undo.before()) {
            return Ok(Reverted::Foreign {
                before: "off".to_owned(),
                ours: "never put on".to_owned(),
                now: what,
            });
        }
        // What cannot be looked at is undone as if it were there.
        if let Ok(Looked::Absent) = undo.look(&codes::FAULT_REVERT).await {
            return Ok(if ended {
                Reverted::Restored
            } else {
                Reverted::AlreadyGone
            });
        }
        let began = Instant::now();
        let failed = match undo.run(Role::Revert, &undo.revert, &codes::FAULT_REVERT).await {
            Ok(ran) if ran.code == Some(0) => {
                let word = format!("not looked at: by its own word {} left nothing", undo.revert.words());
                cx.nursery.take_word(&undo.mark, Some(word));
                return Ok(Reverted::Restored);
            }
            Ok(ran) => Problem::new(&codes::FAULT_REVERT, format!("script: `revert` {}", ran.words)),
            Err(problem) => problem,
        };
        // The hand asks again at once; a program that fails must not be started fifty times a second.
        tokio::time::sleep(AGAIN.saturating_sub(began.elapsed())).await;
        Err(failed)
    }

    async fn observe(undo: &Undo, cx: &Context) -> Result<Seen> {
        let running = undo.running(&codes::FAULT_OBSERVE).await?;
        if let Some(process) = running.first() {
            return Ok(Seen::Ours(format!("{} still runs", process.identity())));
        }
        Ok(match undo.look(&codes::FAULT_OBSERVE).await? {
            Looked::Absent => Seen::Original,
            Looked::There(what) if cx.nursery.word(&undo.before()).is_some() => {
                Seen::Foreign(format!("it was on before it could be put on: {what}"))
            }
            Looked::There(what) => Seen::Ours(what),
            Looked::Nowhere => match cx.nursery.word(&undo.mark) {
                Some(word) => Seen::Claimed(word),
                None => Seen::Ours(format!("{} has not yet said that nothing is left", undo.revert.words())),
            },
        })
    }

    fn manual(undo: &Undo) -> Vec<String> {
        let environment = undo.environment(Role::Revert);
        vec![undo.revert.manual(&undo.directory, &environment)]
    }
}

/// When this process began.
fn own_start() -> Result<u64> {
    let own = process::identity(std::process::id())
        .or_say(&codes::FAULT_PLAN, || "the start of Fracas cannot be read".to_owned())?;
    Ok(own.map_or(0, |own| own.start))
}

/// What a look has found.
enum Looked {
    /// Nothing of it.
    Absent,
    /// Something of it.
    There(String),
    /// There is nothing to look with.
    Nowhere,
}

impl Undo {
    /// Under which name this process remembers that somebody else had put it on. Who does not remember it cannot know, and takes it off.
    fn before(&self) -> String {
        format!("{}/before", self.mark)
    }

    /// Under which name it remembers that `apply` was begun.
    fn begun(&self) -> String {
        format!("{}/begun", self.mark)
    }

    fn mark(&self, role: Role) -> String {
        format!("{}/{}", self.mark, role.word())
    }

    fn environment(&self, role: Role) -> Vec<(String, String)> {
        let mut environment: Vec<_> = self.environment.clone().into_iter().collect();
        environment.push(("FRACAS_SCRIPT".to_owned(), role.word().to_owned()));
        environment.push(("FRACAS_MARK".to_owned(), self.mark(role)));
        environment
    }

    async fn run(&self, role: Role, program: &Program, code: &'static Code) -> Result<Ran> {
        program
            .run(&self.directory, self.environment(role))
            .await
            .or_say(code, || format!("script: `{}` cannot be run", role.word()))
    }

    /// Asks the user's own check, if there is one.
    async fn look(&self, code: &'static Code) -> Result<Looked> {
        let Some(check) = &self.check else {
            return Ok(Looked::Nowhere);
        };
        let ran = self.run(Role::Check, check, code).await?;
        match ran.code {
            Some(0) => Ok(Looked::Absent),
            Some(1) => Ok(Looked::There(format!("`check` {}", ran.words))),
            _ => Err(Problem::new(code, format!("script: `check` {}", ran.words))
                .next("exit code 0 is as before, 1 is that something is left")),
        }
    }

    /// What is left running of all but the way back: that may have started what goes on for good.
    async fn running(&self, code: &'static Code) -> Result<Vec<process::Process>> {
        let marks = [Role::Apply, Role::Measure, Role::Check].map(|role| format!("FRACAS_MARK={}", self.mark(role)));
        let since = self.since;
        let what = || "the processes of a script cannot be looked for".to_owned();
        bounded(code, what, move || process::marked(&marks, since)).await
    }

    /// Ends what is left running. Whether there was anything.
    async fn end_running(&self) -> Result<bool> {
        let began = Instant::now();
        let mut any = false;
        loop {
            let running = self.running(&codes::FAULT_REVERT).await?;
            let Some(first) = running.first() else { return Ok(any) };
            any = true;
            for process in &running {
                process
                    .signal(SIGKILL)
                    .or_say(&codes::FAULT_REVERT, || format!("cannot end {}", process.identity()))?;
            }
            if began.elapsed() > END {
                return Err(Problem::new(
                    &codes::FAULT_REVERT,
                    format!("script: {} does not end, though it was killed", first.identity()),
                ));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
