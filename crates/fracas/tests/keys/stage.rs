//! What the two runs of a test are put on: real processes, control groups and containers, under words that documents can name.

use std::any::Any;
use std::io::Write as _;

use fracas_lab::{TestBridge, TestContainer, TestDocker, TestProcess};

use crate::cli::Cli;
use crate::parts::{Mute, Prometheus};
use crate::support::{LIMIT, Target};

/// A place for runs, and the words that documents say for what is in it: `@PID` is a file with a pid.
pub(crate) struct Stage {
    pub(crate) cli: Cli,
    words: Vec<(String, String)>,
    /// What goes when the stage does, in this order.
    kept: Vec<Box<dyn Any>>,
}

/// Containers with the runtime that their engine's connections live in.
struct Containers {
    // Dropped in this order.
    list: Vec<TestContainer>,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    /// With nothing on it.
    pub(crate) fn empty() -> Self {
        Self {
            cli: Cli::new(),
            words: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// `@PID`: the pid file of a process that sleeps.
    pub(crate) fn sleeper() -> Self {
        let mut stage = Self::empty();
        stage.process("PID", &["sleep"]);
        stage
    }

    /// `@A`, `@B`: the pid files of two processes, and `@NAME` in their command lines, followed by `-a` and `-b`.
    pub(crate) fn pair() -> Self {
        let mut stage = Self::empty();
        let name = stage.name();
        stage.process("A", &["log", &format!("{name}-a"), "60000"]);
        stage.process("B", &["log", &format!("{name}-b"), "60000"]);
        stage
    }

    /// `@NAME`: what only the command lines of four processes hold.
    pub(crate) fn four() -> Self {
        let mut stage = Self::empty();
        let name = stage.name();
        for end in ["a", "b", "c", "d"] {
            stage.process(end, &["log", &format!("{name}-{end}"), "60000"]);
        }
        stage
    }

    /// `@TARGET`: the selector of a process in control groups of its own.
    pub(crate) fn grouped() -> Option<Self> {
        let mut stage = Self::empty();
        let target = Target::process()?;
        stage.say("TARGET", &target.selector);
        stage.keep(target);
        Some(stage)
    }

    /// `@PID`: the pid file of a process with two children.
    pub(crate) fn family() -> Self {
        let mut stage = Self::empty();
        let pid = stage.process("PID", &["fork", "2"]);
        let born = || fracas_linux::process::descendants(pid).unwrap().len() == 2;
        fracas_lab::eventually(LIMIT, "the children are there", born);
        stage
    }

    /// `@C`: the name of two containers, followed by `-1` and `-2`. Each has its number as the label `number`, as the compose
    /// service, the Kurtosis service and the enclave; `@ID1` and `@ID2` are their ids.
    pub(crate) fn containers() -> Option<Self> {
        Self::some_containers(2, &["sleep"])
    }

    /// The first of [`Stage::containers`] alone.
    pub(crate) fn container() -> Option<Self> {
        Self::some_containers(1, &["sleep"])
    }

    /// The first of [`Stage::containers`] alone, its program in this mode.
    pub(crate) fn container_that(mode: &[&str]) -> Option<Self> {
        Self::some_containers(1, mode)
    }

    fn some_containers(count: usize, mode: &[&str]) -> Option<Self> {
        let mut stage = Self::empty();
        let runtime = runtime();
        let name = stage.name();
        stage.say("C", &name);
        let engine = runtime.block_on(TestDocker::get())?;
        stage.cli.set("DOCKER_HOST", &engine.address());
        let mut list = Vec::new();
        for number in (1..=count).map(|number| number.to_string()) {
            let builder = TestContainer::build(&engine)
                .name(&format!("{name}-{number}"))
                .label("number", &number)
                .label("com.docker.compose.service", &format!("{name}-{number}"))
                .label("com.kurtosistech.id", &format!("{name}-{number}"))
                .label("com.kurtosistech.enclave-name", &format!("{name}-{number}"))
                .mode(mode.iter().copied());
            let container = runtime.block_on(builder.start()).unwrap();
            stage.say(&format!("ID{number}"), container.id());
            list.push(container);
        }
        stage.keep(Containers { list, runtime });
        Some(stage)
    }

    /// The first process of the last container that was put on the stage.
    pub(crate) fn pid_of_container(&self) -> u32 {
        let mut kept = self.kept.iter().rev();
        let containers: &Containers = kept.find_map(|thing| thing.downcast_ref()).unwrap();
        containers.runtime.block_on(containers.list[0].pid()).unwrap()
    }

    /// `@OTHER`: the name of one more container, which sleeps and has no label.
    pub(crate) fn with_another(mut self) -> Self {
        let runtime = runtime();
        let engine = runtime.block_on(TestDocker::get()).expect("there was an engine before");
        let name = format!("{}-other", self.text("@C"));
        let container = TestContainer::build(&engine).name(&name);
        let container = runtime.block_on(container.start()).unwrap();
        self.say("OTHER", &name);
        self.keep(Containers {
            list: vec![container],
            runtime,
        });
        self
    }

    /// Adds `@PORT`: a service that answers on `/healthz`.
    pub(crate) fn with_service(mut self) -> Self {
        let (service, port) = TestProcess::serve().unwrap();
        self.say("PORT", port);
        self.keep(service);
        self
    }

    /// Adds `@PROMETHEUS`: the address of one that scrapes the service, which is there too. The setting names no other.
    pub(crate) fn with_prometheus(self) -> Option<Self> {
        let mut stage = self.with_service();
        let port = stage.text("@PORT").parse().unwrap();
        let prometheus = Prometheus::start(&[("service", &[port])])?;
        stage.say("PROMETHEUS", prometheus.url());
        stage.cli.set("PROMETHEUS_URL", &prometheus.url());
        stage.keep(prometheus);
        Some(stage)
    }

    /// Adds `@MUTE` and `@DEAF`: ports on which nothing is answered, and nothing even accepted.
    pub(crate) fn with_silence(mut self) -> Self {
        let (mute, deaf) = (Mute::new(), Mute::deaf());
        self.say("MUTE", mute.port());
        self.say("DEAF", deaf.port());
        self.keep((mute, deaf));
        self
    }

    /// A name that nothing else on this machine has, also as `@NAME`.
    fn name(&mut self) -> String {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("fracas-key-{}-{count}", std::process::id());
        self.say("NAME", &name);
        name
    }

    /// Starts a process of the lab; the word is its pid file.
    pub(crate) fn process(&mut self, word: &str, mode: &[&str]) -> u32 {
        let process = TestProcess::run(mode.iter().copied()).unwrap();
        let pid = process.pid();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "{pid}").unwrap();
        self.say(word, file.path().display());
        self.keep((process, file));
        pid
    }

    /// A process on these bridges; `@WORD` is its pid file. Its address on the first.
    pub(crate) fn node(&mut self, word: &str, bridges: &[&TestBridge]) -> std::net::Ipv4Addr {
        let node = TestBridge::node(bridges, ["sleep"]).unwrap();
        let address = node.ports()[0].address;
        let process = node.into_process();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "{}", process.pid()).unwrap();
        self.say(word, file.path().display());
        self.keep((process, file));
        address
    }

    /// From now on `@WORD` is this.
    pub(crate) fn say(&mut self, word: &str, value: impl std::fmt::Display) {
        self.words.push((format!("@{word}"), value.to_string()));
        // The longer first: one may begin like another.
        self.words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
    }

    /// Keeps a thing for as long as the stage stands.
    pub(crate) fn keep(&mut self, thing: impl Any) {
        self.kept.push(Box::new(thing));
    }

    /// A document with everything in place of the words for it.
    pub(crate) fn text(&self, document: &str) -> String {
        let text = self
            .words
            .iter()
            .fold(document.to_owned(), |text, (word, value)| text.replace(word, value));
        assert!(!text.contains('@'), "a word is not known: {text}");
        text
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}
