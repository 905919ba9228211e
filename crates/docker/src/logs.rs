//! The last lines of a container's logs.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use fracas_core::problem::Result;
use futures_util::StreamExt;

use crate::engine::{Engine, checked};

/// The longest line that is kept; the rest of a longer one is dropped.
const LINE: usize = 64 << 10;
/// All lines of one call together.
const TOTAL: usize = 16 << 20;

impl Engine {
    /// The last `max_lines` lines of a container's standard output and error, oldest first, written since `since` (seconds since
    /// 1970; the engine compares whole seconds). Takes at most 5 s.
    ///
    /// Lines are bounded: 64 KiB each, 16 MiB together, of which the newest are kept. Bytes that are not UTF-8 are replaced. A
    /// container that does not exist is X003.
    pub async fn logs(&self, id: &str, since: Option<i64>, max_lines: usize) -> Result<Vec<String>> {
        let doing = format!("show the logs of container {}", checked(id)?);
        let options = LogsOptions {
            stdout: true,
            stderr: true,
            // The engine reads it as an unsigned number; before 1970 there were no containers.
            since: since.map_or(0, |since| i32::try_from(since.max(0)).unwrap_or(i32::MAX)),
            tail: max_lines.to_string(),
            ..Default::default()
        };
        let stream = self.docker().logs(id, Some(options));
        let read = async move {
            let mut stream = std::pin::pin!(stream);
            let mut lines = Lines::new(max_lines);
            while let Some(output) = stream.next().await {
                lines.take(&output?);
            }
            Ok(lines.done())
        };
        self.call(&doing, read).await
    }
}

/// Lines put together from the pieces of two streams.
struct Lines {
    most: usize,
    bytes: usize,
    done: VecDeque<String>,
    /// What has no end yet: of standard error, and of everything else.
    open: [Vec<u8>; 2],
}

impl Lines {
    fn new(most: usize) -> Self {
        Self {
            most,
            bytes: 0,
            done: VecDeque::new(),
            open: [Vec::new(), Vec::new()],
        }
    }

    fn take(&mut self, output: &LogOutput) {
        let (stream, mut rest) = match output {
            LogOutput::StdErr { message } => (1, &message[..]),
            LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => {
                (0, &message[..])
            }
        };
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.extend(stream, &rest[..end]);
            self.close(stream);
            rest = &rest[end + 1..];
        }
        self.extend(stream, rest);
    }

    fn extend(&mut self, stream: usize, piece: &[u8]) {
        let open = &mut self.open[stream];
        let room = LINE.saturating_sub(open.len());
        open.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn close(&mut self, stream: usize) {
        let bytes = std::mem::take(&mut self.open[stream]);
        // A terminal ends its lines with CR LF.
        let text = String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(&bytes)).into_owned();
        self.bytes += text.len();
        self.done.push_back(text);
        while self.done.len() > self.most || self.bytes > TOTAL {
            let Some(oldest) = self.done.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    fn done(mut self) -> Vec<String> {
        for stream in [0, 1] {
            if !self.open[stream].is_empty() {
                self.close(stream);
            }
        }
        self.done.into()
    }
}

/// Takes bytes as pieces of a log. Never panics.
pub(crate) fn fuzz_lines(bytes: &[u8]) {
    let mut lines = Lines::new(100);
    for piece in bytes.chunks(7) {
        lines.take(&LogOutput::StdOut {
            message: piece.to_vec().into(),
        });
    }
    drop(lines.done());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(text: &str) -> LogOutput {
        LogOutput::StdOut {
            message: text.to_owned().into(),
        }
    }

    fn err(text: &str) -> LogOutput {
        LogOutput::StdErr {
            message: text.to_owned().into(),
        }
    }

    #[test]
    fn pieces_become_lines_of_their_own_stream() {
        let mut lines = Lines::new(10);
        for piece in [out("a"), err("x\n"), out("b\r\nc"), err("y")] {
            lines.take(&piece);
        }
        assert_eq!(lines.done(), ["x", "ab", "c", "y"]);
    }

    #[test]
    fn the_newest_lines_are_kept() {
        let mut lines = Lines::new(2);
        lines.take(&out("1\n2\n3\n"));
        assert_eq!(lines.done(), ["2", "3"]);
        let mut none = Lines::new(0);
        none.take(&out("1\n"));
        assert!(none.done().is_empty());
    }

    #[test]
    fn lines_and_their_sum_are_bounded() {
        let mut lines = Lines::new(usize::MAX);
        let long = "x".repeat(LINE * 3) + "\n";
        for _ in 0..300 {
            lines.take(&out(&long));
        }
        let done = lines.done();
        assert!(done.iter().all(|line| line.len() == LINE));
        assert_eq!(done.len(), TOTAL / LINE);
    }
}
