//! The metrics of a run that goes on, as whoever scrapes them sees them; and that nobody who does so holds the run up.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fracas_core::record::State;
use fracas_linux::process::Process;

use crate::parts::Prometheus;
use crate::run;
use crate::support::{Bench, Blow, LIMIT, Run, Target, memory_limit, signal, soon};

const INTERRUPT: i32 = 2;
const PROMTOOL: &str = "/usr/bin/promtool";
/// A free port of loopback.
const FLAG: [&str; 2] = ["--metrics-listen", "0"];

/// A run with a fault that stays on, and a probe that fails as long as a file is there. Its recovery waits for the probe, so it can
/// be scraped after its rollback for as long as a test wants.
struct Watched {
    run: Run,
    guardian: Process,
    at: SocketAddr,
    bad: PathBuf,
}

impl Watched {
    fn begin(bench: &Bench, target: &Target, threshold: &str) -> Self {
        let bad = bench.place().join("bad");
        let probe = format!(
            "warmup: 0s, probes: [{{ name: pulse, command: {{ argv: [/usr/bin/test, '!', -e, '{}'] }}, expect: '== 0'{threshold} }}]",
            bad.display()
        );
        let document = memory_limit(target)
            .replace("warmup: 0s", &probe)
            .replace("within: 1s", "within: 60s");
        let run = run(bench, &document, &FLAG);
        let at = address(&run);
        let (directory, guardian) = run.begun();
        run.until(&directory, State::Applied);
        Self { run, guardian, at, bad }
    }

    fn break_it(&self) {
        std::fs::write(&self.bad, "").unwrap();
    }

    /// Waits until a series has this value. Gives the whole page.
    #[track_caller]
    fn until(&self, series: &str, number: f64) -> String {
        soon(LIMIT, &format!("{series} is {number}"), || {
            let page = scrape(self.at)?;
            is(&page, series, number).then_some(page)
        })
    }

    /// The probe holds again, and the run ends.
    fn end(mut self, code: i32) {
        std::fs::remove_file(&self.bad).unwrap();
        let said = self.run.wait(LIMIT);
        assert_eq!(said.code, code, "{said:?}");
        assert_eq!(scrape(self.at), None, "nobody answers after the end");
    }
}

/// Where the run says that it answers.
#[track_caller]
fn address(run: &Run) -> SocketAddr {
    soon(LIMIT, "the address is told", || {
        let said = run.err();
        let (_, rest) = said.split_once("metrics: http://")?;
        rest.split_once("/metrics")?.0.parse().ok()
    })
}

/// What is answered; `None` if nobody does.
fn scrape(at: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(at).ok()?;
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut answer = String::new();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    Some(body.to_owned())
}

fn value(page: &str, series: &str) -> Option<f64> {
    let mut lines = page.lines();
    let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(value.parse().unwrap())
}

fn is(page: &str, series: &str, number: f64) -> bool {
    value(page, series).is_some_and(|found| (found - number).abs() < 1e-9)
}

#[track_caller]
fn says(page: &str, expected: &[(&str, f64)]) {
    for (series, number) in expected {
        assert!(is(page, series, *number), "{series} is not {number}: {page}");
    }
}

/// Debian's promtool reads the page, and finds nothing to say about names, types and help.
#[expect(clippy::disallowed_methods, reason = "the real peer of the test is a program")]
fn is_approved(page: &str) {
    if !std::path::Path::new(PROMTOOL).exists() {
        return fracas_lab::skip("promtool is not installed");
    }
    let mut child = Command::new(PROMTOOL)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}\n{page}");
}

#[test]
fn a_scrape_sees_the_fault_come_and_go_with_the_time_of_each() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let watched = Watched::begin(&bench, &target, ", abort: '> 0'");
    let page = watched.until("fracas_injection_active{fault=\"memory_limit\"}", 1.0);
    says(
        &page,
        &[
            ("fracas_injection_applied_total{fault=\"memory_limit\"}", 1.0),
            (
                "fracas_injection_apply_latency_seconds_count{fault=\"memory_limit\"}",
                1.0,
            ),
            (
                "fracas_injection_rollback_latency_seconds_count{fault=\"memory_limit\"}",
                0.0,
            ),
            ("fracas_abort_clean_latency_seconds_count", 0.0),
            ("fracas_probe_breaches_total{probe=\"pulse\"}", 0.0),
            ("fracas_run_verdict{verdict=\"aborted\"}", 0.0),
        ],
    );
    let page = watched.until("fracas_dose_readings_total{fault=\"memory_limit\",landed=\"yes\"}", 1.0);
    is_approved(&page);
    // Prometheus asks for OpenMetrics; what it could not read it would call down.
    if let Some(prometheus) = Prometheus::start(&[("fracas", &[watched.at.port()])]) {
        assert_eq!(prometheus.query("fracas_injection_active"), [1.0]);
    }
    watched.break_it();
    let page = watched.until("fracas_run_phase{phase=\"recovery\"}", 1.0);
    says(
        &page,
        &[
            ("fracas_injection_active{fault=\"memory_limit\"}", 0.0),
            ("fracas_injection_residue{fault=\"memory_limit\"}", 0.0),
            (
                "fracas_injection_outcomes_total{fault=\"memory_limit\",outcome=\"clean\"}",
                1.0,
            ),
            (
                "fracas_injection_rollback_latency_seconds_count{fault=\"memory_limit\"}",
                1.0,
            ),
            ("fracas_abort_rollback_latency_seconds_count", 1.0),
            ("fracas_abort_clean_latency_seconds_count", 1.0),
            ("fracas_probe_breaches_total{probe=\"pulse\"}", 1.0),
            ("fracas_guardian_takeovers_total", 0.0),
        ],
    );
    // The rollback begins within 100 ms of the reading, the undo takes a second at most.
    for (series, most) in [
        ("fracas_abort_rollback_latency_seconds_sum", 0.1),
        ("fracas_abort_clean_latency_seconds_sum", 1.1),
        (
            "fracas_injection_rollback_latency_seconds_sum{fault=\"memory_limit\"}",
            1.0,
        ),
    ] {
        assert!(value(&page, series).unwrap() <= most, "{series}: {page}");
    }
    is_approved(&page);
    assert_eq!(target.look(), before);
    watched.end(3);
    bench.finish();
}

#[test]
fn another_guardian_is_counted_and_so_is_what_it_undid() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let watched = Watched::begin(&bench, &target, "");
    let page = watched.until("fracas_injection_active{fault=\"memory_limit\"}", 1.0);
    says(&page, &[("fracas_guardian_takeovers_total", 0.0)]);
    watched.break_it();
    signal(&watched.guardian, 9);
    let page = watched.until("fracas_run_phase{phase=\"recovery\"}", 1.0);
    says(
        &page,
        &[
            ("fracas_guardian_takeovers_total", 1.0),
            ("fracas_injection_active{fault=\"memory_limit\"}", 0.0),
            (
                "fracas_injection_outcomes_total{fault=\"memory_limit\",outcome=\"clean\"}",
                1.0,
            ),
            (
                "fracas_injection_rollback_latency_seconds_count{fault=\"memory_limit\"}",
                1.0,
            ),
            // Nothing was breached.
            ("fracas_abort_clean_latency_seconds_count", 0.0),
        ],
    );
    watched.end(3);
    bench.finish();
}

#[test]
fn a_port_that_somebody_has_is_said_before_anything_is_touched() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let said = run(&bench, &memory_limit(&target), &["--metrics-listen", &at]).end();
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("N002") && said.err.contains(&at), "{}", said.err);
    assert!(!bench.state().join("runs").exists(), "a run was begun");
    assert_eq!(target.look(), before);
    bench.finish();
}

/// More clients than there is room for, all of them slow: the fault comes off and the run ends as if they were not there.
#[test]
fn slow_clients_keep_no_fault_on() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let mut run = run(&bench, &memory_limit(&target), &FLAG);
    let at = address(&run);
    let (directory, _guardian) = run.begun();
    run.until(&directory, State::Applied);
    let slow: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(at).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").unwrap();
            stream
        })
        .collect();
    let began = Instant::now();
    signal(run.process(), INTERRUPT);
    let said = run.wait(LIMIT);
    // A connection may last five seconds.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(said.code, 3, "{said:?}");
    assert_eq!(target.look(), before);
    drop(slow);
    bench.finish();
}

/// The guardian holds no port: when its runner is killed, somebody else can listen there at once, before the cleanup is over.
#[test]
fn the_port_goes_with_the_runner() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let run = run(&bench, &memory_limit(&target), &FLAG);
    let at = address(&run);
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    assert!(scrape(at).is_some());
    // It cannot end before it was looked at.
    signal(&guardian, 19);
    Blow::Kill.strike(&run, &guardian, None);
    soon(LIMIT, "the port is free", || TcpListener::bind(at).ok());
    assert!(!guardian.has_ended().unwrap());
    signal(&guardian, 18);
    assert!(guardian.wait(LIMIT).unwrap());
    drop(run);
    bench.finish();
}
