use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A root with a file `etc/secret` beside it, which nothing inside may reach.
struct Tree {
    root: Inside,
    path: PathBuf,
    _around: tempfile::TempDir,
}

fn tree() -> Tree {
    let around = tempfile::tempdir().unwrap();
    let path = around.path().join("root");
    std::fs::create_dir_all(path.join("a/b/c")).unwrap();
    std::fs::create_dir_all(path.join("etc")).unwrap();
    std::fs::write(path.join("etc/hostname"), "inside").unwrap();
    std::fs::write(around.path().join("secret"), "outside").unwrap();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = Inside {
        root: open(&path, flags, Mode::empty()).unwrap(),
    };
    Tree {
        root,
        path,
        _around: around,
    }
}

fn text(tree: &Tree, path: &str) -> io::Result<String> {
    let file = tree.root.file(Path::new(path), Access::Read)?;
    io::read_to_string(file)
}

#[test]
fn links_and_dots_stay_inside() {
    let tree = tree();
    symlink("/etc/hostname", tree.path.join("absolute")).unwrap();
    symlink("../../../../etc/hostname", tree.path.join("a/b/climbs")).unwrap();
    symlink("../secret", tree.path.join("out")).unwrap();
    symlink("/", tree.path.join("slash")).unwrap();
    for path in [
        "/etc/hostname",
        "/absolute",
        "/a/b/climbs",
        "/../../etc/hostname",
        "/slash/slash/absolute",
        "//etc/./hostname",
    ] {
        assert_eq!(text(&tree, path).unwrap(), "inside", "{path}");
    }
    // Chroot's meaning: above the root is the root, and there is no such file in it.
    assert!(is_missing(&text(&tree, "/out").unwrap_err()));
    let top = FileIdentity::of(tree.root.directory(Path::new("/..")).unwrap()).unwrap();
    assert_eq!(top.inode, std::fs::metadata(&tree.path).unwrap().ino());
}

#[test]
fn links_of_proc_are_refused() {
    let own = crate::process::identity(std::process::id()).unwrap().unwrap();
    let inside = Inside::of(&own).unwrap().unwrap();
    for path in ["/proc/self/root/etc", "/proc/self/cwd", "/proc/thread-self/fd/0"] {
        let refused = inside.directory(Path::new(path)).unwrap_err();
        assert!(refused.to_string().contains("a link of /proc"), "{refused}");
    }
    assert!(inside.directory(Path::new("/proc/self/task")).is_ok());
}

#[test]
fn what_is_no_path_or_no_regular_file_is_refused() {
    let tree = tree();
    symlink("loop", tree.path.join("loop")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.path.join("pipe"),
        FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();
    for (path, why) in [
        ("etc/hostname", "does not begin with a slash"),
        ("", "does not begin with a slash"),
        ("/a", "no regular file but a directory"),
        // To open it would wait for a reader for ever.
        ("/pipe", "no regular file but a pipe"),
        ("/loop", "too many links"),
        ("/none", "No such file"),
        ("/etc/hostname/below", "it is no directory"),
    ] {
        let refused = text(&tree, path).unwrap_err().to_string();
        assert!(refused.contains(why), "{path}: {refused}");
    }
    let long = format!("/{}", "a/".repeat(3000));
    let refused = tree.root.directory(Path::new(&long)).unwrap_err().to_string();
    assert!(refused.contains("longer"), "{refused}");
    assert!(tree.root.directory(Path::new("/etc/hostname")).is_err());
}

#[test]
fn a_place_is_a_name_in_a_directory() {
    let tree = tree();
    symlink("/etc", tree.path.join("a/link")).unwrap();
    let place = tree.root.place(Path::new("/a/link/hostname")).unwrap();
    assert_eq!(place.name, "hostname");
    let file = place.file(Access::ReadWrite).unwrap();
    let identity = FileIdentity::of(&file).unwrap();
    assert_eq!(
        identity.inode,
        std::fs::metadata(tree.path.join("etc/hostname")).unwrap().ino()
    );
    // The last part itself is not followed.
    let link = tree.root.place(Path::new("/a/link")).unwrap();
    let refused = link.file(Access::Read).unwrap_err().to_string();
    assert!(refused.contains("a symbolic link"), "{refused}");
    for path in ["/", "/a/..", "/.."] {
        let refused = tree.root.place(Path::new(path)).unwrap_err().to_string();
        assert!(refused.contains("names no file"), "{path}: {refused}");
    }
}

/// While somebody moves a directory out of the one that is walked, `..` must not lead out of the root. Whatever is reached is one of
/// the files inside.
#[test]
fn a_race_with_renames_never_leads_out() {
    let tree = tree();
    let top = std::fs::metadata(&tree.path).unwrap().ino();
    let etc = std::fs::metadata(tree.path.join("etc")).unwrap().ino();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (low, high) = (tree.path.join("a/b/c"), tree.path.join("c"));
            while !over.load(Ordering::Relaxed) {
                std::fs::rename(&low, &high).unwrap();
                std::fs::rename(&high, &low).unwrap();
            }
        });
        let mut reached = 0;
        for _ in 0..3000 {
            for (path, inode) in [("/a/b/c/../../..", top), ("/a/b/c/../../../../etc", etc)] {
                match tree.root.directory(Path::new(path)) {
                    Ok(found) => {
                        reached += 1;
                        assert_eq!(FileIdentity::of(found).unwrap().inode, inode, "{path}");
                    }
                    // It was elsewhere at that moment, or never held still.
                    Err(error) => assert!(
                        is_missing(&error) || error.to_string().contains("moved about"),
                        "{error}"
                    ),
                }
            }
        }
        over.store(true, Ordering::Relaxed);
        assert!(reached > 0, "the race was always lost");
    });
}

#[test]
fn a_process_that_has_ended_has_no_files() {
    let mut identity = crate::process::identity(std::process::id()).unwrap().unwrap();
    identity.start += 1;
    assert!(Inside::of(&identity).unwrap().is_none());
}
