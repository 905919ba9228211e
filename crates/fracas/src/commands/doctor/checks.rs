//! What is looked at, one thing after the other. Nothing is guessed from a version: it is tried.

use fracas_core::probe::{Prometheus, Source};
use fracas_core::problem::Problem;
use fracas_core::units::Span;
use fracas_docker::Engine;
use fracas_engine::Sidecar;
use fracas_faults::impairment;
use fracas_guardian::sidecar::Found;
use fracas_guardian::state::State;
use fracas_linux::cgroup::{Controller, Version};
use fracas_linux::privileges::Capability;
use fracas_linux::{cgroup, guard, kernel, privileges};
use fracas_probe::Prober;

use super::{Check, Status};
use crate::settings::Settings;

/// What the faults depend on.
#[derive(Debug, Default)]
pub(super) struct Machine {
    /// Effective uid 0.
    pub(super) root: bool,
    /// The effective uid.
    pub(super) uid: u32,
    /// The capabilities that this process lacks.
    pub(super) lacking: Vec<Capability>,
    /// The controllers that are there.
    pub(super) controllers: Vec<Controller>,
    /// Why no container can be a target.
    pub(super) no_engine: Option<String>,
    /// Why packets cannot be queued.
    pub(super) no_queue: Option<String>,
    /// Why the kernel has no queue of its own for them.
    pub(super) no_kernel_queue: Option<String>,
    /// Why packets cannot be stopped by rules.
    pub(super) no_rules: Option<String>,
    /// Why connections cannot be ended.
    pub(super) no_resets: Option<String>,
    /// Why connections cannot be taken before the program that listens to their port.
    pub(super) no_diversion: Option<String>,
}

/// What this kernel can do with packets and connections, which only who has the privileges can try.
fn packets(checks: &mut Vec<Check>, machine: &mut Machine) {
    machine.no_queue = tried(
        checks,
        machine,
        "packet queue",
        impairment::obstacle,
        (
            "delay, loss and their like, dns",
            "use a kernel from 5.12 on with nf_tables and NFQUEUE",
        ),
    );
    machine.no_kernel_queue = tried(
        checks,
        machine,
        "kernel queue",
        impairment::no_kernel_queue,
        (
            "delay, loss and their like, where the packet queue is refused or `mechanism: kernel_queue` is asked for",
            "nothing is needed as long as there is the packet queue; else a kernel with netem, clsact, cls_bpf, mirred and ifb",
        ),
    );
    machine.no_rules = tried(
        checks,
        machine,
        "packet rules",
        impairment::no_rules,
        (
            "connection_drop and partition",
            "use a kernel from 5.12 on with nf_tables, its numgen and its reject",
        ),
    );
    machine.no_resets = tried(
        checks,
        machine,
        "connection resets",
        impairment::no_resets,
        ("connection_reset", "use a kernel with CONFIG_INET_DIAG_DESTROY"),
    );
    machine.no_diversion = tried(
        checks,
        machine,
        "diversion",
        impairment::no_diversion,
        (
            "http",
            "use a kernel from 5.12 on with nf_tables, its tproxy and its fib",
        ),
    );
}

/// Tries one thing; why it cannot be done. What it is for, and what else would help.
fn tried(
    checks: &mut Vec<Check>,
    machine: &Machine,
    name: &'static str,
    obstacle: fn() -> std::io::Result<Option<String>>,
    (purpose, next): (&str, &'static str),
) -> Option<String> {
    if let Some(lacking) = impairment::CAPABILITIES
        .iter()
        .find(|one| machine.lacking.contains(one))
    {
        let why = format!("cannot be tried without {lacking}");
        checks.push(Check::not(Status::Limited, name, why, "run as root, or grant it"));
        return None;
    }
    let why = obstacle().unwrap_or_else(|error| Some(error.to_string()));
    match &why {
        None => checks.push(Check::ok(name, purpose.to_owned())),
        Some(why) => checks.push(Check::not(Status::Limited, name, why.clone(), next)),
    }
    why
}

/// Every check, and what the faults depend on.
pub(super) async fn all(settings: &Settings) -> (Vec<Check>, Machine) {
    let mut checks = Vec::new();
    let mut machine = Machine {
        root: privileges::is_root(),
        uid: privileges::effective_uid(),
        ..Machine::default()
    };
    checks.push(kernel_release());
    user(&mut checks, &mut machine);
    packets(&mut checks, &mut machine);
    for feature in kernel::features() {
        // Control groups have lines of their own.
        if feature.name == "control groups" {
            continue;
        }
        checks.push(match feature.found {
            Ok(found) => Check::ok(feature.name, found),
            Err(why) => {
                let status = if feature.name == "pidfd" {
                    Status::Missing
                } else {
                    Status::Limited
                };
                Check::not(
                    status,
                    feature.name,
                    why,
                    "use a newer kernel (5.3 or later), or see how this machine is confined",
                )
            }
        });
    }
    groups(&mut checks, &mut machine);
    state(&mut checks, settings);
    stop_file(&mut checks, settings);
    guardian(&mut checks);
    let found = engine(settings, &mut machine, &mut checks).await;
    checks.push(found);
    checks.push(prometheus(settings).await);
    (checks, machine)
}

fn kernel_release() -> Check {
    match kernel::release() {
        Ok(release) => Check::ok("kernel", release),
        Err(error) => Check::not(
            Status::Limited,
            "kernel",
            error.to_string(),
            "see whether /proc is mounted",
        ),
    }
}

fn user(checks: &mut Vec<Check>, machine: &mut Machine) {
    checks.push(if machine.root {
        Check::ok("user", "root")
    } else if machine.uid == 0 {
        Check::not(
            Status::Limited,
            "user",
            "root of a user namespace: its privileges end there, and only its own processes can be targets",
            "run as root outside of it for containers, control groups and other users' processes",
        )
    } else {
        Check::not(
            Status::Limited,
            "user",
            format!(
                "uid {}: only this user's own processes can be targets",
                privileges::effective_uid()
            ),
            "run as root for containers, control groups and other users' processes",
        )
    });
    match privileges::missing(Capability::ALL) {
        Ok(lacking) => machine.lacking = lacking,
        Err(error) => checks.push(Check::not(
            Status::Limited,
            "capabilities",
            error.to_string(),
            "see whether /proc is mounted",
        )),
    }
    for one in Capability::ALL {
        checks.push(if machine.lacking.contains(one) {
            Check::not(
                Status::Limited,
                one.name(),
                format!("missing: cannot {}", one.purpose()),
                format!("run as root with {one}, or leave out what needs it"),
            )
        } else {
            Check::ok(one.name(), one.purpose())
        });
    }
}

fn groups(checks: &mut Vec<Check>, machine: &mut Machine) {
    let layout = match cgroup::layout() {
        Ok(layout) => layout,
        Err(error) => {
            checks.push(Check::not(
                Status::Limited,
                "control groups",
                error.to_string(),
                "mount the control groups under /sys/fs/cgroup",
            ));
            return;
        }
    };
    for hierarchy in &layout.controllers {
        let version = match hierarchy.version {
            Version::V1 => "v1",
            Version::V2 => "v2",
        };
        machine.controllers.push(hierarchy.controller);
        checks.push(Check::ok(
            format!("cgroup {}", hierarchy.controller.name()),
            format!("{version}, {}", hierarchy.mount.display()),
        ));
    }
    for missing in &layout.missing {
        checks.push(Check::not(
            Status::Limited,
            format!("cgroup {}", missing.name()),
            "this controller is not mounted",
            "mount it, or enable it in the kernel's command line",
        ));
    }
}

/// The file with which it is tried whether the state directory can be written.
const TRIED: &str = "doctor";

fn state(checks: &mut Vec<Check>, settings: &Settings) {
    let opened = settings.state().and_then(|path| State::open(&path));
    let refused = |problem: &Problem| {
        let next = problem.next.as_deref().unwrap_or(problem.code.next).to_owned();
        Check::not(Status::Missing, "state directory", problem.line(), next)
    };
    let state = match opened {
        Ok(state) => state,
        Err(problem) => return checks.push(refused(&problem)),
    };
    // Trusted is not yet writable: a full or read-only file system is found by writing.
    let written = state
        .root()
        .write_atomic(TRIED, &[0; 4096])
        .and_then(|()| state.root().remove(TRIED));
    checks.push(match written {
        Ok(_) => Check::ok("state directory", state.path().display().to_string()),
        Err(error) => Check::not(
            Status::Missing,
            "state directory",
            error.to_string(),
            "make room, or name another directory with FRACAS_STATE",
        ),
    });
    match state.frozen() {
        Ok(Some(why)) => checks.push(Check::not(
            Status::Missing,
            "freeze",
            format!("the machine is frozen: {}", why.trim()),
            "`fracas thaw` when it is safe again",
        )),
        Ok(None) => checks.push(Check::ok("freeze", "runs are allowed")),
        Err(problem) => checks.push(refused(&problem)),
    }
    match state.runs() {
        Ok(runs) => {
            let left = runs.iter().filter(|kept| kept.is_abandoned()).count();
            checks.push(if left == 0 {
                Check::ok("earlier runs", "nothing was left")
            } else {
                Check::not(
                    Status::Missing,
                    "earlier runs",
                    format!("{left} were not cleaned up"),
                    "run `fracas recover`",
                )
            });
        }
        Err(problem) => checks.push(refused(&problem)),
    }
}

fn stop_file(checks: &mut Vec<Check>, settings: &Settings) {
    let path = settings.stop_file();
    checks.push(match std::fs::symlink_metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Check::ok("stop file", format!("{} is not there", path.display()))
        }
        Ok(_) => Check::not(
            Status::Missing,
            "stop file",
            format!("{} exists: it would stop every run at once", path.display()),
            "remove it when it is safe",
        ),
        Err(error) => Check::not(
            Status::Limited,
            "stop file",
            format!("{} cannot be looked for: {error}", path.display()),
            "name another with the setting `emergency.stop_file`",
        ),
    });
}

/// What the guardian would protect itself with, tried on this process, which ends soon.
fn guardian(checks: &mut Vec<Check>) {
    let entrenched = guard::entrench();
    let mut check = |name: &str, found: Result<String, String>, next: &str| {
        checks.push(match found {
            Ok(found) => Check::ok(name, found),
            Err(why) => Check::not(Status::Limited, name, why, next),
        });
    };
    check(
        "guardian's memory",
        entrenched.mlocked.clone().map(|()| "can be locked".to_owned()),
        "run as root, or raise the limit of locked memory (`ulimit -l`)",
    );
    check(
        "guardian's oom score",
        entrenched.oom_score_adj.clone().map(|score| format!("can be {score}")),
        "grant CAP_SYS_RESOURCE; without it the kernel's memory killer may take the guardian, and `fracas recover` cleans",
    );
    check(
        "guardian's groups",
        entrenched
            .own_cgroup
            .as_ref()
            .map(|groups| format!("{} of its own", groups.len()))
            .map_err(Clone::clone),
        "run as root with the control groups writable",
    );
    if let Err(why) = guard::leave(entrenched) {
        checks.push(Check::not(
            Status::Limited,
            "own groups",
            why,
            "`fracas recover` removes them",
        ));
    }
}

async fn engine(settings: &Settings, machine: &mut Machine, checks: &mut Vec<Check>) -> Check {
    let name = "container engine";
    let host = settings.docker_host();
    let found = async {
        let engine = Engine::connect(host.as_deref()).await?;
        let version = engine.version().await?;
        Ok::<_, Box<Problem>>((engine, version))
    };
    match found.await {
        Ok((engine, version)) => {
            let text = format!(
                "{} {} at {}, API {}, cgroup v{} by {}",
                version.name,
                version.server,
                engine.address(),
                version.api,
                version.cgroup_version,
                version.cgroup_driver
            );
            checks.extend(sidecar(settings, &engine).await);
            let far = fracas_targets::check_local(&engine);
            if far.is_err() && settings.sidecar() != Sidecar::Never {
                return Check::ok(
                    name,
                    format!("{text}; on another machine: the guardian will be in a sidecar there"),
                );
            }
            if let Err(problem) = far {
                machine.no_engine = Some(problem.what.clone());
                return Check::not(
                    Status::Limited,
                    name,
                    format!("{text}; {}", problem.what),
                    problem.code.next,
                );
            }
            Check::ok(name, text)
        }
        Err(problem) => {
            machine.no_engine = Some(problem.what.clone());
            let next = match podman() {
                Some(socket) if host.is_none() => {
                    format!("Podman listens at {socket}: set DOCKER_HOST=unix://{socket}")
                }
                _ => problem.next.as_deref().unwrap_or(problem.code.next).to_owned(),
            };
            Check::not(Status::Limited, name, problem.line(), next)
        }
    }
}

/// What of a sidecar is beside this engine, if anything is.
async fn sidecar(settings: &Settings, engine: &Engine) -> Option<Check> {
    let name = "sidecar";
    let site = fracas_engine::site(engine, settings.sidecar_socket().as_deref());
    let next = "`fracas recover` with the same engine";
    Some(match site.look().await {
        Ok(Found::Nothing) => return None,
        Ok(Found::AtWork(run)) => Check::ok(name, format!("of run {run}, at work")),
        Ok(Found::Left(run)) => Check::not(Status::Limited, name, site.unfinished(&run).what, next),
        Ok(Found::Rest(run)) => {
            let what = format!("a container or an image of run {run} is left");
            Check::not(Status::Limited, name, what, next)
        }
        Ok(Found::Stranger) => Check::not(
            Status::Limited,
            name,
            "a container that is not of Fracas has the name of a sidecar",
            "rename it",
        ),
        Err(problem) => Check::not(Status::Limited, name, problem.line(), problem.code.next),
    })
}

/// The socket of a Podman service, where one is: that of this user first (podman-system-service(1)).
fn podman() -> Option<String> {
    let own = std::env::var("XDG_RUNTIME_DIR").map(|place| format!("{place}/podman/podman.sock"));
    let all = "/run/podman/podman.sock".to_owned();
    own.into_iter()
        .chain([all])
        .find(|socket| std::path::Path::new(socket).exists())
}

async fn prometheus(settings: &Settings) -> Check {
    let name = "Prometheus";
    let Some(url) = settings.prometheus_url() else {
        return Check::not(
            Status::Limited,
            name,
            "nobody says where it is: only probes that name a `url` can ask it",
            "set PROMETHEUS_URL or the setting `prometheus.url`",
        );
    };
    let source = Source::Prometheus(Prometheus {
        query: "vector(1)".to_owned(),
        url: Some(url.clone()),
        scrape_interval: Span::secs(15),
        timeout: Span::secs(5),
    });
    let prober = Prober::new(fracas_probe::Settings::default());
    let asked = match prober {
        Ok(prober) => prober.check(&source).await,
        Err(problem) => Err(problem),
    };
    match asked {
        Ok(()) => Check::ok(name, url),
        Err(problem) => Check::not(Status::Limited, name, problem.line(), problem.code.next),
    }
}
