//! Archives whose bytes depend on what is in them and on nothing else: entries are sorted, owned by root, and of one time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A file with its mode.
    File(u32, Vec<u8>),
    /// A symbolic link to this.
    Link(String),
    /// A folder with its mode. Folders above entries need not be named: they have 0755.
    Folder(u32),
}

/// Entries by their path without a slash at the front.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree(BTreeMap<String, What>);

impl Tree {
    /// A file that everybody may read.
    pub(super) fn text(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.insert(path.into(), What::File(0o644, bytes.into()));
    }

    /// A program.
    pub(super) fn program(&mut self, path: impl Into<String>, bytes: &[u8]) {
        self.0.insert(path.into(), What::File(0o755, bytes.to_vec()));
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, path: impl Into<String>, to: &str) {
        self.0.insert(path.into(), What::Link(to.to_owned()));
    }

    /// A folder with a mode of its own.
    pub(super) fn folder(&mut self, path: impl Into<String>, mode: u32) {
        self.0.insert(path.into(), What::Folder(mode));
    }

    /// Paths of files that begin so.
    pub(super) fn below<'a>(&'a self, start: &'a str) -> impl Iterator<Item = (&'a str, &'a What)> {
        let entries = self.0.iter().filter(move |(path, _)| path.starts_with(start));
        entries.map(|(path, what)| (path.as_str(), what))
    }

    /// The bytes of all files together, in KiB, each rounded up: what `Installed-Size` means (deb-control(5)).
    pub(super) fn kib(&self) -> usize {
        let files = self.0.values().map(|what| match what {
            What::File(_, bytes) => bytes.len().div_ceil(1024),
            What::Link(_) | What::Folder(_) => 1,
        });
        files.sum()
    }

    /// As tar, below a prefix such as `fracas-1.0/`; `time` is in seconds since 1970.
    pub(super) fn tar(&self, prefix: &str, time: u64) -> Result<Vec<u8>> {
        let mut all: BTreeMap<String, &What> = BTreeMap::new();
        for folder in self.folders() {
            all.insert(folder, &What::Folder(0o755));
        }
        for (path, what) in &self.0 {
            if all.insert(path.clone(), what).is_some() && !matches!(what, What::Folder(_)) {
                bail!("{path} is both a file and a folder");
            }
        }
        let mut archive = Builder::new(Vec::new());
        for (path, what) in all {
            append(&mut archive, &format!("{prefix}{path}"), what, time)
                .with_context(|| format!("cannot pack {path}"))?;
        }
        archive.into_inner().context("cannot end an archive")
    }

    fn folders(&self) -> BTreeSet<String> {
        let ends = self
            .0
            .keys()
            .flat_map(|path| path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
        ends.collect()
    }
}

fn append(archive: &mut Builder<Vec<u8>>, path: &str, what: &What, time: u64) -> std::io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mtime(time);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    match what {
        What::File(mode, bytes) => {
            header.set_entry_type(EntryType::Regular);
            header.set_mode(*mode);
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, path, bytes.as_slice())
        }
        What::Link(to) => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            archive.append_link(&mut header, path, to)
        }
        What::Folder(mode) => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(*mode);
            header.set_size(0);
            archive.append_data(&mut header, format!("{path}/"), std::io::empty())
        }
    }
}

/// Compressed, without a name and a time of its own.
pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    writer
        .write_all(bytes)
        .and_then(|()| writer.finish())
        .context("cannot compress")
}

/// As the common `ar` format (deb(5)): members of root, of one time.
pub(super) fn ar(members: &[(&str, &[u8])], time: u64) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        let head = format!(
            "{name:<16}{time:<12}{:<6}{:<6}{:<8}{:<10}`\n",
            0,
            0,
            "100644",
            bytes.len()
        );
        archive.extend(head.into_bytes());
        archive.extend(*bytes);
        if bytes.len() % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.text("b/c/text", "words");
        tree.program("a", b"\x7fELF");
        tree.link("b/link", "c/text");
        tree.folder("tmp", 0o1777);
        tree
    }

    #[test]
    fn a_tree_comes_out_as_it_went_in_with_its_folders() {
        let bytes = tree().tar("x/", 7).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let seen: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = Vec::new();
                entry.read_to_end(&mut text).unwrap();
                let header = entry.header();
                assert_eq!((header.mtime().unwrap(), header.uid().unwrap()), (7, 0));
                (
                    String::from_utf8(entry.path_bytes().into_owned()).unwrap(),
                    header.mode().unwrap(),
                    text.len(),
                )
            })
            .collect();
        let expected = [
            ("x/a", 0o755, 4),
            ("x/b/", 0o755, 0),
            ("x/b/c/", 0o755, 0),
            ("x/b/c/text", 0o644, 5),
            ("x/b/link", 0o777, 0),
            ("x/tmp/", 0o1777, 0),
        ];
        assert_eq!(seen, expected.map(|(path, mode, size)| (path.to_owned(), mode, size)));
    }

    #[test]
    fn the_same_tree_is_the_same_bytes() {
        let once = gzip(&tree().tar("x/", 9).unwrap()).unwrap();
        assert_eq!(once, gzip(&tree().tar("x/", 9).unwrap()).unwrap());
        assert_ne!(once, gzip(&tree().tar("x/", 10).unwrap()).unwrap());
        assert_eq!(once[4..8], [0; 4], "gzip's own time");
    }

    #[test]
    fn a_file_where_a_folder_is_needed_is_an_error() {
        let mut tree = tree();
        tree.text("b", "x");
        assert!(tree.tar("", 0).unwrap_err().to_string().contains("both"));
    }

    #[test]
    fn members_of_ar_begin_at_even_places() {
        let bytes = ar(&[("one", b"abc"), ("two", b"de")], 5);
        assert_eq!(bytes.len(), 8 + 60 + 4 + 60 + 2);
        assert_eq!(&bytes[8 + 60 + 3..8 + 60 + 4], b"\n");
        assert!(bytes[72..].starts_with(b"two             5           0     0     100644  2         `\n"));
    }

    #[test]
    fn digests_are_those_of_others() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
