use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn open(path: &Path) -> OwnedFd {
    fs::File::open(path).unwrap().into()
}

#[test]
fn names_are_looked_at_and_links_are_not_followed() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("file"), "four").unwrap();
    fs::create_dir(place.path().join("folder")).unwrap();
    symlink("file", place.path().join("link")).unwrap();
    let directory = open(place.path());
    let kind = |name: &str| look(&directory, OsStr::new(name)).unwrap().map(|found| found.kind);
    assert_eq!(kind("file"), Some(Kind::File));
    assert_eq!(kind("folder"), Some(Kind::Directory));
    assert_eq!(kind("link"), Some(Kind::Link));
    assert_eq!(kind("none"), None);
    let file = look(&directory, OsStr::new("file")).unwrap().unwrap();
    assert_eq!((file.size, file.mounted), (4, false));
    let opened = fs::File::open(place.path().join("file")).unwrap();
    assert_eq!(file.identity, FileIdentity::of(&opened).unwrap());
    assert!(look(open(Path::new("/")), OsStr::new("proc")).unwrap().unwrap().mounted);
    assert_eq!(
        look(open(Path::new("/dev")), OsStr::new("null")).unwrap().unwrap().kind,
        Kind::Other
    );
}

#[test]
fn a_rename_takes_the_place_of_nothing_and_the_file_is_found_by_its_number() {
    let place = tempfile::tempdir().unwrap();
    let (a, b) = (OsStr::new("a"), OsStr::new("b"));
    fs::write(place.path().join("a"), "a").unwrap();
    let directory = open(place.path());
    let inode = look(&directory, a).unwrap().unwrap().identity.inode;
    assert!(rename(&directory, a, b).unwrap());
    assert_eq!(name_of(&directory, inode).unwrap().as_deref(), Some(b));
    fs::write(place.path().join("a"), "newcomer").unwrap();
    assert!(!rename(&directory, b, a).unwrap());
    assert_eq!(fs::read_to_string(place.path().join("a")).unwrap(), "newcomer");
    fs::remove_file(place.path().join("b")).unwrap();
    assert!(rename(&directory, b, OsStr::new("c")).is_err());
}

#[test]
fn the_place_of_what_was_taken_away_is_free() {
    let place = tempfile::tempdir().unwrap();
    let directory = open(place.path());
    let made = rustix::fs::mknodat(&directory, "gone", FileType::CharacterDevice, Mode::empty(), 0);
    // Anybody may make one since Linux 5.8 (mknod(2)).
    made.unwrap();
    fs::write(place.path().join("kept"), "x").unwrap();
    let gone = OsStr::new("gone");
    assert_eq!(look(&directory, gone).unwrap().unwrap().kind, Kind::Whiteout);
    assert!(!rename(&directory, OsStr::new("kept"), gone).unwrap());
    assert!(rename_in_upper(&directory, OsStr::new("kept"), gone).unwrap());
    fs::write(place.path().join("kept"), "y").unwrap();
    assert!(!rename_in_upper(&directory, OsStr::new("kept"), gone).unwrap());
    assert_eq!(fs::read_to_string(place.path().join("gone")).unwrap(), "x");
}

#[test]
fn no_link_is_walked_through() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir_all(place.path().join("a/b")).unwrap();
    symlink("a", place.path().join("link")).unwrap();
    symlink("/etc", place.path().join("a/out")).unwrap();
    let directory = open(place.path());
    let b = beneath(&directory, Path::new("/a/b")).unwrap();
    assert_eq!(path_of(&b).unwrap(), place.path().canonicalize().unwrap().join("a/b"));
    assert_eq!(
        FileIdentity::of(beneath(&directory, Path::new("/")).unwrap()).unwrap(),
        FileIdentity::of(&directory).unwrap()
    );
    for path in ["link/b", "a/out", "none", "a/b/c"] {
        assert!(is_no_way(&beneath(&directory, Path::new(path)).unwrap_err()), "{path}");
    }
    assert!(
        beneath(&directory, Path::new("a/../a"))
            .unwrap_err()
            .to_string()
            .contains("climbs")
    );
}

#[test]
fn what_is_within_is_told_by_climbing() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir_all(place.path().join("a/b")).unwrap();
    fs::create_dir_all(place.path().join("c")).unwrap();
    let identity = |name: &str| FileIdentity::of(open(&place.path().join(name))).unwrap();
    let within = |name: &str, outer| is_within(open(&place.path().join(name)), outer).unwrap();
    assert!(within("a/b", identity("a")));
    assert!(within("a", identity("a")));
    assert!(!within("c", identity("a")));
    assert!(!within("a", identity("a/b")));
    assert!(within("a/b", FileIdentity::of(open(Path::new("/"))).unwrap()));
}

#[test]
fn settings_of_the_kernel_are_no_files() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("file"), "x").unwrap();
    keeps_files(open(&place.path().join("file"))).unwrap();
    for path in ["/proc/self/status", "/sys/kernel/mm", "/proc/sys/kernel/hostname"] {
        let refused = keeps_files(open(Path::new(path))).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{path}");
        assert!(refused.to_string().contains("none that keeps files"), "{refused}");
    }
}

#[test]
fn ranges_are_read_and_written_where_they_are() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("file");
    fs::write(&path, "0123456789").unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    write_range(&file, 3, b"abc").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "012abc6789");
    assert_eq!(read_range(&file, 2, 3).unwrap(), b"2ab");
    assert_eq!(read_range(&file, 8, 10).unwrap(), b"89");
    assert_eq!(read_range_past_cache(&file, 0, 4).unwrap(), b"012a");
    assert_eq!(read_range(&file, 100, 1).unwrap(), b"");
    let only_read = fs::File::open(&path).unwrap();
    assert!(write_range(&only_read, 0, b"x").is_err());
}
