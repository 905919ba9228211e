//! Programs that others wrote, in a network namespace.

use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};

use fracas_linux::namespace::NetNamespace;
use serde_json::Value;

/// A program that ended well; what it said. Without a namespace: in that of this process.
#[track_caller]
pub(crate) fn program(there: Option<&NetNamespace>, program: &str, words: &[&str]) -> String {
    let (code, said) = ends(there, program, words);
    assert_eq!(code, Some(0), "{program} {words:?}: {said}");
    said
}

/// A program's exit code and what it said, also as an error.
#[expect(clippy::disallowed_methods, reason = "a peer to see with")]
pub(crate) fn ends(there: Option<&NetNamespace>, program: &str, words: &[&str]) -> (Option<i32>, String) {
    let start = || Command::new(program).args(words).stdin(Stdio::null()).output();
    let ended = match there {
        Some(there) => there.within(start),
        None => start(),
    };
    let ended = ended.unwrap_or_else(|error| panic!("{program} cannot be started (`cargo xtask install`): {error}"));
    let mut said = String::from_utf8_lossy(&ended.stdout).into_owned();
    if !ended.status.success() {
        said.push_str(&String::from_utf8_lossy(&ended.stderr));
    }
    (ended.status.code(), said)
}

/// What ping(8) has seen.
#[derive(Debug)]
pub(crate) struct Pings {
    pub(crate) sent: usize,
    /// The round trips of those that came back, in ms, sorted.
    times: Vec<f64>,
}

/// So many echoes, one in so many ms whether the one before is answered or not.
pub(crate) fn ping(there: &NetNamespace, to: IpAddr, count: usize, gap_ms: u32) -> Pings {
    let gap = format!("{:.3}", f64::from(gap_ms) / 1e3);
    let words = ["-n", "-c", &count.to_string(), "-i", &gap, &to.to_string()];
    let (_, said) = ends(Some(there), "ping", &words);
    assert!(said.contains(&format!("{count} packets transmitted")), "{said}");
    // `64 bytes from 10.192.0.1: icmp_seq=1 ttl=64 time=0.071 ms`, and `(DUP!)` behind what came twice.
    let once = said.lines().filter(|line| !line.contains("DUP!"));
    let time = |line: &str| line.split("time=").nth(1)?.split(' ').next()?.parse().ok();
    let mut times: Vec<f64> = once.filter_map(time).collect();
    times.sort_unstable_by(f64::total_cmp);
    Pings { sent: count, times }
}

impl Pings {
    pub(crate) fn lost(&self) -> usize {
        self.sent - self.times.len()
    }

    /// The middle one: that of a symmetric distribution is its mean, and a machine that does something else for a while does not move it.
    pub(crate) fn middle(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Half of the width of the middle 68.27 %, which is the standard deviation of a normal distribution, and is moved as little.
    pub(crate) fn deviation(&self) -> f64 {
        (self.quantile(0.841_345) - self.quantile(0.158_655)) / 2.0
    }

    /// The mean and the standard deviation as they are.
    pub(crate) fn plain(&self) -> (f64, f64) {
        let count = self.times.len() as f64;
        let mean = self.times.iter().sum::<f64>() / count;
        let squares = self.times.iter().map(|time| (time - mean).powi(2)).sum::<f64>();
        (mean, (squares / count).sqrt())
    }

    fn quantile(&self, share: f64) -> f64 {
        let at = share * (self.times.len().saturating_sub(1)) as f64;
        self.times.get(at.round() as usize).copied().unwrap_or(f64::NAN)
    }
}

/// A server of iperf3(1) for one client, ended when dropped.
struct Iperf(Child);

impl Iperf {
    #[expect(clippy::disallowed_methods, reason = "a peer to see with")]
    fn serve(there: &NetNamespace, at: IpAddr) -> Self {
        let mut command = Command::new("iperf3");
        command
            .args(["--server", "--one-off", "--forceflush", "--bind", &at.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut server = Self(there.within(|| command.spawn()).unwrap());
        let lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
        let listens = lines.map_while(Result::ok).any(|line| line.contains("listening"));
        assert!(listens, "iperf3 does not listen at {at}");
        server
    }
}

impl Drop for Iperf {
    fn drop(&mut self) {
        // It has ended by itself after its client.
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

/// How many Mbit in a second leave the namespace by TCP, with their headers of IP, as who receives them counts: the middle of so many
/// seconds behind the first, or the first where that is none. With more flags.
pub(crate) fn iperf(
    there: &NetNamespace,
    at: IpAddr,
    from: Option<&NetNamespace>,
    seconds: u32,
    flags: &[&str],
) -> f64 {
    let _server = Iperf::serve(there, at);
    let (time, at_text) = ((seconds + 1).to_string(), at.to_string());
    let how = ["--reverse", "--json", "--interval", "1"];
    let words = [&["--client", &at_text, "--time", &time], &how[..], flags].concat();
    let said: Value = serde_json::from_str(&program(from, "iperf3", &words)).unwrap();
    // The first second is that of TCP's slow start.
    let begin = if seconds > 0 { 0.9 } else { 0.0 };
    let sums = said["intervals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|interval| &interval["sum"]);
    let behind = sums.filter(|sum| sum["start"].as_f64().unwrap() >= begin);
    let mut speeds: Vec<f64> = behind
        .map(|sum| sum["bits_per_second"].as_f64().unwrap() / 1e6)
        .collect();
    speeds.sort_unstable_by(f64::total_cmp);
    let speed = speeds[speeds.len() / 2];
    // What is carried of each packet; its headers of IP and of TCP, which has timestamps among its options.
    let carried = said["start"]["tcp_mss_default"].as_f64().unwrap();
    let headers = if at.is_ipv4() { 20.0 } else { 40.0 } + 32.0;
    speed * (carried + headers) / carried
}
