//! The guardian as a process: `fracas worker guardian`.

mod bounds;
mod log;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fracas_core::ids::{InjectionId, RunId};
use fracas_core::problem::{Problem, Result, Said, codes};
use fracas_core::record::Certificate;
use fracas_core::target::Target;
use fracas_docker::Engine;
use fracas_faults::Engines;
use fracas_linux::guard;
use fracas_linux::process::Process;
use fracas_linux::state_dir::PrivateDir;
use fracas_targets::{Discovery, Followed};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::bounds::Bounds;
use self::log::Log;
use crate::hand::Hand;
use crate::lease::{Lease, TICK};
use crate::ledger::{Contents, Ledger, Record};
use crate::protocol::{Answer, Ask, FromGuardian, Hello, Sought, Task, ToGuardian, receive, send};
use crate::sidecar;
use crate::state::State;
use crate::told::{self, Cleanup};

/// The certificate's name in the directory of a run.
pub const CERTIFICATE: &str = "certificate.json";

/// How long the first message may take. A guardian that nobody greets has nothing to guard.
const GREETING: Duration = Duration::from_secs(10);

/// The main of the guardian. Returns when everything is undone.
///
/// One thread: PDEATHSIG of workers fires when the *thread* that started them ends (prctl(2)), and reverting must not need a new
/// thread on a machine without a free pid.
pub fn main() -> Result<()> {
    run(async |weak| {
        let socket = fracas_linux::child::parent_socket().map_err(|error| broken(&error))?;
        socket.set_nonblocking(true).map_err(|error| broken(&error))?;
        let (from, to) = UnixStream::from_std(socket)
            .map_err(|error| broken(&error))?
            .into_split();
        serve(weak, from, to).await
    })
}

/// The main of a guardian in a sidecar: it talks by its standard streams, and at its end has the sidecar removed.
///
/// # Errors
/// As [`main`]; I001 without the run as its argument, G002 when the sidecar cannot be removed.
pub fn main_in_sidecar(arguments: &[String]) -> Result<()> {
    let run_id = crate::sidecar::of(arguments)?;
    let served = run(async |weak| {
        let (from, to) = fracas_linux::child::standard_pipes().map_err(|error| broken(&error))?;
        serve(weak, from, to).await
    });
    // Whatever happened: nobody else knows that it has come to its end.
    let departed = crate::sidecar::end::depart(&run_id);
    served.and(departed)
}

fn broken(error: &std::io::Error) -> Box<Problem> {
    Problem::new(&codes::GUARDIAN_START, "the way to the runner is broken").because(error)
}

fn run(serve: impl AsyncFnOnce(Vec<String>) -> Result<()>) -> Result<()> {
    // Ctrl-C is the runner's business.
    let ignored = fracas_linux::signals::ignore_terminal();
    ignored.map_err(|error| Problem::new(&codes::GUARDIAN_START, "cannot set what signals do").because(&error))?;
    let entrenched = guard::entrench();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new(&codes::GUARDIAN_START, "cannot start").because(&error))?;
    let done = runtime.block_on(serve(weaknesses(&entrenched)));
    // What is still running would hold the process: everything that matters has been awaited.
    runtime.shutdown_background();
    // A group that stays is found by the sweep of the next recovery.
    let _ = guard::leave(entrenched);
    done
}

/// What could not be reserved, in words.
fn weaknesses(entrenched: &guard::Entrenched) -> Vec<String> {
    [
        entrenched.session.as_ref().err(),
        entrenched.oom_score_adj.as_ref().err(),
        entrenched.own_cgroup.as_ref().err(),
        entrenched.mlocked.as_ref().err(),
        entrenched.descriptors.as_ref().err(),
    ]
    .into_iter()
    .flatten()
    .cloned()
    .collect()
}

async fn serve(
    weak: Vec<String>,
    mut from: impl AsyncRead + Send + Unpin + 'static,
    mut to: impl AsyncWrite + Send + Unpin + 'static,
) -> Result<()> {
    let first = tokio::time::timeout(GREETING, receive::<ToGuardian>(&mut from)).await;
    let Ok(Ok(Some(ToGuardian::Hello(hello)))) = first else {
        return Err(Problem::new(&codes::GUARDIAN_START, "nobody greeted the guardian"));
    };
    let (news, heard) = mpsc::unbounded_channel();
    match prepare(&hello, news).await {
        Ok(guardian) => {
            let ready = send(&mut to, &FromGuardian::Ready { weak }).await;
            ready.map_err(|error| broken(&error))?;
            let writer = tokio::spawn(tell(heard, to));
            let alone = guardian.serve(from).await;
            let _ = tokio::time::timeout(Duration::from_secs(1), writer).await;
            // In a sidecar it is not known where to tell it: that is in the state of the runner's machine.
            if let Some(alone) = alone
                && hello.beside.is_none()
            {
                alone.tell(Path::new(&hello.state)).await;
            }
            Ok(())
        }
        Err(problem) => {
            let _ = send(&mut to, &FromGuardian::Refused(Said::from(&*problem))).await;
            Err(problem)
        }
    }
}

/// Writes news to the runner until there are none. A runner that does not read or is gone stops nothing.
async fn tell(mut heard: mpsc::UnboundedReceiver<FromGuardian>, mut to: impl AsyncWrite + Unpin) {
    while let Some(message) = heard.recv().await {
        if send(&mut to, &message).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
    // Keeps taking, so that nothing piles up.
    while heard.recv().await.is_some() {}
}

/// A run that ended without its runner. Nothing of a target is held any more.
struct Alone {
    cleanup: Cleanup,
    lease: Lease,
    log: Log,
}

/// How long a runner may take to end that hung up and lives: it may be telling what it knows.
const LEAVING: Duration = Duration::from_secs(30);

impl Alone {
    /// Tells of the cleanup what the runner cannot.
    async fn tell(mut self, state: &Path) {
        // Whether it has told its own part is known once it is gone. A runner that goes on has not died, and tells by itself.
        if !self.lease.runner_gone(LEAVING).await {
            return;
        }
        let problems = match State::open(state) {
            Ok(state) => told::tell(&state, &self.cleanup).await,
            Err(problem) => vec![problem],
        };
        for problem in problems {
            self.log.line(&problem.line());
        }
    }
}

struct Guardian {
    run: RunId,
    hand: Arc<Hand>,
    lease: Lease,
    log: Log,
    directory: Option<PrivateDir>,
    /// The address of the engine beside which it is, in a sidecar.
    beside: Option<String>,
    news: mpsc::UnboundedSender<FromGuardian>,
    lost: Vec<fracas_core::record::Certified>,
    recovering: bool,
    /// The proof of a run that had ended before this guardian came: two who recover at once. It stands as it is.
    proven: Option<Certificate>,
    /// Descriptors in hand for the revert.
    spare: guard::Spare,
}

/// Why everything is undone when the runner closes its socket: it is dying, or leaves the rest to its guardian.
const HUNG_UP: &str = "the runner hung up";

/// So many descriptors are kept for reverting: targets are undone in parallel, but the kernel's files one by one.
const SPARE: usize = 32;

/// The largest certificate that is read, in bytes.
const LARGEST_PROOF: u64 = 64 << 20;

async fn prepare(hello: &Hello, news: mpsc::UnboundedSender<FromGuardian>) -> Result<Guardian> {
    let start = |what: &str| Problem::new(&codes::GUARDIAN_START, what.to_owned());
    let state = State::open(Path::new(&hello.state))?;
    let engines = Engines::default();
    let runner = match &hello.beside {
        None => Some(
            Process::open(&hello.runner)
                .map_err(|error| start("cannot watch the runner").because(&error))?
                .ok_or_else(|| start("the runner is gone"))?,
        ),
        Some(engine) => {
            let beside = Engine::beside(engine, Path::new(sidecar::SOCKET)).await?;
            engines.keep(engine, &beside);
            engines.keep_for_all(&beside);
            None
        }
    };
    let (run, recovering) = (hello.task.run().clone(), matches!(hello.task, Task::Recover { .. }));
    let directory = state.run_directory(&run)?;
    let mut lost = Vec::new();
    let mut proven = None;
    let (hand, directory) = match &hello.task {
        Task::Run {
            engines: addresses,
            dry,
            ..
        } => {
            for address in addresses {
                engines.at(address).await?;
            }
            let ledger = if *dry {
                None
            } else {
                Some(begin(&directory, &hello.runner, &run)?)
            };
            let directory = (!dry).then_some(directory);
            (Hand::new(run.clone(), state, ledger, engines, news.clone()), directory)
        }
        // The sidecar's runner died before anything was planned.
        Task::Recover { .. } if hello.beside.is_some() && Ledger::look(&directory)?.is_none() => {
            proven = Some(Certificate { lines: Vec::new() });
            (Hand::new(run.clone(), state, None, engines, news.clone()), None)
        }
        Task::Recover { .. } => {
            let Some((mut ledger, contents)) = Ledger::open(&directory)? else {
                return Err(Problem::new(&codes::CLAIMED, format!("run {run} still has a guardian"))
                    .next(format!("`fracas stop {run}`")));
            };
            if contents.ended {
                proven = Some(proof(&directory, &contents));
            } else {
                // Whoever looks from now on sees that somebody is at it. Without room for that the undo goes on all the same.
                drop(ledger.append(&[began(&hello.runner, &run)?]));
            }
            let hand = Hand::new(run.clone(), state, Some(ledger), engines, news.clone());
            if proven.is_none() {
                lost = hand.adopt(&contents);
            }
            (hand, Some(directory))
        }
    };
    let log = Log::new(directory.as_ref());
    let spare = guard::Spare::keep(SPARE).map_err(|error| start("cannot keep descriptors in hand").because(&error))?;
    Ok(Guardian {
        run,
        hand: Arc::new(hand),
        lease: Lease::new(runner),
        log,
        directory,
        beside: hello.beside.clone(),
        news,
        lost,
        recovering,
        proven,
        spare,
    })
}

/// The proof of a run whose end is on disk: the one that was written, else (its guardian ended in between) what the ledger says.
fn proof(directory: &PrivateDir, contents: &Contents) -> Certificate {
    let written = directory.read(CERTIFICATE, LARGEST_PROOF).ok().flatten();
    written
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_else(|| contents.account())
}

fn begin(directory: &PrivateDir, runner: &fracas_core::target::ProcessIdentity, run: &RunId) -> Result<Ledger> {
    let began = began(runner, run)?;
    let mut ledger = Ledger::create(directory, 64)?;
    ledger.append(&[began])?;
    Ok(ledger)
}

/// Who this guardian is, for whom.
fn began(runner: &fracas_core::target::ProcessIdentity, run: &RunId) -> Result<Record> {
    let itself = fracas_linux::process::identity(std::process::id())
        .ok()
        .flatten()
        .ok_or_else(|| Problem::new(&codes::GUARDIAN_START, "the guardian cannot read its own identity"))?;
    Ok(Record::Began {
        run: run.clone(),
        runner: runner.clone(),
        guardian: itself,
    })
}

impl Guardian {
    /// Serves until the end was asked for, or the runner is lost and everything is undone: then there is something to be told.
    async fn serve(mut self, mut from: impl AsyncRead + Send + Unpin + 'static) -> Option<Alone> {
        let (asked, mut asks) = mpsc::channel(64);
        let reader = tokio::spawn(async move {
            while let Ok(Some(message)) = receive::<ToGuardian>(&mut from).await {
                if asked.send(message).await.is_err() {
                    break;
                }
            }
        });
        let mut terminate = fracas_linux::signals::Stops::listen().ok();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut work: JoinSet<()> = JoinSet::new();
        let mut bounds = Bounds::default();
        let mut endangered = false;
        let why = loop {
            tokio::select! {
                biased;
                ended = self.lease.runner_ended() => break match ended {
                    Ok(()) => "the runner died".to_owned(),
                    Err(error) => format!("the runner cannot be watched: {error}"),
                },
                name = next_termination(&mut terminate) => break format!("{name} to the guardian"),
                message = asks.recv() => match message {
                    Some(ToGuardian::Beat | ToGuardian::Hello(_)) => self.lease.heard(),
                    Some(ToGuardian::Ask { number, what: Ask::End }) => {
                        let news = self.news.clone();
                        let finish = self.finish(&mut work, "the runner asked");
                        let certificate = heard_meanwhile(&mut asks, &news, finish).await;
                        let _ = self.news.send(FromGuardian::Answer { number, what: Answer::Ended(certificate) });
                        reader.abort();
                        return None;
                    }
                    Some(ToGuardian::Ask { number, what }) => {
                        self.lease.heard();
                        let late = match &what {
                            Ask::Apply(injections) => {
                                let known = |id: &InjectionId| Some((*id, self.hand.at_most(*id)?));
                                bounds.begin(Instant::now(), injections.iter().filter_map(known))
                            }
                            _ => Vec::new(),
                        };
                        self.answer(number, what, &mut work);
                        self.hand.cancel(&late);
                    }
                    None => break HUNG_UP.to_owned(),
                },
                _ = tick.tick() => {
                    self.hand.reap();
                    while work.try_join_next().is_some() {}
                    self.expire(&mut bounds, &mut work);
                    if !endangered && let Some(problem) = self.hand.endangered() {
                        endangered = true;
                        self.give_up(&problem, &mut work);
                    }
                    if self.lease.look() {
                        break "the runner was unheard for too long".to_owned();
                    }
                }
            }
        };
        reader.abort();
        self.log.line(&why);
        let began = told::now();
        let certificate = self.lose_runner(&mut work, &why).await;
        let _ = self.news.send(FromGuardian::Alone(certificate.clone()));
        // A dry run touched nothing.
        self.directory.is_some().then(|| Alone {
            cleanup: Cleanup {
                run: self.run,
                by: "guardian",
                why,
                began,
                ended: told::now(),
                certificate,
            },
            lease: self.lease,
            log: self.log,
        })
    }

    /// The runner is lost: it is made sure that it cannot act any more, then everything is undone.
    async fn lose_runner(&mut self, work: &mut JoinSet<()>, why: &str) -> Certificate {
        // Applies that are under way let go meanwhile.
        self.hand.cancel_all();
        // Who closed the socket knows that it has no hand any more, and may have its end still to tell.
        if why != HUNG_UP
            && let Err(error) = self.lease.end_runner().await
        {
            // It may act again, and still the faults cannot stay: undone now, and said.
            self.log.line(&format!("the runner cannot be ended: {error}"));
        }
        let certificate = self.finish(work, why).await;
        self.log.line(if certificate.is_clean() {
            "everything is undone"
        } else {
            "something is left"
        });
        certificate
    }

    /// Undoes what is left, proves it, writes the proof.
    async fn finish(&mut self, work: &mut JoinSet<()>, why: &str) -> Certificate {
        self.hand.cancel_all();
        self.spare.release();
        if let Some(proof) = self.proven.take() {
            self.hand.close();
            return proof;
        }
        // What is on comes off while what is under way ends: an engine call that was cut off may take a minute to be over, and
        // meanwhile no other fault may stay.
        let under_way = async { while work.join_next().await.is_some() {} };
        tokio::join!(under_way, self.hand.revert_all());
        let mut certificate = self.hand.certify().await;
        certificate.lines.append(&mut self.lost);
        if let Err(problem) = self.hand.end(&certificate) {
            self.log.line(&problem.line());
        }
        if let Some(directory) = &self.directory {
            let text = serde_json::to_vec_pretty(&certificate).unwrap_or_default();
            if let Err(error) = directory.write_atomic(CERTIFICATE, &text) {
                self.log.line(&format!("cannot write the certificate: {error}"));
            }
        }
        self.log.line(&format!("ended: {why}"));
        self.hand.reap();
        self.hand.close();
        if self.recovering
            && let Err(error) = guard::sweep()
        {
            // The guardian before this one was killed: its groups hold nothing, and the next recovery sweeps again.
            self.log.line(&format!("groups of a former guardian stay: {error}"));
        }
        certificate
    }

    /// Answers one question, beside others.
    fn answer(&self, number: u64, what: Ask, work: &mut JoinSet<()>) {
        let (hand, news) = (Arc::clone(&self.hand), self.news.clone());
        let allowed = !self.recovering;
        let beside = self.beside.clone();
        match &what {
            Ask::Apply(injections) if allowed => hand.allow(injections),
            Ask::Revert(injections) => hand.cancel(injections),
            _ => {}
        }
        work.spawn(async move {
            let what = match what {
                Ask::Plan(wanted) => {
                    // One after the other: which of two conflicting injections is refused must not depend on chance.
                    let mut planned = Vec::new();
                    for wanted in wanted {
                        planned.push(hand.plan(wanted).await.map_err(|problem| Said::from(&*problem)));
                    }
                    Answer::Planned(planned)
                }
                Ask::Retarget(pairs) => {
                    let mut planned = Vec::new();
                    for (injection, target) in pairs {
                        planned.push(
                            hand.retarget(injection, target)
                                .await
                                .map_err(|problem| Said::from(&*problem)),
                        );
                    }
                    Answer::Planned(planned)
                }
                Ask::Apply(injections) if allowed => Answer::Applied(hand.apply(&injections).await),
                Ask::Apply(_) => Answer::Applied(Vec::new()),
                Ask::Measure(injections) => Answer::Measured(hand.measure(&injections).await),
                Ask::Revert(injections) => Answer::Reverted(hand.revert(&injections).await),
                Ask::Discover(sought) => Answer::Discovered(discover(&hand, beside, sought).await),
                Ask::Follow(target) => Answer::Followed(follow(&hand, &target).await),
                Ask::Ping => Answer::Pong,
                // Taken by the caller.
                Ask::End => return,
            };
            let _ = news.send(FromGuardian::Answer { number, what });
        });
    }

    /// Takes everything off while this guardian, the only one that still can, lives; and has the runner end the run.
    fn give_up(&mut self, problem: &Problem, work: &mut JoinSet<()>) {
        self.log.line(&problem.line());
        let _ = self.news.send(FromGuardian::Endangered(Said::from(problem)));
        self.hand.cancel_all();
        let hand = Arc::clone(&self.hand);
        work.spawn(async move {
            hand.revert_all().await;
        });
    }

    /// Undoes injections that are on for longer than they may: the runner should have asked before.
    fn expire(&self, bounds: &mut Bounds, work: &mut JoinSet<()>) {
        let expired = bounds.expired(Instant::now());
        if !expired.is_empty() {
            self.hand.cancel(&expired);
            let hand = Arc::clone(&self.hand);
            work.spawn(async move {
                hand.revert(&expired).await;
            });
        }
    }
}

async fn discover(hand: &Hand, beside: Option<String>, sought: Sought) -> std::result::Result<Discovery, Said> {
    let found = async {
        let engine = match beside {
            Some(address) => Some(hand.engines().at(&address).await?),
            None => None,
        };
        fracas_targets::discover(&sought.targets, &sought.preconditions, engine.as_ref(), sought.seed).await
    };
    found.await.map_err(|problem| Said::from(&*problem))
}

async fn follow(hand: &Hand, target: &Target) -> std::result::Result<Followed, Said> {
    let followed = async {
        let engine = match target.container() {
            Some(container) => Some(hand.engines().at(&container.engine).await?),
            None => None,
        };
        fracas_targets::follow(target, engine.as_ref()).await
    };
    followed.await.map_err(|problem| Said::from(&*problem))
}

/// Answers pings while everything is undone, which may take long: the runner must be able to tell a guardian that works from one that
/// hangs. Nothing else is asked after the end.
async fn heard_meanwhile<T>(
    asks: &mut mpsc::Receiver<ToGuardian>,
    news: &mpsc::UnboundedSender<FromGuardian>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            message = asks.recv(), if open => match message {
                Some(ToGuardian::Ask { number, what: Ask::Ping }) => {
                    let _ = news.send(FromGuardian::Answer { number, what: Answer::Pong });
                }
                Some(_) => {}
                None => open = false,
            },
        }
    }
}

/// SIGTERM alone ends a guardian before its runner: the machine is going down. The others are listened for and not heard.
async fn next_termination(stops: &mut Option<fracas_linux::signals::Stops>) -> &'static str {
    match stops {
        Some(stops) => loop {
            if stops.next().await == fracas_linux::signals::Stop::Terminate {
                return "SIGTERM";
            }
        },
        None => std::future::pending().await,
    }
}
