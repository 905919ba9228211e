//! `fracas inject`: one command per fault, its flags made from the fault's own parameters.

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, Subcommand};
use fracas_core::units::Span;

use super::Execution;
use crate::commands::faults::{Parameter, Shown, all};

/// `fracas inject`
#[derive(Debug, Args)]
#[command(
    subcommand_value_name = "FAULT",
    subcommand_help_heading = "Faults",
    disable_help_subcommand = true
)]
pub(crate) struct Inject {
    #[command(subcommand)]
    pub(crate) fault: Fault,
}

/// A fault with its parameters, on what, and for how long.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) name: String,
    /// The parameters that were given: key of the document, values, and how these stand in it.
    pub(crate) given: Vec<(String, Vec<String>, Form)>,
    pub(crate) how: How,
}

/// How what was given of a parameter stands in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As a number or a text.
    One,
    /// As a list of those.
    List,
    /// As it was written: a map.
    Map,
}

/// What is the same for every fault.
#[derive(Debug, Args)]
#[command(next_help_heading = "Target, time and run")]
pub(crate) struct How {
    /// Regular expression for the whole name of running containers
    #[arg(long, value_name = "NAME")]
    pub(crate) container: Option<String>,
    /// Label of running containers; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,
    /// Image of running containers
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,
    /// Compose service of running containers
    #[arg(long, value_name = "NAME")]
    pub(crate) compose_service: Option<String>,
    /// Regular expression for the whole name of processes' program
    #[arg(long, value_name = "NAME")]
    pub(crate) process: Option<String>,
    /// Regular expression for the whole command line of processes
    #[arg(long, value_name = "LINE")]
    pub(crate) command: Option<String>,
    /// File that holds the pid of a process
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<String>,
    /// Control group of processes
    #[arg(long, value_name = "PATH")]
    pub(crate) cgroup: Option<String>,
    /// systemd unit of processes
    #[arg(long, value_name = "UNIT")]
    pub(crate) unit: Option<String>,
    /// TCP port on which a process listens
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Takes so many of the candidates at most [default: all]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) at_most: Option<u32>,
    /// How long it is on
    #[arg(long = "for", value_name = "DURATION")]
    pub(crate) time: Span,
    /// Comes and goes: `on=10s,off=5s`
    #[arg(long, value_name = "PARTS")]
    pub(crate) pulse: Option<String>,
    /// Becomes harder in steps: `from=10%,over=30s,steps=10`
    #[arg(long, value_name = "PARTS")]
    pub(crate) ramp: Option<String>,
    /// The root of every random choice [default: drawn]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// Agrees to a fault that has no way back
    #[arg(long)]
    pub(crate) allow_irreversible: bool,
    /// Prints the experiment that this is, as a document, and does nothing
    #[arg(long, conflicts_with_all = ["dry_run", "yes", "out"])]
    pub(crate) print: bool,
    #[command(flatten)]
    pub(crate) execution: Execution,
}

/// The flags are made from the schema, which the program is built with: if that cannot be read, no test passes.
fn faults() -> Vec<Shown> {
    all().unwrap_or_default()
}

/// `restart_delay` is `--restart-delay`. What is also a word of the target's has another one.
fn flag(key: &str) -> String {
    match key {
        "port" => "target-port".to_owned(),
        key => key.replace('_', "-"),
    }
}

/// The name under which the program has it: others have names of their own.
fn id(key: &str) -> String {
    format!("parameter {key}")
}

fn argument(fault: &str, parameter: &Parameter) -> Arg {
    let mut argument = Arg::new(id(&parameter.name))
        .long(flag(&parameter.name))
        .help(first_sentence(&parameter.meaning))
        .long_help(parameter.meaning.clone())
        .value_name("VALUE")
        .value_parser(NonEmptyStringValueParser::new())
        .allow_hyphen_values(true)
        .required(parameter.required)
        .help_heading("What it does");
    if parameter.list {
        argument = argument.action(ArgAction::Append);
    }
    if parameter.switch {
        argument = argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true");
    }
    // The word that people look for.
    if (fault, parameter.name.as_str()) == ("memory_limit", "limit") {
        argument = argument.visible_alias("size");
    }
    argument
}

fn subcommand(fault: &Shown) -> Command {
    let arguments = fault
        .parameters
        .iter()
        .map(|parameter| argument(&fault.name, parameter));
    // What is said of the fault comes last: the common part has words of its own, for people who read the code.
    How::augment_args(Command::new(fault.name.clone()).args(arguments))
        .about(first_sentence(&fault.does))
        .long_about(format!("{}\n\nUndo: {}", fault.does, fault.undo))
}

fn first_sentence(text: &str) -> String {
    let end = text.find(". ").map_or(text.len(), |at| at + 1);
    text[..end].trim_end_matches('.').to_owned()
}

impl FromArgMatches for Fault {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let (name, matches) = matches
            .subcommand()
            .ok_or_else(|| Error::new(clap::error::ErrorKind::MissingSubcommand))?;
        let known = faults();
        let parameters = known
            .iter()
            .find(|fault| fault.name == name)
            .map(|fault| &fault.parameters);
        let given = parameters
            .into_iter()
            .flatten()
            .filter_map(|parameter| {
                let values: Vec<String> = matches.get_many::<String>(&id(&parameter.name))?.cloned().collect();
                let form = match (parameter.list, parameter.map) {
                    (true, _) => Form::List,
                    (false, true) => Form::Map,
                    (false, false) => Form::One,
                };
                Some((parameter.name.clone(), values, form))
            })
            .collect();
        Ok(Self {
            name: name.to_owned(),
            given,
            how: How::from_arg_matches(matches)?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Fault {
    fn augment_subcommands(command: Command) -> Command {
        // Later: no other command waits for the schema to be read.
        command
            .subcommand_required(true)
            .arg_required_else_help(true)
            .defer(|command| command.subcommands(faults().iter().map(subcommand)))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        fracas_core::params::Inject::NAMES.contains(&name)
    }
}
