use std::os::unix::fs::PermissionsExt as _;

use fracas_core::units::Size;

use super::*;

fn with(flags: &[(&'static str, Option<String>)], variables: &[(&str, &str)], file: Option<&str>) -> Result<Settings> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let env = |name: &str| {
        variables
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    };
    Settings::resolve(flags, file.map(|_| path.as_path()), &env, true)
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file_and_that_over_defaults() {
    let flag = [("prometheus.url", Some("http://flag:1".to_owned()))];
    let env = [("PROMETHEUS_URL", "http://env:1"), ("FRACAS_STATE", "/x")];
    let file = Some("prometheus: { url: \"http://file:1\" }\n");
    let url = |settings: &Settings| {
        let value = &settings.values["prometheus.url"];
        (value.text.clone().unwrap_or_default(), value.from.words())
    };
    assert_eq!(
        url(&with(&flag, &env, file).unwrap()),
        ("http://flag:1".into(), "flag --prometheus-url".into())
    );
    assert_eq!(
        url(&with(&[], &env, file).unwrap()),
        ("http://env:1".into(), "environment PROMETHEUS_URL".into())
    );
    let (text, from) = url(&with(&[], &[], file).unwrap());
    assert_eq!(text, "http://file:1");
    assert!(from.ends_with("config.yaml:1"), "{from}");
    assert_eq!(url(&with(&[], &[], None).unwrap()), (String::new(), "default".into()));
}

#[test]
fn our_own_variable_wins_over_the_common_one() {
    let env = [("DOCKER_HOST", "unix:///a"), ("FRACAS_DOCKER_HOST", "unix:///b")];
    assert_eq!(
        with(&[], &env, None).unwrap().docker_host().as_deref(),
        Some("unix:///b")
    );
}

#[test]
fn every_setting_of_the_file_reaches_what_uses_it() {
    let file = "
state: { dir: /s }
docker: { host: 'unix:///d', sidecar: never, sidecar_socket: /d.sock }
prometheus: { url: 'http://p:9', timeout: 3s, refresh_interval: 4s, scrape_interval: 6s }
reporting: { output_dir: /r, keep_last_n: 7, keep_runs: 8, keep_size: 9MiB }
emergency: { stop_file: /stop }
execution: { default_warmup: 5s, default_cooldown: 0s }
framework: { log_format: json }
kurtosis: { enclave_name: pos }
telemetry: { otlp_endpoint: 'http://o:4318', otlp_headers: 'a=b', metrics_listen: 9464 }
notify: { webhook: 'http://h/secret' }
";
    let settings = with(&[], &[], Some(file)).unwrap();
    let engine = settings.engine(None, false).unwrap();
    assert_eq!(engine.state, PathBuf::from("/s"));
    assert_eq!(engine.docker_host.as_deref(), Some("unix:///d"));
    assert_eq!(engine.sidecar, Sidecar::Never);
    assert_eq!(engine.sidecar_socket.as_deref(), Some(std::path::Path::new("/d.sock")));
    assert_eq!(engine.prometheus_url.as_deref(), Some("http://p:9"));
    assert_eq!((engine.reports, engine.keep_last), (PathBuf::from("/r"), 7));
    assert_eq!((engine.keep.runs, engine.keep.size), (8, Size::mib(9)));
    assert_eq!(engine.stop_file, PathBuf::from("/stop"));
    assert_eq!(engine.scrape_interval, Span::secs(6));
    let outlets = Outlets {
        otlp: Some(Otlp::new("http://o:4318", "a=b").unwrap()),
        webhook: Some(Hook::new("http://h/secret").unwrap()),
        told: false,
    };
    assert_eq!(engine.outlets, outlets);
    assert_eq!(settings.metrics_listen(), Some("127.0.0.1:9464".parse().unwrap()));
    assert_eq!(
        settings.defaults(),
        Defaults {
            warmup: Some(Span::secs(5)),
            cooldown: Some(Span::default()),
            refresh_interval: Some(Span::secs(4)),
            prometheus_timeout: Some(Span::secs(3)),
            scrape_interval: Some(Span::secs(6)),
        }
    );
    assert!(settings.log_is_json());
    assert_eq!(settings.enclave().as_deref(), Some("pos"));
    assert!(
        settings.all().all(|value| value.from != Origin::Default),
        "a setting is not in this test"
    );
}

#[test]
fn what_is_wrong_is_said_with_its_origin() {
    for (variable, text, why) in [
        ("PROMETHEUS_URL", "localhost:9090", "no address"),
        ("FRACAS_REPORTING_KEEP_LAST_N", "-1", "no whole number"),
        ("FRACAS_REPORTING_KEEP_SIZE", "9 apples", "no size"),
        ("FRACAS_EXECUTION_DEFAULT_WARMUP", "-5s", "negative"),
        ("FRACAS_PROMETHEUS_TIMEOUT", "0s", "longer than zero"),
        ("FRACAS_LOG_FORMAT", "xml", "text, json"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", "no address"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret", "no `=`"),
        ("FRACAS_METRICS_LISTEN", ":9464", "no address of this machine"),
        ("FRACAS_NOTIFY_WEBHOOK", "secret", "no address"),
    ] {
        let problem = with(&[], &[(variable, text)], None).unwrap_err();
        assert_eq!(problem.code.id, "S004");
        assert!(problem.line().contains(why), "{problem}");
        assert!(problem.line().contains(variable), "{problem}");
        assert!(!problem.to_string().contains("secret"), "{problem}");
    }
}

#[test]
fn unknown_and_refused_keys_are_errors_with_their_lines() {
    let problem = with(&[], &[], Some("prometheus:\n  ulr: x\n")).unwrap_err();
    assert_eq!(problem.code.id, "D003");
    assert_eq!(problem.place.as_ref().map(|place| place.line), Some(2));
    for (path, next) in known::REFUSED {
        let text = match path.split_once('.') {
            Some((group, key)) => format!("{group}:\n  {key}: x\n"),
            None => format!("{path}: x\n"),
        };
        let problem = with(&[], &[], Some(&text)).unwrap_err();
        assert_eq!(problem.code.id, "S004", "{path}: {problem}");
        assert!(problem.place.is_some(), "{path}");
        // A group that is refused as a whole answers for what is in it.
        let answered = problem.next.as_deref();
        assert!(
            answered == Some(next) || path.starts_with("safety"),
            "{path}: {answered:?}"
        );
    }
}

#[test]
fn a_value_that_only_looks_right_is_shown_where_it_stands() {
    let problem = with(&[], &[], Some("prometheus:\n  url: nowhere\n")).unwrap_err();
    assert_eq!(problem.code.id, "S004");
    assert_eq!(
        problem.place.as_ref().map(|place| (place.line, place.column)),
        Some((2, 8))
    );
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let missing = std::path::Path::new("/nonexistent/config.yaml");
    let problem = Settings::resolve(&[], Some(missing), &|_| None, true).unwrap_err();
    assert!(problem.line().contains("no settings file"), "{problem}");
}

#[test]
fn the_schema_has_every_setting_once() {
    let schema = file::schema();
    let keys: usize = schema["properties"]
        .as_object()
        .unwrap()
        .values()
        .map(|group| group["properties"].as_object().unwrap().len())
        .sum();
    assert_eq!(keys, KNOWN.len());
}
