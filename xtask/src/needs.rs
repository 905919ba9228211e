//! Programs that the tests and benchmarks need, and how to get them on Debian and its kin.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::children;

pub(crate) mod clients;

/// A program and the Debian package that has it.
struct Need {
    program: &'static str,
    package: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        program: "dockerd",
        package: "docker.io",
    },
    Need {
        program: "podman",
        package: "podman",
    },
    Need {
        // Podman's own choice, crun, refuses a machine with control groups of both versions.
        program: "runc",
        package: "runc",
    },
    Need {
        program: "prometheus",
        package: "prometheus",
    },
    Need {
        program: "busybox",
        package: "busybox-static",
    },
    Need {
        // libFuzzer is C++.
        program: "c++",
        package: "g++",
    },
    Need {
        program: "ip",
        package: "iproute2",
    },
    Need {
        // Tests let it read what we write, and the other way round.
        program: "nft",
        package: "nftables",
    },
    Need {
        program: "iptables",
        package: "iptables",
    },
    Need {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
    },
    Need {
        // Tells in which order the modules of a kernel are loaded that was unpacked and not installed.
        program: "depmod",
        package: "kmod",
    },
    Need {
        program: "mke2fs",
        package: "e2fsprogs",
    },
    Need {
        program: "dig",
        package: "dnsutils",
    },
    Need {
        // A real client of the proxy, of HTTP/1.1 and HTTP/2.
        program: "curl",
        package: "curl",
    },
    Need {
        // Seed 3 looks at a proxy by it.
        program: "jq",
        package: "jq",
    },
    Need {
        // Another, and the load of many streams.
        program: "nghttp",
        package: "nghttp2-client",
    },
    // Real clients and servers of protocols, in Python: modules, which are known by their file.
    Need {
        program: "/usr/lib/python3/dist-packages/grpc/__init__.py",
        package: "python3-grpcio",
    },
    Need {
        program: "/usr/lib/python3/dist-packages/websockets/__init__.py",
        package: "python3-websockets",
    },
    Need {
        program: "/usr/lib/python3/dist-packages/httpx/__init__.py",
        package: "python3-httpx",
    },
    Need {
        // Without it, httpx speaks no HTTP/2.
        program: "/usr/lib/python3/dist-packages/h2/__init__.py",
        package: "python3-h2",
    },
    Need {
        // Makes a place for modules of Python that Debian does not have.
        program: "/usr/share/doc/python3-venv/copyright",
        package: "python3-venv",
    },
    Need {
        program: "npm",
        package: "npm",
    },
    // The crate `toxiproxy_rust` is built with OpenSSL.
    Need {
        program: "/usr/include/openssl/ssl.h",
        package: "libssl-dev",
    },
    Need {
        program: "pkg-config",
        package: "pkg-config",
    },
    Need {
        program: "ping",
        package: "iputils-ping",
    },
    Need {
        program: "iperf3",
        package: "iperf3",
    },
    Need {
        program: "sshd",
        package: "openssh-server",
    },
    Need {
        program: "ssh",
        package: "openssh-client",
    },
];

/// What only the benchmarks need: the engine that tests have, and what Fracas is compared with.
const OF_BENCHMARKS: &[Need] = &[
    Need {
        program: "dockerd",
        package: "docker.io",
    },
    Need {
        program: "stress-ng",
        package: "stress-ng",
    },
];

/// The packages of the programs that are not there, by `present`.
fn missing(needs: &[Need], present: impl Fn(&str) -> bool) -> Vec<&'static str> {
    needs
        .iter()
        .filter(|need| !present(need.program))
        .map(|need| need.package)
        .collect()
}

/// Installs what is missing, and nothing if nothing is.
pub(crate) fn install() -> Result<()> {
    install_all(NEEDS)?;
    let not_given = clients::install()?;
    // A registry that is down stops nobody's work: the tests that need its clients are left out, which CI does not allow.
    if !not_given.is_empty() && std::env::var("CI").as_deref() == Ok("true") {
        bail!(not_given.join("; "));
    }
    for why in not_given {
        println!("  clients of Toxiproxy are missing, and tests with them: {why}");
    }
    install_nextest()
}

/// The same for the benchmarks.
pub(crate) fn install_for_benchmarks() -> Result<()> {
    install_all(OF_BENCHMARKS)
}

fn install_all(needs: &[Need]) -> Result<()> {
    let present = |program: &str| children::find(program).is_some();
    let packages = missing(needs, present);
    if packages.is_empty() {
        println!("  every program that is needed is here");
        return Ok(());
    }
    install_packages(&packages)?;
    let still = missing(needs, present);
    if !still.is_empty() {
        bail!("apt-get was content, but the programs of these packages are still not there: {still:?}");
    }
    Ok(())
}

fn install_packages(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !rustix::process::geteuid().is_root() {
        bail!("these Debian packages are missing: {list}. Install them, or run `cargo xtask install` as root");
    }
    if children::find("apt-get").is_none() {
        bail!("there is no apt-get here: install the programs of these Debian packages yourself: {list}");
    }
    children::run(apt().arg("update"))?;
    children::run(apt().args(["install", "-y", "--no-install-recommends"]).args(packages))
}

/// apt-get that asks nothing, waits for another apt at most five minutes, and starts no service where init is not systemd
/// (invoke-rc.d(8) starts nothing in runlevel 1): the tests start engines of their own.
fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(["-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1")
        .current_dir(Path::new("/"));
    command
}

fn install_nextest() -> Result<()> {
    let known = children::cargo()?
        .args(["nextest", "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("cannot start cargo")?;
    if known.success() {
        return Ok(());
    }
    println!("  cargo-nextest is missing: building it takes some minutes");
    children::run(children::cargo()?.args(["install", "--locked", "cargo-nextest"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_installed() {
        assert!(missing(NEEDS, |_| true).is_empty());
        assert_eq!(missing(NEEDS, |program| program != "dockerd"), ["docker.io"]);
        assert_eq!(missing(NEEDS, |_| false).len(), NEEDS.len());
    }

    #[test]
    fn apt_never_asks() {
        let command = apt();
        assert!(
            command
                .get_envs()
                .any(|(name, value)| name == "DEBIAN_FRONTEND" && value == Some("noninteractive".as_ref()))
        );
    }
}
