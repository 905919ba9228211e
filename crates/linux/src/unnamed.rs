//! Files without a name: they take room for as long as somebody has them open, and the kernel frees them with the last descriptor,
//! also when their holder is killed.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::error::{Context, invalid};

/// What stands at the beginning of a file that is looked for.
const LONGEST_MARK: usize = 256;

/// Makes a file in this directory, for reading and writing, that has no name and never gets one.
///
/// Where the file system cannot do that (`O_TMPFILE`, open(2); an overlay since Linux 6.1) it has `name` for a moment: whoever is
/// killed in that moment leaves an empty file, which [`remove`] removes. A name that is there already is an error.
pub fn create(directory: impl AsFd, name: &str) -> io::Result<File> {
    let make = || "cannot make a file without a name".to_owned();
    // With O_EXCL nobody can give it a name later, by linkat(2) from /proc.
    let flags = OFlags::TMPFILE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    match openat(&directory, ".", flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file.into()),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => create_and_unlink(directory, name),
        Err(error) => Err(error).context(make),
    }
}

fn create_and_unlink(directory: impl AsFd, name: &str) -> io::Result<File> {
    let make = || format!("cannot make the file {name}");
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&directory, entry(name)?, flags, Mode::RUSR | Mode::WUSR).context(make)?;
    unlinkat(&directory, name, AtFlags::empty()).context(make)?;
    if fstat(&file).context(make)?.st_nlink != 0 {
        // Somebody was quick and linked it: what is written to it would stay.
        return Err(invalid(format!("somebody else gave the file {name} another name")));
    }
    Ok(file.into())
}

/// Whether the directory has a regular file by this name.
pub fn has(directory: impl AsFd, name: &str) -> io::Result<bool> {
    match statat(directory, entry(name)?, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error).context(|| format!("cannot look for {name}")),
    }
}

/// Removes the regular file by this name. `false`: there is none.
pub fn remove(directory: impl AsFd, name: &str) -> io::Result<bool> {
    if !has(&directory, name)? {
        return Ok(false);
    }
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error).context(|| format!("cannot remove {name}")),
    }
}

/// Goes past the page cache from now on (`O_DIRECT`). `false`: the file system cannot do that.
pub fn go_direct(file: impl AsFd) -> io::Result<bool> {
    let what = || "cannot change how a file is written".to_owned();
    let flags = fcntl_getfl(&file).context(what)?;
    match fcntl_setfl(&file, flags | OFlags::DIRECT) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL) => Ok(false),
        Err(error) => Err(error).context(what),
    }
}

/// The files without a name that *this process* has open and that begin with these bytes, opened anew for reading.
///
/// The kernel's table of descriptors is asked, not whoever opened them.
pub fn held_here(mark: &[u8]) -> io::Result<Vec<File>> {
    const TABLE: &str = "/proc/self/fd";
    let list = || format!("cannot list {TABLE}");
    let mut found = Vec::new();
    if mark.is_empty() || mark.len() > LONGEST_MARK {
        return Err(invalid("a mark has from 1 to 256 bytes"));
    }
    for entry in fs::read_dir(TABLE).context(list)? {
        let path = entry.context(list)?.path();
        // What was closed since it was listed is not held; pipes and sockets are no regular files.
        let Ok(meta) = fs::metadata(&path) else { continue };
        if !meta.file_type().is_file() || meta.nlink() != 0 {
            continue;
        }
        let file = match File::open(&path) {
            Ok(file) => file,
            // Closed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).context(|| format!("cannot open {} again", path.display())),
        };
        let mut start = vec![0; mark.len()];
        if file.read_exact_at(&mut start, 0).is_ok() && start == mark {
            found.push(file);
        }
    }
    Ok(found)
}

/// How many bytes of room a file takes on its disk.
pub fn room_taken(file: &File) -> io::Result<u64> {
    let meta = file.metadata().context(|| "cannot look at an open file".into())?;
    // In units of 512 bytes, whatever the file system has: inode(7).
    Ok(meta.blocks() * 512)
}

/// A name that does not leave its directory.
fn entry(name: &str) -> io::Result<&str> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is not the name of a file in a directory"),
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    fn directory(path: &std::path::Path) -> OwnedFd {
        rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    #[test]
    fn a_file_without_a_name_is_held_and_goes() {
        let around = tempfile::tempdir().unwrap();
        let fd = directory(around.path());
        let both: [fn(&OwnedFd) -> io::Result<File>; 2] = [|fd| create(fd, "name"), |fd| create_and_unlink(fd, "name")];
        for make in both {
            let mark = b"a mark of this test";
            let file = make(&fd).unwrap();
            assert_eq!(fs::read_dir(around.path()).unwrap().count(), 0);
            assert!(held_here(mark).unwrap().is_empty());
            file.write_all_at(mark, 0).unwrap();
            crate::file::allocate(&file, 1 << 20).unwrap();
            let held = held_here(mark).unwrap();
            assert_eq!(held.len(), 1);
            assert!(room_taken(&held[0]).unwrap() >= 1 << 20);
            drop((file, held));
            assert!(held_here(mark).unwrap().is_empty());
        }
    }

    #[test]
    fn names_are_found_removed_and_never_taken_over() {
        let around = tempfile::tempdir().unwrap();
        let fd = directory(around.path());
        assert!(!has(&fd, "name").unwrap() && !remove(&fd, "name").unwrap());
        fs::write(around.path().join("name"), "somebody's").unwrap();
        assert!(create_and_unlink(&fd, "name").is_err());
        assert!(has(&fd, "name").unwrap() && remove(&fd, "name").unwrap());
        // A link or a directory by that name is nothing of ours.
        std::os::unix::fs::symlink("/etc/passwd", around.path().join("name")).unwrap();
        assert!(!has(&fd, "name").unwrap() && !remove(&fd, "name").unwrap());
        for name in ["", ".", "..", "a/b", "a\0"] {
            assert!(has(&fd, name).is_err() && remove(&fd, name).is_err(), "{name:?}");
        }
        assert!(held_here(b"").is_err());
    }
}
