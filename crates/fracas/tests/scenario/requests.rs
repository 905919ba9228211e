//! Seed 2's abort test: a share of requests fails, Prometheus says how many, and the experiment ends itself when it is too many.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fracas_core::event::What;
use fracas_core::record::Landed;
use fracas_core::seed::Seed;
use fracas_lab::{TestContainer, TestNetwork};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;

use crate::danger::{assert_aborted, is_clean};
use crate::support::{Bench, LIMIT, Prometheus};

const PORT: u16 = 8080;
/// Requests a second, altogether.
const RATE: u64 = 200;
/// The share that failed of those of the last four seconds, from 0 to 1.
const FAILED: &str = r#"sum(rate(client_requests_total{code!="200"}[4s])) / sum(rate(client_requests_total[4s]))"#;

/// A client that makes requests all the time, each by a connection of its own, and tells Prometheus what came of them.
struct Load {
    over: Arc<AtomicBool>,
    counts: Arc<Counts>,
    threads: Vec<JoinHandle<()>>,
    metrics: u16,
}

#[derive(Default)]
struct Counts {
    good: AtomicU64,
    bad: AtomicU64,
}

impl Load {
    fn begin(to: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(Counts::default());
        let number = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        let clients = (0..4).map(|_| {
            let (over, counts, number) = (Arc::clone(&over), Arc::clone(&counts), Arc::clone(&number));
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let number = number.fetch_add(1, Ordering::Relaxed);
                    let due = began + Duration::from_micros(number * 1_000_000 / RATE);
                    std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
                    let count = if get(to, number) == Some(200) {
                        &counts.good
                    } else {
                        &counts.bad
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let threads = clients.collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let metrics = listener.local_addr().unwrap().port();
        let told = Arc::clone(&counts);
        // It ends with the test.
        std::thread::spawn(move || {
            for scraper in listener.incoming().flatten() {
                // One that breaks off comes again.
                let _broken_off = tell(scraper, &told);
            }
        });
        Self {
            over,
            counts,
            threads,
            metrics,
        }
    }

    fn good(&self) -> u64 {
        self.counts.good.load(Ordering::Relaxed)
    }

    fn bad(&self) -> u64 {
        self.counts.bad.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A client that panicked has failed the test already.
            let _panicked = thread.join();
        }
    }
}

/// The status of the answer to a request. `None`: there was none.
fn get(to: SocketAddr, number: u64) -> Option<u16> {
    let mut stream = TcpStream::connect_timeout(&to, LIMIT).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    let request =
        format!("GET /healthz HTTP/1.1\r\nHost: it\r\nx-request-id: load-{number}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    said.get(9..12)?.parse().ok()
}

/// Says what came of the requests, as Prometheus reads it.
fn tell(mut scraper: TcpStream, counts: &Counts) -> std::io::Result<()> {
    scraper.set_read_timeout(Some(LIMIT))?;
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        scraper.read_exact(&mut byte)?;
        said.push(byte[0]);
    }
    let mut text = "# TYPE client_requests_total counter\n".to_owned();
    for (code, count) in [("200", &counts.good), ("503", &counts.bad)] {
        let count = count.load(Ordering::Relaxed);
        writeln!(text, "client_requests_total{{code=\"{code}\"}} {count}").unwrap();
    }
    write!(
        scraper,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
}

/// Where a container is in its network.
async fn address(container: &TestContainer) -> IpAddr {
    let there = NetNamespace::of(&container.identity().await.unwrap()).unwrap().unwrap();
    let addresses = there.within(|| Netlink::route()?.addresses()).unwrap();
    let mut own = addresses.iter().map(|one| one.address);
    own.find(|address| address.is_ipv4() && !address.is_loopback()).unwrap()
}

/// A seed with which one of the first canaries is among two in a hundred: without, so few could not be told from none so soon.
fn telling_seed() -> u64 {
    let is_hit = |seed: u64, canary: u32| {
        let identity = format!("x-request-id fracas-canary #0 {canary}");
        Seed(seed).draw("proxy http_error", &identity, 0).uniform() < 0.02
    };
    (1..10_000)
        .find(|seed| (0..20).any(|canary| is_hit(*seed, canary)))
        .unwrap()
}

fn experiment(name: &str, share: f64, duration: &str) -> String {
    let seed = telling_seed();
    format!(
        "apiVersion: fracas.dev/v1
kind: Experiment
metadata: {{ name: errors }}
seed: {seed}
duration: {duration}
hypothesis:
  interval: 500ms
  warmup: 1s
  probes:
    - name: watch
      prometheus: {{ query: '{FAILED}', scrape_interval: 250ms }}
      abort: \"> 5%\"
targets:
  - alias: shop
    container: {{ name: \"{name}\" }}
faults:
  - name: errors
    target: shop
    inject:
      http:
        port: {PORT}
        chaos: {{ fault_injection: {{ http_errors: [503], http_error_probability: {share} }} }}
"
    )
}

#[tokio::test]
async fn ten_per_cent_of_errors_abort_within_two_intervals_and_two_per_cent_do_not() {
    let Some(bench) = Bench::new().await else { return };
    let network = TestNetwork::make(&bench.engine).await.unwrap();
    let container = TestContainer::build(&bench.engine)
        .network(network.name())
        .mode(["serve", &PORT.to_string(), "::"])
        .start()
        .await
        .unwrap();
    let to = SocketAddr::new(address(&container).await, PORT);
    fracas_lab::eventually(LIMIT, "it serves", || get(to, 0) == Some(200));
    let load = Load::begin(to);
    let Some(prometheus) = Prometheus::start(&[("client", &[load.metrics])]) else {
        return;
    };
    fracas_lab::eventually(LIMIT, "prometheus knows the share", || {
        load.good() > 4 * RATE && prometheus.query("sum(rate(client_requests_total[4s]))").len() == 1
    });
    assert_eq!(load.bad(), 0, "all is well before");
    let bench = bench.with(&prometheus);

    let two = bench.run(&experiment(container.name(), 0.02, "8s"), &[]).expect(0);
    two.assert_clean();
    assert_eq!(two.report["verdict"], "passed");
    let (bad, good) = (load.bad(), load.good());
    assert!(bad > 0, "some failed");
    let highest = two.events.iter().filter_map(|event| match &event.what {
        What::ProbeRead { reading, .. } => reading.values.first().copied(),
        _ => None,
    });
    let highest = highest.fold(0.0, f64::max);
    assert!(highest > 0.005 && highest < 0.05, "{highest}");

    let ten = bench.run(&experiment(container.name(), 0.1, "60s"), &[]).expect(3);
    let why = assert_aborted(&ten);
    assert!(why.contains("crosses abort threshold > 0.05"), "{why}");
    assert!(load.good() > good && load.bad() > bad);
    let landed = ten.events.iter().find_map(|event| match &event.what {
        What::DoseMeasured { dose, .. } => Some(dose.landed.clone()),
        _ => None,
    });
    assert!(!matches!(landed, Some(Landed::No(_))), "{landed:?}");
    assert!(ten.events.iter().any(|event| is_clean(&event.what)));
    // All pass again.
    let (bad, good) = (load.bad(), load.good());
    fracas_lab::eventually(LIMIT, "requests pass", || load.good() > good + 2 * RATE);
    assert!(
        load.bad() <= bad + 4,
        "but for those that were under way: {} after {bad}",
        load.bad()
    );
    assert_eq!(get(to, 0), Some(200));
}
