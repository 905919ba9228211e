//! What is shipped beside the binary: what it prints about itself, and papers of the tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::archive::Tree;
use super::{graph, licences, sbom};
use crate::children;

/// The folder of examples, from the root.
const EXAMPLES: &str = "examples";

/// Everything that the packages are made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) version: String,
    /// Seconds since 1970: the time of everything that is packed.
    pub(super) time: u64,
    pub(super) binary: Vec<u8>,
    /// Manual pages by file name.
    pub(super) manuals: Vec<(String, Vec<u8>)>,
    pub(super) bash: Vec<u8>,
    pub(super) zsh: Vec<u8>,
    pub(super) fish: Vec<u8>,
    /// The settings file, with nothing on.
    pub(super) settings: Vec<u8>,
    /// The unit that recovers at boot.
    pub(super) unit: Vec<u8>,
    /// Licences, read-me, changelog, by file name.
    pub(super) papers: Vec<(String, Vec<u8>)>,
    /// Debian's form of the licence.
    pub(super) copyright: Vec<u8>,
    pub(super) third_party: Vec<u8>,
    pub(super) bill: Vec<u8>,
    /// Examples by path below `examples/`.
    pub(super) examples: Vec<(String, Vec<u8>)>,
}

impl Parts {
    /// Reads and makes them. `program` is packed, `teller` is asked for what it prints: the same program, unless `program` cannot
    /// run here.
    pub(super) fn gather(program: &Path, time: u64) -> Result<Self> {
        let root = children::root()?;
        let asked = |words: &[&str]| children::output(Command::new(program).args(words));
        let printed = String::from_utf8_lossy(&asked(&["--version"])?).trim().to_owned();
        let version = env!("CARGO_PKG_VERSION");
        if printed != format!("fracas {version}") {
            bail!("{} is `{printed}`, and this tree is {version}", program.display());
        }
        let packages = graph::packages()?;
        let head = String::from_utf8_lossy(&read(&root.join("deploy/notices.txt"))?).into_owned();
        let papers = [
            "README.md",
            "CHANGELOG.md",
            "SECURITY.md",
            "LICENSE-APACHE",
            "LICENSE-MIT",
        ];
        Ok(Self {
            version: version.to_owned(),
            time,
            binary: read(program)?,
            manuals: manuals(program)?,
            bash: asked(&["completions", "bash"])?,
            zsh: asked(&["completions", "zsh"])?,
            fish: asked(&["completions", "fish"])?,
            settings: asked(&["template", "settings"])?,
            unit: read(&root.join("deploy/systemd/fracas-recover.service"))?,
            papers: papers
                .iter()
                .map(|name| Ok(((*name).to_owned(), read(&root.join(name))?)))
                .collect::<Result<_>>()?,
            copyright: read(&root.join("deploy/debian-copyright"))?,
            third_party: licences::third_party(&packages, &head)?.into_bytes(),
            bill: sbom::bill(&packages, ("fracas", version), time)?,
            examples: examples(&root.join(EXAMPLES))?,
        })
    }

    /// The archive for every distribution, below one folder.
    pub(super) fn portable(&self) -> Tree {
        let mut tree = Tree::default();
        tree.program("fracas", &self.binary);
        for (name, page) in &self.manuals {
            tree.text(format!("man/man1/{name}"), page.as_slice());
        }
        tree.text("completions/fracas.bash", self.bash.as_slice());
        tree.text("completions/_fracas", self.zsh.as_slice());
        tree.text("completions/fracas.fish", self.fish.as_slice());
        tree.text("config.yaml", self.settings.as_slice());
        tree.text("systemd/fracas-recover.service", self.unit.as_slice());
        for (name, paper) in &self.papers {
            tree.text(name.as_str(), paper.as_slice());
        }
        tree.text("THIRD-PARTY.txt", self.third_party.as_slice());
        tree.text("sbom.cdx.json", self.bill.as_slice());
        for (name, example) in &self.examples {
            tree.text(format!("examples/{name}"), example.as_slice());
        }
        tree
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn manuals(program: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let folder = Folder::make()?;
    let pages = folder.0.join("man");
    children::output(Command::new(program).arg("man").arg(&pages))?;
    let mut manuals = files(&pages, "")?;
    manuals.sort();
    if manuals.is_empty() {
        bail!("{} wrote no manual page", program.display());
    }
    Ok(manuals)
}

fn examples(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut all = files(folder, "")?;
    all.extend(files(&folder.join("demo"), "demo/")?);
    all.sort();
    Ok(all)
}

/// The files of a folder, not those of folders in it.
fn files(folder: &Path, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry
            .with_context(|| format!("cannot read {}", folder.display()))?
            .path();
        if let (true, Some(name)) = (path.is_file(), path.file_name().and_then(|name| name.to_str())) {
            found.push((format!("{prefix}{name}"), read(&path)?));
        }
    }
    Ok(found)
}

/// A folder of ours below `target/`, removed on drop.
#[derive(Debug)]
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn make() -> Result<Self> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = children::root()?.join(format!("target/dist-tmp/{}-{number}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is below `target/`: whatever stays is removed with that.
        let _ = fs::remove_dir_all(&self.0);
    }
}
