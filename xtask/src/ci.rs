//! `cargo xtask ci`: every check and every test, in the order in which a mistake is found soonest.

use std::process::Command;

use anyhow::Result;

use crate::engine::Engine;
use crate::steps::Steps;
use crate::{children, dist, fuzz, generated, needs, package, tidy, vm};

/// Does every step; ends at the first that fails, with its name. The table of times is printed in both cases.
pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::default();
    let result = all(&mut steps);
    println!("\n{}", steps.table());
    result
}

fn all(steps: &mut Steps) -> Result<()> {
    steps.step("install", needs::install)?;
    steps.step("fmt", fmt)?;
    steps.step("tidy", || tidy::run(&children::root()?))?;
    steps.step("clippy", || {
        children::run(
            children::cargo()?
                .args(["clippy", "--locked", "--workspace", "--all-targets"])
                .args(["--", "-D", "warnings"]),
        )
    })?;
    steps.step("build", || {
        children::run(children::cargo()?.args(["build", "--locked", "--workspace", "--all-targets"]))
    })?;
    steps.step("generated", || {
        generated::schemas(generated::Mode::CheckBuilt).and_then(|()| generated::pages(generated::Mode::CheckBuilt))
    })?;
    steps.step("package", || package::run(false))?;
    let engine = steps.step("engine", Engine::start)?;
    let tests = steps
        .step("dist", || dist::smoke(&engine))
        .and_then(|()| tests(steps, &engine));
    if tests.is_err() {
        println!("\nthe end of the engine's log:\n{}", engine.log_end());
    }
    let stopped = steps.step("engine stop", || engine.stop());
    tests.and(stopped)?;
    steps.step("vm", || vm::run(vm::Lane::Short))?;
    steps.step("fuzz", || fuzz::run(fuzz::CI_SECONDS))
}

/// The workspace, and what cargo keeps apart from it.
fn fmt() -> Result<()> {
    children::run(children::cargo()?.args(["fmt", "--all", "--check"]))?;
    for folder in ["fuzz", needs::clients::OF_RUST] {
        let manifest = children::root()?.join(folder).join("Cargo.toml");
        children::run(
            children::cargo()?
                .args(["fmt", "--check", "--manifest-path"])
                .arg(manifest),
        )?;
    }
    Ok(())
}

fn tests(steps: &mut Steps, engine: &Engine) -> Result<()> {
    steps.step("tests", || {
        children::run(
            hermetic(&mut children::cargo()?, engine)
                .args(["nextest", "run", "--locked", "--workspace"])
                .args(["--profile", "ci"]),
        )
    })?;
    // All crates at once: the features of dependencies are those of the tests, and nothing is built again.
    steps.step("doc tests", || {
        children::run(hermetic(&mut children::cargo()?, engine).args(["test", "--locked", "--doc", "--workspace"]))
    })
}

/// Tests see our engine and none of the settings of whoever runs them.
pub(crate) fn hermetic<'a>(command: &'a mut Command, engine: &Engine) -> &'a mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_a_setting) {
            command.env_remove(name);
        }
    }
    command
        .env("RUST_BACKTRACE", "0")
        .env("FRACAS_TEST_DOCKER_HOST", engine.host())
}

fn is_a_setting(name: &str) -> bool {
    name.starts_with("FRACAS_") || matches!(name, "DOCKER_HOST" | "DOCKER_CONTEXT" | "PROMETHEUS_URL" | "NO_COLOR")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_caller_do_not_reach_tests() {
        for name in ["FRACAS_STATE", "DOCKER_HOST", "PROMETHEUS_URL"] {
            assert!(is_a_setting(name), "{name}");
        }
        for name in ["PATH", "CI", "CARGO_HOME"] {
            assert!(!is_a_setting(name), "{name}");
        }
    }
}
