//! Moving apart: namespaces of our own for processes that are there to be broken.
//!
//! Everybody may make them, where the kernel allows user namespaces to everybody (user_namespaces(7)); what is made ends with the
//! last process in it.

use std::fs;
use std::io;

use rustix::net::{AddressFamily, SocketType, socket};
use rustix::thread::UnshareFlags;

use crate::error::Context;
use crate::privileges::{Capability, missing};

/// Gives this process a network namespace of its own, with loopback up, and its later children a pid namespace, of which the first
/// child is the init: when that one ends, the kernel kills all the others (pid_namespaces(7)). Without `CAP_SYS_ADMIN` it takes a
/// user namespace, too, in which the user stays who he is; for that the process must have a single thread.
///
/// Sockets made before stay where they were made.
///
/// # Errors
/// What the kernel refused. The process may then be half apart, for instance in a user namespace without an identity: end it.
pub fn move_apart() -> io::Result<()> {
    let mut flags = UnshareFlags::NEWPID | UnshareFlags::NEWNET;
    let alone = !missing(&[Capability::SysAdmin])?.is_empty();
    if alone {
        flags |= UnshareFlags::NEWUSER;
    }
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    #[expect(unsafe_code, reason = "unshare(2) can take descriptors from threads")]
    // SAFETY: only `CLONE_FILES` does that, and it is not among the flags.
    unsafe { rustix::thread::unshare_unsafe(flags) }.context(|| "cannot make namespaces".into())?;
    if alone {
        // Without the first the kernel refuses the third, see user_namespaces(7).
        for (file, text) in [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("{0} {0} 1", user.as_raw())),
            ("gid_map", format!("{0} {0} 1", group.as_raw())),
        ] {
            let path = format!("/proc/self/{file}");
            fs::write(&path, text).context(|| format!("cannot write {path}"))?;
        }
    }
    loopback_up()
}

/// Sets the loopback device of this network namespace up, see netdevice(7). A new namespace has it down.
fn loopback_up() -> io::Result<()> {
    let what = || "cannot set the loopback device up".to_owned();
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).context(what)?;
    #[expect(unsafe_code, reason = "rustix has no SIOCSIFFLAGS")]
    // SAFETY: `ifreq` is plain data for which zeros are valid; the kernel reads it during the call only, and the flags are the
    // member of the union that SIOCSIFFLAGS reads.
    let result = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
            *to = *from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        libc::ioctl(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            // Its type differs between the C libraries.
            libc::SIOCSIFFLAGS as libc::Ioctl,
            &raw const request,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error()).context(what)
    }
}
