//! The machine: one process, which is the power that it can lose.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::boots::Boot;
use super::console::{Heard, Results};
use super::disk::Disk;
use super::init::BOOT;
use super::kernel::Kernel;
use crate::children;

/// How long no program in the machine may say anything: longer than any test waits for what never comes, which then says what that was.
/// The kernel does not count. One that is stuck says so again and again, for as long as it is stuck.
const SILENCE: Duration = Duration::from_mins(6);
/// So many lines of the console are shown when something failed.
const SHOWN: usize = 40;

/// What a machine is made of.
#[derive(Debug)]
pub(super) struct Machine {
    program: PathBuf,
    folder: PathBuf,
    image: PathBuf,
    disks: [PathBuf; 2],
    archive: PathBuf,
}

/// A machine that is on. It is off when dropped.
struct Running {
    child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has turned itself off, or loses its power here.
        let _off = self.child.kill();
        let _off = self.child.wait();
    }
}

impl Machine {
    /// A machine with this kernel and disk; what it says goes to files in this folder.
    pub(super) fn new(folder: &Path, kernel: &Kernel, disk: &Disk) -> Result<Self> {
        let program = "qemu-system-x86_64";
        Ok(Self {
            program: children::find(program)
                .with_context(|| format!("{program} is not here: run `cargo xtask install`"))?,
            folder: folder.to_owned(),
            image: kernel.image(),
            disks: [disk.image.clone(), disk.second.clone()],
            archive: disk.archive.clone(),
        })
    }

    /// Turns it on and listens until it is off, by itself or because the time for that has come.
    pub(super) fn boot(&self, boot: &Boot) -> Result<Results> {
        println!("  the machine is turned on: {}", boot.name);
        let log = self.folder.join(format!("console-{}.log", boot.name));
        let mut log = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
        let mut machine = Running {
            child: self.command(boot).spawn().context("cannot start the machine")?,
        };
        let lines = lines(&mut machine.child)?;
        let (mut results, mut last) = (Results::default(), Vec::new());
        let on = Instant::now();
        let (mut began, mut heard) = (on, on);
        loop {
            let line = match lines.recv_timeout(SILENCE.saturating_sub(heard.elapsed())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => bail!(
                    "no program in the machine has said anything for {SILENCE:?}, in {}; it last said:\n{}",
                    results.running().unwrap_or("its boot"),
                    end_of(&last)
                ),
                Err(RecvTimeoutError::Disconnected) => bail!("the machine went off; it last said:\n{}", end_of(&last)),
            };
            writeln!(log, "{:8.1} {line}", on.elapsed().as_secs_f64()).context("cannot write what the machine says")?;
            if !is_of_the_kernel(&line) {
                heard = Instant::now();
            }
            last.push(line);
            match results.take(last.last().map_or("", String::as_str), boot.cut) {
                Heard::Other => {}
                Heard::Began(name) => {
                    println!("  {:6.1} s {name}", on.elapsed().as_secs_f64());
                    began = Instant::now();
                    last.clear();
                }
                Heard::Ended(how) if how == "passed" => {}
                Heard::Ended(how) => println!("  {how}, after {:.1?}:\n{}", began.elapsed(), end_of(&last)),
                // What the kernel of the machine has not written to its disk by now is lost; what it has is in ours.
                Heard::Cut | Heard::Done => return Ok(results),
                Heard::Broken(why) => bail!("the machine cannot begin: {why}"),
            }
        }
    }

    fn command(&self, boot: &Boot) -> Command {
        let mut command = Command::new(&self.program);
        // No hardware virtualisation: it is not everywhere, and where it is it may hang. One processor: two with a thread each stopped in
        // the kernel for good when rules were made and removed (soft lockups, QEMU 7.2.22 and Linux 6.1.0-57), and two in one thread wait
        // a tenth of a second for each other. It has random numbers, for which a machine without any hardware would wait.
        command
            .args(["-accel", "tcg", "-cpu", "qemu64,+rdrand", "-smp", "1", "-m", "1024"])
            .args([
                "-nodefaults",
                "-no-reboot",
                "-display",
                "none",
                "-nic",
                "none",
                "-serial",
                "stdio",
            ])
            .arg("-kernel")
            .arg(&self.image)
            .arg("-initrd")
            .arg(&self.archive)
            .arg("-append")
            .arg(format!("console=ttyS0 quiet panic=-1 {BOOT}={}", boot.name))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        for disk in &self.disks {
            let drive = format!("file={},format=raw,if=virtio", disk.display());
            command.arg("-drive").arg(drive);
        }
        command
    }
}

fn lines(child: &mut Child) -> Result<Receiver<String>> {
    let out = child.stdout.take().context("the machine has no console")?;
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Whether it is a line like `[   12.345678] rcu: INFO: ...`.
fn is_of_the_kernel(line: &str) -> bool {
    let time = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    time.is_some_and(|(time, _)| time.trim().parse::<f64>().is_ok())
}

fn end_of(lines: &[String]) -> String {
    let from = lines.len().saturating_sub(SHOWN);
    lines[from..].iter().flat_map(|line| ["    ", line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_known_by_their_time() {
        assert!(is_of_the_kernel(
            "[   21.000123] rcu: INFO: rcu_preempt self-detected stall on CPU"
        ));
        assert!(is_of_the_kernel("[12345.6] x"));
        for line in ["test a ... ok", "[1/3] a", "[x] y", "", "@vm begin a"] {
            assert!(!is_of_the_kernel(line), "{line}");
        }
    }
}
