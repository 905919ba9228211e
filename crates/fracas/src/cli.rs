//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod inject;
mod look;
mod orchestrate;
mod presets;
mod proxy;

pub(crate) use inject::{Fault, Form, Inject};
pub(crate) use look::{
    Compare, Completions, Config, Doctor, Examples, Explain, Faults, Kind, Man, Plan, Report, ReportMore, Runs, Schema,
    SchemaOf, Targets, Template, Validate,
};
pub(crate) use orchestrate::{At, Language, Orchestrate, What};
pub(crate) use presets::{Presets, Resilience};
pub(crate) use proxy::{Chaos, Protocols, Proxy};

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
    /// Settings file [default: /etc/fracas/config.yaml as root, else ./fracas.yaml or the user's configuration]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address of the container engine [default: unix:///var/run/docker.sock]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(crate) docker_host: Option<String>,
    /// When the guardian is in a container of its own beside the engine [default: auto: when the engine is on another machine]
    #[arg(long, global = true, value_name = "WHEN")]
    pub(crate) sidecar: Option<SidecarWhen>,
    /// Base address of Prometheus, for probes that name none
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) prometheus_url: Option<String>,
    /// Base address of an OTLP receiver, `http://host:4318`, for one trace a run
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
    /// Address and port on which a run serves Prometheus metrics; a port alone is on 127.0.0.1, 0 is a free one
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    pub(crate) metrics_listen: Option<String>,
    /// Address that is told of an abort and of what is left
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) webhook: Option<String>,
    /// What stands on standard error: lines for people, or one JSON object per line [default: text]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<Format>,
    /// When colours are used; NO_COLOR turns `auto` off
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// Says more
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
    /// Put one fault on something, for some time, without a document
    Inject(Box<Inject>),
    /// Break a small service of its own, to show what Fracas does; takes less than a minute
    Demo,
    /// Stand between clients and a server, and put faults on what passes
    #[command(visible_alias = "serve")]
    Proxy(Box<Proxy>),
    /// Do several things to the traffic of a proxy, in an order
    Orchestrate(Orchestrate),
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
    /// Show what a run would do: every target, every change with its undo, what is needed
    Plan(Plan),
    /// Show candidates, which are chosen, which are protected, and why
    Targets(Targets),
    /// Check documents and show all of their problems
    Validate(Validate),
    /// List the runs with their verdicts
    Runs(Runs),
    /// Print the report of a run, or compare two
    Report(Report),
    /// Show every setting with its value and where it came from
    Config(Config),
    /// Say what is possible on this machine, what is not, why, and what to do
    Doctor(Doctor),
    /// List the faults, or describe one
    Faults(Faults),
    /// Say more about an error code, or list all codes
    Explain(Explain),
    /// Print a complete document to begin with
    Template(Template),
    /// Print a shipped example, or list them
    Examples(Examples),
    /// Print a JSON schema
    Schema(Schema),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the manual page, or write all manual pages into a directory
    Man(Man),
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
    #[command(flatten)]
    pub(crate) execution: Execution,
}

/// What a person says of a run besides what it is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Execution {
    /// Does everything but apply; `full` also waits as long as the run would
    #[arg(long, value_name = "HOW", num_args = 0..=1, default_missing_value = "quick", require_equals = true)]
    pub(crate) dry_run: Option<DryRun>,
    /// Does not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Where the report goes [default: the run's directory in the state directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Fails when others changed what the run had changed, though nothing of ours is left
    #[arg(long)]
    pub(crate) strict_certificate: bool,
    /// What stands on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
}

/// How a document is read.
#[derive(Debug, Clone, Default, Args)]
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

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// JSON, and nothing else
    Json,
}

impl Format {
    /// The word on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// When the guardian is in a sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SidecarWhen {
    /// When the container engine is on another machine
    Auto,
    /// Whenever there are containers among the targets
    Always,
    /// Never: an engine on another machine is refused
    Never,
}

impl SidecarWhen {
    /// The word on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
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

#[cfg(test)]
mod deploy;
