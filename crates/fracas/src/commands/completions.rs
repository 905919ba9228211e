//! `fracas completions`

use std::process::ExitCode;

use clap::CommandFactory as _;
use fracas_core::problem::Result;

use crate::cli::{Cli, Completions};
use crate::output::print;

pub(crate) fn command(completions: &Completions) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut Cli::command(), "fracas", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
