//! This program as an image: itself, and the libraries that it has in memory, at the same paths.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use elf::ElfStream;
use elf::abi::PT_INTERP;
use elf::endian::AnyEndian;
use futures_util::Stream;
use tokio::sync::mpsc;

/// Where the program is in the image. Its name protects its processes from being targets.
pub(super) const PROGRAM: &str = "/fracas";

/// So many pieces of the archive may wait to be sent.
const WAITING: usize = 8;
/// The size of a piece, in bytes.
const PIECE: usize = 256 << 10;

/// An archive with the program and its libraries, made while it is read.
///
/// # Errors
/// The program, or what is in its memory, cannot be read.
pub(super) fn archive() -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>> {
    let files = files()?;
    let (pieces, mut ready) = mpsc::channel(WAITING);
    std::thread::Builder::new().name("image".to_owned()).spawn(move || {
        let mut out = io::BufWriter::with_capacity(PIECE, Pieces(pieces.clone()));
        if let Err(error) = write(&files, &mut out).and_then(|()| out.flush()) {
            // Nobody who is gone needs to know why.
            let _ = pieces.blocking_send(Err(error));
        }
    })?;
    Ok(futures_util::stream::poll_fn(move |cx| ready.poll_recv(cx)))
}

/// What is in the image, by path, and from where.
fn files() -> io::Result<BTreeMap<PathBuf, PathBuf>> {
    // It is this very program also when the file was replaced or removed meanwhile: proc_pid_exe(5).
    let itself = PathBuf::from("/proc/self/exe");
    let program = std::fs::read_link(&itself)?;
    let mut files = BTreeMap::from([(PathBuf::from(PROGRAM), itself.clone())]);
    // A program without an interpreter is linked statically: it loads nothing.
    if let Some(interpreter) = interpreter(&itself)? {
        // By the name under which the kernel looks for it, which may be a link.
        files.insert(interpreter.clone(), interpreter);
        let code = fracas_linux::process::own_code()?;
        files.extend(
            code.into_iter()
                .filter(|path| *path != program)
                .map(|path| (path.clone(), path)),
        );
    }
    Ok(files)
}

/// The program that loads the libraries of this one, if it has any: elf(5).
fn interpreter(program: &Path) -> io::Result<Option<PathBuf>> {
    let elf = ElfStream::<AnyEndian, _>::open_stream(File::open(program)?).map_err(io::Error::other)?;
    let Some(header) = elf.segments().iter().find(|header| header.p_type == PT_INTERP) else {
        return Ok(None);
    };
    let mut file = File::open(program)?;
    io::Seek::seek(&mut file, io::SeekFrom::Start(header.p_offset))?;
    let mut name = String::new();
    // PATH_MAX, see limits.h.
    file.take(header.p_filesz.min(4096)).read_to_string(&mut name)?;
    Ok(Some(PathBuf::from(name.trim_end_matches('\0'))))
}

fn write(files: &BTreeMap<PathBuf, PathBuf>, out: &mut impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    for (inside, from) in files {
        let mut file = File::open(from)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(file.metadata()?.len());
        header.set_mode(0o755);
        archive.append_data(&mut header, inside.strip_prefix("/").unwrap_or(inside), &mut file)?;
    }
    archive.finish()
}

/// Whatever is written, in pieces to whoever sends them.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn the_image_is_this_program_with_what_it_was_loaded_from() {
        let pieces: Vec<_> = archive().unwrap().collect().await;
        let whole: Vec<u8> = pieces.into_iter().flat_map(Result::unwrap).collect();
        let mut archive = tar::Archive::new(whole.as_slice());
        let mut names = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let inside = Path::new("/").join(entry.path().unwrap());
            let from = if inside == Path::new(PROGRAM) {
                PathBuf::from("/proc/self/exe")
            } else {
                inside.clone()
            };
            assert!(bytes == std::fs::read(&from).unwrap(), "{}", from.display());
            names.push(inside);
        }
        assert!(names.contains(&PathBuf::from(PROGRAM)));
        // The test is linked to the C library, the program that is shipped is not.
        let loader = interpreter(Path::new("/proc/self/exe")).unwrap().expect("it is loaded");
        assert!(names.contains(&loader), "{names:?}");
        let is_libc = |path: &PathBuf| path.ends_with("libc.so.6");
        assert!(names.iter().any(is_libc), "{names:?}");
    }
}
