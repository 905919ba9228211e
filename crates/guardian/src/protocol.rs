//! What runner and guardian say to each other: JSON in frames over a socket pair, or over the standard streams of a sidecar.

use std::time::Duration;

use fracas_core::experiment::{Precondition, TargetSpec};
use fracas_core::ids::{InjectionId, RunId};
use fracas_core::observer::Observer;
use fracas_core::problem::Said;
use fracas_core::record::{Certificate, Certified, Dose, State, UndoClass};
use fracas_core::seed::Seed;
use fracas_core::target::{ProcessIdentity, Target};
use fracas_core::units::Span;
use fracas_targets::{Discovery, Followed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How often a runner says that it lives.
pub const HEARTBEAT: Duration = Duration::from_millis(100);

/// Longer than any true message; a length beyond it is nonsense, not a reason to allocate.
const LONGEST: usize = 64 << 20;

/// From the runner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToGuardian {
    /// The first message.
    Hello(Hello),
    /// The runner lives.
    Beat,
    /// A question; the answer carries the same number.
    Ask {
        /// Numbers questions.
        number: u64,
        /// What.
        what: Ask,
    },
}

/// Who the runner is and what the guardian is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The runner: the guardian watches it, and kills it if it is unheard for too long.
    pub runner: ProcessIdentity,
    /// The state directory.
    pub state: String,
    /// What for.
    pub task: Task,
    /// For a guardian in a sidecar: the address by which the runner knows the engine that is there. Everything that is planned and kept
    /// names it so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
}

/// What a guardian is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// A new run.
    Run {
        /// Its id.
        run: RunId,
        /// The engines that it will need; connected before the guardian says that it is ready.
        engines: Vec<String>,
        /// Nothing will be applied: no ledger is made.
        dry: bool,
    },
    /// Cleaning up after a run whose runner and guardian are dead.
    Recover {
        /// Its id.
        run: RunId,
    },
}

/// A question to the guardian.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Plan these; nothing is touched. Answer: [`Answer::Planned`].
    Plan(Vec<Wanted>),
    /// Put these on: planned again, written to the ledger in one write, applied in parallel. Answer: [`Answer::Applied`].
    Apply(Vec<InjectionId>),
    /// Read their doses. Answer: [`Answer::Measured`].
    Measure(Vec<InjectionId>),
    /// Undo these: last in first out on each target, targets in parallel. Answer: [`Answer::Reverted`].
    Revert(Vec<InjectionId>),
    /// The target of these restarted as this one: forget the old and be ready to apply again. Answer: [`Answer::Planned`].
    Retarget(Vec<(InjectionId, Target)>),
    /// Find the targets of an experiment: for a guardian in a sidecar, which alone sees the processes there. Answer:
    /// [`Answer::Discovered`].
    Discover(Sought),
    /// Look for a target again, there. Answer: [`Answer::Followed`].
    Follow(Box<Target>),
    /// Say something. Answer: [`Answer::Pong`].
    Ping,
    /// Undo whatever is left, prove it and end. Answer: [`Answer::Ended`].
    End,
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sought {
    /// The targets.
    pub targets: Vec<TargetSpec>,
    /// What must run before.
    pub preconditions: Vec<Precondition>,
    /// The root of what is drawn.
    pub seed: Seed,
}

/// An injection that is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// Its number.
    pub injection: InjectionId,
    /// The fault's name in the document; empty where there is none.
    #[serde(default)]
    pub name: String,
    /// The fault's type.
    pub fault: String,
    /// Its parameters.
    pub params: Value,
    /// On what.
    pub target: Target,
    /// The targets of the other set, for a fault that stands between two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Target>,
    /// Whoever measures while it is on, for a fault that could blind him.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observers: Vec<Observer>,
    /// After this long it is undone even if nobody asks: no fault is for ever.
    pub at_most: Span,
    /// Agrees to a fault without a way back.
    pub allow_irreversible: bool,
    /// When it is on: what another injection of the run has at another time it may have too.
    #[serde(default)]
    pub turn: Turn,
    /// The root of what its plan draws.
    #[serde(default)]
    pub seed: Seed,
}

impl Task {
    /// The run that it is about.
    pub fn run(&self) -> &RunId {
        let (Self::Run { run, .. } | Self::Recover { run }) = self;
        run
    }
}

impl Wanted {
    /// What it is, for a person who has the document in hand: name, type and target.
    pub fn words(&self) -> String {
        if self.name.is_empty() {
            format!("{} on {}", self.fault, self.target)
        } else {
            format!("`{}` ({}) on {}", self.name, self.fault, self.target)
        }
    }
}

/// When an injection is on, counted from the first. The default is always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Turn {
    /// From here.
    pub from: Span,
    /// To here; `None` is the end of the run.
    pub until: Option<Span>,
    /// The series that it belongs to, if any: of that, each waits until the one before it is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<u32>,
}

impl Turn {
    /// What lies between the end of one and the beginning of the next at least: the time to undo and to look.
    pub const GAP: Span = Span::secs(1);

    /// Whether the other has ended, and was undone, when this one begins, or the other way round.
    pub fn is_apart_from(self, other: Self) -> bool {
        if self.series.is_some() && self.series == other.series {
            return true;
        }
        let before = |one: Self, next: Self| {
            one.until
                .is_some_and(|until| until.0.saturating_add(Self::GAP.0) <= next.from.0)
        };
        before(self, other) || before(other, self)
    }
}

/// From the guardian.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromGuardian {
    /// It is ready: whatever it needs to revert is reserved.
    Ready {
        /// What it could not reserve, in words: weaker, but no reason to refuse.
        weak: Vec<String>,
    },
    /// It cannot serve, and ends.
    Refused(Said),
    /// The answer to a question.
    Answer {
        /// The question's number.
        number: u64,
        /// What.
        what: Answer,
    },
    /// An injection came into a state: said as it happens, also unasked.
    State {
        /// Which.
        injection: InjectionId,
        /// Into what.
        state: State,
        /// What led to it.
        how: String,
        /// Where it was undone: from the start of the undo to what was seen then, in milliseconds.
        took_ms: Option<u64>,
    },
    /// It cannot promise any more that another would find the way back: the run must end. It has begun to undo everything.
    Endangered(Said),
    /// The lease is over and everything is undone: the proof. A runner in reach of a guardian on its own machine does not live to
    /// hear it; one that was only cut off from its sidecar may.
    Alone(Certificate),
    /// An injection failed.
    Failed {
        /// Which.
        injection: InjectionId,
        /// Why.
        problem: Said,
    },
}

/// An answer of the guardian.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// One for each that was wanted, in order.
    Planned(Vec<Result<Planned, Said>>),
    /// One for each, in order.
    Applied(Vec<(InjectionId, Result<(), Said>)>),
    /// One for each, in order.
    Measured(Vec<(InjectionId, Result<Dose, Said>)>),
    /// One for each that was ever on.
    Reverted(Vec<Certified>),
    /// The targets.
    Discovered(Result<Discovery, Said>),
    /// What became of one.
    Followed(Result<Followed, Said>),
    /// It lives.
    Pong,
    /// The proof.
    Ended(Certificate),
}

/// What a planned injection will do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// Which.
    pub injection: InjectionId,
    /// How it is undone.
    pub undo: UndoClass,
    /// The change and its way back, in words.
    pub change: String,
}

/// Writes one message.
pub async fn send<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), message: &T) -> std::io::Result<()> {
    let body = serde_json::to_vec(message).map_err(std::io::Error::other)?;
    let mut frame = Vec::with_capacity(body.len() + 4);
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(&body);
    to.write_all(&frame).await?;
    // A stream that is encrypted may keep the end for itself.
    to.flush().await
}

/// Reads one message; `None` when the other side is gone.
pub async fn receive<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<T>> {
    let mut length = [0u8; 4];
    match from.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST {
        return Err(std::io::Error::other(format!("a message of {length} bytes")));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    serde_json::from_slice(&body).map(Some).map_err(std::io::Error::other)
}
