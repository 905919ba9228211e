//! The guardian of a run, and what happens when it is lost.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fracas_core::ids::{InjectionId, RunId};
use fracas_core::problem::{Problem, Result};
use fracas_core::record::{Certificate, Certified, State};
use fracas_guardian::Client;
use fracas_guardian::protocol::Task;
use fracas_linux::child::WorkerOptions;
use tokio::sync::mpsc;

use super::Back;

/// How often the guardian is asked whether it lives.
const ASK: Duration = Duration::from_secs(1);
/// How long it may take to say so. It has one thread, and a write to a kernel file may have to wait for memory to be reclaimed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The guardian of a run.
pub(super) struct Lifeline {
    client: Arc<Client>,
    state: PathBuf,
    run: RunId,
    lost: bool,
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
    pub(super) fn new(client: Client, state: PathBuf, run: RunId) -> Self {
        Self {
            client: Arc::new(client),
            state,
            run,
            lost: false,
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

    pub(super) fn remember(&self) -> Recovered {
        self.recovered.clone()
    }

    pub(super) fn recovered(&self) -> Option<Certificate> {
        self.recovered.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the guardian again and again whether it lives; says so when it does not.
    pub(super) fn watch(&self, back: mpsc::UnboundedSender<Back>) {
        let client = Arc::downgrade(&self.client);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(ASK).await;
                let Some(client) = client.upgrade() else { return };
                if !client.answers(PATIENCE).await {
                    let _ = back.send(Back::Hung);
                    return;
                }
            }
        });
    }

    /// Starts a guardian that undoes everything from the ledger.
    pub(super) fn recover(&self) -> impl Future<Output = Result<Certificate>> + Send + use<> {
        let (state, task) = (self.state.clone(), Task::Recover { run: self.run.clone() });
        async move {
            let options = WorkerOptions {
                own_session: true,
                ..WorkerOptions::default()
            };
            let (client, _news) = Client::start(&state, task, options).await?;
            client.end().await
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
