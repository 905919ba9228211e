//! One file per command.

mod abandoned;
mod completions;
mod config;
mod demo;
mod doctor;
mod examples;
mod explain;
pub(crate) mod faults;
mod freeze;
mod inject;
mod man;
mod orchestrate;
mod plan;
mod proxy;
mod recover;
mod report;
mod run;
mod runs;
mod schema;
mod status;
mod stop;
mod targets;
mod template;
mod validate;
pub(crate) mod worker;

use std::num::NonZero;
use std::process::ExitCode;

use fracas_core::problem::{Problem, Result, codes};

use crate::cli::{Cli, Color, Command, Common};
use crate::output::{Manner, set_manner, tell_problem};
use crate::settings::Settings;

/// Runs a command. An error is told, and is exit code 2.
pub(crate) fn dispatch(cli: Cli) -> ExitCode {
    let common = &cli.common;
    set_manner(manner(common));
    if tells_of_abandoned(&cli.command) && !common.quiet {
        abandoned::tell_of(common);
    }
    let done = match cli.command {
        Command::Run(run) => self::run::command(common, run),
        Command::Inject(inject) => self::inject::command(common, *inject),
        Command::Demo => self::demo::command(common),
        Command::Orchestrate(orchestrate) => self::orchestrate::command(&orchestrate),
        Command::Proxy(proxy) => self::proxy::command(common, &proxy),
        Command::Recover(recover) => self::recover::command(common, &recover),
        Command::Status(status) => self::status::command(common, &status),
        Command::Stop(stop) => self::stop::command(common, &stop),
        Command::Freeze(freeze) => self::freeze::freeze(common, &freeze),
        Command::Thaw => self::freeze::thaw(common),
        Command::Plan(plan) => self::plan::command(common, &plan),
        Command::Targets(targets) => self::targets::command(common, &targets),
        Command::Validate(validate) => self::validate::command(common, &validate),
        Command::Runs(runs) => self::runs::command(common, &runs),
        Command::Report(report) => self::report::command(common, &report),
        Command::Config(config) => self::config::command(common, &config),
        Command::Doctor(doctor) => self::doctor::command(common, &doctor),
        Command::Faults(faults) => self::faults::command(&faults),
        Command::Explain(explain) => self::explain::command(&explain),
        Command::Template(template) => self::template::command(&template),
        Command::Examples(examples) => self::examples::command(&examples),
        Command::Schema(schema) => self::schema::command(&schema),
        Command::Completions(completions) => self::completions::command(&completions),
        Command::Man(man) => self::man::command(&man),
    };
    match done {
        Ok(code) => code,
        Err(problem) => {
            tell_problem(&problem);
            ExitCode::from(2)
        }
    }
}

/// How people are told. Settings that cannot be read are the command's business, which reads them again and says so.
fn manner(common: &Common) -> Manner {
    let json = match common.log_format {
        Some(format) => format == crate::cli::Format::Json,
        None => Settings::load(common).is_ok_and(|settings| settings.log_is_json()),
    };
    let auto = || {
        fracas_linux::terminal::stderr_is_terminal()
            && crate::settings::env("NO_COLOR").is_none_or(|no| no.is_empty())
            && crate::settings::env("TERM").is_none_or(|term| term != "dumb")
    };
    let colour = match common.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => auto(),
    };
    Manner {
        colour: colour && !json,
        json,
    }
}

/// Those that say so themselves, and those whose output is made by packagers and editors, do not.
fn tells_of_abandoned(command: &Command) -> bool {
    !matches!(
        command,
        Command::Run(_)
            | Command::Plan(_)
            | Command::Recover(_)
            | Command::Status(_)
            | Command::Completions(_)
            | Command::Man(_)
    )
}

/// A runtime for a command that waits for others.
fn runtime() -> Result<tokio::runtime::Runtime> {
    built(tokio::runtime::Builder::new_multi_thread().worker_threads(2))
}

/// A runtime for what carries traffic: a thread for each processor that it may use (sched_getaffinity(2), and the quota of its cgroup). Two
/// threads that share one wake each other for nothing.
fn wide_runtime() -> Result<tokio::runtime::Runtime> {
    match std::thread::available_parallelism().map_or(1, NonZero::get) {
        1 => built(&mut tokio::runtime::Builder::new_current_thread()),
        processors => built(tokio::runtime::Builder::new_multi_thread().worker_threads(processors)),
    }
}

fn built(builder: &mut tokio::runtime::Builder) -> Result<tokio::runtime::Runtime> {
    builder
        .enable_all()
        .build()
        .map_err(|error| Problem::new(&codes::SYSTEM, "cannot start threads").because(&error))
}
