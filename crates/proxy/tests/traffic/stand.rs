//! A proxy for one test.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fracas_core::chaos::{ChaosConfig, Predefined};
use fracas_core::seed::Seed;
use fracas_core::traffic::Network;
use fracas_proxy::{
    Certificate, Drained, Egress, Identity, Limits, Listener, Orchestrations, Order, Passthrough, Place, Proxy, Tls,
    Trust,
};
use fracas_spec::{Source, chaos};
use fracas_telemetry::metrics::{Form, Page};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The longest that a test waits for something that is not itself what it measures.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A proxy that serves until it is stopped or dropped.
pub(crate) struct Stand {
    pub(crate) address: SocketAddr,
    pub(crate) api: SocketAddr,
    /// The names and addresses of all listeners.
    listeners: Vec<(String, SocketAddr)>,
    page: Page,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Drained>,
}

/// What a test wants of a proxy.
pub(crate) struct Wish {
    order: Order,
    patience: Duration,
}

/// A proxy that does this.
pub(crate) fn wish(config: &str) -> Wish {
    let source = Source {
        name: "chaos.yaml".to_owned(),
        text: config.to_owned(),
    };
    let config: ChaosConfig = chaos(&source, &|_| None).unwrap();
    Wish {
        order: Order {
            listen: "127.0.0.1:0".parse().unwrap(),
            upstream: None,
            listeners: Vec::new(),
            tls: Tls::default(),
            egress: None,
            api_listen: None,
            seed: Seed(42),
            config,
            scenarios: Vec::new(),
            tracing: None,
            limits: Limits::default(),
            orchestrations: Orchestrations::default(),
        },
        patience: LIMIT,
    }
}

impl Wish {
    pub(crate) fn to(mut self, upstream: &str) -> Self {
        self.order.upstream = Some(upstream.parse().unwrap());
        self
    }

    /// At this address, not one of the kernel's choice.
    pub(crate) fn listens(mut self, at: &str) -> Self {
        self.order.listen = at.parse().unwrap();
        self
    }

    /// Another listener, to this upstream or to the proxy itself.
    pub(crate) fn beside(self, name: &str, upstream: Option<&str>) -> Self {
        self.beside_at(name, "127.0.0.1:0", upstream)
    }

    /// The same at this address.
    pub(crate) fn beside_at(mut self, name: &str, at: &str, upstream: Option<&str>) -> Self {
        self.order.listeners.push(Listener {
            name: name.to_owned(),
            listen: at.parse().unwrap(),
            upstream: upstream.map(|upstream| upstream.parse().unwrap()),
        });
        self
    }

    /// Shows this to an upstream that asks for it.
    pub(crate) fn shows(mut self, identity: Identity) -> Self {
        self.order.tls.identity = Some(identity);
        self
    }

    pub(crate) fn by_tls(mut self, certificate: &Certificate) -> Self {
        self.order.tls.certificate = Some(certificate.clone());
        self
    }

    /// Opens tunnels to these networks; without any to the loopback.
    pub(crate) fn connects(mut self, networks: &[&str]) -> Self {
        let networks: Vec<Network> = networks.iter().map(|one| one.parse().unwrap()).collect();
        self.order.egress = Some(Egress::new(&networks, Vec::new()));
        self
    }

    /// Connections go to these without being opened; the API has an address of its own.
    pub(crate) fn passes(mut self, names: &[(&str, String)], other: Option<&str>) -> Self {
        let place = |text: &str| text.parse::<Place>().unwrap();
        let names = names.iter().map(|(name, to)| (name.parse().unwrap(), place(to)));
        self.order.tls.passthrough = Some(Passthrough::new(names, other.map(place)));
        self.api_elsewhere()
    }

    pub(crate) fn trusts(mut self, trust: Trust) -> Self {
        self.order.tls.trust = trust;
        self
    }

    pub(crate) fn seed(mut self, seed: u64) -> Self {
        self.order.seed = Seed(seed);
        self
    }

    pub(crate) fn scenario(mut self, scenario: &'static Predefined) -> Self {
        self.order.scenarios.push(scenario);
        self
    }

    pub(crate) fn head(mut self, limit: Duration) -> Self {
        self.order.limits.head = limit;
        self
    }

    pub(crate) fn silence(mut self, limit: Duration) -> Self {
        self.order.limits.silence = limit;
        self
    }

    pub(crate) fn answer(mut self, limit: Duration) -> Self {
        self.order.limits.answer = limit;
        self
    }

    pub(crate) fn connect_limit(mut self, limit: Duration) -> Self {
        self.order.limits.connect = limit;
        self
    }

    pub(crate) fn unused(mut self, limit: Duration) -> Self {
        self.order.limits.unused = limit;
        self
    }

    pub(crate) fn choice(mut self, limit: Duration) -> Self {
        self.order.limits.choice = limit;
        self
    }

    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What orchestrations may do.
    pub(crate) fn orchestrations(mut self, orchestrations: Orchestrations) -> Self {
        self.order.orchestrations = orchestrations;
        self
    }

    pub(crate) fn api_elsewhere(self) -> Self {
        self.api_at("127.0.0.1:0".parse().unwrap())
    }

    pub(crate) fn api_at(mut self, at: SocketAddr) -> Self {
        self.order.api_listen = Some(at);
        self
    }

    pub(crate) fn order(self) -> Order {
        self.order
    }

    /// One whose ports are taken, and that answers nobody yet.
    pub(crate) fn bind(self) -> Proxy {
        Proxy::bind(self.order).unwrap()
    }

    pub(crate) fn start(self) -> Stand {
        let patience = self.patience;
        Self::serve(self.bind(), patience)
    }

    /// `None`: somebody else has a port of it.
    pub(crate) fn start_unless_taken(self) -> Option<Stand> {
        match Proxy::bind(self.order) {
            Ok(proxy) => Some(Self::serve(proxy, self.patience)),
            Err(problem) => {
                let said = problem.to_string();
                assert!(said.contains("Address already in use"), "{said}");
                None
            }
        }
    }

    pub(crate) fn serve(proxy: Proxy, patience: Duration) -> Stand {
        let (address, api) = (proxy.address().unwrap(), proxy.api_address().unwrap());
        let listeners = proxy.listeners().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            // Dropped is stopped, too.
            let _said = stopped.await;
        };
        let page = proxy.page();
        // tidy: sleep because it is a limit, and nobody waits for it
        let served = tokio::spawn(proxy.serve(stopped, async move { tokio::time::sleep(patience).await }));
        Stand {
            address,
            api,
            listeners,
            page,
            stop: Some(stop),
            served,
        }
    }
}

impl Stand {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where the listener of this name is.
    pub(crate) fn at(&self, name: &str) -> SocketAddr {
        let (_, at) = self.listeners.iter().find(|(known, _)| known == name).unwrap();
        *at
    }

    /// How many connections it says are open.
    pub(crate) fn connections(&self) -> u32 {
        self.counted("connections")
    }

    /// What it says of one of its metrics, with its labels.
    pub(crate) fn counted(&self, metric: &str) -> u32 {
        self.counts().of(metric)
    }

    /// How many requests, connections or messages it says met this fault.
    pub(crate) fn faults(&self, name: &str) -> u32 {
        self.counted(&format!("faults_total{{fault=\"{name}\"}}"))
    }

    /// What it counts, also when it has ended.
    pub(crate) fn counts(&self) -> Counts {
        Counts(self.page.clone())
    }

    /// Asks it to stop, and does not wait.
    pub(crate) fn ask_to_stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn ended(mut self) -> Drained {
        self.ask_to_stop();
        tokio::time::timeout(LIMIT * 2, self.served).await.unwrap().unwrap()
    }
}

/// What a proxy counts.
pub(crate) struct Counts(Page);

impl Counts {
    pub(crate) fn of(&self, metric: &str) -> u32 {
        let text = self.0.text(Form::Text).unwrap();
        let metric = format!("fracas_proxy_{metric} ");
        let mut lines = text.lines();
        let count = lines.find_map(|line| line.strip_prefix(&metric));
        count.unwrap().parse().unwrap()
    }
}

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Looks again and again.
pub(crate) async fn soon(what: &str, mut look: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !look() {
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        // tidy: sleep because it is the pause between two looks
        tokio::time::sleep(PAUSE).await;
    }
}

/// The same, where a look takes a while.
pub(crate) async fn soon_async(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !look().await {
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
    }
}
