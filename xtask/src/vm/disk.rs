//! The machine's disks, and the archive by which its kernel reaches them. One is its root; the other is `/tmp`, so that what a fault does to
//! files is not on the disk only because the state of Fracas is.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use super::below;
use super::boots::Boot;
use super::cpio::Archive;
use super::kernel::Kernel;
use super::programs::{Programs, libraries};
use crate::children;

/// What the kernel must have to reach the disk.
const FOR_THE_DISK: &[&str] = &["virtio_pci", "virtio_blk", "ext4"];

/// What tests call of others'. Those of iptables load what they know of each kind of rule from a folder.
const TOOLS: &[&str] = &[
    "tc",
    "ip",
    "nft",
    "iptables",
    "ip6tables",
    "iptables-save",
    "ip6tables-save",
    "nsenter",
];
const KINDS_OF_RULES: &str = "/usr/lib/x86_64-linux-gnu/xtables";

/// Folders with modules that nothing in the machine has a use for.
const NO_MODULES: &[&str] = &["kernel/drivers/gpu", "kernel/drivers/infiniband", "kernel/sound"];

/// The disks, and the archive that the kernel begins with.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) image: PathBuf,
    pub(super) second: PathBuf,
    pub(super) archive: PathBuf,
}

impl Disk {
    /// Makes both anew.
    pub(super) fn make(
        folder: &Path,
        kernel: &Kernel,
        (programs, init): (&Programs, &Path),
        boots: &[Boot],
    ) -> Result<Self> {
        let disk = Self {
            image: folder.join("disk"),
            second: folder.join("second-disk"),
            archive: folder.join("archive"),
        };
        let archive = archive(kernel, init)?;
        fs::write(&disk.archive, archive).context("cannot write the archive")?;
        let root = Root::new(folder.join("root"))?;
        root.fill(kernel, programs, init)?;
        for boot in boots {
            root.write(&format!("boots/{}", boot.name), super::init::tasks(boot).as_bytes())?;
        }
        file_system(&disk.image, "2G", Some(&root.path))?;
        file_system(&disk.second, "512M", None)?;
        fs::remove_dir_all(&root.path).context("cannot remove what the disk was made from")?;
        Ok(disk)
    }
}

/// Makes a file system with this in it. Sparse: what is not written takes no room.
fn file_system(image: &Path, size: &str, with: Option<&Path>) -> Result<()> {
    let _old = fs::remove_file(image);
    let mke2fs = children::find("mke2fs").context("mke2fs is not here: run `cargo xtask install`")?;
    let mut command = Command::new(mke2fs);
    command.args(["-q", "-F", "-t", "ext4", "-E", "root_owner=0:0"]);
    if let Some(with) = with {
        command.arg("-d").arg(with);
    }
    children::run(command.arg(image).arg(size))
}

/// The archive: this program as the first process, its libraries, and the modules for the disk in their order.
fn archive(kernel: &Kernel, init: &Path) -> Result<Vec<u8>> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let mut archive = Archive::default();
    for folder in ["dev", "proc", "disk", "modules"] {
        archive.directory(folder);
    }
    // The kernel opens it for the first process before that one can do anything.
    archive.device("dev/console", 5, 1);
    archive.file("init", &read(init)?);
    let mut made = Vec::new();
    for library in libraries(&[init])? {
        let path = library.strip_prefix("/").unwrap_or(&library);
        let parents: Vec<&Path> = path
            .ancestors()
            .skip(1)
            .filter(|parent| *parent != Path::new(""))
            .collect();
        for parent in parents.into_iter().rev() {
            if !made.contains(&parent.to_owned()) {
                made.push(parent.to_owned());
                archive.directory(&parent.display().to_string());
            }
        }
        archive.file(&path.display().to_string(), &read(&library)?);
    }
    for (number, file) in kernel.files(FOR_THE_DISK)?.iter().enumerate() {
        archive.file(&format!("modules/{number:03}"), &read(file)?);
    }
    Ok(archive.finish())
}

/// A folder that becomes the root of the machine.
struct Root {
    path: PathBuf,
}

impl Root {
    fn new(path: PathBuf) -> Result<Self> {
        let _old = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path })
    }

    fn fill(&self, kernel: &Kernel, programs: &Programs, init: &Path) -> Result<()> {
        for folder in [
            "dev", "proc", "sys", "run", "tmp", "root", "bin", "sbin", "etc", "var/lib",
        ] {
            self.folder(Path::new(folder))?;
        }
        self.copy(init, Path::new("/init"))?;
        self.commands()?;
        let find = |name: &&str| {
            children::find(name).with_context(|| format!("{name} is not here: run `cargo xtask install`"))
        };
        let tools: Vec<PathBuf> = TOOLS.iter().map(find).collect::<Result<_>>()?;
        for kind in fs::read_dir(KINDS_OF_RULES).context("iptables has no kinds of rules")? {
            let kind = kind.context("cannot read a kind of rules")?.path();
            self.copy(&kind, &kind)?;
        }
        // That one is static.
        self.copy(&programs.app, &programs.app)?;
        let mut all = vec![init];
        for program in programs.of_ours().into_iter().chain(tools.iter().map(PathBuf::as_path)) {
            self.copy(program, program)?;
            all.push(program);
        }
        for library in libraries(&all)? {
            self.copy(&library, &library)?;
        }
        self.sources_of_the_app()?;
        self.modules(kernel)
    }

    /// What tests and faults call by name; the kernel calls modprobe for what it lacks.
    fn commands(&self) -> Result<()> {
        let busybox = children::find("busybox").context("busybox is not here: run `cargo xtask install`")?;
        self.copy(&busybox, Path::new("/bin/busybox"))?;
        let names = children::output(Command::new(&busybox).arg("--list"))?;
        for name in String::from_utf8_lossy(&names).lines() {
            let link = self.path.join("bin").join(name);
            if name != "busybox" {
                symlink("busybox", &link).with_context(|| format!("cannot make {}", link.display()))?;
            }
        }
        symlink("/bin/busybox", self.path.join("sbin/modprobe")).context("cannot make modprobe")
    }

    /// The lab looks whether its program is younger than what it is built from.
    fn sources_of_the_app(&self) -> Result<()> {
        let root = children::root()?;
        self.folder(&root.join("crates/lab"))?;
        self.folder(&root.join("crates/lab-app/src"))?;
        let manifest = below(&self.path, &root.join("crates/lab-app/Cargo.toml"));
        let file = File::create(&manifest).with_context(|| format!("cannot make {}", manifest.display()))?;
        file.set_modified(SystemTime::UNIX_EPOCH)
            .context("cannot make a file old")
    }

    fn modules(&self, kernel: &Kernel) -> Result<()> {
        let from = kernel.modules();
        let to = self.path.join("lib/modules").join(kernel.release());
        copy_all(&from, &to, &|path| {
            let inside = path.strip_prefix(&from).unwrap_or(path);
            !NO_MODULES.iter().any(|folder| inside == Path::new(folder))
        })
    }

    fn folder(&self, path: &Path) -> Result<()> {
        let path = below(&self.path, path);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(path);
        if let Some(parent) = path.parent() {
            self.folder(parent.strip_prefix(&self.path).unwrap_or(parent))?;
        }
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        if let Some(parent) = to.parent() {
            self.folder(parent)?;
        }
        let to = below(&self.path, to);
        // What is there may be a link to a program that others need as it is.
        let _before = fs::remove_file(&to);
        fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {} a program", to.display()))
    }
}

/// Copies a folder with everything in it that is wanted; links, which only lead to sources, are left out.
fn copy_all(from: &Path, to: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let kind = entry.file_type().context("cannot tell a file's kind")?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if kind.is_dir() && wanted(&path) {
            copy_all(&path, &to, wanted)?;
        } else if kind.is_file() {
            fs::copy(&path, &to).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}
