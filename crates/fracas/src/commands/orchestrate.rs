//! `fracas orchestrate`: orchestrations, and the proxy that carries them out.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use fracas_core::chaos::Orchestration;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::units::Span;
use fracas_proxy::client;
use fracas_spec::Source;

use crate::cli::{At, Language, Orchestrate, What};
use crate::document::last;
use crate::output::print;
use crate::settings::env;

pub(crate) fn command(orchestrate: &Orchestrate) -> Result<ExitCode> {
    match &orchestrate.what {
        What::Template { output, format } => template(output.as_deref(), *format)?,
        What::Validate { file } => {
            let orchestration = load(file, None)?;
            let (name, steps) = (fracas_report::plain(&orchestration.name), orchestration.steps.len());
            print(&format!("orchestration '{name}' is valid ({steps} steps)\n"))?;
        }
        What::Start { file, max_duration, at } => {
            let body = json(&load(file, *max_duration)?)?;
            print(&(message(&ask(at, "/orchestration/start", Some(body))?) + "\n"))?;
        }
        What::Status(at) => print(&(ask(at, "/orchestration/status", None)? + "\n"))?,
        What::Stop(at) => {
            let said = ask(at, "/orchestration/stop", Some(String::new()))?;
            print(&(message(&said) + "\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn load(file: &Path, longest: Option<Span>) -> Result<Orchestration> {
    let source = Source {
        name: file.display().to_string(),
        text: fracas_spec::read_file(file)?,
    };
    fracas_spec::orchestration(&source, &env, longest).map_err(last)
}

fn template(output: Option<&Path>, language: Language) -> Result<()> {
    let text = match language {
        Language::Yaml => fracas_spec::ORCHESTRATION.to_owned(),
        Language::Json => {
            let source = Source {
                name: "the template".to_owned(),
                text: fracas_spec::ORCHESTRATION.to_owned(),
            };
            let orchestration = fracas_spec::orchestration(&source, &|_| None, None).map_err(last)?;
            json(&orchestration)? + "\n"
        }
    };
    let Some(path) = output else {
        return print(&text);
    };
    let file = std::fs::File::options().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Problem::new(&codes::SYSTEM, format!("cannot write {}", path.display())).because(&error))
}

fn json(orchestration: &Orchestration) -> Result<String> {
    serde_json::to_string_pretty(orchestration)
        .map_err(|error| Problem::new(&codes::INSIDE, "an orchestration has no JSON form").because(&error))
}

/// What the API says. Its words of a problem are one.
fn ask(at: &At, path: &str, body: Option<String>) -> Result<String> {
    let url = format!("{}/api/chaos{path}", at.base_url.trim_end_matches('/'));
    let said = super::runtime()?.block_on(client::ask(&url, body));
    let said =
        said.map_err(|why| Problem::new(&codes::NO_PROXY_ANSWER, format!("no answer of a proxy at {url}: {why}")))?;
    let value: Option<serde_json::Value> = serde_json::from_str(&said.body).ok();
    match value {
        Some(value) if said.is_success => serde_json::to_string_pretty(&value)
            .map_err(|error| Problem::new(&codes::INSIDE, "an answer has no JSON form").because(&error)),
        Some(value) if value["detail"].is_string() => {
            let detail = value["detail"].as_str().unwrap_or_default();
            let what = format!("the proxy refused: {}", fracas_report::plain(detail));
            Err(Problem::new(&codes::PROXY_REFUSED, what))
        }
        _ => {
            let what = format!("{url} answered {}, and is no proxy of Fracas", said.status);
            Err(Problem::new(&codes::NO_PROXY_ANSWER, what))
        }
    }
}

/// The `message` of an answer.
fn message(answer: &str) -> String {
    let value: Option<serde_json::Value> = serde_json::from_str(answer).ok();
    let message = value.and_then(|value| Some(value.get("message")?.as_str()?.to_owned()));
    message.map_or_else(|| answer.to_owned(), |message| fracas_report::plain(&message))
}
