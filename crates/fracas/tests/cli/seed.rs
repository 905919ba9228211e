//! All that seed 3 prints, taken from its text: every block is used as it stands there, or says why it is none.
//!
//! What goes on for minutes is read, checked and begun; its first step is seen on traffic, and then it is ended.

use serde_json::{Value, json};

use crate::cli::Cli;
use crate::proxied::{Got, Proxied};
use crate::support::{LIMIT, soon};

/// All blocks of the text.
const TEXT: &str = include_str!("../../../spec/src/orchestration/seed.txt");

/// What a block is.
#[derive(Debug, Clone, Copy)]
enum Is {
    /// An orchestration, of which the first step is seen on traffic.
    Whole(Seen),
    /// A part of one, with what stands around it here; seen in the same way.
    Part(&'static str, Seen),
    /// What follows this line is another one, and no document.
    Before(&'static str, &'static str, Seen),
    /// Keys that are told.
    Told(&'static str),
    /// An endless loop: it is refused, unless somebody says when it ends.
    Endless,
    /// A request of the API; its answer is the next block.
    Call,
    /// The answer to the block before.
    Answer,
    /// Commands of a shell, or a workflow: `seed_shell` runs them.
    Shell,
    /// `fracas_spec::Export` has it in its documentation, and its test compares the two.
    Rust,
    /// Nobody could run it.
    Pseudo(&'static str),
}

/// What clients see of a step.
#[derive(Debug, Clone, Copy)]
enum Seen {
    /// An answer that was held for about so many milliseconds: from, to.
    Held(f64, f64),
    /// An answer that met this fault.
    Fault(&'static str),
    /// Nothing: it is a pause.
    Nothing,
}

use Is::{Answer, Before, Call, Endless, Part, Pseudo, Rust, Shell, Told, Whole};
use Seen::{Fault, Held, Nothing};

/// So that steps without a duration are no error: beside each other they need none.
const BESIDE: &str = "name: part\nparallel: true\n";
/// For steps that have one.
const BEHIND: &str = "name: part\n";

/// Every block, by its number from 1 on.
const BLOCKS: &[Is] = &[
    Pseudo("a story, of an outage"),
    Pseudo("steps are `- warmup (60s)`: names with a time, and nothing that is done"),
    Shell,
    Whole(Held(50.0, 60.0)),
    Shell,
    Shell,
    Shell,
    Pseudo("the types of keys in the place of values: `name: string`; the reference has them"),
    Whole(Held(80.0, 120.0)),
    Shell,
    Shell,
    Call,
    Answer,
    Call,
    Answer,
    Call,
    Answer,
    Call,
    Answer,
    Whole(Held(8.0, 12.0)),
    Whole(Held(400.0, 600.0)),
    Whole(Fault("rate_limit")),
    Whole(Held(50.0, 50.0)),
    Whole(Fault("http_error")),
    Before("# Avoid", "", Nothing),
    Before("# Bad", BESIDE, Nothing),
    Part(BEHIND, Nothing),
    Part(BESIDE, Nothing),
    Part(BEHIND, Nothing),
    Told("/tags"),
    Pseudo("commands of git, and none of ours"),
    Told("/description"),
    Whole(Held(10.0, 10.0)),
    Whole(Nothing),
    Whole(Held(200.0, 200.0)),
    Shell,
    Shell,
    Shell,
    Shell,
    Shell,
    Endless,
    Shell,
    Shell,
    Part(BESIDE, Held(80.0, 600.0)),
    Rust,
];

/// The language and the text of every block.
pub(crate) fn blocks() -> Vec<(&'static str, &'static str)> {
    let parts = TEXT.split("```").skip(1).step_by(2);
    parts.map(|block| block.split_once('\n').unwrap()).collect()
}

/// Those of this kind.
fn of(kind: fn(&Is) -> bool) -> Vec<(usize, Is, &'static str)> {
    let all = BLOCKS.iter().zip(blocks()).enumerate();
    let all = all.filter(|(_, (is, _))| kind(is));
    all.map(|(index, (is, (_, text)))| (index + 1, *is, text)).collect()
}

#[test]
fn no_block_is_left_out() {
    let blocks = blocks();
    assert_eq!(BLOCKS.len(), blocks.len());
    for (number, (is, (language, text))) in BLOCKS.iter().zip(blocks).enumerate() {
        let fits = match is {
            Whole(_) => ["yaml", "json"].contains(&language) && text.contains("steps"),
            Part(..) | Before(..) | Told(_) | Endless => language == "yaml",
            Call => language == "http",
            Answer => language == "json",
            Shell => language == "bash" || text.contains("run: |"),
            Rust => language == "rust",
            Pseudo(why) => !why.is_empty(),
        };
        assert!(fits, "block {} is no {is:?}: {language} {text}", number + 1);
    }
}

fn near(got: &Got, from: f64, to: f64) -> bool {
    let held = |name: &str| got.header(name).parse::<f64>().unwrap_or(0.0);
    let held = held("x-fracas-latency-ms") + held("x-fracas-jitter-ms");
    (from..=to).contains(&held)
}

/// Validates an orchestration, begins it, sees its first step on traffic, and ends it.
fn acts(cli: &Cli, number: usize, text: &str, seen: Seen) {
    let file = cli.file("orchestration.yaml", text);
    let said = cli.run(&["orchestrate", "validate", "--file", &file]);
    assert_eq!(said.code, 0, "block {number}: {}", said.err);
    let proxy = Proxied::start(cli, &["--seed", "1"]);
    let base = format!("http://{}", proxy.address);
    let said = cli.run(&["orchestrate", "start", "--file", &file, "--base-url", &base]);
    assert_eq!(said.code, 0, "block {number}: {}", said.err);
    let mut sent = 0;
    soon(LIMIT, &format!("block {number} is seen: {seen:?}"), || {
        sent += 1;
        let got = proxy.get("/", &sent.to_string());
        match seen {
            Held(from, to) => near(&got, from, to),
            // Of a name of a client others may be in the way.
            Fault(fault) => got.head.contains(&format!("x-fracas-fault: {fault}\r\n")),
            Nothing => {
                let met = got.header("x-fracas-fault");
                assert_eq!((got.status(), met), ("200", "none"), "block {number}");
                sent == 20
            }
        }
        .then_some(())
    });
    let status = status(&proxy);
    assert_eq!(
        (&status["is_running"], &status["steps"][0]["state"]),
        (&json!(true), &json!("running"))
    );
    let said = cli.run(&["orchestrate", "stop", "--base-url", &base]);
    assert_eq!(said.out, "Orchestration stopped\n", "block {number}");
    let after = proxy.get("/", "after");
    assert_eq!(
        (after.status(), after.header("x-fracas-fault")),
        ("200", "none"),
        "block {number}"
    );
}

fn status(proxy: &Proxied) -> Value {
    serde_json::from_str(&proxy.get("/api/chaos/orchestration/status", "a").body).unwrap()
}

#[test]
fn every_orchestration_is_read_and_begun_and_acts_on_traffic() {
    let cli = Cli::new();
    let mut names = Vec::new();
    for (number, is, text) in of(|is| matches!(is, Whole(_) | Part(..) | Before(..))) {
        match is {
            Whole(seen) => acts(&cli, number, text, seen),
            Part(around, seen) => acts(&cli, number, &format!("{around}{text}"), seen),
            Before(line, around, seen) => {
                let (text, rest) = text.split_once(line).unwrap();
                assert!(rest.contains("steps:"));
                acts(&cli, number, &format!("{around}{text}"), seen);
            }
            _ => unreachable!("only these were asked for"),
        }
        names.push(number);
    }
    assert_eq!(names, [4, 9, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 33, 34, 35, 44]);
}

#[test]
fn what_is_said_of_an_orchestration_is_told() {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &[]);
    let base = format!("http://{}", proxy.address);
    let rest = "name: o\nsteps: [{ name: a, duration_seconds: 0.01 }]\n";
    for (number, is, text) in of(|is| matches!(is, Told(_))) {
        let Told(at) = is else {
            unreachable!("only these were asked for")
        };
        let file = cli.file("told.yaml", &format!("{rest}{text}"));
        let said = cli.run(&["orchestrate", "start", "--file", &file, "--base-url", &base]);
        assert_eq!(said.code, 0, "block {number}: {}", said.err);
        let told = status(&proxy).pointer(at).unwrap().clone();
        for line in text.lines().skip(1) {
            let line = line.trim_start().trim_start_matches("- ");
            let told = told
                .as_array()
                .map_or_else(|| told.to_string(), |list| json!(list).to_string());
            assert!(told.contains(line), "block {number}: {line:?} is not in {told}");
        }
        soon(LIMIT, "it is over", || {
            (status(&proxy)["is_running"] == false).then_some(())
        });
    }
}

#[test]
fn the_loop_that_never_ends_is_refused_with_its_way_out() {
    let cli = Cli::new();
    let [(_, _, text)] = of(|is| matches!(is, Endless))[..] else {
        panic!("there is one")
    };
    let file = cli.file(
        "endless.yaml",
        &format!("name: o\nsteps: [{{ name: a, duration_seconds: 1 }}]\n{text}"),
    );
    let said = cli.refused(&["orchestrate", "validate", "--file", &file]);
    assert!(
        said.contains("`max_iterations` is 0") && said.contains("--max-duration"),
        "{said}"
    );
    assert_eq!(
        cli.run(&["orchestrate", "validate", "--file", &file, "--max-duration", "1h"])
            .code,
        0
    );
}

/// What the bodies leave open: `...`, and comments that JSON has not.
fn filled(body: &str) -> String {
    let lines = body.lines().map(|line| line.split("  #").next().unwrap().trim_end());
    let steps: Vec<Value> = (0..3)
        .map(|n| json!({ "name": n.to_string(), "duration_seconds": 60 }))
        .collect();
    let steps = json!(steps).to_string();
    let content = json!(json!({ "name": "name", "steps": serde_json::from_str::<Value>(&steps).unwrap() }).to_string());
    let whole = lines.collect::<Vec<_>>().join("\n");
    whole.replace("\"...\"", &content.to_string()).replace("[...]", &steps)
}

#[test]
fn every_call_of_the_api_has_the_answer_that_is_printed() {
    let cli = Cli::new();
    let proxy = Proxied::start(&cli, &[]);
    let parts = of(|is| matches!(is, Call | Answer));
    assert_eq!(parts.len(), 8);
    for pair in parts.chunks(2) {
        let [(number, Call, call), (_, Answer, answer)] = pair else {
            panic!("{pair:?}")
        };
        let (head, body) = call.trim_end().split_once("\n\n").unwrap_or((call.trim_end(), ""));
        let (request, headers) = head.split_once('\n').unwrap_or((head, ""));
        let headers = if headers.is_empty() {
            String::new()
        } else {
            headers.replace('\n', "\r\n") + "\r\n"
        };
        let body = filled(body);
        let got = proxy.exchange(&format!(
            "{request} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(got.status(), "200", "block {number}: {}", got.body);
        let got: Value = serde_json::from_str(&got.body).unwrap();
        let printed: Value = serde_json::from_str(answer).unwrap();
        for (key, value) in printed.as_object().unwrap() {
            match key.as_str() {
                // It was begun a moment ago.
                "progress" => assert!((0.0..0.5).contains(&got[key].as_f64().unwrap()), "{got}"),
                _ => assert_eq!(&got[key], value, "block {number}: {got}"),
            }
        }
    }
}
