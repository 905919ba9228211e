//! TCP connections as probes: made, and closed at once.

use std::io;
use std::time::Instant;

use fracas_core::probe::{Reading, Tcp, TcpMeasure};
use tokio::net::TcpStream;

use crate::web;

/// Takes a reading. The caller bounds the time; [`late`] is the reading then.
pub(crate) async fn read(source: &Tcp) -> Reading {
    if let Err(why) = address(&source.address) {
        return Reading::failed(why);
    }
    let started = Instant::now();
    match TcpStream::connect(&source.address).await {
        Ok(_) => Reading::of(match source.measure {
            TcpMeasure::Up => 1.0,
            TcpMeasure::Latency => started.elapsed().as_secs_f64(),
        }),
        Err(error) => missing(source, &error),
    }
}

/// The reading when the time is over before there is a connection.
pub(crate) fn late(source: &Tcp, bound: &str) -> Reading {
    match source.measure {
        TcpMeasure::Up => Reading::of(0.0),
        TcpMeasure::Latency => Reading::failed(format!("no connection to {} within {bound}", source.address)),
    }
}

/// Whether the text is `host:port`. What the resolver makes of the host is a measurement, a missing port is a mistake.
pub(crate) fn address(text: &str) -> Result<(), String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(1..)) => Ok(()),
        _ => Err(format!(
            "{text:?} is not an address: write it like 127.0.0.1:5432 or db.local:5432"
        )),
    }
}

fn missing(source: &Tcp, error: &io::Error) -> Reading {
    if source.measure == TcpMeasure::Up && !web::ours(error) {
        return Reading::of(0.0);
    }
    Reading::failed(format!("no connection to {}: {error}", source.address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for good in ["127.0.0.1:80", "[::1]:80", "db.local:5432"] {
            assert_eq!(address(good), Ok(()), "{good}");
        }
        for bad in ["", "80", ":80", "db", "db:", "db:0", "db:65536", "db:http"] {
            assert!(address(bad).unwrap_err().contains("is not an address"), "{bad}");
        }
    }
}
