//! A call to the engine that was cut off takes effect all the same.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::support::{Bench, Document, LIMIT, Target, certificate, signal, soon};

const INT: i32 = 2;

/// So long before the end of the run the container must be up again. The guardian waits for ten seconds more than the grace; without
/// a look in between it would come up at the very end.
const BEFORE_THE_END: Duration = Duration::from_secs(3);

/// The engine goes on with a stop whose caller has hung up: it kills the container when the grace is over.
#[test]
fn a_container_that_goes_down_after_the_run_was_stopped_comes_back_at_once() {
    let Some(target) = Target::container_in("no", &["--ignore-term", "sleep"]) else {
        return;
    };
    let bench = Bench::new();
    let before = target.look();
    let document = Document {
        target: &target,
        inject: "container_stop: { grace: 6s }",
        irreversible: false,
        on: "",
        duration: "60s",
    };
    let id = target.container_do(async |container| container.id().to_owned());
    let mut run = bench.run(&document.text());
    let (directory, _) = run.begun();
    soon(LIMIT, "the engine stops the container", || {
        asked(&format!("/events?since=0&until={}&filters={}", now(), filter(&id)))
            .contains("\"signal\":\"15\"")
            .then_some(())
    });
    signal(run.process(), INT);
    let said = run.wait(LIMIT);
    let ended = jiff::Timestamp::now();
    assert_eq!(target.look(), before, "{said:?}");
    let details: serde_json::Value = serde_json::from_str(&asked(&format!("/containers/{id}/json"))).unwrap();
    let up: jiff::Timestamp = details["State"]["StartedAt"].as_str().unwrap().parse().unwrap();
    let down_and_up = ended.duration_since(up);
    assert!(
        down_and_up.unsigned_abs() > BEFORE_THE_END,
        "it was up again only {down_and_up:?} before the end: {said:?}"
    );
    let proof = certificate(&directory).expect("there is a certificate");
    assert!(proof.is_clean(), "{proof:?}");
    assert_eq!(proof.lines[0].undo, "restored");
    assert!(proof.lines[0].seen.contains("a call that was cut off"), "{proof:?}");
    assert!(
        proof.lines[0].engine_millis < proof.lines[0].millis,
        "waiting is not the engine's: {proof:?}"
    );
    assert!(said.out.contains("took effect and was taken back"), "{said:?}");
    assert!(
        !said.out.contains("never applied") && !said.out.contains("no fault was on"),
        "{said:?}"
    );
    bench.finish();
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second() + 1
}

/// The events of signals to one container, as the engine's API wants it: JSON in a URL (RFC 3986, section 2.1).
fn filter(id: &str) -> String {
    let json = format!("{{\"container\":[\"{id}\"],\"event\":[\"kill\"]}}");
    let mut text = String::new();
    for byte in json.bytes() {
        write!(text, "%{byte:02x}").unwrap();
    }
    text
}

/// What the engine answers, by plain HTTP over its socket.
fn asked(path: &str) -> String {
    let host = std::env::var("FRACAS_TEST_DOCKER_HOST").unwrap();
    let mut socket = UnixStream::connect(host.strip_prefix("unix://").unwrap()).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    write!(
        socket,
        "GET {path} HTTP/1.0\r\nHost: docker\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
        .split_once("\r\n\r\n")
        .map_or_else(String::new, |(_, body)| body.to_owned())
}
