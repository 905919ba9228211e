//! A place for the runs of one test: a state directory of its own, and the look at the end whether anything of them is left.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fracas_linux::process;
use rustix::process::{Pid, WaitOptions, getpid, set_child_subreaper, waitpid};

use super::{LIMIT, Run, Said, look, soon};

/// One at a time, also where one process runs several tests: what one leaves must not be taken for another's.
static ALONE: Mutex<()> = Mutex::new(());

/// A state directory and a working directory of a test's own.
pub(crate) struct Bench {
    place: tempfile::TempDir,
    state: PathBuf,
    /// Of a test's own bench, held until it is checked; of one of several in a test, nothing.
    _alone: Option<MutexGuard<'static, ()>>,
}

impl Bench {
    /// The bench of a test.
    ///
    /// The processes of a runner that is killed come to this one (`PR_SET_CHILD_SUBREAPER`, prctl(2)): a zombie among them is then
    /// not taken for a process that was left, on a machine whose first process does not collect them.
    pub(crate) fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        set_child_subreaper(Some(getpid())).unwrap();
        Self {
            _alone: Some(alone),
            ..Self::another()
        }
    }

    /// One more beside the first, for runs that go on at the same time.
    pub(crate) fn another() -> Self {
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("state");
        Self {
            place,
            state,
            _alone: None,
        }
    }

    /// Uses another directory for state than the one in its place.
    pub(crate) fn with_state(mut self, state: &Path) -> Self {
        state.clone_into(&mut self.state);
        self
    }

    /// Where files of the test may lie.
    pub(crate) fn place(&self) -> &Path {
        self.place.path()
    }

    /// The state directory.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// Writes a document and starts `fracas run` on it.
    pub(crate) fn run(&self, document: &str) -> Run {
        self.run_with(document, &[])
    }

    /// The same, with more flags.
    pub(crate) fn run_with(&self, document: &str, flags: &[&str]) -> Run {
        let file = self.place().join("experiment.yaml");
        std::fs::write(&file, document).unwrap();
        Run::start(self, &file, flags)
    }

    /// Runs a command to its end.
    pub(crate) fn fracas(&self, words: &[&str]) -> Said {
        Run::words(self, words).end()
    }

    /// The end of a test: every process of ours is gone, and every group. Whoever was orphaned is collected here.
    pub(crate) fn finish(self) {
        nothing_left();
        self.place.close().unwrap();
    }
}

/// Nothing of any run of this test process is left: no process but targets, no group that carries a name of ours.
#[track_caller]
pub(crate) fn nothing_left() {
    let mut left = String::new();
    soon(LIMIT, "no process of Fracas is left", || {
        reap(look::is_ours);
        let ours: Vec<_> = process::descendants(std::process::id())
            .unwrap()
            .into_iter()
            .filter(|status| look::is_ours(&status.comm))
            .map(|status| format!("{} {} ({})", status.identity.pid, status.comm, status.state))
            .collect();
        left = ours.join(", ");
        ours.is_empty().then_some(())
    });
    assert_eq!(left, "");
    // Other tests on this machine have guardians, too: what must not be there is a group of one that is gone.
    let groups: Vec<_> = look::groups_named("fracas-guardian-")
        .into_iter()
        .filter(|path| {
            let pid = path.rsplit('-').next().and_then(|pid| pid.parse().ok());
            look::was_ours(pid.unwrap_or(0))
        })
        .collect();
    assert!(groups.is_empty(), "groups of guardians are left: {groups:?}");
}

/// Collects the guardians and workers that came to us when their runner was killed, but no runner: who started it waits for it. Every
/// look through /proc takes longer for each that lies there.
pub(crate) fn reap_orphans() {
    reap(|comm| look::is_ours(comm) && comm != "fracas");
}

/// Collects the zombies with such a name that are our children.
fn reap(named: impl Fn(&str) -> bool) {
    for status in process::descendants(std::process::id()).unwrap() {
        if status.state == 'Z' && status.parent == std::process::id() && named(&status.comm) {
            let pid = i32::try_from(status.identity.pid).ok().and_then(Pid::from_raw);
            // It may be the child of a handle that waits for it by itself.
            let _somebody_else_did = waitpid(pid, WaitOptions::NOHANG);
        }
    }
}
