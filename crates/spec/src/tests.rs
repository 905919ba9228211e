use super::*;

mod defaults;
mod formats;
mod hostile;
mod keys;
mod listeners;
mod messages;
mod overrides;
mod series;

/// What comes of a document.
type Answer = Result<Loaded, Vec<Box<Problem>>>;

/// Loads a text without overrides or variables.
fn plain(text: &str) -> Answer {
    with(text, &[], &[])
}

/// Loads a text.
fn with(text: &str, set: &[(&str, &str)], env: &[(&str, &str)]) -> Answer {
    let source = Source {
        name: "a.yaml".to_owned(),
        text: text.to_owned(),
    };
    let set: Vec<_> = set
        .iter()
        .map(|(path, value)| ((*path).to_owned(), (*value).to_owned()))
        .collect();
    load(&source, &set, &|name| {
        env.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    })
}

/// Everything that is said about an answer, as a person gets it.
fn said(answer: &Answer) -> String {
    let problems: Vec<String> = match answer {
        Ok(loaded) => loaded
            .warnings
            .iter()
            .map(|problem| format!("warning: {problem}"))
            .collect(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    };
    problems.join("\n")
}

/// The experiment of a text that must load.
fn experiment(text: &str) -> Experiment {
    let answer = plain(text);
    let said = said(&answer);
    assert!(
        answer.is_ok(),
        "{said}
{text}"
    );
    answer.unwrap().experiment
}

/// A text with one part replaced, which must be there once.
fn swap(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old:?} must be there once");
    text.replace(old, new)
}

#[test]
fn templates_load() {
    use fracas_core::params::Inject;
    for fault in Inject::NAMES {
        let text = template(Format::Native, fault).unwrap();
        let answer = plain(&text);
        assert_eq!(said(&answer), "", "{fault}");
        let first = answer.unwrap().experiment.faults.swap_remove(0);
        let set = first.written.map(|written| written.kind);
        assert_eq!(set.as_deref().unwrap_or(first.inject.name()), *fault);
    }
    let mut seen = 0;
    for known in scenario::types::ALL {
        let Ok(text) = template(Format::ChaosScenario, known.name) else {
            continue;
        };
        assert_eq!(experiment(&text).format, Format::ChaosScenario);
        seen += 1;
    }
    assert_eq!(seen, 19);
    assert!(
        template(Format::Native, "memory_limt")
            .unwrap_err()
            .to_string()
            .contains("did you mean `memory_limit`?")
    );
}

#[test]
fn what_a_fault_on_requests_does_is_checked() {
    let template = template(Format::Native, "http").unwrap();
    let with = |from: &str, to: &str| {
        assert!(template.contains(from), "{template}");
        said(&plain(&template.replace(from, to)))
    };
    assert_eq!(with("port: 8080", "port: 8081"), "");
    for alone in [
        "routes: [{ path: /a, latency: { fixed_delay_ms: 5 } }]",
        "mutations: { rules: [{ name: a, operations: [{ type: inject_error }] }] }",
        "grpc: { status_codes: [14] }",
        "graphql: { partial_data_probability: 0.1 }",
        "websocket: { message_drop_probability: 0.1 }",
    ] {
        let to = format!("{alone}, fault_injection: {{ enabled: false,");
        assert_eq!(with("fault_injection: {", &to), "", "{alone}");
    }
    for (from, to, what) in [
        ("port: 8080", "port: 0", "inject.http.port` must be from 1 to 65535"),
        (
            "probability: 0.1",
            "probability: 1.5",
            "http_error_probability` must be from 0 to 1",
        ),
        ("[503]", "[200]", "inject.http.chaos.fault_injection.http_errors"),
        (
            "fault_injection: {",
            "fault_injection: { enabled: false,",
            "inject.http.chaos` does nothing",
        ),
        (
            "fault_injection: {",
            "grpc: {}, websocket: {}, graphql: {}, mutations: {}, fault_injection: { enabled: false,",
            "inject.http.chaos` does nothing",
        ),
        (
            "fault_injection: {",
            "routes: [{ path: a, latency: {} }], fault_injection: {",
            "inject.http.chaos.routes[0].path` must begin with `/`",
        ),
    ] {
        let told = with(from, to);
        assert!(told.contains(what), "{to}: {told}");
    }
}

#[test]
fn what_seed_0_has_of_requests_and_is_not_there_yet_is_refused_by_name() {
    let template = template(Format::ChaosScenario, "http_fault").unwrap();
    let with = |from: &str, to: &str| {
        assert!(template.contains(from), "{template}");
        said(&plain(&template.replace(from, to)))
    };
    for key in ["body_override", "header_overrides"] {
        let told = with("target_port: 8080,", &format!("target_port: 8080, {key}: x,"));
        assert!(
            told.contains(&format!("`{key}`")) && told.contains("not available yet"),
            "{told}"
        );
    }
    for (from, to, what) in [
        (
            "target_port: 8080",
            "target_port: 8080, path_pattern: api",
            "params.path_pattern` must begin with `/`",
        ),
        (
            "target_port: 8080",
            "target_port: 8080, path_pattern: '~('",
            "params.path_pattern` has no regular expression behind its `~`",
        ),
        (
            "target_port: 8080",
            "target_port: 8080, path_pattern: '/a?x=1'",
            "params.path_pattern` is no path",
        ),
        (
            "target_port: 8080",
            "target_port: 8080, path_pattern: '/a b'",
            "params.path_pattern` is no path",
        ),
        (
            "target_port: 8080",
            "target_port: 8080, path_pattern: '/a#b'",
            "params.path_pattern` is no path",
        ),
        (
            "target_port: 8080",
            "target_port: 8080, path_pattern: '/ä'",
            "params.path_pattern` is no path",
        ),
        (
            "target_port: 8080",
            "target_port: 8080, path_pattern: '~'",
            "params.path_pattern` has no regular expression behind its `~`: no path is empty",
        ),
        (
            "delay_percent: 50",
            "delay_percent: 0",
            "params.delay_percent` must be more than 0",
        ),
        (
            "abort_code: 503",
            "abort_code: 302",
            "params.abort_code` must be from 400 to 599",
        ),
        (
            "delay_ms: 200",
            "delay_ms: 4000000",
            "params.delay_ms` must be from 0 to 3600000",
        ),
        (
            "delay_ms: 200, delay_percent: 50, abort_code: 503, abort_percent: 10",
            "delay_ms: 0",
            "without an effect",
        ),
    ] {
        let told = with(from, to);
        assert!(told.contains(what), "{to}: {told}");
    }
}
