//! Requests as spans, as a collector gets them.

use std::time::Instant;

use crate::cli::Cli;
use crate::proxied::Proxied;
use crate::receiver::{Answer, Receiver, names, says};
use crate::support::{LIMIT, signal, soon};

/// signal(7)
const TERM: i32 = 15;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn ask(proxy: &Proxied, path: &str, headers: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    proxy.exchange(&request).status().to_owned()
}

#[test]
fn what_is_passed_through_is_no_span_and_that_is_said() {
    let cli = Cli::new();
    let passes = [
        "--tls-passthrough",
        "--api-listen",
        "0",
        "--upstream",
        "tcp://127.0.0.1:1",
    ];
    let spans = ["--quiet", "--otlp-endpoint", "http://127.0.0.1:1"];
    for (words, is_said) in [
        ([&passes[..], &spans].concat(), true),
        (spans.to_vec(), false),
        ([&passes[..], &["--quiet"]].concat(), false),
    ] {
        let proxy = Proxied::start(&cli, &words);
        let said = proxy.going.err();
        assert_eq!(
            said.contains("no connection that is passed through is a span"),
            is_said,
            "{words:?}: {said}"
        );
    }
}

#[test]
fn each_request_is_a_span_with_what_was_done_to_it() {
    let cli = Cli::new();
    let collector = Receiver::start();
    let url = collector.url();
    let words = [
        "--otlp-endpoint",
        &url,
        "--chaos-latency-ms",
        "20",
        "--chaos-http-errors",
        "503",
    ];
    let words = [&words[..], &["--chaos-http-error-probability", "1"]].concat();
    let proxy = Proxied::start(&cli, &words);
    assert!(
        proxy.going.err().contains(&format!("spans: {url}\n")),
        "{}",
        proxy.going.err()
    );
    let parent = format!("traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n");
    assert_eq!(ask(&proxy, "/secret?secret=1", &parent), "503");
    let span = collector.span("GET");
    let trace = u128::from_str_radix(TRACE, 16).unwrap().to_be_bytes();
    assert_eq!(
        (&span.trace_id[..], &span.parent_span_id[..]),
        (&trace[..], &0xb7ad_6b71_6920_3331_u64.to_be_bytes()[..])
    );
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/secret"),
        ("http.response.status_code", "503"),
        ("fracas.faults", "latency,http_error"),
        ("fracas.held_ms", "20"),
    ] {
        assert_eq!(says(&span, key).as_deref(), Some(value), "{key}");
    }
    // SPAN_KIND_SERVER, STATUS_CODE_ERROR
    assert_eq!(
        (span.kind, span.status.as_ref().map(|status| status.code)),
        (2, Some(2))
    );
    assert!(span.end_time_unix_nano - span.start_time_unix_nano >= 20_000_000);
    // Without a parent it is a trace of its own; who says that it is not sampled is not told of, and neither is the API.
    assert_eq!(proxy.get("/api/chaos/status", "a").status(), "200");
    assert_eq!(ask(&proxy, "/unsampled", &parent.replace("-01", "-00")), "503");
    assert_eq!(ask(&proxy, "/wrong", "traceparent: 00-zz\r\n"), "503");
    signal(proxy.going.process(), TERM);
    assert_eq!(proxy.going.end().code, 0);
    let spans = collector.spans();
    assert_eq!(names(&spans), ["GET"; 2]);
    let last = &spans[1];
    assert_eq!(says(last, "url.path").as_deref(), Some("/wrong"));
    assert!(last.parent_span_id.is_empty() && last.trace_id != trace);
}

// A request that a fault cuts off has no answer, and its span says so.
#[test]
fn what_is_cut_off_is_told_too() {
    let cli = Cli::new();
    let collector = Receiver::start();
    let file = cli.file(
        "chaos.yaml",
        "fault_injection: { connection_errors: true, connection_error_probability: 1, connection_error_kind: tcp_reset, http_errors: [] }\n",
    );
    let proxy = Proxied::start(&cli, &["--otlp-endpoint", &collector.url(), "--chaos-config", &file]);
    assert!(proxy.get("/", "a").reset);
    let span = collector.span("GET");
    assert_eq!(says(&span, "fracas.faults").as_deref(), Some("tcp_reset"));
    assert_eq!(span.status.unwrap().message, "it ended without an answer");
    // Nobody asked for spans.
    let collected = collector.spans().len();
    let silent = Proxied::start(&cli, &[]);
    assert_eq!(silent.get("/", "a").status(), "200");
    assert!(!silent.going.err().contains("spans:"));
    assert_eq!(collector.spans().len(), collected);
}

/// What the proxy has counted of spans that are lost.
fn lost(proxy: &Proxied) -> u64 {
    let page = proxy.get("/api/chaos/metrics", "a").body;
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("fracas_proxy_spans_lost_total "));
    line.unwrap().parse().unwrap()
}

// More than find room. If one waited for the collector, it would be for seconds, and all of them for more than a minute.
#[test]
fn a_collector_that_does_not_answer_holds_up_no_request_and_what_finds_no_room_is_counted() {
    const COUNT: usize = 4000;
    let cli = Cli::new();
    let collector = Receiver::answering(vec![Answer::Nothing; 64]);
    let proxy = Proxied::start(&cli, &["--otlp-endpoint", &collector.url()]);
    let begun = Instant::now();
    for _ in 0..COUNT / 100 {
        let one = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let last = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let got = proxy.exchange(&(one.repeat(99) + last));
        assert_eq!(1 + got.body.matches("HTTP/1.1 200").count(), 100, "{got:?}");
    }
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    assert!(lost(&proxy) > 0);
}

// Nobody listens there: what cannot be delivered is as lost as what finds no room, and it is said while there is time to mend it.
#[test]
fn a_collector_that_is_not_there_is_told_of_once_and_what_it_misses_is_counted() {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &["--otlp-endpoint", "http://127.0.0.1:1"]);
    for count in 1..3 {
        assert_eq!(proxy.get("/", "a").status(), "200");
        soon(LIMIT, "it is counted", || (lost(&proxy) == count).then_some(()));
    }
    let said = proxy.going.err();
    assert_eq!(said.matches("spans cannot be sent").count(), 1, "{said}");
}

#[test]
fn who_asks_once_more_does_not_wait_for_the_collector() {
    let cli = Cli::new();
    let collector = Receiver::answering(vec![Answer::Nothing; 64]);
    let proxy = Proxied::start(&cli, &["--otlp-endpoint", &collector.url()]);
    assert_eq!(proxy.get("/", "a").status(), "200");
    signal(proxy.going.process(), TERM);
    proxy
        .going
        .until("it says that it stops", || proxy.going.err().contains("asked to stop"));
    signal(proxy.going.process(), TERM);
    let said = proxy.going.end();
    assert!(said.code == 0 && said.err.contains("asked once more"), "{}", said.err);
    // What is said when all of its time is over.
    assert!(!said.err.contains("could not be sent"), "{}", said.err);
}
