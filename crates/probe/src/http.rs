//! HTTP requests as probes. One GET on a connection of its own; redirects are answers, not detours: a 301 is the status 301.

use std::time::Instant;

use fracas_core::probe::{Http, HttpMeasure, Reading};

use crate::web::{self, Web};

/// Takes a reading. The caller bounds the time; [`late`] is the reading then.
pub(crate) async fn read(web: &Web, source: &Http) -> Reading {
    let url = match web::address(&source.url) {
        Ok(url) => url,
        Err(why) => return Reading::failed(why),
    };
    let started = Instant::now();
    let response = match web.get(url.clone()).send().await {
        Ok(response) => response,
        Err(error) => return missing(web, &url, source, error),
    };
    let status = response.status().as_u16();
    if source.measure == HttpMeasure::Status {
        return Reading::of(f64::from(status));
    }
    let body = match web::body(response).await {
        Ok(body) => body,
        Err(error) => return missing(web, &url, source, error),
    };
    match source.measure {
        HttpMeasure::Latency if body.cut => Reading::failed(format!(
            "{} answers with more than {} MiB: the time of the whole answer is not measured",
            web::shown(&url),
            web::LARGEST_BODY >> 20
        )),
        HttpMeasure::Latency => Reading::of(started.elapsed().as_secs_f64()),
        HttpMeasure::Up | HttpMeasure::Status => Reading::of(f64::from(u8::from(expected(source, status)))),
    }
}

/// The reading when the time is over before the whole answer is there.
pub(crate) fn late(source: &Http, bound: &str) -> Reading {
    match source.measure {
        HttpMeasure::Up => Reading::of(0.0),
        HttpMeasure::Latency | HttpMeasure::Status => Reading::failed(format!("no whole answer within {bound}")),
    }
}

fn expected(source: &Http, status: u16) -> bool {
    source
        .status
        .map_or((200..300).contains(&status), |wanted| wanted == status)
}

/// The reading without an answer. For `up` that is a measurement, unless this machine is the cause.
fn missing(web: &Web, url: &reqwest::Url, source: &Http, error: reqwest::Error) -> Reading {
    if source.measure == HttpMeasure::Up && !web::ours(&error) && !web.distrusts(url) {
        return Reading::of(0.0);
    }
    Reading::failed(format!("no answer from {}: {}", web::shown(url), web.explain(error)))
}
