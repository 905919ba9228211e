//! `fracas template`

use std::process::ExitCode;

use fracas_core::experiment::Format;
use fracas_core::problem::{Problem, Result, codes};

use crate::cli::{Kind, Template};
use crate::output::print;

pub(crate) fn command(template: &Template) -> Result<ExitCode> {
    let (format, usual) = match template.kind {
        Kind::Experiment => (Format::Native, "memory_limit"),
        Kind::Scenario => (Format::ChaosScenario, "memory_pressure"),
        Kind::Settings if template.fault.is_some() => {
            return Err(Problem::new(&codes::USAGE, "settings have no fault").next("use `fracas template settings`"));
        }
        Kind::Settings => {
            print(&crate::settings::template())?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    print(&fracas_spec::template(
        format,
        template.fault.as_deref().unwrap_or(usual),
    )?)?;
    Ok(ExitCode::SUCCESS)
}
