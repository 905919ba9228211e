//! `fracas`: breaks running systems on purpose, measures what happens, and provably puts everything back.

mod cli;
mod commands;
mod demo;
mod document;
mod output;
mod screen;
mod settings;
mod watching;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // A worker is started by Fracas, not by a person: nothing of the command line's comfort may stand in its way.
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("worker") {
        let name = arguments.next().unwrap_or_default();
        return commands::worker::run(&name, &arguments.collect::<Vec<_>>());
    }
    match cli::Cli::try_parse() {
        Ok(cli) => commands::dispatch(cli),
        Err(error) => {
            // Help and version are answers, not errors; clap knows which stream they go to.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
    }
}
