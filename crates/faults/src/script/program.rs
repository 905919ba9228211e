//! One program of a script: found, run, and told of.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fracas_core::units::Span;
use fracas_linux::command::{Finished, Surroundings, run_in};
use fracas_linux::guard;
use serde::{Deserialize, Serialize};

use crate::say::shell_word;

/// Where programs without a slash are looked for, and `PATH` in their environment: the same for whoever recovers.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Of each output stream so much is kept, in bytes.
const MOST_OUTPUT: usize = 4096;
/// And so much of it is told.
const MOST_TOLD: usize = 200;

/// A program that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Program {
    /// The program by its absolute path, and its arguments.
    pub(super) argv: Vec<String>,
    /// How long it may take.
    pub(super) limit: Span,
}

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ran {
    /// Its exit code, if it ended by itself within its time.
    pub(super) code: Option<i32>,
    /// The same in words, with what it wrote: "failed with exit code 3: no such device".
    pub(super) words: String,
    /// The number that it printed.
    pub(super) number: Option<f64>,
}

impl Program {
    /// Looks for the program. Otherwise why it cannot be run.
    pub(super) fn find(vector: &[String], limit: Span) -> Result<Self, String> {
        let (program, arguments) = vector.split_first().ok_or("names no program")?;
        let path = if program.contains('/') {
            PathBuf::from(program)
        } else {
            PATH.split(':')
                .map(|directory| Path::new(directory).join(program))
                .find(|path| path.is_file())
                .ok_or_else(|| format!("names {program}, which is not in {PATH}"))?
        };
        let found = fs::metadata(&path).map_err(|error| format!("names {}: {error}", path.display()))?;
        if !found.is_file() {
            return Err(format!("names {}, which is no file", path.display()));
        }
        if found.mode() & 0o111 == 0 {
            return Err(format!("names {}, which is not executable", path.display()));
        }
        if found.mode() & 0o002 != 0 {
            let why = "which anybody may write: whoever does would run what he likes as the user of Fracas";
            return Err(format!("names {}, {why}", path.display()));
        }
        let path = path.to_str().ok_or("has a path that is no text")?.to_owned();
        Ok(Self {
            argv: std::iter::once(path).chain(arguments.iter().cloned()).collect(),
            limit,
        })
    }

    /// The vector as a line.
    pub(super) fn words(&self) -> String {
        self.argv
            .iter()
            .map(|word| shell_word(word))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Runs it to its end, or to the end of its time.
    pub(super) async fn run(&self, directory: &str, environment: Vec<(String, String)>) -> io::Result<Ran> {
        let surroundings = Surroundings {
            directory: directory.into(),
            environment,
            // Only a matter of what it is counted to: no reason not to run.
            cgroups: guard::outside().unwrap_or_default(),
        };
        let finished = run_in(&self.argv, &surroundings, self.limit.0, MOST_OUTPUT).await?;
        Ok(told(&finished, self.limit))
    }

    /// What a person types to run it.
    pub(super) fn manual(&self, directory: &str, environment: &[(String, String)]) -> String {
        let mut line = format!("cd {} && env -i", shell_word(directory));
        for (name, value) in environment {
            let _ = write!(line, " {}", shell_word(&format!("{name}={value}")));
        }
        let _ = write!(line, " {}", self.words());
        line
    }
}

fn told(finished: &Finished, limit: Span) -> Ran {
    let said = [&finished.stderr, &finished.stdout]
        .into_iter()
        .map(|bytes| excerpt(bytes))
        .find(|text| !text.is_empty());
    let said = said.map_or_else(String::new, |text| format!(": {text}"));
    let words = match (finished.timed_out, finished.code, finished.signal) {
        (true, _, _) => format!("did not end within {limit} and was killed{said}"),
        (_, Some(0), _) => "ended with exit code 0".to_owned(),
        (_, Some(code), _) => format!("ended with exit code {code}{said}"),
        (_, None, Some(signal)) => format!("was ended by signal {signal}{said}"),
        (_, None, None) => format!("has no exit code{said}"),
    };
    let number = std::str::from_utf8(&finished.stdout).ok();
    Ran {
        code: if finished.timed_out { None } else { finished.code },
        words,
        // More output than is kept is more than a number, even if its beginning is one.
        number: number
            .filter(|_| !finished.truncated)
            .and_then(|text| text.trim().parse().ok()),
    }
}

/// The beginning of what a program wrote, in one line and printable.
fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MOST_TOLD)
        .collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn find(program: &Path) -> Result<Program, String> {
        Program::find(&[program.to_str().unwrap().to_owned()], Span::secs(1))
    }

    #[test]
    fn only_what_can_be_run_is_found() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("program");
        assert!(find(&path).unwrap_err().contains("No such file"));
        fs::write(&path, "#!/bin/true").unwrap();
        assert!(find(&path).unwrap_err().contains("not executable"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(find(&path).unwrap_err().contains("anybody may write"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find(&path).unwrap().argv, [path.to_str().unwrap()]);
        assert!(find(place.path()).unwrap_err().contains("no file"));
        let found = Program::find(&["true".to_owned(), "x y".to_owned()], Span::secs(1)).unwrap();
        assert!(
            found.argv[0].ends_with("/true") && found.words().ends_with("/true 'x y'"),
            "{found:?}"
        );
        let missing = Program::find(&["no-such-program-here".to_owned()], Span::secs(1)).unwrap_err();
        assert!(missing.contains("/usr/bin"), "{missing}");
    }

    #[test]
    fn the_line_for_a_person_keeps_every_word() {
        let program = Program {
            argv: vec!["/bin/echo".to_owned(), "it's".to_owned(), String::new()],
            limit: Span::secs(1),
        };
        let environment = [("A".to_owned(), "b c".to_owned())];
        assert_eq!(
            program.manual("/tmp", &environment),
            r"cd /tmp && env -i 'A=b c' /bin/echo 'it'\''s' ''"
        );
    }

    #[test]
    fn what_a_program_wrote_is_told_in_one_printable_line() {
        let finished = Finished {
            code: Some(3),
            signal: None,
            stdout: b"42\n".to_vec(),
            stderr: b"no\x1b[31m\nway\n".to_vec(),
            timed_out: false,
            truncated: false,
        };
        let ran = told(&finished, Span::secs(1));
        assert_eq!((ran.code, ran.number), (Some(3), Some(42.0)));
        assert_eq!(ran.words, "ended with exit code 3: no [31m way");
        let late = Finished {
            timed_out: true,
            ..finished
        };
        assert_eq!(told(&late, Span::secs(1)).code, None);
    }
}
