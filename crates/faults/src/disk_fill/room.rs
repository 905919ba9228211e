//! How much of a file system may be taken.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use fracas_core::params;
use fracas_core::units::Percent;
use fracas_linux::file::{Room, room_of};
use fracas_linux::memory::Memory;
use fracas_linux::mount::{Backing, Device};

use crate::Context;
use crate::say::mib;

/// The file system below a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground {
    pub(super) room: Room,
    pub(super) device: Device,
    /// It is that of the host's root directory: without room there the machine does not even log in.
    is_root: bool,
    /// It is that of the state directory: without room there nothing could be recorded.
    is_state: bool,
    /// The machine's memory, where that is what its files take.
    memory: Option<Memory>,
}

/// Of the host's root device so much is left at least, or a tenth if that is more.
const LEAST_LEFT: u64 = 2 << 30;
/// Less than this is no fill.
const SMALLEST: u64 = 1 << 20;
/// In whole blocks of this.
const BLOCK: u64 = 4096;

/// Why not, and what to do.
type Refusal = (String, String);

impl Ground {
    /// What lies below this directory of a process.
    pub(super) fn of(directory: &OwnedFd, pid: u32, cx: &Context) -> io::Result<Self> {
        let backing = Backing::of(directory, pid)?;
        let device = backing.device.ok_or_else(|| {
            io::Error::other(format!(
                "it cannot be told on which device its file system ({}) takes room",
                backing.kind
            ))
        })?;
        let is = |path: &Path| Backing::of_path(path).map(|other| other.device == Some(device));
        Ok(Self {
            room: room_of(directory)?,
            device,
            is_root: is(Path::new("/"))?,
            is_state: is(&cx.state)?,
            memory: backing.is_memory().then(Memory::now).transpose()?,
        })
    }

    /// Whether its room is memory.
    pub(super) fn is_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// How many bytes are to be taken.
    pub(super) fn bytes(&self, params: &params::DiskFill) -> Result<u64, Refusal> {
        let room = self.room;
        let refused = |why: &str, next: &str| Err((why.to_owned(), next.to_owned()));
        if room.total == 0 {
            return refused("its file system has no room of its own", "name a directory on a disk");
        }
        if room.read_only {
            return refused("its file system is mounted for reading only", "name another directory");
        }
        if self.is_state {
            return refused(
                "it is on the device of Fracas' own state directory, which must never be full",
                "name another directory, or move the state to another device with FRACAS_STATE",
            );
        }
        if self.is_root && !params.allow_root_device {
            return refused(
                "it is on the device of the host's root directory",
                "name a directory on another device, or write `allow_root_device: true`",
            );
        }
        let bytes = asked(params, room)? / BLOCK * BLOCK;
        let (most, left) = self.most();
        if bytes > most {
            let why = format!(
                "{} is more than may be taken: {} are free, and {left}",
                mib(bytes),
                mib(room.available)
            );
            return Err((why, format!("ask for at most {}", mib(most / SMALLEST * SMALLEST))));
        }
        if bytes < SMALLEST {
            return refused(&format!("{bytes} bytes are less than 1MiB"), "ask for more");
        }
        Ok(bytes)
    }

    /// How much may be taken, and what is left to whom.
    fn most(&self) -> (u64, String) {
        let room = self.room;
        if self.is_root {
            let reserve = (room.total / 10).max(LEAST_LEFT);
            let most = room.available.saturating_sub(reserve);
            return (most, format!("{} of them are left to the host", mib(reserve)));
        }
        match self.memory {
            Some(memory) if memory.spare() < room.available => (
                memory.spare(),
                format!(
                    "they are memory, of which {} are available and {} are left to everybody else",
                    mib(memory.available),
                    mib(memory.reserve())
                ),
            ),
            _ => (room.available, "no more can be taken".to_owned()),
        }
    }
}

/// What the document asks for.
fn asked(params: &params::DiskFill, room: Room) -> Result<u64, Refusal> {
    match (params.size, params.percent) {
        (Some(size), None) => Ok(size.0),
        (None, Some(percent)) if percent.0 > 0.0 && percent <= Percent(100.0) => {
            // As df(1) counts: what is kept for root alone is neither used nor free.
            let used = room.total.saturating_sub(room.free);
            let all = used.saturating_add(room.available);
            let wanted = (all as f64 * percent.fraction()) as u64;
            if wanted <= used {
                let why = format!("it is used to {:.1}% already", room.used_percent());
                return Err((why, format!("ask for more than that, not {percent}")));
            }
            Ok(wanted - used)
        }
        (None, Some(percent)) => Err((
            format!("{percent} is not from 0% to 100%"),
            "mend the `percent`".to_owned(),
        )),
        _ => Err((
            "either a `size` or a `percent` must be given".to_owned(),
            "give one of them".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fracas_core::units::Size;

    const GIB: u64 = 1 << 30;

    fn ground() -> Ground {
        Ground {
            room: Room {
                total: 100 * GIB,
                free: 60 * GIB,
                available: 55 * GIB,
                read_only: false,
            },
            device: Device { major: 8, minor: 1 },
            is_root: false,
            is_state: false,
            memory: None,
        }
    }

    fn params(size: Option<u64>, percent: Option<f64>, allow_root_device: bool) -> params::DiskFill {
        params::DiskFill {
            path: "/data".into(),
            size: size.map(Size),
            percent: percent.map(Percent),
            allow_root_device,
        }
    }

    #[test]
    fn a_share_is_what_df_shows() {
        let of = |percent| ground().bytes(&params(None, Some(percent), false));
        // 40 of 95 are used; what is kept for root does not count.
        assert_eq!(of(50.0).unwrap(), (47.5 * GIB as f64) as u64 - 40 * GIB);
        assert_eq!(of(100.0).unwrap(), 55 * GIB);
        assert!(of(42.0).unwrap_err().0.contains("used to 42.1% already"));
        assert!(of(101.0).unwrap_err().0.contains("not from 0% to 100%"));
        assert!(of(f64::NAN).is_err() && of(0.0).is_err());
        assert_eq!(ground().bytes(&params(Some(GIB + 1), None, false)).unwrap(), GIB);
        assert!(ground().bytes(&params(None, None, false)).is_err());
        assert!(ground().bytes(&params(Some(GIB), Some(60.0), false)).is_err());
        assert!(
            ground()
                .bytes(&params(Some(4096), None, false))
                .unwrap_err()
                .0
                .contains("less than 1MiB")
        );
    }

    #[test]
    fn no_more_is_taken_than_there_is() {
        let refused = ground().bytes(&params(Some(56 * GIB), None, false)).unwrap_err();
        assert!(
            refused.0.contains("57344.0MiB is more") && refused.0.contains("56320.0MiB are free"),
            "{refused:?}"
        );
        let memory = Ground {
            memory: Some(Memory {
                total: 20 * GIB,
                available: 10 * GIB,
            }),
            ..ground()
        };
        assert!(memory.bytes(&params(Some(8 * GIB), None, false)).is_ok());
        let refused = memory.bytes(&params(Some(9 * GIB), None, false)).unwrap_err();
        assert!(refused.0.contains("10240.0MiB are available"), "{refused:?}");
    }

    #[test]
    fn the_host_and_its_state_are_spared() {
        let root = Ground {
            is_root: true,
            ..ground()
        };
        let refused = root.bytes(&params(Some(GIB), None, false)).unwrap_err();
        assert!(refused.1.contains("allow_root_device"), "{refused:?}");
        assert!(root.bytes(&params(Some(45 * GIB), None, true)).is_ok());
        let refused = root.bytes(&params(Some(46 * GIB), None, true)).unwrap_err();
        assert!(
            refused.0.contains("10240.0MiB of them are left to the host"),
            "{refused:?}"
        );
        let mut small = root;
        small.room.total = 10 * GIB;
        small.room.available = 3 * GIB;
        assert!(small.bytes(&params(Some(GIB), None, true)).is_ok());
        assert!(small.bytes(&params(Some(GIB + BLOCK), None, true)).is_err());
        let state = Ground { is_state: true, ..root };
        let refused = state.bytes(&params(Some(GIB), None, true)).unwrap_err();
        assert!(refused.1.contains("FRACAS_STATE"), "{refused:?}");
    }

    #[test]
    fn what_has_no_room_is_refused() {
        let mut empty = ground();
        empty.room.total = 0;
        assert!(
            empty
                .bytes(&params(Some(GIB), None, false))
                .unwrap_err()
                .0
                .contains("no room of its own")
        );
        let mut fixed = ground();
        fixed.room.read_only = true;
        assert!(
            fixed
                .bytes(&params(Some(GIB), None, false))
                .unwrap_err()
                .0
                .contains("reading only")
        );
    }
}
