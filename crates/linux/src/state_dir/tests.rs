use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Why it was refused.
fn refusal(path: &Path) -> String {
    let problem = private_dir(path).expect_err("must be refused");
    assert_eq!(problem.code, &codes::STATE_DIRECTORY);
    assert_eq!(problem.causes.len(), 1);
    problem.causes[0].clone()
}

#[test]
fn it_is_made_with_its_parents_and_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/state");
    let state = private_dir(&path).unwrap();
    assert_eq!(state.path(), dir.path().canonicalize().unwrap().join("a/b/state"));
    assert_eq!((mode(&path), mode(&dir.path().join("a"))), (0o700, 0o700));
    private_dir(&path).expect("again");
}

#[test]
fn what_others_can_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    fs::create_dir(&path).unwrap();
    for bad in [0o770, 0o702, 0o1777] {
        chmod(&path, bad);
        assert!(refusal(&path).contains("written by others"), "{bad:o}");
    }
    chmod(&path, 0o755);
    private_dir(&path).expect("others may read");
    chmod(dir.path(), 0o777);
    assert!(refusal(&path).contains("its parent"));
    chmod(dir.path(), 0o1777);
    private_dir(&path).expect("a sticky parent is fine");
}

#[test]
fn what_belongs_to_another_is_refused() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI must be root");
        println!("skipped: only root can give a directory away");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("theirs");
    fs::create_dir_all(path.join("state")).unwrap();
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    assert!(refusal(&path).contains("belongs to uid 65534"));
    assert!(refusal(&path.join("state")).contains("its parent"));
}

#[test]
fn a_symbolic_link_is_no_state_directory_but_may_lead_to_one() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    symlink(dir.path().join("real"), dir.path().join("link")).unwrap();
    assert!(refusal(&dir.path().join("link")).contains("symbolic link"));
    let state = private_dir(&dir.path().join("link/state")).unwrap();
    assert!(state.path().ends_with("real/state"));
}

#[test]
fn paths_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refusal(Path::new("/")).contains("root"));
    assert!(refusal(&dir.path().join("a/../b")).contains(".."));
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(refusal(&dir.path().join("file")).contains("no directory"));
    assert!(!refusal(&dir.path().join("file/state")).is_empty());
}

#[test]
fn files_are_private_and_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let state = private_dir(&dir.path().join("state")).unwrap();
    let mut file = state.create_new_dsync("ledger").unwrap();
    file.write_all(b"one").unwrap();
    assert_eq!(mode(&state.path().join("ledger")), 0o600);
    assert_eq!(
        state.create_new("ledger").unwrap_err().kind(),
        std::io::ErrorKind::AlreadyExists
    );
    assert_eq!(state.read("ledger", 3).unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(
        state.read("ledger", 2).unwrap_err().kind(),
        std::io::ErrorKind::FileTooLarge
    );
    assert!(state.open("none").unwrap().is_none());
    assert!(state.open_dsync("none").unwrap().is_none());
    assert!(state.remove("ledger").unwrap());
    assert!(!state.remove("ledger").unwrap());
}

#[test]
fn a_file_that_is_not_ours_alone_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let state = private_dir(&dir.path().join("state")).unwrap();
    let path = state.path().join("x");
    fs::write(&path, "").unwrap();
    chmod(&path, 0o666);
    assert!(state.open("x").unwrap_err().to_string().contains("written by others"));
    symlink("/etc/passwd", state.path().join("link")).unwrap();
    assert!(state.open("link").unwrap_err().to_string().contains("symbolic link"));
    fs::create_dir(state.path().join("dir")).unwrap();
    assert!(state.open("dir").is_err());
    assert!(state.open("../x").is_err());
}

#[test]
fn an_atomic_write_replaces_everything_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = private_dir(&dir.path().join("state")).unwrap();
    state.write_atomic("a", b"long old content").unwrap();
    state.write_atomic("a", b"new").unwrap();
    assert_eq!(state.read("a", 100).unwrap().as_deref(), Some(&b"new"[..]));
    let sub = state.make_dir("runs").unwrap();
    state.make_dir("runs").expect("again");
    sub.write_atomic("b", b"").unwrap();
    assert_eq!(state.list().unwrap(), ["a", "runs"]);
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 2);
    // A directory in the way: refused, and nothing is left behind.
    assert!(state.write_atomic("runs", b"x").is_err());
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 2);
    assert!(state.remove_dir("runs").is_err(), "not empty");
    assert!(sub.remove("b").unwrap() && state.remove_dir("runs").unwrap());
}
