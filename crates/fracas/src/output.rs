//! What is for people goes to standard error, what is asked for goes to standard output.

use std::io::Write;

use fracas_core::problem::{Problem, Result, codes};

/// Writes what was asked for. A reader that has gone away is no error of ours.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Problem::new(&codes::STATE_WRITE, "cannot write to standard output").because(&error))
        }
        _ => Ok(()),
    }
}

/// Tells a person. Where standard error is closed, nobody listens.
pub(crate) fn tell(text: &str) {
    let mut to = std::io::stderr().lock();
    let _ = writeln!(to, "{text}");
}
