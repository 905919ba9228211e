//! One proxy of `noxious` for the bench, for the crate comes without a program: `noxious-proxy LISTEN UPSTREAM MILLISECONDS`, of which the last is
//! a toxic of latency, or 0 for none.

use std::env;

use noxious::proxy::{ProxyConfig, ProxyRunner, Runner as _, Toxics};
use noxious::signal::{Close, Stop};
use noxious::socket::TcpListener;
use noxious::toxic::{StreamDirection, Toxic, ToxicKind};

#[tokio::main]
async fn main() {
    let [listen, upstream, late]: [String; 3] = env::args().skip(1).collect::<Vec<_>>().try_into().unwrap();
    let config = ProxyConfig {
        name: "bench".to_owned(),
        listen,
        upstream,
        enabled: true,
        rand_seed: None,
    };
    let mut toxics = Toxics::empty();
    let latency = late.parse().unwrap();
    if latency > 0 {
        toxics.downstream.push(Toxic {
            kind: ToxicKind::Latency { latency, jitter: 0 },
            name: "late".to_owned(),
            toxicity: 1.0,
            direction: StreamDirection::Downstream,
        });
    }
    let (listener, proxy) = ProxyRunner::initialize_proxy::<TcpListener>(config, toxics).await.unwrap();
    let (_requests, receiver) = bmrng::channel(1);
    let ((stop, _stopper), (_close, closer)) = (Stop::new(), Close::new());
    ProxyRunner::run_proxy(listener, proxy, receiver, stop, closer).await.unwrap();
}
