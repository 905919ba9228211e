//! Clients of Toxiproxy's API that Debian does not have: from PyPI and npm, by the ordinary clients of these, into `target/clients/`.
//!
//! Every version is said, also of what they need themselves, so that a test fails for a change of ours alone. What is there is kept until
//! another version is asked for. The crate `toxiproxy_rust` is not among them: it would bring a second stack of HTTP, and OpenSSL.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::children;

/// The one whose modules are Debian's: its environment has none of them.
const PYTHON: &str = "/usr/bin/python3";

/// `chaostoolkit-toxiproxy` asks for `wheel`, and says not why.
const OF_PYTHON: &[&str] = &[
    "certifi==2026.10.19.post1",
    "chaostoolkit==1.19.0",
    "chaostoolkit-lib==1.44.0",
    "chaostoolkit-toxiproxy==0.3.1",
    "charset-normalizer==3.5.3",
    "click==8.5.1",
    "click-plugins==1.1.1.2",
    "future==1.0.0",
    "idna==3.20",
    "importlib_metadata==10.2.0",
    "lazy-importer==0.1.0",
    "logzero==1.7.0",
    "packaging==26.4",
    "python-json-logger==4.2.0",
    "PyYAML==6.0.4",
    "requests==2.34.2",
    "toxiproxy-python==0.1.1",
    "urllib3==2.8.0",
    "wheel==0.48.0",
    "zipp==4.1.2",
];

/// It needs no other.
const OF_NODE: &[&str] = &["toxiproxy-node-client@4.1.0"];

/// Installs those that are not there, or are another version.
pub(super) fn install() -> Result<()> {
    let folder = children::target()?.join("clients");
    kept(&folder.join("python"), OF_PYTHON, |place| {
        children::run(Command::new(PYTHON).args(["-m", "venv"]).arg(place))?;
        children::run(
            // Nothing is built: a package of sources would run its own program to install itself.
            Command::new(place.join("bin/python"))
                .args([
                    "-m",
                    "pip",
                    "--disable-pip-version-check",
                    "--no-input",
                    "install",
                    "--quiet",
                ])
                .args([
                    "--no-deps",
                    "--only-binary",
                    ":all:",
                    "--retries",
                    "5",
                    "--timeout",
                    "30",
                ])
                .args(OF_PYTHON),
        )
    })?;
    kept(&folder.join("node"), OF_NODE, |place| {
        children::run(
            Command::new("npm")
                .args([
                    "install",
                    "--ignore-scripts",
                    "--no-audit",
                    "--no-fund",
                    "--no-update-notifier",
                ])
                .arg("--prefix")
                .arg(place)
                .args(OF_NODE),
        )
    })
}

/// Has a folder made with these packages, unless it says that it has them. It says so only when all was well.
fn kept(place: &Path, packages: &[&str], make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let list = packages.join("\n");
    let says = place.join("packages");
    if fs::read_to_string(&says).is_ok_and(|known| known == list) {
        return Ok(());
    }
    if place.exists() {
        fs::remove_dir_all(place).with_context(|| format!("cannot remove {}", place.display()))?;
    }
    fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
    make(place)?;
    fs::write(&says, list).with_context(|| format!("cannot write {}", says.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_said() {
        assert!(OF_PYTHON.iter().all(|package| package.contains("==")));
        assert!(OF_NODE.iter().all(|package| package.contains('@')));
    }

    #[test]
    fn what_is_there_is_kept_and_what_failed_or_is_another_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a/b");
        let make = |list: &[&str], works: bool| {
            let mut made = false;
            let done = kept(&place, list, |place| {
                made = true;
                assert_eq!(fs::read_dir(place).unwrap().count(), 0);
                fs::write(place.join("file"), "").unwrap();
                anyhow::ensure!(works, "no network");
                Ok(())
            });
            (made, done.is_ok())
        };
        assert_eq!(make(&["x==1"], false), (true, false));
        assert_eq!(make(&["x==1"], true), (true, true));
        assert_eq!(make(&["x==1"], true), (false, true));
        assert_eq!(make(&["x==2"], true), (true, true));
    }
}
