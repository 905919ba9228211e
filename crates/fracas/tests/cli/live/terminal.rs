//! `fracas proxy` on a terminal, which is made by script(1).

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use fracas_linux::process::Process;

use super::screen::Screen;
use crate::cli::Cli;
use crate::proxied::address;
use crate::support::{LIMIT, signal, soon};

/// What the key sends.
pub(super) const CTRL_C: &str = "\u{3}";
/// The terminal takes nothing until the other key is pressed.
pub(super) const CTRL_S: &str = "\u{13}";
const CTRL_Q: &str = "\u{11}";

pub(super) struct Terminal {
    child: Child,
    process: Process,
    /// Without one, script(1) ends what runs.
    keyboard: ChildStdin,
    place: PathBuf,
    pub(super) address: SocketAddr,
}

impl Terminal {
    /// Starts it with these words, after these commands of a shell. The modes of the terminal are kept from before and after. `None`: there
    /// can be no terminal.
    #[expect(clippy::disallowed_methods, reason = "a terminal is made by its own program")]
    pub(super) fn start(cli: &Cli, words: &[&str], first: &str) -> Option<Self> {
        let program = "/usr/bin/script";
        if !std::path::Path::new(program).exists() {
            fracas_lab::skip("there is no /usr/bin/script to make a terminal");
            return None;
        }
        let place = tempfile::Builder::new().tempdir_in(cli.place()).unwrap().keep();
        // The shell hears the key, too, and goes on; what it starts hears it as ever.
        let command = format!(
            "{first} trap : INT; stty -a > {at}/before; /bin/sh -c 'echo $$ > {at}/pid; exec \"$@\"' sh {} proxy --listen 127.0.0.1:0 --seed 7 {}; echo $? > {at}/code; stty -a > {at}/after",
            env!("CARGO_BIN_EXE_fracas"),
            words.join(" "),
            at = place.display(),
        );
        let mut child = Command::new(program)
            .args(["--quiet", "--flush", "--return", "--command", &command, "/dev/null"])
            .env_clear()
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .env("HOME", cli.place())
            .env("FRACAS_STATE", cli.state())
            .stdin(Stdio::piped())
            .stdout(File::create(place.join("screen")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process::find(child.id()).unwrap().unwrap();
        let keyboard = child.stdin.take().unwrap();
        let mut terminal = Self {
            child,
            process,
            keyboard,
            place,
            address: ([0; 4], 0).into(),
        };
        let mut found = None;
        terminal.until("it says where it listens", |screen| {
            found = address(&format!("{screen:?}\n"), "proxy: http://");
            found.is_some()
        });
        terminal.address = found.unwrap();
        Some(terminal)
    }

    /// Everything that came.
    pub(super) fn raw(&self) -> String {
        fs::read_to_string(self.place.join("screen")).unwrap_or_default()
    }

    pub(super) fn pictures(&self) -> Vec<Screen> {
        Screen::of(&self.raw()).1
    }

    /// Waits until the screen is so.
    #[track_caller]
    pub(super) fn until(&self, what: &str, mut is: impl FnMut(&Screen) -> bool) -> Screen {
        soon(LIMIT, what, || {
            let (screen, _) = Screen::of(&self.raw());
            let is = is(&screen);
            assert!(
                is || !self.process.has_ended().unwrap(),
                "it ended before: {what}: {screen:?}"
            );
            is.then_some(screen)
        })
    }

    pub(super) fn press(&mut self, key: &str) {
        write!(self.keyboard, "{key}").unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Ends it by the key, and waits.
    #[track_caller]
    pub(super) fn end(mut self) -> Screen {
        self.press(CTRL_C);
        self.ended()
    }

    /// Ends it by a signal; only then the terminal goes on, if it was stopped.
    #[track_caller]
    pub(super) fn ends_by(mut self, number: i32) {
        let pid = fs::read_to_string(self.place.join("pid")).unwrap();
        let proxy = Process::find(pid.trim().parse().unwrap()).unwrap().unwrap();
        signal(&proxy, number);
        assert!(proxy.wait(LIMIT).unwrap(), "it did not end: {:?}", self.raw());
        self.press(CTRL_Q);
        self.ended();
    }

    /// Waits for its end. The terminal has the modes that it had.
    #[track_caller]
    pub(super) fn ended(self) -> Screen {
        assert!(self.process.wait(LIMIT).unwrap(), "it did not end: {:?}", self.raw());
        let kept = |name: &str| fs::read_to_string(self.place.join(name)).unwrap();
        assert_eq!(kept("code"), "0\n");
        assert_eq!(kept("before"), kept("after"));
        Screen::of(&self.raw()).0
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Without its terminal the proxy ends, too.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
