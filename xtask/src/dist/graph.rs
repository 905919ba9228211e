//! What the binary is made of: the packages that cargo resolves for it, with their licences.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::TARGET;
use crate::children;

/// A package that is needed to make the binary.
#[derive(Debug, Clone)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) licence: String,
    pub(super) description: String,
    /// The folder of its sources.
    pub(super) folder: PathBuf,
    /// The SHA-256 of its archive; the crates of the workspace have none.
    pub(super) checksum: Option<String>,
    /// Whether code of it is in the binary; macros and build scripts only help to make it.
    pub(super) inside: bool,
    /// Names and versions of what it needs itself.
    pub(super) needs: BTreeSet<(String, String)>,
}

/// All packages behind `fracas`, by name and version, itself among them.
pub(super) fn packages() -> Result<BTreeMap<(String, String), Package>> {
    let text = children::output(
        children::cargo()?
            .args(["metadata", "--locked", "--format-version", "1"])
            .args(["--filter-platform", TARGET]),
    )?;
    let metadata = serde_json::from_slice(&text).context("`cargo metadata` printed no JSON")?;
    let lock = children::root()?.join("Cargo.lock");
    let lock = std::fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    behind(&metadata, "fracas", &checksums(&lock))
}

/// The packages behind one, from `cargo metadata` with its resolved graph.
fn behind(
    metadata: &Value,
    root: &str,
    checksums: &BTreeMap<(String, String), String>,
) -> Result<BTreeMap<(String, String), Package>> {
    let known: BTreeMap<&str, &Value> = list(&metadata["packages"])
        .filter_map(|package| Some((package["id"].as_str()?, package)))
        .collect();
    let nodes: BTreeMap<&str, &Value> = list(&metadata["resolve"]["nodes"])
        .filter_map(|node| Some((node["id"].as_str()?, node)))
        .collect();
    let begin = known.iter().find(|(_, package)| package["name"] == root);
    let (begin, _) = begin.with_context(|| format!("cargo knows no package {root}"))?;
    // Whether code of it gets into the binary, for everything that was reached; what is reached both ways does.
    let mut reached: BTreeMap<&str, bool> = BTreeMap::new();
    let mut waiting = vec![(*begin, true)];
    while let Some((id, inside)) = waiting.pop() {
        if reached.get(id).is_some_and(|before| *before || !inside) {
            continue;
        }
        reached.insert(id, inside);
        let node = nodes.get(id).with_context(|| format!("cargo resolved no {id}"))?;
        for (need, kind) in edges(node) {
            let helper = known.get(need).is_some_and(|package| is_macro(package));
            waiting.push((need, inside && kind == Kind::Normal && !helper));
        }
    }
    let name = |id: &str| -> Result<(String, String)> {
        let package = known.get(id).with_context(|| format!("cargo knows no {id}"))?;
        Ok((text(&package["name"]), text(&package["version"])))
    };
    let mut packages = BTreeMap::new();
    for (id, inside) in reached {
        let package = known.get(id).with_context(|| format!("cargo knows no {id}"))?;
        let needs = nodes.get(id).into_iter().flat_map(|node| edges(node));
        let key = name(id)?;
        let folder = PathBuf::from(text(&package["manifest_path"]));
        let made = Package {
            name: key.0.clone(),
            version: key.1.clone(),
            licence: text(&package["license"]).replace('/', " OR "),
            description: text(&package["description"])
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
            folder: folder.parent().context("a manifest lies in a folder")?.to_owned(),
            checksum: checksums.get(&key).cloned(),
            inside,
            needs: needs.map(|(need, _)| name(need)).collect::<Result<_>>()?,
        };
        packages.insert(key, made);
    }
    Ok(packages)
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Normal,
    Build,
}

/// What a node needs, without what only its tests do.
fn edges(node: &Value) -> impl Iterator<Item = (&str, Kind)> {
    list(&node["deps"]).filter_map(|need| {
        let kinds: Vec<_> = list(&need["dep_kinds"]).map(|kind| kind["kind"].as_str()).collect();
        let kind = match (kinds.contains(&None), kinds.contains(&Some("build"))) {
            (true, _) => Kind::Normal,
            (false, true) => Kind::Build,
            (false, false) => return None,
        };
        Some((need["pkg"].as_str()?, kind))
    })
}

fn is_macro(package: &Value) -> bool {
    list(&package["targets"]).any(|target| list(&target["kind"]).any(|kind| kind == "proc-macro"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The checksums of a lock file: cargo writes `name`, `version`, `source`, `checksum` in this order, one to a line.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let mut sums = BTreeMap::new();
    for part in lock.split("[[package]]") {
        let field = |name: &str| {
            let line = part
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            line.map(|text| text.trim_matches('"').to_owned())
        };
        if let (Some(name), Some(version), Some(sum)) = (field("name"), field("version"), field("checksum")) {
            sums.insert((name, version), sum);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(id: &str, needs: &[(&str, Option<&str>)]) -> Value {
        let needs: Vec<_> = needs
            .iter()
            .map(|(id, kind)| json!({ "pkg": id, "dep_kinds": [{ "kind": kind }] }))
            .collect();
        json!({ "id": id, "deps": needs })
    }

    fn package(name: &str, kind: &str) -> Value {
        json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "description": "a\n b",
            "manifest_path": format!("/x/{name}/Cargo.toml"), "targets": [{ "kind": [kind] }] })
    }

    #[test]
    fn what_only_tests_need_is_left_out_and_what_only_helps_is_not_inside() {
        let metadata = json!({
            "packages": [package("top", "bin"), package("lib", "lib"), package("derive", "proc-macro"),
                package("syn", "lib"), package("cc", "lib"), package("tests", "lib"), package("both", "lib")],
            "resolve": { "nodes": [
                node("top", &[("lib", None), ("derive", None), ("tests", Some("dev")), ("both", None)]),
                node("lib", &[("cc", Some("build"))]),
                node("derive", &[("syn", None), ("both", None)]),
                node("syn", &[]), node("cc", &[]), node("tests", &[]), node("both", &[]),
            ] },
        });
        let sums = checksums("[[package]]\nname = \"lib\"\nversion = \"1.0.0\"\nchecksum = \"abc\"\n");
        let packages = behind(&metadata, "top", &sums).unwrap();
        let inside: Vec<_> = packages.values().map(|one| (one.name.as_str(), one.inside)).collect();
        assert_eq!(
            inside,
            [
                ("both", true),
                ("cc", false),
                ("derive", false),
                ("lib", true),
                ("syn", false),
                ("top", true)
            ]
        );
        let lib = &packages[&("lib".to_owned(), "1.0.0".to_owned())];
        assert_eq!(lib.checksum.as_deref(), Some("abc"));
        assert_eq!(
            (lib.licence.as_str(), lib.description.as_str()),
            ("MIT OR Apache-2.0", "a b")
        );
        assert_eq!(lib.needs.len(), 1);
        assert!(behind(&metadata, "other", &sums).is_err());
    }
}
