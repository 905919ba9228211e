//! The guardian of a run, and what happens when it is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fracas_core::ids::{InjectionId, RunId};
use fracas_core::problem::{Problem, Result};
use fracas_core::record::{Certificate, Certified, State};
use fracas_guardian::client::Pulse;
use fracas_guardian::protocol::Task;
use fracas_guardian::{Client, Place};
use tokio::sync::mpsc;

use super::Back;

/// How often the guardian is asked whether it lives.
const ASK: Duration = Duration::from_secs(1);
/// How long it may take to say so. It has one thread, and a write to a kernel file may have to wait for memory to be reclaimed.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same once faults are to come off: to take something back needs no memory, and every second that is waited keeps a fault on.
const PATIENCE_WHILE_UNDOING: Duration = Duration::from_secs(5);

/// The guardian of a run.
pub(super) struct Lifeline {
    client: Arc<Client>,
    place: Place,
    run: RunId,
    lost: bool,
    /// Whether faults were asked to come off.
    undoing: Arc<AtomicBool>,
    recovered: Recovered,
}

/// The certificate of a recovery, once there is one.
#[derive(Clone, Default)]
pub(super) struct Recovered(Arc<Mutex<Option<Certificate>>>);

impl Recovered {
    pub(super) fn keep(&self, certificate: Certificate) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(certificate);
    }
}

impl Lifeline {
    pub(super) fn new(client: Client, place: Place, run: RunId) -> Self {
        Self {
            client: Arc::new(client),
            place,
            run,
            lost: false,
            undoing: Arc::default(),
            recovered: Recovered::default(),
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    pub(super) fn lose(&mut self) {
        self.lost = true;
    }

    /// Faults were asked to come off: from now on the guardian may be silent for less long.
    pub(super) fn undoing(&self) {
        self.undoing.store(true, Ordering::Relaxed);
    }

    pub(super) fn remember(&self) -> Recovered {
        self.recovered.clone()
    }

    pub(super) fn recovered(&self) -> Option<Certificate> {
        self.recovered.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the guardian again and again whether it lives; says so when it does not. That it has gone is told by the end of its news.
    pub(super) fn watch(&self, back: mpsc::UnboundedSender<Back>) {
        let client = Arc::downgrade(&self.client);
        let undoing = Arc::clone(&self.undoing);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(ASK).await;
                let Some(client) = client.upgrade() else { return };
                let undoing = Arc::clone(&undoing);
                let limit = move || {
                    if undoing.load(Ordering::Relaxed) {
                        PATIENCE_WHILE_UNDOING
                    } else {
                        PATIENCE
                    }
                };
                let pulse = client.pulse(limit);
                // Not held while it is waited for: whoever drops the client wants it gone.
                drop(client);
                let why = match pulse.await {
                    Pulse::Lives => continue,
                    Pulse::Gone => return,
                    Pulse::Silent => "the guardian did not answer and was ended",
                    Pulse::Stopped => "the guardian was stopped and had to be ended",
                };
                let _ = back.send(Back::Hung(why));
                return;
            }
        });
    }

    /// Starts a guardian that undoes everything from the ledger. What it says of injections is passed on: the report's times come
    /// from that.
    pub(super) fn recover(
        &self,
        back: mpsc::UnboundedSender<Back>,
    ) -> impl Future<Output = Result<Certificate>> + Send + use<> {
        let (place, task) = (self.place.clone(), Task::Recover { run: self.run.clone() });
        let proven = self.recovered();
        async move {
            if let Some(proven) = proven {
                return Ok(proven);
            }
            let (client, mut news) = Client::start_at(&place, task).await?;
            let mut ended = std::pin::pin!(client.end());
            let certificate = loop {
                tokio::select! {
                    biased;
                    Some(message) = news.recv() => drop(back.send(Back::News(message))),
                    certificate = &mut ended => break certificate,
                }
            };
            // Whatever was said before the answer is there by now.
            while let Ok(message) = news.try_recv() {
                drop(back.send(Back::News(message)));
            }
            certificate
        }
    }
}

/// What is certified when nobody could recover: nothing is known, and that is residue.
pub(super) fn unrecovered(problem: &Problem) -> Certificate {
    Certificate {
        lines: vec![Certified {
            injection: InjectionId(0),
            fault: "all".to_owned(),
            target: "all".to_owned(),
            state: State::Residue,
            undo: problem.line(),
            seen: "not looked at: the guardian is lost and no other could be started".to_owned(),
            millis: 0,
            engine_millis: 0,
            manual: vec!["fracas recover".to_owned()],
        }],
    }
}
