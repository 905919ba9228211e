//! Files that come from the code: the documents' schemas, and the reference pages made of them.

mod page;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::children;

/// The formats that `fracas schema` knows, each with a file `docs/reference/<format>.schema.json` and a page beside it.
const FORMATS: &[&str] = &["experiment", "chaos-scenario", "chaos-config", "orchestration"];

/// The description of the proxy's API, beside them.
const OPENAPI: &str = "proxy-openapi";

/// The pages that the program itself writes: each a file `docs/reference/<name>.md` and the words that print it.
const PAGES: &[(&str, [&str; 2])] = &[
    ("faults", ["faults", "--markdown"]),
    ("errors", ["explain", "--markdown"]),
    ("settings", ["config", "--markdown"]),
];

/// What stands at the head of these.
const HEAD: &str = "<!-- Written by `cargo xtask docs` from the program: do not edit. -->\n\n";

/// Whether files are written or compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Make the files new.
    Write,
    /// Change nothing; a file that differs is an error.
    Check,
    /// The same, of the program that was built with the whole workspace: to build it by itself gives its dependencies other features,
    /// and builds them all again.
    CheckBuilt,
}

/// The schema of each format and the description of the proxy's API, from the binary.
pub(crate) fn schemas(mode: Mode) -> Result<()> {
    let mut files = Vec::new();
    for format in FORMATS.iter().chain([&OPENAPI]) {
        let text = printed(mode, &["schema", format])?;
        let schema: Value =
            serde_json::from_str(&text).with_context(|| format!("`fracas schema {format}` printed no JSON"))?;
        if !schema.is_object() {
            bail!("`fracas schema {format}` printed JSON that is no schema");
        }
        let file = if *format == OPENAPI {
            children::root()?.join(format!("docs/reference/{OPENAPI}.json"))
        } else {
            schema_file(format)?
        };
        files.push((file, text));
    }
    bring(mode, &files, "cargo xtask schema")
}

/// The reference page of each format, from its schema file, and those that the program writes.
pub(crate) fn pages(mode: Mode) -> Result<()> {
    let mut files = Vec::new();
    for format in FORMATS {
        let file = schema_file(format)?;
        let text = fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}: run `cargo xtask schema` first", file.display()))?;
        let schema = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
        files.push((file.with_file_name(format!("{format}.md")), page::render(&schema)));
    }
    for (name, words) in PAGES {
        let file = children::root()?.join(format!("docs/reference/{name}.md"));
        files.push((file, format!("{HEAD}{}", printed(mode, words)?)));
    }
    bring(mode, &files, "cargo xtask docs")
}

/// What the program prints.
fn printed(mode: Mode, words: &[&str]) -> Result<String> {
    let mut command = if mode == Mode::CheckBuilt {
        Command::new(children::built()?)
    } else {
        let mut cargo = children::cargo()?;
        cargo.args(["run", "--quiet", "--locked", "--package", "fracas", "--"]);
        cargo
    };
    let text = children::output(command.args(words))?;
    String::from_utf8(text).with_context(|| format!("`fracas {}` printed no text", words.join(" ")))
}

fn schema_file(format: &str) -> Result<PathBuf> {
    Ok(children::root()?.join(format!("docs/reference/{format}.schema.json")))
}

/// Writes files, or compares them with what is on disk and names all that differ.
fn bring(mode: Mode, files: &[(PathBuf, String)], task: &str) -> Result<()> {
    if mode == Mode::Write {
        for (file, text) in files {
            write(file, text)?;
        }
        return Ok(());
    }
    let stale: Vec<String> = files
        .iter()
        .filter(|(file, text)| fs::read(file).ok().as_deref() != Some(text.as_bytes()))
        .map(|(file, _)| file.display().to_string())
        .collect();
    if !stale.is_empty() {
        bail!("out of date, run `{task}` and commit: {}", stale.join(", "));
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<()> {
    let folder = file.parent().context("a generated file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    println!("  wrote {}", file.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_differs_is_named_and_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reference/a.md");
        let new = [(file.clone(), "new".to_owned())];
        let error = bring(Mode::Check, &new, "cargo xtask docs").unwrap_err().to_string();
        assert!(error.contains("a.md") && error.contains("cargo xtask docs"), "{error}");
        assert!(!file.exists());
        bring(Mode::Write, &new, "t").unwrap();
        bring(Mode::Check, &new, "t").unwrap();
        fs::write(&file, "old").unwrap();
        assert!(bring(Mode::Check, &new, "t").is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    }
}
