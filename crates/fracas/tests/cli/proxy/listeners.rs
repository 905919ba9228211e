//! `fracas proxy` with several listeners: the flag, the words, and a file that is followed.

use std::net::{Ipv4Addr, SocketAddr};

use super::TERM;
use crate::cli::Cli;
use crate::proxied::{Got, Proxied, address, get};
use crate::support::{LIMIT, signal, soon};

fn ask(at: SocketAddr, path: &str) -> Got {
    get(at, Ipv4Addr::LOCALHOST, path, "a")
}

/// Where the listener of this name is, as it is said.
fn listener(proxy: &Proxied, name: &str) -> SocketAddr {
    soon(LIMIT, "it says where it listens", || {
        address(&proxy.going.err(), &format!("listener {name}: http://"))
    })
}

#[test]
fn each_listener_is_said_with_where_it_leads() {
    let cli = Cli::new();
    let upstream = Proxied::start(&cli, &[]);
    let payments = format!("payments=127.0.0.1:0,http://{}/pay", upstream.address);
    let words = ["--seed", "7", "--listener", &payments, "--listener", "search=0"];
    let proxy = Proxied::start(&cli, &words);
    let (pay, search) = (listener(&proxy, "payments"), listener(&proxy, "search"));
    for (at, path) in [(proxy.address, "/x"), (pay, "/pay/x"), (search, "/x")] {
        let got = ask(at, "/x");
        assert_eq!(
            got.body,
            format!("{{\"method\":\"GET\",\"path\":\"{path}\",\"body\":0}}")
        );
    }
    signal(proxy.going.process(), TERM);
    let main = proxy.address.port();
    let said = proxy.going.end();
    assert_eq!(said.code, 0);
    let mut err = said.err;
    for (port, word) in [
        (main, "MAIN"),
        (pay.port(), "PAY"),
        (search.port(), "SEARCH"),
        (upstream.address.port(), "UP"),
    ] {
        err = err.replace(&port.to_string(), word);
    }
    assert_eq!(
        err,
        "proxy: http://127.0.0.1:MAIN\nupstream: itself\nlistener payments: http://127.0.0.1:PAY\n\
         upstream of payments: http://127.0.0.1:UP/pay\nlistener search: http://127.0.0.1:SEARCH\nupstream of search: itself\n\
         api: http://127.0.0.1:MAIN/api/chaos/\nseed: 7\nasked to stop: no new connections; open requests go on\n"
    );
}

#[test]
fn the_configuration_of_the_reference_does_what_it_says_there() {
    let page = include_str!("../../../../../docs/reference/listeners.md");
    let config = page
        .split_once("```yaml\n")
        .and_then(|(_, rest)| rest.split_once("```"));
    let cli = Cli::new();
    let file = cli.file("chaos.yaml", config.expect("the page has one").0);
    let words = ["--seed", "1", "--listener", "payments=0", "--listener", "search=0"];
    let proxy = Proxied::start(&cli, &[&words[..], &["--chaos-config", &file]].concat());
    let (payments, search) = (listener(&proxy, "payments"), listener(&proxy, "search"));
    let got = [proxy.address, payments, search].map(|at| ask(at, "/").header("x-fracas-latency-ms").to_owned());
    assert_eq!(got, ["none", "none", "300.000"]);
    let failed = |at| {
        let failed = (0..100).filter(|id: &u32| get(at, Ipv4Addr::LOCALHOST, "/", &id.to_string()).status() == "503");
        failed.count()
    };
    // A tenth of a hundred, within four standard deviations; by the seed it is always the same.
    assert!((1..=22).contains(&failed(payments)), "{}", failed(payments));
    assert_eq!(failed(proxy.address), 0);
}

#[test]
fn a_port_that_the_kernel_chose_is_said_by_one_that_is_quiet_too() {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &["--quiet", "--listener", "a=0"]);
    assert_eq!(ask(listener(&proxy, "a"), "/").status(), "200");
}

#[test]
fn a_file_is_followed_at_the_listeners_that_it_names() {
    let cli = Cli::new();
    let config = |name: &str, status: u16| {
        format!(
            "fault_injection: {{ http_errors: [{status}], http_error_probability: 1, request_matcher: {{ listeners: [{name}] }} }}\n"
        )
    };
    let file = cli.file("chaos.yaml", &config("a", 500));
    let words = ["--listener", "a=0", "--listener", "b=0", "--chaos-config", &file];
    let proxy = Proxied::start(&cli, &words);
    let (a, b) = (listener(&proxy, "a"), listener(&proxy, "b"));
    let statuses = || [proxy.address, a, b].map(|at| ask(at, "/").status().to_owned());
    assert_eq!(statuses(), ["200", "500", "200"]);
    cli.file("chaos.yaml", &config("b", 503));
    soon(LIMIT, "the change acts", || {
        (statuses() == ["200", "200", "503"]).then_some(())
    });
    // One that names nobody changes nothing, and says where.
    cli.file("chaos.yaml", &config("c", 501));
    let err = soon(LIMIT, "it is told", || {
        let err = proxy.going.err();
        err.contains("is wrong: what it said before goes on").then_some(err)
    });
    for part in [
        "N012",
        "`fault_injection.request_matcher.listeners[0]` is \"c\"",
        "it has main, a, b",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert_eq!(statuses(), ["200", "200", "503"]);
    cli.file("chaos.yaml", &config("main", 502));
    soon(LIMIT, "the change acts", || {
        (statuses() == ["502", "200", "200"]).then_some(())
    });
}

#[test]
fn listeners_that_cannot_be_are_refused_before_anything_begins() {
    let cli = Cli::new();
    let file = cli.file("chaos.yaml", "latency: { fixed_delay_ms: 1, listeners: [b] }\n");
    let orchestration = cli.file(
        "o.yaml",
        "name: o\nsteps: [{ name: s, duration_seconds: 1, scenario: { config: { bulkhead: { listeners: [b] } } } }]\n",
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at_taken = format!("a={}", taken.local_addr().unwrap());
    for (words, says) in [
        (&["--listener", "a=0", "--listener", "a=0"][..], "R004"),
        (&["--listener", "main=0"], "R004"),
        (&["--listener", "A=0"], "R004"),
        (&["--listener", "a=0,tcp://b:1"], "R004"),
        (&["--listener", &at_taken], "N003"),
        (
            &["--listener", "a=0", "--chaos-config", &file],
            "`latency.listeners[0]` is \"b\"",
        ),
        (
            &["--listener", "a=0", "--orchestration", &orchestration],
            "`steps[0].scenario.config.bulkhead.listeners[0]`",
        ),
        // An authority for an upstream of a listener is one that is used.
        (&["--listener", "a=0", "--upstream-insecure"], "there is none"),
    ] {
        let said = cli.refused(&[&["proxy", "--listen", "0"], words].concat());
        assert!(said.contains(says), "{words:?}: {said}");
    }
    for words in [
        &["--listener", "a"][..],
        &["--listener", "a=0,b:1"],
        &["--listener", "a=b"],
        &[
            "--listener",
            "a=0",
            "--tls-passthrough",
            "--api-listen",
            "0",
            "--upstream",
            "tcp://a:1",
        ],
    ] {
        let said = cli.run(&[&["proxy", "--listen", "0"], words].concat());
        assert_eq!(said.code, 2, "{words:?}: {}", said.err);
    }
}

#[test]
fn an_upstream_that_is_the_proxy_itself_is_refused() {
    let cli = Cli::new();
    // Nobody else listens there.
    for own in ["--api-listen", "--toxiproxy-api"] {
        let words = ["proxy", "--listen", "0", own, "127.92.7.1:3001"];
        let said = cli.refused(&[&words[..], &["--listener", "b=0,http://127.92.7.1:3001"]].concat());
        for part in ["R004", "the upstream of `b` is 127.92.7.1, port 3001"] {
            assert!(said.contains(part), "{own}: {said}");
        }
    }
}

#[test]
fn of_tunnels_by_a_listener_that_others_reach_it_is_warned() {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &["--connect", "--listener", "a=0", "--listener", "b=0.0.0.0:0"]);
    let b = listener(&proxy, "b").port();
    let warning = format!("warning: whoever reaches 0.0.0.0:{b} can have tunnels opened from this machine (--connect)");
    let err = soon(LIMIT, "it is told", || {
        let err = proxy.going.err();
        err.contains(&warning).then_some(err)
    });
    assert_eq!(err.matches("warning").count(), 1, "{err}");
}
