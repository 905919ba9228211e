//! Who listens on a port.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader};

use crate::error::{Context, is_gone};

/// The state of a listening socket in `/proc/net/tcp`, see `TCP_LISTEN` in the kernel's `include/net/tcp_states.h`.
const LISTEN: &str = "0A";

/// The pids of the processes that listen on this TCP port, IPv4 or IPv6, in whatever network namespace; ascending.
///
/// Processes that this user may not look into are passed over; when one of them must be the listener, that is an error.
pub fn listeners(port: u16) -> io::Result<Vec<u32>> {
    let pids = super::pids()?;
    let mut namespaces = BTreeSet::new();
    let mut sockets = BTreeSet::new();
    for &pid in &pids {
        // The tables are those of the namespace: one process of each is enough.
        let namespace = match super::namespace(pid, "net") {
            Ok(Some(namespace)) => namespace,
            Ok(None) => continue,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
            Err(error) => return Err(error),
        };
        if namespaces.contains(&namespace) {
            continue;
        }
        let four = listening(pid, "net/tcp", port, &mut sockets)?;
        let six = listening(pid, "net/tcp6", port, &mut sockets)?;
        // A kernel without IPv6 has no tcp6; a process that has just ended has neither, and the next one of the namespace is asked.
        if four || six {
            namespaces.insert(namespace);
        }
    }
    if sockets.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let mut closed = None;
    for pid in pids {
        match holds(pid, &sockets) {
            Ok(true) => found.push(pid),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => closed = Some(error),
            Err(error) => return Err(error),
        }
    }
    match closed {
        Some(error) if found.is_empty() => Err(error).context(|| format!("cannot tell who listens on port {port}")),
        _ => Ok(found),
    }
}

/// Adds the inodes of the sockets that listen on the port. `false`: there is no such table.
fn listening(pid: u32, table: &str, port: u16, sockets: &mut BTreeSet<u64>) -> io::Result<bool> {
    let path = format!("/proc/{pid}/{table}");
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if is_gone(&error) => return Ok(false),
        Err(error) => return Err(error).context(|| format!("cannot read {path}")),
    };
    for line in BufReader::new(file).lines().skip(1) {
        match line {
            Ok(line) => sockets.extend(listening_inode(&line, port)),
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) => return Err(error).context(|| format!("cannot read {path}")),
        }
    }
    Ok(true)
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode`, see `proc_net_tcp(5)`.
pub(super) fn listening_inode(line: &str, port: u16) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let (_, hex) = local.rsplit_once(':')?;
    if state != LISTEN || u16::from_str_radix(hex, 16).ok()? != port {
        return None;
    }
    fields.nth(5)?.parse().ok()
}

/// Whether a process has one of these sockets open.
fn holds(pid: u32, sockets: &BTreeSet<u64>) -> io::Result<bool> {
    let path = format!("/proc/{pid}/fd");
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(false),
        Err(error) => return Err(error).context(|| format!("cannot list {path}")),
    };
    for entry in entries {
        // A descriptor that was closed meanwhile, or a process that ended, holds nothing.
        let link = match entry.and_then(|entry| fs::read_link(entry.path())) {
            Ok(link) => link,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error).context(|| format!("cannot read the links in {path}")),
        };
        let inode = link
            .to_str()
            .and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        if inode.is_some_and(|inode| sockets.contains(&inode)) {
            return Ok(true);
        }
    }
    Ok(false)
}
