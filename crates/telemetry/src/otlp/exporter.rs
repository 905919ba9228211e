//! Sending spans. The queue is bounded, every request has a time limit, and whoever hands a span over never waits.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use fracas_core::problem::{Problem, codes};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::wire;
use crate::outlets::Otlp;
use crate::peer::{LONGEST, Peer};
use crate::span::Span;

/// So many spans wait at most; more are counted and lost.
const QUEUE: usize = 2048;
/// So many go in one request.
const BATCH: usize = 256;
/// So long a span waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// So long the last ones may take, all together.
const LAST: Duration = LONGEST;

/// What became of the spans.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sent {
    /// Taken by the collector.
    pub taken: u64,
    /// Lost.
    pub lost: u64,
    /// Why, the first time.
    pub why: String,
}

impl Sent {
    fn lose(&mut self, count: u64, why: &str) {
        if self.lost == 0 && count > 0 {
            why.clone_into(&mut self.why);
        }
        self.lost += count;
    }

    fn add(&mut self, one: &Self) {
        self.taken += one.taken;
        self.lose(one.lost, &one.why);
    }

    /// What a person should know: that spans were lost. `None` if none was.
    pub fn problem(&self, otlp: &Otlp) -> Option<Box<Problem>> {
        if self.lost == 0 {
            return None;
        }
        let what = format!(
            "{} of {} spans could not be sent to {}",
            self.lost,
            self.lost + self.taken,
            otlp.shown()
        );
        let problem = Problem::new(&codes::NOT_TOLD, what).since(self.why.clone());
        Some(
            problem.next("check that an OTLP receiver listens there: over HTTP, mostly on port 4318, not gRPC on 4317"),
        )
    }
}

/// Sends the spans of a run while it goes on. Needs a tokio runtime.
#[derive(Debug)]
pub struct Exporter {
    otlp: Otlp,
    queue: mpsc::Sender<Span>,
    count: Arc<Count>,
    task: JoinHandle<()>,
    progress: Progress,
}

/// Hands spans over from many places at once. Copies are of the same.
#[derive(Debug, Clone)]
pub struct Spans {
    /// It does not hold up the end.
    queue: mpsc::WeakSender<Span>,
    count: Arc<Count>,
}

/// Told of how many spans were not delivered, and why.
type WhenLost = Box<dyn Fn(u64, &str) + Send + Sync>;

/// How many spans came.
#[derive(Default)]
struct Count {
    /// How many were handed over.
    handed: AtomicU64,
    /// How many of them found no room.
    overflow: AtomicU64,
    when_lost: OnceLock<WhenLost>,
}

impl fmt::Debug for Count {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Count")
            .field("handed", &self.handed)
            .field("overflow", &self.overflow)
            .finish_non_exhaustive()
    }
}

impl Count {
    fn hand_over(&self, queue: &mpsc::Sender<Span>, span: Span) -> bool {
        self.handed.fetch_add(1, Ordering::Relaxed);
        let is_taken = queue.try_send(span).is_ok();
        if !is_taken {
            self.overflow.fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }
}

impl Spans {
    /// Hands a span over. Never waits. `false`: there was no room, and it is lost, and counted; or all is over.
    pub fn send(&self, span: Span) -> bool {
        let queue = self.queue.upgrade();
        queue.is_some_and(|queue| self.count.hand_over(&queue, span))
    }

    /// Has this told of spans that were handed over and not delivered, from now on, with the reason. Whoever is the first to ask is told.
    pub fn when_lost(&self, told: impl Fn(u64, &str) + Send + Sync + 'static) {
        // Another one is told already.
        let _first = self.count.when_lost.set(Box::new(told));
    }
}

/// What became of the spans so far: also known when the work has to be cut off.
type Progress = Arc<Mutex<Sent>>;

impl Exporter {
    /// Begins.
    pub fn start(otlp: Otlp) -> Self {
        let (queue, spans) = mpsc::channel(QUEUE);
        let progress = Progress::default();
        let count = Arc::<Count>::default();
        let task = tokio::spawn(work(otlp.clone(), spans, Arc::clone(&progress), Arc::clone(&count)));
        Self {
            otlp,
            queue,
            count,
            task,
            progress,
        }
    }

    /// Hands a span over. Never waits: where the queue is full, it is lost and counted.
    pub fn send(&mut self, span: Span) {
        let _taken = self.count.hand_over(&self.queue, span);
    }

    /// For those who hand spans over from many places at once.
    pub fn spans(&self) -> Spans {
        Spans {
            queue: self.queue.downgrade(),
            count: Arc::clone(&self.count),
        }
    }

    /// Sends what is left, for twelve seconds at most. Gives what could not be sent as one problem.
    pub async fn finish(self) -> Option<Box<Problem>> {
        let Self {
            otlp,
            queue,
            count,
            mut task,
            progress,
        } = self;
        drop(queue);
        if timeout_at(Instant::now() + LAST, &mut task).await.is_err() {
            task.abort();
        }
        let mut sent = progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sent.lose(count.overflow.load(Ordering::Relaxed), "more came than could be sent");
        let rest = count
            .handed
            .load(Ordering::Relaxed)
            .saturating_sub(sent.taken + sent.lost);
        sent.lose(rest, &format!("the last ones were not sent within {LAST:?}"));
        sent.problem(&otlp)
    }
}

/// Sends these spans now: for whoever has all of them.
pub async fn export(otlp: &Otlp, spans: Vec<Span>) -> Sent {
    let mut sent = Sent::default();
    let count = spans.len() as u64;
    let peer = match otlp.traces().and_then(|(url, headers)| Peer::new(url, headers)) {
        Ok(peer) => peer,
        Err(why) => {
            sent.lose(count, &why);
            return sent;
        }
    };
    let mut spans = spans.into_iter().peekable();
    let until = Instant::now() + LAST;
    while spans.peek().is_some() {
        let batch: Vec<Span> = spans.by_ref().take(BATCH).collect();
        let count = batch.len() as u64;
        match timeout_at(until, deliver(&peer, batch)).await {
            Ok(one) => sent.add(&one),
            Err(_) => sent.lose(count, &format!("they were not sent within {LAST:?}")),
        }
    }
    sent
}

/// Sends until nobody hands spans over any more.
async fn work(otlp: Otlp, mut spans: mpsc::Receiver<Span>, progress: Progress, count: Arc<Count>) {
    let add = |one: &Sent| {
        progress.lock().unwrap_or_else(PoisonError::into_inner).add(one);
        if let Some(told) = count.when_lost.get().filter(|_| one.lost > 0) {
            told(one.lost, &one.why);
        }
    };
    let peer = otlp.traces().and_then(|(url, headers)| Peer::new(url, headers));
    while let Some(first) = spans.recv().await {
        let mut batch = vec![first];
        let until = Instant::now() + GATHER;
        while batch.len() < BATCH {
            match timeout_at(until, spans.recv()).await {
                Ok(Some(span)) => batch.push(span),
                // Nobody hands over any more, or it is time.
                Ok(None) | Err(_) => break,
            }
        }
        match &peer {
            Ok(peer) => add(&deliver(peer, batch).await),
            Err(why) => {
                let mut none = Sent::default();
                none.lose(batch.len() as u64, why);
                add(&none);
            }
        }
    }
}

async fn deliver(peer: &Peer, batch: Vec<Span>) -> Sent {
    let mut sent = Sent::default();
    let count = batch.len() as u64;
    match peer.post("application/x-protobuf", wire::request(batch)).await {
        Ok(answer) => {
            let (refused, why) = wire::refused(&answer);
            let refused = refused.min(count);
            sent.taken = count - refused;
            sent.lose(refused, &format!("the collector refused them: {why}"));
        }
        Err(why) => sent.lose(count, &why),
    }
    sent
}
