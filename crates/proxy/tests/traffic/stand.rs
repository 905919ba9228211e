//! A proxy for one test.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fracas_core::chaos::ChaosConfig;
use fracas_core::seed::Seed;
use fracas_proxy::{Drained, Limits, Order, Proxy};
use fracas_spec::{Source, chaos};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The longest that a test waits for something that is not itself what it measures.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A proxy that serves until it is stopped or dropped.
pub(crate) struct Stand {
    pub(crate) address: SocketAddr,
    pub(crate) api: SocketAddr,
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
            api_listen: None,
            seed: Seed(42),
            config,
            limits: Limits::default(),
        },
        patience: LIMIT,
    }
}

impl Wish {
    pub(crate) fn to(mut self, upstream: &str) -> Self {
        self.order.upstream = Some(upstream.parse().unwrap());
        self
    }

    pub(crate) fn seed(mut self, seed: u64) -> Self {
        self.order.seed = Seed(seed);
        self
    }

    pub(crate) fn head(mut self, limit: Duration) -> Self {
        self.order.limits.head = limit;
        self
    }

    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) fn api_elsewhere(mut self) -> Self {
        self.order.api_listen = Some("127.0.0.1:0".parse().unwrap());
        self
    }

    pub(crate) async fn start(self) -> Stand {
        let proxy = Proxy::bind(self.order).await.unwrap();
        let (address, api) = (proxy.address().unwrap(), proxy.api_address().unwrap());
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            // Dropped is stopped, too.
            let _said = stopped.await;
        };
        let served = tokio::spawn(proxy.serve(stopped, self.patience));
        Stand {
            address,
            api,
            stop: Some(stop),
            served,
        }
    }
}

impl Stand {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
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

/// Looks again and again.
pub(crate) async fn soon(what: &str, mut look: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !look() {
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::task::yield_now().await;
    }
}
