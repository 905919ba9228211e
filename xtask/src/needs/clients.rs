//! Clients of Toxiproxy's API that Debian does not have: from PyPI, npm and cargo's registry, by the ordinary clients of these, into
//! `target/clients/`.
//!
//! Every version is said, also of what they need themselves, so that a test fails for a change of ours alone. What is there is kept until
//! another version is asked for, or the interpreter or compiler is another. The crate `toxiproxy_rust` brings a second stack of HTTP, and
//! OpenSSL: the program that uses it is a workspace of its own, with a lock file of its own, and nothing of it gets into the product.

use std::path::Path;
use std::process::Command;
use std::{fmt, fs};

use anyhow::{Context as _, Error, Result, bail};

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

/// The program with that crate. What it needs stands in its lock file.
pub(crate) const OF_RUST: &str = "crates/fracas/tests/cli/real_clients/toxiproxy_client";

/// The context of an error that is none of ours: which registry did not give what was asked for.
#[derive(Debug)]
struct NotGiven(&'static str);

impl fmt::Display for NotGiven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} did not give what was asked for", self.0)
    }
}

/// Installs those that are not there, or are another version, each by itself. Gives what registries did not give; any other error is ours.
pub(super) fn install() -> Result<Vec<String>> {
    let folder = children::target()?.join("clients");
    sorted([
        python(&folder.join("python")),
        node(&folder.join("node")),
        rust(&folder.join("rust")),
    ])
}

/// What registries did not give, in words; an error of all words when one is not of these.
fn sorted(results: impl IntoIterator<Item = Result<()>>) -> Result<Vec<String>> {
    let errors: Vec<Error> = results.into_iter().filter_map(Result::err).collect();
    let words: Vec<String> = errors.iter().map(|error| format!("{error:#}")).collect();
    if errors.iter().any(|error| !error.is::<NotGiven>()) {
        bail!(words.join("; "));
    }
    Ok(words)
}

fn python(place: &Path) -> Result<()> {
    kept(place, "bin/python", &version(PYTHON)?, OF_PYTHON, |place| {
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
        .context(NotGiven("PyPI"))
    })
}

fn node(place: &Path) -> Result<()> {
    kept(place, "node_modules", &version("node")?, OF_NODE, |place| {
        children::run(
            Command::new("npm")
                .args([
                    "install",
                    "--ignore-scripts",
                    "--no-audit",
                    "--no-fund",
                    "--no-update-notifier",
                    "--fetch-timeout=30000",
                    "--fetch-retries=5",
                ])
                .arg("--prefix")
                .arg(place)
                .args(OF_NODE),
        )
        .context(NotGiven("npm's registry"))
    })
}

fn rust(place: &Path) -> Result<()> {
    let sources = children::root()?.join(OF_RUST);
    let list = [vec![version("rustc")?], texts(&sources)?].concat().join("\n");
    known(place, "debug/toxiproxy-client", &list, || {
        let cargo = || -> Result<Command> {
            let mut cargo = children::cargo()?;
            // The program lies elsewhere when a target is named.
            cargo.current_dir(&sources).env_remove("CARGO_BUILD_TARGET");
            Ok(cargo)
        };
        // For this machine alone: the lock file names what other systems need, too.
        children::run(cargo()?.args(["fetch", "--locked", "--quiet", "--target", "host-tuple"]))
            .context(NotGiven("cargo's registry"))?;
        // What does not compile now is our mistake, or the machine's.
        children::run(
            cargo()?
                .args(["build", "--locked", "--offline", "--quiet", "--target-dir"])
                .arg(place),
        )
    })
}

/// What the program is built of: the files in its folder that cargo reads, in the order of their names, and none that an editor keeps there.
fn texts(folder: &Path) -> Result<Vec<String>> {
    let cannot = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).with_context(cannot)?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>();
    let mut paths = paths.with_context(cannot)?;
    paths.retain(|path| {
        path.is_file()
            && path
                .extension()
                .is_some_and(|end| end == "rs" || end == "toml" || end == "lock")
    });
    paths.sort();
    let texts = paths.iter().map(fs::read_to_string).collect::<Result<_, _>>();
    texts.with_context(cannot)
}

/// What a program says of its version.
fn version(program: &str) -> Result<String> {
    let said = children::output(Command::new(program).arg("--version"))?;
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

/// Has a folder made anew with these packages for an interpreter, unless it says that it has them: of another version it might not find them.
fn kept(
    place: &Path,
    file: &str,
    interpreter: &str,
    packages: &[&str],
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let list = [&[interpreter], packages].concat().join("\n");
    known(place, file, &list, || {
        if place.exists() {
            fs::remove_dir_all(place).with_context(|| format!("cannot remove {}", place.display()))?;
        }
        fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
        make(place)
    })
}

/// Has what is in a folder made, unless it says that this was made of the same and this file of it is there. It says so only when all was well.
fn known(place: &Path, file: &str, list: &str, make: impl FnOnce() -> Result<()>) -> Result<()> {
    let says = place.join("packages");
    let made = place.join(file);
    if made.exists() && fs::read_to_string(&says).is_ok_and(|known| known == list) {
        return Ok(());
    }
    if says.exists() {
        fs::remove_file(&says).with_context(|| format!("cannot remove {}", says.display()))?;
    }
    make()?;
    if !made.exists() {
        bail!("all went well, but there is no {}", made.display());
    }
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
        let make = |interpreter: &str, list: &[&str], works: bool| {
            let mut made = false;
            let done = kept(&place, "file", interpreter, list, |place| {
                made = true;
                assert_eq!(fs::read_dir(place).unwrap().count(), 0);
                fs::write(place.join("file"), "").unwrap();
                anyhow::ensure!(works, "no network");
                Ok(())
            });
            (made, done.is_ok())
        };
        assert_eq!(make("3.1", &["x==1"], false), (true, false));
        assert_eq!(make("3.1", &["x==1"], true), (true, true));
        assert_eq!(make("3.1", &["x==1"], true), (false, true));
        assert_eq!(make("3.1", &["x==2"], true), (true, true));
        assert_eq!(make("3.2", &["x==2"], true), (true, true));
        assert_eq!(make("3.2", &["x==2"], true), (false, true));
    }

    #[test]
    fn what_cargo_built_stays_and_says_nothing_when_a_build_failed() {
        let folder = tempfile::tempdir().unwrap();
        let build = |list: &str, works: bool| {
            let mut built = 0;
            let done = known(folder.path(), "a", list, || {
                fs::write(folder.path().join(list), "").unwrap();
                built = fs::read_dir(folder.path()).unwrap().count();
                anyhow::ensure!(works, "it does not compile");
                Ok(())
            });
            (built, done.is_ok())
        };
        assert_eq!(build("a", true), (1, true));
        assert_eq!(build("a", true), (0, true));
        assert_eq!(build("b", false), (2, false));
        assert_eq!(build("a", true), (2, true));
        // The program is not there, though it was said to be.
        fs::remove_file(folder.path().join("a")).unwrap();
        assert_eq!(build("a", true), (2, true));
        fs::remove_file(folder.path().join("a")).unwrap();
        assert_eq!(build("b", true), (1, false));
    }

    #[test]
    fn another_lock_or_source_is_another_program_and_what_an_editor_keeps_is_not() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b.rs", "2"), ("a.toml", "1"), (".b.rs.swp", "\u{1}"), ("b.rs~", "3")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        fs::create_dir(folder.path().join("target")).unwrap();
        assert_eq!(texts(folder.path()).unwrap(), ["1", "2"]);
        let sources = children::root().unwrap().join(OF_RUST);
        let found = texts(&sources).unwrap();
        for name in ["Cargo.lock", "Cargo.toml", "main.rs", "traffic.rs"] {
            let text = fs::read_to_string(sources.join(name)).unwrap();
            assert!(found.contains(&text), "{name}");
        }
        assert!(texts(&folder.path().join("none")).is_err());
    }

    #[test]
    fn what_a_registry_did_not_give_is_told_apart_from_what_does_not_compile() {
        let not_given = |name| Err(anyhow::anyhow!("exit code 1").context(NotGiven(name)));
        assert!(sorted([Ok(()), Ok(())]).unwrap().is_empty());
        let given = sorted([not_given("one"), Ok(()), not_given("two")]).unwrap();
        assert_eq!(
            given,
            ["one", "two"].map(|name| format!("{name} did not give what was asked for: exit code 1"))
        );
        let ours = sorted([not_given("one"), Err(anyhow::anyhow!("it does not compile"))]).unwrap_err();
        assert_eq!(
            ours.to_string(),
            "one did not give what was asked for: exit code 1; it does not compile"
        );
    }
}
