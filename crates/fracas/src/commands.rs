//! One file per command.

mod demo;
mod freeze;
mod recover;
mod run;
mod status;
mod stop;
pub(crate) mod worker;

use std::process::ExitCode;

use fracas_core::problem::{Problem, Result, codes};

use crate::cli::{Cli, Command};
use crate::output::tell;

/// Runs a command. An error is told, and is exit code 2.
pub(crate) fn dispatch(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Run(run) => self::run::command(&cli.common, run),
        Command::Demo => self::demo::command(&cli.common),
        Command::Recover(recover) => self::recover::command(&cli.common, &recover),
        Command::Status(status) => self::status::command(&cli.common, &status),
        Command::Stop(stop) => self::stop::command(&cli.common, &stop),
        Command::Freeze(freeze) => self::freeze::freeze(&cli.common, &freeze),
        Command::Thaw => self::freeze::thaw(&cli.common),
    };
    match done {
        Ok(code) => code,
        Err(problem) => {
            tell(&problem.to_string());
            ExitCode::from(2)
        }
    }
}

/// A runtime for a command that waits for others.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Problem::new(&codes::SYSTEM, "cannot start threads").because(&error))
}
