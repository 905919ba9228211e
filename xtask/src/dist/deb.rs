//! The package for Debian and its kin (deb(5)).
//!
//! It has no maintainer script. What such scripts do for a unit is to enable it; here the package ships the link that `systemctl enable`
//! would make, among the vendor's units, where `systemctl mask` wins over it (systemd.unit(5)). Nothing has to be started or stopped at
//! install time: the unit acts at boot. Purging leaves /var/lib/fracas alone, for it may hold the way back of a fault that is still on.

use anyhow::Result;

use super::archive::{self, Tree, What};
use super::parts::Parts;

/// Files of an administrator, which dpkg does not overwrite (deb-conffiles(5)).
const CONFFILES: [&str; 1] = ["etc/fracas/config.yaml"];

/// The package's file.
pub(super) fn package(parts: &Parts) -> Result<Vec<u8>> {
    let tree = tree(parts)?;
    let data = archive::gzip(&tree.tar("", parts.time)?)?;
    let mut control = Tree::default();
    control.text("control", self::control(&parts.version, tree.kib()));
    control.text("conffiles", CONFFILES.map(|path| format!("/{path}\n")).concat());
    let control = archive::gzip(&control.tar("", parts.time)?)?;
    Ok(archive::ar(
        &[
            ("debian-binary", b"2.0\n"),
            ("control.tar.gz", &control),
            ("data.tar.gz", &data),
        ],
        parts.time,
    ))
}

fn control(version: &str, kib: usize) -> String {
    // Static: no `Depends`. Engines and Prometheus are wanted by some faults and probes only.
    format!(
        "Package: fracas\n\
         Version: {version}\n\
         Architecture: amd64\n\
         Maintainer: The contributors of Fracas\n\
         Installed-Size: {kib}\n\
         Section: admin\n\
         Priority: optional\n\
         Suggests: docker.io | docker-ce | podman, prometheus\n\
         Description: break running systems on purpose and put everything back\n \
         Fracas puts faults on Docker containers and processes, measures what happens,\n \
         and proves that nothing of them is left. What a crash of the whole machine\n \
         leaves is undone at the next boot.\n"
    )
}

/// Where everything goes.
fn tree(parts: &Parts) -> Result<Tree> {
    let mut tree = Tree::default();
    tree.program("usr/bin/fracas", &parts.binary);
    for (name, page) in &parts.manuals {
        tree.text(format!("usr/share/man/man1/{name}.gz"), archive::gzip(page)?);
    }
    tree.text("usr/share/bash-completion/completions/fracas", parts.bash.as_slice());
    tree.text("usr/share/zsh/vendor-completions/_fracas", parts.zsh.as_slice());
    tree.text("usr/share/fish/vendor_completions.d/fracas.fish", parts.fish.as_slice());
    tree.text(CONFFILES[0], parts.settings.as_slice());
    tree.text("usr/lib/systemd/system/fracas-recover.service", parts.unit.as_slice());
    tree.link(
        "usr/lib/systemd/system/multi-user.target.wants/fracas-recover.service",
        "../fracas-recover.service",
    );
    let doc = "usr/share/doc/fracas";
    for (name, paper) in &parts.papers {
        match name.as_str() {
            // Debian has this text once for all packages.
            "LICENSE-APACHE" => {}
            "CHANGELOG.md" => tree.text(format!("{doc}/changelog.gz"), archive::gzip(paper)?),
            _ => tree.text(format!("{doc}/{name}"), paper.as_slice()),
        }
    }
    tree.text(format!("{doc}/copyright"), parts.copyright.as_slice());
    tree.text(format!("{doc}/THIRD-PARTY.txt.gz"), archive::gzip(&parts.third_party)?);
    tree.text(format!("{doc}/sbom.cdx.json.gz"), archive::gzip(&parts.bill)?);
    for (name, example) in &parts.examples {
        tree.text(format!("{doc}/examples/{name}"), example.as_slice());
    }
    for (path, what) in tree.below("etc/") {
        if matches!(what, What::File(..)) && !CONFFILES.contains(&path) {
            anyhow::bail!("{path} is in /etc and no conffile");
        }
    }
    Ok(tree)
}
