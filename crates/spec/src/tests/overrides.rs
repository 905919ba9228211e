use super::messages::{GOOD, SCENARIO};
use super::{said, with};

/// What the experiment holds at a JSON pointer after an override.
fn seen(base: &str, path: &str, value: &str, at: &str) -> String {
    let answer = with(base, &[(path, value)], &[("NAME", "from-env")]);
    let said = said(&answer);
    let loaded = answer.unwrap_or_else(|_| panic!("--set {path}={value}: {said}"));
    let json = serde_json::to_value(&loaded.experiment).unwrap();
    json.pointer(at)
        .unwrap_or_else(|| panic!("nothing at {at} in {json:#}"))
        .to_string()
}

#[test]
fn the_short_form_of_seed_0_sets_the_enclave_of_the_first_target() {
    let at = "/targets/0/selector/container/labels/com.kurtosistech.enclave-name";
    assert_eq!(seen(SCENARIO, "enclave", "pos", at), "\"pos\"");
}

#[test]
fn every_form_of_a_path_reaches_its_value() {
    for (base, path, value, at, wanted) in [
        (GOOD, "duration", "3m", "/duration", "\"3m\""),
        (GOOD, "spec.duration", "3m", "/duration", "\"3m\""),
        (GOOD, "seed", "7", "/seed", "7"),
        (GOOD, "faults[0].start", "11s", "/faults/0/start", "\"11s\""),
        (GOOD, "faults.slow.start", "11s", "/faults/0/start", "\"11s\""),
        (
            GOOD,
            "faults.slow.inject.memory_limit.limit",
            "1GiB",
            "/faults/0/inject/memory_limit/limit",
            "\"1GiB\"",
        ),
        (
            GOOD,
            "hypothesis.probes.p99.expect",
            "< 1",
            "/probes/0/expect",
            "\"< 1\"",
        ),
        (GOOD, "hypothesis.probes.p99.abort", "> 5", "/probes/0/abort", "\"> 5\""),
        (
            GOOD,
            "hypothesis.probes.p99.expect",
            "\"< 1\"",
            "/probes/0/expect",
            "\"< 1\"",
        ),
        (GOOD, "hypothesis.interval", "2s", "/interval", "\"2s\""),
        (
            GOOD,
            "targets.web.container.labels.com.docker.x",
            "y",
            "/targets/0/selector/container/labels/com.docker.x",
            "\"y\"",
        ),
        (
            GOOD,
            "targets.web.blast_radius.percent",
            "50",
            "/targets/0/blast_radius/percent",
            "\"50%\"",
        ),
        (
            GOOD,
            "targets[0].container.name",
            "${NAME}",
            "/targets/0/selector/container/name/whole",
            "\"from-env\"",
        ),
        (GOOD, "metrics", "[a, b]", "/metrics/1", "\"b\""),
        (GOOD, "metadata.tags[0]", "new", "/tags/0", "\"new\""),
        (GOOD, "metadata.\"version\"", "1.0", "/version", "\"1.0\""),
        (SCENARIO, "duration", "3m", "/duration", "\"3m\""),
        (SCENARIO, "interval", "1s", "/interval", "\"1s\""),
        (SCENARIO, "spec.warmup", "0", "/warmup", "\"0s\""),
        (SCENARIO, "metadata.name", "other", "/name", "\"other\""),
        (
            SCENARIO,
            "faults.squeeze.params.memory_mb",
            "256",
            "/faults/0/inject/memory_limit/limit",
            "\"256MiB\"",
        ),
        (
            SCENARIO,
            "spec.success_criteria.alive.threshold",
            "> 0",
            "/probes/0/expect",
            "\"> 0\"",
        ),
        (
            SCENARIO,
            "spec.targets[0].selector.enclave",
            "test",
            "/targets/0/selector/container/labels/com.kurtosistech.enclave-name",
            "\"test\"",
        ),
    ] {
        assert_eq!(seen(base, path, value, at), wanted, "--set {path}={value}");
    }
}

#[test]
fn of_two_overrides_the_later_wins() {
    let loaded = with(GOOD, &[("duration", "3m"), ("duration", "4m")], &[]).unwrap();
    assert_eq!(loaded.experiment.duration.to_string(), "4m");
}

#[test]
fn an_override_repairs_a_document_and_a_wrong_one_is_found_where_it_stands() {
    let broken = GOOD.replace("duration: 2m", "duration: soon");
    assert!(with(&broken, &[], &[]).is_err());
    assert!(with(&broken, &[("duration", "2m")], &[]).is_ok());
    insta::assert_snapshot!(said(&with(GOOD, &[("faults.slow.duration", "soon")], &[])), @r#"
    error[D004]: `faults[0].duration` is wrong: "soon" is not a duration: a number is missing before the unit
     --> --set:1:22
      |
    1 | faults.slow.duration=soon
      |                      ^^^^
      next: write it like 1500ms, 30s, 2m or 1h30m
    "#);
}

#[test]
fn a_path_that_leads_nowhere_says_what_is_near() {
    let mut out = String::new();
    for path in [
        "",
        "durration",
        "faults.slwo.start",
        "faults[3].start",
        "faults[x].start",
        "faults.slow.strat",
        "faults.slow.inject.delay.mean",
        "duration.more",
        "a..b",
        "a.",
        "faults[0",
        "[0]",
        "spec.targets.nobody.count",
    ] {
        let base = if path.starts_with("spec") { SCENARIO } else { GOOD };
        out.push_str(&said(&with(base, &[(path, "1")], &[])));
        out.push_str("\n\n");
    }
    insta::assert_snapshot!(out);
}

#[test]
fn variables_act_on_values_only() {
    let env = [("WHO", "web"), ("EMPTY", ""), ("LONG", "3m")];
    let name = |text: &str| {
        let answer = with(
            &GOOD.replace("{ name: web }", &format!("{{ name: {text} }}")),
            &[],
            &env,
        );
        match answer {
            Ok(loaded) => {
                serde_json::to_value(&loaded.experiment.targets[0].selector).unwrap()["container"]["name"]["whole"]
                    .to_string()
            }
            Err(_) => said(&answer),
        }
    };
    assert_eq!(name("'${WHO}-1'"), "\"web-1\"");
    assert_eq!(name("'${NOBODY:-a}${WHO:-b}${EMPTY:-c}'"), "\"awebc\"");
    assert_eq!(name("'a$WHO$'"), "\"a$WHO$\"");
    assert_eq!(name("'a$${1}'"), "\"a${1}\"");
    let long = with(&GOOD.replace("duration: 2m", "duration: ${LONG}"), &[], &env).unwrap();
    assert_eq!(long.experiment.duration.to_string(), "3m");
    let wrong: Vec<_> = ["'${NOBODY}'", "'${'", "'${1}'", "'${A:-${B}}'"]
        .into_iter()
        .map(name)
        .collect();
    insta::assert_snapshot!(wrong.join("\n"));
}
