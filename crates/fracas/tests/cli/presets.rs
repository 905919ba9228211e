//! Flags of `fracas proxy` that mean several keys at once, and the file that may change: each seen in what happens to traffic.

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use crate::cli::Cli;
use crate::proxied::{Got, Proxied, get};
use crate::support::{LIMIT, soon};

fn api(proxy: &Proxied, path: &str) -> Value {
    serde_json::from_str(&proxy.get(&format!("/api/chaos{path}"), "a").body).unwrap()
}

/// What a proxy with these words answers to requests that follow one another.
fn answers(words: &[&str], count: usize) -> Vec<Got> {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, words);
    (0..count).map(|number| proxy.get("/", &number.to_string())).collect()
}

fn faults(words: &[&str], count: usize) -> Vec<String> {
    let answers = answers(words, count);
    answers
        .iter()
        .map(|got| got.header("x-fracas-fault").to_owned())
        .collect()
}

const FAILS: [&str; 4] = ["--chaos-http-errors", "501", "--chaos-http-error-probability", "1"];

#[test]
fn a_circuit_breaker_is_switched_on_and_set_by_flags() {
    let met = |words: &[&str], count| faults(&[&FAILS, words].concat(), count);
    // Five in a row are its default.
    let six = met(&["--circuit-breaker"], 6);
    assert_eq!((six[4].as_str(), six[5].as_str()), ("http_error", "circuit_breaker"));
    assert_eq!(met(&[], 6)[5], "http_error");
    assert_eq!(
        met(&["--circuit-breaker-failure-threshold", "2"], 3),
        ["http_error", "http_error", "circuit_breaker"]
    );
    // Open for no time, the next request is a trial, and it fails.
    let never_open = [
        "--circuit-breaker-failure-threshold",
        "1",
        "--circuit-breaker-timeout-ms",
        "0",
    ];
    assert_eq!(met(&never_open, 3), ["http_error"; 3]);
    // By the share of failures, once there are ten.
    let by_share = |percent| {
        let share = [
            "--chaos-http-errors",
            "501",
            "--chaos-http-error-probability",
            "0.4",
            "--seed",
            "1",
        ];
        let breaker = [
            "--circuit-breaker-failure-rate",
            percent,
            "--circuit-breaker-failure-threshold",
            "1000",
        ];
        faults(&[&share[..], &breaker].concat(), 40)
    };
    let opened = |met: Vec<String>| met.iter().any(|one| one == "circuit_breaker");
    assert!(opened(by_share("10")));
    assert!(!opened(by_share("100")));
}

#[test]
fn a_circuit_breaker_closes_after_as_many_successes_as_its_flag_says() {
    for (successes, state) in [("1", "closed"), ("2", "half_open")] {
        let cli = Cli::new();
        let words = [
            "--circuit-breaker-failure-threshold",
            "1",
            "--circuit-breaker-timeout-ms",
            "0",
        ];
        let words = [&FAILS[..], &words, &["--circuit-breaker-success-threshold", successes]].concat();
        let proxy = Proxied::start(&cli, &words);
        assert_eq!(proxy.get("/", "a").status(), "501");
        let put = "PUT /api/chaos/config/faults HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                   connection: close\r\ncontent-length: 17\r\n\r\n{\"enabled\":false}";
        assert_eq!(proxy.exchange(put).status(), "200");
        assert_eq!(proxy.get("/", "a").status(), "200");
        assert_eq!(api(&proxy, "/status")["circuit_breaker_state"], state, "{successes}");
    }
}

#[test]
fn a_bulkhead_is_switched_on_and_set_by_flags() {
    let cli = Cli::new();
    // Of three requests at the same time so many have a place, wait and are refused, while who has a place is held for an hour.
    let becomes = |words: &[&str], expected: [u64; 3]| {
        let proxy = Proxied::start(&cli, &[&["--chaos-latency-ms", "3600000"], words].concat());
        let at = proxy.address;
        let clients = [(); 3].map(|()| std::thread::spawn(move || get(at, Ipv4Addr::LOCALHOST, "/", "a")));
        soon(LIMIT, &format!("{words:?}: {expected:?}"), || {
            let places = api(&proxy, "/resilience/bulkheads/proxy");
            let refused = &api(&proxy, "/stats")["by_class"]["5xx"];
            let all = [&places["concurrent_requests"], &places["queued_requests"], refused];
            (all.map(|count| count.as_u64().unwrap()) == expected).then_some(())
        });
        drop(proxy);
        for client in clients {
            client.join().unwrap();
        }
    };
    becomes(&["--bulkhead"], [3, 0, 0]);
    becomes(&["--bulkhead-max-concurrent", "1"], [1, 2, 0]);
    becomes(
        &["--bulkhead-max-concurrent", "1", "--bulkhead-max-queue", "1"],
        [1, 1, 1],
    );
    becomes(
        &["--bulkhead-max-concurrent", "1", "--bulkhead-queue-timeout-ms", "20"],
        [1, 0, 2],
    );
}

#[test]
fn flags_of_breaker_and_bulkhead_win_over_the_file_and_keep_the_rest_of_it() {
    let cli = Cli::new();
    let file = cli.file(
        "chaos.yaml",
        "enabled: false\ncircuit_breaker: { enabled: false, failure_threshold: 7 }\nbulkhead: { enabled: false, max_queue_size: 3 }\n",
    );
    let proxy = Proxied::start(
        &cli,
        &[
            "--chaos-config",
            &file,
            "--circuit-breaker",
            "--bulkhead-max-concurrent",
            "9",
        ],
    );
    let config = api(&proxy, "/config");
    assert_eq!(config["enabled"], true);
    let (breaker, bulkhead) = (&config["circuit_breaker"], &config["bulkhead"]);
    assert_eq!(
        (&breaker["enabled"], &breaker["failure_threshold"]),
        (&true.into(), &7.into())
    );
    assert_eq!(
        (&bulkhead["max_concurrent_requests"], &bulkhead["max_queue_size"]),
        (&9.into(), &3.into())
    );
}

#[test]
fn random_faults_have_shares_and_bounds_by_flags() {
    let seen = |words: &[&str]| answers(&[&["--chaos-random", "--seed", "3"], words].concat(), 100);
    let count = |all: &[Got], name: &str| {
        let met = all.iter().filter(|got| got.header("x-fracas-fault").contains(name));
        met.count()
    };
    // Held for as long as by default, the test would take a minute.
    let quick = ["--chaos-random-min-delay", "1", "--chaos-random-max-delay", "2"];
    let all = seen(&quick);
    assert!(
        (2..=20).contains(&count(&all, "http_error")),
        "{}",
        count(&all, "http_error")
    );
    assert!(
        (15..=45).contains(&count(&all, "latency")),
        "{}",
        count(&all, "latency")
    );
    for got in all.iter().filter(|got| got.header("x-fracas-latency-ms") != "none") {
        let held: f64 = got.header("x-fracas-latency-ms").parse().unwrap();
        assert!((1.0..=2.0).contains(&held), "{held}");
    }
    let words = [
        &quick[..],
        &["--chaos-random-error-rate", "1", "--chaos-random-delay-rate", "0"],
    ]
    .concat();
    let all = seen(&words);
    assert_eq!((count(&all, "http_error"), count(&all, "latency")), (100, 0));
    let statuses: std::collections::BTreeSet<&str> = all.iter().map(Got::status).collect();
    assert_eq!(Vec::from_iter(statuses), ["500", "502", "503", "504"]);
    // What it would be by default.
    let cli = Cli::new();
    let config = api(&Proxied::start(&cli, &["--chaos-random"]), "/config");
    let (latency, faults) = (&config["latency"], &config["fault_injection"]);
    assert_eq!(latency["random_delay_range_ms"], serde_json::json!([100.0, 2000.0]));
    assert_eq!(
        (&latency["probability"], &faults["http_error_probability"]),
        (&0.3.into(), &0.1.into())
    );
    for words in [
        &["--chaos-random-error-rate", "1"][..],
        &["--chaos-random", "--chaos-latency-ms", "1"],
        &["--chaos-random", "--chaos-http-errors", "500"],
    ] {
        assert_eq!(
            cli.run(&[&["proxy", "--listen", "0"], words].concat()).code,
            2,
            "{words:?}"
        );
    }
    for words in [
        &["--chaos-random-error-rate", "1.5"][..],
        &["--chaos-random-min-delay", "5", "--chaos-random-max-delay", "4"],
    ] {
        let said = cli.refused(&[&["proxy", "--listen", "0", "--chaos-random"], words].concat());
        assert!(said.contains("D004"), "{said}");
    }
}

#[test]
fn scenarios_act_from_the_start() {
    let cli = Cli::new();
    let words = [
        "--chaos-scenario",
        "service_instability,peak_traffic",
        "--chaos-scenario",
        "slow_backend",
    ];
    let proxy = Proxied::start(&cli, &words);
    let active = api(&proxy, "/status")["active_scenarios"].clone();
    assert_eq!(
        active,
        serde_json::json!(["service_instability", "peak_traffic", "slow_backend"])
    );
    let got = proxy.get("/", "a");
    assert!(
        got.header("x-fracas-fault").contains("latency") && got.took.as_secs_f64() >= 1.8,
        "{got:?}"
    );
    let said = cli.run(&["proxy", "--listen", "0", "--chaos-scenario", "slow_backnd"]);
    assert!(said.code == 2 && said.err.contains("slow_backend"), "{}", said.err);
}

#[test]
fn what_a_later_scenario_covers_is_refused_or_told() {
    let cli = Cli::new();
    let file = cli.file("chaos.yaml", "rate_limit: { requests_per_second: 9 }\n");
    for (words, what) in [
        (
            &["--chaos-scenario", "slow_backend,network_degradation"][..],
            "slow_backend",
        ),
        (
            &["--chaos-scenario", "peak_traffic,slow_backend,cascading_failure"],
            "peak_traffic",
        ),
        (
            &["--chaos-latency-ms", "5", "--chaos-scenario", "slow_backend"],
            "--chaos-latency-ms",
        ),
        (
            &["--chaos-http-errors", "500", "--chaos-scenario", "service_instability"],
            "--chaos-http-errors",
        ),
        (
            &["--chaos-rate-limit", "5", "--chaos-scenario", "peak_traffic"],
            "--chaos-rate-limit",
        ),
        (
            &["--chaos-packet-loss", "5", "--chaos-scenario", "network_degradation"],
            "--chaos-packet-loss",
        ),
        (
            &["--chaos-random", "--chaos-scenario", "cascading_failure"],
            "--chaos-random",
        ),
    ] {
        let said = cli.refused(&[&["proxy", "--listen", "0"], words].concat());
        assert!(
            said.contains(&format!("`{what}` would do nothing")),
            "{words:?}: {said}"
        );
    }
    for (words, tells) in [
        // A block of two.
        (
            &["--chaos-random", "--chaos-scenario", "slow_backend"][..],
            "`--chaos-random`",
        ),
        (
            &["--chaos-scenario", "network_degradation,slow_backend"],
            "`network_degradation`",
        ),
        // What the file says comes back when the scenario is stopped, and flags of other blocks act.
        (
            &[
                "--chaos-config",
                &file,
                "--chaos-scenario",
                "peak_traffic",
                "--chaos-latency-ms",
                "1",
            ],
            "",
        ),
    ] {
        let proxy = Proxied::start(&cli, words);
        assert_eq!(proxy.get("/", "a").status().len(), 3);
        let said = proxy.going.err();
        assert_eq!(
            said.contains("of `latency` acts what"),
            !tells.is_empty(),
            "{words:?}: {said}"
        );
        assert!(said.contains(tells), "{words:?}: {said}");
    }
}

#[test]
fn chaos_that_has_nothing_to_do_says_so() {
    let cli = Cli::new();
    let says = |words: &[&str]| {
        Proxied::start(&cli, words)
            .going
            .err()
            .contains("nothing is configured yet")
    };
    assert!(says(&["--chaos"]));
    assert!(!says(&[]));
    assert!(!says(&["--chaos", "--chaos-latency-ms", "1"]));
    assert!(!says(&["--chaos", "--chaos-scenario", "peak_traffic"]));
}

#[test]
fn a_file_that_is_configured_beneath_a_scenario_says_so() {
    let cli = Cli::new();
    let file = cli.file("chaos.yaml", &fails(501));
    let proxy = Proxied::start(&cli, &["--chaos-config", &file, "--chaos-scenario", "slow_backend"]);
    replace(&file, "enabled: false\n");
    proxy.going.until("it says so", || {
        proxy.going.err().contains("acts beneath the scenarios that are active")
    });
}

/// The status of a request, once it is this one.
fn becomes(proxy: &Proxied, status: &str) {
    soon(LIMIT, status, || (proxy.get("/", "a").status() == status).then_some(()));
}

fn fails(status: u16) -> String {
    format!("fault_injection: {{ http_errors: [{status}], http_error_probability: 1 }}\n")
}

/// Writes another file and gives it the name of this one, as editors do.
fn replace(file: &str, text: &str) {
    let new = format!("{file}.new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, file).unwrap();
}

#[test]
fn changes_of_the_file_act_from_the_next_request_on() {
    let cli = Cli::new();
    let file = cli.file("chaos.yaml", &fails(501));
    let proxy = Proxied::start(&cli, &["--chaos-config", &file, "--chaos-latency-ms", "1"]);
    assert_eq!(proxy.get("/", "a").status(), "501");
    // In its place, and by another file.
    fs::write(&file, fails(502)).unwrap();
    becomes(&proxy, "502");
    replace(&file, &fails(503));
    becomes(&proxy, "503");
    // Flags still win over it.
    assert_eq!(proxy.get("/", "a").header("x-fracas-latency-ms"), "1.000");
    // A file that is wrong changes nothing, and is told of.
    replace(&file, "latency: { fixed_delay: 5 }\n");
    proxy.going.until("it says what is wrong", || {
        proxy.going.err().contains("what it said before goes on")
    });
    let said = proxy.going.err();
    assert!(said.contains("D003") && said.contains("chaos.yaml:1:12"), "{said}");
    assert_eq!(proxy.get("/", "a").status(), "503");
    fs::remove_file(&file).unwrap();
    proxy.going.until("it says that it is gone", || {
        proxy.going.err().contains("is gone: what it said goes on")
    });
    assert_eq!(proxy.get("/", "a").status(), "503");
    // It comes back as it was.
    replace(&file, &fails(503));
    proxy.going.until("it says that it is back", || {
        proxy.going.err().contains("is right again, and says what goes on")
    });
    replace(&file, &fails(504));
    becomes(&proxy, "504");
    let metrics = proxy.get("/api/chaos/metrics", "a").body;
    for counted in ["applied\"} 3\n", "refused\"} 2\n"] {
        let line = format!("fracas_proxy_config_reloads_total{{result=\"{counted}");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

// A writer pauses where what stands there is valid, for many times as long as between two looks; the other file shows that these go on.
#[test]
fn what_is_half_written_does_not_act() {
    let cli = Cli::new();
    let file = cli.file("chaos.yaml", &fails(501));
    let beside = cli.file("beside.yaml", &fails(501));
    let proxy = Proxied::start(&cli, &["--chaos-config", &file]);
    let other = Proxied::start(&cli, &["--chaos-config", &beside]);
    let mut writer = fs::File::create(&file).unwrap();
    writer.write_all(fails(502).as_bytes()).unwrap();
    // Far fewer than there are looks before somebody who writes is waited for no longer.
    for status in ["503", "504"] {
        replace(&beside, &fails(status.parse().unwrap()));
        becomes(&other, status);
        assert_eq!(proxy.get("/", "a").status(), "501");
    }
    writer.write_all(b"latency: { fixed_delay_ms: 1 }\n").unwrap();
    drop(writer);
    becomes(&proxy, "502");
    assert_eq!(proxy.get("/", "a").header("x-fracas-latency-ms"), "1.000");
    // Never a moment in which half of it was done.
    let said = proxy.going.err();
    assert_eq!(said.matches("has changed").count(), 1, "{said}");
    // Who has it open, and does not write, is not waited for forever.
    let _open = fs::File::options().append(true).open(&beside).unwrap();
    fs::write(&beside, fails(506)).unwrap();
    becomes(&other, "506");
}

// A ConfigMap: the file is a link to a link to a folder, and the one in the middle is turned.
#[test]
fn links_that_are_turned_are_changes() {
    let cli = Cli::new();
    let first = cli.file("chaos.yaml", "");
    let place = Path::new(&first).parent().unwrap();
    for (folder, status) in [("one", 501), ("two", 502)] {
        fs::create_dir(place.join(folder)).unwrap();
        fs::write(place.join(folder).join("chaos.yaml"), fails(status)).unwrap();
    }
    symlink("one", place.join("data")).unwrap();
    symlink("data/chaos.yaml", place.join("linked.yaml")).unwrap();
    let proxy = Proxied::start(&cli, &["--chaos-config", place.join("linked.yaml").to_str().unwrap()]);
    assert_eq!(proxy.get("/", "a").status(), "501");
    symlink("two", place.join("turned")).unwrap();
    fs::rename(place.join("turned"), place.join("data")).unwrap();
    becomes(&proxy, "502");
}

// Of REST and the file, whoever speaks last is heard; a file that says what it said before says nothing.
#[test]
fn the_last_one_wins_and_a_touch_is_no_word() {
    let cli = Cli::new();
    let file = cli.file("chaos.yaml", &fails(501));
    let proxy = Proxied::start(&cli, &["--chaos-config", &file]);
    assert_eq!(
        proxy
            .exchange("POST /api/chaos/reset HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .status(),
        "200"
    );
    assert_eq!(proxy.get("/", "a").status(), "200");
    replace(&file, "nonsense: 1\n");
    proxy
        .going
        .until("it says what is wrong", || proxy.going.err().contains("goes on"));
    // Looked at, and found to say what it said.
    replace(&file, &fails(501));
    proxy.going.until("it says that it is back", || {
        proxy.going.err().contains("is right again")
    });
    assert_eq!(proxy.get("/", "a").status(), "200");
    replace(&file, &fails(502));
    becomes(&proxy, "502");
}

#[test]
fn an_orchestration_goes_on_while_the_file_changes() {
    let cli = Cli::new();
    let file = cli.file("chaos.yaml", &fails(501));
    let proxy = Proxied::start(&cli, &["--chaos-config", &file]);
    let body = r#"{"name":"o","steps":[{"name":"rest","duration_seconds":3600}]}"#;
    let length = body.len();
    let head = "host: localhost\r\nconnection: close\r\ncontent-type: application/json";
    let start =
        format!("POST /api/chaos/orchestration/start HTTP/1.1\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}");
    assert_eq!(proxy.exchange(&start).status(), "200");
    replace(&file, &fails(502));
    proxy.going.until("it says when", || {
        proxy.going.err().contains("acts when the orchestration ends")
    });
    assert_eq!(proxy.get("/", "a").status(), "200");
    let stop = format!("POST /api/chaos/orchestration/stop HTTP/1.1\r\n{head}\r\n\r\n");
    assert_eq!(proxy.exchange(&stop).status(), "200");
    assert_eq!(proxy.get("/", "a").status(), "502");
}

/// How many descriptors the proxy may have from now on.
#[expect(
    clippy::disallowed_methods,
    reason = "limits of another process are set by a program"
)]
fn descriptors(proxy: &Proxied, count: u32) {
    let pid = proxy.going.process().identity().pid.to_string();
    let soft = format!("--nofile={count}:");
    let set = std::process::Command::new("prlimit")
        .args(["--pid", &pid, &soft])
        .status();
    assert!(set.unwrap().success());
}

// For a while the proxy can open nothing: what it could not read then it reads later, though the file is the same.
#[test]
fn a_file_that_could_not_be_read_is_read_again() {
    let cli = Cli::new();
    let file = cli.file("chaos.yaml", &fails(501));
    let proxy = Proxied::start(&cli, &["--chaos-config", &file]);
    assert_eq!(proxy.get("/", "a").status(), "501");
    descriptors(&proxy, 0);
    replace(&file, &fails(502));
    proxy
        .going
        .until("it says that it cannot", || proxy.going.err().contains("cannot read"));
    descriptors(&proxy, 1024);
    becomes(&proxy, "502");
    assert_eq!(proxy.going.err().matches("cannot read").count(), 1);
}
