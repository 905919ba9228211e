//! Parameters of the fault on names.

use fracas_core::params::{Answer, Dns};
use fracas_core::units::Span;

use super::Check;
use super::loads::WHOLE;
use super::packets::Key;

/// What waits longer could not be measured, as with packets.
const LONGEST: Span = Span::secs(3);
/// With all of them a worker is still told in one go what to do.
const MOST_NAMES: usize = 16;
const MOST_SERVERS: usize = 16;
/// More addresses do not fit in an answer that everybody takes (RFC 1035, 4.2.1).
const MOST_ADDRESSES: usize = 8;

impl Check<'_, '_> {
    pub(super) fn dns(&mut self, base: &str, key: Key<'_>, dns: &Dns) {
        if dns.names.is_empty() || dns.names.len() > MOST_NAMES {
            self.wrong(&key("names", "names"), "must have from 1 to 16 entries");
        }
        if dns.servers.len() > MOST_SERVERS {
            self.wrong(&key("servers", "servers"), "has more than 16 entries");
        }
        if dns.addresses.len() > MOST_ADDRESSES {
            self.wrong(&key("addresses", "addresses"), "has more than 8 entries");
        }
        if dns.probability.0 <= 0.0 || dns.probability > WHOLE {
            let key = key("probability", "failure_rate");
            self.wrong(&key, "must be more than 0% and at most 100%");
        }
        if dns.delay > LONGEST {
            self.wrong(&key("delay", "delay_ms"), "must be at most 3s");
        }
        let delayed = dns.delay != Span::default();
        if dns.answer.is_some() && !dns.addresses.is_empty() {
            self.wrong(&key("addresses", "addresses"), "cannot be given together with `answer`");
        } else if dns.answer == Some(Answer::Timeout) && delayed {
            self.wrong(&key("delay", "delay_ms"), "means nothing for what is never answered");
        } else if dns.answer.is_none() && dns.addresses.is_empty() && !delayed {
            self.wrong(base, "needs one of `answer`, `addresses` and `delay`");
        }
    }
}
