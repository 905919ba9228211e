//! `cargo xtask tidy`: the habits that no compiler checks. Every check is a function from texts to findings, so that each is tested
//! with texts of its own.

mod files;
mod keys;
mod layers;
mod papers;
mod sources;
mod words;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::children;
use files::File;

/// What is wrong, beginning with the place.
type Finding = String;

/// Does every check and prints all findings; one or more is an error.
pub(crate) fn run(root: &Path) -> Result<()> {
    let metadata = metadata()?;
    let files = files::read(root)?;
    let findings: Vec<Finding> = [
        layers::check(&layers::packages(&metadata)),
        layers::check_outside(&layers::packages(&metadata)),
        sources::check(&files),
        words::check(&files),
        papers::check(&files, &members(&metadata, root)),
        keys::check(&files),
    ]
    .concat();
    for finding in &findings {
        println!("  {finding}");
    }
    if findings.is_empty() {
        println!("  {} files are tidy", files.len());
        return Ok(());
    }
    bail!("{} places are not tidy", findings.len())
}

/// What cargo knows of the workspace, without what lies outside.
pub(crate) fn metadata() -> Result<Value> {
    let text = children::output(children::cargo()?.args(["metadata", "--no-deps", "--format-version", "1"]))?;
    serde_json::from_slice(&text).context("`cargo metadata` printed no JSON")
}

/// The folders of the workspace's crates, from the root: `crates/core`.
fn members(metadata: &Value, root: &Path) -> Vec<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let mut folders: Vec<String> = packages
        .filter_map(|package| Path::new(package["manifest_path"].as_str()?).parent())
        .filter_map(|folder| folder.strip_prefix(root).ok()?.to_str())
        .map(str::to_owned)
        .collect();
    folders.sort();
    folders
}

/// Synthetic files for the tests of checks.
#[cfg(test)]
fn file(path: &str, text: &str) -> File {
    File {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}
