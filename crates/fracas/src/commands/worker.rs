//! `fracas worker NAME`: the processes that Fracas starts of itself.

use std::process::ExitCode;

use fracas_core::problem::Result;

use crate::output::tell;

/// Becomes the worker of this name. `arguments` stand after it on the command line.
pub(crate) fn run(name: &str, arguments: &[String]) -> ExitCode {
    if crate::demo::WORKERS.contains(&name) {
        return end(crate::demo::worker(name, arguments));
    }
    if name == fracas_guardian::sidecar::end::WORKER {
        return end(fracas_guardian::sidecar::end::main(arguments));
    }
    // Without it `ps` would show `exe`. A name is no reason to fail.
    let unnamed = || drop(fracas_linux::child::set_name(&format!("fracas-{name}")));
    if name == fracas_guardian::sidecar::WORKER {
        unnamed();
        return end(fracas_guardian::serve::main_in_sidecar(arguments));
    }
    let main = if name == "guardian" {
        fracas_guardian::serve::main
    } else if let Some((_, main)) = fracas_faults::WORKERS.iter().find(|(worker, _)| *worker == name) {
        *main
    } else {
        tell(&format!(
            "error: there is no worker {name:?}; workers are started by Fracas only"
        ));
        return ExitCode::from(2);
    };
    unnamed();
    end(main())
}

fn end(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tell(&problem.to_string());
            ExitCode::FAILURE
        }
    }
}
