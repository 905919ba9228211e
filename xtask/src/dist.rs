//! `cargo xtask dist`: what a release consists of, in `target/dist/`: an archive for every distribution, a package for Debian, an image
//! for container engines, the bill of materials, and the checksums of them all.

mod archive;
mod build;
mod deb;
mod graph;
mod image;
mod licences;
mod parts;
mod sbom;
mod smoke;
pub(crate) mod start;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::children;
pub(crate) use build::Libc;
use parts::Parts;
pub(crate) use smoke::{smoke, smoke_alone};

/// What the binary is built for.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// The largest binary that is shipped, in bytes.
const LARGEST: usize = 30_000_000;

/// Where the binary comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    /// It is built, linked with this.
    Build(Libc),
    /// It is there.
    Binary(&'a Path),
}

/// Makes everything of the binary. An error if it is not static or larger than [`LARGEST`].
pub(crate) fn run(source: Source<'_>) -> Result<()> {
    let binary = match source {
        Source::Binary(given) => given
            .canonicalize()
            .with_context(|| format!("cannot find {}", given.display()))?,
        Source::Build(libc) => build::build(libc)?,
    };
    if !build::is_static(&binary)? {
        bail!(
            "{} needs an interpreter: only a static program runs everywhere",
            binary.display()
        );
    }
    let size = fs::metadata(&binary).context("cannot read the binary's size")?.len();
    let start = start::measure(&binary)?;
    println!(
        "  the binary has {:.1} MB; `fracas --version` takes {:.1} ms, at most {:.1} ms of 100 starts",
        size as f64 / 1e6,
        start.middle.as_secs_f64() * 1e3,
        start.longest.as_secs_f64() * 1e3,
    );
    if size > LARGEST as u64 {
        bail!("the binary has {size} bytes, more than {LARGEST}");
    }
    let folder = children::root()?.join("target/dist");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    for path in write(&Parts::gather(&binary, build::time()?)?, &folder)? {
        let size = fs::metadata(&path).context("cannot read a size")?.len();
        println!("  {:>8.1} MB  {}", size as f64 / 1e6, path.display());
    }
    Ok(())
}

/// The files of a release by name; `SHA256SUMS` comes last.
fn artefacts(parts: &Parts) -> Result<Vec<(String, Vec<u8>)>> {
    let version = &parts.version;
    let name = format!("fracas-{version}-x86_64-linux");
    let portable = parts.portable().tar(&format!("{name}/"), parts.time)?;
    let mut files = vec![
        (format!("{name}.tar.gz"), archive::gzip(&portable)?),
        (format!("fracas_{version}_amd64.deb"), deb::package(parts)?),
        (format!("fracas-{version}-image.tar"), image::image(parts)?),
        (format!("fracas-{version}.cdx.json"), parts.bill.clone()),
    ];
    files.sort();
    let sums: Vec<String> = files
        .iter()
        .map(|(name, bytes)| {
            format!(
                "{}  {name}
",
                archive::sha256(bytes)
            )
        })
        .collect();
    files.push(("SHA256SUMS".to_owned(), sums.concat().into_bytes()));
    Ok(files)
}

fn write(parts: &Parts, folder: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut paths = Vec::new();
    for (name, bytes) in artefacts(parts)? {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        paths.push(path);
    }
    Ok(paths)
}

#[cfg(test)]
mod tests;
