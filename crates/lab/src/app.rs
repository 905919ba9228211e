//! Programs of the workspace as static binaries, built once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// A program that tests run in containers.
struct Program {
    /// The package, whose folder is `folder`.
    package: &'static str,
    /// From the root of the workspace.
    folder: &'static str,
    /// The file's name.
    binary: &'static str,
}

/// The lab's program (`crates/lab-app`) as a static binary: it runs on this machine and in an empty container.
///
/// Built by cargo into `target/lab` when it is missing or older than its sources; cargo's own lock keeps concurrent tests apart.
/// Panics when it cannot be built: no test can say anything without it.
pub fn app() -> &'static Path {
    static APP: OnceLock<PathBuf> = OnceLock::new();
    APP.get_or_init(|| {
        built(&Program {
            package: "fracas-lab-app",
            folder: "crates/lab-app",
            binary: "fracas-lab-app",
        })
    })
}

/// The key-value service of the examples (`examples/key-value`), like [`app`].
pub fn key_value() -> &'static Path {
    static KEY_VALUE: OnceLock<PathBuf> = OnceLock::new();
    KEY_VALUE.get_or_init(|| {
        built(&Program {
            package: "fracas-example-key-value",
            folder: "examples/key-value",
            binary: "key-value",
        })
    })
}

#[expect(clippy::panic, reason = "this ends a test")]
fn built(program: &Program) -> PathBuf {
    build(program).unwrap_or_else(|why| panic!("{} cannot be built: {why}", program.package))
}

#[expect(clippy::disallowed_methods, reason = "cargo is started by tests only")]
fn build(program: &Program) -> io::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target = root.join("target/lab");
    let binary = target.join(&triple).join("debug").join(program.binary);
    if is_fresh(&binary, &root.join(program.folder))? {
        return Ok(binary);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = std::process::Command::new(cargo)
        .current_dir(&root)
        .args(["build", "--quiet", "--locked", "--package", program.package])
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
fn is_fresh(binary: &Path, folder: &Path) -> io::Result<bool> {
    let Ok(built) = fs::metadata(binary).and_then(|file| file.modified()) else {
        return Ok(false);
    };
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder.join("src"))? {
        newest = newest.max(entry?.metadata()?.modified()?);
    }
    newest = newest.max(fs::metadata(folder.join("Cargo.toml"))?.modified()?);
    Ok(built > newest)
}
