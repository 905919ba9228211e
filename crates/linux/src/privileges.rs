//! What this process may do.

use std::fmt;
use std::io;

use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities};
use serde::{Deserialize, Serialize};

use crate::error::Context;

macro_rules! capabilities {
    ($($name:ident = $flag:ident, $text:literal, $why:literal;)*) => {
        /// A privilege of capabilities(7) that Fracas may need.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Capability {
            $(#[doc = $why] $name,)*
        }

        impl Capability {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in capabilities(7).
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What Fracas needs it for.
            pub fn purpose(self) -> &'static str {
                match self { $(Self::$name => $why,)* }
            }

            fn flag(self) -> CapabilitySet {
                match self { $(Self::$name => CapabilitySet::$flag,)* }
            }
        }
    };
}

capabilities! {
    DacOverride = DAC_OVERRIDE, "CAP_DAC_OVERRIDE", "write the files of control groups that belong to others";
    Kill = KILL, "CAP_KILL", "signal the processes of other users";
    SysPtrace = SYS_PTRACE, "CAP_SYS_PTRACE", "see the descriptors and namespaces of other users' processes";
    SysResource = SYS_RESOURCE, "CAP_SYS_RESOURCE", "change the limits of other users' processes, and be the last that the kernel's memory killer takes";
    SysAdmin = SYS_ADMIN, "CAP_SYS_ADMIN", "enter namespaces";
    IpcLock = IPC_LOCK, "CAP_IPC_LOCK", "lock the guardian's memory";
    NetAdmin = NET_ADMIN, "CAP_NET_ADMIN", "change queues, filters and links of a network namespace";
    NetRaw = NET_RAW, "CAP_NET_RAW", "send and see raw packets";
    SysTime = SYS_TIME, "CAP_SYS_TIME", "set the host's clock";
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The effective user id.
pub fn effective_uid() -> u32 {
    geteuid().as_raw()
}

/// Whether the effective user is root of this machine. Root of a user namespace is not.
pub fn is_root() -> bool {
    geteuid().is_root() && !in_user_namespace()
}

/// Whether this process is in a user namespace below the machine's own, where privileges end at the namespace: control groups,
/// other users' processes and the machine's limits are outside (user_namespaces(7)).
///
/// The machine's own maps every id to itself. A kernel without such namespaces has no map.
pub fn in_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !is_everybody(&map))
}

/// Whether a map of ids is that of the first user namespace, see `init_user_ns` in kernel/user.c.
fn is_everybody(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// The capabilities that are in effect on this machine, of those that Fracas knows. In a user namespace none are, whatever the
/// process has in there.
pub fn effective() -> io::Result<Vec<Capability>> {
    if in_user_namespace() {
        return Ok(Vec::new());
    }
    let set = capabilities(None)
        .context(|| "cannot read the capabilities of this process".into())?
        .effective;
    Ok(Capability::ALL
        .iter()
        .copied()
        .filter(|one| set.contains(one.flag()))
        .collect())
}

/// Which of these this process lacks.
pub fn missing(wanted: &[Capability]) -> io::Result<Vec<Capability>> {
    let have = effective()?;
    Ok(wanted.iter().copied().filter(|one| !have.contains(one)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_set_is_that_of_proc() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
        let bits = u64::from_str_radix(hex.trim(), 16).unwrap();
        for &one in Capability::ALL {
            let there = bits & one.flag().bits() != 0;
            assert_eq!(effective().unwrap().contains(&one), there, "{one}");
            assert_eq!(missing(&[one]).unwrap().is_empty(), there, "{one}");
        }
        assert!(missing(&[]).unwrap().is_empty());
    }

    #[test]
    fn the_map_of_the_machine_is_told_from_that_of_a_namespace() {
        assert!(is_everybody("         0          0 4294967295\n"));
        for map in [
            "0 1000 1\n",
            "0 0 65536\n",
            "0 100000 65536\n",
            "0 0 1\n1 1 4294967294\n",
            "",
        ] {
            assert!(!is_everybody(map), "{map:?}");
        }
    }

    #[test]
    fn the_user_is_that_of_proc() {
        use std::os::unix::fs::MetadataExt;
        assert_eq!(effective_uid(), std::fs::metadata("/proc/self").unwrap().uid());
        assert_eq!(is_root(), effective_uid() == 0);
    }
}
