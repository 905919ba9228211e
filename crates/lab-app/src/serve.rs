//! A small HTTP server with Prometheus metrics: four threads that accept, one request per connection.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

const THREADS: usize = 4;
/// A whole request head.
const HEAD: u64 = 8 << 10;
/// A client that says nothing for so long is left alone.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the metrics tell.
struct App {
    requests: u64,
    value: f64,
}

/// Listens, says the port on standard output, and serves in threads.
pub(crate) fn start(address: &str, port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((address, port))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", listener.local_addr()?.port())?;
    out.flush()?;
    let app = Arc::new(Mutex::new(App {
        requests: 0,
        value: 1.0,
    }));
    for _ in 0..THREADS {
        let (listener, app) = (listener.try_clone()?, Arc::clone(&app));
        thread::spawn(move || {
            for peer in listener.incoming().flatten() {
                // A client that breaks off harms nobody.
                let _broken_off = answer(&peer, &app);
            }
        });
    }
    Ok(())
}

fn answer(mut peer: &TcpStream, app: &Mutex<App>) -> io::Result<()> {
    peer.set_read_timeout(Some(PATIENCE))?;
    peer.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(peer.take(HEAD)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The rest of the head is read, for a socket that is closed with unread bytes resets the connection.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, body) = respond(path, &mut app.lock().unwrap_or_else(PoisonError::into_inner));
    write!(
        peer,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn respond(path: &str, app: &mut App) -> (&'static str, String) {
    app.requests += 1;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    match path {
        "/" => ("200 OK", "hello\n".to_owned()),
        "/healthz" => ("200 OK", "ok\n".to_owned()),
        "/metrics" => ("200 OK", metrics(app)),
        "/now" => ("200 OK", format!("{}\n", now())),
        "/set" => match query.strip_prefix("value=").and_then(|value| value.parse().ok()) {
            Some(value) => {
                app.value = value;
                ("200 OK", format!("{value}\n"))
            }
            None => ("400 Bad Request", "write /set?value=N\n".to_owned()),
        },
        _ => ("404 Not Found", "no such page\n".to_owned()),
    }
}

fn metrics(app: &App) -> String {
    let mut text = String::new();
    for (name, kind, help, value) in [
        (
            "app_requests_total",
            "counter",
            "Requests since the start.",
            app.requests as f64,
        ),
        (
            "app_value",
            "gauge",
            "The number that was set; 1 at the start.",
            app.value,
        ),
        (
            "app_memory_limit_bytes",
            "gauge",
            "The memory limit of its own control group as its container shows it; -1 where it shows none.",
            memory_limit(),
        ),
    ] {
        // Writing into a String cannot fail.
        let _cannot_fail = write!(
            text,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {}\n",
            shown(value)
        );
    }
    text
}

/// The time of day as this process sees it, in seconds since 1970.
fn now() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or_else(|before| -before.duration().as_secs_f64(), |since| since.as_secs_f64())
}

/// As Prometheus reads numbers: Rust writes `inf` for what it calls `+Inf`.
fn shown(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".to_owned()
    } else {
        value.to_string()
    }
}

/// The limit that the kernel sets on this container: engines show a container its own control group under `/sys/fs/cgroup`.
fn memory_limit() -> f64 {
    ["memory/memory.limit_in_bytes", "memory.max"]
        .iter()
        .find_map(|file| std::fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok())
        .map_or(-1.0, |text| match text.trim() {
            "max" => f64::INFINITY,
            number => number.parse().unwrap_or(-1.0),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_was_set_shows_in_the_metrics_and_requests_are_counted() {
        let mut app = App {
            requests: 0,
            value: 1.0,
        };
        assert_eq!(respond("/set?value=0.5", &mut app).0, "200 OK");
        assert_eq!(respond("/set?value=x", &mut app).0, "400 Bad Request");
        assert_eq!(respond("/nowhere", &mut app).0, "404 Not Found");
        let (_, text) = respond("/metrics", &mut app);
        assert!(text.contains("\napp_requests_total 4\n"), "{text}");
        assert!(text.contains("\napp_value 0.5\n"), "{text}");
        assert!(text.contains("\napp_memory_limit_bytes "), "{text}");
        assert_eq!(shown(f64::INFINITY), "+Inf");
    }
}
