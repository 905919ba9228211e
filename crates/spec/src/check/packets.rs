//! Parameters of the faults on packets.

use fracas_core::params::{Delay, Distribution, Duplicate, Impairs, Loss, RateLimit, Reorder};
use fracas_core::problem::codes;
use fracas_core::statistics::upper_tail;
use fracas_core::traffic::Direction;
use fracas_core::units::{Percent, Rate, Span};

use super::Check;
use super::loads::WHOLE;

/// What waits longer could not be measured: a meter has five seconds, so that it keeps no fault on.
const LONGEST: Span = Span::secs(3);
const SLOWEST: Rate = Rate(8000);
const FASTEST: Rate = Rate(10_000_000_000);
/// The names of interfaces have at most 15 bytes (`IFNAMSIZ` in include/uapi/linux/if.h).
const LONGEST_NAME: usize = 15;
/// Each is a rule that every packet of the target is compared with.
const MOST: usize = 64;

/// The path of a parameter, by its key in the native format and in a ChaosScenario.
pub(super) type Key<'k> = &'k dyn Fn(&str, &str) -> String;

impl Check<'_, '_> {
    pub(super) fn delay(&mut self, key: Key<'_>, delay: &Delay) {
        self.packets(key, delay);
        if delay.mean == Span::default() || delay.mean > LONGEST {
            self.wrong(&key("mean", "latency"), "must be more than 0s and at most 3s");
        }
        if delay.jitter > LONGEST {
            self.wrong(&key("jitter", "jitter"), "must be at most 3s");
        }
        if delay.correlation > WHOLE {
            self.wrong(&key("correlation", "correlation"), "must be at most 100%");
        }
        if let Some(mean) = clamped(delay) {
            let key = key("jitter", "jitter");
            let spot = self.spot(&key);
            let what = format!("`{key}` is so wide that some delays would be below nothing: the mean becomes {mean}");
            self.problems.warn(
                &codes::CONTRADICTION,
                spot,
                what,
                "make the jitter smaller or the mean larger",
            );
        }
    }

    pub(super) fn loss(&mut self, key: Key<'_>, loss: &Loss) {
        self.share_of_packets(key, "packet_loss", loss, loss.percent);
        if loss.correlation > WHOLE {
            self.wrong(&key("correlation", "correlation"), "must be at most 100%");
        }
        let Some(burst) = loss.burst else { return };
        let share = loss.percent.fraction();
        let path = key("burst", "burst");
        if loss.correlation.0 > 0.0 {
            self.wrong(&path, "cannot be given together with `correlation`");
        }
        if !(1.0..=1000.0).contains(&burst) {
            self.wrong(&path, "must be from 1 to 1000");
        } else if share < 1.0 && share / (1.0 - share) > burst {
            let least = share / (1.0 - share);
            let why = format!(
                "must be at least {least:.2}: so many are lost in a row at {}",
                loss.percent
            );
            self.wrong(&path, &why);
        }
    }

    pub(super) fn reorder(&mut self, key: Key<'_>, reorder: &Reorder) {
        self.packets(key, reorder);
        if reorder.percent.0 <= 0.0 || reorder.percent >= WHOLE {
            self.wrong(&key("percent", "reorder"), "must be more than 0% and less than 100%");
        }
        if reorder.correlation > WHOLE {
            self.wrong(&key("correlation", "reorder_correlation"), "must be at most 100%");
        }
        if reorder.delay < Span::millis(1) || reorder.delay > LONGEST {
            self.wrong(&key("delay", "latency"), "must be from 1ms to 3s");
        }
    }

    pub(super) fn rate(&mut self, key: Key<'_>, rate: &RateLimit) {
        self.packets(key, rate);
        if rate.rate < SLOWEST || rate.rate > FASTEST {
            self.wrong(&key("rate", "bandwidth"), "must be from 8kbit to 10gbit");
        }
    }

    pub(super) fn duplicate(&mut self, key: Key<'_>, duplicate: &Duplicate) {
        self.share_of_packets(key, "duplicate", duplicate, duplicate.percent);
        if duplicate.direction == Direction::Ingress {
            let key = key("direction", "direction");
            let spot = self.spot(&key);
            let what = format!("`{key}`: what comes in cannot be doubled, for the kernel takes a copy from nobody");
            let next = "write `direction: egress`, or put the fault on whoever sends";
            self.problems.error_next(&codes::NOT_AVAILABLE, spot, what, next);
        }
    }

    /// `seed_key` is the key of the share in a ChaosScenario.
    pub(super) fn share_of_packets(&mut self, key: Key<'_>, seed_key: &str, of: &impl Impairs, percent: Percent) {
        self.packets(key, of);
        if percent.0 <= 0.0 || percent > WHOLE {
            self.wrong(&key("percent", seed_key), "must be more than 0% and at most 100%");
        }
    }

    fn packets(&mut self, key: Key<'_>, of: &impl Impairs) {
        let traffic = of.traffic();
        self.not_too_many(key, traffic.to.len(), traffic.except.len(), traffic.ports.len());
        self.device(key, traffic.device);
    }

    /// How many entries each list has that says which packets.
    pub(super) fn not_too_many(&mut self, key: Key<'_>, to: usize, except: usize, ports: usize) {
        for (native, seed, count) in [
            ("to", "target_cidr", to),
            ("except", "except", except),
            ("ports", "target_ports", ports),
        ] {
            if count > MOST {
                self.wrong(&key(native, seed), "has more than 64 entries");
            }
        }
    }

    pub(super) fn device(&mut self, key: Key<'_>, device: Option<&str>) {
        if let Some(name) = device
            && !is_interface(name)
        {
            let why = "is no name of an interface: 1 to 15 bytes without slashes, spaces and control characters";
            self.wrong(&key("device", "device"), why);
        }
    }
}

/// What the kernel takes for one (`dev_valid_name` in net/core/dev.c).
fn is_interface(name: &str) -> bool {
    let valid = |c: char| c != '/' && c != ':' && !c.is_whitespace() && !c.is_control();
    (1..=LONGEST_NAME).contains(&name.len()) && !matches!(name, "." | "..") && name.chars().all(valid)
}

/// The mean that is left when no delay is below nothing, where that differs.
fn clamped(delay: &Delay) -> Option<Span> {
    let (mean, jitter) = (delay.mean.as_secs_f64(), delay.jitter.as_secs_f64());
    let clamped = match delay.distribution {
        Distribution::Uniform if jitter > mean => (mean + jitter).powi(2) / (4.0 * jitter),
        // Below three deviations there is one in a thousand.
        Distribution::Normal if jitter * 3.0 > mean => {
            let z = mean / jitter;
            let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
            mean * (1.0 - upper_tail(z)) + jitter * density
        }
        _ => return None,
    };
    Some(Span::millis((clamped * 1000.0).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(mean: u64, jitter: u64, distribution: Distribution) -> Option<Span> {
        clamped(&Delay {
            mean: Span::millis(mean),
            jitter: Span::millis(jitter),
            distribution,
            ..Delay::default()
        })
    }

    #[test]
    fn the_mean_of_what_is_cut_off_at_nothing_is_said() {
        assert_eq!(mean(100, 100, Distribution::Uniform), None);
        assert_eq!(mean(100, 200, Distribution::Uniform), Some(Span::millis(113)));
        assert_eq!(mean(100, 30, Distribution::Normal), None);
        assert_eq!(mean(100, 100, Distribution::Normal), Some(Span::millis(108)));
        assert_eq!(mean(10, 1000, Distribution::Pareto), None);
    }

    #[test]
    fn names_are_those_that_the_kernel_takes() {
        for good in ["eth0", "br-0123456789ab", "wg0.7"] {
            assert!(is_interface(good), "{good}");
        }
        for bad in ["", ".", "..", "eth0:1", "a/b", "a b", "eth0\n", "sixteen-bytes-oo"] {
            assert!(!is_interface(bad), "{bad}");
        }
    }
}
