//! `fracas inject`: one fault, ad hoc. It is an experiment like any other: with the same plan, guardian, dose and certificate.

use std::fmt::Write as _;
use std::process::ExitCode;

use fracas_core::problem::{Problem, Result, codes};
use fracas_spec::Source;

use super::run;
use crate::cli::{Common, Document, Fault, Form, Inject};
use crate::document::load_text;
use crate::output::print;
use crate::settings::Settings;

pub(crate) fn command(common: &Common, inject: Inject) -> Result<ExitCode> {
    let settings = Settings::load(common)?;
    let text = document(&inject.fault)?;
    if inject.fault.how.print {
        print(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let source = Source {
        name: "fracas inject".to_owned(),
        text,
    };
    let loaded = load_text(&source, &Document::default(), &settings)?;
    run::go(common, &settings, loaded, inject.fault.how.execution)
}

/// The experiment as a person would write it.
fn document(fault: &Fault) -> Result<String> {
    let how = &fault.how;
    if fault.name == "partition" {
        let what = "a partition is between two sets of targets, and `fracas inject` has one";
        let next = "write an experiment: `fracas template experiment partition` begins one";
        return Err(Problem::new(&codes::USAGE, what).next(next));
    }
    let mut text = format!(
        "apiVersion: fracas.dev/v1\nkind: Experiment\nmetadata: {{ name: inject-{} }}\n",
        fault.name.replace('_', "-")
    );
    if let Some(seed) = how.seed {
        let _ = writeln!(text, "seed: {seed}");
    }
    // Nothing is expected, so there is nothing to wait for before and after.
    text.push_str("hypothesis: { interval: 1s, warmup: 0s, recovery: { within: 0s, stable_for: 0s } }\n");
    text.push_str("targets:\n  - alias: target\n");
    selector(&mut text, fault)?;
    if let Some(most) = how.at_most {
        let _ = writeln!(text, "    blast_radius: {{ at_most: {most} }}");
    }
    let _ = writeln!(text, "faults:\n  - name: {}\n    target: target", fault.name);
    if fault.given.is_empty() {
        let _ = writeln!(text, "    inject: {{ {}: {{}} }}", fault.name);
    } else {
        let _ = writeln!(text, "    inject:\n      {}:", fault.name);
        for (key, values, form) in &fault.given {
            let scalars: Vec<String> = values.iter().map(|value| scalar(value)).collect();
            let value = match form {
                Form::One => scalars.concat(),
                Form::List => format!("[{}]", scalars.join(", ")),
                Form::Map => flow(key, &values.concat())?,
            };
            let _ = writeln!(text, "        {key}: {value}");
        }
    }
    let _ = writeln!(text, "    duration: {}", how.time);
    for (key, parts) in [("pulse", &how.pulse), ("ramp", &how.ramp)] {
        if let Some(parts) = parts {
            let _ = writeln!(text, "    {key}: {}", map(key, parts)?);
        }
    }
    if how.allow_irreversible {
        text.push_str("    allow_irreversible: true\n");
    }
    let _ = writeln!(text, "duration: {}", how.time);
    Ok(text)
}

fn selector(text: &mut String, fault: &Fault) -> Result<()> {
    let how = &fault.how;
    let lines = |parts: &[(&str, Option<String>)]| -> String {
        parts
            .iter()
            .filter_map(|(key, value)| Some(format!("      {key}: {}\n", value.as_ref()?)))
            .collect()
    };
    let quoted = |value: &Option<String>| value.as_deref().map(scalar);
    let labels = how
        .label
        .iter()
        .map(|label| {
            let (key, value) = label.split_once('=').unwrap_or((label, ""));
            format!("{}: {}", json(key), json(value))
        })
        .collect::<Vec<_>>();
    let containers = lines(&[
        ("name", quoted(&how.container)),
        (
            "labels",
            (!labels.is_empty()).then(|| format!("{{ {} }}", labels.join(", "))),
        ),
        ("image", quoted(&how.image)),
        ("compose_service", quoted(&how.compose_service)),
    ]);
    let processes = lines(&[
        ("name", quoted(&how.process)),
        ("command", quoted(&how.command)),
        ("pid_file", quoted(&how.pid_file)),
        ("cgroup", quoted(&how.cgroup)),
        ("systemd_unit", quoted(&how.unit)),
        ("port", how.port.map(|port| port.to_string())),
    ]);
    let (kind, lines) = match (containers.is_empty(), processes.is_empty()) {
        (false, true) => ("container", containers),
        (true, false) => ("process", processes),
        (true, true) => {
            return Err(
                Problem::new(&codes::USAGE, format!("nothing says what {} is put on", fault.name))
                    .next("say which, for example `--container web` or `--process nginx`"),
            );
        }
        (false, false) => {
            return Err(
                Problem::new(&codes::USAGE, "a target is a container or a process, not both")
                    .next("keep the flags of one of them, or write an experiment with two targets"),
            );
        }
    };
    let _ = write!(text, "    {kind}:\n{lines}");
    Ok(())
}

/// A map as it was written, in one line.
fn flow(key: &str, text: &str) -> Result<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.starts_with('{') && text.ends_with('}') {
        return Ok(text);
    }
    let what = format!("`--{}` is a map: {text:?} is none", key.replace('_', "-"));
    Err(Problem::new(&codes::USAGE, what).next("write it like `'{ latency: { fixed_delay_ms: 100 } }'`, or as JSON"))
}

/// `on=10s,off=5s` as a map.
fn map(flag: &str, parts: &str) -> Result<String> {
    let mut entries = Vec::new();
    for part in parts.split(',') {
        let Some((key, value)) = part.split_once('=') else {
            let what = format!("`--{flag}`: {part:?} has no `=`");
            return Err(Problem::new(&codes::USAGE, what).next("write it like `on=10s,off=5s` or `from=10%,over=30s`"));
        };
        entries.push(format!("{}: {}", json(key.trim()), scalar(value.trim())));
    }
    Ok(format!("{{ {} }}", entries.join(", ")))
}

/// A value as it stands in a document: numbers and truth values plain, all else quoted.
fn scalar(value: &str) -> String {
    let plain = value == "true" || value == "false" || !value.is_empty() && value.bytes().all(|c| c.is_ascii_digit());
    if plain { value.to_owned() } else { json(value) }
}

/// A text of JSON is one of YAML.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
