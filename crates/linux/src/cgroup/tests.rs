use std::fmt::Write;
use std::fs;

use super::*;

/// A machine in a directory: its own /proc and its own hierarchies.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new(mounts: &[(&str, &str, &str)], membership: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut table = String::from("23 1 0:1 / / rw - ext4 /dev/root rw\n");
        for (point, kind, options) in mounts {
            let point = dir.path().join(point);
            fs::create_dir_all(&point).unwrap();
            writeln!(
                table,
                "31 23 0:28 / {} rw,relatime - {kind} {kind} {options}",
                point.display()
            )
            .unwrap();
        }
        fs::create_dir_all(dir.path().join("proc/self")).unwrap();
        fs::create_dir_all(dir.path().join("proc/7")).unwrap();
        fs::write(dir.path().join("proc/self/mountinfo"), table).unwrap();
        fs::write(dir.path().join("proc/7/cgroup"), membership).unwrap();
        Self { dir }
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn roots(&self) -> Roots {
        Roots {
            proc: self.dir.path().join("proc"),
        }
    }
}

fn unified() -> Machine {
    Machine::new(
        &[("cg", "cgroup2", "rw,nsdelegate")],
        "0::/system.slice/docker-1.scope\n",
    )
    .file("cg/cgroup.controllers", "cpuset cpu io memory hugetlb pids\n")
    .file(
        "cg/system.slice/docker-1.scope/cgroup.controllers",
        "cpu io memory pids\n",
    )
    .file(
        "cg/system.slice/docker-1.scope/cgroup.events",
        "populated 1\nfrozen 0\n",
    )
    .file("cg/system.slice/docker-1.scope/memory.max", "max\n")
    .file(
        "cg/system.slice/docker-1.scope/cpu.stat",
        "usage_usec 1500000\nuser_usec 1\nsystem_usec 2\n",
    )
    .file("cg/system.slice/docker-1.scope/cgroup.procs", "9\n7\n0\n9\n")
}

#[test]
fn version_2_is_one_group_for_all_controllers() {
    let machine = unified();
    let group = machine.roots().of(7, Controller::Memory).unwrap().expect("there");
    assert_eq!((group.version(), group.controller()), (Version::V2, Controller::Memory));
    assert_eq!(group.path(), machine.dir.path().join("cg/system.slice/docker-1.scope"));
    assert_eq!(group.read("memory.max").unwrap(), "max");
    group.write("memory.max", "4096").unwrap();
    assert_eq!(group.cpu_usage().unwrap(), Duration::from_millis(1500));
    assert_eq!(group.processes().unwrap(), [7, 9]);
    assert!(!group.is_root().unwrap());
    assert!(
        machine
            .roots()
            .root(Controller::Blkio)
            .unwrap()
            .unwrap()
            .is_root()
            .unwrap()
    );
    // Listed nowhere, and there.
    assert!(machine.roots().of(7, Controller::Freezer).unwrap().is_some());
    assert!(machine.roots().of(7, Controller::CpuAcct).unwrap().is_some());
    // The root has it, the group was not given it.
    assert!(machine.roots().of(7, Controller::Cpuset).unwrap().is_none());
    assert!(
        machine.roots().of(8, Controller::Memory).unwrap().is_none(),
        "nobody has pid 8"
    );
}

#[test]
fn a_hybrid_machine_has_each_controller_where_it_is() {
    let machine = Machine::new(
        &[("cpu", "cgroup", "rw,cpu,cpuacct"), ("unified", "cgroup2", "rw")],
        "4:cpu,cpuacct:/a\n1:name=systemd:/b\n0::/c\n",
    )
    .file("unified/cgroup.controllers", "memory\n")
    .file("unified/c/cgroup.controllers", "memory\n")
    .file("cpu/a/cpuacct.usage", "250000000\n");
    let cpu = machine.roots().of(7, Controller::CpuAcct).unwrap().expect("there");
    assert_eq!(
        (cpu.version(), cpu.path()),
        (Version::V1, machine.dir.path().join("cpu/a").as_path())
    );
    assert_eq!(cpu.cpu_usage().unwrap(), Duration::from_millis(250));
    let memory = machine.roots().of(7, Controller::Memory).unwrap().expect("there");
    assert_eq!(
        (memory.version(), memory.path()),
        (Version::V2, machine.dir.path().join("unified/c").as_path())
    );
    let layout = machine.roots().layout().unwrap();
    assert!(layout.is_hybrid());
    assert_eq!(layout.of(Controller::Cpu).map(|entry| entry.version), Some(Version::V1));
    assert_eq!(
        layout.missing,
        [Controller::Cpuset, Controller::Pids, Controller::Blkio]
    );
}

#[test]
fn a_path_outside_of_our_namespace_is_an_error_and_not_an_absence() {
    let machine = Machine::new(&[("cg", "cgroup2", "rw")], "0::/../other\n");
    let error = machine.roots().of(7, Controller::Memory).unwrap_err();
    assert!(error.to_string().contains("outside"), "{error}");
}

#[test]
fn another_group_under_the_same_path_is_not_the_one() {
    let machine = unified();
    let group = machine.roots().of(7, Controller::Memory).unwrap().unwrap();
    let id = group.identity().clone();
    assert!(machine.roots().open(&id, Controller::Memory).unwrap().is_some());
    let mut other = id.clone();
    other.inode += 1;
    assert!(machine.roots().open(&other, Controller::Memory).unwrap().is_none());
    let mut gone = id;
    gone.path.push_str("-gone");
    assert!(machine.roots().open(&gone, Controller::Memory).unwrap().is_none());
}

#[test]
fn a_group_of_another_boot_is_gone_whoever_has_its_path_and_inode() {
    let machine = unified();
    let id = machine
        .roots()
        .of(7, Controller::Memory)
        .unwrap()
        .unwrap()
        .identity()
        .clone();
    let before = CgroupIdentity {
        boot: "00000000-0000-0000-0000-000000000000".into(),
        ..id.clone()
    };
    assert!(machine.roots().open(&before, Controller::Memory).unwrap().is_none());
    // Also where the hierarchy is not mounted any more, which within one boot is an error.
    let nowhere = CgroupIdentity {
        path: machine.dir.path().join("nowhere").display().to_string(),
        ..before
    };
    assert!(machine.roots().open(&nowhere, Controller::Memory).unwrap().is_none());
    // Records that are older than this key have none.
    let old = CgroupIdentity {
        boot: String::new(),
        ..id
    };
    assert!(machine.roots().open(&old, Controller::Memory).unwrap().is_some());
}

#[test]
fn a_group_whose_hierarchy_is_not_seen_from_here_is_an_error_and_not_an_absence() {
    let machine = unified();
    let mut id = machine
        .roots()
        .of(7, Controller::Memory)
        .unwrap()
        .unwrap()
        .identity()
        .clone();
    id.path = machine.dir.path().join("nowhere").display().to_string();
    let error = machine.roots().open(&id, Controller::Memory).unwrap_err();
    assert!(error.to_string().contains("no hierarchy"), "{error}");
}

#[test]
fn names_that_leave_the_directory_are_refused_and_files_are_not_made() {
    let machine = unified();
    let group = machine.roots().of(7, Controller::Memory).unwrap().unwrap();
    for name in ["..", ".", "", "a/b", "/etc/passwd"] {
        assert_eq!(
            group.read(name).unwrap_err().kind(),
            io::ErrorKind::InvalidInput,
            "{name}"
        );
        assert!(group.child(name).is_err() && group.remove_child(name).is_err());
    }
    assert_eq!(
        group.write("memory.none", "1").unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
}

#[test]
fn mount_tables_are_understood() {
    let mount = mounts::parse(b"35 31 0:32 /docker /mnt/a\\040b rw shared:9 - cgroup cgroup rw,memory").unwrap();
    assert_eq!(mount.point, Path::new("/mnt/a b"));
    assert!(mount.has(Controller::Memory) && !mount.has(Controller::Cpu));
    assert_eq!(mount.directory("/docker/x"), Some("/mnt/a b/x".into()));
    assert_eq!(mount.directory("/docker"), Some("/mnt/a b".into()));
    assert_eq!(mount.directory("/dockers/x"), None);
    assert_eq!(mount.directory("/docker/../x"), None);
    assert_eq!(mounts::parse(b"23 1 0:1 / / rw - ext4 /dev/root rw"), None);
    assert_eq!(mounts::parse(b"23 1 0:1 - cgroup"), None);
    assert_eq!(mounts::parse(b""), None);
}

/// A group of our own in the kernel, removed when the test is over.
struct Own {
    root: Cgroup,
    name: String,
}

impl Own {
    /// `None`, after one line that says so, where no group can be made.
    fn make(controller: Controller, name: &str) -> Option<(Self, Cgroup)> {
        let root = root(controller).unwrap();
        let able = rustix::process::geteuid().is_root() && root.is_some();
        if !able {
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                "CI must be able to make groups"
            );
            println!("skipped: no root, or no {} controller", controller.name());
            return None;
        }
        let root = root?;
        let name = format!("fracas-test-{name}-{}", std::process::id());
        hand_down(&root);
        let group = root.child(&name).unwrap();
        Some((Self { root, name }, group))
    }
}

/// Of version 2: children have only what their parent hands down (cgroup-v2.rst, "Enabling and Disabling").
fn hand_down(group: &Cgroup) {
    if let (Version::V2, Some(name)) = (group.version(), group.controller().name_v2()) {
        group.write("cgroup.subtree_control", &format!("+{name}")).unwrap();
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let removed = self.root.remove_child(&self.name);
        assert!(std::thread::panicking() || removed.is_ok(), "{removed:?}");
    }
}

#[test]
fn the_kernel_takes_what_is_written_and_the_group_is_known_again() {
    let Some((_own, group)) = Own::make(Controller::Pids, "pids") else {
        return;
    };
    assert_eq!(group.read("pids.max").unwrap(), "max");
    group.write("pids.max", "123").unwrap();
    let again = Cgroup::open(group.identity(), Controller::Pids)
        .unwrap()
        .expect("there");
    assert_eq!(again.read("pids.max").unwrap(), "123");
    let refused = group.write("pids.max", "many").unwrap_err();
    assert_eq!(crate::error::errno(&refused), Some(libc::EINVAL));
    assert!(refused.to_string().contains("\"many\""), "{refused}");
    assert_eq!(group.processes().unwrap(), Vec::<u32>::new());
    assert!(!group.is_root().unwrap());
    assert!(group.claim().unwrap().is_some());
}

#[test]
fn a_group_that_was_made_again_is_another_and_the_old_hold_never_reaches_it() {
    let Some((own, parent)) = Own::make(Controller::Pids, "again") else {
        return;
    };
    hand_down(&parent);
    let first = parent.child("x").unwrap();
    assert!(parent.remove_child("x").unwrap());
    assert!(!parent.remove_child("x").unwrap());
    let second = parent.child("x").unwrap();
    assert!(Cgroup::open(first.identity(), Controller::Pids).unwrap().is_none());
    assert!(Cgroup::open(second.identity(), Controller::Pids).unwrap().is_some());
    assert!(first.write("pids.max", "5").is_err());
    assert_eq!(second.read("pids.max").unwrap(), "max");
    assert_eq!(parent.children().unwrap(), ["x"]);
    assert!(parent.find_child("y").unwrap().is_none());
    assert!(own.root.remove_child(&own.name).is_err(), "it has a child");
    assert!(parent.remove_child("x").unwrap());
}

#[test]
fn processes_can_join_a_new_cpuset_and_are_seen_in_it() {
    let Some((_own, group)) = Own::make(Controller::Cpuset, "cpuset") else {
        return;
    };
    #[expect(clippy::disallowed_methods, reason = "this is the crate for child processes")]
    let mut sleeper = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    let joined = group.add(sleeper.id());
    let seen = group.processes();
    let found = of(sleeper.id(), Controller::Cpuset);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    joined.unwrap();
    assert_eq!(seen.unwrap(), [sleeper.id()]);
    assert_eq!(found.unwrap().expect("there").identity(), group.identity());
}

#[test]
fn the_root_knows_that_it_is_one() {
    for entry in layout().unwrap().controllers {
        let root = root(entry.controller).unwrap().expect("it was there");
        // In a container the visible root may be an inner group: then it says so.
        let inner = fs::read_to_string("/proc/1/cgroup")
            .unwrap()
            .lines()
            .all(|line| !line.ends_with(":/"));
        assert!(inner || root.is_root().unwrap(), "{}", entry.mount.display());
    }
}
