//! The three saboteurs of §5.1, over every fault, those on packets by both mechanisms, through the guardian's own hand: an apply that does nothing must not count as
//! landed, a revert that does nothing must be residue, an observer that errs must never be clean.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "a test without the attribute that clippy knows tests by; it uses a part of the contract's fixture"
)]

#[path = "../../../faults/tests/contract/fixture.rs"]
mod fixture;

use std::process::ExitCode;
use std::sync::Arc;

use fracas_core::ids::{InjectionId, RunId};
use fracas_core::problem::{Problem, codes};
use fracas_core::record::{Certified, Landed, Reverted, State as Stands};
use fracas_core::units::Span;
use fracas_faults::{BoxFuture, Engines, Entry, FAULTS, WORKERS};
use fracas_guardian::hand::Hand;
use fracas_guardian::ledger::Ledger;
use fracas_guardian::protocol::{Turn, Wanted};
use fracas_guardian::state::State;
use libtest_mimic::{Arguments, Trial};

use fixture::{On, Stage, stage};

const INJECTION: InjectionId = InjectionId(0);

type Check = fn(&'static Entry, On) -> BoxFuture<'static, ()>;

const CHECKS: &[(&str, Check)] = &[
    ("honest", |entry, on| Box::pin(honest(entry, on))),
    ("apply_that_does_nothing", |entry, on| {
        Box::pin(apply_that_does_nothing(entry, on))
    }),
    ("revert_that_does_nothing", |entry, on| {
        Box::pin(revert_that_does_nothing(entry, on))
    }),
    ("observer_that_errs", |entry, on| {
        Box::pin(observer_that_errs(entry, on))
    }),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, name] = words.as_slice()
        && word == "worker"
    {
        let worker = WORKERS.iter().find(|(known, _)| known == name);
        let done = worker.unwrap_or_else(|| panic!("there is no worker {name}")).1();
        return if done.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let all = FAULTS.iter().map(|entry| (entry, On::Simplest, entry.name.to_owned()));
    let by_kernel = fixture::by_kernel::FAULTS.iter().map(|fault| {
        let entry = fracas_faults::find(fault).expect("it is a fault");
        (entry, On::KernelQueue, format!("{fault}_by_kernel_queue"))
    });
    let trials = all.chain(by_kernel).flat_map(|(entry, on, what)| {
        CHECKS.iter().map(move |(name, check)| {
            Trial::test(format!("{what}::{name}"), move || {
                // One thread, as the guardian has it.
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(check(entry, on));
                runtime.shutdown_background();
                Ok(())
            })
        })
    });
    let cut_off = Trial::test("container_stop::an_apply_that_is_cut_off_leaves_nothing", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(cut_off());
        Ok(())
    });
    let waits = Trial::test("an_undo_that_waits_for_an_engine_keeps_no_other_fault_on", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(others_wait_for_no_engine());
        Ok(())
    });
    let stopped = Trial::test("container_stop::what_an_operator_stops_after_us_stays_stopped", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(stopped_after_us());
        Ok(())
    });
    let turn = Trial::test("an_apply_that_is_cut_off_in_its_turn_is_not_waited_for", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(no_turn_is_waited_for());
        Ok(())
    });
    let drains = Trial::test("an_undo_that_drains_keeps_no_other_fault_on", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(others_wait_for_nothing_under_way());
        Ok(())
    });
    let after = Trial::test("file_delete::an_undo_comes_after_its_apply", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(an_undo_comes_after_its_apply());
        Ok(())
    });
    libtest_mimic::run(
        &Arguments::from_args(),
        trials.chain([cut_off, waits, stopped, turn, drains, after]).collect(),
    )
    .exit_code()
}

/// A hand with a ledger of its own, and the directory in which that is.
struct Bench {
    hand: Arc<Hand>,
    stage: Stage,
    _state: tempfile::TempDir,
}

impl Bench {
    /// A fault that is on, its entry replaced by this one.
    async fn with(entry: &'static Entry, on: On, saboteur: Entry) -> Option<Self> {
        let stage = Box::pin(stage(entry, on)).await?;
        let bench = Self::on(stage, saboteur).await;
        let applied = bench.hand.apply(&[INJECTION]).await;
        assert!(applied.iter().all(|(_, result)| result.is_ok()), "{applied:?}");
        Some(bench)
    }

    /// The fault planned on this stage.
    async fn on(stage: Stage, saboteur: Entry) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let run: RunId = stage.cx.run.clone();
        let state = State::open(&directory.path().join("state")).unwrap();
        let ledger = Ledger::create(&state.run_directory(&run).unwrap(), 1).unwrap();
        let (news, _nobody_listens) = tokio::sync::mpsc::unbounded_channel();
        let hand = Arc::new(Hand::new(run, state, Some(ledger), Engines::default(), news));
        let wanted = Wanted {
            injection: INJECTION,
            name: String::new(),
            fault: stage.entry.name.to_owned(),
            params: stage.params.clone(),
            target: stage.target.clone(),
            others: stage.cx.others.clone(),
            observers: Vec::new(),
            at_most: Span::secs(600),
            allow_irreversible: true,
            turn: fracas_guardian::protocol::Turn::default(),
            seed: fracas_core::seed::Seed(7),
        };
        // Entries live as long as the program: so does this one, and the test is over soon.
        hand.plan_with(Box::leak(Box::new(saboteur)), wanted).await.unwrap();
        Self {
            hand,
            stage,
            _state: directory,
        }
    }

    /// Whether the dose that the guardian reports is that of a fault that landed.
    async fn landed(&self) -> bool {
        let measured = self.hand.measure(&[INJECTION]).await;
        let [(_, dose)] = measured.as_slice() else {
            panic!("{measured:?}");
        };
        dose.as_ref().is_ok_and(|dose| dose.landed == Landed::Yes)
    }

    /// What the certificate says of it.
    async fn certified(&self) -> Certified {
        let certificate = self.hand.certify().await;
        assert_eq!(
            certificate.is_clean(),
            certificate.lines.iter().all(|line| line.state.is_over())
        );
        let [line] = certificate.lines.as_slice() else {
            panic!("{certificate:?}");
        };
        line.clone()
    }
}

/// The fault as it is lands, and leaves.
async fn honest(entry: &'static Entry, on: On) {
    let Some(bench) = Bench::with(entry, on, *entry).await else {
        return;
    };
    assert!(bench.landed().await);
    let line = bench.certified().await;
    assert_eq!((line.state, line.undo.as_str()), (Stands::Clean, "restored"));
}

async fn apply_that_does_nothing(entry: &'static Entry, on: On) {
    let saboteur = Entry {
        apply: |_, _, _| Box::pin(async { Ok(()) }),
        ..*entry
    };
    let Some(bench) = Bench::with(entry, on, saboteur).await else {
        return;
    };
    assert!(!bench.landed().await, "what did nothing counts as landed");
    let line = bench.certified().await;
    assert_eq!(
        (line.state, line.undo.as_str()),
        (Stands::Clean, "nothing was left to undo")
    );
}

async fn revert_that_does_nothing(entry: &'static Entry, on: On) {
    let saboteur = Entry {
        revert: |_, _| Box::pin(async { Ok(Reverted::Restored) }),
        ..*entry
    };
    let Some(bench) = Bench::with(entry, on, saboteur).await else {
        return;
    };
    let line = bench.certified().await;
    assert_eq!(line.state, Stands::Residue, "{line:?}");
    assert_ne!(line.seen, "as before");
    if !matches!(entry.name, "process_kill" | "connection_reset") {
        assert!(!line.manual.is_empty(), "a person is not told what to do");
    }
    if let fixture::Thing::Process(_) | fixture::Thing::Grouped(..) | fixture::Thing::Node(_) = bench.stage.thing {
        // What is left of it must not outlive the test: a worker keeps a group of the test's busy.
        leave(entry, &bench).await;
    }
}

async fn observer_that_errs(entry: &'static Entry, on: On) {
    let saboteur = Entry {
        observe: |_, _| Box::pin(async { Err(Problem::new(&codes::FAULT_OBSERVE, "it is dark")) }),
        ..*entry
    };
    let Some(bench) = Bench::with(entry, on, saboteur).await else {
        return;
    };
    let line = bench.certified().await;
    assert_eq!(line.state, Stands::Residue, "{line:?}");
    assert!(line.seen.contains("F008: it is dark"), "{line:?}");
}

/// An engine goes on with what it was asked, also when nobody waits for the answer any more: the stop takes effect seconds after the
/// first undo, and the certificate must not be made before that.
async fn cut_off() {
    let Some(engine) = fracas_lab::TestDocker::get().await else {
        return;
    };
    let container = fracas_lab::TestContainer::build(&engine).mode(["--ignore-term", "sleep"]);
    let entry = fracas_faults::find("container_stop").unwrap();
    let params = serde_json::json!({ "grace": "3s" });
    let stage = fixture::in_container(entry, params, container.start().await.unwrap()).await;
    let before = stage.container().identity().await.unwrap();
    let bench = Bench::on(stage, *entry).await;
    let (applied, ()) = tokio::join!(bench.hand.apply(&[INJECTION]), async {
        // tidy: sleep because the engine shows nowhere that it has begun to stop a container that ignores the signal
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        bench.hand.cancel(&[INJECTION]);
    });
    assert!(applied[0].1.is_err(), "it was not cut off");
    let line = bench.certified().await;
    assert_eq!(
        (line.state, line.undo.as_str()),
        (Stands::Clean, "restored"),
        "{line:?}"
    );
    // It was waited for, and the waiting is the guardian's own.
    assert!(line.millis > line.engine_millis + 3000, "{line:?}");
    assert!(bench.stage.container().inspect().await.unwrap().state.running);
    assert_ne!(
        bench.stage.container().identity().await.unwrap(),
        before,
        "the stop never took effect"
    );
}

/// A container that came back is nobody's but its operator's: the look at the end of the run must not start it again.
async fn stopped_after_us() {
    let entry = fracas_faults::find("container_stop").unwrap();
    let Some(bench) = Bench::with(entry, On::Simplest, *entry).await else {
        return;
    };
    let lines = bench.hand.revert(&[INJECTION]).await;
    assert_eq!(lines[0].state, Stands::Clean, "{lines:?}");
    let container = bench.stage.container();
    container
        .engine()
        .stop(container.id(), std::time::Duration::ZERO)
        .await
        .unwrap();
    let line = bench.certified().await;
    assert_eq!(line.state, Stands::Clean, "{line:?}");
    assert!(
        !container.inspect().await.unwrap().state.running,
        "it was started again"
    );
}

/// A hand with one fault on each of several processes, the last with the entry as it is.
async fn several(saboteurs: &[Entry]) -> (Arc<Hand>, Vec<Stage>, tempfile::TempDir) {
    let entry = fracas_faults::find("fd_exhaustion").unwrap();
    let mut stages = Vec::new();
    for _ in 0..=saboteurs.len() {
        stages.push(
            stage(entry, On::Simplest)
                .await
                .expect("a process can always be started"),
        );
    }
    let directory = tempfile::tempdir().unwrap();
    let run: RunId = stages[0].cx.run.clone();
    let state = State::open(&directory.path().join("state")).unwrap();
    let ledger = Ledger::create(&state.run_directory(&run).unwrap(), stages.len()).unwrap();
    let (news, _nobody_listens) = tokio::sync::mpsc::unbounded_channel();
    let hand = Arc::new(Hand::new(run, state, Some(ledger), Engines::default(), news));
    for (index, stage) in stages.iter().enumerate() {
        let wanted = Wanted {
            injection: InjectionId(index as u32),
            name: String::new(),
            fault: stage.entry.name.to_owned(),
            params: stage.params.clone(),
            target: stage.target.clone(),
            others: Vec::new(),
            observers: Vec::new(),
            at_most: Span::secs(600),
            allow_irreversible: true,
            turn: Turn::default(),
            seed: fracas_core::seed::Seed(7),
        };
        let entry = Box::leak(Box::new(saboteurs.get(index).copied().unwrap_or(*entry)));
        hand.plan_with(entry, wanted).await.unwrap();
    }
    (hand, stages, directory)
}

/// Two calls to an engine are cut off, and what they may still do is waited for. A third fault, which no engine knows, goes at once.
async fn others_wait_for_no_engine() {
    let hangs = Entry {
        in_flight: |_, _| Ok(std::time::Duration::from_secs(3)),
        apply: |_, _, _| Box::pin(std::future::pending()),
        ..*fracas_faults::find("fd_exhaustion").unwrap()
    };
    let (hand, stages, _state) = several(&[hangs, hangs]).await;
    let before = stages[2].value();
    assert_eq!(hand.apply(&[InjectionId(2)]).await, [(InjectionId(2), Ok(()))]);
    assert_ne!(stages[2].value(), before);
    let all: Vec<_> = (0..3).map(InjectionId).collect();
    let began = std::time::Instant::now();
    let restored = async {
        // The applies have begun: this is polled after them.
        hand.cancel(&all);
        tokio::join!(hand.revert(&all), async {
            while stages[2].value() != before {
                tokio::task::yield_now().await;
            }
            assert!(
                began.elapsed() < std::time::Duration::from_secs(1),
                "{:?}",
                began.elapsed()
            );
        })
    };
    let (applied, _) = tokio::join!(hand.apply(&all[..2]), restored);
    assert!(applied.iter().all(|(_, result)| result.is_err()), "{applied:?}");
    assert!(
        began.elapsed() >= std::time::Duration::from_secs(3),
        "the calls were not waited for"
    );
    let certificate = hand.certify().await;
    assert!(
        certificate.is_clean() && certificate.lines.len() == 3,
        "{certificate:?}"
    );
}

/// Who waits for his turn has asked nothing of the engine: a rollback is not kept waiting for turns that will never come.
async fn no_turn_is_waited_for() {
    let waits = Entry {
        in_flight: |_, cx| Ok(std::time::Duration::from_secs(1 + 600 * u64::from(cx.rank))),
        apply: |_, _, _| Box::pin(std::future::pending()),
        ..*fracas_faults::find("fd_exhaustion").unwrap()
    };
    let (hand, _stages, _state) = several(&[waits, waits]).await;
    let both = [InjectionId(0), InjectionId(1)];
    let began = std::time::Instant::now();
    let (applied, ()) = tokio::join!(hand.apply(&both), async { hand.cancel(&both) });
    assert!(applied.iter().all(|(_, result)| result.is_err()), "{applied:?}");
    assert!(hand.certify().await.is_clean());
    assert!(
        began.elapsed() < std::time::Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

/// The last that was put on drains: the one before it on the same target is undone meanwhile.
async fn others_wait_for_nothing_under_way() {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;
    static UNDONE: AtomicBool = AtomicBool::new(false);

    let honest = fracas_faults::find("fd_exhaustion").unwrap();
    let first = Entry {
        revert: |undo, cx| {
            UNDONE.store(true, Ordering::Release);
            (fracas_faults::find("fd_exhaustion").unwrap().revert)(undo, cx)
        },
        ..*honest
    };
    let drains = Entry {
        drains: fracas_faults::find("http").unwrap().drains,
        revert: |undo, cx| {
            Box::pin(async move {
                let others = async {
                    while !UNDONE.load(Ordering::Acquire) {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::time::timeout(Duration::from_secs(20), others)
                    .await
                    .expect("the other one is undone meanwhile");
                (fracas_faults::find("fd_exhaustion").unwrap().revert)(undo, cx).await
            })
        },
        ..*honest
    };
    let (hand, stages, _state) = several(&[first, drains]).await;
    assert_eq!(stages[0].target.identity, stages[1].target.identity);
    let both = [InjectionId(0), InjectionId(1)];
    let applied = hand.apply(&both).await;
    assert!(applied.iter().all(|(_, result)| result.is_ok()), "{applied:?}");
    let lines = hand.revert(&both).await;
    assert!(
        lines.len() == 2 && lines.iter().all(|line| line.undo == "restored"),
        "{lines:?}"
    );
}

/// What an apply has begun in a thread goes on when the apply is cut off: the undo comes after it, for it would find nothing before.
async fn an_undo_comes_after_its_apply() {
    use std::sync::{Condvar, Mutex};
    use std::time::Duration;
    /// 0: nothing is done; 1: the thread waits; 2: it may go on.
    static GATE: (Mutex<u8>, Condvar) = (Mutex::new(0), Condvar::new());

    let entry = fracas_faults::find("file_delete").unwrap();
    let slow = Entry {
        apply: |params, undo, cx| {
            let deed = cx.nursery.begin(cx.trace_name());
            let (params, undo, cx) = (params.clone(), undo.clone(), cx.clone());
            std::thread::spawn(move || {
                *GATE.0.lock().unwrap() = 1;
                let gate = GATE
                    .1
                    .wait_timeout_while(GATE.0.lock().unwrap(), Duration::from_mins(1), |gate| *gate < 2);
                drop(gate);
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                let apply = fracas_faults::find("file_delete").unwrap().apply;
                runtime.block_on(apply(&params, &undo, &cx)).unwrap();
                drop(deed);
            });
            Box::pin(std::future::pending())
        },
        ..*entry
    };
    let Some(stage) = stage(entry, On::Simplest).await else {
        return;
    };
    let bench = Bench::on(stage, slow).await;
    let mut applied = std::pin::pin!(bench.hand.apply(&[INJECTION]));
    let waits = async {
        while *GATE.0.lock().unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        answers = &mut applied => panic!("{answers:?}"),
        () = waits => {}
    }
    bench.hand.cancel(&[INJECTION]);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut applied).await;
    assert!(early.is_err(), "it was undone before it was done: {early:?}");
    *GATE.0.lock().unwrap() = 2;
    GATE.1.notify_all();
    let answers = applied.await;
    assert!(answers.iter().all(|(_, result)| result.is_err()), "{answers:?}");
    let line = bench.certified().await;
    assert_eq!((line.state, line.undo.as_str()), (Stands::Clean, "restored"));
}

/// Takes off what a saboteur left, by a way back that is found from the target alone.
async fn leave(entry: &'static Entry, bench: &Bench) {
    // What is no worker's goes with the target's network.
    if !fixture::has_worker(entry.name) || bench.stage.params["mechanism"] == "kernel_queue" {
        return;
    }
    let stage = &bench.stage;
    let undo = (entry.plan)(&stage.params, &stage.target, &stage.cx).await.unwrap();
    let left = (entry.revert)(&undo, &stage.cx).await.unwrap();
    assert_eq!(left, Reverted::Restored);
}
