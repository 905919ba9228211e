//! `fracas orchestrate`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use fracas_core::units::Span;

/// `fracas orchestrate`
#[derive(Debug, Args)]
pub(crate) struct Orchestrate {
    #[command(subcommand)]
    pub(crate) what: What,
}

/// What about an orchestration.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Print a complete orchestration to begin with
    Template {
        /// Write it to this file, which must not exist
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// In this language; JSON has no comments
        #[arg(long, value_enum, default_value = "yaml")]
        format: Language,
    },
    /// Tell what is wrong with an orchestration, without a proxy
    Validate {
        /// The orchestration, YAML or JSON
        #[arg(long, short, value_name = "FILE")]
        file: PathBuf,
        /// As it will be said at its start
        #[arg(long, value_name = "DURATION")]
        max_duration: Option<Span>,
    },
    /// Begin an orchestration in a proxy that runs
    Start {
        /// The orchestration, YAML or JSON
        #[arg(long, short, value_name = "FILE")]
        file: PathBuf,
        /// It ends after so long, wherever it is then; counts before `max_duration_seconds` of the file
        #[arg(long, value_name = "DURATION")]
        max_duration: Option<Span>,
        #[command(flatten)]
        at: At,
    },
    /// Print how the orchestration is that runs or ran last, as JSON; exit code 1 if it has failed
    Status(At),
    /// End the orchestration that runs, at once; where none runs that is said, and no error
    Stop(At),
}

/// Which proxy.
#[derive(Debug, Args)]
pub(crate) struct At {
    /// Where the API of the proxy is: the address of its clients, or its `--api-listen`
    #[arg(long, value_name = "URL", default_value = "http://localhost:3000")]
    pub(crate) base_url: String,
}

/// The language of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    Yaml,
    Json,
}
