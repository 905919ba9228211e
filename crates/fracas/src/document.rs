//! Documents, with overrides, settings and the enclave in place.

use std::path::Path;

use fracas_core::experiment::Selector;
use fracas_core::problem::{Problem, Result, codes};
use fracas_spec::{Loaded, Source};

use crate::cli::Document;
use crate::output::{tell, tell_problem};
use crate::settings::{Settings, env};

/// The label by which Kurtosis says to which enclave a container belongs.
const ENCLAVE: &str = "com.kurtosistech.enclave-name";

/// Reads a document to be run. Of several problems all but the last are told, and that is the error.
pub(crate) fn load(file: &Path, document: &Document, settings: &Settings) -> Result<Loaded> {
    one(read(file, document, settings), document)
}

/// Reads a text that stands in no file.
pub(crate) fn load_text(source: &Source, document: &Document, settings: &Settings) -> Result<Loaded> {
    one(parse(source, document, settings), document)
}

#[expect(clippy::vec_box, reason = "the form in which the rest of Fracas has problems")]
fn one(read: Result<Loaded, Vec<Box<Problem>>>, document: &Document) -> Result<Loaded> {
    match read {
        Ok(loaded) => match loaded.unsupported.first() {
            Some(first) if !document.skip_unsupported => {
                Err(Box::new(first.clone()).next("`--skip-unsupported` runs the rest"))
            }
            _ => Ok(loaded),
        },
        Err(problems) => Err(last(problems)),
    }
}

/// Of several problems all but the last are told, and that is the error.
#[expect(clippy::vec_box, reason = "the form in which the rest of Fracas has problems")]
pub(crate) fn last(problems: Vec<Box<Problem>>) -> Box<Problem> {
    let mut problems = problems.into_iter();
    let last = problems.next_back();
    for problem in problems {
        tell_problem(&problem);
        tell("");
    }
    last.unwrap_or_else(|| Problem::new(&codes::INSIDE, "the document was refused without a reason"))
}

/// Reads a document, with all problems at once.
#[expect(clippy::vec_box, reason = "the form in which the rest of Fracas has problems")]
pub(crate) fn read(file: &Path, document: &Document, settings: &Settings) -> Result<Loaded, Vec<Box<Problem>>> {
    let text = fracas_spec::read_file(file).map_err(|problem| vec![problem])?;
    let source = Source {
        name: file.display().to_string(),
        text,
    };
    parse(&source, document, settings)
}

#[expect(clippy::vec_box, reason = "the form in which the rest of Fracas has problems")]
fn parse(source: &Source, document: &Document, settings: &Settings) -> Result<Loaded, Vec<Box<Problem>>> {
    let mut overrides = Vec::new();
    for set in &document.set {
        let Some((key, value)) = set.split_once('=') else {
            let what = format!("`--set {}` has no `=`", fracas_report::plain(set));
            return Err(vec![Problem::new(&codes::BAD_OVERRIDE, what)]);
        };
        overrides.push((key.to_owned(), value.to_owned()));
    }
    let mut loaded = fracas_spec::load_with(source, &overrides, &env, &settings.defaults())?;
    if let Some(enclave) = document.enclave.clone().or_else(|| settings.enclave()) {
        put_in_enclave(&mut loaded, &enclave);
    }
    Ok(loaded)
}

/// Gives the enclave to every container target that names none.
fn put_in_enclave(loaded: &mut Loaded, enclave: &str) {
    for target in &mut loaded.experiment.targets {
        if let Selector::Container(container) = &mut target.selector {
            container
                .labels
                .entry(ENCLAVE.to_owned())
                .or_insert_with(|| enclave.to_owned());
        }
    }
}

/// What the reader warned of, as notes of the run.
pub(crate) fn notes(loaded: &Loaded) -> Vec<String> {
    let note = |warning: &Problem| match &warning.next {
        Some(next) => format!("{}; {next}", warning.what),
        None => warning.what.clone(),
    };
    loaded.warnings.iter().map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: &str = "apiVersion: chaos/v1
kind: ChaosScenario
metadata: { name: s }
spec:
  targets:
    - { alias: a, selector: { pattern: x } }
    - { alias: b, selector: { pattern: y, enclave: own } }
  duration: 1m
  faults:
    - { phase: p, target: a, type: memory_pressure, params: { memory_mb: 512 } }
    - { phase: q, target: b, type: memory_pressure, params: { memory_mb: 512 } }
";

    #[test]
    fn the_enclave_is_that_of_all_targets_that_name_none() {
        let source = Source {
            name: "s.yaml".to_owned(),
            text: SCENARIO.to_owned(),
        };
        let mut loaded = fracas_spec::load(&source, &[], &|_| None).unwrap();
        let enclaves = |loaded: &Loaded| -> Vec<Option<String>> {
            let targets = loaded.experiment.targets.iter();
            targets
                .map(|target| match &target.selector {
                    Selector::Container(container) => container.labels.get(ENCLAVE).cloned(),
                    Selector::Process(_) => None,
                })
                .collect()
        };
        assert_eq!(enclaves(&loaded), [None, Some("own".to_owned())]);
        put_in_enclave(&mut loaded, "pos");
        assert_eq!(enclaves(&loaded), [Some("pos".to_owned()), Some("own".to_owned())]);
    }
}
