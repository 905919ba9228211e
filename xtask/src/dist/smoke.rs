//! What CI does with the packages: it makes them of the binary that it has built for its tests, twice, and lets others read them.
//!
//! A release build would take as long as all tests. What differs between the two binaries (its size, that it is static) is checked by
//! `cargo xtask dist` itself, which makes no release without it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::parts::{Folder, Parts};
use super::{artefacts, image};
use crate::children;
use crate::engine::Engine;

/// Any time will do: it is that of Debian 12's release.
const TIME: u64 = 1_686_355_200;

/// [`smoke`] with an engine of its own, of a binary that is built first.
pub(crate) fn smoke_alone() -> Result<()> {
    children::run(children::cargo()?.args(["build", "--locked", "--package", "fracas"]))?;
    let engine = Engine::start()?;
    let smoked = smoke(&engine);
    smoked.and(engine.stop())
}

/// Packs the debug binary, unpacks it by dpkg, tar, sha256sum and the engine, and runs what comes out.
pub(crate) fn smoke(engine: &Engine) -> Result<()> {
    let folder = Folder::make()?;
    let place = folder.0.as_path();
    let program = place.join("fracas");
    let built = children::built()?;
    // Without its lines: four fifths of the file, which nobody reads here.
    children::run(Command::new("strip").arg("-o").arg(&program).arg(&built))?;
    let files = artefacts(&Parts::gather(&program, TIME)?)?;
    if artefacts(&Parts::gather(&program, TIME)?)? != files {
        bail!("the same binary was packed into other bytes");
    }
    for (name, bytes) in &files {
        fs::write(place.join(name), bytes).with_context(|| format!("cannot write {name}"))?;
    }
    let version = env!("CARGO_PKG_VERSION");
    children::run(
        Command::new("sha256sum")
            .current_dir(place)
            .args(["--check", "--strict", "SHA256SUMS"]),
    )?;
    portable(place, version)?;
    debian(place, version)?;
    container(place, version, engine)
}

fn says_its_version(program: &mut Command, version: &str) -> Result<()> {
    let said = children::output(program)?;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    ensure!(said == format!("fracas {version}"), "what was unpacked says {said:?}");
    Ok(())
}

fn portable(place: &Path, version: &str) -> Result<()> {
    let name = format!("fracas-{version}-x86_64-linux");
    children::run(
        Command::new("tar")
            .current_dir(place)
            .args(["-xzf", &format!("{name}.tar.gz")]),
    )?;
    let inside = place.join(&name);
    for path in [
        "man/man1/fracas.1",
        "man/man1/fracas-run.1",
        "completions/_fracas",
        "THIRD-PARTY.txt",
        "sbom.cdx.json",
        "systemd/fracas-recover.service",
        "examples/demo/lost-replica.yaml",
    ] {
        ensure!(inside.join(path).is_file(), "{path} is not in {name}.tar.gz");
    }
    says_its_version(Command::new(inside.join("fracas")).arg("--version"), version)
}

/// Into an empty root with a database of its own: what dpkg refuses there it refuses everywhere.
fn debian(place: &Path, version: &str) -> Result<()> {
    let Some(dpkg) = children::find("dpkg") else {
        println!("  no dpkg here: the package for Debian is not unpacked");
        return Ok(());
    };
    let package = place.join(format!("fracas_{version}_amd64.deb"));
    let root = place.join("root");
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates"] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    for file in ["status", "available"] {
        fs::write(root.join("var/lib/dpkg").join(file), "").context("cannot begin dpkg's database")?;
    }
    let dpkg = |words: &[&str]| {
        let mut command = Command::new(&dpkg);
        command.arg(format!("--root={}", root.display())).args(words);
        command
    };
    let path = package.to_str().context("our own folder's name is text")?;
    children::run(&mut dpkg(&["--install", path]))?;
    for file in [
        "etc/fracas/config.yaml",
        "usr/share/man/man1/fracas.1.gz",
        "usr/lib/systemd/system/multi-user.target.wants/fracas-recover.service",
    ] {
        ensure!(root.join(file).is_file(), "{file} is not there after dpkg");
    }
    // Nothing differs from what was packed, as dpkg reads it.
    let differs = children::output(&mut dpkg(&["--verify", "fracas"]))?;
    ensure!(
        differs.is_empty(),
        "dpkg --verify: {}",
        String::from_utf8_lossy(&differs)
    );
    says_its_version(Command::new(root.join("usr/bin/fracas")).arg("--version"), version)?;
    // What an administrator wrote stays until the package is purged (deb-conffiles(5)).
    fs::write(root.join("etc/fracas/config.yaml"), "docker: { host: tcp://there:1 }\n").context("cannot write")?;
    children::run(&mut dpkg(&["--remove", "fracas"]))?;
    ensure!(
        !root.join("usr/bin/fracas").exists(),
        "the binary is there after dpkg --remove"
    );
    ensure!(
        root.join("etc/fracas/config.yaml").is_file(),
        "dpkg --remove took the settings"
    );
    children::run(&mut dpkg(&["--purge", "fracas"]))?;
    ensure!(
        !root.join("etc/fracas").exists(),
        "/etc/fracas is there after dpkg --purge"
    );
    Ok(())
}

/// The debug binary is linked to the machine's libraries, so the container sees these.
fn container(place: &Path, version: &str, engine: &Engine) -> Result<()> {
    let Some(docker) = children::find("docker") else {
        println!("  no docker command here: the image is not loaded");
        return Ok(());
    };
    let docker = |words: &[&str]| {
        let mut command = Command::new(&docker);
        command.args(["--host", &engine.host()]).args(words);
        command
    };
    let archive = place.join(format!("fracas-{version}-image.tar"));
    let archive = archive.to_str().context("our own folder's name is text")?;
    children::run(&mut docker(&["load", "--input", archive]))?;
    let mut run = docker(&["run", "--rm", "--network=none"]);
    for folder in ["/lib", "/lib64", "/usr/lib"] {
        if Path::new(folder).exists() {
            run.arg(format!("--volume={folder}:{folder}:ro"));
        }
    }
    says_its_version(run.arg(format!("{}:{version}", image::NAME)).arg("--version"), version)
}
