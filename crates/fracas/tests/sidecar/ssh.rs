//! An engine behind ssh: a server of this test, on loopback, with keys made for it. It lets the user of the test in.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{Bench, Blow, LIMIT, Run, Target, soon};
use crate::{Far, over, socket};

/// Where Debian's server is; it starts itself again and wants its whole path.
const SERVER: &str = "/usr/sbin/sshd";

/// A server of ssh, killed when dropped.
struct Server {
    child: Child,
    place: PathBuf,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the peer of the program under test")]
fn run(program: &str, words: &[&str]) {
    let status = Command::new(program).args(words).stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "{program}");
}

impl Server {
    /// `None`, with a printed skip, where there is no server.
    #[expect(clippy::disallowed_methods, reason = "the peer of the program under test")]
    fn start(place: &Path) -> Option<Self> {
        if !Path::new(SERVER).exists() {
            fracas_lab::skip("no sshd");
            return None;
        }
        std::fs::create_dir(place).unwrap();
        // The server separates its privileges there; Debian's unit makes it.
        std::fs::create_dir_all("/run/sshd").unwrap();
        let path = |name: &str| place.join(name).display().to_string();
        for key in ["host", "user"] {
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]);
        }
        std::fs::copy(path("user.pub"), path("authorized")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\nPidFile none\nMaxStartups 100\nSetEnv PATH={}\n",
            path("host"),
            path("authorized"),
            std::env::var("PATH").unwrap(),
        );
        std::fs::write(path("config"), config).unwrap();
        let child = Command::new(SERVER)
            .args(["-D", "-f", &path("config"), "-E", &path("log")])
            .spawn()
            .unwrap();
        soon(LIMIT, "the server listens", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        let server = Self {
            child,
            place: place.to_owned(),
            port,
        };
        server.know(&std::fs::read_to_string(path("host.pub")).unwrap());
        server.client();
        Some(server)
    }

    /// From now on the client knows the server by this key.
    fn know(&self, key: &str) {
        let line = format!("[127.0.0.1]:{} {key}", self.port);
        std::fs::write(self.place.join("known"), line).unwrap();
    }

    /// What stands in the way of the real client, `bin/ssh`, and gives it a configuration of its own: the client looks for the user's in
    /// the directory that the password file names, which is not this test's.
    fn client(&self) {
        let bin = self.place.join("bin");
        std::fs::create_dir(&bin).unwrap();
        let config = self.place.join("client");
        std::fs::write(
            &config,
            format!(
                "IdentityFile {0}/user\nIdentitiesOnly yes\nUserKnownHostsFile {0}/known\nGlobalKnownHostsFile none\n",
                self.place.display()
            ),
        )
        .unwrap();
        let script = format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", config.display());
        std::fs::write(bin.join("ssh"), script).unwrap();
        std::fs::set_permissions(bin.join("ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn variables(&self, socket: &str) -> [(&'static str, String); 2] {
        let path = format!(
            "{}:{}",
            self.place.join("bin").display(),
            std::env::var("PATH").unwrap()
        );
        [
            ("DOCKER_HOST", format!("ssh://root@127.0.0.1:{}{socket}", self.port)),
            ("PATH", path),
        ]
    }
}

#[test]
fn an_engine_is_reached_by_ssh_and_a_killed_runner_leaves_nothing_there() {
    let Some(target) = Target::container("no") else { return };
    let bench = Bench::new();
    let Some(server) = Server::start(&bench.place().join("ssh")) else {
        return;
    };
    let before = target.look();
    let recover = |socket: &str| {
        let variables = server.variables(socket);
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Run::with(&bench, &["recover"], &variables).end()
    };
    // Where nobody listens, the engine's client there says so.
    let nobody = recover("/nowhere.sock");
    assert_eq!(nobody.code, 2, "{nobody:?}");
    assert!(
        nobody.err.contains("X001") && nobody.err.contains("/nowhere.sock"),
        "{nobody:?}"
    );

    // On another machine as far as anybody can tell: a sidecar without being asked.
    let variables = server.variables(&socket());
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let far = Far::start(&bench, &target, &variables);
    Blow::Kill.strike(&far.run, &far.guardian, None);
    over(&target, &before);
    drop(far);

    server.know(&std::fs::read_to_string(server.place.join("user.pub")).unwrap());
    let unknown = recover(&socket());
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(
        unknown.err.contains("X001") && unknown.err.contains("Host key verification failed"),
        "{unknown:?}"
    );
    drop(server);
    bench.finish();
}
