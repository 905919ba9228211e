//! How the fault on requests ends: what is under way, what is held, and a worker that does not end.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use fracas_core::record::Landed;
use fracas_lab::{eventually, eventually_async};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use fracas_linux::process;
use serde_json::{Value, json};

use crate::fixture::{LIMIT, Stage, signal};
use crate::impairments::{MS, also, dose, off, on, place, stage};
use crate::requests::{CALL, PORT, SERVE, all_503, connect, echo, get, here, listening, rest, served, status};

tests! {
    requests_that_are_taken_meet_nothing_when_the_table_is_gone,
    requests_of_far_clients_that_are_just_coming_pass,
    requests_that_are_held_pass_when_it_ends,
    requests_that_do_not_end_in_time_are_reset,
    requests_of_a_meter_that_is_cut_off_do_not_come_to_the_program,
    requests_are_not_held_up_by_a_proxy_that_is_stopped_when_it_ends,
    a_stopped_proxy_in_front_of_a_port_is_no_outage,
    a_killed_proxy_in_front_of_a_port_leaves_nothing_behind,
}

const SIGKILL: i32 = 9;
const SIGSTOP: i32 = 19;

/// Asks the worker until it has so many requests of others.
pub fn came(to: SocketAddr, undo: &Value, count: u64) {
    let secret = undo["secret"].as_str().unwrap();
    eventually(LIMIT, "the request is taken", || {
        let report = get(&here(), to, &format!("x-fracas-report: {secret}\r\n"));
        let (_, numbers) = report.split_once("\r\n\r\n").unwrap();
        numbers.split(' ').next() == Some(&count.to_string())
    });
}

/// Sends a whole request, and gives what comes back in a thread.
fn ask(to: SocketAddr, headers: &str) -> JoinHandle<String> {
    let mut stream = connect(&here(), to);
    write!(
        stream,
        "GET /healthz HTTP/1.1\r\nHost: it\r\n{headers}Connection: close\r\n\r\n"
    )
    .unwrap();
    std::thread::spawn(move || rest(&stream))
}

pub fn has_table(there: &NetNamespace) -> bool {
    !there.within(|| Netlink::netfilter()?.tables()).unwrap().is_empty()
}

async fn requests_that_are_taken_meet_nothing_when_the_table_is_gone() {
    let Some((place, node)) = place(&SERVE) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    served(&place, PORT);
    let stage = stage(node, "http", all_503()).await;
    let undo = on(&stage).await;
    let mut slow = connect(&here(), to);
    slow.write_all(b"GET /heal").unwrap();
    let there = place.there.within(NetNamespace::ours).unwrap();
    // In the very moment in which there is no table.
    let slowly = std::thread::spawn(move || {
        while has_table(&there) {
            std::thread::yield_now();
        }
        slow.write_all(b"thz HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n")
            .unwrap();
        rest(&slow)
    });
    off(&stage, &undo).await;
    let answer = slowly.join().unwrap();
    assert_eq!(status(&answer), "200", "{answer}");
    assert!(!answer.contains("x-fracas"), "{answer}");
}

async fn requests_of_far_clients_that_are_just_coming_pass() {
    let Some((place, node)) = place(&SERVE) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    served(&place, PORT);
    // Four times as far as the worker waits for anybody.
    let far = stage(node, "delay", json!({ "mean": "600ms" })).await;
    let delayed = on(&far).await;
    let stage = also(&far, "http", all_503());
    let undo = on(&stage).await;
    let coming = std::thread::spawn(move || get(&here(), to, ""));
    let mut sockets = place.there.within(Netlink::sockets).unwrap();
    eventually(LIMIT, "somebody is just coming", || sockets.is_opening(PORT).unwrap());
    off(&stage, &undo).await;
    let answer = coming.join().unwrap();
    assert_eq!(status(&answer), "200", "{answer}");
    off(&far, &delayed).await;
}

async fn requests_that_are_held_pass_when_it_ends() {
    let Some((place, node)) = place(&SERVE) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    served(&place, PORT);
    let first = stage(node, "http", all_503()).await;
    let delay = json!({ "fixed_delay_ms": 60_000 });
    for (chaos, count) in [
        (json!({ "latency": delay }), 1),
        // What would have failed after its delay does not.
        (
            json!({ "latency": delay, "fault_injection": { "http_errors": [500], "http_error_probability": 1 } }),
            1,
        ),
        (
            json!({ "fault_injection": { "http_errors": [], "timeout_errors": true, "timeout_ms": 60_000, "timeout_probability": 1 } }),
            1,
        ),
        // One that is held has the only place, and the other one waits for it.
        (
            json!({ "latency": delay, "bulkhead": { "max_concurrent_requests": 1, "max_queue_size": 1, "queue_timeout_ms": 60_000 } }),
            2,
        ),
    ] {
        let stage = also(&first, "http", json!({ "port": PORT, "chaos": chaos }));
        let undo = on(&stage).await;
        let asked: Vec<_> = (0..count).map(|_| ask(to, "")).collect();
        came(to, &undo, count);
        let began = Instant::now();
        off(&stage, &undo).await;
        let took = began.elapsed();
        for answer in asked {
            let answer = answer.join().unwrap();
            assert_eq!(status(&answer), "200", "{}: {answer}", stage.params);
        }
        assert!(took < 5000 * MS, "{}: {took:?}", stage.params);
    }
}

/// A server that answers all requests but those that say that it shall be slow.
fn slow_server(there: &NetNamespace) {
    let server = there
        .within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)))
        .unwrap();
    std::thread::spawn(move || {
        let mut slow = Vec::new();
        for stream in server.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            let mut said = [0; 4096];
            let length = stream.read(&mut said).unwrap_or_default();
            if said[..length]
                .windows(6)
                .any(|part| part.eq_ignore_ascii_case(b"x-slow"))
            {
                slow.push(stream);
            } else {
                // The client may be gone.
                let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        }
    });
}

async fn requests_that_do_not_end_in_time_are_reset() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    slow_server(&place.there);
    let params = json!({ "port": PORT, "chaos": { "latency": { "fixed_delay_ms": 1 } } });
    let stage = stage(node, "http", params).await;
    let undo = on(&stage).await;
    let mut slow = connect(&here(), to);
    slow.write_all(b"GET / HTTP/1.1\r\nHost: it\r\nx-slow: yes\r\n\r\n")
        .unwrap();
    came(to, &undo, 1);
    let began = Instant::now();
    let (undone, ()) = tokio::join!(
        async {
            off(&stage, &undo).await;
            began.elapsed()
        },
        async {
            eventually_async(LIMIT, "new ones come to the program", || async {
                let answer = tokio::task::spawn_blocking(move || get(&here(), to, ""));
                let answer = answer.await.unwrap();
                status(&answer) == "200" && !answer.contains("x-fracas")
            })
            .await;
            assert!(began.elapsed() < 1000 * MS, "{:?}", began.elapsed());
        }
    );
    assert!(undone >= 9500 * MS && undone < 12_000 * MS, "{undone:?}");
    let error = slow.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

/// A server that keeps the first words of all who come.
fn recorder(there: &NetNamespace) -> Arc<Mutex<Vec<String>>> {
    let server = there
        .within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)))
        .unwrap();
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let all = Arc::clone(&heard);
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let (mut stream, all) = (stream.unwrap(), Arc::clone(&all));
            std::thread::spawn(move || {
                let mut said = [0; 4096];
                let length = stream.read(&mut said).unwrap_or_default();
                all.lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&said[..length]).into_owned());
            });
        }
    });
    heard
}

/// Whether a thread of this process by this name is there.
fn goes_on(name: &str) -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    threads.flatten().any(|thread| {
        let its = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        its.trim_end() == name
    })
}

async fn requests_of_a_meter_that_is_cut_off_do_not_come_to_the_program() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    let heard = recorder(&place.there);
    let mut params = all_503();
    params["chaos"]["fault_injection"]["http_error_probability"] = json!(0.5);
    let stage = stage(node, "http", params).await;
    let undo = on(&stage).await;
    // Twenty, one every 50 ms: it ends in their midst.
    let cut_off = tokio::time::timeout(300 * MS, dose(&stage, &undo)).await;
    assert!(cut_off.is_err(), "{cut_off:?}");
    off(&stage, &undo).await;
    eventually(LIMIT, "the meter has ended", || !goes_on("fracas-bounded"));
    let mut last = connect(&here(), to);
    last.write_all(b"the last").unwrap();
    // What was sent before it has come before it.
    eventually(LIMIT, "the program hears", || {
        heard.lock().unwrap().contains(&"the last".to_owned())
    });
    let heard = heard.lock().unwrap();
    assert!(!heard.iter().any(|said| said.contains("x-fracas")), "{heard:?}");
}

/// The pid of the worker of a stage: it is in a group that is named after it.
fn worker(stage: &Stage) -> u32 {
    let children = process::descendants(std::process::id()).unwrap();
    let is_its = |pid: u32| {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        groups.contains(&stage.cx.trace_name())
    };
    let mut workers = children.iter().map(|child| child.identity.pid);
    workers.find(|pid| is_its(*pid)).expect("there is a worker")
}

async fn requests_are_not_held_up_by_a_proxy_that_is_stopped_when_it_ends() {
    let Some((place, node)) = place(&SERVE) else { return };
    served(&place, PORT);
    let stage = stage(node, "http", all_503()).await;
    let undo = on(&stage).await;
    signal(worker(&stage), SIGSTOP);
    let began = Instant::now();
    off(&stage, &undo).await;
    let took = began.elapsed();
    assert!(took < 5000 * MS, "{took:?}");
}

async fn a_stopped_proxy_in_front_of_a_port_is_no_outage() {
    let Some((place, node)) = place(&CALL) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    served(&place, PORT);
    let stage = stage(node, "http", all_503()).await;
    let undo = on(&stage).await;
    signal(worker(&stage), SIGSTOP);
    let began = Instant::now();
    let mut waits = connect(&here(), to);
    waits.write_all(b"GET /healthz HTTP/1.1\r\nHost: it\r\n\r\n").unwrap();
    // Who came while it was stopped is let go when it is killed; who comes then is answered.
    let waited = tokio::task::spawn_blocking(move || rest(&waits)).await.unwrap();
    assert_eq!(waited, "");
    let let_go = began.elapsed();
    assert!(let_go < 3000 * MS, "{let_go:?}");
    let answer = get(&here(), to, "");
    assert_eq!(status(&answer), "200", "{answer}");
    let dose = dose(&stage, &undo).await;
    let Landed::No(why) = &dose.landed else {
        panic!("{dose:?}")
    };
    assert!(why.contains("it was stopped, or hung, and was killed"), "{why}");
    off(&stage, &undo).await;
}

async fn a_killed_proxy_in_front_of_a_port_leaves_nothing_behind() {
    let Some((place, node)) = place(&["sleep"]) else { return };
    let to = SocketAddr::from((node.ports()[0].address, PORT));
    echo(&place.there, PORT);
    let mut before = connect(&here(), to);
    let mut says = |words: &[u8]| {
        before.write_all(words).unwrap();
        let mut heard = vec![0; words.len()];
        before.read_exact(&mut heard).unwrap();
        assert_eq!(heard, words);
    };
    says(b"before");
    let params = json!({ "port": PORT, "chaos": { "latency": { "fixed_delay_ms": 60_000 } } });
    let stage = stage(node, "http", params).await;
    let undo = on(&stage).await;
    says(b"during");
    let mut held = connect(&here(), to);
    held.write_all(b"GET / HTTP/1.1\r\nHost: it\r\n\r\n").unwrap();
    signal(worker(&stage), SIGKILL);
    // Whoever was in it finds an end; whoever comes from now on finds the program itself.
    assert_eq!(rest(&held), "");
    eventually(LIMIT, "the rule is gone", || {
        !place
            .there
            .within(|| Ok(!Netlink::netfilter()?.tables()?.is_empty()))
            .unwrap()
    });
    let mut after = connect(&here(), to);
    after.write_all(b"GET /").unwrap();
    after.read_exact(&mut [0; 5]).unwrap();
    says(b"after");
    assert_eq!(listening(&place.there), [PORT]);
    let dose = dose(&stage, &undo).await;
    assert!(matches!(dose.landed, Landed::No(_)), "{dose:?}");
    off(&stage, &undo).await;
    says(b"in the end");
}
