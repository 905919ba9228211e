//! Where faults on networks are put: processes in namespaces of their own, or containers, and somebody whom they can reach.

use std::any::Any;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fracas_core::event::{Event, What};
use fracas_core::ids::InjectionId;
use fracas_core::record::{Dose, Landed, State};
use fracas_lab::{TestBridge, TestContainer, TestDocker, TestNetwork, TestNode, skip};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use fracas_linux::process::{self, Process};

use crate::support::{Bench, LIMIT, Run, Said, certificate, signal, soon};

const SIGINT: i32 = 2;

/// Targets that can all reach the same peer.
pub(crate) struct Place {
    pub(crate) targets: Vec<Target>,
    /// The targets, before what they are joined to.
    _kept: Vec<Box<dyn Any>>,
}

/// What a fault is put on.
#[derive(Clone)]
pub(crate) struct Target {
    /// Its network.
    pub(crate) there: Arc<NetNamespace>,
    /// The line of a document that selects it.
    pub(crate) selector: String,
    /// Its addresses: of IPv4 and, in a namespace of our own, of IPv6.
    pub(crate) near: Vec<IpAddr>,
    /// Whom it reaches, by the same versions.
    pub(crate) far: Vec<IpAddr>,
    /// And their network; `None`: that of this process.
    pub(crate) from: Option<Arc<NetNamespace>>,
}

impl Place {
    /// Processes on a bridge. `None`, which was said: there can be none.
    pub(crate) fn in_namespaces(count: usize, mode: &[&str]) -> Option<Self> {
        let Some(bridge) = TestBridge::new().unwrap() else {
            skip("no privileges for links");
            return None;
        };
        let nodes: Vec<_> = (0..count)
            .map(|_| TestBridge::node(&[&bridge], mode).unwrap())
            .collect();
        let v6 = bridge.join_v6(&nodes.iter().collect::<Vec<_>>()).unwrap();
        let (mut targets, mut kept) = (Vec::new(), Vec::<Box<dyn Any>>::new());
        for (node, v6) in nodes.into_iter().zip(v6) {
            let mut target = Target::of(&node, &mut kept);
            target.near = vec![node.ports()[0].address.into(), v6.into()];
            target.far = vec![bridge.address(1).into(), bridge.address_v6(1).into()];
            targets.push(target);
            kept.push(Box::new(node.into_process()));
        }
        kept.push(Box::new(bridge));
        Some(Self { targets, _kept: kept })
    }

    /// Containers beside another in a network of the engine's. `None`, which was said: there is no engine.
    pub(crate) fn in_containers(count: usize) -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (mut containers, network) = runtime.block_on(async {
            let engine = TestDocker::get().await?;
            let network = TestNetwork::make(&engine).await.unwrap();
            let mut containers = Vec::new();
            for _ in 0..=count {
                let new = TestContainer::build(&engine).network(network.name());
                containers.push(new.start().await.unwrap());
            }
            Some((containers, network))
        })?;
        let there = |container: &TestContainer| Arc::new(namespace(runtime.block_on(container.pid()).unwrap()));
        let peer = containers.pop().unwrap();
        let from = there(&peer);
        let target = |container| {
            let there = there(container);
            Target {
                selector: format!("container: {{ id: \"{}\" }}", container.id()),
                near: vec![address(&there)],
                far: vec![address(&from)],
                there,
                from: Some(Arc::clone(&from)),
            }
        };
        let targets = containers.iter().map(target).collect();
        Some(Self {
            targets,
            _kept: vec![
                Box::new(containers),
                Box::new(peer),
                Box::new(network),
                Box::new(runtime),
            ],
        })
    }
}

impl Target {
    /// The process of a node; the file that a run finds it by is kept.
    pub(crate) fn of(node: &TestNode, kept: &mut Vec<Box<dyn Any>>) -> Self {
        let pid = node.process().pid();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "{pid}").unwrap();
        let selector = format!("process: {{ pid_file: \"{}\" }}", file.path().display());
        kept.push(Box::new(file));
        Self {
            there: Arc::new(namespace(pid)),
            selector,
            near: Vec::new(),
            far: Vec::new(),
            from: None,
        }
    }
}

fn namespace(pid: u32) -> NetNamespace {
    let identity = process::identity(pid).unwrap().unwrap();
    NetNamespace::of(&identity).unwrap().unwrap()
}

/// The first address of its `eth0`.
fn address(there: &NetNamespace) -> IpAddr {
    let mut netlink = there.within(Netlink::route).unwrap();
    let link = netlink.link_by_name("eth0").unwrap().unwrap().index;
    let all = netlink.addresses().unwrap();
    let own = all.iter().find(|own| own.link == link && own.address.is_ipv4());
    own.unwrap().address
}

/// An experiment with one fault on each of these, and nothing that is measured.
pub(crate) fn document(faults: &[(&Target, String)], duration: &str) -> String {
    let (mut targets, mut injects) = (String::new(), String::new());
    for (number, (target, inject)) in faults.iter().enumerate() {
        let _ = writeln!(targets, "  - {{ alias: t{number}, {} }}", target.selector);
        let _ = writeln!(
            injects,
            "  - {{ name: f{number}, target: t{number}, inject: {{ {inject} }} }}"
        );
    }
    format!(
        "apiVersion: fracas.dev/v1\nkind: Experiment\nmetadata: {{ name: seen }}\n\
         hypothesis: {{ interval: 2s, warmup: 0s, recovery: {{ within: 1s, stable_for: 0s }} }}\n\
         targets:\n{targets}faults:\n{injects}duration: {duration}\n"
    )
}

/// Faults that are on, with their run.
pub(crate) struct On {
    bench: Bench,
    run: Run,
    directory: PathBuf,
    guardian: Process,
    count: usize,
}

impl On {
    /// Starts a run, until all of its faults are on.
    pub(crate) fn put(faults: &[(&Target, String)], duration: &str) -> Self {
        let bench = Bench::new();
        let run = bench.run(&document(faults, duration));
        let (directory, guardian) = run.begun();
        let on = Self {
            bench,
            run,
            directory,
            guardian,
            count: faults.len(),
        };
        on.until("all faults are on", |all| {
            let is_on = |what: &&What| {
                matches!(
                    what,
                    What::Injection {
                        state: State::Applied,
                        ..
                    }
                )
            };
            all.iter().filter(is_on).count() == on.count
        });
        on
    }

    /// Waits until what has happened is so.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is: impl Fn(&[What]) -> bool) {
        soon(LIMIT, what, || {
            let done = is(&events(&self.directory));
            let ended = self.run.process().has_ended().unwrap();
            assert!(done || !ended, "the run ended before {what}: {}", self.run.err());
            done.then_some(())
        });
    }

    /// The workers of its guardian.
    pub(crate) fn workers(&self) -> Vec<Process> {
        let guardian = self.guardian.identity().pid;
        let below = process::descendants(guardian).unwrap();
        let workers = below.iter().filter(|status| status.command.contains("worker"));
        workers
            .filter_map(|status| Process::open(&status.identity).unwrap())
            .collect()
    }

    /// Waits until the run ends by itself.
    #[track_caller]
    pub(crate) fn end(mut self) -> Said {
        let said = self.run.wait(LIMIT);
        self.bench.finish();
        said
    }

    /// Waits until the meter of each of these has seen it land, stops the run, and looks at the certificate.
    #[track_caller]
    pub(crate) fn take_off(mut self, measured: &[usize]) {
        let all = || -> Vec<_> {
            let all = events(&self.directory);
            measured.iter().map(|number| doses(&all, *number)).collect()
        };
        let landed = |doses: &Vec<Dose>| doses.iter().any(|dose| dose.landed == Landed::Yes);
        let began = Instant::now();
        while !all().iter().all(landed) {
            assert!(began.elapsed() < LIMIT, "not all have landed: {:#?}", all());
            std::thread::park_timeout(Duration::from_millis(20));
        }
        signal(self.run.process(), SIGINT);
        let said = self.run.wait(LIMIT);
        assert_eq!(said.code, 3, "a run that is stopped is aborted: {said:?}");
        let certificate = certificate(&self.directory).expect("there is a certificate");
        assert!(
            certificate.is_clean() && certificate.lines.len() == self.count,
            "{certificate:?}"
        );
        self.bench.finish();
    }
}

/// What has happened in a run so far.
pub(crate) fn events(directory: &Path) -> Vec<What> {
    let text = std::fs::read_to_string(directory.join("events.ndjson")).unwrap_or_default();
    // The last line may not be whole.
    let all = text.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok());
    all.map(|event| event.what).collect()
}

/// Every dose of an injection that was measured.
pub(crate) fn doses(events: &[What], number: usize) -> Vec<Dose> {
    let of_it = |what: &What| match what {
        What::DoseMeasured { injection, dose } if *injection == InjectionId(number as u32) => Some(dose.clone()),
        _ => None,
    };
    events.iter().filter_map(of_it).collect()
}
