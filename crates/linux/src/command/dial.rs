//! Programs that are a connection: what is written goes to their standard input, what is read comes from their standard output.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context as Cx, Poll, ready};

use rustix::process::{Pid, getpid};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

use super::{Group, die_with, starter};
use crate::child;
use crate::error::Context;

/// As much of what it says on standard error as is kept, in bytes.
const KEPT: usize = 2048;

/// A program that is a connection. It and its process group are killed when this is dropped, and by the kernel when our process is.
#[derive(Debug)]
pub struct Dialed {
    name: String,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// The beginning of what it said on standard error.
    said: Vec<u8>,
    /// Whether anything came from the other side.
    heard: bool,
    // Dropped in this order: the group is killed while the child that is not yet collected keeps its number.
    _group: Group,
    _child: Child,
}

/// Starts a program by its argument vector as a connection; there is no shell. Needs a tokio runtime. One that ends before anything
/// came from the other side is an error of the first read, with what it said on standard error.
///
/// # Errors
/// An empty vector, or a program that cannot be started.
#[expect(clippy::disallowed_methods, reason = "this is the crate for child processes")]
pub fn dial(argv: &[String]) -> io::Result<Dialed> {
    use std::os::unix::process::CommandExt as _;
    let [program, arguments @ ..] = argv else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let start = || format!("cannot start {program}");
    let mut command = std::process::Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is ours to hear: what is undone may need this connection.
        .process_group(0);
    let parent = getpid();
    child::before_exec(&mut command, move || {
        die_with(parent)?;
        child::close_at_exec()
    });
    let mut child = starter::start(command).context(start)?;
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(io::Error::other("a child without its pipes")).context(start);
    };
    Ok(Dialed {
        name: program.clone(),
        stdin,
        stdout,
        stderr,
        said: Vec::new(),
        heard: false,
        _group: Group(pid),
        _child: child,
    })
}

impl Dialed {
    /// Takes what is said on standard error, so that the program never waits for somebody to hear it. Ready at its end.
    fn listen(&mut self, cx: &mut Cx<'_>) -> Poll<()> {
        loop {
            let mut chunk = [0; 512];
            let mut buffer = ReadBuf::new(&mut chunk);
            let read = ready!(Pin::new(&mut self.stderr).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
            let room = buffer.filled().len().min(KEPT - self.said.len());
            self.said.extend_from_slice(&buffer.filled()[..room]);
        }
    }
}

impl AsyncRead for Dialed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Cx<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let silent = self.listen(cx);
        ready!(Pin::new(&mut self.stdout).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.heard = true;
        }
        if self.heard {
            return Poll::Ready(Ok(()));
        }
        // It has come to its end: so will what it says.
        ready!(silent);
        let said = String::from_utf8_lossy(&self.said);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = if said.is_empty() { "it does not say why" } else { &said };
        Poll::Ready(Err(io::Error::other(format!(
            "{} ended without a connection: {said}",
            self.name
        ))))
    }
}

impl AsyncWrite for Dialed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Cx<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.stdin).poll_write(cx, bytes)) {
            // The read says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && !self.heard => Poll::Ready(Ok(bytes.len())),
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[tokio::test]
    async fn what_is_written_goes_in_and_what_is_read_comes_out() {
        let mut cat = dial(&words(&["cat"])).unwrap();
        cat.write_all(b"there and back").await.unwrap();
        let mut back = [0; 14];
        cat.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"there and back");
    }

    #[tokio::test]
    async fn a_program_that_ends_at_once_says_why() {
        let mut failing = dial(&words(&["cat", "/no/such/file"])).unwrap();
        let _written = failing.write_all(b"hello").await;
        let error = failing.read(&mut [0; 8]).await.unwrap_err().to_string();
        assert!(
            error.contains("cat ended without a connection") && error.contains("/no/such/file"),
            "{error}"
        );
        let error = dial(&words(&["/no/such/program"])).unwrap_err().to_string();
        assert!(error.contains("/no/such/program"), "{error}");
    }

    #[tokio::test]
    #[expect(clippy::used_underscore_binding, reason = "it is kept for its end alone")]
    async fn it_goes_when_it_is_dropped() {
        let sleeping = dial(&words(&["sleep", "777"])).unwrap();
        let process = crate::process::Process::find(sleeping._child.id().unwrap())
            .unwrap()
            .unwrap();
        drop(sleeping);
        tokio::time::timeout(std::time::Duration::from_secs(20), process.ended())
            .await
            .unwrap()
            .unwrap();
    }
}
