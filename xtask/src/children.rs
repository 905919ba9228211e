//! Programs that tasks start: always by argument vector, never with a terminal to ask on.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};

/// The workspace's root: the folder above this crate.
///
/// `cargo run` says at run time where the crate lies; what was compiled in may be another clone that shares the target folder.
pub(crate) fn root() -> Result<PathBuf> {
    let ours = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    ours.parent()
        .map(Path::to_owned)
        .context("xtask lies in the workspace's root")
}

/// Where cargo builds.
pub(crate) fn target() -> Result<PathBuf> {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    Ok(root()?.join(folder))
}

/// The program, as cargo built it last for tests.
pub(crate) fn built() -> Result<PathBuf> {
    Ok(target()?.join("debug/fracas"))
}

/// Cargo, in the workspace's root.
///
/// `cargo run` tells its child about xtask's own package (`CARGO_PKG_NAME`, `CARGO_MANIFEST_DIR`, …). Build scripts that watch
/// these variables (ring's does) would run again each time we change between `cargo xtask` and plain cargo, so they are removed.
///
/// In CI nothing is built incrementally: that helps nobody on a machine that builds once, and takes gigabytes. It is so for every call
/// of cargo, for a call that differs in it builds the whole workspace again.
pub(crate) fn cargo() -> Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()?);
    for (name, _) in std::env::vars_os() {
        if is_of_our_package(&name) {
            command.env_remove(name);
        }
    }
    if std::env::var_os("CI").is_some() {
        command.env("CARGO_INCREMENTAL", "0");
    }
    Ok(command)
}

fn is_of_our_package(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_PRIMARY_PACKAGE"
    })
}

/// Runs a program to its end with our output; anything but success is an error that shows the command line.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("  $ {}", line(command));
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    succeeded(status, &line(command))
}

/// As [`run`], for programs that run at the same time: the lines that matter of what it says are shown in one piece when it has ended.
pub(crate) fn run_apart(command: &mut Command, matters: fn(&str) -> bool) -> Result<()> {
    let line = line(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    let said = said.concat();
    let said: Vec<&str> = said.lines().filter(|line| matters(line)).collect();
    println!("  $ {line}\n{}\n", said.join("\n"));
    succeeded(output.status, &line)
}

/// Runs a program to its end and gives what it wrote on stdout; stderr is ours.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    succeeded(output.status, &line(command))?;
    Ok(output.stdout)
}

fn succeeded(status: ExitStatus, line: &str) -> Result<()> {
    match (status.success(), status.code(), status.signal()) {
        (true, ..) => Ok(()),
        (_, Some(code), _) => bail!("`{line}` ended with exit code {code}"),
        (.., signal) => bail!("`{line}` was ended by signal {}", signal.unwrap_or_default()),
    }
}

/// The command line as a person would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(name)
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Where a program lies: in `PATH`, or in the folders for administrators that a user's `PATH` often lacks.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_an_error_that_shows_its_command_line() {
        let error = run(Command::new("/bin/false").arg("x")).unwrap_err();
        assert_eq!(error.to_string(), "`false x` ended with exit code 1");
        let error = run(&mut Command::new("/nonexistent/program")).unwrap_err();
        assert_eq!(error.to_string(), "cannot start `program`");
    }

    #[test]
    fn stdin_is_empty_and_stdout_is_given_back() {
        assert_eq!(output(&mut Command::new("cat")).unwrap(), b"");
        assert_eq!(output(Command::new("echo").arg("a")).unwrap(), b"a\n");
    }

    #[test]
    fn programs_are_found_where_they_are() {
        assert!(find("cat").is_some());
        assert_eq!(find("no-such-program-anywhere"), None);
    }

    #[test]
    fn cargo_does_not_hear_of_our_package() {
        for name in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_PRIMARY_PACKAGE"] {
            assert!(is_of_our_package(OsStr::new(name)), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_TERM_COLOR", "CARGO_TARGET_DIR", "PATH"] {
            assert!(!is_of_our_package(OsStr::new(name)), "{name}");
        }
    }
}
