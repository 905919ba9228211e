//! The children of one process, without looking at all processes of the machine.

use std::io;

use super::status::descendants;
use crate::error::is_gone;

/// The pids of the children of a process, their children and so on, in no order. Empty when there is no such process. Children whose
/// parent has ended belong to another by then and are not found.
///
/// `/proc/PID/task/TID/children` is there where the kernel has `CONFIG_PROC_CHILDREN`; a child may be missed in it when another ends
/// while it is read (proc_pid_task(5)), so whoever must know looks again. Elsewhere all of /proc is read.
pub fn offspring(pid: u32) -> io::Result<Vec<u32>> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        match children(parent)? {
            Some(children) => {
                // A pid that was reused meanwhile must not lead in a circle.
                let new: Vec<_> = children.into_iter().filter(|child| !found.contains(child)).collect();
                found.extend(new);
            }
            None => {
                let all = descendants(pid)?;
                return Ok(all.into_iter().map(|status| status.identity.pid).collect());
            }
        }
        next += 1;
    }
    found.remove(0);
    Ok(found)
}

/// The children that the threads of a process started. `None`: this kernel does not list them.
fn children(pid: u32) -> io::Result<Option<Vec<u32>>> {
    let threads = match std::fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(threads) => threads,
        Err(error) if is_gone(&error) => return Ok(Some(Vec::new())),
        Err(error) => return Err(error),
    };
    let mut children = Vec::new();
    for thread in threads {
        let thread = match thread {
            Ok(thread) => thread.file_name(),
            Err(error) if is_gone(&error) => break,
            Err(error) => return Err(error),
        };
        let name = format!("task/{}/children", thread.display());
        let Some(list) = super::read(pid, &name)? else {
            // The thread has ended, or the file is in no thread at all.
            let listed = std::fs::exists("/proc/thread-self/children")?;
            if listed {
                continue;
            }
            return Ok(None);
        };
        let list = String::from_utf8_lossy(&list);
        children.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(Some(children))
}
