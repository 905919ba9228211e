//! Real peers for the tests: servers on loopback, good and bad, and a real Prometheus.

#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]

mod prometheus;
mod server;

use std::time::{Duration, Instant};

use fracas_core::probe::{Probe, Reading, Source};
use fracas_core::units::Span;
use fracas_probe::{Prober, ReadContext, Settings};

pub(crate) use prometheus::Scraper;
pub(crate) use server::{Service, Step, dead_port, scripted, scripted_each};

/// The longest that a test waits for something.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A probe that nobody judges.
pub(crate) fn probe(source: Source) -> Probe {
    Probe {
        name: "probe".to_owned(),
        description: None,
        source,
        expect: None,
        abort: None,
        when: Vec::new(),
        critical: true,
    }
}

/// One reading by a new prober without settings.
pub(crate) async fn read(source: Source) -> Reading {
    let prober = Prober::new(Settings::default()).unwrap();
    prober.read(&probe(source), &ReadContext::default()).await
}

/// The error of a reading that must have one.
#[track_caller]
pub(crate) fn error(reading: &Reading) -> &str {
    assert!(reading.values.is_empty(), "{reading:?}");
    reading.error.as_deref().unwrap()
}

/// Reads until the reading is as it should be.
pub(crate) async fn eventually(source: Source, what: &str, good: impl Fn(&Reading) -> bool) -> Reading {
    let started = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        tick.tick().await;
        let reading = read(source.clone()).await;
        if good(&reading) {
            return reading;
        }
        assert!(started.elapsed() < LIMIT, "never {what}; last: {reading:?}");
    }
}

/// An instant query with a scrape interval of 15 s and a timeout of 5 s.
pub(crate) fn query(base: &str, query: &str) -> fracas_core::probe::Prometheus {
    fracas_core::probe::Prometheus {
        query: query.to_owned(),
        url: Some(base.to_owned()),
        scrape_interval: Span::secs(15),
        timeout: Span::secs(5),
    }
}

/// Says that a test cannot run here, which is a failure where everything must be there.
pub(crate) fn skip(why: &str) {
    println!("skipped: {why}");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
}
