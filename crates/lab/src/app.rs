//! The lab's program, built once as a static binary.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// The lab's program (`crates/lab-app`) as a static binary: it runs on this machine and in an empty container.
///
/// Built by cargo into `target/lab` when it is missing or older than its sources; cargo's own lock keeps concurrent tests apart.
/// Panics when it cannot be built: no test can say anything without it.
#[expect(clippy::panic, reason = "this ends a test")]
pub fn app() -> &'static Path {
    static APP: OnceLock<PathBuf> = OnceLock::new();
    APP.get_or_init(|| build().unwrap_or_else(|why| panic!("the lab's program cannot be built: {why}")))
}

#[expect(clippy::disallowed_methods, reason = "cargo is started by tests only")]
fn build() -> io::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target = root.join("target/lab");
    let binary = target.join(&triple).join("debug/fracas-lab-app");
    if is_fresh(&binary, &root)? {
        return Ok(binary);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = std::process::Command::new(cargo)
        .current_dir(&root)
        .args(["build", "--quiet", "--locked", "--package", "fracas-lab-app"])
        // A named target keeps build scripts dynamic: only the program itself is linked statically.
        .args(["--target", &triple, "--target-dir"])
        .arg(&target)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-C target-feature=+crt-static -C strip=symbols")
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(binary)
}

/// Whether the binary is there and younger than what it is made from. Asking cargo would cost every test process half a second.
fn is_fresh(binary: &Path, root: &Path) -> io::Result<bool> {
    let Ok(built) = fs::metadata(binary).and_then(|file| file.modified()) else {
        return Ok(false);
    };
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(root.join("crates/lab-app/src"))? {
        newest = newest.max(entry?.metadata()?.modified()?);
    }
    newest = newest.max(fs::metadata(root.join("crates/lab-app/Cargo.toml"))?.modified()?);
    Ok(built > newest)
}
