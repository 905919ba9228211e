//! The clock of other processes, for real: this test binary starts itself as a program that tells the time.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    unsafe_code,
    clippy::disallowed_methods,
    reason = "this is a test, though one with its own main; it starts itself and calls the C library's functions"
)]

mod own_main;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use fracas_core::target::ProcessIdentity;
use fracas_linux::privileges::{Capability, missing};
use fracas_linux::process;
use fracas_linux::vdso::{self, Clock};

const SECOND: i64 = 1_000_000_000;
/// Two readings of two processes, one after the other, on a busy machine.
const NEAR: i64 = 5 * SECOND;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[..] {
        [_, word, threads] if word == "tell" => tell(threads.parse().unwrap()),
        [_, word, pid, name] if word == "shift" => shift(pid.parse().unwrap(), name),
        _ => own_main::run(&[
            ("the_three_functions_are_shifted_and_others_are_not", shifted),
            ("whoever_is_busy_with_its_clock_goes_on", busy),
            ("a_child_inherits_it_and_is_found", inherited),
            ("who_is_killed_in_the_middle_leaves_a_process_that_goes_on", killed),
            ("what_a_stranger_has_changed_is_left", foreign),
            ("what_waits_goes_on_waiting", waiting),
        ]),
    }
}

/// Says the time at each line that it reads, by all functions; more threads do nothing but ask for it. `fork` makes a child that
/// tells, too, when the pipe is empty again; `exec` one that runs another program.
fn tell(threads: usize) {
    for _ in 0..threads {
        std::thread::spawn(|| {
            loop {
                std::hint::black_box(now());
            }
        });
    }
    let mut children = Vec::new();
    for line in std::io::stdin().lines() {
        let answer = match line.unwrap().as_str() {
            // SAFETY: there is no other thread where this is asked for; the child only waits.
            "fork" => match unsafe { libc::fork() } {
                0 => loop {
                    // SAFETY: neither reads or writes memory. It ends with the thread that made it.
                    unsafe {
                        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                        libc::pause();
                    }
                },
                pid => pid.to_string(),
            },
            "exec" => {
                let child = teller(0).spawn().unwrap();
                children.push(child);
                children.last().unwrap().id().to_string()
            }
            _ => now().map(|number| number.to_string()).join(" "),
        };
        println!("{answer}");
    }
    for mut child in children {
        let _ended = child.kill();
        child.wait().unwrap();
    }
}

/// In nanoseconds: `clock_gettime` of the real time, of the coarse real time and of TAI, `gettimeofday`, `time`; `CLOCK_MONOTONIC`.
fn now() -> [i64; 6] {
    let clock = |id| {
        let mut value = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the struct outlives the call.
        assert_eq!(unsafe { libc::clock_gettime(id, &raw mut value) }, 0);
        assert!((0..SECOND).contains(&value.tv_nsec), "{}", value.tv_nsec);
        value.tv_sec * SECOND + value.tv_nsec
    };
    let mut value = libc::timeval { tv_sec: 0, tv_usec: 0 };
    // SAFETY: the struct outlives the call.
    assert_eq!(unsafe { libc::gettimeofday(&raw mut value, std::ptr::null_mut()) }, 0);
    assert!((0..1_000_000).contains(&value.tv_usec), "{}", value.tv_usec);
    let mut twice = 0;
    // SAFETY: the number outlives the call.
    let time = unsafe { libc::time(&raw mut twice) };
    assert_eq!(time, twice);
    [
        clock(libc::CLOCK_REALTIME),
        clock(libc::CLOCK_REALTIME_COARSE),
        clock(libc::CLOCK_TAI),
        value.tv_sec * SECOND + value.tv_usec * 1000,
        time * SECOND,
        clock(libc::CLOCK_MONOTONIC),
    ]
}

/// Shifts a clock there and back until it is killed.
fn shift(pid: u32, name: &str) {
    let process = process::identity(pid).unwrap().unwrap();
    println!("begun");
    loop {
        vdso::skew(&process, name, 3600 * SECOND).unwrap();
        vdso::unskew(&process, name).unwrap();
    }
}

fn teller(threads: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["tell", &threads.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// A process that tells the time; it ends when this is dropped.
struct Teller {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Teller {
    /// `None` where clocks cannot be shifted.
    fn start(threads: usize) -> Option<Self> {
        let lacking = missing(&[Capability::SysPtrace]).unwrap();
        if !lacking.is_empty() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI=true forbids to skip");
            return None;
        }
        let mut child = teller(threads).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut teller = Self {
            child,
            to,
            from: BufReader::new(from),
        };
        teller.shifts();
        Some(teller)
    }

    fn identity(&self) -> ProcessIdentity {
        process::identity(self.child.id()).unwrap().unwrap()
    }

    fn ask(&mut self, word: &str) -> String {
        writeln!(self.to, "{word}").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// By how much each of its clocks is before ours.
    fn shifts(&mut self) -> [i64; 6] {
        let mine = now();
        let answer = self.ask("now");
        let theirs: Vec<i64> = answer.split(' ').map(|word| word.parse().unwrap()).collect();
        std::array::from_fn(|number| theirs[number] - mine[number])
    }

    #[track_caller]
    fn is_shifted_by(&mut self, offset: i64) {
        let shifts = self.shifts();
        let (monotonic, real) = shifts.split_last().unwrap();
        assert!((0..NEAR).contains(monotonic), "{shifts:?}");
        // The whole seconds of two readings may differ by one more, and coarse clocks stand still between two ticks.
        let near = |shift: &i64| (-2 * SECOND..NEAR).contains(&(shift - offset));
        assert!(real.iter().all(near), "{shifts:?} for {offset}");
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// The name of this process's shifts: other tests run beside it.
fn name() -> String {
    format!("fracas-test-{}", std::process::id())
}

fn clock(process: &ProcessIdentity) -> Clock {
    vdso::clock(process.pid).unwrap().unwrap()
}

fn skewed_by(offset: i64) -> Clock {
    Clock::Skewed {
        name: name(),
        offset,
        functions: 3,
    }
}

fn shifted() {
    let (Some(mut one), Some(mut other)) = (Teller::start(1), Teller::start(0)) else {
        return;
    };
    let process = one.identity();
    assert_eq!(clock(&process), Clock::Original);
    for offset in [
        300 * SECOND,
        -3600 * SECOND,
        10 * SECOND + SECOND / 2,
        -10 * SECOND - 1,
        86400 * 3650 * SECOND,
    ] {
        assert!(vdso::skew(&process, &name(), offset).unwrap());
        one.is_shifted_by(offset);
        other.is_shifted_by(0);
        assert_eq!(clock(&process), skewed_by(offset));
        assert_eq!(vdso::skewed(&name()).unwrap(), std::slice::from_ref(&process));
        // Again, it is there already; by another name, it is somebody else's.
        assert!(vdso::skew(&process, &name(), offset).unwrap());
        assert!(!vdso::unskew(&process, "fracas-other").unwrap());
        let why = vdso::skew(&process, "fracas-other", SECOND).unwrap_err().to_string();
        assert!(why.contains(&format!("shifted by {}", name())), "{why}");
        assert!(vdso::unskew(&process, &name()).unwrap());
        assert!(!vdso::unskew(&process, &name()).unwrap());
        assert_eq!(clock(&process), Clock::Original);
        assert_eq!(vdso::skewed(&name()).unwrap(), []);
        one.is_shifted_by(0);
    }
    let gone = ProcessIdentity { start: 1, ..process };
    assert!(!vdso::skew(&gone, &name(), SECOND).unwrap());
}

fn busy() {
    let Some(mut one) = Teller::start(4) else { return };
    let process = one.identity();
    for _ in 0..50 {
        assert!(vdso::skew(&process, &name(), 3600 * SECOND).unwrap());
        one.is_shifted_by(3600 * SECOND);
        assert!(vdso::unskew(&process, &name()).unwrap());
        one.is_shifted_by(0);
    }
    assert_eq!(clock(&process), Clock::Original);
}

fn inherited() {
    let Some(mut one) = Teller::start(0) else { return };
    let process = one.identity();
    assert!(vdso::skew(&process, &name(), 60 * SECOND).unwrap());
    let child = process::identity(one.ask("fork").parse().unwrap()).unwrap().unwrap();
    let fresh = process::identity(one.ask("exec").parse().unwrap()).unwrap().unwrap();
    assert_eq!(clock(&child), skewed_by(60 * SECOND));
    until(|| clock(&fresh) == Clock::Original);
    assert_eq!(vdso::skewed(&name()).unwrap(), [process.clone(), child.clone()]);
    for process in vdso::skewed(&name()).unwrap() {
        assert!(vdso::unskew(&process, &name()).unwrap());
    }
    assert_eq!((clock(&process), clock(&child)), (Clock::Original, Clock::Original));
    process::Process::open(&child)
        .unwrap()
        .unwrap()
        .signal(libc::SIGKILL)
        .unwrap();
}

fn killed() {
    let Some(mut one) = Teller::start(2) else { return };
    let process = one.identity();
    let mut places = [0; 3];
    for round in 0..100 {
        let mut shifter = Command::new(std::env::current_exe().unwrap())
            .args(["shift", &process.pid.to_string(), &name()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shifter.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        // From nothing to some twenty there-and-backs, in steps that have nothing to do with their length.
        std::thread::park_timeout(Duration::from_micros(137 * round));
        shifter.kill().unwrap();
        shifter.wait().unwrap();
        let found = clock(&process);
        places[match &found {
            Clock::Original => 0,
            Clock::Skewed { functions: 3, .. } => 2,
            Clock::Skewed { .. } => 1,
            other => panic!("{other:?}"),
        }] += 1;
        // It goes on, whatever its clock says, and a stranger puts it back.
        one.shifts();
        assert_eq!(vdso::unskew(&process, &name()).unwrap(), found != Clock::Original);
        assert_eq!(clock(&process), Clock::Original);
        one.is_shifted_by(0);
    }
    println!("found original, half and whole: {places:?}");
    assert!(places[0] < 100, "no blow fell while it was shifted");
}

fn foreign() {
    let Some(one) = Teller::start(0) else { return };
    let process = one.identity();
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", process.pid)).unwrap();
    let line = maps.lines().find(|line| line.ends_with("[vdso]")).unwrap();
    let base = u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
    let memory = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/{}/mem", process.pid))
        .unwrap();
    // The version of its own format, which no program reads.
    memory.write_all_at(&[7], base + 8).unwrap();
    assert_eq!(clock(&process), Clock::Foreign);
    let why = vdso::skew(&process, &name(), SECOND).unwrap_err().to_string();
    assert!(why.contains("another program has changed"), "{why}");
    let found = vdso::foreign(process.pid).unwrap().unwrap();
    assert!(found.place == "byte 8" && found.found.starts_with("07"), "{found:?}");
    let mut there = [0];
    memory.read_exact_at(&mut there, base + 8).unwrap();
    assert_eq!(there, [7]);
}

/// A process that is stopped stays stopped, and one that is asleep sleeps on.
fn waiting() {
    let Some(mut one) = Teller::start(0) else { return };
    let process = one.identity();
    let handle = process::Process::open(&process).unwrap().unwrap();
    let state = || process::status(process.pid).unwrap().unwrap().state;
    until(|| state() == 'S');
    assert!(vdso::skew(&process, &name(), 60 * SECOND).unwrap());
    until(|| state() == 'S');
    handle.signal(libc::SIGSTOP).unwrap();
    until(|| state() == 'T');
    assert!(vdso::unskew(&process, &name()).unwrap());
    until(|| state() == 'T');
    handle.signal(libc::SIGCONT).unwrap();
    one.is_shifted_by(0);
}

#[track_caller]
fn until(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "it is not so");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
