use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Instant;

use super::*;

/// A server on loopback that reads a request and answers each connection with the same bytes, then closes. Gives its address and
/// everything that it was asked.
fn server(answers: Vec<Vec<u8>>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut peer, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && peer.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            asked.push(String::from_utf8(head).unwrap());
            // The client may hang up in the middle of an answer that it does not like.
            let _hung_up = peer.write_all(&answer);
        }
        asked
    });
    (address, thread)
}

fn http(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// What an engine answers to a ping: everything that is to be agreed on is in the head.
fn ping(api: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nApi-Version: {api}\r\nContent-Length: 2\r\n\r\nOK").into_bytes()
}

async fn refused(answer: Vec<u8>) -> Box<Problem> {
    // Some answers to a ping have the version asked for, too: then it is the same.
    let (address, _server) = server(vec![answer.clone(), answer]);
    Engine::connect(Some(&address)).await.unwrap_err()
}

#[tokio::test]
async fn nobody_at_the_address_is_x001_with_the_address() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tcp = format!("tcp://{free}");
    for address in ["unix:///no/such/socket", &tcp] {
        let problem = Engine::connect(Some(address)).await.unwrap_err();
        assert_eq!(problem.code.id, "X001");
        assert!(problem.what.contains(address), "{}", problem.line());
    }
}

#[tokio::test]
async fn whoever_is_not_an_engine_is_x002() {
    for (answer, why) in [
        (http("200 OK", "<html>hello</html>"), "JSON"),
        (http("404 Not Found", "<html>no</html>"), "page"),
        (http("500 Oops", "{\"message\":\"no\"}"), "500"),
        (http("200 OK", "{\"ApiVersion\":\"1.4"), ""),
        (http("200 OK", "{}"), "API version"),
        (http("200 OK", "{\"ApiVersion\":\"banana\"}"), "banana"),
        (http("200 OK", "{\"ApiVersion\":\"1.12\"}"), "older"),
        (ping("banana"), "banana"),
        (ping("1.12"), "older"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{".to_vec(),
            "end of file",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "HTTP"),
        (Vec::new(), "broke off"),
    ] {
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let problem = refused(answer).await;
        assert_eq!(problem.code.id, "X002", "{shown}: {}", problem.line());
        assert!(problem.line().contains(why), "{shown}: {}", problem.line());
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        // An answer before the question would be another mistake.
        assert!(peer.read(&mut [0; 4096]).unwrap() > 0);
        peer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let chunk = vec![b' '; 1 << 20];
        let mut sent = 0u64;
        while peer.write_all(&chunk).is_ok() {
            sent += 1;
        }
        sent
    });
    let problem = Engine::connect(Some(&address)).await.unwrap_err();
    assert_eq!(problem.code.id, "X002", "{}", problem.line());
    assert!(problem.line().contains("longer than 64 MiB"), "{}", problem.line());
    // The kernel's buffers hold a few more.
    assert!(thread.join().unwrap() < 100);
}

#[tokio::test]
async fn an_engine_that_says_nothing_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let begun = Instant::now();
    let problem = Engine::connect(Some(&address)).await.unwrap_err();
    assert_eq!(problem.code.id, "X001");
    assert!(problem.line().contains("within 5s"), "{}", problem.line());
    assert!(begun.elapsed() < LIMIT * 2);
    drop(listener);
}

#[tokio::test]
async fn the_older_of_two_api_versions_is_spoken() {
    for (theirs, spoken) in [("1.41", "/v1.41/"), ("1.999", "/v1.53/")] {
        let (address, thread) = server(vec![ping(theirs), http("200 OK", "[]")]);
        let engine = Engine::connect(Some(&address)).await.unwrap();
        assert_eq!(engine.list(false).await.unwrap(), []);
        let asked = thread.join().unwrap();
        assert!(asked[0].starts_with("GET /_ping HTTP/1.1\r\n"), "{}", asked[0]);
        assert!(
            asked[1].starts_with(&format!("GET {spoken}containers/json?")),
            "{}",
            asked[1]
        );
    }
}

#[tokio::test]
async fn who_keeps_the_version_out_of_pings_is_asked_for_it() {
    for greeting in [http("200 OK", "OK"), http("403 Forbidden", "{\"message\":\"no\"}")] {
        let version = http("200 OK", "{\"ApiVersion\":\"1.40\"}");
        let (address, thread) = server(vec![greeting, version, http("200 OK", "[]")]);
        let engine = Engine::connect(Some(&address)).await.unwrap();
        assert_eq!(engine.list(false).await.unwrap(), []);
        let asked = thread.join().unwrap();
        assert!(asked[1].starts_with("GET /version HTTP/1.1\r\n"), "{}", asked[1]);
        assert!(asked[2].starts_with("GET /v1.40/containers/json?"), "{}", asked[2]);
    }
}

#[tokio::test]
async fn an_engine_is_called_by_its_own_program() {
    // As Docker 20.10 and Podman 4.3 answer, in short.
    let version = |component: &str| {
        http(
            "200 OK",
            &format!("{{\"ApiVersion\":\"1.41\",\"Components\":[{{\"Name\":\"{component}\",\"Version\":\"4.3.1\"}}]}}"),
        )
    };
    let of_podman = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nLibpod-Api-Version: 4.3.1\r\nContent-Length: 0\r\n\r\n";
    for (answers, program) in [
        (vec![ping("1.41")], "docker -H"),
        (vec![of_podman.to_vec()], "podman --url"),
        (vec![http("200 OK", "OK"), version("Engine")], "docker -H"),
        (vec![http("200 OK", "OK"), version("Podman Engine")], "podman --url"),
    ] {
        let (address, thread) = server(answers);
        let engine = Engine::connect(Some(&address)).await.unwrap();
        thread.join().unwrap();
        assert_eq!(engine.program(), format!("{program} {address}"));
    }
}

#[tokio::test]
async fn a_name_never_becomes_another_path() {
    let (address, thread) = server(vec![ping("1.41")]);
    let engine = Engine::connect(Some(&address)).await.unwrap();
    thread.join().unwrap();
    for name in [
        "",
        "..",
        ".",
        "a/b",
        "a?b",
        "a b",
        "a#b",
        "a%2fb",
        "ü",
        &"x".repeat(256),
    ] {
        let problem = engine.inspect(name).await.unwrap_err();
        assert_eq!(problem.code.id, "X003", "{name:?}: {}", problem.line());
    }
}

#[tokio::test]
async fn descriptors_that_were_set_aside_are_counted_once() {
    let (address, thread) = server(vec![ping("1.41")]);
    let engine = Engine::connect(Some(&address)).await.unwrap();
    thread.join().unwrap();
    let nulls = || {
        std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter(|target| target == std::path::Path::new("/dev/null"))
            .count()
    };
    let before = nulls();
    engine.reserve(3).unwrap();
    engine.reserve(3).unwrap();
    assert_eq!(nulls(), before + 3);
    drop(engine);
    assert_eq!(nulls(), before);
}
