//! The same streams are cut whether one thread serves them or eight do, and whether by a status or by a reset. Each takes a way to a server
//! and back, so there are fewer than a hundred thousand; as many are asked about where it is decided, in `src/faults/shares.rs`.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{HeaderMap, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::{call_by, connect, message};
use crate::shares::{by_threads, is_share_of, parts};
use crate::stand::wish;

const CALLS: usize = 1000;
/// In a connection at a time.
const AT_ONCE: usize = 4;
const CONFIG: &str = "status_codes: [13], status_code_probability: 0.1, stream_interruption_probability: 0.5";

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Nothing,
    Failed,
    Cut,
}

/// A server of two messages in one part.
async fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("h2c://{}", listener.local_addr().unwrap());
    let two: Bytes = [message("one"), message("two")].concat().into();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let two = two.clone();
            let service = service_fn(move |_| {
                let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
                let body = Full::new(two.clone()).with_trailers(std::future::ready(Some(Ok(trailers))));
                let response = Response::builder().header("content-type", "application/grpc");
                std::future::ready(Ok::<_, Infallible>(response.body(body).unwrap()))
            });
            tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

/// Calls whose streams, where they are cut, end by a reset with this code or by a status.
async fn called(address: SocketAddr, calls: Vec<usize>, reset: Option<u32>) -> Vec<(usize, Met)> {
    let sender = connect(address).await;
    let parts: Vec<_> = (0..AT_ONCE)
        .map(|part| {
            let mut sender = sender.clone();
            let calls: Vec<usize> = calls.iter().copied().skip(part).step_by(AT_ONCE).collect();
            tokio::spawn(async move {
                let mut all = Vec::with_capacity(calls.len());
                for call in calls {
                    let called = call_by(&mut sender, address, "/", &format!("request-{call}")).await;
                    let (one, two) = (message("one"), message("two"));
                    let end = (called.status(), called.reset);
                    let met = match called.faults()[..] {
                        [] => {
                            assert_eq!((end, &called.body[..]), (("0", None), &[one, two].concat()[..]));
                            Met::Nothing
                        }
                        ["grpc_status"] => {
                            assert_eq!((end, called.body.len()), (("13", None), 0));
                            Met::Failed
                        }
                        ["grpc_stream_interruption"] => {
                            let status = if reset.is_some() { "none" } else { "14" };
                            assert_eq!((end, &called.body[..]), ((status, reset), &one[..]));
                            Met::Cut
                        }
                        _ => panic!("{called:?}"),
                    };
                    all.push((call, met));
                }
                all
            })
        })
        .collect();
    let mut all = Vec::with_capacity(calls.len());
    for part in parts {
        all.extend(part.await.unwrap());
    }
    all
}

/// What they meet, where so many threads serve and call.
fn met(threads: usize, reset: Option<u32>) -> Vec<Met> {
    by_threads(threads, async {
        let end = reset.map_or(String::new(), |code| format!(", reset_code: {code}"));
        let proxy = wish(&format!("grpc: {{ {CONFIG}{end} }}")).to(&server().await).start();
        let clients: Vec<_> = parts(threads, CALLS)
            .into_iter()
            .map(|part| tokio::spawn(called(proxy.address, part, reset)))
            .collect();
        let mut all = vec![Met::Nothing; CALLS];
        for client in clients {
            for (call, met) in client.await.unwrap() {
                all[call] = met;
            }
        }
        all
    })
}

#[test]
fn a_share_of_calls_is_the_same_ones_at_one_and_at_eight_threads() {
    let all = met(1, None);
    assert!(all == met(8, None), "others at 8 threads");
    assert!(all == met(8, Some(8)), "others by resets");
    let count = |what| all.iter().filter(|met| **met == what).count();
    let failed = count(Met::Failed);
    is_share_of("grpc_status", failed, CALLS, 0.1);
    is_share_of("grpc_stream_interruption", count(Met::Cut), CALLS - failed, 0.5);
}
