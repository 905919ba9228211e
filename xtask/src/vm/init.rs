//! The first process of the machine: this program once more. It mounts what every Linux has, runs the tests, and says how each ended.
//!
//! It begins in the archive that the kernel unpacks, where it does no more than to reach the disk; then it goes on from there, so that
//! `/` is a file system on a disk as it is elsewhere.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::mount::{MountFlags, mount, mount_move};
use rustix::process::{Pid, WaitOptions};
use rustix::system::RebootCommand;

use super::boots::Boot;

/// What every line for the outside begins with.
pub(super) const MARK: &str = "@vm";
/// The variable that the kernel gives the first process from its command line: which boot this is.
pub(super) const BOOT: &str = "BOOT";
/// The argument with which it goes on from the disk.
const FROM_DISK: &str = "from-disk";
/// The disk may be a moment later than its driver.
const DISK_LIMIT: Duration = Duration::from_secs(20);

/// Whether this is the first process of the machine: the kernel calls it by this name.
pub(crate) fn is_here() -> bool {
    std::process::id() == 1 && std::env::args_os().next().is_some_and(|name| name == "/init")
}

/// Does it all and turns the machine off. A first process that ends is the end of the kernel.
pub(crate) fn main() -> ExitCode {
    let from_disk = std::env::args_os().nth(1).is_some_and(|word| word == FROM_DISK);
    let done = if from_disk { run() } else { reach_the_disk() };
    match done {
        Ok(()) => say("done"),
        Err(error) => say(&format!("broken: {error:#}")),
    }
    rustix::fs::sync();
    let _stays_on = rustix::system::reboot(RebootCommand::PowerOff);
    ExitCode::FAILURE
}

/// The file that says what is run in a boot: a line for each test, its name and words between tabs.
pub(super) fn tasks(boot: &Boot) -> String {
    let line = |test: &super::boots::Test| format!("{}\t{}\n", test.name, test.words.join("\t"));
    boot.tests.iter().map(line).collect()
}

fn say(what: &str) {
    // A test may have left its last line open. Nobody is there to hear that the console is gone.
    let _gone = writeln!(std::io::stdout(), "\n{MARK} {what}");
}

fn reach_the_disk() -> Result<()> {
    put("devtmpfs", "/dev", None)?;
    let mut modules: Vec<_> = fs::read_dir("/modules")?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    modules.sort();
    for module in modules {
        let file = fs::File::open(&module)?;
        rustix::system::finit_module(&file, c"", 0).with_context(|| format!("cannot load {}", module.display()))?;
    }
    let disk = Path::new("/dev/vda");
    let begun = Instant::now();
    while !disk.exists() {
        if begun.elapsed() > DISK_LIMIT {
            bail!("there is no disk");
        }
        std::thread::yield_now();
    }
    mount("/dev/vda", "/disk", "ext4", MountFlags::empty(), None).context("cannot mount the disk")?;
    // As switch_root(8) does it: a root of the kernel's own cannot be left by pivot_root(2).
    std::env::set_current_dir("/disk")?;
    mount_move(".", "/").context("cannot make the disk the root")?;
    rustix::process::chroot(".").context("cannot go to the disk")?;
    std::env::set_current_dir("/")?;
    Err(Command::new("/init").arg(FROM_DISK).exec()).context("cannot go on from the disk")
}

fn run() -> Result<()> {
    for (kind, place, options) in [
        ("proc", "/proc", None),
        ("sysfs", "/sys", None),
        ("devtmpfs", "/dev", None),
        ("devpts", "/dev/pts", None),
        ("tmpfs", "/dev/shm", None),
        ("tmpfs", "/run", None),
        // As systemd mounts it.
        ("cgroup2", "/sys/fs/cgroup", Some(c"nsdelegate,memory_recursiveprot")),
    ] {
        fs::create_dir_all(place).with_context(|| format!("cannot make {place}"))?;
        put(kind, place, options)?;
    }
    // A kernel that writes by itself what nobody asked it to write would hide that nobody did.
    let rarely = Some(c"commit=300");
    mount("/dev/vdb", "/tmp", "ext4", MountFlags::empty(), rarely).context("cannot mount the second disk")?;
    finish(&mut command(&["ip", "link", "set", "lo", "up"])).context("the loopback stays down")?;
    let boot = std::env::var(BOOT).context("nobody says which boot this is")?;
    let tasks = fs::read_to_string(format!("/boots/{boot}")).context("this boot has no tests")?;
    for line in tasks.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        let [name, words @ ..] = words.as_slice() else { continue };
        say(&format!("begin {name}"));
        match finish(&mut command(words)) {
            Ok(()) => say(&format!("passed {name}")),
            Err(error) => say(&format!("failed {name}: {error:#}")),
        }
    }
    Ok(())
}

fn put(kind: &str, place: &str, options: Option<&std::ffi::CStr>) -> Result<()> {
    mount(kind, place, kind, MountFlags::empty(), options).with_context(|| format!("cannot mount {place}"))
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words.first().unwrap_or(&""));
    command
        .args(words.iter().skip(1))
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        // What is tested here is here: a test that lacks something fails.
        .env("CI", "true")
        // Also what only this kernel has.
        .env("FRACAS_TEST_VM", "1")
        .current_dir("/");
    command
}

/// Runs a program to its end, and collects whoever was orphaned meanwhile, as a first process must.
fn finish(command: &mut Command) -> Result<()> {
    let child = Pid::from_child(&command.spawn().context("it cannot be started")?);
    loop {
        let Some((pid, status)) = rustix::process::wait(WaitOptions::empty()).context("nobody is there to wait for")?
        else {
            continue;
        };
        if pid == child {
            match status.exit_status() {
                Some(0) => return Ok(()),
                Some(code) => bail!("exit code {code}"),
                None => bail!("killed by signal {}", status.terminating_signal().unwrap_or_default()),
            }
        }
    }
}
