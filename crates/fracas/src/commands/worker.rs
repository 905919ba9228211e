//! `fracas worker NAME`: the processes that Fracas starts of itself.

use std::process::ExitCode;

use crate::output::tell;

/// Becomes the worker of this name. `arguments` stand after it on the command line.
pub(crate) fn run(name: &str, arguments: &[String]) -> ExitCode {
    let done = match name {
        "guardian" => {
            let _ = fracas_linux::child::set_name("fracas-guardian");
            fracas_guardian::serve::main()
        }
        name if name.starts_with("demo-") => crate::demo::worker(name, arguments),
        _ => {
            tell(&format!(
                "error: there is no worker {name:?}; workers are started by Fracas only"
            ));
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tell(&problem.to_string());
            ExitCode::FAILURE
        }
    }
}
