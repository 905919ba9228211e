//! The loop that connects the machine of the run with the guardian, the probes, the clock and the world.

mod follow;
mod lifeline;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fracas_core::event::{Hypothesis, Phase, StopCause, Verdict, What};
use fracas_core::experiment::Experiment;
use fracas_core::ids::{InjectionId, RunId};
use fracas_core::probe::{Moment, Probe, Prometheus, Reading, Source};
use fracas_core::problem::{Problem, Result, Said, codes};
use fracas_core::record::{Dose, Landed, UndoClass};
use fracas_core::run::{Command, Input, Machine};
use fracas_core::target::Target;
use fracas_core::units::Span;
use fracas_guardian::Place;
use fracas_guardian::protocol::FromGuardian;
use fracas_probe::{Prober, ReadContext};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::order::{Dry, Settings};
use crate::prepare::Prepared;
use crate::recorder::Recorder;
use crate::stops::{Heard, Stops};
use follow::Follower;
use lifeline::Lifeline;

/// What comes back from work that was begun.
enum Back {
    /// For the machine.
    Input(Input),
    /// A metric was read.
    Metric(String, Reading),
    /// Targets came back after a restart, or a step of putting the faults on them again is done.
    Follow(follow::Step),
    /// Before a fault is put on: these of its targets came back as others since they were planned.
    Moved(Vec<InjectionId>, Vec<(InjectionId, Target)>),
    /// Its way back was found anew where that was needed.
    Aimed(Vec<InjectionId>),
    /// The guardian does not answer, and why that is said.
    Hung(&'static str),
    /// The guardian that recovers says something.
    News(FromGuardian),
    /// The guardian was asked for the end and went without an answer.
    Unanswered,
}

/// What the loop works with.
struct Driver<'a> {
    machine: Machine,
    experiment: Arc<Experiment>,
    lifeline: Lifeline,
    prober: Arc<Prober>,
    targets: Arc<Vec<Target>>,
    follower: Follower,
    first_applied: Option<SystemTime>,
    dry: bool,
    /// How often Prometheus scrapes the metrics.
    scrape_interval: Span,
    back: mpsc::UnboundedSender<Back>,
    recorder: &'a mut Recorder,
    ended: Option<Verdict>,
    /// What is being waited for, for a person who asks a second time.
    undoing: bool,
    /// Probes and metrics that are being read.
    reading: JoinSet<()>,
    /// The guardian was asked for the end: it may go, and what comes of the question says whether it went too early.
    ending: bool,
}

pub(crate) async fn drive(
    experiment: Experiment,
    prepared: Prepared,
    dry: Dry,
    settings: &Settings,
    run: &RunId,
    stops: &mut Stops,
    recorder: &mut Recorder,
) -> Result<()> {
    let Prepared {
        client,
        place,
        mut news,
        engine,
        prober,
        targets,
        injections,
        planned,
    } = prepared;
    if dry == Dry::Quick {
        return look_only(&experiment, &prober, &targets, &client, recorder).await;
    }
    let (back, mut backs) = mpsc::unbounded_channel();
    let lifeline = Lifeline::new(client, place.clone(), run.clone());
    lifeline.watch(back.clone());
    let mut driver = Driver {
        machine: Machine::new(experiment.clone(), injections).strict_certificate(settings.strict_certificate),
        experiment: Arc::new(experiment),
        lifeline,
        prober: Arc::new(prober),
        targets: Arc::new(targets),
        follower: Follower::new(planned, engine, matches!(place, Place::Sidecar(_))),
        first_applied: None,
        dry: dry != Dry::No,
        scrape_interval: settings.scrape_interval,
        back,
        recorder,
        ended: None,
        undoing: false,
        reading: JoinSet::new(),
        ending: false,
    };
    // Whether the guardian may still say something.
    let mut talking = true;
    driver.put(Input::Tick);
    while driver.ended.is_none() {
        let due = tokio::time::Instant::from_std(driver.recorder.began())
            + driver
                .machine
                .next()
                .min(Duration::from_hours(24))
                .max(Duration::from_millis(1));
        tokio::select! {
            biased;
            heard = stops.next() => driver.hear(heard)?,
            message = news.recv(), if talking => {
                talking = message.is_some();
                match message {
                    Some(message) => driver.news(message),
                    None if driver.ending => {}
                    None => driver.lose_guardian("the guardian ended"),
                }
            }
            Some(back) = backs.recv() => driver.take(back).await,
            () = tokio::time::sleep_until(due) => driver.put(Input::Tick),
        }
    }
    // Nobody judges them any more, and no program of a probe is to go on beside the report.
    driver.reading.shutdown().await;
    Ok(())
}

impl Driver<'_> {
    /// Gives the machine an input and does what it says.
    fn put(&mut self, input: Input) {
        let commands = self.machine.on(self.recorder.now(), input);
        for command in commands {
            self.carry_out(command);
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Emit(what) => self.recorder.emit(what),
            Command::Read { probe } => self.read(probe),
            Command::ReadMetrics => self.read_metrics(),
            Command::Follow(injections) if self.dry => drop(injections),
            Command::Follow(injections) => self.follower.look(&injections, self.lifeline.client(), &self.back),
            Command::Apply(injections) if self.dry => {
                self.answer(async move { Input::Applied(injections.into_iter().map(|id| (id, Ok(()))).collect()) });
            }
            Command::Apply(injections) => {
                // Another fault of this run may have restarted the target meanwhile.
                match self.follower.look_before(&injections, self.lifeline.client()) {
                    Some(look) if self.first_applied.is_some() => {
                        let back = self.back.clone();
                        tokio::spawn(async move {
                            let moved = look.await;
                            let _ = back.send(Back::Moved(injections, moved));
                        });
                    }
                    _ => self.apply(injections),
                }
            }
            Command::Measure(injections) if self.dry => {
                let dose = |id| {
                    let words = "dry run: nothing was applied".to_owned();
                    (
                        id,
                        Ok(Dose {
                            asked: words.clone(),
                            delivered: words,
                            landed: Landed::Yes,
                            effect: None,
                        }),
                    )
                };
                self.answer(async move { Input::Measured(injections.into_iter().map(dose).collect()) });
            }
            Command::Measure(injections) => {
                let measured = self.lifeline.client().measure(injections.clone());
                self.answer(async move {
                    // A meter that hangs must not keep a fault on.
                    let limit = Duration::from_secs(5);
                    let measured = tokio::time::timeout(limit, measured).await;
                    let late = |_| {
                        Problem::new(
                            &codes::FAULT_MEASURE,
                            format!("the meter did not answer within {limit:?}"),
                        )
                    };
                    Input::Measured(
                        measured
                            .map_err(late)
                            .flatten()
                            .unwrap_or_else(|problem| failed(&injections, &problem)),
                    )
                });
            }
            Command::Revert(injections) => {
                self.undoing = true;
                self.lifeline.undoing();
                if self.lifeline.is_lost() {
                    return self.recover(injections);
                }
                let reverted = self.lifeline.client().revert(injections.clone());
                // If the guardian is lost meanwhile, the recovery answers in its place.
                let back = self.back.clone();
                tokio::spawn(async move {
                    if reverted.await.is_ok() {
                        let _ = back.send(Back::Input(Input::Reverted(injections)));
                    }
                });
            }
            Command::Certify => {
                if let Some(certificate) = self.lifeline.recovered() {
                    return self.answer(async move { Input::Certified(certificate) });
                }
                if self.lifeline.is_lost() {
                    return self.recover(Vec::new());
                }
                self.ending = true;
                self.lifeline.undoing();
                let ended = self.lifeline.client().end();
                let back = self.back.clone();
                tokio::spawn(async move {
                    let _ = back.send(match ended.await {
                        Ok(certificate) => Back::Input(Input::Certified(certificate)),
                        Err(_) => Back::Unanswered,
                    });
                });
            }
            Command::Finish(verdict) => self.ended = Some(verdict),
        }
    }

    fn apply(&mut self, injections: Vec<InjectionId>) {
        self.first_applied.get_or_insert_with(SystemTime::now);
        let applied = self.lifeline.client().apply(injections.clone());
        self.answer(
            async move { Input::Applied(applied.await.unwrap_or_else(|problem| failed(&injections, &problem))) },
        );
    }

    /// Finds the way back on targets that came back as others, then puts the faults on: never once the rollback has begun.
    fn aim(&mut self, injections: Vec<InjectionId>, moved: Vec<(InjectionId, Target)>) {
        if self.machine.phase() >= Phase::Rollback {
            return;
        }
        if moved.is_empty() {
            return self.apply(injections);
        }
        self.follower.moved(&moved);
        let planned = self.lifeline.client().retarget(moved);
        let back = self.back.clone();
        tokio::spawn(async move {
            // What could not be planned cannot be applied either, and says why then.
            let _ = planned.await;
            let _ = back.send(Back::Aimed(injections));
        });
    }

    /// Begins work whose result is an input.
    fn answer(&self, work: impl Future<Output = Input> + Send + 'static) {
        let back = self.back.clone();
        tokio::spawn(async move {
            let _ = back.send(Back::Input(work.await));
        });
    }

    async fn take(&mut self, back: Back) {
        match back {
            Back::Input(input) => self.put(input),
            Back::Moved(injections, moved) => self.aim(injections, moved),
            Back::Aimed(injections) => self.aim(injections, Vec::new()),
            Back::Metric(metric, reading) => self.recorder.emit(What::MetricRead { metric, reading }),
            Back::Follow(step) => {
                let still = |id: InjectionId| self.machine.is_on(id);
                let (events, inputs) = self
                    .follower
                    .step(step, &still, self.lifeline.client(), self.back.clone());
                for what in events {
                    self.recorder.emit(what);
                }
                for input in inputs {
                    self.put(input);
                }
            }
            Back::Unanswered => self.lose_guardian("the guardian ended without an answer"),
            Back::News(message) => self.news(message),
            Back::Hung(why) => {
                if !self.lifeline.is_lost() && !self.machine.has_certificate() {
                    if let Err(problem) = self.lifeline.client().kill().await {
                        self.recorder.failed(&problem);
                    }
                    self.lose_guardian(why);
                }
            }
        }
    }

    fn hear(&mut self, heard: Heard) -> Result<()> {
        match heard {
            Heard::Stop(cause) => self.put(Input::Stop(cause)),
            Heard::Again(2) => {
                let text = if self.undoing {
                    "waiting until every fault is undone and was seen to be gone"
                } else {
                    "waiting for the end of the run"
                };
                self.recorder
                    .note(format!("{text}; once more leaves it to the guardian"));
            }
            // The guardian sees the runner die and undoes what is left by itself.
            Heard::Again(_) => {
                return Err(Problem::new(
                    &codes::RESIDUE,
                    "the run was left to the guardian, which goes on undoing",
                )
                .next("`fracas status` shows when it is done"));
            }
        }
        Ok(())
    }

    fn news(&mut self, message: FromGuardian) {
        match message {
            FromGuardian::State {
                injection,
                state,
                how,
                took_ms,
            } => self.recorder.emit(What::Injection {
                injection,
                state,
                how,
                took_ms,
            }),
            FromGuardian::Failed { injection, problem } => {
                self.recorder.emit(What::InjectionFailed { injection, problem });
            }
            FromGuardian::Endangered(problem) => {
                self.recorder.emit(What::Failed { problem });
                self.put(Input::Stop(StopCause::Asked("the guardian".to_owned())));
            }
            // It was cut off from this runner, has undone everything and goes: nobody need recover.
            FromGuardian::Alone(certificate) => self.lifeline.remember().keep(certificate),
            FromGuardian::Ready { .. } | FromGuardian::Refused(_) | FromGuardian::Answer { .. } => {}
        }
    }

    fn lose_guardian(&mut self, why: &str) {
        if self.ended.is_some() || self.lifeline.is_lost() || self.machine.has_certificate() {
            return;
        }
        self.recorder.emit(What::GuardianLost { why: why.to_owned() });
        self.lifeline.lose();
        let rolling_back = self.machine.phase() >= Phase::Rollback;
        self.put(Input::Stop(StopCause::GuardianLost));
        if rolling_back {
            self.recover(Vec::new());
        }
    }

    /// A new guardian undoes everything from the ledger.
    fn recover(&mut self, injections: Vec<InjectionId>) {
        let recovery = self.lifeline.recover(self.back.clone());
        let back = self.back.clone();
        let all: Vec<_> = if injections.is_empty() {
            self.follower.all()
        } else {
            injections
        };
        let recovered = self.lifeline.remember();
        tokio::spawn(async move {
            let certificate = match recovery.await {
                Ok(certificate) => certificate,
                Err(problem) => lifeline::unrecovered(&problem),
            };
            recovered.keep(certificate.clone());
            let _ = back.send(Back::Input(Input::Reverted(all)));
            let _ = back.send(Back::Input(Input::Certified(certificate)));
        });
    }

    fn read(&mut self, index: usize) {
        while self.reading.try_join_next().is_some() {}
        let Some(probe) = self.experiment.probes.get(index).cloned() else {
            return;
        };
        let (prober, targets, since) = (Arc::clone(&self.prober), Arc::clone(&self.targets), self.first_applied);
        let back = self.back.clone();
        self.reading.spawn(async move {
            let context = ReadContext {
                since_injection: since,
                targets: &targets,
            };
            let reading = prober.read(&probe, &context).await;
            let _ = back.send(Back::Input(Input::Read { probe: index, reading }));
        });
    }

    fn read_metrics(&mut self) {
        for metric in &self.experiment.metrics {
            let probe = metric_probe(metric, self.scrape_interval);
            let (prober, back, metric) = (Arc::clone(&self.prober), self.back.clone(), metric.clone());
            self.reading.spawn(async move {
                let reading = prober.read(&probe, &ReadContext::default()).await;
                let _ = back.send(Back::Metric(metric, reading));
            });
        }
    }
}

fn failed<T>(injections: &[InjectionId], problem: &Problem) -> Vec<(InjectionId, std::result::Result<T, Said>)> {
    injections.iter().map(|id| (*id, Err(Said::from(problem)))).collect()
}

/// A metric of the document as a probe without judgement.
fn metric_probe(metric: &str, scrape_interval: Span) -> Probe {
    Probe {
        name: metric.to_owned(),
        description: None,
        source: Source::Prometheus(Prometheus {
            query: metric.to_owned(),
            url: None,
            scrape_interval,
            timeout: Span::secs(10),
        }),
        expect: None,
        abort: None,
        when: Vec::new(),
        critical: false,
    }
}

/// A dry run without waiting: every probe once, and the guardian goes home.
async fn look_only(
    experiment: &Experiment,
    prober: &Prober,
    targets: &[Target],
    client: &fracas_guardian::Client,
    recorder: &mut Recorder,
) -> Result<()> {
    let mut broken = None;
    for probe in &experiment.probes {
        let reading = prober
            .read(
                probe,
                &ReadContext {
                    since_injection: None,
                    targets,
                },
            )
            .await;
        let violation = probe.expect.and_then(|expect| reading.violates(expect));
        let danger = probe.abort.and_then(|abort| reading.endangers(abort));
        let before = probe.critical && probe.when.iter().any(|when| when.moment == Moment::Before);
        let unhealthy = danger.clone().or_else(|| violation.clone().filter(|_| before));
        broken = broken.or(unhealthy.map(|why| StopCause::Baseline {
            probe: probe.name.clone(),
            why,
        }));
        recorder.emit(What::ProbeRead {
            probe: probe.name.clone(),
            moment: None,
            reading,
            violation,
            danger,
        });
    }
    let certificate = client.end().await?;
    recorder.emit(What::Certified { certificate });
    // A run would end here, before the first fault: whoever tries it out first wants to hear that.
    let (verdict, why) = match broken {
        None => (Verdict::Passed, "dry run: nothing was applied".to_owned()),
        Some(cause) => (
            Verdict::Aborted,
            format!(
                "dry run: nothing was applied, and a run would end at once: {}",
                cause.words()
            ),
        ),
    };
    recorder.emit(What::RunEnded {
        verdict,
        why,
        hypothesis: Hypothesis::NotEvaluated,
        decisions: (0, String::new()),
    });
    Ok(())
}

/// Whether an injection lives in its target, so that it must be put on again when that restarts.
fn lives_in_target(undo: UndoClass) -> bool {
    undo == UndoClass::Exact
}

type PlannedMap = BTreeMap<InjectionId, (Target, UndoClass)>;
