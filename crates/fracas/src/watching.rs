//! Who watches a run from outside: its events go to the screen as they come, and to whatever the settings name.

use fracas_core::event::{Event, What};
use fracas_core::ids::RunId;
use fracas_core::problem::{Problem, Result};
use fracas_guardian::state::State;
use fracas_telemetry::webhook::{self, Notices};
use fracas_telemetry::{Exporter, Metrics, Outlets, Trace};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A run that is being watched.
pub(crate) struct Watching {
    outlets: Outlets,
    trace: Trace,
    exporter: Option<Exporter>,
    metrics: Option<Metrics>,
    notices: Notices,
    notice: Option<JoinHandle<Option<Box<Problem>>>>,
    run: Option<RunId>,
    certified: bool,
}

impl Watching {
    /// Begins. Needs a tokio runtime.
    pub(crate) fn start(outlets: Outlets, metrics: Option<Metrics>) -> Self {
        Self {
            exporter: outlets.otlp.clone().map(Exporter::start),
            outlets,
            trace: Trace::default(),
            metrics,
            notices: Notices::default(),
            notice: None,
            run: None,
            certified: false,
        }
    }

    /// Hands every event on, and takes it, until there are no more.
    pub(crate) async fn follow(
        mut self,
        mut events: mpsc::UnboundedReceiver<Event>,
        screen: mpsc::UnboundedSender<Event>,
    ) -> Self {
        while let Some(event) = events.recv().await {
            self.take(&event);
            // A screen that is gone shows nothing.
            let _ = screen.send(event);
        }
        self
    }

    fn take(&mut self, event: &Event) {
        match &event.what {
            What::RunStarted { run, .. } => self.run = Some(run.clone()),
            What::Certified { .. } => self.certified = true,
            _ => {}
        }
        if let Some(exporter) = &mut self.exporter {
            for span in self.trace.apply(event) {
                exporter.send(span);
            }
        }
        if let Some(metrics) = &mut self.metrics {
            metrics.apply(event);
        }
        if let Some(hook) = &self.outlets.webhook
            && let Some(notice) = self.notices.apply(event)
        {
            // At once: what follows may take its time, and must not be held up either.
            let hook = hook.clone();
            self.notice = Some(tokio::spawn(async move { webhook::tell(&hook, &notice).await }));
        }
    }

    /// Sends what is left. Gives what could not be told, each thing once.
    pub(crate) async fn finish(self, state: &std::path::Path) -> Vec<Box<Problem>> {
        let exporter = self.exporter;
        let sent = async {
            match exporter {
                Some(exporter) => exporter.finish().await,
                None => None,
            }
        };
        let notice = self.notice;
        let noticed = async {
            match notice {
                Some(notice) => notice.await.ok().flatten(),
                None => None,
            }
        };
        let (sent, noticed) = tokio::join!(sent, noticed);
        let mut problems: Vec<_> = sent.into_iter().chain(noticed).collect();
        if let Some(run) = self.run.filter(|_| !self.outlets.is_empty()) {
            problems.extend(settle(state, &run, self.outlets, self.certified).err());
        }
        problems
    }
}

/// The run is told. If it was left to its guardian, who is not done, that one tells of the cleanup alone.
fn settle(state: &std::path::Path, run: &RunId, outlets: Outlets, certified: bool) -> Result<()> {
    let state = State::open(state)?;
    let rest = Outlets { told: true, ..outlets };
    state.keep_outlets(run, (!certified && state.outlets(run)?.is_some()).then_some(&rest))
}
