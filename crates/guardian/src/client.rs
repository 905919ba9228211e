//! The runner's side: starting a guardian and asking it.
//!
//! Every question is sent when its function is called, so that the order of calls is the order in which the guardian learns of
//! them; the future that comes back is only the answer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::time::Duration;

use fracas_core::ids::{InjectionId, RunId};
use fracas_core::problem::{Problem, Result, Said, codes};
use fracas_core::record::{Certificate, Certified, Dose};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::child::{Worker, WorkerOptions, start_worker};
use fracas_linux::process;
use fracas_targets::{Discovery, Followed};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};

use crate::protocol::{
    Answer, Ask, FromGuardian, HEARTBEAT, Hello, Planned, Sought, Task, ToGuardian, Wanted, receive, send,
};
use crate::sidecar::{self, Site};

/// How long a guardian may take to be ready: it connects to engines, each within 5 s.
const READY: Duration = Duration::from_secs(30);

/// The answer of the guardian that a question waits for.
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>>;

/// How often a guardian that does not answer is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What a guardian says when it is asked whether it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// It answered.
    Lives,
    /// It said nothing for as long as it may.
    Silent,
    /// It was stopped by a signal.
    Stopped,
    /// Its socket is closed: it has ended, of itself or not.
    Gone,
}

/// Where a guardian is.
#[derive(Debug, Clone)]
pub enum Place {
    /// On this machine, with this state directory.
    Here(PathBuf),
    /// In a sidecar.
    Sidecar(Site),
}

/// What a guardian lives in.
enum Body {
    Child(Worker),
    /// Of this run.
    Sidecar(Site, RunId),
}

/// A guardian of ours.
pub struct Client {
    to: mpsc::UnboundedSender<ToGuardian>,
    waiting: Waiting,
    next: std::sync::atomic::AtomicU64,
    weak: Vec<String>,
    body: Body,
    // Dropped with the client: ends the heart.
    _heart: std_mpsc::Sender<()>,
}

/// What the guardian says unasked; ends when the guardian is gone.
pub type News = mpsc::UnboundedReceiver<FromGuardian>;

impl Client {
    /// Starts a guardian where it is to be and waits until it is ready.
    pub async fn start_at(place: &Place, task: Task) -> Result<(Self, News)> {
        match place {
            Place::Here(state) => {
                let options = WorkerOptions {
                    own_session: true,
                    ..WorkerOptions::default()
                };
                Self::start(state, task, options).await
            }
            Place::Sidecar(site) => Self::start_beside(site, task).await,
        }
    }

    /// Starts a guardian on this machine and waits until it is ready.
    pub async fn start(state: &Path, task: Task, options: WorkerOptions) -> Result<(Self, News)> {
        let hello = Hello {
            runner: itself()?,
            state: state.to_string_lossy().into_owned(),
            task,
            beside: None,
        };
        let worker = start_worker("guardian", options).map_err(|error| failed("cannot start the guardian", &error))?;
        let socket = worker
            .socket
            .try_clone()
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .and_then(UnixStream::from_std)
            .map_err(|error| failed("cannot talk to the guardian", &error))?;
        let (from, to) = socket.into_split();
        Self::greet(hello, from, to, Body::Child(worker)).await
    }

    async fn start_beside(site: &Site, task: Task) -> Result<(Self, News)> {
        let recovers = matches!(task, Task::Recover { .. });
        let attached = site.start(&task).await?;
        let run = task.run().clone();
        let hello = Hello {
            runner: itself()?,
            state: sidecar::STATE.to_owned(),
            task,
            beside: Some(site.engine().address()),
        };
        let greeted = Self::greet(
            hello,
            attached.reader,
            attached.writer,
            Body::Sidecar(site.clone(), run.clone()),
        )
        .await;
        match greeted {
            Ok(started) => Ok(started),
            Err(problem) => {
                let problem = match attached.complaint.text() {
                    text if text.is_empty() => problem,
                    text => problem.since(format!("the sidecar said: {text}")),
                };
                // The guardian removes its sidecar, if it came so far as to be one.
                match site.give_up(&run, recovers).await {
                    Ok(()) => Err(problem),
                    Err(left) => Err(problem.since(left.line())),
                }
            }
        }
    }

    async fn greet(
        hello: Hello,
        mut from: impl AsyncRead + Send + Unpin + 'static,
        mut to: impl AsyncWrite + Send + Unpin + 'static,
        body: Body,
    ) -> Result<(Self, News)> {
        send(&mut to, &ToGuardian::Hello(hello))
            .await
            .map_err(|error| failed("cannot greet the guardian", &error))?;
        let weak = match tokio::time::timeout(READY, receive::<FromGuardian>(&mut from)).await {
            Ok(Ok(Some(FromGuardian::Ready { weak }))) => weak,
            Ok(Ok(Some(FromGuardian::Refused(said)))) => return Err(said.into()),
            Ok(Ok(other)) => {
                return Err(Problem::new(
                    &codes::GUARDIAN_START,
                    format!("the guardian ended before it was ready ({other:?})"),
                ));
            }
            Ok(Err(error)) => return Err(failed("the guardian's answer is broken", &error)),
            Err(_) => {
                return Err(Problem::new(
                    &codes::GUARDIAN_START,
                    format!("the guardian was not ready within {READY:?}"),
                ));
            }
        };
        let (to_writer, asks) = mpsc::unbounded_channel();
        let (news_in, news) = mpsc::unbounded_channel();
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(write(asks, to));
        tokio::spawn(read(from, Arc::clone(&waiting), news_in));
        let heart = beat(to_writer.clone())?;
        let client = Self {
            to: to_writer,
            waiting,
            next: std::sync::atomic::AtomicU64::new(0),
            weak,
            body,
            _heart: heart,
        };
        Ok((client, news))
    }

    /// What the guardian could not reserve.
    pub fn weak(&self) -> &[String] {
        &self.weak
    }

    /// The guardian's process, where it is on this machine.
    fn pid(&self) -> Option<u32> {
        match &self.body {
            Body::Child(worker) => Some(worker.process.identity().pid),
            Body::Sidecar(..) => None,
        }
    }

    /// See [`Ask::Discover`].
    pub fn discover(&self, sought: Sought) -> impl Future<Output = Result<Discovery>> + Send + use<> {
        let answer = self.ask(Ask::Discover(sought));
        async move {
            match answer.await? {
                Answer::Discovered(found) => Ok(found?),
                other => Err(nonsense(&other)),
            }
        }
    }

    /// See [`Ask::Follow`].
    pub fn follow(&self, target: Target) -> impl Future<Output = Result<Followed>> + Send + use<> {
        let answer = self.ask(Ask::Follow(Box::new(target)));
        async move {
            match answer.await? {
                Answer::Followed(followed) => Ok(followed?),
                other => Err(nonsense(&other)),
            }
        }
    }

    /// See [`Ask::Plan`].
    pub fn plan(&self, wanted: Vec<Wanted>) -> impl Future<Output = Result<Vec<Result<Planned, Said>>>> + Send + use<> {
        let answer = self.ask(Ask::Plan(wanted));
        async move {
            match answer.await? {
                Answer::Planned(planned) => Ok(planned),
                other => Err(nonsense(&other)),
            }
        }
    }

    /// See [`Ask::Retarget`].
    pub fn retarget(
        &self,
        pairs: Vec<(InjectionId, Target)>,
    ) -> impl Future<Output = Result<Vec<Result<Planned, Said>>>> + Send + use<> {
        let answer = self.ask(Ask::Retarget(pairs));
        async move {
            match answer.await? {
                Answer::Planned(planned) => Ok(planned),
                other => Err(nonsense(&other)),
            }
        }
    }

    /// See [`Ask::Apply`].
    pub fn apply(
        &self,
        injections: Vec<InjectionId>,
    ) -> impl Future<Output = Result<Vec<(InjectionId, Result<(), Said>)>>> + Send + use<> {
        let answer = self.ask(Ask::Apply(injections));
        async move {
            match answer.await? {
                Answer::Applied(applied) => Ok(applied),
                other => Err(nonsense(&other)),
            }
        }
    }

    /// See [`Ask::Measure`].
    pub fn measure(
        &self,
        injections: Vec<InjectionId>,
    ) -> impl Future<Output = Result<Vec<(InjectionId, Result<Dose, Said>)>>> + Send + use<> {
        let answer = self.ask(Ask::Measure(injections));
        async move {
            match answer.await? {
                Answer::Measured(measured) => Ok(measured),
                other => Err(nonsense(&other)),
            }
        }
    }

    /// See [`Ask::Revert`].
    pub fn revert(&self, injections: Vec<InjectionId>) -> impl Future<Output = Result<Vec<Certified>>> + Send + use<> {
        let answer = self.ask(Ask::Revert(injections));
        async move {
            match answer.await? {
                Answer::Reverted(lines) => Ok(lines),
                other => Err(nonsense(&other)),
            }
        }
    }

    /// Whether the guardian lives. `limit` says, and is asked again and again, how long it may be silent.
    pub fn pulse<L: Fn() -> Duration + Send>(&self, limit: L) -> impl Future<Output = Pulse> + Send + use<L> {
        let answer = self.ask(Ask::Ping);
        let pid = self.pid();
        async move {
            let mut answer = std::pin::pin!(answer);
            let (mut silent, mut stopped) = (Duration::ZERO, false);
            loop {
                match tokio::time::timeout(LOOK, &mut answer).await {
                    Ok(Ok(_)) => return Pulse::Lives,
                    Ok(Err(_)) => return Pulse::Gone,
                    // Looks are counted, not the clock: a runner that got no processor could not have heard.
                    Err(_) => silent += LOOK,
                }
                // Twice in a row: one that was stopped for a moment and goes on is none that hangs. Until its end is collected, which
                // nobody does before the client is dropped, the pid is its own.
                let now = pid.is_some_and(|pid| process::stop(pid).is_ok_and(|stop| stop == Some(process::Stop::Yes)));
                if now && stopped {
                    return Pulse::Stopped;
                }
                stopped = now;
                if silent >= limit() {
                    return Pulse::Silent;
                }
            }
        }
    }

    /// Ends a guardian that does not answer, so that another can recover from its ledger. Waits for its death.
    ///
    /// # Errors
    /// If it cannot be ended: G002.
    pub async fn kill(&self) -> Result<()> {
        const KILL: i32 = 9;
        let failed = |error: &std::io::Error| {
            Problem::new(&codes::GUARDIAN_LOST, "the guardian hangs and cannot be ended").because(error)
        };
        let worker = match &self.body {
            Body::Child(worker) => worker,
            Body::Sidecar(site, run) => return site.kill(run).await,
        };
        if worker.process.signal(KILL).map_err(|error| failed(&error))? {
            tokio::time::timeout(Duration::from_secs(10), worker.process.ended())
                .await
                .map_err(|error| failed(&std::io::Error::other(error)))?
                .map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    /// See [`Ask::End`]. A sidecar is part of what must be gone.
    pub fn end(&self) -> impl Future<Output = Result<Certificate>> + Send + use<> {
        let answer = self.ask(Ask::End);
        let site = match &self.body {
            Body::Child(_) => None,
            Body::Sidecar(site, run) => Some((site.clone(), run.clone())),
        };
        async move {
            let mut certificate = match answer.await? {
                Answer::Ended(certificate) => certificate,
                other => return Err(nonsense(&other)),
            };
            if let Some((site, run)) = site {
                certificate.lines.extend(site.gone(&run).await);
            }
            Ok(certificate)
        }
    }

    /// Sends the question now, in the order of calls; the future is only the answer.
    fn ask(&self, what: Ask) -> impl Future<Output = Result<Answer>> + Send + use<> {
        let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        // Where nobody can answer any more, `tell` is dropped here and the future says so.
        if let Some(waiting) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            waiting.insert(number, tell);
            let _ = self.to.send(ToGuardian::Ask { number, what });
        }
        async move {
            told.await
                .map_err(|_| Problem::new(&codes::GUARDIAN_LOST, "the guardian is gone"))
        }
    }
}

fn failed(what: &str, error: &std::io::Error) -> Box<Problem> {
    Problem::new(&codes::GUARDIAN_START, what.to_owned()).because(error)
}

/// This process.
fn itself() -> Result<ProcessIdentity> {
    fracas_linux::process::identity(std::process::id())
        .ok()
        .flatten()
        .ok_or_else(|| Problem::new(&codes::GUARDIAN_START, "cannot read the identity of this process"))
}

fn nonsense(answer: &Answer) -> Box<Problem> {
    Problem::new(
        &codes::INSIDE,
        format!("the guardian answered another question: {answer:?}"),
    )
}

async fn write(mut asks: mpsc::UnboundedReceiver<ToGuardian>, mut to: impl AsyncWrite + Unpin) {
    while let Some(message) = asks.recv().await {
        if send(&mut to, &message).await.is_err() {
            return;
        }
    }
}

async fn read(mut from: impl AsyncRead + Unpin, waiting: Waiting, news: mpsc::UnboundedSender<FromGuardian>) {
    while let Ok(Some(message)) = receive::<FromGuardian>(&mut from).await {
        match message {
            FromGuardian::Answer { number, what } => {
                let waiter = waiting
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .as_mut()
                    .and_then(|waiting| waiting.remove(&number));
                if let Some(waiter) = waiter {
                    let _ = waiter.send(what);
                }
            }
            message => {
                let _ = news.send(message);
            }
        }
    }
    // Whoever waits learns that there will be no answer.
    waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
}

/// The heart beats in a thread of its own: a runner whose tasks are busy lives, one that is stopped does not.
fn beat(to: mpsc::UnboundedSender<ToGuardian>) -> Result<std_mpsc::Sender<()>> {
    let (stop, stopped) = std_mpsc::channel();
    std::thread::Builder::new()
        .name("heart".to_owned())
        .spawn(move || {
            while stopped.recv_timeout(HEARTBEAT) == Err(std_mpsc::RecvTimeoutError::Timeout) {
                if to.send(ToGuardian::Beat).is_err() {
                    return;
                }
            }
        })
        .map_err(|error| Problem::new(&codes::GUARDIAN_START, "cannot start the heart").because(&error))?;
    Ok(stop)
}
