//! `cargo xtask package`: every crate that is published, as the registry would get it.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use flate2::read::GzDecoder;
use serde_json::Value;

use crate::{children, tidy};

/// What the registry shows of a crate, or wants.
const WANTED: &[&str] = &["description", "license", "readme", "keywords", "categories"];

/// Packs all crates that are published. With `verify` each is built from its package, which takes as long as building everything.
///
/// Without it, what usually breaks there is checked in a moment: a file that is read at compile time and is not in the package.
pub(crate) fn run(verify: bool) -> Result<()> {
    let metadata = tidy::metadata()?;
    let crates = published(&metadata);
    let poor: Vec<String> = crates.iter().flat_map(|package| missing(package)).collect();
    if !poor.is_empty() {
        bail!("crates that are published say more of themselves: {}", poor.join("; "));
    }
    let folder = children::root()?.join("target/packages");
    let mut command = children::cargo()?;
    command
        .args(["package", "--locked", "--quiet", "--allow-dirty", "--target-dir"])
        .arg(&folder);
    if !verify {
        command.arg("--no-verify");
    }
    for package in &crates {
        command.args(["--package", name(package)]);
    }
    children::run(&mut command)?;
    let mut strays = Vec::new();
    for package in &crates {
        let stem = format!("{}-{}", name(package), package["version"].as_str().unwrap_or_default());
        let path = folder.join("package").join(format!("{stem}.crate"));
        strays.extend(outside(&unpack(&path)?));
    }
    if !strays.is_empty() {
        bail!("read at compile time and not in the package: {}", strays.join(", "));
    }
    println!("  {} crates can be published", crates.len());
    Ok(())
}

/// The crates that `publish = false` does not hold back.
fn published(metadata: &Value) -> Vec<&Value> {
    let all = metadata["packages"].as_array().into_iter().flatten();
    all.filter(|package| package["publish"].is_null()).collect()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap_or_default()
}

fn missing(package: &Value) -> Vec<String> {
    let is_empty = |field: &&&str| {
        let value = &package[**field];
        value.is_null() || value.as_array().is_some_and(Vec::is_empty)
    };
    let fields = WANTED.iter().filter(is_empty);
    fields
        .map(|field| format!("{} has no {field}", name(package)))
        .collect()
}

/// The files of a package, with the texts of those in Rust.
fn unpack(path: &Path) -> Result<Vec<(PathBuf, String)>> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let mut files = Vec::new();
    for entry in archive.entries().context("cannot read a package")? {
        let mut entry = entry.context("cannot read a package")?;
        let path = entry.path().context("cannot read a path in a package")?.into_owned();
        let mut text = String::new();
        if path.extension().is_some_and(|extension| extension == "rs") {
            entry
                .read_to_string(&mut text)
                .with_context(|| format!("{} is no text", path.display()))?;
        }
        files.push((path, text));
    }
    Ok(files)
}

/// What is read at compile time and is not among the files.
fn outside(files: &[(PathBuf, String)]) -> Vec<String> {
    let known: BTreeSet<&Path> = files.iter().map(|(path, _)| path.as_path()).collect();
    let mut strays = Vec::new();
    for (path, text) in files {
        let folder = path.parent().unwrap_or(Path::new(""));
        for (read, whole) in reads(text) {
            let wanted = folder.join(read);
            // A path that is put together is known up to its last slash: the folder must be there.
            let there = flat(&wanted).is_some_and(|wanted| {
                if whole {
                    known.contains(wanted.as_path())
                } else {
                    known.iter().any(|known| known.starts_with(&wanted) && *known != wanted)
                }
            });
            if !there {
                strays.push(format!("{} of {}", read, path.display()));
            }
        }
    }
    strays
}

/// The paths that a text has in `include_str!` and `include_bytes!`, and whether each is all of the path.
fn reads(text: &str) -> Vec<(&str, bool)> {
    let mut found = Vec::new();
    for start in ["include_str!(", "include_bytes!("] {
        for (at, _) in text.match_indices(start) {
            let rest = text[at + start.len()..].trim_start();
            let (rest, whole) = match rest.strip_prefix("concat!(") {
                Some(parts) => (parts.trim_start(), false),
                None => (rest, true),
            };
            let path = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
            match path {
                Some(path) if whole => found.push((path, true)),
                Some(path) => found.push((path.rsplit_once('/').map_or("", |(folder, _)| folder), false)),
                None => {}
            }
        }
    }
    found
}

/// Without `.` and `..`. `None`: it leads out.
fn flat(path: &Path) -> Option<PathBuf> {
    let mut flat = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                if !flat.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            other => flat.push(other),
        }
    }
    Some(flat)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_that_is_read_and_not_packed_is_found() {
        let files = |text: &str| {
            vec![
                (PathBuf::from("a-1/src/b/c.rs"), text.to_owned()),
                (PathBuf::from("a-1/examples/x.yaml"), String::new()),
            ]
        };
        for good in [
            "include_str!(\"../../examples/x.yaml\")",
            "include_str!(concat!(\"../../examples/\", $name, \".yaml\"))",
            "include_str!(\n    \"../../examples/x.yaml\"\n)",
        ] {
            assert_eq!(outside(&files(good)), Vec::<String>::new(), "{good}");
        }
        for bad in [
            "include_str!(\"../../examples/y.yaml\")",
            "include_bytes!(\"../../../../examples/x.yaml\")",
            "include_str!(concat!(\"../../../../examples/\", $name, \".yaml\"))",
            "include_str!(\"../../../../../../x\")",
        ] {
            assert_eq!(outside(&files(bad)).len(), 1, "{bad}");
        }
    }

    #[test]
    fn what_is_published_says_what_it_is() {
        let whole = json!({ "name": "a", "publish": null, "description": "x", "license": "MIT", "readme": "README.md",
            "keywords": ["x"], "categories": ["y"] });
        let poor = json!({ "name": "b", "publish": null, "license": "MIT", "readme": null, "keywords": [] });
        let held_back = json!({ "name": "c", "publish": [] });
        let metadata = json!({ "packages": [whole, poor, held_back] });
        let crates = published(&metadata);
        assert_eq!(
            crates.iter().map(|package| name(package)).collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert!(missing(crates[0]).is_empty());
        assert_eq!(missing(crates[1]).len(), 4);
    }
}
