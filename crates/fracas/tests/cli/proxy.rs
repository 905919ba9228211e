//! `fracas proxy`: its flags, its words and its end. What it does to traffic is tested beside it.

mod connect;
mod listeners;
mod tls;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use serde_json::Value;

use crate::cli::Cli;
use crate::proxied::{Proxied, address, get, post};
use crate::support::{LIMIT, signal, soon};

/// signal(7)
const TERM: i32 = 15;

#[test]
fn it_says_where_it_listens_and_ends_in_order_when_asked_to() {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &["--seed", "7"]);
    let got = proxy.get("/x", "a");
    assert_eq!(
        (got.status(), got.body.as_str()),
        ("200", r#"{"method":"GET","path":"/x","body":0}"#)
    );
    signal(proxy.going.process(), TERM);
    let port = proxy.address.port();
    let said = proxy.going.end();
    assert_eq!((said.code, said.out.as_str()), (0, ""));
    assert_eq!(
        said.err.replace(&port.to_string(), "PORT"),
        "proxy: http://127.0.0.1:PORT\nupstream: itself\napi: http://127.0.0.1:PORT/api/chaos/\nseed: 7\n\
         asked to stop: no new connections; open requests go on\n"
    );
}

#[test]
fn it_passes_requests_on_and_counts_on_an_address_of_its_own() {
    let cli = Cli::new();
    let upstream = Proxied::start(&cli, &[]);
    let to = format!("http://{}/base", upstream.address);
    let proxy = Proxied::start(&cli, &["--upstream", &to, "--api-listen", "0", "--metrics-listen", "0"]);
    assert!(proxy.get("/x", "a").body.contains("\"/base/x\""));
    let err = proxy.going.err();
    let metrics = address(&err, "metrics: http://").unwrap();
    let text = get(metrics, Ipv4Addr::LOCALHOST, "/metrics", "a").body;
    assert!(
        text.contains("fracas_proxy_requests_total{class=\"2xx\"} 1\n"),
        "{text}"
    );
    let mut api = None;
    soon(LIMIT, "it says where its API is", || {
        api = address(&proxy.going.err(), "api: http://");
        api
    });
    let status = get(api.unwrap(), Ipv4Addr::LOCALHOST, "/api/chaos/status", "a");
    assert_eq!(serde_json::from_str::<Value>(&status.body).unwrap()["enabled"], true);
}

#[test]
fn it_answers_clients_of_toxiproxy() {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &["--seed", "7", "--toxiproxy-api", "0"]);
    let mut api = None;
    soon(LIMIT, "it says where that API is", || {
        api = address(&proxy.going.err(), "toxiproxy: http://");
        api
    });
    let version = get(api.unwrap(), Ipv4Addr::LOCALHOST, "/version", "a");
    assert!(version.body.starts_with("{\"version\":\"2."), "{}", version.body);
    // A server that says nothing: the connection stays open until it is cut off.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap();
    let asked = format!(r#"{{"name":"a","upstream":"{upstream}","toxics":[{{"type":"timeout"}}]}}"#);
    let shown: Value = serde_json::from_str(&post(api.unwrap(), "/proxies", &asked).body).unwrap();
    let mut held = TcpStream::connect(shown["listen"].as_str().unwrap()).unwrap();
    held.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let metrics = || get(api.unwrap(), Ipv4Addr::LOCALHOST, "/metrics", "a").body;
    soon(LIMIT, "the toxic acts", || {
        let acts = metrics().contains("fracas_toxiproxy_toxics_total{proxy=\"a\",toxic=\"timeout\"} 1\n");
        acts.then_some(())
    });
    for _ in 0..2 {
        signal(proxy.going.process(), TERM);
        let asked = |text: &str| text.contains("asked to stop");
        proxy.going.until("it has heard", || asked(&proxy.going.err()));
    }
    let said = proxy.going.end();
    assert_eq!(said.code, 0);
    assert!(
        said.err.ends_with("1 connections had not ended and were cut off\n"),
        "{}",
        said.err
    );
}

#[test]
fn a_profile_is_all_that_is_done_and_no_file_is_beside_it() {
    let cli = Cli::new();
    for flag in ["--chaos-profile", "--network-profile"] {
        let proxy = Proxied::start(&cli, &[flag, "cable"]);
        let got = proxy.get("/", "a");
        assert_eq!((got.status(), got.header("x-fracas-latency-ms")), ("200", "20.000"));
        // What the file says would be forgotten, and `perfect` would switch it on.
        let file = cli.file(
            "chaos.yaml",
            "enabled: false\nfault_injection: { http_errors: [418] }\n",
        );
        let said = cli.run(&["proxy", "--chaos-config", &file, flag, "perfect"]);
        assert!(said.code == 2 && said.err.contains("cannot be used with"), "{said:?}");
    }
    let proxy = Proxied::start(&cli, &["--chaos-profile", "perfect"]);
    let got = proxy.get("/", "a");
    assert_eq!((got.status(), got.header("x-fracas-fault")), ("200", "none"));
    // Other flags say what is another than in the profile.
    let proxy = Proxied::start(&cli, &["--chaos-profile", "cable", "--chaos-latency-ms", "2"]);
    assert_eq!(proxy.get("/", "a").header("x-fracas-latency-ms"), "2.000");
    let said = cli.run(&["proxy", "--chaos-profile", "slow_4g"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("no profile \"slow_4g\"") && said.err.contains("slow_3g, fast_3g"),
        "{}",
        said.err
    );
}

// What a file says is read once, however many flags there are.
#[test]
fn a_text_that_is_no_variable_stays_one_beside_flags() {
    let cli = Cli::new();
    let operation = "{ type: set_field, field: a, value: { '${KEY}': '$${PRICE}' } }";
    let text = format!("mutations: {{ rules: [{{ name: a, operations: [{operation}] }}] }}\n");
    let file = cli.file("chaos.yaml", &text);
    for flags in [&[][..], &["--chaos-latency-ms", "1"]] {
        let proxy = Proxied::start(&cli, &[&["--chaos-config", &file], flags].concat());
        let said = proxy.get("/api/chaos/mutations", "a");
        assert!(
            said.body.contains(r#""value":{"${KEY}":"${PRICE}"}"#),
            "{flags:?}: {}",
            said.body
        );
    }
}

#[test]
fn flags_win_over_the_file() {
    let cli = Cli::new();
    let text = "latency: { random_delay_range_ms: [1, 2], probability: 0 }\nfault_injection: { http_errors: [500] }\n";
    let file = cli.file("chaos.yaml", text);
    for (words, seen) in [
        (
            &["--chaos-latency-probability", "1", "--chaos-latency-ms", "3"][..],
            "3.000",
        ),
        (
            &["--chaos-latency-probability", "1", "--chaos-latency-range", "0.5-0.5"],
            "0.500",
        ),
        (&["--chaos-latency-ms", "3"], "none"),
    ] {
        let proxy = Proxied::start(&cli, &[&["--chaos-config", &file], words].concat());
        assert_eq!(proxy.get("/", "a").header("x-fracas-latency-ms"), seen, "{words:?}");
    }
    let words = [
        "--chaos-config",
        &file,
        "--chaos-http-errors",
        "503,503",
        "--chaos-http-error-probability",
        "1",
    ];
    assert_eq!(Proxied::start(&cli, &words).get("/", "a").status(), "503");
    // A burst of twice the rate, as the original has it.
    let proxy = Proxied::start(&cli, &["--chaos-rate-limit", "7"]);
    let limit = &config(&proxy)["rate_limit"];
    assert_eq!(
        (&limit["requests_per_second"], &limit["burst_size"]),
        (&7.into(), &14.into())
    );
    let words = ["--chaos-bandwidth-limit", "1000", "--chaos-packet-loss", "100"];
    let proxy = Proxied::start(&cli, &words);
    assert_eq!(config(&proxy)["traffic_shaping"]["bandwidth_limit_bps"], 1000);
    assert_eq!(proxy.get("/", "a").header("x-fracas-fault"), "packet_loss");
}

#[test]
fn a_share_that_is_lost_wins_over_the_bursts_of_a_profile() {
    let cli = Cli::new();
    for (profile, percent, burst) in [
        ("intermittent", "0", None),
        ("congested", "90", None),
        ("congested", "100", Some(())),
        ("congested", "1", Some(())),
    ] {
        let bursts =
            config(&Proxied::start(&cli, &["--chaos-profile", profile]))["traffic_shaping"]["packet_loss_burst"].take();
        assert!(bursts.is_f64(), "{profile}: {bursts}");
        let words = ["--chaos-profile", profile, "--chaos-packet-loss", percent];
        let shaping = config(&Proxied::start(&cli, &words))["traffic_shaping"].take();
        assert_eq!(
            shaping["packet_loss_percent"].as_f64(),
            percent.parse().ok(),
            "{words:?}"
        );
        let expected = burst.map_or(Value::Null, |()| bursts);
        assert_eq!(shaping["packet_loss_burst"], expected, "{words:?}");
    }
}

fn config(proxy: &Proxied) -> Value {
    serde_json::from_str(&proxy.get("/api/chaos/config", "a").body).unwrap()
}

#[test]
fn flags_switch_on_what_the_file_has_off() {
    let cli = Cli::new();
    let text = "enabled: false\nlatency: { enabled: false, fixed_delay_ms: 2 }\nfault_injection: { enabled: false }\n\
                rate_limit: { enabled: false }\ntraffic_shaping: { enabled: false, packet_loss_percent: 3 }\n";
    let file = cli.file("chaos.yaml", text);
    let blocks = ["latency", "fault_injection", "rate_limit", "traffic_shaping"];
    for (words, on) in [
        (&["--chaos-latency-probability", "1"], "latency"),
        (&["--chaos-http-errors", "500"], "fault_injection"),
        (&["--chaos-rate-limit", "9"], "rate_limit"),
        (&["--chaos-bandwidth-limit", "9000"], "traffic_shaping"),
        (&["--chaos-packet-loss", "0"], "traffic_shaping"),
    ] {
        let proxy = Proxied::start(&cli, &[&["--chaos-config", file.as_str()], &words[..]].concat());
        let config = config(&proxy);
        assert_eq!(config["enabled"], true, "{words:?}");
        for block in blocks {
            assert_eq!(config[block]["enabled"], block == on, "{words:?}: {block}");
        }
    }
    // The switch of all alone switches on no block.
    let proxy = Proxied::start(&cli, &["--chaos-config", &file, "--chaos"]);
    assert_eq!(config(&proxy)["enabled"], true);
    assert_eq!(config(&proxy)["latency"]["enabled"], false);
    let off = cli.file(
        "off.yaml",
        "enabled: false\nfault_injection: { http_errors: [503], http_error_probability: 1 }\n",
    );
    assert_eq!(
        Proxied::start(&cli, &["--chaos-config", &off]).get("/", "a").status(),
        "200"
    );
    let on = Proxied::start(&cli, &["--chaos-config", &off, "--chaos"]);
    assert_eq!(on.get("/", "a").status(), "503");
    let proxy = Proxied::start(&cli, &["--chaos-config", &file, "--chaos-latency-probability", "1"]);
    assert_eq!(proxy.get("/", "a").header("x-fracas-latency-ms"), "2.000");
}

#[test]
fn flags_of_protocols_are_the_keys_of_their_blocks() {
    let cli = Cli::new();
    let off = cli.file(
        "chaos.yaml",
        "enabled: false\ngrpc: { enabled: false, interrupt_status_code: 5 }\nwebsocket: { enabled: false }\ngraphql: { enabled: false }\n",
    );
    for (words, block, key, value) in [
        ("--chaos-grpc", "grpc", "enabled", "true"),
        ("--chaos-grpc-status-codes 13,14", "grpc", "status_codes", "[13,14]"),
        (
            "--chaos-grpc-status-code-probability 0.5",
            "grpc",
            "status_code_probability",
            "0.5",
        ),
        (
            "--chaos-grpc-stream-interruption-probability 0.5",
            "grpc",
            "stream_interruption_probability",
            "0.5",
        ),
        (
            "--chaos-grpc-interrupt-after-messages 9",
            "grpc",
            "interrupt_after_messages",
            "9",
        ),
        (
            "--chaos-grpc-interrupt-status-code 9",
            "grpc",
            "interrupt_status_code",
            "9",
        ),
        ("--chaos-grpc-reset-code 9", "grpc", "reset_code", "9"),
        ("--chaos-websocket", "websocket", "enabled", "true"),
        (
            "--chaos-websocket-close-codes 1001,1011",
            "websocket",
            "close_codes",
            "[1001,1011]",
        ),
        (
            "--chaos-websocket-close-probability 0.5",
            "websocket",
            "close_probability",
            "0.5",
        ),
        (
            "--chaos-websocket-message-drop-probability 0.5",
            "websocket",
            "message_drop_probability",
            "0.5",
        ),
        (
            "--chaos-websocket-message-corruption-probability 0.5",
            "websocket",
            "message_corruption_probability",
            "0.5",
        ),
        (
            "--chaos-websocket-message-delay-ms 0.5",
            "websocket",
            "message_delay_ms",
            "0.5",
        ),
        (
            "--chaos-websocket-message-delay-probability 0.5",
            "websocket",
            "message_delay_probability",
            "0.5",
        ),
        ("--chaos-graphql", "graphql", "enabled", "true"),
        ("--chaos-graphql-path /a", "graphql", "path", "\"/a\""),
        (
            "--chaos-graphql-error-codes A,B",
            "graphql",
            "error_codes",
            "[\"A\",\"B\"]",
        ),
        (
            "--chaos-graphql-error-probability 0.5",
            "graphql",
            "error_probability",
            "0.5",
        ),
        (
            "--chaos-graphql-partial-data-probability 0.5",
            "graphql",
            "partial_data_probability",
            "0.5",
        ),
        (
            "--chaos-graphql-resolver-latency",
            "graphql",
            "resolver_latency",
            "true",
        ),
        (
            "--chaos-graphql-resolver-latency-ms 0.5",
            "graphql",
            "resolver_latency_ms",
            "0.5",
        ),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let proxy = Proxied::start(&cli, &[&["--chaos-config", off.as_str()], &words[..]].concat());
        let config = config(&proxy);
        assert_eq!(config["enabled"], true, "{words:?}");
        assert_eq!(config[block][key].to_string(), value, "{words:?}");
        for other in ["grpc", "websocket", "graphql"] {
            assert_eq!(config[other]["enabled"], other == block, "{words:?}: {other}");
        }
        // What the file says of the other end of a stream goes with it.
        if key == "reset_code" {
            assert_eq!(config["grpc"].get("interrupt_status_code"), None);
        }
        // What needs another to do anything says so.
        let idle = [
            "--chaos-grpc-status-code-probability",
            "--chaos-grpc-interrupt-after-messages",
            "--chaos-grpc-interrupt-status-code",
            "--chaos-grpc-reset-code",
            "--chaos-websocket-close-probability",
            "--chaos-websocket-message-delay-probability",
            "--chaos-graphql-path",
            "--chaos-graphql-error-probability",
            "--chaos-graphql-resolver-latency-ms",
        ];
        let warning = format!("warning: {} does nothing without --chaos-", words[0]);
        assert_eq!(
            proxy.going.err().contains(&warning),
            idle.contains(&words[0]),
            "{words:?}"
        );
        // What the flag that only switches on does by itself is the original's, and not where the file speaks of it.
        assert_ne!(config["grpc"]["stream_interruption_probability"], 0.1, "{words:?}");
    }
    let both = "--chaos-grpc --chaos-grpc-reset-code 8 --chaos-websocket --chaos-graphql --chaos-graphql-path /graphql";
    let proxy = Proxied::start(&cli, &both.split(' ').collect::<Vec<_>>());
    assert!(!proxy.going.err().contains("does nothing"), "{}", proxy.going.err());
    let config = config(&proxy);
    for (block, key, value) in [
        ("grpc", "stream_interruption_probability", 0.1),
        ("websocket", "message_drop_probability", 0.05),
        ("websocket", "message_corruption_probability", 0.05),
        ("graphql", "partial_data_probability", 0.1),
    ] {
        assert_eq!(config[block][key], value, "{block} {key}");
    }
    let said = cli.run(&["proxy", "--chaos-grpc-status-codes", "17"]);
    assert!(said.code != 0 && said.err.contains("from 1 to 16"), "{said:?}");
}

#[test]
fn clients_and_upstreams_are_waited_for_as_long_as_asked() {
    let cli = Cli::new();
    // Of requests without an upstream the proxy takes all of the body.
    let slow = Proxied::start(&cli, &["--client-timeout", "100ms"]);
    let mut client = TcpStream::connect(slow.address).unwrap();
    client
        .write_all(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 9\r\n\r\nx")
        .unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    let mut status = [0; 12];
    client.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 408");
    // It takes connections, and nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("http://{}", silent.local_addr().unwrap());
    let proxy = Proxied::start(&cli, &["--upstream", &to, "--upstream-timeout", "100ms"]);
    assert_eq!(proxy.get("/", "a").status(), "504");
}

// For each connection it needs two, and the usual soft limit is 1024.
#[test]
fn it_may_have_as_many_descriptors_as_its_user() {
    let mut cli = Cli::new();
    cli.under(&["/usr/bin/prlimit", "--nofile=256:4096"]);
    let proxy = Proxied::start(&cli, &[]);
    let pid = proxy.going.process().identity().pid;
    assert_eq!(fracas_linux::limits::descriptor_limit(pid).unwrap(), Some((4096, 4096)));
}

#[test]
fn an_api_that_others_reach_is_warned_of() {
    let cli = Cli::new();
    let warned = |at: &str| {
        let proxy = Proxied::start(&cli, &["--quiet", "--api-listen", at]);
        // Who can be asked has said all that it says before.
        let api = soon(LIMIT, "its API is known", || {
            address(&proxy.going.err(), "api: http://")
        });
        get(
            (Ipv4Addr::LOCALHOST, api.port()).into(),
            Ipv4Addr::LOCALHOST,
            "/api/chaos/status",
            "a",
        );
        proxy.going.err().contains("warning: whoever reaches 0.0.0.0:")
    };
    assert!(warned("0.0.0.0:0"));
    assert!(!warned("127.0.0.1:0"));
}

#[test]
fn an_api_of_toxiproxy_that_others_reach_is_warned_of() {
    let cli = Cli::new();
    let warned = |at: &str| {
        let proxy = Proxied::start(&cli, &["--quiet", "--toxiproxy-api", at]);
        // Who answers has said all that it says before.
        assert_eq!(proxy.get("/", "a").status(), "200");
        proxy.going.err().contains("can open ports of this machine")
    };
    assert!(warned("0.0.0.0:0"));
    assert!(!warned("127.0.0.1:0"));
}

#[test]
fn a_drawn_seed_is_said_and_repeats() {
    let cli = Cli::new();
    let words = ["--chaos-http-errors", "500", "--chaos-http-error-probability", "0.5"];
    let statuses = |proxy: &Proxied| -> Vec<String> {
        (0..64)
            .map(|n| proxy.get("/", &format!("r{n}")).status().to_owned())
            .collect()
    };
    let drawn = Proxied::start(&cli, &words);
    let status: Value = serde_json::from_str(&drawn.get("/api/chaos/status", "a").body).unwrap();
    let seed = status["seed"].to_string();
    assert!(
        drawn.going.err().ends_with(&format!("seed: {seed}")),
        "{}",
        drawn.going.err()
    );
    let again = Proxied::start(&cli, &[&words[..], &["--seed", &seed]].concat());
    let seen = statuses(&drawn);
    assert_eq!(seen, statuses(&again));
    assert!(seen.iter().any(|status| status == "500") && seen.iter().any(|status| status == "200"));
}

#[test]
fn what_is_wrong_is_refused_before_anything_listens() {
    let cli = Cli::new();
    let file = cli.file(
        "chaos.yaml",
        "latency:\n  fixed_delay: 5\nfault_injection: { mockai_enabled: true }\n",
    );
    let said = cli.refused(&["proxy", "--listen", "0", "--chaos-config", &file]);
    assert!(said.contains("D003") && said.contains("chaos.yaml:2:3"), "{said}");
    assert!(said.contains("D010") && said.contains("chaos.yaml:3:20"), "{said}");
    let said = cli.refused(&["proxy", "--listen", "0", "--chaos-latency-ms", "3600001"]);
    assert!(said.contains("D004") && said.contains("the command line"), "{said}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    assert!(cli.refused(&["proxy", "--listen", &at]).contains("N003"));
    for flag in ["--client-timeout", "--upstream-timeout"] {
        assert!(cli.refused(&["proxy", "--listen", "0", flag, "0s"]).contains(flag));
    }
    for upstream in ["tls://127.0.0.1:1", "127.0.0.1:1"] {
        let said = cli.run(&["proxy", "--listen", "0", "--upstream", upstream]);
        assert_eq!(said.code, 2, "{}", said.err);
    }
}

#[test]
fn patience_with_open_requests_has_an_end() {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &["--drain", "100ms", "--chaos-latency-ms", "3600000"]);
    cut_off(proxy, 1);
}

#[test]
fn who_asks_once_more_has_no_patience() {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &["--drain", "1h", "--chaos-latency-ms", "3600000"]);
    cut_off(proxy, 2);
}

/// Asks a proxy that holds a request so often to stop.
fn cut_off(proxy: Proxied, asks: usize) {
    let at = proxy.address;
    let waits = std::thread::spawn(move || get(at, Ipv4Addr::LOCALHOST, "/", "a"));
    let metrics = || get(at, Ipv4Addr::LOCALHOST, "/api/chaos/metrics", "a").body;
    soon(LIMIT, "the request is held", || {
        metrics()
            .contains("fracas_proxy_faults_total{fault=\"latency\"} 1\n")
            .then_some(())
    });
    for words in ["asked to stop", "asked once more"].into_iter().take(asks) {
        signal(proxy.going.process(), TERM);
        // The same signal twice in quick succession may be one.
        soon(LIMIT, words, || proxy.going.err().contains(words).then_some(()));
    }
    let said = proxy.going.end();
    assert_eq!(said.code, 0);
    assert!(
        said.err.contains("1 connections had not ended and were cut off"),
        "{}",
        said.err
    );
    assert_eq!(waits.join().unwrap().head, "");
}
