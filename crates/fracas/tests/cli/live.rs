//! What passes a proxy, on a terminal and elsewhere: `fracas proxy --live`.

mod screen;
mod stuck;
mod terminal;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use serde_json::Value;

use crate::cli::Cli;
use crate::proxied::{Proxied, get};
use crate::support::{LIMIT, signal, soon};
use screen::Screen;
use terminal::{CTRL_C, Terminal};

/// signal(7)
const TERM: i32 = 15;

/// All are held, and every third fails, whatever is drawn.
const CONFIG: &str = "latency: { fixed_delay_ms: 20 }
fault_injection: { error_pattern: { type: sequential, sequence: [503, 200, 200] } }
";

fn ask(address: SocketAddr, count: u32) {
    for n in 0..count {
        assert_ne!(get(address, Ipv4Addr::LOCALHOST, "/", &n.to_string()).status(), "none");
    }
}

/// What the proxy counted, by its API.
fn stats(address: SocketAddr) -> Value {
    let said = get(address, Ipv4Addr::LOCALHOST, "/api/chaos/stats", "a");
    serde_json::from_str(&said.body).unwrap()
}

/// What was counted in all, of what has this label.
fn in_all(screen: &Screen, label: &str) -> Option<u64> {
    let (before, _) = screen.line(label)?.split_once(" in all")?;
    before.rsplit(' ').next()?.parse().ok()
}

#[test]
fn on_a_terminal_the_picture_says_what_the_api_says() {
    let cli = Cli::new();
    let file = cli.file("chaos.yaml", CONFIG);
    let words = ["--live", "--chaos-config", &file];
    let Some(terminal) = Terminal::start(&cli, &words, "") else {
        return;
    };
    ask(terminal.address, 12);
    let screen = terminal.until("it has seen them all", |screen| in_all(screen, "requests") == Some(12));
    let stats = stats(terminal.address);
    let counted = [&stats["requests"], &stats["server_errors"], &stats["faults"]];
    assert_eq!(counted.map(Value::as_u64), [Some(12), Some(4), Some(16)]);
    assert_eq!(in_all(&screen, "errors"), Some(4), "{screen:?}");
    assert_eq!(in_all(&screen, "faults"), Some(16), "{screen:?}");
    for (label, end) in [("requests", "12 in all  2xx 8  5xx 4"), ("errors", "4 in all  5xx 4")] {
        assert!(screen.line(label).unwrap().ends_with(end), "{screen:?}");
    }
    let head = format!("http://{}  seed 7  up 0:", terminal.address);
    assert!(screen.line("fracas proxy").unwrap().contains(&head), "{screen:?}");
    // While they came, a picture had their rate, their faults and how long they took.
    let all = terminal.pictures();
    let has = |label: &str, is: fn(&str) -> bool| all.iter().filter_map(|one| one.line(label)).any(is);
    assert!(has("requests", |line| !line.contains(" 0/s")), "{all:?}");
    let kinds = |line: &str| {
        let (_, kinds) = line.split_once("in all").unwrap();
        ["latency ", "http_error ", "/s"]
            .iter()
            .all(|part| kinds.contains(part))
    };
    assert!(has("faults", kinds), "{all:?}");
    let held = |line: &str| {
        let median = line.split_once("p50 ").map(|(_, rest)| rest.split(' ').next().unwrap());
        median.is_some_and(|median| median.parse::<f64>().unwrap() >= 20.0)
    };
    assert!(has("latency", held), "{all:?}");
    terminal.end();
}

// What is told while the picture stands is told above it, whole and once; and at the end the terminal is as it was.
#[test]
fn what_is_told_stands_above_it_and_the_terminal_is_as_before() {
    let cli = Cli::new();
    let file = cli.file("chaos.yaml", CONFIG);
    let words = ["--live", "--chaos-config", &file];
    let Some(mut terminal) = Terminal::start(&cli, &words, "") else {
        return;
    };
    terminal.until("there is a picture", |screen| screen.line("scenarios").is_some());
    cli.file("chaos.yaml", "latency: { fixed_delay_ms: 3600000 }\n");
    let told = format!("{file} has changed, and acts from the next request on");
    terminal.until("it is told", |screen| screen.lines().contains(&told));
    // It stays until it is cut off.
    let mut held = TcpStream::connect(terminal.address).unwrap();
    held.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    terminal.until("it is held", |screen| in_all(screen, "faults") == Some(1));
    terminal.press(CTRL_C);
    let stopping = |screen: &Screen| {
        screen
            .line("fracas proxy")
            .is_some_and(|line| line.ends_with("stopping"))
    };
    let screen = terminal.until("it waits for the request", stopping);
    assert!(
        screen.line("connections").is_some_and(|line| line.ends_with(" 1")),
        "{screen:?}"
    );
    assert!(screen.is_free(), "{screen:?}");
    terminal.press(CTRL_C);
    let screen = terminal.ended();
    let order = [
        "proxy: http://",
        "seed: 7",
        &told,
        "asked to stop: no new connections; open requests go on",
        "asked once more: nothing is waited for",
        "fracas proxy",
        "requests",
        "errors",
        "faults",
        "latency",
        "connections",
        "scenarios",
        "1 connections had not ended and were cut off",
    ];
    let places = order.map(|wanted| {
        let lines = screen.lines().iter().enumerate();
        let found: Vec<usize> = lines
            .filter(|(_, line)| line.starts_with(wanted))
            .map(|(n, _)| n)
            .collect();
        assert_eq!(found.len(), 1, "{wanted}: {screen:?}");
        found[0]
    });
    assert!(places.is_sorted(), "{places:?}: {screen:?}");
    assert_eq!(places.last(), Some(&(screen.lines().len() - 1)), "{screen:?}");
    assert!(screen.is_free(), "{screen:?}");
}

#[test]
fn what_acts_is_named() {
    let cli = Cli::new();
    let file = cli.file(
        "orchestration.yaml",
        "name: storm\nsteps:\n  - { name: first, scenario: slow_backend, duration_seconds: 600000 }\n",
    );
    for (words, scenarios, orchestration) in [
        (
            ["--live", "--orchestration", &file],
            "scenarios      slow_backend",
            Some("orchestration  storm running 0%, step first"),
        ),
        (
            ["--live", "--chaos-scenario", "peak_traffic"],
            "scenarios      peak_traffic",
            None,
        ),
    ] {
        let Some(terminal) = Terminal::start(&cli, &words, "") else {
            return;
        };
        let screen = terminal.until("it acts", |screen| screen.line("scenarios") == Some(scenarios));
        assert_eq!(screen.line("orchestration "), orchestration, "{screen:?}");
        terminal.end();
    }
    let Some(terminal) = Terminal::start(&cli, &["--live"], "") else {
        return;
    };
    let url = format!("http://{}", terminal.address);
    for (words, shown) in [
        (
            vec!["start", "--file", &file],
            "orchestration  storm running 0%, step first",
        ),
        (vec!["stop"], "orchestration  storm stopped 0%"),
    ] {
        let said = cli.run(&[&["orchestrate"], &words[..], &["--base-url", &url]].concat());
        assert_eq!(said.code, 0, "{said:?}");
        terminal.until(shown, |screen| screen.line("orchestration ") == Some(shown));
    }
    terminal.end();
}

#[test]
fn it_is_no_larger_than_the_terminal() {
    let cli = Cli::new();
    let Some(terminal) = Terminal::start(&cli, &["--live"], "stty cols 30 rows 5;") else {
        return;
    };
    terminal.until("it is drawn over", |_| terminal.pictures().len() >= 2);
    for picture in terminal.pictures() {
        let begins = picture.lines().iter().position(|line| line.starts_with("fracas proxy"));
        let lines = &picture.lines()[begins.unwrap()..];
        assert_eq!(lines.len(), 4, "{picture:?}");
        assert!(lines.iter().all(|line| line.chars().count() < 30), "{picture:?}");
    }
    terminal.end();
}

#[test]
fn colours_are_for_whoever_wants_them_and_pictures_for_whoever_can_show_them() {
    for (variable, is_coloured, is_picture) in [
        ("TERM=xterm", true, true),
        ("NO_COLOR=1", false, true),
        ("TERM=dumb", false, false),
    ] {
        let cli = Cli::new();
        let Some(terminal) = Terminal::start(&cli, &["--live"], &format!("export {variable};")) else {
            return;
        };
        terminal.until("it shows something", |screen| screen.has("scenarios "));
        let raw = terminal.raw();
        // Bold, by `console_codes(4)`.
        assert_eq!(
            raw.contains("\u{1b}[1mfracas proxy"),
            is_coloured,
            "{variable}: {raw:?}"
        );
        assert_eq!(
            raw.contains('m') && raw.contains("\u{1b}[0m"),
            is_coloured,
            "{variable}: {raw:?}"
        );
        assert_eq!(raw.contains('\u{1b}'), is_picture, "{variable}: {raw:?}");
        terminal.end();
    }
}

#[test]
fn elsewhere_it_is_a_line_each_second() {
    let cli = Cli::new();
    let file = cli.file("chaos.yaml", CONFIG);
    let proxy = Proxied::start(&cli, &["--live", "--chaos-config", &file]);
    ask(proxy.address, 3);
    let seen = "/s (3), errors ";
    proxy
        .going
        .until("it says so twice", || proxy.going.err().matches(seen).count() >= 2);
    signal(proxy.going.process(), TERM);
    let err = proxy.going.end().err;
    assert!(!err.contains('\u{1b}'), "{err:?}");
    let first = err.lines().find(|line| line.contains(", errors ")).unwrap();
    let (minutes, rest) = first.split_once(':').unwrap();
    let (seconds, rest) = rest.split_once(' ').unwrap();
    let up = minutes.parse::<u32>().unwrap() * 60 + seconds.parse::<u32>().unwrap();
    assert!(up >= 1 && rest.starts_with("requests "), "{first}");
    // The last one is of the end.
    assert!(
        err.ends_with(
            " requests 0/s (3), errors 0/s (1: 5xx 1), faults 0/s (4: latency 3, http_error 1), latency no answers, \
             connections 0, scenarios none\n"
        ),
        "{err}"
    );
}

#[test]
fn for_programs_it_is_an_object_each_second() {
    let cli = Cli::new();
    let file = cli.file("chaos.yaml", CONFIG);
    let words = [
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
        "--live",
        "--chaos-config",
        &file,
    ];
    let going = cli.start(&words);
    let read = |text: &str| -> Vec<Value> {
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let address = soon(LIMIT, "it says where it listens", || {
        let notes = read(&going.err());
        let mut said = notes.iter().filter_map(|note| note["note"].as_str());
        said.find_map(|note| note.strip_prefix("proxy: http://")?.parse().ok())
    });
    ask(address, 3);
    soon(LIMIT, "it has seen them", || {
        let all = read(&going.err());
        all.iter().any(|said| said["traffic"]["requests"] == 3).then_some(())
    });
    let stats = stats(address);
    signal(going.process(), TERM);
    let said = going.end();
    assert_eq!(said.code, 0);
    let all = read(&said.err);
    let traffic: Vec<&Value> = all
        .iter()
        .map(|said| &said["traffic"])
        .filter(|said| said.is_object())
        .collect();
    let last = traffic.last().unwrap();
    for key in ["requests", "server_errors", "by_class", "faults", "by_fault"] {
        assert_eq!(last[key], stats[key], "{key}");
    }
    let has = |key: &str, least: f64| traffic.iter().any(|said| said[key].as_f64() >= Some(least));
    assert!(has("p50_ms", 20.0) && has("p99_ms", 20.0), "{traffic:?}");
    assert!(
        has("requests_per_second", 0.001) && has("errors_per_second", 0.001),
        "{traffic:?}"
    );
}

#[test]
fn connections_that_a_fault_ends_are_errors() {
    let cli = Cli::new();
    let resets = cli.file(
        "chaos.yaml",
        "fault_injection: { http_error_probability: 0, connection_errors: true, connection_error_probability: 1, \
         connection_error_kind: tcp_reset }\n",
    );
    let proxy = Proxied::start(&cli, &["--live", "--chaos-config", &resets]);
    assert!(proxy.get("/", "a").reset);
    let counted = "/s (1: broken connections 1), faults ";
    proxy
        .going
        .until("it is counted", || proxy.going.err().contains(counted));
    assert_eq!(stats(proxy.address)["by_fault"]["tcp_reset"], 1);
}

#[test]
fn it_cannot_be_quiet_at_the_same_time() {
    let said = Cli::new().run(&["proxy", "--live", "--quiet"]);
    assert!(said.code == 2 && said.err.contains("cannot be used with"), "{said:?}");
}
