//! Hooks of orchestrations: what they do, what they may not, and that they end.

use std::path::Path;
use std::time::Instant;

use fracas_proxy::Orchestrations;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::orchestrations::{LONG, api, call, ended, fails, fails_always, get, start, status};
use crate::stand::{LIMIT, Stand, soon, wish};
use crate::upstream::Upstream;

fn may_run() -> Orchestrations {
    Orchestrations {
        allow_exec: true,
        ..Orchestrations::default()
    }
}

/// One whose step has these hooks before it.
fn hooked(hooks: Value) -> Value {
    let mut step = fails("a", 503, 0.02);
    step["pre_hooks"] = hooks;
    json!({ "name": "o", "steps": [step] })
}

fn sends(url: &str) -> Value {
    json!([{ "http_request": { "url": url } }])
}

fn runs(argv: &[&str]) -> Value {
    json!([{ "command": { "argv": argv } }])
}

/// Why its step failed, once it is over.
async fn failure(proxy: &Stand, orchestration: Value) -> String {
    let said = start(proxy, orchestration).await;
    assert_eq!(said.status(), 200, "{}", said.text());
    let over = ended(proxy).await;
    over["steps"][0]["failures"][0].as_str().unwrap_or("none").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_configured_is_back_when_hooks_run_behind_all() {
    let proxy = wish(&fails_always(501)).start();
    let own = sends(&proxy.url("/"));
    // Before its first step nothing is done to traffic, and so its request passes.
    let whole = json!({ "name": "o", "pre_hooks": own, "post_hooks": own, "steps": [fails("a", 503, 0.02)] });
    start(&proxy, whole).await;
    let over = ended(&proxy).await;
    assert_eq!(
        (&over["state"], &over["steps"][0]["state"]),
        (&json!("failed"), &json!("passed"))
    );
    let why = over["failures"].to_string();
    assert!(why.contains("hook http_request: ") && why.contains("501"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_fails_keeps_its_step_from_acting() {
    let server = wish(&fails_always(504)).start();
    let proxy = wish("{}").start();
    for (goes_on, state) in [(false, "failed"), (true, "completed")] {
        let mut step = fails("a", 503, LONG);
        step["pre_hooks"] = sends(&server.url("/"));
        step["continue_on_failure"] = json!(goes_on);
        start(
            &proxy,
            json!({ "name": "o", "steps": [step, { "name": "b", "duration_seconds": 0.02 }] }),
        )
        .await;
        let over = ended(&proxy).await;
        assert_eq!(over["state"], state);
        let why = over["steps"][0]["failures"][0].as_str().unwrap();
        assert!(why.contains("the answer was 504"), "{why}");
        assert_eq!(over["steps"][0]["faults"], 0);
    }
    // Before all it keeps all of them.
    let whole = json!({ "name": "o", "pre_hooks": sends(&server.url("/")), "steps": [fails("a", 503, LONG)] });
    start(&proxy, whole).await;
    let over = ended(&proxy).await;
    assert_eq!(
        (&over["state"], &over["steps"][0]["state"]),
        (&json!("failed"), &json!("pending"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_arrives() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}/a?b=c", server.local_addr().unwrap().port());
    let heard = tokio::spawn(async move {
        let (mut stream, _) = server.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"{\"x\":1}") {
            let mut more = [0; 1024];
            let count = stream.read(&mut more).await.unwrap();
            assert!(count > 0, "{:?}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&more[..count]);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        String::from_utf8(heard).unwrap()
    });
    let proxy = wish("{}").start();
    let hook = json!([{ "http_request": { "url": url, "method": "PUT", "body": "{\"x\":1}" } }]);
    assert_eq!(failure(&proxy, hooked(hook)).await, "none");
    let heard = heard.await.unwrap();
    assert!(heard.starts_with("PUT /a?b=c HTTP/1.1\r\n"), "{heard}");
    assert!(
        heard.contains("host: localhost:")
            && heard.contains("connection: close\r\n")
            && heard.contains("content-type: application/json\r\n"),
        "{heard}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_make_no_sense_or_have_no_end_are_bounded() {
    for (answer, repeats, why) in [
        ("nonsense\r\n\r\n", 1, "hook http_request"),
        ("", 1, "hook http_request"),
        ("HTTP/1.1 200 OK\r\n", 1_000_000, "hook http_request"),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n",
            1,
            "none",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            1_000_000,
            "none",
        ),
    ] {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", server.local_addr().unwrap());
        let answering = tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut more = [0; 1024];
            assert!(stream.read(&mut more).await.unwrap() > 0);
            for _ in 0..repeats {
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let proxy = wish("{}").start();
        let said = failure(&proxy, hooked(sends(&url))).await;
        assert!(said.starts_with(why), "{answer:?}: {said}");
        answering.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_others_unless_it_is_allowed_and_never_to_metadata() {
    let proxy = wish("{}").start();
    let said = failure(&proxy, hooked(sends("http://192.0.2.1/"))).await;
    assert!(said.contains("`--allow-upstream 192.0.2.1`"), "{said}");
    let all = ["0.0.0.0/0", "::/0"].map(|network| network.parse().unwrap());
    let proxy = wish("{}")
        .orchestrations(Orchestrations {
            allow_upstream: all.to_vec(),
            ..Orchestrations::default()
        })
        .start();
    for host in [
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "2852039166",
        "0xA9FEA9FE",
    ] {
        let begun = Instant::now();
        let said = failure(&proxy, hooked(sends(&format!("http://{host}/latest/meta-data/")))).await;
        assert!(
            said.contains("nothing is ever sent there") || !host.contains(['.', ':']),
            "{host}: {said}"
        );
        assert!(said != "none" && begun.elapsed() < LIMIT, "{host}: {said}");
    }
    // It is said of the network, and not of one address.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let said = failure(&proxy, hooked(sends(&format!("http://{closed}/")))).await;
    assert!(said.contains("refused"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_changes_nothing_by_the_api_of_its_own_proxy() {
    let both = wish(&fails_always(501)).start();
    let apart = wish(&fails_always(501)).api_elsewhere().start();
    let body = json!({ "content": hooked(sends("http://127.0.0.1/")).to_string() }).to_string();
    for (proxy, host) in [
        (&both, "127.0.0.1"),
        (&both, "localhost"),
        (&both, "[::ffff:127.0.0.1]"),
        (&apart, "localhost"),
    ] {
        let url = format!("http://{host}:{}/api/chaos/orchestration/import", proxy.api.port());
        let hook = json!([{ "http_request": { "url": url, "method": "POST", "body": body } }]);
        let said = failure(proxy, hooked(hook)).await;
        assert!(said.contains("is of the proxy itself"), "{url}: {said}");
        assert_eq!(call(proxy, "GET", "/orchestration/export").await.status(), 404, "{url}");
    }
    // Of an API at an address of its own no path is anything else, and what only begins as its path is traffic.
    let said = failure(&apart, hooked(sends(&format!("http://{}/", apart.api)))).await;
    assert!(said.contains("is of the proxy itself"), "{said}");
    let said = failure(&both, hooked(sends(&both.url("/api/chaos-of-others")))).await;
    assert_eq!(said, "none");
    // It is that of another proxy.
    let said = failure(&apart, hooked(sends(&both.url("/api/chaos/status")))).await;
    assert_eq!(said, "none");
}

/// A proxy that begins with an orchestration that asks the proxy's own API, and that.
fn with_first() -> (Stand, Value) {
    loop {
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = held.local_addr().unwrap();
        let first = hooked(sends(&format!("http://{at}/api/chaos/status")));
        let wish = wish("{}").api_at(at).orchestrations(Orchestrations {
            first: Some(serde_json::from_value(first.clone()).unwrap()),
            ..Orchestrations::default()
        });
        drop(held);
        // Somebody else may have been given the port in between.
        if let Some(proxy) = wish.start_unless_taken() {
            return (proxy, first);
        }
    }
}

// As whoever else is on this machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_reaches_the_upstream_of_a_listener() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").beside("b", Some(&upstream.url())).start();
    let by_b = sends(&format!("http://{}/asked", proxy.at("b")));
    assert_eq!(failure(&proxy, hooked(by_b)).await, "none");
    let seen = upstream.seen();
    assert!(seen.len() == 1 && seen[0].line.contains("/asked"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_could_run_a_program_may_use_the_api() {
    let own = |proxy: &Stand| sends(&format!("http://{}/api/chaos/status", proxy.api));
    let proxy = wish("{}").orchestrations(may_run()).start();
    assert_eq!(failure(&proxy, hooked(own(&proxy))).await, "none");
    // So does the one that was named when the proxy was started.
    let (proxy, first) = with_first();
    assert_eq!(ended(&proxy).await["state"], "completed");
    let said = failure(&proxy, first).await;
    assert!(said.contains("is of the proxy itself"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_ours_is_kept_from_hooks_also_where_all_may_be_asked() {
    let server = wish("{}").start();
    let url = server.url("/");
    for (own, is_kept) in [(vec![server.address.port()], true), (Vec::new(), false)] {
        let proxy = wish("{}")
            .orchestrations(Orchestrations {
                allow_upstream: vec!["0.0.0.0/0".parse().unwrap()],
                own,
                ..Orchestrations::default()
            })
            .start();
        let said = failure(&proxy, hooked(sends(&url))).await;
        assert_eq!(said.contains("is of the proxy itself"), is_kept, "{said}");
        assert_eq!(said == "none", !is_kept, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_run_for_a_file_of_the_proxy_and_not_for_the_api() {
    let place = tempfile::tempdir().unwrap();
    let made = place.path().join("made");
    let hook = runs(&["/bin/touch", made.to_str().unwrap()]);
    let whole = hooked(hook.clone());
    let proxy = wish("{}").start();
    let behind = json!({ "name": "o", "post_hooks": hook, "steps": [fails("a", 503, 0.02)] });
    for text in [&whole, &behind] {
        for (path, body) in [
            ("/orchestration/start", text.clone()),
            ("/orchestration/import", json!({ "content": text.to_string() })),
        ] {
            let said = api(&proxy, "POST", path, &body).await;
            assert_eq!(said.status(), 403, "{}", said.text());
            assert!(said.text().contains("--allow-exec"), "{}", said.text());
        }
    }
    assert_eq!(call(&proxy, "GET", "/orchestration/export").await.status(), 404);
    assert!(!made.exists());

    let first = serde_json::from_value(whole.clone()).unwrap();
    let proxy = wish("{}")
        .orchestrations(Orchestrations {
            first: Some(first),
            ..Orchestrations::default()
        })
        .start();
    soon("it has begun and is over", || made.exists()).await;
    assert_eq!(ended(&proxy).await["state"], "completed");
    // That it began with one lets no other do so.
    assert_eq!(start(&proxy, whole.clone()).await.status(), 403);

    std::fs::remove_file(&made).unwrap();
    let proxy = wish("{}").orchestrations(may_run()).start();
    assert_eq!(failure(&proxy, whole).await, "none");
    assert!(made.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_fails_says_why_and_no_more() {
    let proxy = wish("{}").orchestrations(may_run()).start();
    for (argv, why) in [
        (
            &["/bin/sh", "-c", "echo no room >&2; exit 7"][..],
            "/bin/sh ended with exit code 7: no room",
        ),
        (&["/bin/sh", "-c", "kill -9 $$"], "/bin/sh ended with signal 9"),
        (&["/nowhere/program"], "/nowhere/program: "),
        // There is no shell.
        (&["echo hello; true"], "echo hello; true: "),
    ] {
        let said = failure(&proxy, hooked(runs(argv))).await;
        assert!(said.starts_with(&format!("hook command: {why}")), "{argv:?}: {said}");
    }
    let said = failure(
        &proxy,
        hooked(runs(&["/bin/sh", "-c", "yes | head -c 9000000 >&2; exit 1"])),
    )
    .await;
    assert!(said.len() < 2000, "{} bytes", said.len());
    let mut slow = hooked(runs(&["/bin/sleep", "1000"]));
    slow["steps"][0]["pre_hooks"][0]["command"]["timeout_seconds"] = json!(0.1);
    let said = failure(&proxy, slow).await;
    assert!(said.ends_with("did not end within 0.1 s, and was killed"), "{said}");
}

/// Begins one whose program tells its pid and goes on, and gives the pid.
async fn goes_on(proxy: &Stand, place: &Path) -> String {
    let file = place.join("pid");
    let script = format!("echo $$ >{0}.part; mv {0}.part {0}; exec sleep 1000", file.display());
    let mut whole = hooked(runs(&["/bin/sh", "-c", &script]));
    whole["steps"][0]["pre_hooks"][0]["command"]["timeout_seconds"] = json!(60);
    assert_eq!(start(proxy, whole).await.status(), 200);
    soon("the program runs", || file.exists()).await;
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_programs_at_once() {
    let place = tempfile::tempdir().unwrap();
    let mut proxy = wish(&fails_always(501)).orchestrations(may_run()).start();
    let pid = goes_on(&proxy, place.path()).await;
    assert_eq!(status(&proxy).await["steps"][0]["state"], "waiting");
    assert_eq!(get(&proxy).await, 200);
    call(&proxy, "POST", "/orchestration/stop").await;
    assert_eq!(get(&proxy).await, 501);
    let over = status(&proxy).await;
    assert_eq!(
        (&over["state"], &over["steps"][0]["state"]),
        (&json!("stopped"), &json!("cut"))
    );
    soon("the program is gone", || !Path::new("/proc").join(&pid).exists()).await;
    // So does the end of the proxy.
    std::fs::remove_file(place.path().join("pid")).unwrap();
    let pid = goes_on(&proxy, place.path()).await;
    proxy.ask_to_stop();
    soon("the program is gone", || !Path::new("/proc").join(&pid).exists()).await;
    assert_eq!(proxy.ended().await.cut, 0);
}
