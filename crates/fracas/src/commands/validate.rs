//! `fracas validate`: all problems of all documents.

use std::process::ExitCode;

use fracas_core::problem::{Problem, Result, Said};
use fracas_report::plain;
use serde::Serialize;

use crate::cli::{Common, Format, Validate};
use crate::document::read;
use crate::output::{print, print_json, tell, tell_problem, tell_warning};
use crate::settings::Settings;

/// What was found in one document.
#[derive(Debug, Serialize)]
struct Found {
    file: String,
    ok: bool,
    name: Option<String>,
    errors: Vec<Said>,
    warnings: Vec<Said>,
}

pub(crate) fn command(common: &Common, validate: &Validate) -> Result<ExitCode> {
    let settings = Settings::load(common)?;
    let mut all = Vec::new();
    for file in &validate.files {
        let name = plain(&file.display().to_string());
        let found = match read(file, &validate.document, &settings) {
            Ok(loaded) => {
                tell_all(validate, &loaded.warnings, &[]);
                Found {
                    file: name,
                    ok: true,
                    name: Some(loaded.experiment.name),
                    errors: Vec::new(),
                    warnings: loaded.warnings.iter().map(Said::from).collect(),
                }
            }
            Err(problems) => {
                tell_all(validate, &[], &problems);
                Found {
                    file: name,
                    ok: false,
                    name: None,
                    errors: problems.iter().map(|problem| Said::from(&**problem)).collect(),
                    warnings: Vec::new(),
                }
            }
        };
        if validate.format == Format::Text {
            print(&line(&found))?;
        }
        all.push(found);
    }
    if validate.format == Format::Json {
        print_json(&all)?;
    }
    Ok(ExitCode::from(if all.iter().all(|found| found.ok) { 0 } else { 2 }))
}

fn tell_all(validate: &Validate, warnings: &[Problem], errors: &[Box<Problem>]) {
    if validate.format == Format::Json {
        return;
    }
    for warning in warnings {
        tell_warning(warning);
        tell("");
    }
    for problem in errors {
        tell_problem(problem);
        tell("");
    }
}

fn line(found: &Found) -> String {
    let count = |count: usize, noun: &str| match count {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    };
    if found.ok {
        let warned = match found.warnings.len() {
            0 => String::new(),
            n => format!(", {}", count(n, "warning")),
        };
        format!("{}: ok{warned}\n", found.file)
    } else {
        format!("{}: {}\n", found.file, count(found.errors.len(), "problem"))
    }
}
