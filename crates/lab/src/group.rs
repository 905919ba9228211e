//! Control groups for tests.

use std::io;
use std::time::Duration;

use fracas_linux::cgroup::{self, Cgroup, Controller, Version};
use fracas_linux::process::Process;

use crate::{TestProcess, eventually, unique};

/// A control group of the test in some controllers, with whatever interface the machine has. Its processes are killed and it is
/// removed when dropped.
#[derive(Debug)]
pub struct TestGroup {
    name: String,
    groups: Vec<(Cgroup, Cgroup)>,
}

impl TestGroup {
    /// A group in these controllers. `None` where the machine lacks one of them or does not let us make a group.
    pub fn new(controllers: &[Controller]) -> io::Result<Option<Self>> {
        let mut made = Self {
            name: unique("fracas-lab"),
            groups: Vec::new(),
        };
        for &controller in controllers {
            let Some(root) = cgroup::root(controller)? else {
                return Ok(None);
            };
            if let (Version::V2, Some(name)) = (root.version(), controller.name_v2()) {
                // Children have only what their parent hands down, see cgroup-v2.rst, "Enabling and Disabling". It stays on:
                // others may rely on it by the time that the test ends.
                root.write("cgroup.subtree_control", &format!("+{name}"))?;
            }
            match root.child(&made.name) {
                Ok(group) => made.groups.push((root, group)),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                    ) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(made))
    }

    /// Its name, which is its path below every mount point, without the slash.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The group in one of its controllers.
    pub fn group(&self, controller: Controller) -> Option<&Cgroup> {
        self.groups
            .iter()
            .map(|(_, group)| group)
            .find(|group| group.controller() == controller)
    }

    /// Puts a process in it, in every controller.
    pub fn add(&self, process: &TestProcess) -> io::Result<()> {
        for (_, group) in &self.groups {
            group.add(process.pid())?;
        }
        Ok(())
    }
}

impl Drop for TestGroup {
    fn drop(&mut self) {
        for (root, group) in &self.groups {
            for pid in group.processes().unwrap_or_default() {
                if let Ok(Some(process)) = Process::find(pid) {
                    let _gone = process.signal(9);
                }
            }
            // A killed process leaves its group when it is gone, which takes a moment; in version 2 several controllers share a
            // group, and the first removed it.
            if std::thread::panicking() {
                let _left_over = root.remove_child(&self.name);
                continue;
            }
            eventually(Duration::from_secs(5), "the control group of a test is empty", || {
                root.remove_child(&self.name).is_ok()
            });
        }
    }
}
