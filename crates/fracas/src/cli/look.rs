//! Commands that only look and tell.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Document, Format};

/// `fracas plan`
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The document
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) document: Document,
    /// What stands on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
}

/// `fracas targets`
#[derive(Debug, Args)]
pub(crate) struct Targets {
    /// The document
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) document: Document,
    /// What stands on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
}

/// `fracas validate`
#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// The documents
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) document: Document,
    /// What stands on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
}

/// `fracas runs`
#[derive(Debug, Args)]
pub(crate) struct Runs {
    /// How many of the newest; 0 is all
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) last: usize,
    /// What stands on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
}

/// `fracas report`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Report {
    /// The run: its id, `last`, or the directory that `--out` named
    #[arg(value_name = "RUN", required = true)]
    pub(crate) run: Option<String>,
    /// The form: text, json, html, markdown, junit, ndjson or chaos-scenario
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = report_format)]
    pub(crate) format: fracas_report::Format,
    #[command(subcommand)]
    pub(crate) more: Option<ReportMore>,
}

/// What else is done with reports.
#[derive(Debug, Subcommand)]
pub(crate) enum ReportMore {
    /// Put two runs side by side: verdicts, probes with a test, doses, times to clean
    Compare(Compare),
}

/// `fracas report compare`
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// The first run: its id, `last`, or the directory that `--out` named
    #[arg(value_name = "RUN")]
    pub(crate) first: String,
    /// The second run
    #[arg(value_name = "RUN2")]
    pub(crate) second: String,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn report_format(text: &str) -> Result<fracas_report::Format, String> {
    text.parse().map_err(|_| {
        let words: Vec<_> = fracas_report::Format::ALL.iter().map(|format| format.word()).collect();
        format!("use one of {}", words.join(", "))
    })
}

/// `fracas config`
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// As JSON
    #[arg(long, conflicts_with = "markdown")]
    pub(crate) json: bool,
    /// The reference page
    #[arg(long)]
    pub(crate) markdown: bool,
}

/// `fracas doctor`
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `fracas faults`
#[derive(Debug, Args)]
pub(crate) struct Faults {
    /// Only this one, with its parameters
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// As JSON
    #[arg(long, conflicts_with = "markdown")]
    pub(crate) json: bool,
    /// The reference page
    #[arg(long, conflicts_with = "name")]
    pub(crate) markdown: bool,
}

/// `fracas explain`
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The code, as `D003`
    #[arg(value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// The reference page
    #[arg(long, conflicts_with = "code")]
    pub(crate) markdown: bool,
}

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// `kind: Experiment`
    Experiment,
    /// `kind: ChaosScenario`
    #[value(alias = "chaos-scenario")]
    Scenario,
    /// The settings file, with nothing on
    Settings,
}

/// `fracas template`
#[derive(Debug, Args)]
pub(crate) struct Template {
    /// The kind of document
    #[arg(value_name = "KIND", default_value = "experiment")]
    pub(crate) kind: Kind,
    /// The type of its fault; settings have none
    #[arg(value_name = "FAULT")]
    pub(crate) fault: Option<String>,
}

/// `fracas examples`
#[derive(Debug, Args)]
pub(crate) struct Examples {
    /// Which; all names are listed without it
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// A native experiment
    Experiment,
    /// A `ChaosScenario`
    #[value(alias = "chaos-scenario")]
    Scenario,
    /// What a proxy does to traffic
    ChaosConfig,
    /// An orchestration: what a proxy does to traffic, and when
    Orchestration,
    /// The API of a proxy, as OpenAPI 3.1
    ProxyOpenapi,
    /// `report.json`
    Report,
    /// A line of `events.ndjson`
    Events,
    /// The settings file
    Settings,
}

/// `fracas schema`
#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Of what
    #[arg(value_name = "OF", default_value = "experiment")]
    pub(crate) of: SchemaOf,
}

/// `fracas completions`
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// `fracas man`
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Where the pages of all commands are written
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}
