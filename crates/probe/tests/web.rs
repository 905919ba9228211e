//! HTTP, TCP and false Prometheus servers on loopback, well-behaved and hostile.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

mod support;

use std::time::{Duration, Instant};

use fracas_core::probe::{Http, HttpMeasure, Source, Tcp, TcpMeasure};
use fracas_core::problem::codes;
use fracas_core::units::Span;
use fracas_probe::{Prober, Settings};
use support::{Service, Step, dead_port, error, query, read, scripted, scripted_each};

const SHORT: Span = Span::millis(300);

fn http(url: &str, measure: HttpMeasure) -> Http {
    Http {
        url: url.to_owned(),
        status: None,
        timeout: Span::secs(5),
        measure,
    }
}

fn tcp(address: &str, measure: TcpMeasure) -> Source {
    Source::Tcp(Tcp {
        address: address.to_owned(),
        timeout: Span::secs(5),
        measure,
    })
}

#[tokio::test]
async fn http_up_is_one_for_the_right_status() {
    let service = Service::start(204, "").await;
    let up = |status, wanted| {
        service.set(status, "");
        let source = Http {
            status: wanted,
            ..http(&service.url(), HttpMeasure::Up)
        };
        read(Source::Http(source))
    };
    for (status, wanted, value) in [
        (200, None, 1.0),
        (204, None, 1.0),
        (301, None, 0.0),
        (301, Some(301), 1.0),
        (404, None, 0.0),
        (503, Some(503), 1.0),
        (200, Some(204), 0.0),
    ] {
        assert_eq!(up(status, wanted).await.values, [value], "{status} {wanted:?}");
    }
}

#[tokio::test]
async fn http_status_and_latency_measure_the_answer() {
    let service = Service::start(503, "busy").await;
    let status = read(Source::Http(http(&service.url(), HttpMeasure::Status))).await;
    assert_eq!(status.values, [503.0]);
    let started = Instant::now();
    let latency = read(Source::Http(http(&service.url(), HttpMeasure::Latency))).await;
    assert!(
        latency.values[0] > 0.0 && latency.values[0] <= started.elapsed().as_secs_f64(),
        "{latency:?}"
    );
}

#[tokio::test]
async fn nobody_listening_is_down_and_no_status() {
    let dead = format!("http://{}/", dead_port().await);
    assert_eq!(read(Source::Http(http(&dead, HttpMeasure::Up))).await.values, [0.0]);
    for measure in [HttpMeasure::Status, HttpMeasure::Latency] {
        let reading = read(Source::Http(http(&dead, measure))).await;
        assert!(error(&reading).contains("Connection refused"), "{reading:?}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_bounded_by_the_timeout() {
    let head = Step::Say("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".to_owned());
    for (script, status) in [
        (vec![Step::Hold], None),
        (vec![head.clone(), Step::Hold], Some(200.0)),
        (vec![head.clone(), Step::Drip], Some(200.0)),
    ] {
        let url = scripted(script).await;
        let at = |measure| {
            read(Source::Http(Http {
                timeout: SHORT,
                ..http(&url, measure)
            }))
        };
        let started = Instant::now();
        assert_eq!(at(HttpMeasure::Up).await.values, [0.0]);
        assert!(error(&at(HttpMeasure::Latency).await).contains("within 300ms"));
        // The status is known when the head is there.
        assert_eq!(at(HttpMeasure::Status).await.values, Vec::from_iter(status));
        assert!(started.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn a_body_without_end_is_read_up_to_its_bound() {
    let url = scripted(vec![Step::Say("HTTP/1.1 200 OK\r\n\r\n".to_owned()), Step::Flood]).await;
    assert_eq!(read(Source::Http(http(&url, HttpMeasure::Up))).await.values, [1.0]);
    let latency = read(Source::Http(http(&url, HttpMeasure::Latency))).await;
    assert!(error(&latency).contains("more than 4 MiB"), "{latency:?}");
}

#[tokio::test]
async fn an_address_that_is_none_is_an_error_and_not_down() {
    for url in ["", "127.0.0.1:80", "ftp://127.0.0.1/", "http://"] {
        let reading = read(Source::Http(http(url, HttpMeasure::Up))).await;
        assert!(error(&reading).contains("not an address"), "{url}: {reading:?}");
    }
    let reading = read(tcp("127.0.0.1", TcpMeasure::Up)).await;
    assert!(error(&reading).contains("not an address"), "{reading:?}");
}

#[tokio::test]
async fn https_is_spoken_and_a_plain_server_is_not_up() {
    let service = Service::start(200, "").await;
    let url = format!("https://{}/", service.address);
    let latency = read(Source::Http(http(&url, HttpMeasure::Latency))).await;
    assert!(
        error(&latency).contains("no answer from https://127.0.0.1"),
        "{latency:?}"
    );
}

#[tokio::test]
async fn tcp_connections_are_made_and_timed() {
    let service = Service::start(200, "").await;
    let address = service.address.to_string();
    assert_eq!(read(tcp(&address, TcpMeasure::Up)).await.values, [1.0]);
    let latency = read(tcp(&address, TcpMeasure::Latency)).await;
    assert!(latency.values[0] > 0.0 && latency.values[0] < 5.0, "{latency:?}");
    let dead = dead_port().await.to_string();
    assert_eq!(read(tcp(&dead, TcpMeasure::Up)).await.values, [0.0]);
    let latency = read(tcp(&dead, TcpMeasure::Latency)).await;
    assert!(error(&latency).contains("Connection refused"), "{latency:?}");
}

/// An answer of HTTP with a length.
fn answer(status: &str, body: &str) -> Step {
    Step::Say(format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[tokio::test]
async fn a_false_prometheus_is_named_for_what_it_is() {
    let endless = "HTTP/1.1 200 OK\r\n\r\n".to_owned();
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"status\":\"succ".to_owned();
    for (script, says, code) in [
        (
            vec![answer("200 OK", "<!DOCTYPE html><title>Grafana</title>")],
            "is HTML: is this really the address of Prometheus?",
            &codes::PROBE_ANSWER,
        ),
        (
            vec![answer("302 Found", "")],
            "redirects are not followed",
            &codes::PROBE_ANSWER,
        ),
        (
            vec![answer("401 Unauthorized", "no entry")],
            "no entry",
            &codes::PROBE_ANSWER,
        ),
        (
            vec![answer("200 OK", "{\"status\":\"success\"}")],
            "holds no data",
            &codes::PROBE_ANSWER,
        ),
        (
            vec![Step::Say(endless), Step::Flood],
            "larger than 4 MiB",
            &codes::PROBE_ANSWER,
        ),
        (vec![Step::Say(cut)], "cannot be reached", &codes::PROBE_UNREACHABLE),
        (
            vec![Step::Say("SSH-2.0-OpenSSH\r\n".to_owned())],
            "cannot be reached",
            &codes::PROBE_UNREACHABLE,
        ),
        (vec![], "cannot be reached", &codes::PROBE_UNREACHABLE),
    ] {
        let source = Source::Prometheus(query(&scripted(script).await, "up"));
        let reading = read(source.clone()).await;
        assert!(error(&reading).contains(says), "{says}: {reading:?}");
        let problem = Prober::new(Settings::default())
            .unwrap()
            .check(&source)
            .await
            .unwrap_err();
        assert_eq!(problem.code, code, "{problem}");
    }
}

#[tokio::test]
async fn a_prometheus_that_does_not_end_its_answer_is_bounded_by_the_timeout() {
    let head = Step::Say("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".to_owned());
    for script in [vec![Step::Hold], vec![head.clone(), Step::Hold], vec![head, Step::Drip]] {
        let mut source = query(&scripted(script).await, "up");
        source.timeout = SHORT;
        let reading = read(Source::Prometheus(source)).await;
        assert_eq!(error(&reading), "Prometheus did not answer within 300ms");
    }
}

#[tokio::test]
async fn values_whose_age_cannot_be_asked_are_no_reading() {
    let values = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}"#;
    let busy = r#"{"status":"error","errorType":"timeout","error":"too busy"}"#;
    let scripts = vec![vec![answer("200 OK", values)], vec![answer("503 Busy", busy)]];
    let reading = read(Source::Prometheus(query(&scripted_each(scripts).await, "up"))).await;
    let said = error(&reading);
    assert!(
        said.starts_with("the age of the data cannot be told") && said.contains("too busy"),
        "{said}"
    );
}

#[tokio::test]
async fn an_unreachable_prometheus_is_said_with_its_address_and_without_its_password() {
    let dead = dead_port().await;
    let source = Source::Prometheus(query(&format!("http://user:secret@{dead}/prom/"), "up"));
    let reading = read(source.clone()).await;
    let said = error(&reading);
    assert!(
        said.contains(&format!("http://{dead}/prom/api/v1/query")) && said.contains("Connection refused"),
        "{said}"
    );
    assert!(!said.contains("secret"), "{said}");
    let problem = Prober::new(Settings::default())
        .unwrap()
        .check(&source)
        .await
        .unwrap_err();
    assert_eq!(problem.code, &codes::PROBE_UNREACHABLE);
    assert!(!problem.to_string().contains("secret"));
}

#[tokio::test]
async fn without_an_address_the_way_to_give_one_is_said() {
    let mut source = query("", "up");
    source.url = None;
    let prober = Prober::new(Settings::default()).unwrap();
    let problem = prober.check(&Source::Prometheus(source)).await.unwrap_err();
    assert!(problem.to_string().contains("PROMETHEUS_URL"), "{problem}");
}
