//! The pages of the vDSO: those of the kernel, and those that a process has.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use elf::ElfBytes;
use elf::endian::LittleEndian;

use super::code::{Code, LONGEST_NAME};
use super::{Clock, FUNCTIONS, Foreign};
use crate::error::{Context, invalid, is_gone};
use crate::process;

/// A function that tells the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    ClockGettime,
    GetTimeOfDay,
    Time,
}

/// The names by which programs find them (vdso(7)).
const NAMES: [(Function, &str); FUNCTIONS] = [
    (Function::ClockGettime, "__vdso_clock_gettime"),
    (Function::GetTimeOfDay, "__vdso_gettimeofday"),
    (Function::Time, "__vdso_time"),
];
const PAGE: usize = 4096;
/// The largest that is believed.
const LARGEST: usize = 16 * PAGE;
/// `jmp rel32`.
const JUMP: usize = 5;
/// `endbr64`: where indirect jumps may lead (Intel SDM, control-flow enforcement). It stays where it is.
const ENDBR: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
/// Where the vDSO is, in the auxiliary vector: include/uapi/linux/auxvec.h.
const AT_SYSINFO_EHDR: u64 = 33;

/// The kernel's image, which is the same in every process of 64 bits.
pub(super) struct Image {
    bytes: Vec<u8>,
    functions: [(Function, usize); FUNCTIONS],
    room: usize,
}

/// The pages of one process.
pub(super) struct Pages {
    pid: u32,
    base: u64,
    /// Empty: there is no vDSO.
    bytes: Vec<u8>,
    memory: File,
}

impl Image {
    /// The one of this process, which nothing has changed. An error where it has no room or no such functions.
    pub(super) fn own() -> io::Result<&'static Self> {
        static OWN: OnceLock<Image> = OnceLock::new();
        if let Some(own) = OWN.get() {
            return Ok(own);
        }
        let length = own_length()?.ok_or_else(|| invalid("this process has no vDSO"))?;
        let pages = Pages::of(std::process::id(), length)?.ok_or_else(|| invalid("this process has no memory"))?;
        let image = Self::read(pages.bytes)?;
        Ok(OWN.get_or_init(|| image))
    }

    pub(super) fn read(bytes: Vec<u8>) -> io::Result<Self> {
        let strange = |error: elf::ParseError| invalid(format!("the vDSO of this kernel cannot be read: {error}"));
        let file = ElfBytes::<LittleEndian>::minimal_parse(&bytes).map_err(strange)?;
        let (symbols, names) = file
            .dynamic_symbol_table()
            .map_err(strange)?
            .ok_or_else(|| invalid("the vDSO of this kernel names no functions"))?;
        let find = |wanted: &str| {
            let mut all = symbols.iter();
            let symbol = all.find(|symbol| names.get(symbol.st_name as usize).is_ok_and(|name| name == wanted));
            let at = symbol.map(|symbol| symbol.st_value as usize);
            let found = at.filter(|&at| bytes.get(at..at + ENDBR.len() + JUMP).is_some());
            let at = found.ok_or_else(|| invalid(format!("the vDSO of this kernel has no {wanted}")))?;
            Ok::<_, io::Error>(if bytes[at..].starts_with(&ENDBR) {
                at + ENDBR.len()
            } else {
                at
            })
        };
        let mut functions = NAMES.map(|(function, _)| (function, 0));
        for (place, (_, name)) in functions.iter_mut().zip(NAMES) {
            place.1 = find(name)?;
            // In one piece also for whoever is killed while it writes: the kernel copies page by page (`mem_rw` in fs/proc/base.c).
            if place.1 / PAGE != (place.1 + JUMP - 1) / PAGE {
                return Err(invalid(format!(
                    "{name} of this kernel's vDSO begins at the end of a page"
                )));
            }
        }
        let used = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        // Behind what is used at least sixteen zeros are left alone: the image may end with some.
        let room = (used + 31) / 16 * 16;
        if room / PAGE != (room + Code::LENGTH - 1) / PAGE || room + Code::LENGTH > bytes.len() {
            return Err(invalid(format!(
                "the vDSO of this kernel has {} bytes left in its last page, and {} are needed",
                bytes.len().saturating_sub(room),
                Code::LENGTH
            )));
        }
        Ok(Self { bytes, functions, room })
    }

    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Where our code goes.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// Where jumps go.
    pub(super) fn functions(&self) -> impl Iterator<Item = (Function, usize)> {
        self.functions.into_iter()
    }

    /// Those of them that lead to our code in these pages.
    pub(super) fn jumps(&self, pages: &Pages) -> impl Iterator<Item = (Function, usize)> {
        let leads =
            |&(function, at): &(Function, usize)| pages.bytes.get(at..at + JUMP) == Some(&self.jump(at, function));
        self.functions().filter(leads)
    }

    /// What is there by itself.
    pub(super) fn original(&self, at: usize) -> &[u8] {
        &self.bytes[at..at + JUMP]
    }

    /// What leads from there to our code.
    pub(super) fn jump(&self, at: usize, function: Function) -> [u8; JUMP] {
        let to = self.room + Code::begin(function);
        let [a, b, c, d] = (to as i32 - (at + JUMP) as i32).to_le_bytes();
        [0xe9, a, b, c, d]
    }

    /// Where no thread may be while jumps are written or taken away: in the middle of an instruction that is replaced.
    pub(super) fn beginnings(&self, pages: &Pages) -> Vec<Range<u64>> {
        self.functions().map(|(_, at)| pages.range(at + 1, JUMP - 1)).collect()
    }

    /// The first place where the pages are neither the kernel's nor ours: a function's beginning, or anything else.
    pub(super) fn foreign(&self, pages: &Pages) -> Option<Foreign> {
        let there = |at: usize| pages.bytes.get(at..at + JUMP);
        let strange = |&(function, at): &(Function, usize)| {
            there(at).is_some_and(|there| there != self.original(at) && there != self.jump(at, function))
        };
        let foreign = |place: String, at: usize, ours: &[u8]| {
            Some(Foreign {
                place,
                original: hexadecimal(self.original(at)),
                ours: hexadecimal(ours),
                found: hexadecimal(there(at)?),
            })
        };
        if let Some((function, at)) = self.functions().find(strange) {
            let name = NAMES
                .iter()
                .find(|(named, _)| *named == function)
                .map_or("", |(_, name)| name);
            return foreign(name.to_owned(), at, &self.jump(at, function));
        }
        let mut back = pages.bytes.clone();
        for (_, at) in self.jumps(pages) {
            back[at..at + JUMP].copy_from_slice(self.original(at));
        }
        if Code::read(back.get(self.room..)?).is_some() {
            back[self.room..self.room + Code::LENGTH].fill(0);
        }
        let at = back
            .iter()
            .zip(&self.bytes)
            .position(|(there, original)| there != original)?;
        // Not beyond the end.
        let at = at.min(self.bytes.len() - JUMP);
        foreign(format!("byte {at}"), at, self.original(at))
    }

    /// What the pages of a process are.
    pub(super) fn compare(&self, pages: &Pages) -> Clock {
        if pages.bytes.is_empty() {
            return Clock::None;
        }
        if pages.bytes.len() != self.bytes.len() {
            return Clock::Foreign;
        }
        let ours = Code::read(&pages.bytes[self.room..]);
        let mut back = pages.bytes.clone();
        let mut functions = 0;
        if ours.is_some() {
            back[self.room..self.room + Code::LENGTH].fill(0);
            for (_, at) in self.jumps(pages) {
                functions += 1;
                back[at..at + JUMP].copy_from_slice(self.original(at));
            }
        }
        match ours {
            _ if back != self.bytes => Clock::Foreign,
            Some((name, offset)) => Clock::Skewed {
                name,
                offset,
                functions,
            },
            None => Clock::Original,
        }
    }
}

impl Pages {
    /// Those of a process. `None`: there is no such process, or it has no memory: a zombie, a thread of the kernel.
    pub(super) fn of(pid: u32, length: usize) -> io::Result<Option<Self>> {
        let Some(auxv) = process::read(pid, "auxv")?.filter(|auxv| !auxv.is_empty()) else {
            return Ok(None);
        };
        let path = format!("/proc/{pid}/mem");
        let opened = OpenOptions::new().read(true).write(true).open(&path);
        let memory = match opened.context(|| format!("cannot open {path}")) {
            Err(error) if is_gone(&error) => return Ok(None),
            opened => opened?,
        };
        let base = base(&auxv).unwrap_or(0);
        let mut bytes = vec![0; length];
        match memory.read_exact_at(&mut bytes, base) {
            // Unmapped (EIO), or shorter.
            Err(_) if base == 0 => bytes.clear(),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EIO)) => bytes.clear(),
            // The memory is gone: it has just ended (`mem_rw` reads nothing then).
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read.context(|| format!("cannot read {path}"))?,
        }
        Ok(Some(Self {
            pid,
            base,
            bytes,
            memory,
        }))
    }

    /// Writes to them. The kernel makes a copy for this process first.
    pub(super) fn write(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.memory
            .write_all_at(bytes, self.base + at as u64)
            .context(|| format!("cannot write to the vDSO of pid {}", self.pid))
    }

    /// The addresses of a part of them.
    pub(super) fn range(&self, at: usize, length: usize) -> Range<u64> {
        let begin = self.base + at as u64;
        begin..begin + length as u64
    }

    /// Whether a name is there, as our code begins.
    pub(super) fn begins(&self, at: usize, name: &str) -> bool {
        let there = self.bytes.get(at..).unwrap_or_default();
        there.starts_with(name.as_bytes()) && (name.len() == LONGEST_NAME || there.get(name.len()) == Some(&0))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _cannot_fail = write!(text, "{byte:02x}");
        text
    })
}

/// The auxiliary vector of a process of 64 bits: pairs of numbers. That of 32 bits has none that looks so.
fn base(auxv: &[u8]) -> Option<u64> {
    let mut pairs = auxv.chunks_exact(16).map(|pair| {
        let number = |at: usize| u64::from_le_bytes(pair[at..at + 8].try_into().unwrap_or_default());
        (number(0), number(8))
    });
    pairs.find(|(key, _)| *key == AT_SYSINFO_EHDR).map(|(_, value)| value)
}

/// How long the mapping of this process is.
fn own_length() -> io::Result<Option<usize>> {
    let path = "/proc/self/maps";
    let text = std::fs::read_to_string(path).context(|| format!("cannot read {path}"))?;
    let line = text.lines().find(|line| line.ends_with("[vdso]"));
    let length = line.and_then(|line| {
        let (begin, end) = line.split(' ').next()?.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        usize::try_from(address(end)?.checked_sub(address(begin)?)?).ok()
    });
    Ok(length.filter(|length| *length <= LARGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_image_has_the_functions_and_room() {
        let image = Image::own().unwrap();
        let places: Vec<usize> = image.functions().map(|(_, at)| at).collect();
        assert!(
            places.iter().all(|&at| at > 0 && at + JUMP < image.room()),
            "{places:?}"
        );
        let mut short = image.bytes.clone();
        let end = short.len();
        short[end - Code::LENGTH] = 1;
        let why = Image::read(short).err().unwrap().to_string();
        assert!(why.contains("bytes left in its last page"), "{why}");
        let why = Image::read(vec![0; PAGE]).err().unwrap().to_string();
        assert!(why.contains("cannot be read"), "{why}");
    }
}
