//! Network namespaces: which one something lives in, and work within another one (network_namespaces(7)).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use fracas_core::target::ProcessIdentity;
use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::cgroup::unescape;
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

    /// The one with this number, by any process that lives in it or any mount that holds it, here or where the machine's first process is:
    /// whoever was known to live there may be gone. `None`: nobody holds it, as far as can be seen, and everybody could be looked at.
    ///
    /// # Errors
    /// Nobody was found, and somebody could not be looked at: looking at another user's process needs `CAP_SYS_PTRACE` (namespaces(7)).
    pub fn find(inode: u64) -> io::Result<Option<Self>> {
        let lives_in = |process: process::Status| -> io::Result<Option<Self>> {
            match process::namespace(process.identity.pid, "net")? {
                Some(number) if number == inode => {
                    Ok(Self::of(&process.identity)?.filter(|found| found.inode == inode))
                }
                _ => Ok(None),
            }
        };
        let by_process = process::all()?.into_iter().map(lives_in);
        let tables = [(std::process::id(), ""), (1, "/proc/1/root")];
        let by_mount = tables.into_iter().map(|(pid, root)| Self::mounted(inode, pid, root));
        first(by_process.chain(by_mount))
    }

    /// The one with this number, by a mount that a process sees whose root is there.
    fn mounted(inode: u64, pid: u32, root: &str) -> io::Result<Option<Self>> {
        let table = process::read_long(pid, "mountinfo")?.unwrap_or_default();
        let table = String::from_utf8_lossy(&table);
        let held_at = |path: String| -> io::Result<Option<Self>> {
            match Self::open(&format!("{root}{path}")) {
                // It was taken away meanwhile.
                Err(error) if is_gone(&error) => Ok(None),
                // What is mounted above it is another file.
                found => Ok(Some(found?).filter(|found| found.inode == inode)),
            }
        };
        let paths = table.lines().filter_map(|line| mounted_at(line, inode));
        first(paths.map(held_at))
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

/// The first that there is. Where there is none, the first that could not be looked at is an error: it may be that one.
fn first<T>(all: impl Iterator<Item = io::Result<Option<T>>>) -> io::Result<Option<T>> {
    let mut unseen = None;
    for one in all {
        match one {
            Ok(None) => {}
            Ok(found) => return Ok(found),
            Err(error) => unseen = unseen.or(Some(error)),
        }
    }
    unseen.map_or(Ok(None), Err)
}

/// Where a line of mountinfo says that this network namespace is mounted: its fourth word is `net:[4026532281]` (proc(5)).
fn mounted_at(line: &str, inode: u64) -> Option<String> {
    let mut words = line.split(' ').skip(3);
    let root = words.next()?.strip_prefix("net:[")?.strip_suffix(']')?;
    (root.parse() == Ok(inode)).then(|| {
        let path = unescape(words.next()?.as_bytes());
        Some(String::from_utf8_lossy(&path).into_owned())
    })?
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
        next = process::parent(next)?.unwrap_or(0);
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
        // No namespace has this number: it is the file system's own. Whoever may not look at everybody cannot say so.
        match NetNamespace::find(1) {
            Ok(found) => assert!(found.is_none()),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}"),
        }
        let line = "99 40 0:4 net:[4026532281] /run/netns/blue rw shared:5 - nsfs nsfs rw";
        assert_eq!(mounted_at(line, 4_026_532_281).as_deref(), Some("/run/netns/blue"));
        let line = "99 40 0:4 net:[7] /run/my\\040own rw shared:5 - nsfs nsfs rw";
        assert_eq!(mounted_at(line, 7).as_deref(), Some("/run/my own"));
        assert_eq!(mounted_at(line, 8), None);
        assert_eq!(mounted_at("26 1 8:1 / / rw - ext4 /dev/root rw", 0), None);
    }

    #[test]
    fn what_could_not_be_looked_at_is_not_absent() {
        let refused = || Err(io::Error::from_raw_os_error(libc::EACCES));
        let found = |all: Vec<io::Result<Option<u32>>>| first(all.into_iter());
        assert_eq!(found(vec![refused(), Ok(None), Ok(Some(7))]).unwrap(), Some(7));
        assert_eq!(found(vec![Ok(None), Ok(None)]).unwrap(), None);
        let error = found(vec![Ok(None), refused(), Ok(None)]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
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
