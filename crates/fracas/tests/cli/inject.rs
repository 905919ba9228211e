//! One fault without a document, and faults that come, go and grow.

use crate::cli::{Cli, Going, limited};
use crate::support::{LIMIT, Target, read, soon};

/// The arguments of a memory limit on this target.
fn limit<'a>(target: &'a Target, size: &'a str, time: &'a str) -> Vec<&'a str> {
    let pid_file = target.selector.split('"').nth(1).unwrap();
    vec![
        "inject",
        "memory_limit",
        "--pid-file",
        pid_file,
        "--size",
        size,
        "--for",
        time,
    ]
}

/// Every value that the limit had while the run went on, without repeats.
fn values(target: &Target, going: &Going) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    soon(LIMIT, "the run ends", || {
        let now = read(target.memory_limit()).unwrap();
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        going.process().has_ended().unwrap().then_some(())
    });
    seen
}

#[test]
fn a_fault_is_put_on_for_a_time_and_certified() {
    let Some(target) = Target::process() else { return };
    let before = target.look();
    let cli = Cli::new();
    let mut words = limit(&target, "64MiB", "1s");
    words.push("--yes");
    let going = cli.start(&words);
    going.until("the limit is on", || limited(&target));
    let said = going.end();
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(target.look(), before);
    let report = cli.run(&["report", "last"]);
    assert!(report.out.contains("inject-memory-limit"), "{}", report.out);
    assert!(report.out.contains("restored; seen: as before"), "{}", report.out);
}

#[test]
fn it_can_be_printed_as_the_document_that_it_is() {
    let cli = Cli::new();
    let said = cli.run(&[
        "inject",
        "process_pause",
        "--pattern",
        "a b",
        "--children",
        "--container",
        "web-[0-9]+",
        "--label",
        "tier=front",
        "--at-most",
        "2",
        "--for",
        "30s",
        "--pulse",
        "on=10s,off=5s",
        "--seed",
        "7",
        "--print",
    ]);
    assert_eq!(said.code, 0, "{}", said.err);
    insta::assert_snapshot!(said.out);
    let file = cli.file("printed.yaml", &said.out);
    let valid = cli.run(&["validate", &file]);
    assert_eq!(valid.code, 0, "{}{}", valid.out, valid.err);
}

/// The port of the requests is none of the target's selector, and what is done to them is a map.
#[test]
fn a_fault_on_requests_is_written_as_in_a_document() {
    let cli = Cli::new();
    let with = |chaos: &str| {
        cli.run(&[
            "inject",
            "http",
            "--target-port",
            "8080",
            "--chaos",
            chaos,
            "--port",
            "80",
            "--for",
            "30s",
            "--print",
        ])
    };
    let said = with("{ fault_injection:\n { http_errors: [503] } }");
    assert_eq!(said.code, 0, "{}", said.err);
    for line in [
        "        port: 8080\n",
        "        chaos: { fault_injection: { http_errors: [503] } }\n",
        "      port: 80\n",
    ] {
        assert!(said.out.contains(line), "{line}: {}", said.out);
    }
    let file = cli.file("printed.yaml", &said.out);
    let valid = cli.run(&["validate", &file]);
    assert_eq!(valid.code, 0, "{}{}", valid.out, valid.err);
    let json = with(r#"{"latency":{"fixed_delay_ms":5}}"#);
    assert!(
        json.out.contains(r#"chaos: {"latency":{"fixed_delay_ms":5}}"#),
        "{}",
        json.out
    );
    let told = with("latency");
    assert!(told.code == 2 && told.err.contains("is a map"), "{}", told.err);
}

#[test]
fn nobody_to_ask_and_nothing_to_break_are_refused() {
    let cli = Cli::new();
    let told = cli.refused(&["inject", "memory_limit", "--limit", "64MiB", "--for", "1s", "--yes"]);
    assert!(told.contains("--container web"), "{told}");
    let told = cli.refused(&[
        "inject",
        "memory_limit",
        "--limit",
        "64MiB",
        "--for",
        "1s",
        "--container",
        "a",
        "--process",
        "b",
        "--yes",
    ]);
    assert!(told.contains("not both"), "{told}");
    let told = cli.refused(&[
        "inject",
        "memory_limit",
        "--limit",
        "64MiB",
        "--for",
        "1s",
        "--process",
        "b",
    ]);
    assert!(told.contains("--yes"), "{told}");
    let told = cli.refused(&[
        "inject",
        "memory_limit",
        "--limit",
        "much",
        "--for",
        "1s",
        "--process",
        "b",
        "--yes",
    ]);
    assert!(
        told.contains("fracas inject:") && told.contains("is not a size"),
        "{told}"
    );
    let told = cli.refused(&[
        "inject",
        "cpu_stress",
        "--percent",
        "50%",
        "--for",
        "9s",
        "--process",
        "b",
        "--ramp",
        "from 5%",
        "--yes",
    ]);
    assert!(told.contains("has no `=`"), "{told}");
    assert_eq!(cli.run(&["inject", "nothing"]).code, 2);
    assert_eq!(cli.run(&["inject"]).code, 2);
    // Required parameters are required of the flags, too.
    let missing = cli.run(&["inject", "memory_limit", "--for", "1s", "--process", "b"]);
    assert!(missing.code == 2 && missing.err.contains("--limit"), "{}", missing.err);
}

#[test]
fn help_is_made_from_the_faults_own_parameters() {
    let cli = Cli::new();
    insta::assert_snapshot!(cli.run(&["inject", "container_kill", "-h"]).out);
}

#[test]
fn a_pulse_comes_and_goes() {
    let Some(target) = Target::process() else { return };
    let unlimited = read(target.memory_limit()).unwrap();
    let cli = Cli::new();
    let mut words = limit(&target, "64MiB", "5s");
    words.extend(["--pulse", "on=1s,off=1s", "--yes"]);
    let going = cli.start(&words);
    let seen = values(&target, &going);
    assert_eq!(going.end().code, 0);
    let (off, on) = (unlimited.as_str(), "67108864");
    assert_eq!(seen, [off, on, off, on, off, on, off]);
}

#[test]
fn a_ramp_becomes_harder_step_by_step() {
    let Some(target) = Target::process() else { return };
    let unlimited = read(target.memory_limit()).unwrap();
    let cli = Cli::new();
    let mut words = limit(&target, "64MiB", "4s");
    words.extend(["--ramp", "from=256MiB,over=3s,steps=4", "--yes"]);
    let going = cli.start(&words);
    let seen = values(&target, &going);
    assert_eq!(going.end().code, 0);
    // Between two steps there may be a look at the target as it was before.
    let steps: Vec<&str> = seen
        .iter()
        .map(String::as_str)
        .filter(|value| *value != unlimited)
        .collect();
    assert_eq!(steps, ["268435456", "201326592", "134217728", "67108864"]);
    assert_eq!(seen.last(), Some(&unlimited));
}

/// Two commands that differ in one flag print two documents that differ in its line.
#[test]
fn every_flag_of_the_target_and_of_time_is_a_line_of_the_document() {
    let cli = Cli::new();
    let base = ["inject", "cpu_limit", "--percent", "20%", "--for", "30s", "--print"];
    let printed = |more: &[&str]| cli.run(&[&base, more].concat());
    for (flags, line) in [
        (["--container", "web"], "name: \"web\""),
        (["--image", "nginx:1"], "image: \"nginx:1\""),
        (["--compose-service", "front"], "compose_service: \"front\""),
        (["--process", "nginx"], "name: \"nginx\""),
        (["--command", "nginx -g .*"], "command: \"nginx -g .*\""),
        (["--pid-file", "/run/x.pid"], "pid_file: \"/run/x.pid\""),
        (["--cgroup", "/x.slice"], "cgroup: \"/x.slice\""),
        (["--unit", "x.service"], "systemd_unit: \"x.service\""),
        (["--port", "81"], "port: 81"),
    ] {
        let said = printed(&flags);
        assert_eq!(said.code, 0, "{flags:?}: {}", said.err);
        assert!(said.out.contains(line), "{flags:?}: {}", said.out);
    }
    let plain = printed(&["--port", "81"]).out;
    for (flags, line) in [
        (vec!["--at-most", "3"], "at_most: 3"),
        (vec!["--seed", "9"], "seed: 9"),
        (vec!["--allow-irreversible"], "allow_irreversible: true"),
        (
            vec!["--pulse", "on=2s,off=3s"],
            "pulse: { \"on\": \"2s\", \"off\": \"3s\" }",
        ),
        (
            vec!["--ramp", "from=80%,over=10s,steps=4"],
            "ramp: { \"from\": \"80%\", \"over\": \"10s\", \"steps\": 4 }",
        ),
    ] {
        let said = printed(&[vec!["--port", "81"], flags].concat()).out;
        assert!(said.contains(line) && !plain.contains(line), "{said}");
    }
}

#[test]
fn a_partition_needs_a_document_for_its_second_set() {
    let cli = Cli::new();
    let words = [
        "inject",
        "partition",
        "--from",
        "b",
        "--container",
        "a",
        "--for",
        "1s",
        "--print",
    ];
    let told = cli.refused(&words);
    assert!(
        told.contains("between two sets") && told.contains("fracas template experiment partition"),
        "{told}"
    );
    let template = cli.run(&["template", "experiment", "partition"]);
    let file = cli.file("parted.yaml", &template.out);
    assert_eq!(cli.run(&["validate", &file]).code, 0, "{}", template.out);
}
