//! What the machine says on its serial line, and what follows from it.

use std::collections::BTreeSet;

use super::init::MARK;

/// What has come of the tests of one boot.
#[derive(Debug, Default)]
pub(super) struct Results {
    passed: BTreeSet<String>,
    failed: BTreeSet<String>,
    running: Option<String>,
}

/// What a line means for the machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Something that a test or the kernel says.
    Other,
    /// A test began.
    Began(String),
    /// A test ended, in words.
    Ended(String),
    /// The time has come to take its power away: the test that runs has passed.
    Cut,
    /// It turns itself off.
    Done,
    /// It could not do what it was made for.
    Broken(String),
}

impl Results {
    /// Takes a line.
    pub(super) fn take(&mut self, line: &str, cut: Option<&str>) -> Heard {
        let line = line.trim();
        if cut == Some(line) {
            self.passed.extend(self.running.take());
            return Heard::Cut;
        }
        let Some(said) = line.strip_prefix(MARK).map(str::trim) else {
            return Heard::Other;
        };
        match said.split_once(' ') {
            Some(("begin", name)) => {
                self.running = Some(name.to_owned());
                Heard::Began(name.to_owned())
            }
            Some(("passed", _)) => {
                self.passed.extend(self.running.take());
                Heard::Ended("passed".to_owned())
            }
            Some(("failed", _)) => {
                self.failed.extend(self.running.take());
                Heard::Ended(said.to_owned())
            }
            Some(("broken:", why)) => Heard::Broken(why.to_owned()),
            _ if said == "done" => Heard::Done,
            _ => Heard::Other,
        }
    }

    /// Whether a test passed. One that never ended did not.
    pub(super) fn passed(&self, name: &str) -> bool {
        self.passed.contains(name) && !self.failed.contains(name)
    }

    /// The test that runs.
    pub(super) fn running(&self) -> Option<&str> {
        self.running.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(lines: &[&str]) -> (Results, Vec<Heard>) {
        let mut results = Results::default();
        let heard = lines.iter().map(|line| results.take(line, Some("now"))).collect();
        (results, heard)
    }

    #[test]
    fn a_test_passes_when_it_says_so_or_when_the_power_is_cut_in_it() {
        let lines = ["@vm begin a b", "noise", "@vm passed a b\r", "@vm begin c", "now\r"];
        let (results, heard) = results(&lines);
        assert!(results.passed("a b") && results.passed("c"));
        assert_eq!((&heard[1], &heard[4]), (&Heard::Other, &Heard::Cut));
    }

    #[test]
    fn what_failed_or_never_ended_has_not_passed() {
        let (results, heard) = results(&["@vm begin a", "@vm failed a: exit code 1", "@vm begin b", "@vm done"]);
        assert!(!results.passed("a") && !results.passed("b") && !results.passed("c"));
        assert_eq!(results.running(), Some("b"));
        assert_eq!(heard[1], Heard::Ended("failed a: exit code 1".to_owned()));
        assert_eq!(heard[3], Heard::Done);
    }

    #[test]
    fn a_machine_that_cannot_begin_says_why() {
        let (_, heard) = results(&["@vm broken: there is no disk", "a kernel's line"]);
        assert_eq!(heard, [Heard::Broken("there is no disk".to_owned()), Heard::Other]);
    }
}
