//! The runner's side: starting a guardian and asking it.
//!
//! Every question is sent when its function is called, so that the order of calls is the order in which the guardian learns of
//! them; the future that comes back is only the answer.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::time::Duration;

use fracas_core::ids::InjectionId;
use fracas_core::problem::{Problem, Result, Said, codes};
use fracas_core::record::{Certificate, Certified, Dose};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::child::{Worker, WorkerOptions, start_worker};
use fracas_linux::process;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::protocol::{Answer, Ask, FromGuardian, HEARTBEAT, Hello, Planned, Task, ToGuardian, Wanted, receive, send};

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

/// A guardian of ours.
pub struct Client {
    to: mpsc::UnboundedSender<ToGuardian>,
    waiting: Waiting,
    next: std::sync::atomic::AtomicU64,
    weak: Vec<String>,
    identity: ProcessIdentity,
    worker: Worker,
    // Dropped with the client: ends the heart.
    _heart: std_mpsc::Sender<()>,
}

/// What the guardian says unasked; ends when the guardian is gone.
pub type News = mpsc::UnboundedReceiver<FromGuardian>;

impl Client {
    /// Starts a guardian and waits until it is ready.
    pub async fn start(state: &Path, task: Task, options: WorkerOptions) -> Result<(Self, News)> {
        let failed =
            |what: &str, error: &std::io::Error| Problem::new(&codes::GUARDIAN_START, what.to_owned()).because(error);
        let runner = fracas_linux::process::identity(std::process::id())
            .ok()
            .flatten()
            .ok_or_else(|| Problem::new(&codes::GUARDIAN_START, "cannot read the identity of this process"))?;
        let worker = start_worker("guardian", options).map_err(|error| failed("cannot start the guardian", &error))?;
        let socket = worker
            .socket
            .try_clone()
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .and_then(UnixStream::from_std)
            .map_err(|error| failed("cannot talk to the guardian", &error))?;
        let (mut from, mut to) = socket.into_split();
        let hello = Hello {
            runner,
            state: state.to_string_lossy().into_owned(),
            task,
        };
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
        let identity = worker.process.identity().clone();
        let client = Self {
            to: to_writer,
            waiting,
            next: std::sync::atomic::AtomicU64::new(0),
            weak,
            identity,
            worker,
            _heart: heart,
        };
        Ok((client, news))
    }

    /// What the guardian could not reserve.
    pub fn weak(&self) -> &[String] {
        &self.weak
    }

    /// The guardian's process.
    pub fn identity(&self) -> &ProcessIdentity {
        &self.identity
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
        let pid = self.identity.pid;
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
                let now = process::stop(pid).is_ok_and(|stop| stop == Some(process::Stop::Yes));
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
        if self.worker.process.signal(KILL).map_err(|error| failed(&error))? {
            tokio::time::timeout(Duration::from_secs(10), self.worker.process.ended())
                .await
                .map_err(|error| failed(&std::io::Error::other(error)))?
                .map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    /// See [`Ask::End`].
    pub fn end(&self) -> impl Future<Output = Result<Certificate>> + Send + use<> {
        let answer = self.ask(Ask::End);
        async move {
            match answer.await? {
                Answer::Ended(certificate) => Ok(certificate),
                other => Err(nonsense(&other)),
            }
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

fn nonsense(answer: &Answer) -> Box<Problem> {
    Problem::new(
        &codes::INSIDE,
        format!("the guardian answered another question: {answer:?}"),
    )
}

async fn write(mut asks: mpsc::UnboundedReceiver<ToGuardian>, mut to: OwnedWriteHalf) {
    while let Some(message) = asks.recv().await {
        if send(&mut to, &message).await.is_err() {
            return;
        }
    }
}

async fn read(mut from: OwnedReadHalf, waiting: Waiting, news: mpsc::UnboundedSender<FromGuardian>) {
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
