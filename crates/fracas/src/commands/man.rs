//! `fracas man`

use std::process::ExitCode;

use clap::CommandFactory as _;
use fracas_core::problem::{Problem, Result, codes};

use crate::cli::{Cli, Man};
use crate::output::{print, tell};

pub(crate) fn command(man: &Man) -> Result<ExitCode> {
    match &man.directory {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut page)
                .map_err(|error| Problem::new(&codes::INSIDE, "the manual page cannot be made").because(&error))?;
            print(&String::from_utf8_lossy(&page))?;
        }
        Some(directory) => {
            let failed = |error: std::io::Error| {
                Problem::new(
                    &codes::STATE_WRITE,
                    format!("cannot write manual pages into {}", directory.display()),
                )
                .because(&error)
            };
            std::fs::create_dir_all(directory).map_err(failed)?;
            clap_mangen::generate_to(Cli::command(), directory).map_err(failed)?;
            tell(&format!("wrote the manual pages into {}", directory.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}
