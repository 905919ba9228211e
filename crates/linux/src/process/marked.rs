//! Processes by a variable of the environment with which they began.

use std::io;
use std::time::{Duration, Instant};

use super::dying::EXITING;
#[cfg(doc)]
use fracas_core::target::ProcessIdentity;

use super::{Process, pids, status};

/// How long a process may be without an environment in the middle of exec(2) before nothing can be said of it. Reading the program's
/// header is all that the kernel does in between.
const EXEC: Duration = Duration::from_secs(10);
/// How often such a process is looked at.
const PAUSE: Duration = Duration::from_millis(1);
/// A thread of the kernel: include/linux/sched.h.
const PF_KTHREAD: u64 = 0x0020_0000;

/// The processes that began no earlier than `since` (as [`ProcessIdentity::start`]) and whose environment has one of these variables,
/// each `NAME=value`, as their program was started with it, in its first 64 KiB.
///
/// Children inherit it, also those that have left the group and the session of whoever started them. A process may overwrite its own
/// (proc_pid_environ(5)); zombies have none. Processes that this one may not look at (of other users, or with privileges that it
/// has not) are passed over. One that is in the middle of exec(2) is waited for, 10 s at most: then it is an error, for nobody can
/// say whose it is.
///
/// Older processes are not asked: the kernel reads an environment under the lock of its process's memory (`access_remote_vm` in
/// mm/memory.c), and waits for whoever holds it, such as a page fault in a full control group.
pub fn marked(variables: &[String], since: u64) -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for pid in pids()? {
        if !has(pid, variables, since)? {
            continue;
        }
        // Held first, looked at again then: the pid may have changed hands.
        if let Some(process) = Process::find(pid)?
            && has(pid, variables, since)?
            && !process.has_ended()?
        {
            found.push(process);
        }
    }
    Ok(found)
}

fn has(pid: u32, variables: &[String], since: u64) -> io::Result<bool> {
    if status::stat(pid)?.is_none_or(|stat| stat.start < since) {
        return Ok(false);
    }
    let began = Instant::now();
    loop {
        match environment(pid)? {
            Seen::Environment(bytes) => {
                let mut all = bytes.split(|byte| *byte == 0);
                return Ok(all.any(|one| variables.iter().any(|variable| one == variable.as_bytes())));
            }
            Seen::None => return Ok(false),
            Seen::NotYet if began.elapsed() > EXEC => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("process {pid} has been in the middle of exec(2) for {EXEC:?}"),
                ));
            }
            Seen::NotYet => std::thread::park_timeout(PAUSE),
        }
    }
}

/// What a look at an environment finds.
enum Seen {
    /// At least one variable.
    Environment(Vec<u8>),
    /// There is none, or none to be looked at.
    None,
    /// The process is between two programs: the new memory is there, but not yet what lies in it.
    NotYet,
}

fn environment(pid: u32) -> io::Result<Seen> {
    match super::read(pid, "environ") {
        Ok(Some(bytes)) if bytes.is_empty() => {}
        Ok(Some(bytes)) => return Ok(Seen::Environment(bytes)),
        Ok(None) => return Ok(Seen::None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(Seen::None),
        Err(error) => return Err(error),
    }
    let Some(stat) = status::stat(pid)? else {
        return Ok(Seen::None);
    };
    // fs/proc/base.c, `environ_read`: nothing is read until the end of the environment is known, which exec(2) sets as the last of the
    // new memory (fs/binfmt_elf.c, `create_elf_tables`). That may have come since the look above, too: only one whose end is its
    // beginning is empty.
    let over = matches!(stat.state, 'Z' | 'X') || stat.flags & (PF_KTHREAD | EXITING) != 0;
    Ok(if over || stat.has_empty_environment {
        Seen::None
    } else {
        Seen::NotYet
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Runs a program that has only this variable to its end.
    #[expect(
        clippy::disallowed_methods,
        reason = "a program as others start it: nothing takes its children away"
    )]
    fn run(variable: Option<&str>, argv: &[&str]) {
        let mut command = Command::new(argv[0]);
        command.args(&argv[1..]).env_clear().stdin(Stdio::null());
        if let Some((name, value)) = variable.and_then(|variable| variable.split_once('=')) {
            command.env(name, value);
        }
        assert!(command.status().unwrap().success());
    }

    #[test]
    fn who_left_the_session_is_found_by_the_mark_also_in_the_middle_of_exec() {
        let mark = format!("FRACAS_MARKED_TEST={}", std::process::id());
        let marks = ["FRACAS_MARKED_TEST=other".to_owned(), mark.clone()];
        let since = super::super::identity(std::process::id()).unwrap().unwrap().start;
        assert!(marked(&marks, since).unwrap().is_empty());
        // The grandchild may be anywhere on its way from fork(2) by setsid(2) through exec(2).
        run(Some(&mark), &["/usr/bin/setsid", "--fork", "/bin/sleep", "1000"]);
        let left = marked(&marks, since).unwrap();
        let later = left.first().map_or(0, |process| process.identity().start + 1);
        let too_old = marked(&marks, later).unwrap().len();
        for process in &left {
            process.signal(9).unwrap();
            assert!(process.wait(Duration::from_secs(20)).unwrap());
        }
        assert_eq!(left.len(), 1, "the sleeping grandchild alone");
        assert_eq!(too_old, 0, "who began earlier is not asked");
        assert!(marked(&marks, since).unwrap().is_empty());
    }

    #[test]
    fn who_has_no_environment_is_not_waited_for() {
        let length = format!("86400.{}", std::process::id());
        run(None, &["/usr/bin/setsid", "--fork", "/bin/sleep", &length]);
        let command = format!("/bin/sleep {length}");
        let sleeper = loop {
            let all = super::super::all().unwrap();
            if let Some(one) = all.into_iter().find(|one| one.command == command) {
                break one.identity.pid;
            }
        };
        let seen = environment(sleeper).unwrap();
        Process::find(sleeper).unwrap().unwrap().signal(9).unwrap();
        assert!(matches!(seen, Seen::None));
    }
}
