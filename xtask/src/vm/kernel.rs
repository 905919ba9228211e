//! Debian's cloud kernel: downloaded and unpacked, never installed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::children;

/// The package that depends on the newest one.
const NEWEST: &str = "linux-image-cloud-amd64";

/// Where a kernel and its modules lie.
#[derive(Debug)]
pub(super) struct Kernel {
    /// The unpacked package.
    root: PathBuf,
    /// `6.1.0-50-cloud-amd64`.
    release: String,
}

impl Kernel {
    /// The kernel that this machine's Debian offers. Unpacked once, below this folder.
    pub(super) fn get(folder: &Path) -> Result<Self> {
        let package = newest()?;
        let release = package
            .strip_prefix("linux-image-")
            .with_context(|| format!("{package} is no kernel"))?
            .to_owned();
        let root = folder.join(&package);
        let kernel = Self { root, release };
        if !kernel.modules().join("modules.dep").exists() {
            kernel.fetch(folder, &package)?;
        }
        Ok(kernel)
    }

    /// Its name, as `uname -r` says it.
    pub(super) fn release(&self) -> &str {
        &self.release
    }

    /// The kernel itself.
    pub(super) fn image(&self) -> PathBuf {
        self.root.join(format!("boot/vmlinuz-{}", self.release))
    }

    /// The folder of its modules.
    pub(super) fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.release)
    }

    /// The files of these modules and of all that they need, each after what it needs itself.
    pub(super) fn files(&self, names: &[&str]) -> Result<Vec<PathBuf>> {
        let read = |name: &str| {
            fs::read_to_string(self.modules().join(name)).with_context(|| format!("the kernel has no {name}"))
        };
        let files = in_order(&read("modules.dep")?, &read("modules.builtin")?, names)?;
        Ok(files.into_iter().map(|file| self.modules().join(file)).collect())
    }

    fn fetch(&self, folder: &Path, package: &str) -> Result<()> {
        println!("  {package} is downloaded");
        let download = folder.join("download");
        let _absent = fs::remove_dir_all(&download);
        fs::create_dir_all(&download).with_context(|| format!("cannot make {}", download.display()))?;
        children::run(
            Command::new("apt-get")
                .args(["-q", "download", package])
                .current_dir(&download),
        )?;
        let file = fs::read_dir(&download)?
            .next()
            .context("apt-get downloaded nothing")?
            .context("cannot read what was downloaded")?
            .path();
        let _half = fs::remove_dir_all(&self.root);
        children::run(Command::new("dpkg-deb").arg("-x").arg(file).arg(&self.root))?;
        // The package leaves that to the machine that it is installed on.
        let depmod = children::find("depmod").context("depmod is not here: run `cargo xtask install`")?;
        children::run(Command::new(depmod).arg("-b").arg(&self.root).arg(&self.release))?;
        fs::remove_dir_all(&download).context("cannot remove the download")
    }
}

/// The package that [`NEWEST`] stands for. Asked again with fresh lists where apt does not know it.
fn newest() -> Result<String> {
    let ask = || children::output(Command::new("apt-cache").args(["depends", NEWEST]));
    let answer = ask().or_else(|_| {
        children::run(Command::new("apt-get").args(["-q", "update"]))?;
        ask()
    })?;
    depends(&String::from_utf8_lossy(&answer)).with_context(|| format!("apt-cache names no kernel for {NEWEST}"))
}

/// The kernel among the lines `  Depends: linux-image-6.1.0-50-cloud-amd64`.
fn depends(answer: &str) -> Option<String> {
    answer
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|package| package.starts_with("linux-image-"))
        .map(str::to_owned)
}

/// Files by the names of modules, from lines `kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko kernel/fs/jbd2/jbd2.ko`: what a module needs is
/// listed with what that needs, the nearest first (modules.dep(5)). What is a part of the kernel itself needs no file.
fn in_order(text: &str, built_in: &str, names: &[&str]) -> Result<Vec<String>> {
    let name_of = |file: &str| {
        let name = file.rsplit('/').next().unwrap_or(file);
        name.trim_end_matches(".ko").replace('-', "_")
    };
    let built_in: BTreeSet<String> = built_in.lines().map(name_of).collect();
    let mut needs = BTreeMap::new();
    for line in text.lines() {
        let Some((file, others)) = line.split_once(':') else {
            continue;
        };
        needs.insert(name_of(file), (file, others));
    }
    let (mut seen, mut files) = (BTreeSet::new(), Vec::new());
    for name in names.iter().filter(|name| !built_in.contains(**name)) {
        let Some((file, others)) = needs.get(*name) else {
            bail!("the kernel has no module {name}, or packs it in a way that is not known here");
        };
        let others: Vec<&str> = others.split_ascii_whitespace().collect();
        for file in others.into_iter().rev().chain([*file]) {
            if seen.insert(file) {
                files.push(file.to_owned());
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_what_the_package_depends_on() {
        let answer = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-50-cloud-amd64\n  Suggests: x\n";
        assert_eq!(depends(answer).as_deref(), Some("linux-image-6.1.0-50-cloud-amd64"));
        assert_eq!(depends("linux-image-cloud-amd64\n"), None);
    }

    #[test]
    fn a_module_comes_after_all_that_it_needs_and_once() {
        let text = "k/a.ko: k/b.ko k/c-d.ko\nk/b.ko: k/c-d.ko\nk/c-d.ko:\nk/e.ko: k/c-d.ko\n";
        let in_order = |names: &[&str]| in_order(text, "k/in-it.ko\n", names);
        assert_eq!(
            in_order(&["a", "e"]).unwrap(),
            ["k/c-d.ko", "k/b.ko", "k/a.ko", "k/e.ko"]
        );
        assert_eq!(in_order(&["in_it", "c_d"]).unwrap(), ["k/c-d.ko"]);
        assert!(in_order(&["f"]).is_err());
    }
}
