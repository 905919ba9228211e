//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Breaks running systems on purpose, measures what happens, and provably puts everything back.
#[derive(Debug, Parser)]
#[command(name = "fracas", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// Directory for ledgers and runs [default: /var/lib/fracas as root, else the user's state directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Settings file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Says more; twice says everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Says only what went wrong and the verdict
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an experiment or a scenario
    Run(Run),
    /// Break a small service of its own, to show what Fracas does; takes less than a minute
    Demo,
    /// Undo what runs left whose processes died
    Recover(Recover),
    /// Show what is running and what was left
    Status(Status),
    /// Stop a run, or all
    Stop(Stop),
    /// Stop all runs and block new ones
    Freeze(Freeze),
    /// Allow runs again
    Thaw,
}

/// `fracas run`
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The document
    #[arg(value_name = "FILE", required_unless_present = "scenario")]
    pub(crate) file: Option<PathBuf>,
    /// The document, as the first system of this kind called it
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub(crate) scenario: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) document: Document,
    /// Does everything but apply; `full` also waits as long as the run would
    #[arg(long, value_name = "HOW", num_args = 0..=1, default_missing_value = "quick", require_equals = true)]
    pub(crate) dry_run: Option<DryRun>,
    /// Does not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Where the report goes [default: the run's directory in the state directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// What stands on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
}

/// How a document is read.
#[derive(Debug, Clone, Args)]
pub(crate) struct Document {
    /// Overrides a key: `duration=10s`, `faults.slow.start=1s`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The Kurtosis enclave of all targets that name none
    #[arg(long, value_name = "NAME")]
    pub(crate) enclave: Option<String>,
    /// Leaves out what no version of Fracas does
    #[arg(long)]
    pub(crate) skip_unsupported: bool,
}

/// How much of a dry run is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// Without the waiting
    Quick,
    /// With it
    Full,
}

/// What stands on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A summary for people
    Text,
    /// The report as JSON, and nothing else
    Json,
}

/// `fracas recover`
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Only this run
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
}

/// `fracas status`
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `fracas stop`
#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// The run; may be left out if there is only one
    #[arg(value_name = "RUN", conflicts_with = "all")]
    pub(crate) run: Option<String>,
    /// Every run
    #[arg(long)]
    pub(crate) all: bool,
    /// How long to wait until everything is undone
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub(crate) wait: fracas_core::units::Span,
}

/// `fracas freeze`
#[derive(Debug, Args)]
pub(crate) struct Freeze {
    /// Why; shown to whoever tries to run
    #[arg(value_name = "REASON", default_value = "no reason was given")]
    pub(crate) reason: String,
}
