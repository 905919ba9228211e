//! `fracas demo`: a first look without a container engine, Prometheus or root. Starts a small shop, breaks it by experiments that
//! anybody could write, through the same engine as `fracas run`, and tells in plain words what happens.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use fracas_core::event::{Event, Verdict, What};
use fracas_core::ids::InjectionId;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::State as InjectionState;
use fracas_engine::{Dry, Ended, Order, Settings};
use fracas_guardian::state::Keep;
use fracas_linux::signals::Stops;
use fracas_report::{Report, Verbosity, line};
use fracas_spec::Source;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::cli::Common;
use crate::demo::ask;
use crate::demo::load::{Fared, Load};
use crate::demo::stage::Stage;
use crate::output::{print, tell};
use crate::settings::{env, state_path};

/// How long the shop may take to open, at first and again.
const OPENS: Duration = Duration::from_secs(10);
/// One request of ours, beside the load.
const ONE: Duration = Duration::from_secs(2);

/// One experiment of the demo.
struct Act {
    file: &'static str,
    text: &'static str,
    /// What happens and what to expect, in plain words.
    story: &'static str,
    expected: Verdict,
    /// Whether the shop needs control groups for it.
    needs_groups: bool,
}

const ACTS: [Act; 3] = [
    Act {
        file: "examples/demo/lost-replica.yaml",
        text: include_str!("../../examples/demo/lost-replica.yaml"),
        story: "One of the two replicas is paused for 3 seconds while the front page may open few more files;\n   then a replica is killed, and the supervisor starts it again. The shop should survive.",
        expected: Verdict::Passed,
        needs_groups: false,
    },
    Act {
        file: "examples/demo/tight-limits.yaml",
        text: include_str!("../../examples/demo/tight-limits.yaml"),
        story: "The whole shop gets half a processor and 256 MiB for 3 seconds. It should survive.",
        expected: Verdict::Passed,
        needs_groups: true,
    },
    Act {
        file: "examples/demo/stopped-database.yaml",
        text: include_str!("../../examples/demo/stopped-database.yaml"),
        story: "The only database is paused for 3 seconds. Nothing can take over: the shop should not survive,\n   and Fracas should say so, and put the database back.",
        expected: Verdict::Failed,
        needs_groups: false,
    },
];

/// How the demo went.
enum Played {
    /// Every verdict was the expected one.
    AsExpected,
    /// One was not, and the worst of them is this one.
    Otherwise(Verdict),
    /// A person stopped it.
    Stopped(Verdict),
}

pub(crate) fn command(common: &Common) -> Result<ExitCode> {
    let state = state_path(common)?;
    let stage = Stage::start().map_err(|error| failed("cannot start the shop", &error))?;
    let played = super::runtime()?.block_on(play(common, &stage, &state));
    let ended = stage
        .end()
        .map_err(|error| failed("something of the shop may be left", &error));
    let played = played?;
    ended?;
    print("The shop is closed: its processes, namespaces and control groups are gone.\n")?;
    Ok(match played {
        Played::AsExpected => {
            print("Both kinds of verdict were as expected. Next: `fracas run FILE` on something of yours.\n")?;
            ExitCode::SUCCESS
        }
        Played::Stopped(verdict) => {
            tell("The demo was stopped before its end.");
            ExitCode::from(if verdict == Verdict::Residue {
                verdict.exit_code()
            } else {
                Verdict::Aborted.exit_code()
            })
        }
        Played::Otherwise(verdict) => {
            tell(
                "A verdict was not the expected one: this machine does something that the demo does not know; see the report.",
            );
            // Passed where failed was expected is no success either.
            ExitCode::from(verdict.exit_code().max(1))
        }
    })
}

fn failed(what: &str, error: &std::io::Error) -> Box<Problem> {
    Problem::new(&codes::SYSTEM, what).because(error)
}

async fn play(common: &Common, stage: &Stage, state: &Path) -> Result<Played> {
    let mut stops = Stops::listen().map_err(|error| failed("cannot listen for signals", &error))?;
    let port = stage.ready.port;
    tokio::select! {
        opened = opens(port) => opened.map(drop)?,
        _ = stops.next() => return Ok(Played::Stopped(Verdict::Aborted)),
    }
    let acts: Vec<&Act> = ACTS
        .iter()
        .filter(|act| !act.needs_groups || stage.ready.no_groups.is_none())
        .collect();
    print(&introduction(stage))?;
    let load = Load::begin(port);
    let mut worst = None;
    for (number, act) in acts.iter().enumerate() {
        print(&format!(
            "\n{} of {}  {}\n   {}\n",
            number + 1,
            acts.len(),
            act.story,
            act.file
        ))?;
        load.take();
        let ended = Box::pin(run(common, act, port, state)).await?;
        let fared = load.take();
        // The engine has heard the same signal and has rolled back.
        if timeout(Duration::ZERO, stops.next()).await.is_ok() {
            return Ok(Played::Stopped(ended.verdict));
        }
        let again = opens(port).await?;
        print(&epilogue(act, &ended, fared, again))?;
        if let Some(problem) = &ended.failure {
            tell(&problem.to_string());
        }
        for problem in &ended.problems {
            tell(&problem.to_string());
        }
        if ended.verdict != act.expected {
            // Verdicts are ordered worst first.
            worst = Some(worst.map_or(ended.verdict, |worst: Verdict| worst.min(ended.verdict)));
        }
    }
    Ok(worst.map_or(Played::AsExpected, Played::Otherwise))
}

fn introduction(stage: &Stage) -> String {
    let port = stage.ready.port;
    let mut text = format!(
        "A small shop is open on http://127.0.0.1:{port}/, twenty customers come in a second:\n   customers > front page > 2 replicas > 1 database, each a process, with a supervisor.\n"
    );
    // Writing into a String cannot fail.
    let _ = match &stage.no_namespaces {
        None => writeln!(
            text,
            "They live in a network and a pid namespace of their own. Nothing else here is touched."
        ),
        Some(why) => writeln!(
            text,
            "They live without namespaces of their own ({why}); only these processes are touched."
        ),
    };
    if let Some(why) = &stage.ready.no_groups {
        let _ = writeln!(text, "Limits of processor and memory are left out: {why}.");
    }
    text
}

/// Waits until a customer gets the page. Returns how long that took.
async fn opens(port: u16) -> Result<Duration> {
    let begun = Instant::now();
    let mut last = String::new();
    while begun.elapsed() < OPENS {
        match ask(port, ONE).await {
            Ok(200) => return Ok(begun.elapsed()),
            Ok(status) => last = format!("its front page answers {status}"),
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(Problem::new(
        &codes::SYSTEM,
        format!("the shop of the demo does not open within {} s", OPENS.as_secs()),
    )
    .since(last))
}

/// As `fracas run --yes` with the variable set.
async fn run(common: &Common, act: &Act, port: u16, state: &Path) -> Result<Ended> {
    let source = Source {
        name: act.file.to_owned(),
        text: act.text.to_owned(),
    };
    let variables = |name: &str| match name {
        "DEMO_SHOP" => Some(port.to_string()),
        _ => None,
    };
    let loaded = fracas_spec::load(&source, &[], &variables).map_err(|problems| {
        problems
            .into_iter()
            .next()
            .unwrap_or_else(|| Problem::new(&codes::INSIDE, "the document was refused without a reason"))
    })?;
    let settings = Settings {
        state: state.to_owned(),
        out: None,
        strict_certificate: false,
        reports: PathBuf::from("reports"),
        keep_last: 50,
        keep: Keep::default(),
        prometheus_url: None,
        scrape_interval: fracas_spec::SCRAPE_INTERVAL,
        docker_host: env("DOCKER_HOST"),
        sidecar: fracas_engine::Sidecar::Never,
        sidecar_socket: None,
        stop_file: PathBuf::from("/tmp/chaos-stop"),
        // A demo is nobody's alarm.
        outlets: fracas_telemetry::Outlets::default(),
    };
    let (listener, events) = mpsc::unbounded_channel();
    let order = Order {
        notes: Vec::new(),
        experiment: loaded.experiment,
        settings,
        dry: Dry::No,
        confirm: None,
        listener,
    };
    let verbosity = match (common.quiet, common.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, 0) => Verbosity::Normal,
        (_, _) => Verbosity::Verbose,
    };
    let teller = tokio::spawn(follow(events, verbosity));
    let ended = Box::pin(fracas_engine::run(order)).await;
    // All events were sent; the last lines are still to be told.
    let _ = teller.await;
    ended
}

async fn follow(mut events: mpsc::UnboundedReceiver<Event>, verbosity: Verbosity) {
    let mut teller = Teller::default();
    while let Some(event) = events.recv().await {
        let line = match verbosity {
            Verbosity::Normal => teller.line(&event),
            other => line(&event, other),
        };
        if let Some(line) = line {
            // One stream for the whole story, in its order. A reader that went away misses only that.
            let _ = print(&format!("{line}\n"));
        }
    }
}

/// Tells what a newcomer wants to know of a run, in few lines.
#[derive(Default)]
struct Teller {
    /// The name of each injection, and its change.
    planned: BTreeMap<InjectionId, (String, String)>,
    /// The probes that fail.
    failing: BTreeSet<String>,
}

impl Teller {
    fn line(&mut self, event: &Event) -> Option<String> {
        let at = format!("   {:>4.1} s ", event.elapsed_ms as f64 / 1000.0);
        match &event.what {
            What::Planned {
                injection,
                fault,
                change,
                ..
            } => {
                self.planned.insert(*injection, (fault.clone(), change.clone()));
                None
            }
            What::Injection {
                injection, state, how, ..
            } => {
                let (fault, change) = self.planned.get(injection)?;
                match state {
                    InjectionState::Planned => None,
                    InjectionState::Applied => Some(format!("{at} {fault} is on: {change}")),
                    InjectionState::Clean => Some(format!("{at} {fault} is over: {how}")),
                    InjectionState::Foreign | InjectionState::Residue => Some(format!("{at} {fault}: {state}: {how}")),
                }
            }
            // Only where it changes: a reading comes four times in a second.
            What::ProbeRead { probe, violation, .. } => match violation {
                Some(why) => self
                    .failing
                    .insert(probe.clone())
                    .then(|| format!("{at} {probe} fails: {why}")),
                None => self
                    .failing
                    .remove(probe)
                    .then(|| format!("{at} {probe} is well again")),
            },
            What::StopAsked { .. } | What::InjectionFailed { .. } => line(event, Verbosity::Normal),
            _ => None,
        }
    }
}

/// What the certificate says.
fn left(report: &Report) -> String {
    match &report.certificate {
        Some(certificate) if certificate.is_clean() => "nothing of the faults is left".to_owned(),
        Some(certificate) => {
            let left = certificate.lines.iter().filter(|line| !line.state.is_over()).count();
            format!("{left} faults LEFT SOMETHING, see the report")
        }
        None => "no fault was put on".to_owned(),
    }
}

fn epilogue(act: &Act, ended: &Ended, fared: Fared, again: Duration) -> String {
    let as_expected = if ended.verdict == act.expected {
        "as expected"
    } else {
        "NOT as expected"
    };
    let report = ended
        .files
        .iter()
        .find(|file| file.extension().is_some_and(|end| end == "md"))
        .or(ended.files.first());
    let mut text = format!(
        "   {}, {as_expected}: {}\n   customers: {} served, {} turned away; the slowest waited {} ms\n   afterwards: {}, the shop answers ({} ms)\n",
        ended.report.word(),
        ended.report.why,
        fared.served,
        fared.failed,
        fared.slowest.as_millis(),
        left(&ended.report),
        again.as_millis(),
    );
    if let Some(report) = report {
        let _ = writeln!(text, "   report: {}", report.display());
    }
    text
}
