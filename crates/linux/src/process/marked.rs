//! Processes by a variable of the environment with which they began.

use std::io;

use super::{Process, pids};

/// The processes whose environment has this variable, `NAME=value`, as their program was started with it, in its first 64 KiB.
/// Children inherit it, also those that have left the group and the session of whoever started them. A process may overwrite its own
/// (proc_pid_environ(5)); zombies have none. Processes that this one may not look at (of other users, or with privileges that it
/// has not) are passed over.
pub fn marked(variable: &str) -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for pid in pids()? {
        if !has(pid, variable)? {
            continue;
        }
        // Held first, looked at again then: the pid may have changed hands.
        if let Some(process) = Process::find(pid)?
            && has(pid, variable)?
            && !process.has_ended()?
        {
            found.push(process);
        }
    }
    Ok(found)
}

fn has(pid: u32, variable: &str) -> io::Result<bool> {
    match super::read(pid, "environ") {
        Ok(Some(environment)) => Ok(environment
            .split(|byte| *byte == 0)
            .any(|one| one == variable.as_bytes())),
        Ok(None) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::command::{Surroundings, run_in};

    #[tokio::test]
    async fn who_left_the_session_is_found_by_the_mark() {
        let mark = format!("FRACAS_MARKED_TEST={}", std::process::id());
        assert!(marked(&mark).unwrap().is_empty());
        let (name, value) = mark.split_once('=').unwrap();
        let surroundings = Surroundings {
            directory: "/".into(),
            environment: vec![(name.to_owned(), value.to_owned())],
            cgroups: Vec::new(),
        };
        let argv = ["/usr/bin/setsid", "--fork", "/bin/sleep", "1000"].map(str::to_owned);
        let finished = run_in(&argv, &surroundings, Duration::from_secs(20), 100)
            .await
            .unwrap();
        assert_eq!(finished.code, Some(0));
        let left = marked(&mark).unwrap();
        for process in &left {
            process.signal(9).unwrap();
            assert!(process.wait(Duration::from_secs(20)).unwrap());
        }
        assert_eq!(left.len(), 1, "the sleeping grandchild alone");
        assert!(marked(&mark).unwrap().is_empty());
    }
}
