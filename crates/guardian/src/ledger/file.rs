//! The ledger as a file that is being written.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Duration;

use fracas_core::problem::{Problem, Result, codes};
use fracas_linux::claim;
use fracas_linux::process::Process;
use fracas_linux::state_dir::PrivateDir;

use super::contents::{Contents, HEADER, MAGIC};
use super::record::{Record, VERSION};

/// Its name in the directory of the run.
pub(super) const NAME: &str = "ledger";

/// Room for the records that every run has, and for those that say how injections ended.
const FIXED: u64 = 64 << 10;
/// Room for one injection: its plan with the target and the undo, planned again after restarts, and its states.
const PER_INJECTION: u64 = 16 << 10;

/// A ledger that is being written. Holds the lock that says so.
#[derive(Debug)]
pub struct Ledger {
    pub(super) file: File,
    at: u64,
    room: u64,
}

impl Ledger {
    /// Makes the ledger of a new run with room for so many injections.
    pub fn create(directory: &PrivateDir, injections: usize) -> Result<Self> {
        let failed = |what: &str| Problem::new(&codes::LEDGER, format!("{what} {}/{NAME}", directory.path().display()));
        let file = directory
            .create_new_dsync(NAME)
            .map_err(|error| failed("cannot make").because(&error))?;
        // A ledger that promises nothing is not left behind, and takes no room on a full disk. The first error is the one to tell.
        Self::begin(file, directory, injections).inspect_err(|_| drop(directory.remove(NAME)))
    }

    fn begin(file: File, directory: &PrivateDir, injections: usize) -> Result<Self> {
        let failed = |what: &str| Problem::new(&codes::LEDGER, format!("{what} {}/{NAME}", directory.path().display()));
        if !lock(&file).map_err(|error| failed("cannot lock").because(&error))? {
            return Err(failed("somebody else holds"));
        }
        let mut ledger = Self {
            file,
            at: HEADER as u64,
            room: 0,
        };
        ledger.reserve(injections)?;
        let mut header = [0; HEADER];
        header[..6].copy_from_slice(MAGIC);
        header[6..].copy_from_slice(&VERSION.to_le_bytes());
        ledger.write_at(&header, 0)?;
        directory
            .sync()
            .map_err(|error| failed("cannot make durable").because(&error))?;
        Ok(ledger)
    }

    /// Opens the ledger of a dead run to go on with it. `None` if its guardian lives: the lock is held, and by no orphan.
    pub fn open(directory: &PrivateDir) -> Result<Option<(Self, Contents)>> {
        let failed = |what: &str| Problem::new(&codes::LEDGER, format!("{what} {}/{NAME}", directory.path().display()));
        let Some(file) = directory
            .open_dsync(NAME)
            .map_err(|error| failed("cannot open").because(&error))?
        else {
            return Err(failed("there is no").next("the run ended before it touched anything"));
        };
        let mut tried = Duration::ZERO;
        while !lock(&file).map_err(|error| failed("cannot lock").because(&error))? {
            let bytes = read(&file).map_err(|error| failed("cannot read").because(&error))?;
            if tried > ORPHAN || Contents::parse(&bytes).is_ok_and(|contents| lives(&contents)) {
                return Ok(None);
            }
            tried += TRIED;
        }
        let bytes = read(&file).map_err(|error| failed("cannot read").because(&error))?;
        let contents = Contents::parse(&bytes)?;
        let ledger = Self {
            file,
            at: contents.length as u64,
            room: bytes.len() as u64,
        };
        if contents.torn {
            // The torn record is overwritten with zeros, so that what follows it later is not read as its rest.
            let rest = vec![0; (bytes.len() - contents.length).min(PER_INJECTION as usize)];
            ledger.write_at(&rest, ledger.at)?;
        }
        Ok(Some((ledger, contents)))
    }

    /// What the ledger in this directory says, without touching or locking it, and whether its guardian lives.
    pub fn look(directory: &PrivateDir) -> Result<Option<(Contents, bool)>> {
        let failed = |what: &str| Problem::new(&codes::LEDGER, format!("{what} {}/{NAME}", directory.path().display()));
        let Some(file) = directory
            .open(NAME)
            .map_err(|error| failed("cannot open").because(&error))?
        else {
            return Ok(None);
        };
        let locked = claim::is_locked(&file).map_err(|error| failed("cannot look at the lock of").because(&error))?;
        let bytes = read(&file).map_err(|error| failed("cannot read").because(&error))?;
        let contents = Contents::parse(&bytes)?;
        let kept = locked && lives(&contents);
        Ok(Some((contents, kept)))
    }

    /// Makes room for so many more injections. After this, records of usual length cannot fail for want of space.
    pub fn reserve(&mut self, injections: usize) -> Result<()> {
        self.reserve_after(0, injections)
    }

    /// The same after so many bytes that are about to be written.
    fn reserve_after(&mut self, bytes: usize, injections: usize) -> Result<()> {
        let room = self.at + bytes as u64 + FIXED + PER_INJECTION * injections as u64;
        if room > self.room {
            fracas_linux::file::allocate(&self.file, room)
                .map_err(|error| Problem::new(&codes::LEDGER, "cannot reserve space for the ledger").because(&error))?;
            self.room = room;
        }
        Ok(())
    }

    /// Appends plans in one write, and makes room for what will be said of them: a plan that holds the bytes of a file is longer than
    /// usual. When it returns they are on disk.
    pub fn promise(&mut self, records: &[Record]) -> Result<()> {
        let frame = Self::frame(records)?;
        self.reserve_after(frame.len(), records.len())?;
        self.write(&frame)
    }

    /// Appends records in one write. When it returns they are on disk.
    pub fn append(&mut self, records: &[Record]) -> Result<()> {
        let frame = Self::frame(records)?;
        self.write(&frame)
    }

    fn frame(records: &[Record]) -> Result<Vec<u8>> {
        let mut frame = Vec::new();
        for record in records {
            let body = serde_json::to_vec(record)
                .map_err(|error| Problem::new(&codes::INSIDE, "a record cannot be written").because(&error))?;
            frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
            frame.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
            frame.extend_from_slice(&body);
        }
        Ok(frame)
    }

    fn write(&mut self, frame: &[u8]) -> Result<()> {
        self.write_at(frame, self.at)?;
        self.at += frame.len() as u64;
        Ok(())
    }

    /// Whether its file was deleted: what is written to it then nobody else will ever read.
    pub fn is_deleted(&self) -> bool {
        // No name leads to it any more, see inode(7); where that cannot be asked it is not taken for deleted.
        self.file.metadata().is_ok_and(|of| of.nlink() == 0)
    }

    /// Gives back the room that was not needed. After this a record may fail for want of space: only where none is to come.
    pub fn trim(&mut self) -> Result<()> {
        self.file
            .set_len(self.at)
            .map_err(|error| Problem::new(&codes::LEDGER, "cannot shorten the ledger").because(&error))?;
        self.room = self.at;
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.file
            .write_all_at(bytes, at)
            .map_err(|error| Problem::new(&codes::LEDGER, "cannot write the ledger").because(&error))
    }
}

/// A lock of flock(2) belongs to the open file, which a child shares from fork until exec closes it: an orphan of a guardian that was
/// killed in between holds the lock of a dead one. So long it is waited for; it has nothing to do but to end, once it gets a processor.
const ORPHAN: Duration = Duration::from_secs(10);
/// How often, and after how long, a lock is tried again.
const TRIES: u32 = 20;
pub(super) const AGAIN: Duration = Duration::from_millis(5);
const TRIED: Duration = AGAIN.saturating_mul(TRIES);

/// Locks the ledger. Somebody who only looks ([`Ledger::look`]) holds the lock for a moment: that is waited for.
fn lock(file: &File) -> std::io::Result<bool> {
    for _ in 0..TRIES {
        if claim::lock(file)? {
            return Ok(true);
        }
        std::thread::park_timeout(AGAIN);
    }
    Ok(false)
}

/// Whether the guardian that the ledger names lives, as far as can be seen. One that has not written its name yet does.
fn lives(contents: &Contents) -> bool {
    let Some(guardian) = &contents.guardian else {
        return true;
    };
    // What cannot be seen is not taken for dead.
    Process::open(guardian)
        .and_then(|process| process.map_or(Ok(true), |process| process.has_ended()))
        .map_or(true, |ended| !ended)
}

/// The longest ledger that is believed: a thousand injections planned many times over.
const LONGEST: u64 = 256 << 20;

fn read(file: &File) -> std::io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    if length > LONGEST {
        return Err(std::io::Error::other(format!("it has {length} bytes")));
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
