//! Parameters of `script`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Span;

/// Runs programs of yours: one that puts a fault on, one that takes it off, and, if you have them, one that measures and one that
/// checks. Each is a list of a program and its arguments; there is no shell.
///
/// They run on this machine as the user of Fracas, in a session of their own, with the null device as standard input and an
/// environment that holds nothing but `PATH`, `environment`, and these: `FRACAS_SCRIPT` (`apply`, `revert`, `measure` or `check`),
/// `FRACAS_RUN`, `FRACAS_INJECTION`, `FRACAS_TARGET` (the target's name), `FRACAS_PID` (its first process), for a container
/// `FRACAS_CONTAINER` (its id), and `FRACAS_MARK`. By that mark processes are found and ended that `apply`, `measure` or `check` left
/// running when the fault is taken off, also those that went into a session of their own.
///
/// Undo: by `revert`, at its own word. Its exit code 0 says that nothing is left, any other that it failed; then it is run again,
/// at most once a second. It must also do its work when it is run twice, when `apply` never ran, and when the target is gone. With a
/// `check` the certificate says what that found, and `revert` is run only if something is left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Puts the fault on: a program, by its absolute path or found in `/usr/local/sbin` to `/bin`, and its arguments. Exit code 0
    /// says that it is on.
    #[schemars(length(min = 1))]
    pub apply: Vec<String>,
    /// Takes the fault off, and does nothing where there is none. Exit code 0 says that it is off.
    #[schemars(length(min = 1))]
    pub revert: Vec<String>,
    /// Measures while the fault is on: exit code 0 says that it landed, 1 that it did not, any other that it cannot be measured. A
    /// number that it prints stands in the report. Default: none, and then the fault counts as not measured, which makes the verdict
    /// INCONCLUSIVE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure: Option<Vec<String>>,
    /// Looks whether the fault is off: exit code 0 says that all is as before, 1 that something of it is there, any other that it
    /// cannot be seen. Every plan runs it, also that of `fracas plan`: it should only look. What it finds there is not taken off, and
    /// the fault is refused. Default: none, and then the certificate rests on the exit code of `revert`, and says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Vec<String>>,
    /// After so long `apply` is killed with all that it started, and taken back. From 10ms to 60s. Default 10s.
    #[serde(default = "ten_seconds")]
    pub apply_timeout: Span,
    /// The same for `revert`, which has failed then. From 10ms to 60s. Default 10s.
    #[serde(default = "ten_seconds")]
    pub revert_timeout: Span,
    /// The same for `measure`, which has not measured then. From 10ms to 60s. Default 10s.
    #[serde(default = "ten_seconds")]
    pub measure_timeout: Span,
    /// The same for `check`, which has not seen anything then. From 10ms to 60s. Default 10s.
    #[serde(default = "ten_seconds")]
    pub check_timeout: Span,
    /// The working directory, an absolute path. Default `/`.
    #[serde(default = "root")]
    pub directory: String,
    /// Variables of the environment. Names that begin with `FRACAS_` are taken.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

impl Script {
    /// A script with these two programs, everything else by default.
    pub fn new(apply: Vec<String>, revert: Vec<String>) -> Self {
        Self {
            apply,
            revert,
            measure: None,
            check: None,
            apply_timeout: ten_seconds(),
            revert_timeout: ten_seconds(),
            measure_timeout: ten_seconds(),
            check_timeout: ten_seconds(),
            directory: root(),
            environment: BTreeMap::new(),
        }
    }
}

/// No program of a script may take longer; an undo must end.
const LONGEST: Span = Span::secs(60);
/// Nor less: nothing starts in no time.
const SHORTEST: Span = Span::millis(10);
/// All arguments and variables together, in bytes: they stand in the ledger, and in the arguments of the kernel's exec.
const MOST_TEXT: usize = 8192;

impl Script {
    /// The first key whose value cannot be, and why. Whether the programs are there is asked when the fault is planned.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let vectors = [
            ("apply", Some(&self.apply)),
            ("revert", Some(&self.revert)),
            ("measure", self.measure.as_ref()),
            ("check", self.check.as_ref()),
        ];
        let mut text = 0;
        for (key, vector) in vectors {
            let Some(vector) = vector else { continue };
            let Some(program) = vector.first() else {
                return Some((key, "names no program: the list is empty".to_owned()));
            };
            if program.is_empty() || program.contains('/') && !program.starts_with('/') {
                let why = "must begin with an absolute path, or with a name without a slash";
                return Some((key, why.to_owned()));
            }
            if vector.iter().any(|word| word.contains('\0')) {
                return Some((key, "has an argument with a zero byte".to_owned()));
            }
            text += vector.iter().map(|word| word.len() + 1).sum::<usize>();
        }
        let times = [
            ("apply_timeout", self.apply_timeout),
            ("revert_timeout", self.revert_timeout),
            ("measure_timeout", self.measure_timeout),
            ("check_timeout", self.check_timeout),
        ];
        for (key, time) in times {
            if time < SHORTEST || time > LONGEST {
                return Some((key, format!("must be from {SHORTEST} to {LONGEST}")));
            }
        }
        if !self.directory.starts_with('/') || self.directory.contains('\0') {
            return Some(("directory", "must be an absolute path".to_owned()));
        }
        for (name, value) in &self.environment {
            let bad = name.is_empty() || name.contains(['=', '\0']) || name.starts_with("FRACAS_");
            if bad || value.contains('\0') {
                let why = "has a name that is empty, begins with `FRACAS_` or has an equals sign in it, or a zero byte";
                return Some(("environment", why.to_owned()));
            }
            text += name.len() + value.len() + 2;
        }
        (text > MOST_TEXT).then(|| {
            let why = format!(
                "is too long: with all others, arguments and variables have {text} bytes, more than {MOST_TEXT}"
            );
            ("apply", why)
        })
    }
}

fn ten_seconds() -> Span {
    Span::secs(10)
}
fn root() -> String {
    "/".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_run_is_told_by_its_key() {
        let good = || Script::new(vec!["/bin/a".to_owned()], vec!["b".to_owned(), "c d".to_owned()]);
        assert_eq!(good().problem(), None);
        let wrong = |change: &dyn Fn(&mut Script)| {
            let mut script = good();
            change(&mut script);
            script.problem().map(|(key, _)| key)
        };
        assert_eq!(wrong(&|script| script.apply.clear()), Some("apply"));
        assert_eq!(wrong(&|script| script.revert[0] = "./b".to_owned()), Some("revert"));
        assert_eq!(wrong(&|script| script.measure = Some(Vec::new())), Some("measure"));
        assert_eq!(wrong(&|script| script.check = Some(vec![String::new()])), Some("check"));
        assert_eq!(wrong(&|script| script.revert[1].push('\0')), Some("revert"));
        assert_eq!(
            wrong(&|script| script.apply_timeout = Span::default()),
            Some("apply_timeout")
        );
        assert_eq!(
            wrong(&|script| script.check_timeout = Span::secs(61)),
            Some("check_timeout")
        );
        assert_eq!(wrong(&|script| script.directory = "tmp".to_owned()), Some("directory"));
        for name in ["", "A=B", "FRACAS_PID"] {
            let set = |script: &mut Script| {
                script.environment.insert(name.to_owned(), String::new());
            };
            assert_eq!(wrong(&set), Some("environment"), "{name}");
        }
        assert_eq!(wrong(&|script| script.apply.push("x".repeat(MOST_TEXT))), Some("apply"));
    }
}
