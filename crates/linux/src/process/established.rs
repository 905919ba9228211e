//! Which connections are open, by the kernel's own tables.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader};

use crate::error::{Context, is_gone};

/// The state of an open connection in `/proc/net/tcp`, see `TCP_ESTABLISHED` in the kernel's `include/net/tcp_states.h`.
const ESTABLISHED: &str = "01";

/// The numbers of the sockets of all open TCP connections in the network namespace of a process or thread, whose directory below /proc
/// this is. `None`: it has ended.
pub fn established(directory: &str) -> io::Result<Option<BTreeSet<u64>>> {
    let mut numbers = BTreeSet::new();
    for (table, may_lack) in [("net/tcp", false), ("net/tcp6", true)] {
        let path = format!("{directory}/{table}");
        let what = || format!("cannot read {path}");
        let file = match fs::File::open(&path) {
            // A kernel without IPv6 has none; otherwise the process has ended.
            Err(error) if is_gone(&error) && may_lack => continue,
            Err(error) if is_gone(&error) => return Ok(None),
            file => file.context(what)?,
        };
        for line in BufReader::new(file).lines().skip(1) {
            match line {
                Ok(line) => numbers.extend(number(&line)),
                Err(error) if is_gone(&error) => return Ok(None),
                Err(error) => return Err(error).context(what),
            }
        }
    }
    Ok(Some(numbers))
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode`, see `proc_net_tcp(5)`.
fn number(line: &str) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    let state = fields.nth(3)?;
    (state == ESTABLISHED).then_some(())?;
    fields.nth(5)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_open_connections_are_taken() {
        let line =
            "   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 02:000004D2 00000000  1000        0 54321 2 0";
        assert_eq!(number(line), Some(54321));
        assert_eq!(number(&line.replace(" 01 ", " 0A ")), None);
        assert_eq!(number("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn who_has_ended_has_none() {
        assert_eq!(established("/proc/4294967295").unwrap(), None);
        assert!(established("/proc/self").unwrap().is_some());
    }
}
