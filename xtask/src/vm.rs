//! `cargo xtask vm`: tests on another kernel than this machine's, which may also lose its power in the middle of them.
//!
//! Debian's cloud kernel under QEMU by software emulation, which every machine can do: it has control groups of version 2 alone, queues
//! that delay and lose packets, and a disk that stays when the machine goes. In it run the same programs that run outside: they are
//! copied with their libraries to the paths that they were built for. Time passes in it as outside, but processors are about ten times
//! slower: what is tested there is *what* happens, and never how exactly.

mod boots;
mod console;
mod cpio;
mod disk;
pub(crate) mod init;
mod kernel;
mod machine;
mod programs;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::children;
use boots::Boot;
use disk::Disk;
use kernel::Kernel;
use machine::Machine;
use programs::Programs;

/// Where everything of the machine lies, below the workspace's root.
const FOLDER: &str = "target/vm";

/// What is run in the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// What differs most, as CI does.
    Short,
    /// The contract of every fault that needs no engine.
    Full,
    /// The benchmarks of what no other kernel has.
    Bench,
}

/// Runs a lane. A machine that cannot be had is an error everywhere: nobody who asks for it wants to hear that nothing was tested.
pub(crate) fn run(lane: Lane) -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!(
            "the machine has a processor of x86_64, and runs no programs of {}",
            std::env::consts::ARCH
        );
    }
    let folder = children::root()?.join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // Before anything is built: that may put another program in the place of this one.
    let init = folder.join("init");
    fs::copy("/proc/self/exe", &init).context("cannot copy this program")?;
    let kernel = Kernel::get(&folder)?;
    let programs = Programs::build(lane)?;
    let boots = boots::all(&programs, lane)?;
    let disk = Disk::make(&folder, &kernel, (&programs, &init), &boots)?;
    let machine = Machine::new(&folder, &kernel, &disk)?;
    let mut failed = Vec::new();
    for boot in &boots {
        failed.extend(one(&machine, boot)?);
    }
    if failed.is_empty() {
        let count: usize = boots.iter().map(|boot| boot.tests.len()).sum();
        println!(
            "  {count} tests passed in {} boots of {}",
            boots.len(),
            kernel.release()
        );
        return Ok(());
    }
    bail!(
        "{} failed in the machine; all that it said lies in {}: {}",
        failed.len(),
        folder.display(),
        failed.join(", ")
    )
}

/// One boot, to its end. The names of the tests that did not pass.
fn one(machine: &Machine, boot: &Boot) -> Result<Vec<String>> {
    let results = machine.boot(boot)?;
    Ok(boot
        .tests
        .iter()
        .map(|test| test.name.clone())
        .filter(|name| !results.passed(name))
        .collect())
}

/// A path of the host's inside of a folder that will be somebody's root.
fn below(root: &Path, path: &Path) -> std::path::PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}
