//! How much memory the machine has, and how much of it may still be taken.

use std::fs;
use std::io;

use crate::error::{Context, invalid};

/// The machine's memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// What programs may still take without swapping, as the kernel estimates it (`MemAvailable`, proc_meminfo(5)).
    pub available: u64,
}

/// Never left to a machine is less than this, or a tenth of its memory if that is more.
const LEAST_LEFT: u64 = 512 << 20;

impl Memory {
    /// The machine's memory now.
    pub fn now() -> io::Result<Self> {
        const PATH: &str = "/proc/meminfo";
        let text = fs::read_to_string(PATH).context(|| format!("cannot read {PATH}"))?;
        parse(&text).ok_or_else(|| invalid(format!("{PATH} does not say how much memory is available")))
    }

    /// What is left to the machine whatever is asked: a tenth, at least 512 MiB.
    pub fn reserve(self) -> u64 {
        (self.total / 10).max(LEAST_LEFT)
    }

    /// What may be taken.
    pub fn spare(self) -> u64 {
        self.available.saturating_sub(self.reserve())
    }
}

fn parse(text: &str) -> Option<Memory> {
    let kibibytes = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        number.checked_mul(1024)
    };
    Some(Memory {
        total: kibibytes("MemTotal")?,
        available: kibibytes("MemAvailable")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_it_has() {
        let memory = Memory::now().unwrap();
        assert!(memory.total >= memory.available && memory.available > 0);
        assert!(memory.spare() < memory.available);
    }

    #[test]
    fn a_tenth_and_at_least_half_a_gibibyte_is_left() {
        let text = "MemTotal:       8388608 kB\nMemFree: 1 kB\nMemAvailable:    4194304 kB\n";
        let memory = parse(text).unwrap();
        assert_eq!((memory.total, memory.available), (8 << 30, 4 << 30));
        assert_eq!(memory.reserve(), (8 << 30) / 10);
        assert_eq!(memory.spare(), (4 << 30) - (8 << 30) / 10);
        let small = Memory {
            total: 1 << 30,
            available: 256 << 20,
        };
        assert_eq!((small.reserve(), small.spare()), (512 << 20, 0));
        assert_eq!(parse("MemTotal: 1 kB\n"), None);
        assert_eq!(parse("MemTotal: 1\nMemAvailable: x kB\n"), None);
    }
}
