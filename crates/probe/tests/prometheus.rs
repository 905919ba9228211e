//! Against a real Prometheus that scrapes a real service.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

mod support;

use std::time::SystemTime;

use fracas_core::probe::Source;
use fracas_core::problem::codes;
use fracas_core::units::Span;
use fracas_probe::{Prober, ReadContext, Settings};
use support::{Scraper, Service, eventually, probe, query, read};

fn milliseconds_ago(seconds: u64) -> u128 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    now.as_millis() - u128::from(seconds) * 1000
}

#[tokio::test]
async fn values_ages_and_refusals_of_a_real_server() {
    let service = Service::start(200, "live{series=\"a\"} 1\nlive{series=\"b\"} 3\n").await;
    let Some(prometheus) = Scraper::start(&service).await else {
        return;
    };
    let ask = |text: &str| Source::Prometheus(query(&prometheus.base, text));

    let both = eventually(ask("sort(live)"), "scraped", |reading| reading.values.len() == 2).await;
    assert_eq!(both.values, [1.0, 3.0]);
    assert!(!both.stale && both.age.unwrap() < Span::secs(15), "{both:?}");

    let scalar = read(ask("scalar(sum(live))")).await;
    assert_eq!(scalar.values, [4.0]);
    assert!(scalar.age.is_some() && !scalar.stale, "{scalar:?}");

    // What is no series has no age.
    let constant = read(ask("vector(7)")).await;
    assert_eq!(
        (constant.values, constant.age, constant.stale),
        (vec![7.0], None, false)
    );
    assert!(read(ask("vector(0) / 0")).await.values[0].is_nan());

    // Nothing is no error and no value; absence on purpose is a value.
    let nothing = read(ask("no_such_metric")).await;
    assert_eq!((nothing.values.len(), nothing.error), (0, None));
    let absent = read(ask("absent(no_such_metric)")).await;
    assert_eq!((absent.values, absent.age, absent.stale), (vec![1.0], None, false));

    // An offset asks for old data on purpose: its age counts from there.
    let past = eventually(ask("sum(live offset 2s)"), "two seconds old", |reading| {
        reading.values == [4.0]
    })
    .await;
    assert!(!past.stale && past.age.unwrap() < Span::secs(15), "{past:?}");

    let prober = Prober::new(Settings {
        prometheus_url: Some(prometheus.base.clone()),
        docker_host: None,
    })
    .unwrap();
    let by_setting = |text: &str| {
        Source::Prometheus(fracas_core::probe::Prometheus {
            url: None,
            ..query("", text)
        })
    };
    let reading = prober
        .read(&probe(by_setting("sum(live)")), &ReadContext::default())
        .await;
    assert_eq!(reading.values, [4.0]);
    prober.check(&by_setting("rate(live[1m])")).await.unwrap();
    // Data is not asked for, sense is.
    prober.check(&by_setting("no_such_metric")).await.unwrap();
    for bad in [
        "sum(live",
        "live[1m]",
        "\"text\"",
        "live ->",
        "label_replace(live, \"1x\", \"\", \"\", \"\")",
    ] {
        let problem = prober.check(&by_setting(bad)).await.unwrap_err();
        assert_eq!(problem.code, &codes::PROBE_QUERY, "{bad}: {problem}");
    }
}

/// Samples with timestamps of their own get no mark of their end, so the server shows them for five minutes, as it does with
/// everything after it stopped scraping.
#[tokio::test]
async fn data_that_only_looks_alive_is_stale() {
    let text = format!("live 1\nold 7 {}\n", milliseconds_ago(100));
    let service = Service::start(200, &text).await;
    let Some(prometheus) = Scraper::start(&service).await else {
        return;
    };
    let ask = |text: &str, scrape_interval| {
        Source::Prometheus(fracas_core::probe::Prometheus {
            scrape_interval,
            ..query(&prometheus.base, text)
        })
    };
    let quick = Span::secs(15);

    let old = eventually(ask("old", quick), "scraped", |reading| !reading.values.is_empty()).await;
    assert_eq!(old.values, [7.0]);
    assert!(old.stale && old.age.unwrap() >= Span::secs(99), "{old:?}");
    assert!(old.violates("== 7".parse().unwrap()).unwrap().contains("stale"));

    // The oldest of a query's selectors decides, wherever it stands.
    for text in [
        "live * old",
        "topk(scalar(old), live)",
        "max_over_time(old[5m])",
        "live + sum(old) or vector(0)",
    ] {
        let reading = eventually(ask(text, quick), "answered", |reading| !reading.values.is_empty()).await;
        assert!(reading.stale, "{text}: {reading:?}");
    }
    // How old is too old, the scrape interval says.
    assert!(!read(ask("old", Span::secs(120))).await.stale);
    // An offset that points at where the data is finds it fresh.
    let then = read(ask("old offset 100s", quick)).await;
    assert!(!then.stale && then.values == [7.0], "{then:?}");
}

#[tokio::test]
async fn a_range_that_outlives_its_series_becomes_stale() {
    let service = Service::start(200, "gone 5\nlive 1\n").await;
    let Some(prometheus) = Scraper::start(&service).await else {
        return;
    };
    let ask = |text: &str| {
        Source::Prometheus(fracas_core::probe::Prometheus {
            scrape_interval: Span::millis(1500),
            ..query(&prometheus.base, text)
        })
    };
    let fresh = eventually(ask("max_over_time(gone[1m])"), "scraped", |reading| {
        reading.values == [5.0]
    })
    .await;
    assert!(!fresh.stale, "{fresh:?}");
    service.set(200, "live 1\n");
    eventually(ask("gone"), "ended", |reading| reading.values.is_empty()).await;
    // The last sample is younger than two scrape intervals, and its age is still told.
    let ended = read(ask("max_over_time(gone[1m])")).await;
    assert!(
        ended.values == [5.0] && !ended.stale && ended.age.is_some(),
        "{ended:?}"
    );
    let stale = eventually(ask("max_over_time(gone[1m])"), "stale", |reading| reading.stale).await;
    assert_eq!(stale.values, [5.0]);
    // When the last sample is further back than is looked for, the range alone still holds it.
    let unknown = eventually(ask("max_over_time(gone[1m])"), "of unknown age", |reading| {
        reading.age.is_none()
    })
    .await;
    assert!(unknown.stale && unknown.values == [5.0], "{unknown:?}");
    // Another selector of the query that goes on does not hide it; another series of the same selector does.
    let mixed = read(ask("sum(max_over_time(gone[1m])) + sum(live)")).await;
    assert!(mixed.stale && mixed.values == [6.0], "{mixed:?}");
    assert!(
        !read(ask("sum(max_over_time({__name__=~\"gone|live\"}[1m]))"))
            .await
            .stale
    );
}
