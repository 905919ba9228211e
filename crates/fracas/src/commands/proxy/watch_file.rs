//! The file of `--chaos-config`, for as long as the proxy lives: what is changed there acts from the next request on.
//!
//! The file is looked at by its name, again and again, and so are the links that lead to it: an editor that writes a new file and renames
//! it, and a ConfigMap of Kubernetes, whose links are turned to another folder, are changes as any other. A notice by the kernel (inotify)
//! would be of one file alone, and there is none on file systems of others (NFS).
//!
//! What is half written may be right as far as it goes. So a file that somebody has open for writing is read when that one has closed it; where
//! that cannot be known, or it stays open for long, when it has been the same for a while.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use fracas_core::chaos::ChaosConfig;
use fracas_core::problem::{Problem, Result, codes};
use fracas_linux::file::is_being_written;
use fracas_proxy::{Configured, Control};
use fracas_report::plain;

use super::flags::Origin;
use crate::output::{tell, tell_problem};

/// Between two looks. What is not the same for so long is still being written.
const PAUSE: Duration = Duration::from_millis(200);

/// So many looks at a file that stays as it is, and is open for writing all the time. Then whoever has it open is not taken for its writer.
const OPEN: u32 = 25;

/// How a file looks from outside. `None`: there is none.
type Look = Option<Stamp>;

/// What changes with every change of a file: by its bytes or by another file in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: [u64; 3],
    /// Of the bytes and of the file's own record, which nobody can set: seconds and nanoseconds.
    times: [i64; 4],
}

/// Whoever follows it.
#[derive(Debug)]
pub(super) struct Follow {
    origin: Origin,
    /// How the file was when it was read. `None`: it is not known, for it was read before it was followed.
    read: Option<Look>,
    /// How it was when it was looked at.
    seen: Look,
    /// How often it was the same, and open for writing.
    open: u32,
    /// What it said the last time that it could be read.
    config: ChaosConfig,
    /// Whether it was gone or wrong when it was looked at last, and somebody was told.
    is_amiss: bool,
    quiet: bool,
}

impl Follow {
    /// `None` if there is no file, or one that can be read only once: a pipe. It was found to say this.
    pub(super) fn new(origin: Origin, config: ChaosConfig, quiet: bool) -> Option<Self> {
        let file = origin.file.as_deref()?;
        let is_file = fs::metadata(file).is_ok_and(|about| about.is_file());
        is_file.then_some(Self {
            // So it is read once more, which says nothing new unless it was changed meanwhile.
            read: None,
            seen: None,
            open: 0,
            origin,
            config,
            is_amiss: false,
            quiet,
        })
    }

    /// Begins. It ends with the proxy.
    ///
    /// # Errors
    /// S005 if there is no thread for it.
    pub(super) fn start(mut self, control: Control) -> Result<()> {
        let work = move || {
            while !control.is_gone() {
                // Nobody wakes it: there is nothing to wait for but the time.
                thread::park_timeout(PAUSE);
                self.look(&control);
            }
        };
        let started = thread::Builder::new().name("chaos-config".to_owned()).spawn(work);
        started.map(drop).map_err(|error| {
            Problem::new(&codes::SYSTEM, "cannot start the thread that watches the file").because(&error)
        })
    }

    /// Looks once.
    fn look(&mut self, control: &Control) {
        let Some(file) = self.origin.file.clone() else { return };
        let now = look(&file);
        let is_still = now == self.seen;
        self.seen = now;
        if Some(now) == self.read || !is_still {
            self.open = 0;
            return;
        }
        if now.is_some() && self.open < OPEN && is_being_written(&file).unwrap_or(false) {
            self.open += 1;
            return;
        }
        let name = plain(&file.display().to_string());
        if now.is_none() {
            self.read = Some(now);
            self.is_amiss = true;
            control.refused();
            tell(&format!("{name} is gone: what it said goes on"));
            return;
        }
        let read = self.origin.read();
        // What was changed while it was read is read once more.
        self.seen = look(&file);
        if self.seen != now {
            return;
        }
        // One that could not be read, for want of descriptors or by the fault of a disk, may be read the next time as it is.
        let may_come = matches!(&read, Err(problems) if problems.iter().any(|one| one.code == &codes::DOCUMENT_READ));
        if may_come && self.is_amiss {
            return;
        }
        self.read = (!may_come).then_some(now);
        // Whoever only touched it has not said anything that would end what the API was told meanwhile.
        if read.as_ref().is_ok_and(|config| *config == self.config) {
            if std::mem::take(&mut self.is_amiss) {
                tell(&format!("{name} is right again, and says what goes on"));
            }
            return;
        }
        let acts = read.and_then(|config| Ok((control.configure(config.clone())?, config)));
        self.is_amiss = acts.is_err();
        match acts {
            Ok((configured, config)) => {
                self.config = config;
                let when = match configured {
                    Configured::Now => "acts from the next request on",
                    Configured::Beneath => "acts beneath the scenarios that are active, from the next request on",
                    Configured::Later => "acts when the orchestration ends",
                    Configured::Gone => return,
                };
                if !self.quiet {
                    tell(&format!("{name} has changed, and {when}"));
                }
            }
            Err(problems) => {
                control.refused();
                for problem in &problems {
                    tell_problem(problem);
                }
                tell(&format!("{name} has changed and is wrong: what it said before goes on"));
            }
        }
    }
}

fn look(file: &Path) -> Look {
    let about = fs::metadata(file).ok().filter(fs::Metadata::is_file)?;
    Some(Stamp {
        file: [about.dev(), about.ino(), about.size()],
        times: [about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()],
    })
}
