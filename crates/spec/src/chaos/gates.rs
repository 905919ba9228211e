//! What lets requests pass, or not, by how others fare, and how much of them.

use fracas_core::chaos::{Bulkhead, CircuitBreaker, TrafficShaping};

use super::{Chaos, Finds, scope};

impl Chaos for CircuitBreaker {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        for (key, value, why) in [
            (
                "failure_threshold",
                self.failure_threshold,
                "it would open without a failure",
            ),
            (
                "success_threshold",
                self.success_threshold,
                "it would close without a success",
            ),
            (
                "half_open_max_requests",
                self.half_open_max_requests,
                "it would never close",
            ),
            (
                "min_requests_for_rate",
                self.min_requests_for_rate,
                "there is no share of nothing",
            ),
        ] {
            finds.at_least_one(&format!("{at}{key}"), value, why);
        }
        finds.millis(&format!("{at}timeout_ms"), self.timeout_ms as f64);
        let rate = self.failure_rate_threshold;
        if rate == 0.0 || !(0.0..=100.0).contains(&rate) {
            let what = format!("must be more than 0 and at most 100 percent, not {rate}");
            finds.wrong(&format!("{at}failure_rate_threshold"), &what);
        }
        let window = format!("{at}rolling_window_ms");
        if self.rolling_window_ms == 0 {
            finds.wrong(&window, "must be at least 1 millisecond");
        }
        finds.millis(&window, self.rolling_window_ms as f64);
        scope::listeners(&self.listeners, finds, at);
    }
}

impl Chaos for Bulkhead {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        let most = self.max_concurrent_requests;
        finds.at_least_one(&format!("{at}max_concurrent_requests"), most, "nothing would ever pass");
        finds.millis(&format!("{at}queue_timeout_ms"), self.queue_timeout_ms as f64);
        scope::listeners(&self.listeners, finds, at);
    }
}

impl Chaos for TrafficShaping {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        let percent = self.packet_loss_percent;
        if !(0.0..=100.0).contains(&percent) {
            let what = format!("must be from 0 to 100 percent, not {percent}");
            finds.wrong(&format!("{at}packet_loss_percent"), &what);
        }
        if let Some(burst) = self.packet_loss_burst {
            let key = format!("{at}packet_loss_burst");
            if !(1.0..=1000.0).contains(&burst) {
                finds.wrong(&key, &format!("must be from 1 to 1000, not {burst}"));
            } else if percent <= 0.0 {
                finds.wrong(&key, "nothing is lost in it: `packet_loss_percent` is 0");
            } else if (..100.0).contains(&percent) && !self.has_room_for(burst) {
                let least = percent / (100.0 - percent);
                let why = format!("must be at least {least:.2}: so many are lost in a row at {percent} percent");
                finds.wrong(&key, &why);
            }
        }
        let timeout = self.connection_timeout_ms as f64;
        finds.millis(&format!("{at}connection_timeout_ms"), timeout);
    }
}
