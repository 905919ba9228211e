//! What one node keeps: the latest value of each key, in memory and in a file to which every write is added.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use crate::version::Version;

#[derive(Debug)]
pub(crate) struct Store {
    values: HashMap<String, (Version, String)>,
    file: File,
    /// How much of the file is whole lines.
    whole: u64,
}

impl Store {
    /// Reads what is there. A last line without an end was never acknowledged: it is cut off.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut values = HashMap::new();
        let (mut whole, mut line) = (0, String::new());
        let mut reader = BufReader::new(&file);
        while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
            let Some((key, version, value)) = entry(line.trim_end()) else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} is no file of this program, at byte {whole}", path.display()),
                ));
            };
            values.insert(key, (version, value));
            whole += line.len() as u64;
            line.clear();
        }
        file.set_len(whole)?;
        file.seek(SeekFrom::Start(whole))?;
        Ok(Self { values, file, whole })
    }

    /// The latest value of a key.
    pub(crate) fn read(&self, key: &str) -> Option<&(Version, String)> {
        self.values.get(key)
    }

    /// Keeps a value, unless there is a later one. It is on the disk when this returns.
    pub(crate) fn write(&mut self, key: &str, version: Version, value: &str) -> io::Result<()> {
        if self.values.get(key).is_some_and(|(there, _)| *there >= version) {
            return Ok(());
        }
        let line = format!("{key} {version} {value}\n");
        if let Err(error) = self
            .file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data())
        {
            // A part of a line (the disk is full) would spoil the next one.
            self.file.set_len(self.whole)?;
            self.file.seek(SeekFrom::Start(self.whole))?;
            return Err(error);
        }
        self.whole += line.len() as u64;
        self.values.insert(key.to_owned(), (version, value.to_owned()));
        Ok(())
    }
}

fn entry(line: &str) -> Option<(String, Version, String)> {
    let mut words = line.splitn(3, ' ');
    let (key, version, value) = (words.next()?, words.next()?, words.next()?);
    Some((key.to_owned(), version.parse().ok()?, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Versions;

    #[test]
    fn the_latest_stays_also_over_a_crash_in_the_middle_of_a_write() {
        let folder = std::env::temp_dir().join(format!("key-value-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("values");
        let versions = Versions::of(1);
        let first = versions.after(Version::default());
        let second = versions.after(first);
        let mut store = Store::open(&path).unwrap();
        store.write("a", second, "new").unwrap();
        store.write("a", first, "old").unwrap();
        store.write("b", first, "other").unwrap();
        drop(store);
        // The machine stopped while a third write was on its way.
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"a 9.1.1.1 tor")
            .unwrap();
        let mut store = Store::open(&path).unwrap();
        assert_eq!(store.read("a"), Some(&(second, "new".to_owned())));
        store.write("a", versions.after(second), "newest").unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.read("a").unwrap().1, "newest");
        assert_eq!(store.read("b").unwrap().1, "other");
        assert_eq!(store.read("c"), None);
        std::fs::write(&path, "something else\n").unwrap();
        assert!(Store::open(&path).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
