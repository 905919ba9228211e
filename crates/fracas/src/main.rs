//! `fracas`: breaks running systems on purpose, measures what happens, and provably puts everything back.

mod cli;
mod commands;
mod demo;
mod document;
mod output;
mod picture;
mod screen;
mod settings;
mod watching;

use std::process::ExitCode;

use clap::Parser;
use fracas_core::problem::{Problem, codes};

fn main() -> ExitCode {
    // A worker is started by Fracas, not by a person: nothing of the command line's comfort may stand in its way.
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("worker") {
        let name = arguments.next().unwrap_or_default();
        return commands::worker::run(&name, &arguments.collect::<Vec<_>>());
    }
    match cli::Cli::try_parse() {
        Ok(cli) => commands::dispatch(cli),
        Err(error) if error.use_stderr() && wants_json() => {
            output::set_manner(output::Manner {
                colour: false,
                json: true,
            });
            let text = error.render().to_string();
            let text = text.trim().trim_start_matches("error: ");
            output::tell_problem(&Problem::new(&codes::USAGE, text.to_owned()));
            ExitCode::from(2)
        }
        Err(error) => {
            // Help and version are answers, not errors; clap knows which stream they go to.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
    }
}

/// Whether a command line that cannot be understood asks for JSON all the same.
fn wants_json() -> bool {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let apart = |two: &[String]| two[0] == "--log-format" && two[1] == "json";
    words.windows(2).any(apart) || words.iter().any(|word| word == "--log-format=json")
}
