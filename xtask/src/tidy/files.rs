//! The texts of the tree, read once for all checks.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Folders that hold what is built or found, never what is written.
const SKIPPED: &[&str] = &[".git", "target", "corpus", "artifacts", "node_modules"];

/// Larger files are data, not text of ours.
const LIMIT: u64 = 1 << 20;

/// A text file.
#[derive(Debug)]
pub(super) struct File {
    /// From the root, with `/`.
    pub(super) path: String,
    /// All of it.
    pub(super) text: String,
}

impl File {
    /// Whether it is Rust.
    pub(super) fn is_rust(&self) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|extension| extension == "rs")
    }

    /// The lines, with their numbers from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The lines of code, with their numbers: without those that are only comment.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The line, from 1, from which on everything is test; none if nothing is.
    pub(super) fn tests_from(&self) -> Option<usize> {
        if self.path.ends_with("/tests.rs") || self.path.split('/').any(|part| part == "tests") {
            return Some(1);
        }
        // `#[cfg(test)] mod tests;` points to a file of its own, which counts by its name.
        let mut lines = self.lines().peekable();
        while let Some((number, line)) = lines.next() {
            let next = lines.peek().map_or("", |(_, next)| next.trim());
            if line.trim() == "#[cfg(test)]" && next.starts_with("mod ") && next.ends_with('{') {
                return Some(number);
            }
        }
        None
    }
}

/// Every text file under the root, in the order of paths.
pub(super) fn read(root: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
            let kind = entry.file_type().context("cannot read the type of a file")?;
            let path = entry.path();
            // In a linked worktree `.git` is a file.
            if SKIPPED.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && entry.metadata().is_ok_and(|data| data.len() <= LIMIT) {
                let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let name = path.strip_prefix(root).ok().and_then(Path::to_str);
                if let (Ok(text), Some(name)) = (String::from_utf8(bytes), name) {
                    files.push(File {
                        path: name.to_owned(),
                        text,
                    });
                }
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    #[test]
    fn what_is_built_or_is_no_text_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        for (path, bytes) in [
            ("b/x.rs", &b"x"[..]),
            ("a.md", b"y"),
            ("target/z.rs", b"z"),
            ("b/.git/config", b"z"),
            ("picture", b"\xff\xfe"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let paths: Vec<String> = read(root.path()).unwrap().into_iter().map(|file| file.path).collect();
        assert_eq!(paths, ["a.md", "b/x.rs"]);
    }

    #[test]
    fn tests_are_told_from_code() {
        assert_eq!(file("a/src/x/tests.rs", "").tests_from(), Some(1));
        assert_eq!(file("a/tests/x.rs", "").tests_from(), Some(1));
        assert_eq!(
            file("a/src/x.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n}").tests_from(),
            Some(2)
        );
        assert_eq!(file("a/src/x.rs", "#[cfg(test)]\nmod tests;").tests_from(), None);
    }
}
