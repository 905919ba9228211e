//! Spans over a real connection: what arrives, what is lost, and that nobody waits for it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

#[path = "support/receiver.rs"]
mod receiver;

use std::time::{Duration, Instant};

use fracas_telemetry::otlp::export;
use fracas_telemetry::span::{Kind, Outcome, Span};
use fracas_telemetry::{Exporter, Otlp};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message as _;

use receiver::{Answer, Receiver};

fn span(number: u64) -> Span {
    Span {
        trace: [1; 16],
        id: (number + 1).to_be_bytes(),
        parent: None,
        kind: Kind::Internal,
        name: format!("span {number}"),
        began: 1,
        ended: 2,
        attributes: Vec::new(),
        happened: Vec::new(),
        left_out: 0,
        outcome: Outcome::Good,
    }
}

fn to(receiver: &Receiver) -> Otlp {
    Otlp::new(&receiver.url(), "x-key=a%20b").unwrap()
}

#[tokio::test]
async fn every_span_arrives_where_the_specification_says() {
    let receiver = Receiver::start();
    let mut exporter = Exporter::start(to(&receiver));
    for number in 0..1000 {
        exporter.send(span(number));
    }
    assert_eq!(exporter.finish().await, None);
    assert_eq!(receiver.spans().len(), 1000);
    for request in receiver.requests() {
        assert_eq!(request.line, "POST /v1/traces HTTP/1.1");
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
        assert_eq!(request.header("x-key"), Some("a b"));
    }
}

#[tokio::test]
async fn what_may_be_tried_again_is_and_nothing_else() {
    for (answers, arrives) in [
        (vec![503], true),
        (vec![429], true),
        (vec![503, 503], false),
        (vec![400], false),
        (vec![500], false),
        (vec![301], false),
    ] {
        let tries = answers.len();
        let said = answers.iter().map(|status| Answer::Say(*status, Vec::new()));
        let receiver = Receiver::answering(said);
        let sent = export(&to(&receiver), vec![span(0)]).await;
        assert_eq!(
            (sent.taken, sent.lost),
            (u64::from(arrives), u64::from(!arrives)),
            "{answers:?}"
        );
        assert_eq!(receiver.requests().len(), tries + usize::from(arrives), "{answers:?}");
        if !arrives {
            let told = sent.problem(&to(&receiver)).unwrap().to_string();
            assert!(
                told.contains("1 of 1") && told.contains(&answers[0].to_string()),
                "{told}"
            );
        }
    }
}

#[tokio::test]
async fn what_a_collector_refuses_is_not_taken_for_sent() {
    let answer = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 2,
            error_message: "too old".to_owned(),
        }),
    };
    let receiver = Receiver::answering([Answer::Say(200, answer.encode_to_vec())]);
    let sent = export(&to(&receiver), (0..3).map(span).collect()).await;
    assert_eq!((sent.taken, sent.lost), (1, 2));
    assert!(sent.why.contains("too old"), "{}", sent.why);
}

#[tokio::test]
async fn nobody_there_is_one_warning_with_numbers_and_without_passwords() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let otlp = Otlp::new(&format!("http://me:secret@{nobody}/x"), "key=secret").unwrap();
    let mut exporter = Exporter::start(otlp);
    for number in 0..5 {
        exporter.send(span(number));
    }
    let told = exporter.finish().await.unwrap().to_string();
    assert!(told.contains("5 of 5") && told.contains(&nobody.to_string()), "{told}");
    assert!(!told.contains("secret"), "{told}");
}

/// A collector that accepts and never answers: handing over does not wait, the end waits a bounded time, and every span is counted.
#[tokio::test]
async fn a_collector_that_hangs_holds_nobody() {
    let receiver = Receiver::answering(vec![Answer::Nothing; 100]);
    let mut exporter = Exporter::start(to(&receiver));
    let began = Instant::now();
    for number in 0..5000 {
        exporter.send(span(number));
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "handing over waited: {:?}",
        began.elapsed()
    );
    let told = exporter.finish().await.unwrap().to_string();
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert!(told.contains("5000 of 5000"), "{told}");
}

// Those who hand over from many places hold nobody up, neither at the end.
#[tokio::test]
async fn whoever_hands_over_later_than_the_end_is_told_so() {
    let receiver = Receiver::start();
    let exporter = Exporter::start(to(&receiver));
    let spans = exporter.spans();
    for number in 0..10 {
        assert!(spans.send(span(number)));
    }
    let begun = Instant::now();
    assert_eq!(exporter.finish().await, None);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(receiver.spans().len(), 10);
    assert!(!spans.send(span(10)));
}
