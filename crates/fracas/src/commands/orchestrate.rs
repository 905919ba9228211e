//! `fracas orchestrate`: orchestrations, and the proxy that carries them out.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use fracas_core::chaos::Orchestration;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::units::Span;
use fracas_proxy::client::{self, Said};
use fracas_spec::{Export as _, Source};
use serde_json::Value;

use crate::cli::{At, Language, Orchestrate, What};
use crate::document::last;
use crate::output::print;
use crate::settings::env;

pub(crate) fn command(orchestrate: &Orchestrate) -> Result<ExitCode> {
    match &orchestrate.what {
        What::Template { output, format } => template(output.as_deref(), *format)?,
        What::Validate { file, max_duration } => {
            let orchestration = load(file, *max_duration)?;
            let (name, steps) = (fracas_report::plain(&orchestration.name), orchestration.steps.len());
            print(&format!("orchestration '{name}' is valid ({steps} steps)\n"))?;
        }
        What::Start { file, max_duration, at } => {
            let body = json(&load(file, *max_duration)?)?;
            print(&(message(&ask(at, "/orchestration/start", Some(body))?) + "\n"))?;
        }
        What::Status(at) => {
            let said = ask(at, "/orchestration/status", None)?;
            print(&(pretty(&said)? + "\n"))?;
            // As a run does whose criteria did not hold.
            if said["state"] == "failed" {
                return Ok(ExitCode::FAILURE);
            }
        }
        What::Stop(at) => {
            let said = call(at, "/orchestration/stop", Some(String::new()))?;
            // It may have ended by itself a moment before: what was asked for is so.
            if said.status == CONFLICT {
                print("no orchestration runs\n")?;
            } else {
                print(&(message(&answered(at, &said)?) + "\n"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// RFC 9110, 15.5.10
const CONFLICT: u16 = 409;

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
    orchestration.to_json().map_err(formless)
}

fn pretty(value: &Value) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(formless)
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over an error")]
fn formless(error: serde_json::Error) -> Box<Problem> {
    Problem::new(&codes::INSIDE, "an orchestration has no JSON form").because(&error)
}

/// What the API says. Its words of a problem are one.
fn ask(at: &At, path: &str, body: Option<String>) -> Result<Value> {
    answered(at, &call(at, path, body)?)
}

fn call(at: &At, path: &str, body: Option<String>) -> Result<Said> {
    let url = format!("{}/api/chaos{path}", at.base_url.trim_end_matches('/'));
    let said = super::runtime()?.block_on(client::ask(&url, body));
    said.map_err(|why| Problem::new(&codes::NO_PROXY_ANSWER, format!("no answer of a proxy at {url}: {why}")))
}

fn answered(at: &At, said: &Said) -> Result<Value> {
    match serde_json::from_str::<Value>(&said.body).ok() {
        Some(value) if said.is_success => Ok(value),
        Some(value) if value["detail"].is_string() => {
            let detail = value["detail"].as_str().unwrap_or_default();
            let what = format!("the proxy refused: {}", fracas_report::plain(detail));
            Err(Problem::new(&codes::PROXY_REFUSED, what))
        }
        _ => {
            let what = format!("{} answered {}, and is no proxy of Fracas", at.base_url, said.status);
            Err(Problem::new(&codes::NO_PROXY_ANSWER, what))
        }
    }
}

/// The `message` of an answer.
fn message(answer: &Value) -> String {
    match answer["message"].as_str() {
        Some(message) => fracas_report::plain(message),
        None => answer.to_string(),
    }
}
