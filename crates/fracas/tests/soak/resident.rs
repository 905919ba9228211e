//! How much memory a process has, over time.

use std::fmt;
use std::time::{Duration, Instant};

/// How much more the last quarter may have than the second, in MiB: what an allocator keeps of the greatest need that there was at a time.
const MOST: f64 = 16.0;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// What was resident at each look, in MiB.
#[derive(Debug)]
pub(crate) struct Resident(Vec<f64>);

impl Resident {
    pub(crate) async fn watch(pid: u32, length: Duration) -> Self {
        let until = Instant::now() + length;
        let mut seen = Vec::new();
        let mut looks = tokio::time::interval(PAUSE);
        while Instant::now() < until {
            looks.tick().await;
            seen.push(resident(pid));
        }
        Self(seen)
    }

    /// The median of a quarter, from 0 to 3.
    fn quarter(&self, which: usize) -> f64 {
        let length = self.0.len() / 4;
        let mut part = self.0[which * length..(which + 1) * length].to_vec();
        part.sort_by(f64::total_cmp);
        part[part.len() / 2]
    }

    pub(crate) fn is_flat(&self) {
        let (early, late) = (self.quarter(1), self.quarter(3));
        assert!(late <= early + MOST, "memory grows: {self}");
    }
}

impl fmt::Display for Resident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quarters: Vec<String> = (0..4).map(|which| format!("{:.1}", self.quarter(which))).collect();
        write!(
            f,
            "{} MiB in the quarters of {} looks",
            quarters.join(", "),
            self.0.len()
        )
    }
}

fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
