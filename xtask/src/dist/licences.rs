//! The licences of everything that is in the binary, as their authors want them to be passed on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::graph::Package;

/// Names of files with terms begin so.
const NAMES: &[&str] = &["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// Larger files are no licence.
const LARGEST: u64 = 1 << 20;

/// One text: `head`, a line for each package that is in the binary, and each licence text once with the packages that have it.
pub(super) fn third_party(packages: &BTreeMap<(String, String), Package>, head: &str) -> Result<String> {
    let inside: Vec<&Package> = packages.values().filter(|package| package.inside).collect();
    let mut text = head.to_owned();
    // Writing into a String cannot fail.
    for package in &inside {
        let _ = writeln!(text, "{} {}: {}", package.name, package.version, package.licence);
    }
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in inside {
        // Crates of the workspace have the project's own licences.
        for terms in terms(&package.folder)? {
            let users = texts.entry(terms).or_default();
            users.push(format!("{} {}", package.name, package.version));
        }
    }
    for (terms, mut users) in texts {
        users.dedup();
        let _ = write!(
            text,
            "\n{}\n{}\n\n{}\n",
            "=".repeat(80),
            users.join(", "),
            terms.trim_end()
        );
    }
    Ok(text)
}

/// The texts in a package's folder.
fn terms(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry
            .with_context(|| format!("cannot read {}", folder.display()))?
            .path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        let is_text = fs::metadata(&path).is_ok_and(|data| data.is_file() && data.len() <= LARGEST);
        if is_text && NAMES.iter().any(|start| name.starts_with(start)) {
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            texts.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    texts.sort();
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::graph;

    #[test]
    fn every_package_in_the_binary_is_named_and_their_terms_are_there_once() {
        let packages = graph::packages().unwrap();
        let text = third_party(&packages, "head\n").unwrap();
        assert!(text.starts_with("head\n"));
        for package in packages.values() {
            let line = format!("\n{} {}: ", package.name, package.version);
            assert_eq!(text.contains(&line), package.inside, "{line}");
            assert!(!package.licence.is_empty(), "{line}");
        }
        let ours = fs::read_to_string(crate::children::root().unwrap().join("LICENSE-MIT")).unwrap();
        assert_eq!(text.matches(ours.trim_end()).count(), 1);
        assert!(text.contains("Permission is hereby granted"));
    }

    #[test]
    fn a_large_file_and_other_files_are_no_terms() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("License.md"), "terms").unwrap();
        fs::write(folder.path().join("README"), "words").unwrap();
        fs::write(folder.path().join("COPYING"), vec![b'x'; LARGEST as usize + 1]).unwrap();
        fs::create_dir(folder.path().join("LICENSES")).unwrap();
        assert_eq!(terms(folder.path()).unwrap(), ["terms"]);
        assert!(terms(&folder.path().join("nowhere")).is_err());
    }
}
