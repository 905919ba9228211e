//! `fracas faults`: the reference of faults, from the types that read the documents.

mod page;

use std::process::ExitCode;

use fracas_core::experiment::Format;
use fracas_core::params::Inject;
use fracas_core::problem::{Problem, Result, codes};
use fracas_faults::Needs;
use fracas_report::plain;
use fracas_spec::Source;
use serde::Serialize;
use serde_json::Value;

use crate::cli::Faults;
use crate::output::{print, print_json};

/// A fault as the reference shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    pub(crate) name: String,
    /// What it does.
    pub(crate) does: String,
    /// How it is undone.
    pub(crate) undo: String,
    /// What it cannot do without.
    needs: Vec<&'static str>,
    pub(crate) parameters: Vec<Parameter>,
    /// How it stands in a document.
    example: Value,
}

#[derive(Debug, Serialize)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    kind: String,
    pub(crate) required: bool,
    pub(crate) meaning: String,
    /// It takes several values.
    #[serde(skip)]
    pub(crate) list: bool,
    /// It is true or false.
    #[serde(skip)]
    pub(crate) switch: bool,
    /// It is a map of its own.
    #[serde(skip)]
    pub(crate) map: bool,
}

pub(crate) fn command(faults: &Faults) -> Result<ExitCode> {
    let mut all = all()?;
    if let Some(name) = &faults.name {
        all.retain(|fault| fault.name == *name);
        if all.is_empty() {
            return Err(
                Problem::new(&codes::USAGE, format!("there is no fault {:?}", plain(name)))
                    .next("`fracas faults` lists all"),
            );
        }
    }
    if faults.json {
        print_json(&all)?;
    } else if faults.markdown {
        print(&page::markdown(&all))?;
    } else if faults.name.is_some() {
        print(&all.iter().map(page::whole).collect::<String>())?;
    } else {
        print(&all.iter().map(page::line).collect::<String>())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Every fault, from the schema and its own word on needs and undo.
pub(crate) fn all() -> Result<Vec<Shown>> {
    let schema = fracas_spec::schema(Format::Native);
    let variants = schema["$defs"]["Inject"]["oneOf"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    Inject::NAMES
        .iter()
        .map(|name| {
            let variant = variants.iter().find(|variant| variant["properties"][name].is_object());
            let reference = variant.and_then(|variant| variant["properties"][name]["$ref"].as_str());
            let definition = reference
                .and_then(|link| schema.pointer(link.trim_start_matches('#')))
                .ok_or_else(|| Problem::new(&codes::INSIDE, format!("the fault {name} is not in the schema")))?;
            one(name, definition, &schema)
        })
        .collect()
}

/// What a fault cannot do without, whatever its parameters are.
pub(crate) fn needs(name: &str) -> Result<Needs> {
    let fault = first_part(example(name)?);
    let entry = fracas_faults::find(fault.name())
        .ok_or_else(|| Problem::new(&codes::INSIDE, format!("the fault {name} is not in the table")))?;
    (entry.needs)(&fault.params())
}

fn one(name: &str, definition: &Value, schema: &Value) -> Result<Shown> {
    let inject = example(name)?;
    let params = inject.params();
    let needs = super::plan::need_words(needs(name)?);
    let part = first_part(inject);
    let class = fracas_faults::find(part.name())
        .map(|entry| (entry.undo_class)(&part.params()))
        .transpose()?;
    let text = definition["description"].as_str().unwrap_or_default();
    let (does, undo) = text.split_once("\n\nUndo: ").unwrap_or((text, ""));
    let undo = flat(undo);
    let required: Vec<_> = definition["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = definition["properties"].as_object().cloned().unwrap_or_default();
    let parameters = properties
        .iter()
        .map(|(key, property)| Parameter {
            name: key.clone(),
            kind: page::kind(property, schema),
            required: required.contains(&key.as_str()),
            meaning: flat(property["description"].as_str().unwrap_or_default()),
            list: property["type"] == "array",
            switch: property["type"] == "boolean",
            map: page::kind(property, schema) == "map",
        })
        .collect();
    Ok(Shown {
        name: name.to_owned(),
        does: flat(does),
        undo: match class {
            Some(class) if undo.is_empty() => super::plan::undo(class).to_owned(),
            _ => undo,
        },
        needs,
        parameters,
        example: serde_json::json!({ name: params }),
    })
}

/// A fault that the guardian knows: of a set the first, for in needs and undo all of them are alike.
fn first_part(inject: Inject) -> Inject {
    inject
        .parts()
        .and_then(|parts| parts.into_iter().next())
        .unwrap_or(inject)
}

/// The fault as it stands in its template.
fn example(name: &str) -> Result<Inject> {
    let source = Source {
        name: "template".to_owned(),
        text: fracas_spec::template(Format::Native, name)?,
    };
    let inside = |what: String| Problem::new(&codes::INSIDE, what);
    let loaded = fracas_spec::load(&source, &[], &|_| None)
        .map_err(|problems| inside(format!("the template of {name} has {} problems", problems.len())))?;
    let fault = loaded.experiment.faults.into_iter().next();
    let fault = fault.ok_or_else(|| inside(format!("the template of {name} has no fault")))?;
    // A set of faults stands in a document in its own words.
    match fault.written {
        None => Ok(fault.inject),
        Some(written) => serde_json::from_value(serde_json::json!({ written.kind: written.parameters }))
            .map_err(|error| inside(format!("the template of {name} is not understood")).because(&error)),
    }
}

/// Doc comments have line ends where the source has them.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_described_whole() {
        let all = all().unwrap();
        assert_eq!(all.len(), Inject::NAMES.len());
        for fault in &all {
            assert!(!fault.does.is_empty() && !fault.undo.is_empty(), "{fault:?}");
            for parameter in &fault.parameters {
                assert!(!parameter.meaning.is_empty(), "{} of {}", parameter.name, fault.name);
                assert!(!parameter.kind.is_empty(), "{} of {}", parameter.name, fault.name);
            }
        }
    }
}
