use super::*;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

#[test]
fn the_engine_is_kept_away_from_the_systems_own() {
    let engine = Engine {
        folder: PathBuf::from("/tmp/fracas-engine-0"),
        child: None,
    };
    let command = engine.command(
        Path::new("/usr/sbin/dockerd"),
        Path::new("/tmp/fracas-engine-0/daemon.json"),
    );
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    let line = arguments.join(" ");
    for part in [
        "--host unix:///tmp/fracas-engine-0/docker.sock",
        "--data-root /tmp/fracas-engine-0/data",
        "--exec-root /tmp/fracas-engine-0/exec",
        "--pidfile /tmp/fracas-engine-0/docker.pid",
        "--config-file /tmp/fracas-engine-0/daemon.json",
        "--containerd-namespace fracas-engine-0",
        "--iptables=false",
        "--ip-forward=false",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

/// A socket that answers one connection with this text.
fn answer(text: &'static str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 64];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
    });
    (folder, socket)
}

#[test]
fn only_a_good_answer_counts() {
    let (_folder, socket) = answer("HTTP/1.0 200 OK\r\n\r\nOK");
    assert!(answers(&socket));
    let (_folder, socket) = answer("HTTP/1.1 500 Internal Server Error\r\n\r\n");
    assert!(!answers(&socket));
    let (_folder, socket) = answer("200");
    assert!(!answers(&socket));
    assert!(!answers(Path::new("/nonexistent/socket")));
}

#[test]
fn folders_of_the_dead_are_found_and_nothing_else() {
    let parent = tempfile::tempdir().unwrap();
    let make = |name: &str, engine: &str| {
        let folder = parent.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("docker.pid"), engine).unwrap();
        folder
    };
    let dead = make("fracas-engine-11", "12\n");
    make("fracas-engine-21", "1");
    make("fracas-engine-1", "12");
    make("fracas-engine-x", "12");
    make("fracas-engine-", "12");
    make("other-11", "12");
    symlink(&dead, parent.path().join("fracas-engine-31")).unwrap();
    assert_eq!(stale(parent.path(), |pid| pid == "1"), [dead]);
}

#[test]
fn a_removed_folder_may_be_removed_again() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("e");
    fs::create_dir_all(folder.join("data")).unwrap();
    remove(&folder).unwrap();
    assert!(!folder.exists());
    remove(&folder).unwrap();
}

/// The real thing: starts, answers, stops, leaves nothing.
#[test]
fn an_engine_starts_answers_and_leaves_nothing() {
    if !rustix::process::geteuid().is_root() || children::find("dockerd").is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI needs root and dockerd");
        eprintln!("skipped: needs root and dockerd");
        return;
    }
    let engine = Engine::start().unwrap();
    let (folder, socket) = (engine.folder.clone(), engine.socket());
    assert!(answers(&socket));
    engine.stop().unwrap();
    assert!(!folder.exists());
    assert!(!answers(&socket));
    assert!(mounts::under(&folder).unwrap().is_empty());
}
