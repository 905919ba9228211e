//! Descriptors kept in hand.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, open};

use crate::error::Context;

/// Open descriptors of no use, to be given up when there are no others left: a revert begins with [`Spare::release`] and can then
/// open as many files as were kept, also when the process or the whole machine has none left.
#[derive(Debug, Default)]
pub struct Spare(Vec<OwnedFd>);

impl Spare {
    /// Keeps so many.
    pub fn keep(count: usize) -> io::Result<Self> {
        let one = || open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let kept = (0..count).map(|_| one()).collect::<Result<_, _>>();
        kept.map(Self)
            .context(|| format!("cannot keep {count} descriptors in hand"))
    }

    /// Gives them all up.
    pub fn release(&mut self) {
        self.0.clear();
    }
}
