//! `fracas proxy` as the way out: tunnels by its flags, with curl as the client.

use std::process::Command;

use crate::cli::Cli;
use crate::proxied::{Proxied, address};
use crate::support::{LIMIT, soon};

/// The status of a request through a tunnel, behind the one of the tunnel.
#[expect(clippy::disallowed_methods, reason = "a real client is another program")]
fn through(proxy: &Proxied, url: &str) -> String {
    let by = format!("http://127.0.0.1:{}", proxy.address.port());
    let output = Command::new("curl")
        .args([
            "-s",
            "--noproxy",
            "",
            "--max-time",
            "30",
            "-o",
            "/dev/null",
            "-w",
            "%{http_connect} %{http_code}",
        ])
        .args(["--proxytunnel", "--proxy", &by, url])
        .output()
        .expect("curl is there");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn tunnels_are_opened_where_it_is_allowed() {
    let cli = Cli::new();
    let server = Proxied::start(&cli, &[]);
    let url = format!("http://{}/", server.address);
    assert_eq!(through(&Proxied::start(&cli, &[]), &url), "501 000");
    let words = ["--connect", "--toxiproxy-api", "0", "--metrics-listen", "127.0.0.1:0"];
    let proxy = Proxied::start(&cli, &words);
    assert_eq!(through(&proxy, &url), "200 200");
    assert_eq!(through(&proxy, "http://192.0.2.1/"), "403 000");
    let api = soon(LIMIT, "it says where that API is", || {
        address(&proxy.going.err(), "toxiproxy: http://")
    });
    assert_eq!(through(&proxy, &format!("http://{api}/version")), "403 000");
    let metrics = address(&proxy.going.err(), "metrics: http://").expect("it says where they are");
    assert_eq!(through(&proxy, &format!("http://{metrics}/metrics")), "403 000");
    let elsewhere = Proxied::start(&cli, &["--connect", "--allow-upstream", "10.0.0.0/8"]);
    assert_eq!(through(&elsewhere, &url), "403 000");
    let here = [
        "--connect",
        "--allow-upstream",
        "10.0.0.0/8",
        "--allow-upstream",
        "127.0.0.0/8",
    ];
    assert_eq!(through(&Proxied::start(&cli, &here), &url), "200 200");
    assert!(!proxy.going.err().contains("warning"));
    let words = ["--connect", "--allow-upstream", "10.0.0.1/8"];
    let said = cli.run(&[&["proxy", "--listen", "0"][..], &words].concat());
    assert_eq!(said.code, 2, "{}", said.err);
}

// By Toxiproxy's API a hook could have a port opened that leads to where `--allow-upstream` does not.
#[test]
fn hooks_reach_none_of_its_own_ports() {
    let cli = Cli::new();
    let words = ["--toxiproxy-api", "0", "--metrics-listen", "127.0.0.1:0"];
    let proxy = Proxied::start(&cli, &words);
    let toxiproxy = soon(LIMIT, "it says where that API is", || {
        address(&proxy.going.err(), "toxiproxy: http://")
    });
    let metrics = address(&proxy.going.err(), "metrics: http://").expect("it says where they are");
    for url in [
        format!("http://{toxiproxy}/version"),
        format!("http://{metrics}/metrics"),
        format!("http://{}/api/chaos/status", proxy.address),
    ] {
        let whole = format!(
            r#"{{"name":"o","steps":[{{"name":"a","duration_seconds":0.01,"pre_hooks":[{{"http_request":{{"url":"{url}"}}}}]}}]}}"#
        );
        let length = whole.len();
        let head = format!("host: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
        let start = "POST /api/chaos/orchestration/start HTTP/1.1";
        let said = proxy.exchange(&format!("{start}\r\n{head}connection: close\r\n\r\n{whole}"));
        assert_eq!(said.status(), "200");
        let why = soon(LIMIT, "it is over", || {
            let status = proxy.get("/api/chaos/orchestration/status", "a").body;
            status.contains(r#""is_running":false"#).then_some(status)
        });
        assert!(why.contains("is of the proxy itself"), "{url}: {why}");
    }
}

#[test]
fn who_opens_tunnels_for_others_is_warned() {
    let cli = Cli::new();
    let going = cli.start(&["proxy", "--listen", "0.0.0.0:0", "--connect"]);
    let says = "can have tunnels opened from this machine (--connect)";
    going.until("it warns", || going.err().contains(says));
}
