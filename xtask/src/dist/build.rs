//! The binary that is shipped: static, stripped, and the same bytes wherever it is built from the same tree by the same compiler.
//!
//! musl rather than glibc: a static glibc loads modules of the *machine's* glibc for names of hosts when `/etc/nsswitch.conf` wants them
//! (`mdns`, `resolve`, `sss`), and these must fit the version that was linked in (glibc FAQ, "Even statically linked programs need some
//! shared libraries"). musl reads `/etc/hosts` and asks the servers of `/etc/resolv.conf`, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::TARGET;
use crate::children;

/// What a static binary is linked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Libc {
    /// What is published.
    Musl,
    /// For trying a release where musl's standard library cannot be had. Everything but the looking up of names is as in what is published.
    Glibc,
}

impl Libc {
    fn target(self) -> &'static str {
        match self {
            Self::Musl => TARGET,
            Self::Glibc => "x86_64-unknown-linux-gnu",
        }
    }
}

/// Builds it and says where it is.
pub(super) fn build(libc: Libc) -> Result<PathBuf> {
    let target = libc.target();
    if libc == Libc::Musl && children::find("musl-gcc").is_none() {
        bail!("musl-gcc is missing: `apt-get install musl-tools` (ring has C and assembly)");
    }
    if !has_target(target)? {
        bail!(
            "the standard library for {target} is missing: `rustup target add {target}`, or try `cargo xtask dist --glibc`"
        );
    }
    let root = children::root()?;
    let home = cargo_home()?;
    let folder = root.join("target/dist-build");
    // What remains of paths in the binary (places of panics) must not tell where it was built.
    let from = [(home.as_path(), "/cargo"), (root.as_path(), "/fracas")];
    let mut rust: Vec<String> = from
        .iter()
        .map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display()))
        .collect();
    // musl's target does so by itself (rustc's book, "Static and dynamic C runtimes").
    rust.push("-Ctarget-feature=+crt-static".to_owned());
    let c: Vec<String> = from
        .iter()
        .map(|(path, name)| format!("-ffile-prefix-map={}={name}", path.display()))
        .collect();
    let mut command = children::cargo()?;
    if libc == Libc::Musl {
        command.env("CC_x86_64_unknown_linux_musl", "musl-gcc");
    }
    children::run(
        command
            // It wins over RUSTFLAGS and over what any configuration says; `--target` keeps it from build scripts.
            .env("CARGO_ENCODED_RUSTFLAGS", rust.join("\x1f"))
            .env(format!("CFLAGS_{}", target.replace('-', "_")), c.join(" "))
            .env("CARGO_INCREMENTAL", "0")
            .args([
                "build",
                "--locked",
                "--profile",
                "dist",
                "--package",
                "fracas",
                "--bin",
                "fracas",
            ])
            .args(["--target", target, "--target-dir"])
            .arg(&folder),
    )?;
    Ok(folder.join(target).join("dist/fracas"))
}

fn has_target(target: &str) -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = children::output(Command::new(rustc).args(["--print", "target-libdir", "--target", target]))?;
    Ok(Path::new(String::from_utf8_lossy(&text).trim()).is_dir())
}

/// Where cargo keeps the sources of packages.
fn cargo_home() -> Result<PathBuf> {
    let given = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    given
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")
}

/// The time of the last commit, or SOURCE_DATE_EPOCH (reproducible-builds.org).
pub(super) fn time() -> Result<u64> {
    if let Some(given) = std::env::var_os("SOURCE_DATE_EPOCH") {
        let given = given.to_string_lossy().into_owned();
        return given
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH={given}: not a number of seconds"));
    }
    let text = children::output(
        Command::new("git")
            .current_dir(children::root()?)
            .args(["log", "-1", "--format=%ct"])
            .stdin(Stdio::null()),
    )?;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    text.parse()
        .with_context(|| format!("git says that the last commit was at {text:?}: set SOURCE_DATE_EPOCH"))
}

/// Whether a program needs nothing beside the kernel: it has no interpreter (elf(5), PT_INTERP).
pub(super) fn is_static(program: &Path) -> Result<bool> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    interpreter(&bytes)
        .map(|interpreter| !interpreter)
        .with_context(|| format!("{} is no 64-bit program of this machine", program.display()))
}

/// Whether an ELF file of 64 bits, little endian, has an interpreter. `None`: it is no such file.
fn interpreter(elf: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let half = |at: usize| Some(usize::from(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?)));
    let table = u64::from_le_bytes(elf.get(32..40)?.try_into().ok()?);
    let table = usize::try_from(table).ok()?;
    let (size, count) = (half(54)?, half(56)?);
    let mut found = false;
    for number in 0..count {
        let at = table.checked_add(number.checked_mul(size)?)?;
        let kind = elf.get(at..at.checked_add(4)?)?;
        found |= u32::from_le_bytes(kind.try_into().ok()?) == PT_INTERP;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_static_program_is_told_from_others() {
        // A test of Rust's on glibc is dynamic; busybox-static is not, and may be missing where nobody asked for it.
        assert_eq!(
            is_static(&std::env::current_exe().unwrap()).unwrap(),
            cfg!(target_feature = "crt-static")
        );
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 1;
        assert_eq!(interpreter(&elf), Some(false));
        elf[64] = 3;
        assert_eq!(interpreter(&elf), Some(true));
        elf[56] = 2;
        assert_eq!(interpreter(&elf), None, "the table ends beyond the file");
        assert_eq!(interpreter(b"#!/bin/sh"), None);
    }
}
