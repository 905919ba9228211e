//! The same answers lose the same field whether one thread serves them or eight do. Each takes a way to a server and back, so there are fewer
//! than a hundred thousand; as many are asked about where it is decided, in `src/faults/shares.rs`.

use std::net::SocketAddr;

use super::{ANSWER, WHOLE};
use crate::canned::Canned;
use crate::client::Raw;
use crate::shares::{by_threads, is_share_of, parts};
use crate::stand::wish;

const REQUESTS: usize = 2500;
const CONFIG: &str = "graphql: { error_codes: [DOWN], error_probability: 0.1, partial_data_probability: 0.5 }";

/// What a request met, and what came of it.
type Met = (String, String);

async fn asked(address: SocketAddr, requests: Vec<usize>) -> Vec<(usize, Met)> {
    let mut client = Raw::to(address).await;
    let mut all = Vec::with_capacity(requests.len());
    for request in requests {
        let line = format!("GET /graphql?query=a HTTP/1.1\r\nhost: a\r\nx-request-id: request-{request}\r\n\r\n");
        let (head, body) = client.ask_whole(&line).await;
        let fault = head.lines().find_map(|line| line.strip_prefix("x-fracas-fault: "));
        let met = (fault.unwrap_or_default().to_owned(), String::from_utf8(body).unwrap());
        all.push((request, met));
    }
    all
}

/// What they meet, where so many threads serve and ask.
fn met(threads: usize) -> Vec<Met> {
    by_threads(threads, async {
        let upstream = Canned::says(ANSWER).await;
        let proxy = wish(CONFIG).to(&upstream.url()).start();
        let clients: Vec<_> = parts(threads, REQUESTS)
            .into_iter()
            .map(|part| tokio::spawn(asked(proxy.address, part)))
            .collect();
        let mut all = vec![Met::default(); REQUESTS];
        for client in clients {
            for (request, met) in client.await.unwrap() {
                all[request] = met;
            }
        }
        all
    })
}

#[test]
fn a_share_of_answers_is_the_same_ones_at_one_and_at_eight_threads() {
    let all = met(1);
    assert!(all == met(8), "others at 8 threads");
    let count = |is: fn(&Met) -> bool| all.iter().filter(|met| is(met)).count();
    let failed = count(|(fault, body)| fault == "graphql_error" && body.contains(r#""code":"DOWN""#));
    is_share_of("graphql_error", failed, REQUESTS, 0.1);
    let user = count(|(fault, body)| fault == "graphql_partial_data" && body.contains(r#""user":null"#));
    let posts = count(|(fault, body)| fault == "graphql_partial_data" && body.contains(r#""posts":null"#));
    is_share_of("graphql_partial_data", user + posts, REQUESTS - failed, 0.5);
    is_share_of("the first field", user, user + posts, 0.5);
    let whole = count(|(fault, body)| fault.is_empty() && body == WHOLE);
    assert_eq!(whole + failed + user + posts, REQUESTS);
}
