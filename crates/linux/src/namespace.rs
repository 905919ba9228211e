//! Network namespaces: which one something lives in, and work within another one (network_namespaces(7)).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use fracas_core::target::ProcessIdentity;
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::error::{Context, is_gone};
use crate::process::{self, Process};

/// A network namespace, held open: it stays while this is there, whoever else leaves it.
#[derive(Debug)]
pub struct NetNamespace {
    file: OwnedFd,
    inode: u64,
}

/// The file of the calling *thread*: each has namespaces of its own.
const OWN: &str = "/proc/thread-self/ns/net";
/// The guardian's memory is locked, also that of its threads.
const STACK: usize = 256 << 10;

impl NetNamespace {
    /// That of this thread.
    pub fn ours() -> io::Result<Self> {
        Self::open(OWN)
    }

    /// That of a process. `None`: it has ended.
    ///
    /// # Errors
    /// What the kernel refused: looking at another user's process needs `CAP_SYS_PTRACE` (namespaces(7)).
    pub fn of(id: &ProcessIdentity) -> io::Result<Option<Self>> {
        let Some(process) = Process::open(id)? else {
            return Ok(None);
        };
        let found = match Self::open(&format!("/proc/{}/ns/net", id.pid)) {
            Err(error) if is_gone(&error) => return Ok(None),
            found => found?,
        };
        // If it has not ended by now, the pid was its own while the file was opened.
        Ok((!process.has_ended()?).then_some(found))
    }

    /// The one with this number, by any process that lives in it or any mount that holds it: whoever was known to live there may be gone.
    /// `None`: nobody that can be seen holds it.
    pub fn find(inode: u64) -> io::Result<Option<Self>> {
        for process in process::all()? {
            // Who may not be looked at, or has just ended, is asked no more.
            if let Ok(Some(number)) = process::namespace(process.identity.pid, "net")
                && number == inode
                && let Some(found) = Self::of(&process.identity)?
                && found.inode == inode
            {
                return Ok(Some(found));
            }
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").context(|| "cannot read mounts".into())?;
        for path in mounts.lines().filter_map(|line| mounted_at(line, inode)) {
            // What is mounted above it, or was taken away meanwhile, is another file.
            if let Ok(found) = Self::open(&path)
                && found.inode == inode
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// A new one, with nothing but a loopback device that is down. It goes when the last who holds it goes.
    pub fn make() -> io::Result<Self> {
        beside(|| {
            #[expect(unsafe_code, reason = "unshare(2) can take descriptors from threads")]
            // SAFETY: only `CLONE_FILES` does that, and it is not among the flags.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
                .context(|| "cannot make a network namespace".into())?;
            Self::ours()
        })
    }

    /// Its number: no other namespace has it while this one is there.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Does something within it, in a thread of its own, and waits for it. Sockets that are made there stay there.
    ///
    /// # Errors
    /// Entering needs `CAP_SYS_ADMIN`, here and there (setns(2)).
    pub fn within<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        beside(|| {
            move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
                .context(|| "cannot enter the network namespace".into())?;
            work()
        })
    }

    /// The one of a file that somebody has opened; entering it fails if it is another file.
    pub fn from_file(file: OwnedFd) -> io::Result<Self> {
        let inode = fstat(&file)
            .context(|| "cannot look at the file of a namespace".into())?
            .st_ino;
        Ok(Self { file, inode })
    }

    fn open(path: &str) -> io::Result<Self> {
        let file =
            open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).context(|| format!("cannot open {path}"))?;
        Self::from_file(file)
    }
}

/// Where a line of mountinfo says that this network namespace is mounted: its fourth word is `net:[4026532281]` (proc(5)).
fn mounted_at(line: &str, inode: u64) -> Option<String> {
    let mut words = line.split(' ').skip(3);
    let root = words.next()?.strip_prefix("net:[")?.strip_suffix(']')?;
    (root.parse() == Ok(inode)).then(|| words.next().map(str::to_owned))?
}

/// Whether this process, or one of its ancestors, lives in the namespace: a session that came through it would end with its links.
pub fn is_around_us(namespace: &NetNamespace) -> io::Result<bool> {
    let mut seen = std::collections::BTreeSet::new();
    let mut next = std::process::id();
    // A pid that comes again would be a loop made of reused pids.
    while next != 0 && seen.insert(next) {
        match process::namespace(next, "net") {
            Ok(found) if found == Some(namespace.inode) => return Ok(true),
            // Who may not be seen has more rights than we, and no part in a namespace that we may enter.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
        next = process::status(next)?.map_or(0, |status| status.parent);
    }
    Ok(false)
}

impl AsFd for NetNamespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Does something in a thread that ends with it: whatever the thread became stays its own.
fn beside<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("fracas-netns".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .context(|| "cannot start a thread".into())?;
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that did it panicked")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privileges::{Capability, missing};

    #[test]
    fn our_own_is_that_of_proc() {
        let ours = NetNamespace::ours().unwrap();
        let link = std::fs::read_link(OWN).unwrap();
        assert_eq!(link.to_str().unwrap(), format!("net:[{}]", ours.inode()));
        let me = crate::process::identity(std::process::id()).unwrap().unwrap();
        assert_eq!(NetNamespace::of(&me).unwrap().unwrap().inode(), ours.inode());
        let never = ProcessIdentity {
            start: me.start + 1,
            ..me
        };
        assert!(NetNamespace::of(&never).unwrap().is_none());
    }

    #[test]
    fn one_is_found_by_whoever_lives_in_it_and_by_its_mount() {
        let ours = NetNamespace::ours().unwrap();
        assert_eq!(NetNamespace::find(ours.inode()).unwrap().unwrap().inode(), ours.inode());
        // No namespace has this number: it is the file system's own.
        assert!(NetNamespace::find(1).unwrap().is_none());
        let line = "99 40 0:4 net:[4026532281] /run/netns/blue rw shared:5 - nsfs nsfs rw";
        assert_eq!(mounted_at(line, 4_026_532_281).as_deref(), Some("/run/netns/blue"));
        assert_eq!(mounted_at(line, 7), None);
        assert_eq!(mounted_at("26 1 8:1 / / rw - ext4 /dev/root rw", 0), None);
    }

    #[test]
    fn work_within_another_leaves_this_thread_where_it_is() {
        if !missing(&[Capability::SysAdmin]).unwrap().is_empty() {
            return;
        }
        let (ours, other) = (NetNamespace::ours().unwrap(), NetNamespace::make().unwrap());
        assert_ne!(ours.inode(), other.inode());
        let there = other.within(|| Ok(NetNamespace::ours()?.inode())).unwrap();
        assert_eq!(there, other.inode());
        assert!(!is_around_us(&other).unwrap() && is_around_us(&ours).unwrap());
        assert_eq!(NetNamespace::ours().unwrap().inode(), ours.inode());
        let error = other.within(|| -> io::Result<()> { panic!("at once") }).unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
    }
}
