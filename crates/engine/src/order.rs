//! What a run is asked to do, and what it gives back.

use std::path::PathBuf;

use fracas_core::event::{Event, Verdict};
use fracas_core::experiment::Experiment;
use fracas_core::problem::Problem;
use fracas_core::units::Span;
use fracas_guardian::state::Keep;
use fracas_report::Report;
use fracas_telemetry::Outlets;
use tokio::sync::mpsc;

/// A run that is wanted.
pub struct Order {
    /// What to do.
    pub experiment: Experiment,
    /// What the document's reader warned of; recorded as notes.
    pub notes: Vec<String>,
    /// Where and with what.
    pub settings: Settings,
    /// Whether anything is applied.
    pub dry: Dry,
    /// Asks a person once everything is planned and nothing is touched. `None` is agreed to beforehand.
    pub confirm: Option<Confirm>,
    /// Gets every event as it happens.
    pub listener: mpsc::UnboundedSender<Event>,
}

/// Asks a person whether the plan, as the report shows it so far, may be carried out.
pub type Confirm = Box<dyn FnOnce(&Report) -> fracas_core::problem::Result<()> + Send>;

/// How much of a run is only shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dry {
    /// Nothing: it is done.
    No,
    /// Everything but the waiting: targets, plan, one reading of each probe.
    Quick,
    /// Everything but the faults themselves, with all waiting.
    Full,
}

/// Where and with what a run is done.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The state directory.
    pub state: PathBuf,
    /// Where the report goes; default: the directory of the run in the state directory.
    pub out: Option<PathBuf>,
    /// Where the report file of a `ChaosScenario` goes.
    pub reports: PathBuf,
    /// Whether the run fails when others changed what it had changed.
    pub strict_certificate: bool,
    /// How many of these are kept; 0 keeps all.
    pub keep_last: usize,
    /// How many runs stay in the state directory, and how much room they may take.
    pub keep: Keep,
    /// Base address of Prometheus.
    pub prometheus_url: Option<String>,
    /// How often Prometheus scrapes the metrics that are only recorded.
    pub scrape_interval: Span,
    /// Address of the container engine; `None` is the engine's default.
    pub docker_host: Option<String>,
    /// When the guardian is beside the engine, in a sidecar.
    pub sidecar: Sidecar,
    /// Where the engine's socket is on its own machine.
    pub sidecar_socket: Option<PathBuf>,
    /// A file whose appearance stops the run.
    pub stop_file: PathBuf,
    /// Where it is told to besides its files. The listener does that; the run keeps them for whoever cleans up after a dead runner.
    pub outlets: Outlets,
}

/// When a guardian is beside the container engine, in a sidecar, and not on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sidecar {
    /// When the engine is on another machine.
    #[default]
    Auto,
    /// Whenever there are containers among the targets.
    Always,
    /// Never: an engine on another machine is refused.
    Never,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Its verdict.
    pub verdict: Verdict,
    /// Everything about it.
    pub report: Report,
    /// The files that were written.
    pub files: Vec<PathBuf>,
    /// What went wrong without changing the verdict: a report that could not be written.
    pub problems: Vec<Box<Problem>>,
    /// What failed the run, in the form for a person.
    pub failure: Option<Box<Problem>>,
}
